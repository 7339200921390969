// `stint contracts` and `stint requests` against a real server, the way a shell script uses them: what they print and with which exit code they end.
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, PermanentFailure, type Stint } from '../../src/client/index.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint, startStint } = processes('cli-requests')

let url = ''
let client: Stint
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
  client = connect({ url })
  client.requestWorker<{ amount?: number } | Uint8Array>({ contract: 'pay', concurrency: 4 }, ({ body, bytes, mediaType, id, caller }) => {
    if (body instanceof Uint8Array) return { body: bytes, mediaType: mediaType ?? '' }
    if (body.amount === 13) return { status: 402, body: { refused: true } }
    if (body.amount === 0) throw new PermanentFailure('nothing to pay')
    return { status: 201, headers: { Location: `/payments/${id}` }, body: { paid: body.amount, by: caller } }
  })
})
afterAll(() => client.close())

const requests = (...args: readonly string[]) => stint(['requests', ...args], { env: { STINT_URL: url } })
const contracts = (...args: readonly string[]) => stint(['contracts', ...args], { env: { STINT_URL: url } })
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await requests(...args, '-o', 'json')).out)
/** A request that nobody works off. */
const waiting = (contract: string, id: string, as?: string) =>
  connect({ url, as })
    .requester({ contract })
    .call({ n: 1 }, { id, timeoutMs: 0 })
    .catch(() => undefined)

describe('requests call', () => {
  it('prints the body of the reply, and gives the same again for the same id', async () => {
    for (let time = 0; time < 2; time += 1)
      expect(await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'order-7')).toMatchObject({ code: 0, out: '{"paid":5,"by":"local"}', err: '' })
    expect(await json('call', '{"amount":5}', '-c', 'pay', '--id', 'order-7')).toMatchObject({
      id: 'order-7',
      status: 201,
      replayed: true,
      release: 'encouraged',
      body: { paid: 5 },
    })
  })

  it('prints status and headers before it with -i', async () => {
    const { out, code } = await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'order-8', '-i')
    expect(code).toBe(0)
    expect(out).toMatch(/^HTTP\/1\.1 201\n(?:[\w-]+: .*\n)*location: \/payments\/order-8\n(?:[\w-]+: .*\n)*\n\{"paid":5,"by":"local"\}$/)
  })

  it('takes text and files as they are, of any type', async () => {
    writeFileSync(join(folder, 'order.xml'), '<order/>')
    expect(await requests('call', 'plain words', '-c', 'pay')).toMatchObject({ code: 0, out: 'plain words' })
    expect((await requests('call', '@order.xml', '-c', 'pay', '--type', 'text/xml', '-i')).out).toMatch(/content-type: text\/xml\n[\s\S]*\n\n<order\/>$/)
  })

  it('ends with 1 for a reply that is no success, with 4 for what is final and none', async () => {
    expect(await requests('call', '{"amount":13}', '-c', 'pay')).toMatchObject({ code: 1, out: '{"refused":true}', err: expect.stringContaining('status 402') })
    expect(await requests('call', '{"amount":0}', '-c', 'pay')).toMatchObject({ code: 4, err: expect.stringContaining('nothing to pay') })
    await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'mine')
    expect(await requests('call', '{"amount":6}', '-c', 'pay', '--id', 'mine')).toMatchObject({ code: 4, out: '' })
  })

  it('ends with 124 when there is no reply in time, and says how to go on; with --wait 0 it hands the request in', async () => {
    expect(await requests('call', '1', '-c', 'idle', '--id', 'slow', '--wait', '1s')).toMatchObject({
      code: 124,
      out: '',
      err: expect.stringContaining('`stint requests reply slow -c idle --wait 1m`'),
    })
    expect(await requests('call', '1', '-c', 'idle', '--id', 'later', '--wait', '0s')).toMatchObject({ code: 0, out: 'later  accepted\n' })
    expect(await requests('reply', 'later', '-c', 'idle')).toMatchObject({ code: 4 })
    client.requestWorker({ contract: 'idle' }, () => 'at last')
    expect(await requests('reply', 'later', '-c', 'idle', '--wait', '30s')).toMatchObject({ code: 0, out: '"at last"' })
  })

  it('ends with 5 at once when there is no server', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = server.address() as AddressInfo
        server.close(() => resolve(free))
      })
    })
    for (const args of [
      ['call', '1', '-c', 'pay', '--wait', '1h'],
      ['list', '-c', 'pay'],
    ] as const)
      expect(await stint(['requests', ...args], { env: { STINT_URL: `http://127.0.0.1:${port}` } })).toMatchObject({
        code: 5,
        out: '',
        err: expect.stringContaining('No answer from'),
      })
  })

  it('ends with 2 for what could never be sent', async () => {
    expect(await requests('call', '1')).toMatchObject({ code: 2, err: expect.stringContaining('--contract') })
    expect(await requests('call', '1', '-c', 'no/contract')).toMatchObject({ code: 2 })
    expect(await requests('call', '1', '-c', 'pay', '--id', 'no/id')).toMatchObject({ code: 2, err: expect.stringContaining('cannot be the id of a request') })
    expect(await requests('show', 'a')).toMatchObject({ code: 2, err: expect.stringContaining('-c CONTRACT') })
  })
})

describe('requests that are looked at', () => {
  it('are listed a line each, newest first, and an empty list says what to try', async () => {
    await waiting('looked', 'one')
    await waiting('looked', 'two')
    expect((await requests('list', '-c', 'looked')).out).toMatch(/^ID +STATE +CALLER +ATTEMPT +BYTES +AGE\ntwo +· waiting +local +0 +7 +\S+\none +· waiting .*\n$/)
    expect(await requests('list', '-c', 'nobody')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('-c nobody` makes one') })
    expect((await requests('list', '-c', 'looked', '--state', 'running')).err).toContain('`stint requests list -c looked` lists all')
    expect(await json('list', '-c', 'looked', '--limit', '1')).toMatchObject({ items: [{ id: 'two' }] })
  })

  it('are shown with their reply, and told from others by contract, caller or global ID', async () => {
    await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'shown')
    const { out } = await requests('show', 'shown', '-c', 'pay')
    expect(out).toMatch(/^id +shown$/m)
    expect(out).toMatch(/^reply +201, 23 bytes$/m)
    expect(out).toMatch(/^body +\{"paid":5,"by":"local"\}$/m)
    expect(await json('show', 'request/pay/local/shown')).toMatchObject({ id: 'shown', caller: 'local' })
    expect(await requests('show', 'request/pay/local/shown', '-c', 'ship')).toMatchObject({ code: 2 })
    expect(await requests('show', 'missing', '-c', 'pay')).toMatchObject({ code: 3, err: expect.stringContaining('There is no request missing of pay.') })
    expect(await requests('reply', 'missing', '-c', 'pay')).toMatchObject({ code: 3 })
  })

  it('tell their history and why they wait', async () => {
    await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'told')
    expect((await requests('history', 'told', '-c', 'pay')).out).toMatch(/accepted for local: 12 bytes[\s\S]*leased to[\s\S]*replied: 201, 23 bytes/)
    await waiting('asked', 'one')
    expect((await requests('why', 'one', '-c', 'asked')).code).toBe(0)
    expect((await stint(['events', 'list', '--kind', 'request', '--limit', '1'], { env: { STINT_URL: url } })).code).toBe(0)
  })

  it('are watched until they have ended', async () => {
    await waiting('watched', 'one')
    const watching = startStint(['requests', 'watch', 'one', '-c', 'watched'], { env: { STINT_URL: url } })
    await watching.line(/one .*waiting/)
    client.requestWorker({ contract: 'watched' }, () => 'seen')
    expect((await watching.ended()).code).toBe(0)
  })
})

describe('requests that are directed', () => {
  it('are paused, resumed and aborted, and waited for', async () => {
    await waiting('directed', 'one')
    expect(await requests('pause', 'one', '-c', 'directed', '--reason', 'lunch')).toMatchObject({ code: 0, out: 'one  paused\n' })
    expect(await requests('resume', 'one', '-c', 'directed')).toMatchObject({ code: 0, out: 'one  waiting\n' })
    expect(await requests('abort', 'one', '-c', 'directed')).toMatchObject({ code: 0, out: 'one  cancelled\n' })
    expect(await requests('wait', 'one', '-c', 'directed')).toMatchObject({ code: 1, err: expect.stringContaining('Request one is cancelled') })
    expect(await requests('wait', 'one', '-c', 'directed', '--for', 'cancelled')).toMatchObject({ code: 0, out: 'one  cancelled\n' })
  })

  it('are released by their caller, and by force for somebody else', async () => {
    await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'gone')
    expect(await requests('release', 'gone', '-c', 'pay')).toMatchObject({ code: 0, out: 'gone  released (client)\n' })
    expect(await requests('call', '{"amount":5}', '-c', 'pay', '--id', 'gone')).toMatchObject({ code: 3, err: expect.stringContaining('released') })
    await contracts('put', 'forced', '--caller', 'ann@example.com', '--worker', 'till@example.com')
    const worker = client.requestWorker({ contract: 'forced' }, () => 'done')
    const ann = connect({ url, as: 'ann@example.com' })
    const { workItem } = await ann.requester({ contract: 'forced' }).call(1, { id: 'hers' })
    await ann.close()
    await worker.close()
    expect(await requests('release', workItem, '--yes')).toMatchObject({ code: 0, out: 'hers  released (force)\n' })
  })
})

describe('contracts', () => {
  it('are set up, shown and listed', async () => {
    const put = await contracts(
      'put',
      'quote',
      '--release',
      'none-required',
      '--retain',
      '1h',
      '--caller',
      'ann@example.com',
      '--caller',
      'bob@example.com',
      '--quota-requests',
      '100',
    )
    expect(put).toMatchObject({ code: 0, out: expect.stringMatching(/^release +none-required, after 1h.* by itself$/m) })
    expect((await contracts('show', 'quote')).out).toMatch(/^callers +ann@example.com, bob@example.com$/m)
    expect((await contracts('list')).out).toMatch(/^quote +none-required +1h/m)
    expect(JSON.parse((await contracts('show', 'quote', '-o', 'json')).out)).toMatchObject({ contract: 'quote', retainSeconds: 3_600, quota: { requests: 100 } })
  })

  it('keep what a later put does not name, unless they are set up anew', async () => {
    const shown = async (): Promise<unknown> => JSON.parse((await contracts('show', 'hook', '-o', 'json')).out)
    await contracts('put', 'hook', '--caller', 'ann@example.com', '--callback-secret-env', 'HOOK_SECRET', '--quota-requests', '5', '--retain', '2h')
    expect((await contracts('show', 'hook')).out).toMatch(/^callbacks +signed with the secret in HOOK_SECRET$/m)
    expect((await contracts('put', 'hook', '--quota-bytes', '900', '--attempts', '3')).code).toBe(0)
    const kept = { callers: ['ann@example.com'], callbackSecretEnv: 'HOOK_SECRET', quota: { requests: 5, bytes: 900 }, attemptsMax: 3 }
    expect(await shown()).toMatchObject({ ...kept, retainSeconds: 7_200 })
    expect((await contracts('put', 'hook', '--release', 'required')).code).toBe(0)
    expect(await shown()).toMatchObject({ ...kept, release: 'required' })
    await contracts('put', 'hook', '--anew', '--worker', 'till@example.com')
    const anew = await shown()
    expect(anew).toMatchObject({ callers: [], workers: ['till@example.com'], release: 'encouraged' })
    for (const gone of ['callbackSecretEnv', 'quota', 'attemptsMax']) expect(anew).not.toHaveProperty(gone)
  })

  it('that contradict themselves are refused by their field', async () => {
    expect(await contracts('put', 'odd', '--release', 'required', '--retain', '1h')).toMatchObject({ code: 2, err: expect.stringContaining('/retainSeconds') })
  })
})

// Single calls: how they are addressed, what is sent with them, what is repeated and what the answers become.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, routes, StintError, UnexpectedAnswer, Unreachable, type Fetch, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway, type Seen } from '../support/gateway.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

let stint: RealStint
let gateway: Gateway
let world: VirtualWorld
let client: Stint

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  world = virtualWorld()
  client = connect({ url: `${gateway.url}/`, token: undefined, world })
})

afterEach(async () => {
  await client.close()
  await gateway.close()
  await stint.close()
})

const body = { service: 'indexer', server: 'indexer-1' }
const register = (id: string) => client.call(routes.registerJob, { body: { id, ...body } })

/** Lets the next pause before a repeat pass, however long it is. */
const passPause = async (): Promise<number> => {
  const isPause = (ms: number): boolean => ms < 30_000
  await world.until((pending) => pending.some(isPause))
  const ms = world.pending().find(isPause) ?? 0
  world.advance(ms)
  return ms
}

/** Decides the fate of the first `count` requests. */
const first = (count: number, fate: 'cut' | 'lose-answer' | number): void => {
  let left = count
  gateway.treat(() => (left-- > 0 ? fate : 'pass'))
}

const keys = (): (string | string[] | undefined)[] => gateway.seen.map(({ headers }: Seen) => headers['idempotency-key'])

describe('when a route is called', () => {
  it('puts path parameters, query and body where they belong', async () => {
    await register('a~b')
    expect(await client.call(routes.showJob, { params: { id: 'a~b' } })).toMatchObject({ id: 'a~b', workItem: 'job/a~b', ...body })
    expect(await client.call(routes.showWorkItem, { params: { workItem: 'job/a~b' } })).toMatchObject({ id: 'a~b' })
    expect((await client.call(routes.listJobs, { query: { service: 'indexer', limit: 1 } })).items).toHaveLength(1)
    expect(gateway.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /v1/jobs',
      'GET /v1/jobs/a~b',
      'GET /v1/work-items/job%2Fa~b',
      'GET /v1/jobs?service=indexer&limit=1',
    ])
  })

  it('does not call another path than the one that was meant', async () => {
    for (const id of ['.', '..', '']) await expect(client.jobs.show(id)).rejects.toThrow('Expected "id" to be a path segment')
    expect(gateway.seen).toEqual([])
  })

  it('sends token and principal', async () => {
    const sent: RequestInit[] = []
    const fetch: Fetch = (input, init) => {
      sent.push(init)
      return globalThis.fetch(input, init)
    }
    await using other = connect({ url: stint.url, token: 'secret', as: 'ada@example.com', fetch })
    await other.call(routes.health).catch(() => undefined)
    expect(Object.fromEntries(sent[0]?.headers as [string, string][])).toMatchObject({ Authorization: 'Bearer secret', 'Stint-As': 'ada@example.com' })
  })

  it('reads what it wrote: queries name the position of the last write', async () => {
    await register('one')
    await client.jobs.show('one')
    await client.jobs.abort('one')
    await client.jobs.show('one')
    const positions = gateway.seen.map(({ headers }) => headers['stint-position'])
    expect(positions).toEqual([undefined, expect.stringMatching(/./), undefined, expect.stringMatching(/./)])
    expect(String(positions[3]) > String(positions[1])).toBe(true)
  })

  it('forgets the position of a log that is gone', async () => {
    await register('one')
    await stint.stop()
    await stint.start('empty')
    expect((await client.jobs.list()).items).toEqual([])
    expect(gateway.seen.map(({ headers }) => headers['stint-position'] !== undefined)).toEqual([false, true, false])
  })

  it('answers one by one when many are sent together', async () => {
    await register('one')
    const answers = await client.callMany(routes.registerJob, [
      { id: 'one', ...body },
      { id: 'two', ...body },
      { id: 'one', service: 'other', server: 'indexer-1' },
    ])
    expect(answers).toMatchObject([
      { _tag: 'Right', right: { id: 'one' } },
      { _tag: 'Right', right: { id: 'two' } },
      { _tag: 'Left', left: { name: 'StintError', code: 'exists-with-other-content', status: 409 } },
    ])
  })

  it('tells a conditional caller that nothing has changed', async () => {
    await register('one')
    const { status, headers } = await client.exchange(routes.showJob, { params: { id: 'one' } })
    const again = await client.exchange(routes.showJob, { params: { id: 'one' }, headers: { 'If-None-Match': headers.get('etag') ?? '' } })
    expect([status, again.status, again.body]).toEqual([200, 304, undefined])
  })
})

describe('when a call fails', () => {
  it('throws what Stint says', async () => {
    const failure = await client.jobs.show('nobody').catch((thrown: unknown) => thrown)
    expect(failure).toBeInstanceOf(StintError)
    expect(failure).toMatchObject({ message: 'There is no such thing. /v1/jobs/nobody', code: 'not-found', status: 404, problem: { type: '/problems/not-found', status: 404 } })
    expect(gateway.seen).toHaveLength(1)
  })

  it('names the fields of a body that is not valid', async () => {
    const failure = client.call(routes.registerJob, { body: { ...body, label: 'x'.repeat(201) } })
    await expect(failure).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/label', code: 'length' }] } })
    await expect(failure).rejects.toThrow(/^The request is not valid\. \/label: (?:(?!\/label).)+$/)
  })

  it('repeats under the same key until it is answered, with growing pauses', async () => {
    first(3, 'cut')
    const registered = register('one')
    const pauses = [await passPause(), await passPause(), await passPause()]
    expect(await registered).toMatchObject({ id: 'one' })
    expect(new Set(keys()).size).toBe(1)
    for (const [index, ms] of pauses.entries()) {
      expect(ms).toBeGreaterThanOrEqual(50 * 2 ** index)
      expect(ms).toBeLessThanOrEqual(100 * 2 ** index)
    }
  })

  it('does once what was done although its answer was lost', async () => {
    first(1, 'lose-answer')
    const registered = register('one')
    await passPause()
    await registered
    const { items } = await client.jobs.history('one')
    expect(items.map(({ type }) => type)).toEqual(['JobRegistered', 'Leased'])
  })

  it('gives up after five tries', async () => {
    gateway.treat(() => 'cut')
    const shown = client.jobs.show('one')
    shown.catch(() => undefined)
    for (let repeat = 0; repeat < 4; repeat += 1) await passPause()
    await expect(shown).rejects.toBeInstanceOf(Unreachable)
    expect(gateway.seen).toHaveLength(5)
  })

  it('takes a bare 502 of a gateway for no answer, and other strange answers for what they are', async () => {
    gateway.treat(() => 502)
    await expect(client.call(routes.health, { attemptsMax: 1 })).rejects.toBeInstanceOf(Unreachable)
    gateway.treat(() => 404)
    await expect(client.call(routes.health)).rejects.toBeInstanceOf(UnexpectedAnswer)
    gateway.treat(() => 204)
    await expect(client.call(routes.health)).rejects.toBeInstanceOf(UnexpectedAnswer)
  })

  it('does not repeat a command whose repeat Stint could not tell from a second one', async () => {
    gateway.treat(() => 'lose-answer')
    const inserted = client.call(routes.leaseTasks, { params: { app: 'shop', queue: 'mail' }, body: { max: 1 } })
    await expect(inserted).rejects.toBeInstanceOf(Unreachable)
    expect(gateway.seen).toHaveLength(1)
  })

  it('waits as long as the server asks', async () => {
    const fetch: Fetch = async (input, init) =>
      asked++ === 0
        ? new Response(JSON.stringify({ status: 503, code: 'overloaded' }), { status: 503, headers: { 'Retry-After': '7', 'Content-Type': 'application/problem+json' } })
        : globalThis.fetch(input, init)
    let asked = 0
    const other = connect({ url: stint.url, world, fetch })
    const healthy = other.call(routes.health)
    expect(await passPause()).toBe(7_000)
    expect((await healthy).status).toBe('ok')
    await other.close()
  })

  it('does not try again what is over a quota: others have to leave first', async () => {
    let asked = 0
    const fetch: Fetch = () => {
      asked += 1
      const headers = { 'Retry-After': '10', 'Content-Type': 'application/problem+json' }
      return Promise.resolve(new Response(JSON.stringify({ status: 429, code: 'over-quota' }), { status: 429, headers }))
    }
    const other = connect({ url: stint.url, world, fetch })
    await expect(other.call(routes.health)).rejects.toMatchObject({ code: 'over-quota', retryAfterMs: 10_000 })
    expect(asked).toBe(1)
    await other.close()
  })

  it('ends when its signal aborts, when its time is over and when the client is closed', async () => {
    gateway.treat(() => 'hang')
    const controller = new AbortController()
    const aborted = client.jobs.show('one', { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')

    const late = client.call(routes.health, { timeoutMs: 1_000, attemptsMax: 1 })
    await world.until((pending) => pending.includes(1_000))
    world.advance(1_000)
    await expect(late).rejects.toThrow('the time is over')

    const closed = client.jobs.show('one')
    await client.close()
    await expect(closed).rejects.toMatchObject({ name: 'Closed' })
    await expect(client.jobs.show('one')).rejects.toMatchObject({ name: 'Closed' })
    expect(world.pending()).toEqual([])
  })
})

describe('when a client is made', () => {
  it('takes address and token from the environment', async () => {
    const before = { ...process.env }
    Object.assign(process.env, { STINT_URL: 'http://127.0.0.1:1', STINT_TOKEN: 'from-env' })
    let sent: RequestInit | undefined
    const fetch: Fetch = (_input, init) => {
      sent = init
      return Promise.reject(new Error('no network'))
    }
    const other = connect({ fetch })
    await other.call(routes.health, { attemptsMax: 1 }).catch(() => undefined)
    expect(other.url).toBe('http://127.0.0.1:1')
    expect(Object.fromEntries(sent?.headers as [string, string][])).toMatchObject({ Authorization: 'Bearer from-env' })
    for (const name of ['STINT_URL', 'STINT_TOKEN']) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
    await other.close()
  })

  it('refuses an address that is none', () => {
    for (const url of ['stint', '127.0.0.1:7070'])
      expect(() => connect({ url })).toThrow(new TypeError(`Expected the address of Stint to begin with http:// or https://, but it is ${url}.`))
    expect(() => connect({ url: 'ftp://127.0.0.1' })).toThrow('http:// or https://')
  })
})

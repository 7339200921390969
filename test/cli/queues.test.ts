// `stint queues` against a real server with queue files: what it prints, in which form, and with which exit code it ends.
import { mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttp, type Http } from '../../src/client/http.ts'
import { failTask, insertTask, leaseTasks } from '../../src/wire/tasks.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint, startStint } = processes('cli-queues')

const NAMES = ['mails', 'orders', 'old', 'drained', 'dead', 'watched', 'held', 'filtered']
const QUEUE_YAML = `total_storage_limit: 120M
queue:
${NAMES.map((name) => `- name: ${name}\n  mode: pull\n  retry_parameters:\n    task_retry_limit: 3\n  acl:\n  - user_email: worker@shop.example\n  - writer_email: ann@shop.example\n`).join('')}- name: pushed
  rate: 5/s
`
const STINT_YAML = `queues:
  mails:
    rate: 100/s
    defaultLeaseSeconds: 30
    webhook: { url: "https://shop.example/told", secretEnv: TOLD_SECRET, debounceSeconds: 0.5 }
  dead:
    backoff: { minSeconds: 0, maxSeconds: 0 }
`

const config = join(folder, 'config')
const shopFile = join(config, 'apps', 'shop', 'queue.yaml')
let url = ''
let http: Http
/** A receiver that takes no message. */
const receiver = createServer((_request, response) => void response.writeHead(500).end())
afterAll(() => receiver.close())
beforeAll(async () => {
  await once(receiver.listen(0, '127.0.0.1'), 'listening')
  mkdirSync(join(config, 'apps', 'shop'), { recursive: true })
  writeFileSync(shopFile, QUEUE_YAML)
  writeFileSync(join(config, 'apps', 'shop', 'stint-queue.yaml'), STINT_YAML)
  mkdirSync(join(config, 'apps', 'tiny'), { recursive: true })
  writeFileSync(join(config, 'apps', 'tiny', 'queue.yaml'), 'total_storage_limit: 12B\nqueue:\n- name: hooked\n  mode: pull\n  retry_parameters:\n    task_retry_limit: 0\n')
  const { port } = receiver.address() as AddressInfo
  writeFileSync(join(config, 'apps', 'tiny', 'stint-queue.yaml'), `queues:\n  hooked:\n    webhook: { url: "http://127.0.0.1:${port}/told", debounceSeconds: 0 }\n`)
  url = (await serve(['--data', ':memory:', '--config', config])).url
  http = createHttp({ url, world: realWorld, fetch })
})

const queues = (...args: readonly string[]) => stint(['queues', ...args], { env: { STINT_URL: url } })
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await queues(...args, '-o', 'json')).out)
const put = (queue: string, ids: readonly string[], more: object = {}) =>
  http.callMany(
    insertTask,
    ids.map((id) => ({ id, payload: id, ...more })),
    { params: { app: 'shop', queue } },
  )
/** Tasks that have failed for want of attempts. */
const bury = async (queue: string, ids: readonly string[], code: string): Promise<void> => {
  const params = { app: 'shop', queue }
  await put(queue, ids)
  for (let left = ids.length * 3; left > 0;) {
    const { items } = await http.call(leaseTasks, { params, body: { max: 100, worker: 'w' }, headers: { Prefer: 'wait=20' } })
    for (const { id, lease } of items) await http.call(failTask, { params, body: { id, lease, failed: { code, message: 'no' } } })
    left -= items.length
  }
}

describe('queues list', () => {
  it('shows how full each queue is, by name', async () => {
    await put('mails', ['a', 'b', 'c'])
    await put('mails', ['later'], { delaySeconds: 600 })
    await http.call(leaseTasks, { params: { app: 'shop', queue: 'mails' }, body: { worker: 'w' } })
    const { code, out } = await queues('list')
    expect(code).toBe(0)
    const [titles = '', ...lines] = out.trim().split('\n')
    expect(titles).toMatch(/^QUEUE +STATE +WAITING +DELAYED +LEASED +WORKERS +DEAD LETTERS +OLDEST +IN\/MIN +DONE\/MIN$/)
    expect(lines[lines.findIndex((line) => line.startsWith('shop/mails'))]).toMatch(/^shop\/mails +open +2 +1 +1 +0 +0 +\S+ +4 +0$/)
    expect(out).toMatch(/^shop\/pushed +open, push: not served /m)
  })

  it('prints them for programs, an app at a time, a page at a time', async () => {
    expect(await json('list', '--limit', '1')).toMatchObject({ items: [{ queue: 'dead' }], next: expect.any(String) })
    const { out } = await queues('list', '--app', 'shop', '-o', 'jsonl')
    expect(out.trim().split('\n')).toHaveLength(NAMES.length + 1)
    const none = await queues('list', '--app', 'nobody')
    expect(none).toMatchObject({ code: 0, out: expect.not.stringContaining('QUEUE'), err: expect.stringContaining('There is no queue of nobody that you may look at') })
  })
})

describe('queues show', () => {
  it('shows figures, statistics and settings as applied', async () => {
    await put('orders', ['a', 'b'])
    const { out } = await queues('show', 'shop/orders')
    for (const line of [
      /^state +open$/m,
      /^waiting +2, and 0 delayed$/m,
      /^users +worker@shop\.example$/m,
      /^retry limit +3 attempts$/m,
      /^storage limit +120 MiB$/m,
      /^rate +no limit$/m,
    ])
      expect(out).toMatch(line)
    const mails = await queues('show', 'shop/mails')
    for (const line of [
      /^rate +100 a second, bursts of 100$/m,
      /^default lease +30s$/m,
      /^webhook +https:\/\/shop\.example\/told, at most once in 500ms$/m,
      /^waited +p50 .*, max /m,
    ])
      expect(mails.out).toMatch(line)
    expect(await json('show', 'shop/orders')).toMatchObject({ app: 'shop', queue: 'orders', waiting: 2, settings: { retryLimit: 3 } })
  })

  it('shows how the calls of its webhook go, which the list warns of', async () => {
    expect((await queues('show', 'shop/mails')).out).toMatch(/^webhook is +off: \S/m)
    const called = once(receiver, 'request')
    expect(await stint(['tasks', 'put', 'a', '-q', 'tiny/hooked'], { env: { STINT_URL: url } })).toMatchObject({ code: 0 })
    await called
    const failing = async (): Promise<string> => {
      for (;;) {
        const { out } = await queues('show', 'tiny/hooked')
        if (/^webhook is +on, and failing/m.test(out)) return out
      }
    }
    const out = await failing()
    for (const line of [/^webhook is +on, and failing: 1 attempt in a row$/m, /^last called +.*: .*500/m, /^next call +at \S+Z$/m, /^retry limit +1 attempt$/m])
      expect(out).toMatch(line)
    expect((await queues('list')).out).toMatch(/^Warning: The webhook of tiny\/hooked fails: 1 attempt in a row, the last one: .*500/m)
  })

  it('ends with 3 for a queue that there is not', async () => {
    expect(await queues('show', 'shop/nix')).toMatchObject({
      code: 3,
      out: '',
      err: 'stint: There is no queue shop/nix.\n`stint queues list` shows those there are; they stand in the queue files of the server.\n',
    })
  })
})

describe('queues pause and resume', () => {
  it('stop the leases, with a reason to see, and let them go on', async () => {
    await put('held', ['a'])
    expect(await queues('pause', 'shop/held', '--reason', 'mail is down')).toMatchObject({ code: 0, out: 'shop/held  paused\n' })
    expect((await queues('show', 'shop/held')).out).toMatch(/^paused +by local (?:just now|\d+s ago): "mail is down"$/m)
    expect((await stint(['tasks', 'lease', '-q', 'shop/held'], { env: { STINT_URL: url } })).out).toBe('')
    expect(JSON.parse((await queues('resume', 'shop/held', '-o', 'jsonl')).out)).toMatchObject({ queue: 'held', state: 'open' })
    expect((await stint(['tasks', 'lease', '-q', 'shop/held'], { env: { STINT_URL: url } })).out).toContain('a')
  })
})

describe('the lists of a queue', () => {
  it('decide who may put and who may lease: exit code 6 for others', async () => {
    const as = (email: string, ...args: readonly string[]) => stint(['tasks', ...args, '-q', 'shop/orders', '--as', email], { env: { STINT_URL: url } })
    expect(await as('worker@shop.example', 'put', 'x')).toMatchObject({ code: 6, err: expect.stringContaining('Expected a `writer_email` of the queue.') })
    expect(await as('ann@shop.example', 'put', 'x', '--id', 'by-ann')).toMatchObject({ code: 0 })
    expect(await as('ann@shop.example', 'lease')).toMatchObject({ code: 6, err: expect.stringContaining('Expected a `user_email` of the queue.') })
    expect((await as('ann@shop.example', 'lease')).err).toContain('`acl` of orders in apps/shop/queue.yaml')
  })

  it('make nobody an administrator: exit code 6 for what only those may', async () => {
    for (const email of ['worker@shop.example', 'ann@shop.example', 'eve@shop.example'])
      for (const args of [
        ['queues', 'pause', 'shop/orders'],
        ['queues', 'resume', 'shop/orders'],
        ['queues', 'purge', 'shop/orders', '--yes'],
        ['queues', 'redrive', 'shop/orders', '--yes'],
        ['tasks', 'redrive', 'by-ann', '-q', 'shop/orders'],
        ['tasks', 'abort', 'by-ann', '-q', 'shop/orders', '--yes'],
        ['tasks', 'pause', 'by-ann', '-q', 'shop/orders'],
        ['tasks', 'resume', 'by-ann', '-q', 'shop/orders'],
      ]) {
        const { code, out, err } = await stint([...args, '--as', email], { env: { STINT_URL: url } })
        expect({ args, email, code, out, err }).toEqual({ args, email, code: 6, out: '', err: expect.stringMatching(/administrator|role admin/) })
        expect(err).toContain('leaves --as out')
      }
  })
})

describe('an app that stores as much as it may', () => {
  it('takes no more: exit code 4 at once, with what would fit', async () => {
    const into = (payload: string) => stint(['tasks', 'put', payload, '-q', 'tiny/hooked'], { env: { STINT_URL: url } })
    expect(await into('1234567890123')).toMatchObject({ code: 4, out: '', err: expect.stringMatching(/13 bytes and can never fit.*12 bytes/) })
    expect(await into('123456')).toMatchObject({ code: 0 })
    expect(await into('x')).toMatchObject({ code: 0 })
    expect(await into('y')).toMatchObject({ code: 4, out: '', err: expect.stringMatching(/take \d+ of the 12 bytes/) })
  })
})

describe('queues purge', () => {
  it('asks first, and off a terminal does nothing without --yes', async () => {
    await put('drained', ['a', 'b', 'c'])
    const refused = await queues('purge', 'shop/drained')
    expect(refused).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Cancel all 3 waiting tasks of shop/drained? This is final. Nobody is here to answer.\n--yes') })
    expect(await json('show', 'shop/drained')).toMatchObject({ waiting: 3 })
    expect(await queues('purge', 'shop/drained', '--yes')).toMatchObject({ code: 0, out: 'shop/drained  3 cancelled\n' })
    expect(await json('show', 'shop/drained')).toMatchObject({ waiting: 0, bulks: [{ what: 'purge', state: 'finished', done: 3 }] })
    expect((await queues('show', 'shop/drained')).out).toMatch(/^bulk +purge \S+ by local, begun .*, over: 3 done, 0 skipped$/m)
  })

  it('takes the filters of the wire', async () => {
    await put('filtered', ['a1', 'a2'], { tag: 'a' })
    await put('filtered', ['b1'], { tag: 'b', key: 'ann' })
    expect((await queues('purge', 'shop/filtered', '--tag', 'a', '--key', 'ann')).err).toContain('Cancel the waiting tasks of shop/filtered with tag a, key ann?')
    expect(await queues('purge', 'shop/filtered', '--yes', '--inserted-before', '1h')).toMatchObject({ code: 0, out: 'shop/filtered  0 cancelled\n' })
    expect(await queues('purge', 'shop/filtered', '--yes', '--inserted-before', '2020-01-01')).toMatchObject({ code: 0, out: 'shop/filtered  0 cancelled\n' })
    expect(await queues('purge', 'shop/filtered', '--yes', '--key', 'ann')).toMatchObject({ code: 0, out: 'shop/filtered  1 cancelled\n' })
    expect(JSON.parse((await queues('purge', 'shop/filtered', '--yes', '--tag', 'a', '-o', 'json')).out)).toMatchObject({
      what: 'purge',
      state: 'finished',
      done: 2,
      filter: { tag: 'a' },
    })
  })

  it('need not be followed', async () => {
    await put('old', ['a'])
    const { code, out, err } = await queues('purge', 'shop/old', '--yes', '--no-wait')
    expect({ code, out, err }).toEqual({
      code: 0,
      out: expect.stringMatching(/^shop\/old {2}purge \S+ under way\n$/),
      err: expect.stringContaining('`stint queues show shop/old` tells when it is over.'),
    })
  })
})

describe('redrive', () => {
  const tasks = (...args: readonly string[]) => stint(['tasks', ...args], { env: { STINT_URL: url } })

  it('gives one dead letter another life, by its id', async () => {
    await bury('dead', ['a', 'b', 'c'], 'smtp')
    expect((await tasks('list', '-q', 'shop/dead', '--dead-letters')).out).toMatch(/^a +✗ dead letter +3 /m)
    expect((await queues('list')).out).toMatch(/^shop\/dead +open +0 +0 +0 +0 +3 /m)
    expect(await tasks('wait', 'a', '-q', 'shop/dead')).toMatchObject({ code: 1, err: expect.stringContaining('smtp') })
    expect(await tasks('redrive', 'a', '-q', 'shop/dead')).toMatchObject({ code: 0, out: 'a  waiting\n' })
    expect(await tasks('redrive', 'nix', '-q', 'shop/dead')).toMatchObject({ code: 3 })
  })

  it('gives all of a queue another life, or those with a code, once that is confirmed', async () => {
    expect(await tasks('redrive', '--all', '-q', 'shop/dead')).toMatchObject({ code: 2, err: expect.stringContaining('Redrive all 2 dead letters of shop/dead?') })
    expect(await tasks('redrive', '--all', '-q', 'shop/dead', '--code', 'other', '--yes')).toMatchObject({ code: 0, out: 'shop/dead  0 redriven\n' })
    expect(await queues('redrive', 'shop/dead', '--yes', '--code', 'smtp')).toMatchObject({ code: 0, out: 'shop/dead  2 redriven\n' })
    expect(await json('show', 'shop/dead')).toMatchObject({ waiting: 3, statistics: { deadLetters: 0 } })
  })
})

describe('queues watch off a terminal', () => {
  it('prints a line whenever the figures of a queue change', async () => {
    const watch = startStint(['queues', 'watch', 'shop/watched', '--every', '50ms'], { env: { STINT_URL: url } })
    await watch.line(/^\d\d:\d\d:\d\d\.\d{3} {2}shop\/watched {2}open: 0 waiting, 0 leased$/)
    await put('watched', ['a', 'b'])
    await watch.line(/shop\/watched {2}open: 2 waiting, 0 leased$/)
    await http.call(leaseTasks, { params: { app: 'shop', queue: 'watched' }, body: { worker: 'w' } })
    await watch.line(/shop\/watched {2}open: 1 waiting, 1 leased$/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    expect(watch.out()).not.toContain('shop/mails')
  })

  it('prints queues for programs, all of them', async () => {
    const watch = startStint(['queues', 'watch', '--app', 'shop', '-o', 'jsonl'], { env: { STINT_URL: url } })
    await watch.line(/"queue":"mails"/)
    await watch.line(/"queue":"pushed"/)
    watch.kill('SIGTERM')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    for (const line of watch.out().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ app: 'shop' })
  })
})

describe('a queue file that is bad while the server runs', () => {
  it('is told below the list, to administrators, and the last good one stays', async () => {
    const watch = startStint(['queues', 'watch', 'shop/mails', '--every', '50ms'], { env: { STINT_URL: url } })
    await watch.line(/shop\/mails/)
    writeFileSync(shopFile, 'queue:\n- name: mails\n  mode: pull\n  retries: 3\n')
    const seen = async (): Promise<string> => {
      for (;;) {
        const { out } = await queues('list')
        if (out.includes('Not in force')) return out
      }
    }
    expect(await seen()).toMatch(
      /^shop\/mails +open .*[\s\S]*\nNot in force; the last good files of these apps are:\n {2}\S+queue\.yaml:4:3: unknown: \/queue\/0\/retries: Expected one of /m,
    )
    expect(await json('list')).toMatchObject({ fileErrors: [{ line: 4, column: 3, code: 'unknown', path: '/queue/0/retries' }] })
    const lines = await queues('list', '-o', 'jsonl')
    expect(lines.err).toContain('queue.yaml:4:3')
    expect(lines.out).not.toContain('queue.yaml')
    writeFileSync(shopFile, QUEUE_YAML)
    watch.kill('SIGINT')
    await watch.ended()
  })
})

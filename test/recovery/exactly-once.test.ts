// `exactlyOnce` in real processes that are killed: what was accepted is run again as the next attempt, what was replied is given again byte for byte, and of two processes one runs.
import { appendFileSync, mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { askPort, type Answer } from '../support/contract-app.ts'
import { processes, type Running } from '../support/process.ts'

/** Several processes have to start in each test, on a machine that may have others to run. */
const PATIENCE_MS = 360_000

const PROGRAM = join(import.meta.dirname, 'programs', 'exactly-once-app.ts')
const { folder, start, serve } = processes('exactly-once')

interface App extends Running {
  readonly pay: (key: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>
}

const startApp = async (store: string, effects: string): Promise<App> => {
  const running = start(process.execPath, [PROGRAM, store, effects])
  const [, port = ''] = await running.line(/^listening (\d+)$/)
  return { ...running, pay: (key, headers = {}) => askPort(Number(port), { path: '/payments', key, headers, body: { amount: 12 } }) }
}

const places = (): { readonly data: string; readonly effects: string; readonly runs: () => string[] } => {
  const own = mkdtempSync(join(folder, 'app-'))
  const effects = join(own, 'effects')
  appendFileSync(effects, '')
  return { data: join(own, 'data'), effects, runs: () => readFileSync(effects, 'utf8').split('\n').filter(Boolean) }
}

const told = ({ status, body, headers }: Answer): unknown => ({
  status,
  body: body.toString(),
  cookie: headers['set-cookie'],
  attempt: headers['x-attempt'],
  type: headers['content-type'],
  etag: headers['etag'],
})

describe('an app on a directory of its own', { timeout: PATIENCE_MS }, () => {
  it('that is killed between acceptance and reply runs the request again as attempt 2', async () => {
    const { data, effects, runs } = places()
    const first = await startApp(data, effects)
    await expect(first.pay('k1', { 'X-Die': 'before-reply' })).rejects.toThrow(/hang up|ECONNRESET/)
    await first.ended()
    const second = await startApp(data, effects)
    const paid = await second.pay('k1', { 'X-Die': 'before-reply' })
    expect([paid.status, paid.headers['x-attempt'], paid.headers['idempotency-replayed']]).toEqual([201, '2', undefined])
    expect(runs()).toEqual(['k1 1', 'k1 2'])
  })

  it('that is killed after the reply is durable and before it is sent gives it all the same, and runs nothing', async () => {
    const { data, effects, runs } = places()
    const first = await startApp(data, effects)
    await expect(first.pay('k1', { 'X-Die': 'before-sending' })).rejects.toThrow(/hang up|ECONNRESET/)
    await first.ended()
    const second = await startApp(data, effects)
    const replayed = await second.pay('k1')
    expect(JSON.parse(replayed.text)).toEqual({ paid: 12, by: first.pid })
    expect([replayed.status, replayed.headers['idempotency-replayed'], replayed.headers['set-cookie']]).toEqual([201, 'true', ['paid=12; Path=/']])
    expect(runs()).toEqual(['k1 1'])
  })

  it('that is killed after it answered gives the same answer again', async () => {
    const { data, effects, runs } = places()
    const first = await startApp(data, effects)
    const paid = await first.pay('k1')
    first.kill('SIGKILL')
    await first.ended()
    const second = await startApp(data, effects)
    const replayed = await second.pay('k1')
    expect(told(replayed)).toEqual(told(paid))
    expect(runs()).toEqual(['k1 1'])
    second.kill('SIGTERM')
    expect(await second.ended()).toEqual({ code: 0, signal: null })
  })
})

describe('two apps on one server', { timeout: PATIENCE_MS }, () => {
  it('run one of two duplicates that come at the same time, and both give its reply', async () => {
    const { data, effects, runs } = places()
    const server = await serve(['--data', data])
    const [one, two] = await Promise.all([startApp(server.url, effects), startApp(server.url, effects)])
    const keys = Array.from({ length: 30 }, (_, at) => `k${at}`)
    const answers = await Promise.all(keys.map((key) => Promise.all([one.pay(key, { Prefer: 'wait=20' }), two.pay(key, { Prefer: 'wait=20' })])))
    for (const [a, b] of answers) expect(told(a)).toEqual(told(b))
    expect(answers.flat().filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(30)
    expect(runs().toSorted()).toEqual(keys.map((key) => `${key} 1`).toSorted())
  })

  it('give the reply that the other one made durable before it was killed', async () => {
    const { data, effects, runs } = places()
    const server = await serve(['--data', data])
    const [one, two] = await Promise.all([startApp(server.url, effects), startApp(server.url, effects)])
    await expect(one.pay('k1', { 'X-Die': 'before-sending' })).rejects.toThrow(/hang up|ECONNRESET/)
    expect(JSON.parse((await two.pay('k1')).text)).toEqual({ paid: 12, by: one.pid })
    expect(runs()).toEqual(['k1 1'])
  })

  it('go on when the server is killed and comes back', async () => {
    const { data, effects, runs } = places()
    const server = await serve(['--data', data])
    const app = await startApp(server.url, effects)
    const paid = await app.pay('k1')
    server.kill('SIGKILL')
    await server.ended()
    expect((await app.pay('k2')).status).toBe(503)
    await serve(['--data', data, '--port', new URL(server.url).port])
    expect(told(await app.pay('k1'))).toEqual(told(paid))
    expect((await app.pay('k2')).status).toBe(201)
    expect(runs()).toEqual(['k1 1', 'k2 1'])
  })
})

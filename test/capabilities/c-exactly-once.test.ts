// Exactly-once requests with real processes: Stint, workers that have cards charged by a network outside, an app with the middleware, a caller that sends everything twice.
// Stint, a worker and an app are killed in the middle; what was given is given again, and the log tells all of it.
import * as E from 'fp-ts/lib/Either.js'
import { appendFileSync, readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, StintError, verifyWebhook, type HistoryEvent, type Reply, type Requester, type Stint } from '../../src/client/index.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { realWorld } from '../../src/world.ts'
import { askPort, type Answer } from '../support/contract-app.ts'
import { watchEvents, type EventWatch } from '../support/event-watch.ts'
import { processes, type Running } from '../support/process.ts'
import { closeReceivers, startReceiver, type Receiver } from '../support/receiver.ts'

const TIMEOUT_MS = 240_000
const REQUESTS = 20
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const AMOUNT = 5
/** Long enough for a restart of Stint, short enough to wait for the end of a dead worker's. */
const LEASE_SECONDS = 10

const { folder, start, startStint } = processes('c-exactly-once')
const data = join(folder, 'data')
const runs = join(folder, 'runs')

let stintServer: Running
let stint: Stint
let pay: Requester
let events: EventWatch
let network: Receiver
let mailbox: Receiver
let till: Running

const startServer = async (port: string): Promise<string> => {
  stintServer = startStint(['serve', '--port', port, '--data', data], { env: { PAY_SECRET: SECRET } })
  const [, url = ''] = await stintServer.line(/^listening (\S+)$/)
  return url
}

const startTill = (name: string): Running =>
  start(process.execPath, [join(import.meta.dirname, 'programs', 'pay-worker.ts'), '--name', name, '--stint', stint.url, '--network', network.url])

const startApp = async (): Promise<{ readonly app: Running; readonly order: (key: string, headers?: Readonly<Record<string, string>>) => Promise<Answer> }> => {
  const app = start(process.execPath, [join(import.meta.dirname, '..', 'recovery', 'programs', 'exactly-once-app.ts'), stint.url, runs])
  const [, port = ''] = await app.line(/^listening (\d+)$/)
  return { app, order: (key, headers = {}) => askPort(Number(port), { path: '/payments', key, headers, body: { amount: AMOUNT } }) }
}

const named = (from: number): readonly string[] => Array.from({ length: REQUESTS }, (_each, index) => `order-${from + index}`)
const call = (id: string): Promise<Reply> => pay.call({ amount: AMOUNT }, { id, callback: mailbox.url })
const told = (reply: Reply): unknown => [reply.status, reply.headers.get('location'), reply.headers.get('content-type'), Buffer.from(reply.bytes).toString('base64')]
const codeOf = async (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => 'answered',
    (thrown: unknown) => (thrown instanceof StintError ? thrown.code : thrown),
  )

/** What the card network was asked, by id: the attempts that asked. */
const charges = (): ReadonlyMap<string, readonly string[]> =>
  new Map(
    [...Map.groupBy(network.received, ({ headers }) => String(headers['idempotency-key']).split('/').at(-1) ?? '')].map(([id, received]) => [
      id,
      received.map(({ headers }) => String(headers['x-attempt'])),
    ]),
  )

/** Replies that callers were given, to be held against every later one. */
const given = new Map<string, unknown>()
const typesOf = async (id: string): Promise<readonly string[]> => (await stint.requests.history({ contract: 'pay', id }, { limit: 1_000 })).items.map(({ type }) => type)
const isOfPay =
  (type: string) =>
  (event: HistoryEvent): boolean =>
    event.type === type && event.workItem?.startsWith('request/pay/') === true

beforeAll(async () => {
  appendFileSync(runs, '')
  ;[network, mailbox] = await Promise.all([startReceiver(), startReceiver()])
  network.answer(200)
  stint = connect({ url: await startServer('0') })
  events = await watchEvents(stint)
  await stint.contracts.put('pay', { release: 'required', onInterrupted: 'retry', leaseSeconds: LEASE_SECONDS, callbackSecretEnv: 'PAY_SECRET', quota: { requests: 1_000 } })
  pay = stint.requester({ contract: 'pay', release: 'manual', timeoutMs: TIMEOUT_MS })
  till = startTill('till-1')
}, TIMEOUT_MS)

afterAll(async () => {
  await events.close()
  await stint.close()
  await closeReceivers()
})

describe('when every request is sent twice', { timeout: TIMEOUT_MS }, () => {
  it('charges each once, and gives both the same reply', async () => {
    const ids = named(1)
    const pairs = await Promise.all(ids.map((id) => Promise.all([call(id), call(id)])))
    for (const [index, [first, second]] of pairs.entries()) {
      expect(told(second)).toEqual(told(first))
      given.set(ids[index] ?? '', told(first))
    }
    expect(pairs.flat().filter(({ replayed }) => replayed)).toHaveLength(REQUESTS)
    expect([...charges().values()]).toEqual(ids.map(() => ['1']))
  })

  it('refuses another request under the same id, and charges nothing', async () => {
    expect(await codeOf(pay.call({ amount: AMOUNT + 1 }, { id: 'order-1' }))).toBe('fingerprint-mismatch')
    expect(charges().get('order-1')).toEqual(['1'])
  })
})

describe('when Stint is killed while cards are being charged', { timeout: TIMEOUT_MS }, () => {
  it('gives the replies of what was done meanwhile, and charges nothing twice', async () => {
    const ids = named(101)
    const held: ServerResponse[] = []
    network.answer((res) => void held.push(res))
    const before = network.received.length
    const calls = Promise.all(ids.map(call))
    // As many as the worker has places for.
    await network.until(before + 16)
    const { port } = new URL(stint.url)
    stintServer.kill('SIGKILL')
    await stintServer.ended()
    network.answer(200)
    for (const res of held) res.writeHead(200).end()
    await startServer(port)
    for (const reply of await calls) given.set(reply.id, told(reply))
    for (const id of ids) expect(charges().get(id)).toEqual(['1'])
    for (const id of ids) expect((await typesOf(id)).filter((type) => type === 'Completed')).toHaveLength(1)
  })

  it('gives again what it gave before', async () => {
    for (const [id, first] of given) expect([id, told(await call(id))]).toEqual([id, first])
  })
})

describe('when a worker is killed after it has asked for a charge', { timeout: TIMEOUT_MS }, () => {
  it('is followed by another, which asks again under the same key, as attempt 2', async () => {
    network.answer(() => undefined)
    const calling = call('order-201')
    await network.until(network.received.length + 1)
    network.answer(200)
    till.kill('SIGKILL')
    await till.ended()
    till = startTill('till-2')
    const reply = await calling
    expect(reply.json()).toEqual({ paid: AMOUNT, by: 'till-2', attempt: 2 })
    given.set('order-201', told(reply))
    // Once per attempt: more cannot be promised of what is outside.
    expect(charges().get('order-201')).toEqual(['1', '2'])
  })
})

describe('an app with the middleware on the same Stint', { timeout: TIMEOUT_MS }, () => {
  it('that is killed before it could send its reply has it given by another', async () => {
    const [one, two] = await Promise.all([startApp(), startApp()])
    const first = await one.order('k1')
    expect([first.status, first.headers['idempotency-replayed']]).toEqual([201, undefined])
    await expect(one.order('k2', { 'X-Die': 'before-sending' })).rejects.toThrow(/hang up|ECONNRESET/)
    const [again, unsent] = [await two.order('k1'), await two.order('k2')]
    expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([201, first.text, 'true'])
    expect(JSON.parse(unsent.text)).toEqual({ paid: AMOUNT, by: one.app.pid })
    expect(readFileSync(runs, 'utf8')).toBe('k1 1\nk2 1\n')
    two.app.kill('SIGTERM')
    expect(await two.app.ended()).toEqual({ code: 0, signal: null })
  })
})

describe('what a reply brings about', { timeout: TIMEOUT_MS }, () => {
  it('is one task for each request', async () => {
    await events.until((event) => event.type === 'TaskInserted', given.size)
    const { items } = await stint.tasks.list({ app: 'shop', queue: 'receipts' }, { limit: 1_000 })
    expect(items).toHaveLength(given.size)
  })

  it('is told to the address that its caller named, signed, and again until that is acknowledged', async () => {
    const ids = new Set<string>()
    for (let count = 1; ids.size < given.size; count += 1) {
      const { headers, body } = await mailbox.until(count)
      const { id: message } = await verifyWebhook(headers, body, SECRET)
      const { type, data: settled } = JSON.parse(body) as {
        readonly type: string
        readonly data: { readonly id: string; readonly reply: { readonly status: number; readonly bodyBase64: string } }
      }
      expect([type, settled.reply.status, settled.reply.bodyBase64]).toEqual(['request.settled', 201, (given.get(settled.id) as readonly string[]).at(-1)])
      expect(message).not.toBe('')
      ids.add(settled.id)
    }
    mailbox.answer(500, 204)
    const before = mailbox.received.length
    given.set('order-301', told(await call('order-301')))
    await mailbox.until(before + 2)
    const [failed, acknowledged] = mailbox.received.slice(before)
    expect(failed?.headers['webhook-id']).toBe(acknowledged?.headers['webhook-id'])
    expect(failed?.body).toBe(acknowledged?.body)
  })
})

describe('when replies are released', { timeout: TIMEOUT_MS }, () => {
  it('by their caller or by force, duplicates are refused and charge nothing', async () => {
    const before = network.received.length
    await (await call('order-1')).release()
    await stint.requests.release({ contract: 'pay', id: 'order-2' })
    for (const id of ['order-1', 'order-2']) expect(await codeOf(call(id))).toBe('released')
    const { items } = await stint.contracts.callers('pay')
    expect(items).toMatchObject([{ caller: 'local', pending: 0, unreleased: given.size - 2 }])
    expect(network.received).toHaveLength(before)
  })
})

describe('when all is done', { timeout: TIMEOUT_MS }, () => {
  it('has answered every request once', async () => {
    await events.until(isOfPay('Completed'), given.size)
    expect(
      new Set(
        events
          .seen()
          .filter(isOfPay('RequestAccepted'))
          .map(({ workItem }) => workItem),
      ).size,
    ).toBe(given.size)
    expect(events.seen().filter(isOfPay('Completed'))).toHaveLength(given.size)
    expect([...charges().keys()].toSorted()).toEqual([...given.keys()].toSorted())
  })

  it('has a log that is whole, and tables that equal its replay', async () => {
    till.kill('SIGTERM')
    expect(await till.ended()).toEqual({ code: 0, signal: null })
    stintServer.kill('SIGTERM')
    expect(await stintServer.ended()).toEqual({ code: 0, signal: null })
    const { chain, tables } = await verifyData(data, { world: realWorld })
    expect(E.isRight(chain) && chain.right.events).toBeGreaterThanOrEqual(events.seen().length)
    expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  })
})

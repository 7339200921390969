// How an operation gets to its node: sent until it was taken, whatever is lost on the way, and taken once; refused for good; answered at once; held back while it cannot be sent.
import { createHmac } from 'node:crypto'
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { longTaskId } from '../../src/domain/ids.ts'
import { parseUrlPattern } from '../../src/domain/policy/url-pattern.ts'
import { TAKE_MS } from '../../src/engine/long-tasks/node-calls.ts'
import { SENT_PER_NODE } from '../../src/engine/long-tasks/dispatcher.ts'
import { contextOf, left, right, settle, type TestEngine } from '../support/engine.ts'
import { turns, until } from '../support/eventually.ts'
import { closeNodes, startNode } from '../support/fake-node.ts'
import {
  closeManagement,
  direct,
  factsOf,
  giveAndTake,
  giveOut,
  healthOf,
  historyOf,
  lastOf,
  pass,
  passUntil,
  registerNode,
  report,
  startManagement,
  stateOf,
  tryGiveOut,
  untilState,
} from '../support/long-tasks.ts'

afterEach(async () => {
  await closeManagement()
  await closeNodes()
})

const gateOf = (test: TestEngine, id: string) => {
  const item = test.engine.live(longTaskId(id))
  return item && test.engine.gateOf(item, longTaskId(id))
}

const sendingOf = (test: TestEngine, id: string) => {
  const item = test.engine.live(longTaskId(id))
  return item && test.engine.longTasks.sendingOf(longTaskId(id), item)
}

const problem = (status: number, code: string, more: object = {}) => ({ status, body: { type: `/problems/${code}`, title: 'x', status, code, ...more } })

describe('an operation', () => {
  it('is recorded first, then sent with its lease, its arguments and its time, and taken', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    const done = await giveOut(test, 'a', { args: { from: 'disk-1', sizes: [1, 2.5] }, timeoutMs: 900_000, progressEveryMs: 2_500 })
    expect([done.item.status, done.events.map(({ type }) => type)]).toEqual(['waiting', ['OperationDispatched']])
    await untilState(test, 'a', 'running')
    const item = test.engine.live(longTaskId('a'))
    expect(node.given).toEqual([
      {
        id: 'a',
        node: 'n1',
        lease: item?.operation?.lease,
        operation: 'CopyImage',
        progressEverySeconds: 2.5,
        args: { from: 'disk-1', sizes: [1, 2.5] },
        timeoutAt: new Date(test.world.now() + 900_000).toISOString(),
      },
    ])
    expect(item).toMatchObject({ lease: { number: 1, token: item?.operation?.lease, termMs: 7_500, holder: { subject: 'n1', name: 'n1', instance: 'i1' } } })
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
    expect(sendingOf(test, 'a')).toBeUndefined()
  })

  it('without arguments is sent without any', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    await giveAndTake(test, 'a')
    expect(node.given[0]).not.toHaveProperty('args')
    expect(node.asked.find(({ method }) => method === 'POST')?.headers).toMatchObject({ 'content-type': 'application/json', 'webhook-timestamp': String(test.world.now() / 1_000) })
  })

  it('is signed with the secret that its node names, over the id, the time and the body', async () => {
    const key = Buffer.alloc(32, 7)
    const test = await startManagement({ secretOf: (name) => (name === 'NODE_SECRET' ? `whsec_${key.toString('base64')}` : undefined) })
    const node = await startNode()
    await registerNode(test, node, { secretEnv: 'NODE_SECRET' })
    await giveAndTake(test, 'a')
    expect(node.asked.length).toBeGreaterThan(1)
    for (const { headers, text } of node.asked) {
      // What is asked without a body says whom it asks, so that it opens nobody else's list.
      const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${text === '' ? 'GET /v1/node/operations n1' : text}`
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
    }
    expect(new Set(node.asked.map(({ headers }) => headers['webhook-id'])).size).toBe(node.asked.length)
  })

  it('is sent over a connection that is kept', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    for (const id of ['a', 'b', 'c']) await giveAndTake(test, id)
    expect(new Set(node.asked.map(({ headers }) => headers.connection))).toEqual(new Set(['keep-alive']))
  })

  it('is sent again and again until it is taken, each time after a longer pause', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 503 }, { status: 500 }, { status: 401 }, 'take')
    await giveOut(test, 'a')
    const pauses: number[] = []
    for (const attempts of [1, 2, 3]) {
      await until(() => sendingOf(test, 'a')?.attempts === attempts && sendingOf(test, 'a')?.nextAt !== undefined)
      const { nextAt = 0, lastFailedAt, lastFailure } = sendingOf(test, 'a') ?? {}
      expect([lastFailedAt, lastFailure]).toEqual([test.world.now(), `It answered ${[503, 500, 401][attempts - 1]}.`])
      expect(gateOf(test, 'a')).toMatchObject({ gate: 'sending', detail: expect.stringContaining(`has not taken it in ${attempts} attempt`) as unknown })
      pauses.push(nextAt - test.world.now())
      test.world.advance(nextAt - test.world.now() - 1)
      await turns(50)
      expect(node.given).toHaveLength(attempts)
      test.world.advance(1)
    }
    await untilState(test, 'a', 'running')
    expect(node.given).toHaveLength(4)
    for (const [index, ms] of pauses.entries()) {
      expect(ms).toBeGreaterThanOrEqual(500 * 2 ** index * 0.8)
      expect(ms).toBeLessThanOrEqual(Math.ceil(500 * 2 ** index * 1.2))
    }
    expect(test.engine.longTasks.figures().failedAttempts).toBe(3)
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('waits for as long as its node asks for, at most half a minute', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 503, headers: { 'Retry-After': '7' } }, 'take')
    await giveOut(test, 'a')
    await until(() => sendingOf(test, 'a')?.nextAt !== undefined)
    expect((sendingOf(test, 'a')?.nextAt ?? 0) - test.world.now()).toBe(7_000)
    await pass(test, 7_000)
    await untilState(test, 'a', 'running')
  })

  it('of which the answer was lost is sent again, and taken once', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('lose', 'take')
    await giveOut(test, 'a')
    await untilState(test, 'a', 'running')
    expect(new Set(node.given.map(({ lease }) => lease)).size).toBe(1)
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('of which the answer was lost is taken by the first report of its node', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang')
    await giveOut(test, 'a')
    await until(() => node.given.length === 1)
    const done = right(await report(test, 'a', { phase: 'copy' }))
    expect(done.events.map(({ type }) => type)).toEqual(['Leased', 'PhaseEntered'])
    node.release()
    await turns(100)
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased', 'PhaseEntered'])
    expect(node.told).toEqual([])
  })

  it('is not taken by a report that does not know the lease which only its node was sent', async () => {
    const test = await startManagement()
    await giveOut(test, 'a')
    expect(left(await report(test, 'a', { lease: '1.guessed0' }))).toMatchObject({ type: 'stale-lease' })
    expect(stateOf(test, 'a')).toBe('waiting')
  })

  it('that hangs is given up after its time, and found on the list of its node', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang', 'take')
    await giveOut(test, 'a')
    await until(() => node.given.length === 1)
    await pass(test, TAKE_MS)
    expect(sendingOf(test, 'a')).toMatchObject({ attempts: 1, lastFailure: 'No answer within 30 s.' })
    // That it got through at last is seen when the list is next gone through.
    node.operations.set('a', { lease: node.given[0]?.lease ?? '', operation: 'CopyImage', state: 'running' })
    await pass(test, 5_000)
    await untilState(test, 'a', 'running')
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('that is short is taken and settled by the answer', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 200, body: { id: 'a', outcome: { completed: { result: { pong: true } } } } })
    await giveOut(test, 'a', { operation: 'Ping' })
    await untilState(test, 'a', 'completed')
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased', 'Completed'])
    expect(await lastOf(test, 'a', 'Completed')).toMatchObject({ result: { pong: true }, lease: 1 })
    node.take({ status: 200, body: { id: 'b', outcome: { failed: { code: 'no-disk', message: 'There is none.', detail: { disk: 1 } } } } })
    await giveOut(test, 'b', { operation: 'Ping' })
    await untilState(test, 'b', 'failed')
    expect(await lastOf(test, 'b', 'Failed')).toMatchObject({ code: 'no-disk', detail: { disk: 1 } })
    expect(node.told).toEqual([])
  })

  it('that is answered with what is no sound outcome is sent again', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    for (const [id, body] of [
      ['a', { id: 'a' }],
      ['b', { id: 'b', outcome: { done: {} } }],
      ['c', { id: 'c', outcome: { failed: { code: 7 } } }],
      ['d', 'a page'],
    ] as const) {
      node.take({ status: 200, body }, { status: 202, body: {} })
      await giveOut(test, id, { operation: 'Ping' })
      await until(() => sendingOf(test, id)?.lastFailure === 'It answered 200 without a sound outcome.')
      await pass(test, 1_000)
      await untilState(test, id, 'running')
    }
  })

  it.each([
    ['unknown-operation', 422, { detail: 'It knows CopyImage, Ping.' }, undefined, 'It knows CopyImage, Ping.'],
    ['invalid', 400, { detail: 'Expected a number.', errors: [{ path: '/args/size', code: 'type', detail: 'Expected a number.' }, 7] }, 1, '/args/size: Expected a number.'],
    ['exists-with-other-content', 409, { detail: 'It has another under this id.' }, undefined, 'It has another under this id.'],
    ['exists-with-other-content', 409, {}, undefined, 'The node n1 has refused it.'],
  ])('that its node refuses as %s (%i %j) fails with that, and says which fields are wrong', async (code, status, more, errors, message) => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take(problem(status, code, more))
    await giveOut(test, 'a')
    await untilState(test, 'a', 'failed')
    const failed = await lastOf(test, 'a', 'Failed')
    expect([failed['code'], failed['message'], (failed['detail'] as { errors?: unknown[] } | undefined)?.errors?.length]).toEqual([code, message, errors])
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Failed'])
    expect([node.told, node.given.length]).toEqual([[], 1])
  })

  it.each([
    [400, {}],
    [422, { code: 'fingerprint-mismatch' }],
    [404, { code: 'not-found' }],
    [307, {}],
  ])('that is answered %i by what may be no node is sent again', async (status, body) => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status, body, headers: { Location: '/elsewhere' } }, 'take')
    await giveOut(test, 'a')
    await until(() => sendingOf(test, 'a')?.lastFailure?.startsWith(`It answered ${status}`) === true)
    await pass(test, 1_000)
    await untilState(test, 'a', 'running')
  })

  it('that cannot be taken does not hold up the others', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 500 }, 'take')
    await giveOut(test, 'bad')
    await until(() => sendingOf(test, 'bad')?.nextAt !== undefined)
    for (const id of ['a', 'b', 'c']) await giveOut(test, id)
    await passUntil(test, () => ['bad', 'a', 'b', 'c'].every((id) => stateOf(test, id) === 'running'), 100)
  })

  it('travels with few others at once, and all get there', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang')
    const ids = Array.from({ length: 30 }, (_, index) => `op-${index}`)
    await Promise.all(ids.map((id) => giveOut(test, id)))
    await until(() => node.given.length === SENT_PER_NODE)
    await turns(100)
    expect(node.given).toHaveLength(SENT_PER_NODE)
    node.take('take')
    node.release()
    for (const id of ids) await untilState(test, id, 'running')
    expect(node.given.map(({ id }) => id)).toEqual(ids)
  })
})

describe('while it cannot be sent an operation', () => {
  it('waits for a node that nobody has registered, says so, and is sent when it is', async () => {
    const test = await startManagement()
    const node = await startNode()
    await giveOut(test, 'a', { timeoutMs: 90_000 })
    expect(gateOf(test, 'a')).toEqual({
      gate: 'node-unknown',
      detail: 'No node n1 is registered; it is sent as soon as one is. It times out in 90 s.',
      until: test.world.now() + 90_000,
    })
    expect(sendingOf(test, 'a')).toEqual({ attempts: 0, lastFailedAt: undefined, lastFailure: undefined, nextAt: undefined })
    await registerNode(test, node)
    await untilState(test, 'a', 'running')
    expect(gateOf(test, 'a')).toBeUndefined()
  })

  it('waits for a node that is down, says why, and is sent at once when it comes up', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    await node.goDown()
    await giveOut(test, 'a')
    await until(() => healthOf(test, 'n1') === 'down')
    await pass(test, 60_000)
    const attempts = sendingOf(test, 'a')?.attempts
    expect(gateOf(test, 'a')).toMatchObject({
      gate: 'node-down',
      detail: expect.stringMatching(/^Its node n1 is down; it is sent as soon as that is over\. .*ECONNREFUSED/) as unknown,
    })
    // Nobody tries the operation itself while its node is known to be down.
    expect(attempts).toBeLessThanOrEqual(1)
    await node.comeUp()
    await passUntil(test, () => stateOf(test, 'a') === 'running')
    expect(healthOf(test, 'n1')).toBe('up')
  })

  it('is sent at once when its node says that it is there again', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    await node.goDown()
    await giveOut(test, 'a')
    await until(() => healthOf(test, 'n1') === 'down')
    await pass(test, 120_000)
    await node.comeUp()
    right(await test.engine.longTasks.register('n1', factsOf(node), contextOf(test.world, 'n1')))
    await untilState(test, 'a', 'running')
  })

  it('follows its node to another address', async () => {
    const test = await startManagement()
    const [before, after] = [await startNode(), await startNode()]
    await registerNode(test, before)
    await before.goDown()
    for (const id of ['a', 'b']) await giveOut(test, id)
    await until(() => healthOf(test, 'n1') === 'down')
    right(await test.engine.longTasks.register('n1', factsOf(after, { instance: 'i2' }), contextOf(test.world, 'n1')))
    for (const id of ['a', 'b']) await untilState(test, id, 'running')
    expect(after.given.map(({ id }) => id).toSorted()).toEqual(['a', 'b'])
    expect(test.engine.live(longTaskId('a'))).toMatchObject({ lease: { holder: { instance: 'i2' } } })
  })

  it('waits while it is paused, and is sent when it goes on', async () => {
    const test = await startManagement()
    const node = await startNode()
    await giveOut(test, 'a')
    right(await direct(test, 'a', 'pause'))
    expect([stateOf(test, 'a'), gateOf(test, 'a')]).toEqual(['paused', undefined])
    await registerNode(test, node)
    await pass(test, 10_000)
    expect(node.given).toEqual([])
    right(await direct(test, 'a', 'resume'))
    await untilState(test, 'a', 'running')
  })

  it('is cancelled by an abort, and never sent', async () => {
    const test = await startManagement()
    const node = await startNode()
    await giveOut(test, 'a')
    right(await direct(test, 'a', 'abort', 'not needed'))
    expect(stateOf(test, 'a')).toBe('cancelled')
    await registerNode(test, node)
    await pass(test, 10_000)
    expect([node.given, node.told]).toEqual([[], []])
  })

  it('that is cancelled while it is on its way is aborted where it arrived', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang')
    await giveOut(test, 'a')
    await until(() => node.given.length === 1)
    right(await direct(test, 'a', 'abort'))
    expect(stateOf(test, 'a')).toBe('cancelled')
    node.release()
    await until(() => node.told.length === 1)
    expect(node.told[0]).toMatchObject({ id: 'a', directive: 'abort', number: 2, lease: node.given[0]?.lease })
  })

  it('that is cancelled after an answer was lost is aborted where it may have arrived', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 504 })
    await giveOut(test, 'a')
    await until(() => sendingOf(test, 'a')?.nextAt !== undefined)
    right(await direct(test, 'a', 'abort'))
    await until(() => node.told.length === 1)
    expect(node.told[0]).toMatchObject({ id: 'a', directive: 'abort' })
  })

  it('is not sent to a node that was removed', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    right(await test.engine.longTasks.remove('n1', contextOf(test.world, 'admin')))
    await giveOut(test, 'a')
    await pass(test, 30_000)
    expect([node.given, gateOf(test, 'a')?.gate, test.engine.longTasks.nodes()]).toEqual([[], 'node-unknown', []])
    await registerNode(test, node)
    await untilState(test, 'a', 'running')
  })

  it('waits while this server may not call its node any more', async () => {
    const node = await startNode()
    const first = await startManagement()
    await registerNode(first, node)
    const pattern = parseUrlPattern('https://nodes.example.com')
    const other = await startManagement({ settings: { allowUrls: E.isRight(pattern) ? [pattern.right] : [] } })
    expect(left(await other.engine.longTasks.register('n1', factsOf(node), contextOf(other.world, 'n1')))).toEqual({
      type: 'not-callable',
      fact: 'url',
      detail: 'Its URL matches no pattern of the setting allowUrls.',
    })
    for (const [facts, fact, detail] of [
      [{ url: `${node.url()}/?x=1` }, 'url', 'Expected a URL without query and fragment: paths are put behind it.'],
      [{ url: 'no url' }, 'url', 'It is no URL.'],
      [{ secretEnv: 'NOT_THERE' }, 'secretEnv', 'The environment of this server has no variable NOT_THERE with its secret.'],
    ] as const)
      expect(left(await first.engine.longTasks.register('n2', factsOf(node, facts), contextOf(first.world, 'n2')))).toEqual({ type: 'not-callable', fact, detail })
  })
})

describe('births', () => {
  it('are refused beyond the limit of live items, but not their repeats', async () => {
    const test = await startManagement({ settings: { maxLiveItems: 2 } })
    await giveOut(test, 'a')
    await giveOut(test, 'b')
    expect(left(await tryGiveOut(test, 'c'))).toEqual({ type: 'too-many-live' })
    expect((await giveOut(test, 'a')).events).toEqual([])
  })

  it('cost nothing where there is no node: no timer runs', async () => {
    const test = await startManagement()
    await settle()
    expect(test.world.pending()).toEqual([])
    await giveOut(test, 'a', { timeoutMs: 5_000 })
    expect(test.world.pending()).toEqual([5_000])
    test.world.advance(5_000)
    await untilState(test, 'a', 'timedOut')
    await settle()
    expect(test.world.pending()).toEqual([])
  })
})

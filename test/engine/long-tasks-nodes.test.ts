// Nodes: registered, looked at, up and down, removed; and what is made of their lists after a restart on either side.
import { afterEach, describe, expect, it } from 'vitest'
import { LIST_MS } from '../../src/engine/long-tasks/node-calls.ts'
import { LOOK_EVERY_MS } from '../../src/engine/long-tasks/node-watch.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { contextOf, left, right, settle, type TestEngine } from '../support/engine.ts'
import { turns, until } from '../support/eventually.ts'
import { closeNodes, startNode, type FakeNode } from '../support/fake-node.ts'
import {
  closeManagement,
  factsOf,
  giveAndTake,
  giveOut,
  healthOf,
  historyOf,
  lastOf,
  lasting,
  pass,
  passUntil,
  registerNode,
  report,
  startManagement,
  stateOf,
  stopManagement,
  untilState,
} from '../support/long-tasks.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(async () => {
  await closeManagement()
  await closeNodes()
})

const register = (test: TestEngine, node: FakeNode, facts = {}, subject = node.name) =>
  test.engine.longTasks.register(node.name, factsOf(node, facts), contextOf(test.world, subject))

const nodeEvents = async ({ store }: TestEngine, name = 'n1') => right(await store.readStream(`node-${name}`)()).map(({ type }) => type)

describe('a node', () => {
  it('is registered once; what is in force already is no news, a restart is', async () => {
    const test = await startManagement()
    const node = await startNode()
    expect(right(await register(test, node))).toMatchObject({ isNew: true, view: { name: 'n1', health: { state: 'unknown' }, running: 0, waiting: 0 } })
    expect(right(await register(test, node)).isNew).toBe(false)
    expect(await nodeEvents(test)).toEqual(['NodeRegistered'])
    right(await register(test, node, { instance: 'i2' }))
    expect(await nodeEvents(test)).toEqual(['NodeRegistered', 'NodeRegistered'])
    await until(() => healthOf(test, 'n1') === 'up')
  })

  it('belongs to whoever registered it first, until it is removed', async () => {
    const test = await startManagement()
    const node = await startNode()
    right(await register(test, node))
    expect(left(await register(test, node, {}, 'somebody else'))).toEqual({ type: 'id-in-use' })
    right(await test.engine.longTasks.remove('n1', contextOf(test.world, 'admin')))
    expect([test.engine.longTasks.node('n1'), test.engine.longTasks.nodes()]).toEqual([undefined, []])
    expect(right(await register(test, node, {}, 'somebody else')).view.subject).toBe('somebody else')
    await until(() => healthOf(test, 'n1') === 'up')
  })

  it('that nobody has registered cannot be removed', async () => {
    const test = await startManagement()
    expect(left(await test.engine.longTasks.remove('n1', contextOf(test.world, 'admin')))).toEqual({ type: 'not-found' })
  })

  it('names each of its operations once', async () => {
    const test = await startManagement()
    const node = await startNode()
    const operations = ['A', 'B', 'A'].map((operation) => ({ operation, long: true }))
    expect(left(await register(test, node, { operations }))).toEqual({ type: 'twice', operation: 'A' })
  })

  it('is looked at every few seconds, goes down when it does not answer, and comes up again', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    expect(node.lists()).toBe(1)
    await pass(test, 4 * LOOK_EVERY_MS)
    expect(node.lists()).toBe(5)
    const upSince = test.engine.longTasks.node('n1')?.health
    expect(upSince).toMatchObject({ state: 'up', lastAnsweredAt: test.world.now() })
    await node.goDown()
    await pass(test, LOOK_EVERY_MS)
    expect(test.engine.longTasks.node('n1')?.health).toMatchObject({ state: 'down', since: test.world.now(), lastFailure: expect.stringContaining('ECONNREFUSED') as unknown })
    await node.comeUp()
    await passUntil(test, () => healthOf(test, 'n1') === 'up', 100)
    expect(test.engine.longTasks.node('n1')?.health).toEqual({ state: 'up', since: test.world.now(), lastAnsweredAt: test.world.now() })
  })

  it('that refuses to show its list is down, and says why in its own words', async () => {
    const test = await startManagement()
    const node = await startNode()
    node.answerLists(401, { type: '/problems/unauthenticated', title: 'x', status: 401, code: 'unauthenticated', detail: 'It was signed 400 s ago.' })
    await registerNode(test, node)
    await until(() => healthOf(test, 'n1') === 'down')
    expect(test.engine.longTasks.node('n1')?.health.lastFailure).toBe('It answered 401: It was signed 400 s ago.')
  })

  it('that stays away is asked less and less often, at least every half minute', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.answerLists(500)
    await pass(test, LOOK_EVERY_MS)
    const before = node.lists()
    await pass(test, 60_000, 500)
    const first = node.lists() - before
    expect(first).toBeGreaterThanOrEqual(6)
    expect(first).toBeLessThanOrEqual(9)
    await pass(test, 300_000, 2_500)
    expect(node.lists() - before - first).toBeGreaterThanOrEqual(10)
    expect(node.lists() - before - first).toBeLessThanOrEqual(13)
  })

  it.each([
    ['another status', 401, {}, 'It answered 401.'],
    ['what is no list', 200, { items: 'none' }, 'What it answered is no list of operations.'],
    ['the list of another node', 200, { node: 'n2', items: [] }, 'The node n2 answers there.'],
  ])('that answers with %s is down', async (_what, status, body, lastFailure) => {
    const test = await startManagement()
    const node = await startNode()
    node.answerLists(status, body)
    right(await register(test, node))
    await until(() => healthOf(test, 'n1') === 'down')
    expect(test.engine.longTasks.node('n1')?.health.lastFailure).toBe(lastFailure)
  })

  it('that takes too long to answer is down', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    test.world.advance(LOOK_EVERY_MS)
    await until(() => test.world.pending().includes(LIST_MS))
    test.world.advance(LIST_MS)
    await until(() => healthOf(test, 'n1') === 'down')
    expect(test.engine.longTasks.node('n1')?.health.lastFailure).toBe('No answer within 10 s.')
  })

  it('that was removed is looked at no more', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    right(await test.engine.longTasks.remove('n1', contextOf(test.world, 'admin')))
    await settle()
    expect(test.world.pending()).toEqual([])
  })

  it('shows what it holds and what waits for it', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    await giveAndTake(test, 'a')
    await giveAndTake(test, 'b')
    node.take('hang')
    await giveOut(test, 'c')
    expect(test.engine.longTasks.node('n1')).toMatchObject({ running: 2, waiting: 1 })
    right(await report(test, 'a', { outcome: { completed: {} } }))
    expect(test.engine.longTasks.node('n1')).toMatchObject({ running: 1, waiting: 1 })
    expect(test.engine.longTasks.figures()).toMatchObject({
      states: { waiting: 1, running: 1, paused: 0, aborting: 0, lost: 0 },
      settled: { completed: 1, failed: 0, aborted: 0, cancelled: 0, timedOut: 0 },
      nodes: { up: 1, down: 0, unknown: 0 },
    })
    node.release()
  })
})

describe('when this server starts again', () => {
  const twice = async () => {
    const world = virtualWorld()
    const store = lasting(memoryStore({ world }))
    const node = await startNode()
    const first = await startManagement({ world, store })
    await registerNode(first, node)
    return { node, first, again: () => startManagement({ world, store }) }
  }

  it('knows its nodes, and calls none for an operation that was settled', async () => {
    const { node, first, again } = await twice()
    await giveAndTake(first, 'a')
    right(await report(first, 'a', { outcome: { completed: {} } }))
    node.operations.clear()
    await stopManagement(first)
    const test = await again()
    expect(test.engine.longTasks.nodes()).toMatchObject([{ name: 'n1', subject: 'n1', health: { state: 'unknown' } }])
    await until(() => healthOf(test, 'n1') === 'up')
    expect([node.given.length, node.told]).toEqual([1, []])
  })

  it('what runs goes on, what is gone fails, and what waits is sent', async () => {
    const { node, first, again } = await twice()
    for (const id of ['runs', 'gone']) await giveAndTake(first, id, { progressEveryMs: 60_000 })
    right(await report(first, 'runs', { progress: { fraction: 0.5 } }))
    await node.goDown()
    await giveOut(first, 'waits')
    await until(() => healthOf(first, 'n1') === 'down')
    await expectReplayEqual(first.engine, first.store)
    await stopManagement(first)
    node.operations.delete('gone')
    await node.comeUp()
    const test = await again()
    await untilState(test, 'waits', 'running')
    await untilState(test, 'gone', 'failed')
    expect(await lastOf(test, 'gone', 'Failed')).toMatchObject({ code: 'gone' })
    expect(stateOf(test, 'runs')).toBe('running')
    right(await report(test, 'runs', { outcome: { completed: {} } }))
    expect(stateOf(test, 'runs')).toBe('completed')
    expect(await historyOf(test, 'runs')).toEqual(['OperationDispatched', 'Leased', 'ProgressReported', 'Completed'])
  })

  it('what its node took without its knowing is taken, and not sent again', async () => {
    const { node, first, again } = await twice()
    node.take('hang')
    await giveOut(first, 'a')
    await until(() => node.given.length === 1)
    node.operations.set('a', { lease: node.given[0]?.lease ?? '', operation: 'CopyImage', state: 'running' })
    await stopManagement(first)
    node.take({ status: 503 })
    const test = await again()
    await untilState(test, 'a', 'running')
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('what settled without its node hearing of it is aborted there', async () => {
    const { node, first, again } = await twice()
    await giveAndTake(first, 'a', { timeoutMs: 10_000 })
    await node.goDown()
    await passUntil(first, () => stateOf(first, 'a') === 'timedOut')
    await stopManagement(first)
    await node.comeUp()
    const test = await again()
    await until(() => node.told.length > 0)
    expect(node.told[0]).toMatchObject({ id: 'a', directive: 'abort', number: 1 })
    await until(() => healthOf(test, 'n1') === 'up')
  })

  it('what has ended at its node too is left to report so', async () => {
    const { node, first, again } = await twice()
    await giveAndTake(first, 'late', { timeoutMs: 10_000 })
    await giveAndTake(first, 'ends', { timeoutMs: 900_000 })
    await node.goDown()
    await passUntil(first, () => stateOf(first, 'late') === 'timedOut')
    await stopManagement(first)
    for (const [id, operation] of node.operations) node.operations.set(id, { ...operation, state: 'ended' })
    await node.comeUp()
    const test = await again()
    await until(() => healthOf(test, 'n1') === 'up')
    await turns(100)
    expect(node.told).toEqual([])
    right(await report(test, 'ends', { outcome: { completed: {} } }))
    expect(right(await report(test, 'late', { lease: node.operations.get('late')?.lease ?? '', outcome: { completed: {} } })).events.map(({ type }) => type)).toEqual([
      'LateResultRecorded',
    ])
  })
})

describe('when a node starts again', () => {
  it('with its list, all goes on; without, what it had is gone', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    for (const id of ['a', 'b']) await giveAndTake(test, id, { progressEveryMs: 60_000 })
    right(await register(test, node, { instance: 'i2' }))
    await until(() => node.lists() === 2)
    await turns(100)
    expect([stateOf(test, 'a'), stateOf(test, 'b')]).toEqual(['running', 'running'])
    node.operations.delete('a')
    right(await register(test, node, { instance: 'i3' }))
    await untilState(test, 'a', 'failed')
    expect(stateOf(test, 'b')).toBe('running')
  })

  it('at another address, the answer of the old one does not count', async () => {
    const test = await startManagement()
    const [before, after] = [await startNode(), await startNode()]
    await registerNode(test, before)
    await giveAndTake(test, 'a', { progressEveryMs: 60_000 })
    after.operations.set('a', before.operations.get('a') ?? { lease: '', operation: '', state: 'running' })
    before.operations.clear()
    test.world.advance(LOOK_EVERY_MS)
    right(await register(test, after, { instance: 'i2' }))
    await until(() => after.lists() >= 1)
    await turns(100)
    expect(stateOf(test, 'a')).toBe('running')
  })

  it('and takes anew what it lost before it was recorded, which runs once more', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take({ status: 503 }, 'take')
    await giveOut(test, 'a')
    await until(() => node.given.length === 1)
    right(await register(test, node, { instance: 'i2' }))
    await passUntil(test, () => stateOf(test, 'a') === 'running')
    expect(node.given).toHaveLength(2)
  })
})

describe('a list', () => {
  it('settles nothing that was taken after it was asked for', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    // The list is asked for, and answered from before the operation came.
    node.answerLists(200, { node: 'n1', items: [] })
    test.world.advance(LOOK_EVERY_MS)
    await giveAndTake(test, 'a')
    await until(() => node.lists() >= 2)
    await turns(100)
    expect(stateOf(test, 'a')).toBe('running')
  })

  it('takes nothing under another lease, of another node, or that nobody gave out', async () => {
    const test = await startManagement()
    const node = await startNode()
    await giveOut(test, 'a')
    await giveOut(test, 'b', { node: 'n2' })
    const leaseOf = (id: string) => test.engine.live(`long-task/${id}`)?.operation?.lease ?? ''
    node.take({ status: 503 })
    node.operations.set('a', { lease: '1.guessed0', operation: 'CopyImage', state: 'running' })
    node.operations.set('b', { lease: leaseOf('b'), operation: 'CopyImage', state: 'running' })
    node.operations.set('nobody', { lease: '1.whatever', operation: 'CopyImage', state: 'running' })
    node.operations.set('\ud800', { lease: '1.whatever', operation: 'CopyImage', state: 'running' })
    node.operations.set('x'.repeat(2_000), { lease: '1.whatever', operation: 'CopyImage', state: 'running' })
    await registerNode(test, node)
    await until(() => healthOf(test, 'n1') === 'up')
    expect([stateOf(test, 'a'), stateOf(test, 'b'), node.told]).toEqual(['waiting', 'waiting', []])
    expect(test.troubles).toEqual([])
  })

  it('settles nothing that is still being sent, since the answer to that decides', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang')
    await giveOut(test, 'a', { operation: 'Ping' })
    await until(() => node.given.length === 1)
    // It is on the list for a moment, and off it again before it is answered.
    node.operations.set('a', { lease: node.given[0]?.lease ?? '', operation: 'Ping', state: 'running' })
    test.world.advance(LOOK_EVERY_MS)
    await untilState(test, 'a', 'running')
    node.operations.clear()
    await turns(50)
    test.world.advance(LOOK_EVERY_MS)
    await until(() => node.lists() === 3)
    await turns(100)
    expect(stateOf(test, 'a')).toBe('running')
    node.release()
    await turns(100)
    expect(await historyOf(test, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('of hundreds of operations is gone through, and settles each', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    const ids = Array.from({ length: 300 }, (_, index) => `op-${index}`)
    await Promise.all(ids.map((id) => giveOut(test, id, { progressEveryMs: 60_000 })))
    await until(() => ids.every((id) => stateOf(test, id) === 'running'))
    for (const id of ids.filter((_id, index) => index % 3 === 0)) node.operations.delete(id)
    await pass(test, LOOK_EVERY_MS)
    await until(() => ids.every((id, index) => stateOf(test, id) === (index % 3 === 0 ? 'failed' : 'running')))
  })
})

// What time does to a long task, to the millisecond: both timeouts, silence, being found, results that come too late, and what a restart of this side makes of all that.
import { afterEach, describe, expect, it } from 'vitest'
import { longTaskId } from '../../src/domain/ids.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { left, right, settle, type TestEngine } from '../support/engine.ts'
import { turns, until } from '../support/eventually.ts'
import { closeNodes, startNode, type FakeNode } from '../support/fake-node.ts'
import {
  closeManagement,
  direct,
  giveAndTake,
  giveOut,
  historyOf,
  lastOf,
  lasting,
  pass,
  registerNode,
  report,
  startManagement,
  stateOf,
  stopManagement,
  untilState,
  type GiveOut,
} from '../support/long-tasks.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(async () => {
  await closeManagement()
  await closeNodes()
})

/** A registered node that has taken `a`; nobody reports unless the test does. */
const running = async (how: GiveOut = {}): Promise<{ readonly test: TestEngine; readonly node: FakeNode }> => {
  const test = await startManagement()
  const node = await startNode()
  await registerNode(test, node)
  await giveAndTake(test, 'a', { progressEveryMs: 60_000, ...how })
  return { test, node }
}

const whatWasTold = async (node: FakeNode) => {
  await until(() => node.told.length > 0)
  return node.told.map(({ id, directive, number, reason }) => ({ id, directive, number, reason }))
}

describe('the timeout of the whole', () => {
  it('comes to the millisecond, from the birth on, and the node is told to abort', async () => {
    const { test, node } = await running({ timeoutMs: 30_000 })
    await pass(test, 29_999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
    expect(await lastOf(test, 'a', 'TimedOut')).toEqual({ cause: 'total' })
    expect(await whatWasTold(node)).toEqual([{ id: 'a', directive: 'abort', number: 1, reason: 'It is over here: timedOut (total).' }])
  })

  it('does not care for reports', async () => {
    const { test } = await running({ timeoutMs: 30_000 })
    for (let second = 1; second < 30; second += 1) {
      await pass(test, 1_000)
      right(await report(test, 'a', { progress: { done: second } }))
    }
    await pass(test, 999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it('comes for what no node has taken, and nobody is told of what nobody has', async () => {
    const test = await startManagement()
    await giveOut(test, 'a', { timeoutMs: 5_000 })
    test.world.advance(4_999)
    await settle()
    expect(stateOf(test, 'a')).toBe('waiting')
    test.world.advance(1)
    await untilState(test, 'a', 'timedOut')
    const node = await startNode()
    await registerNode(test, node)
    await pass(test, 10_000)
    expect([node.given, node.told]).toEqual([[], []])
  })

  it('comes while it is paused', async () => {
    const { test, node } = await running({ timeoutMs: 30_000 })
    right(await direct(test, 'a', 'pause'))
    right(await report(test, 'a', { state: 'paused' }))
    await pass(test, 30_000)
    expect(stateOf(test, 'a')).toBe('timedOut')
    await until(() => node.told.length >= 2)
    expect(node.told.map(({ directive, number }) => [directive, number])).toEqual([
      ['pause', 1],
      ['abort', 2],
    ])
  })

  it('that came while this server was away is made up for at its start', async () => {
    const world = virtualWorld()
    const store = lasting(memoryStore({ world }))
    const node = await startNode()
    const first = await startManagement({ world, store })
    await registerNode(first, node)
    await giveAndTake(first, 'a', { timeoutMs: 30_000 })
    await stopManagement(first)
    world.advance(40_000)
    const second = await startManagement({ world, store })
    world.advance(0)
    await untilState(second, 'a', 'timedOut')
    await until(() => node.told.length === 1)
  })
})

describe('the timeout without progress', () => {
  const stalling = () => running({ timeoutMs: 3_600_000, stalledAfterMs: 10_000, progressEveryMs: 60_000 })

  it('counts from when its node has taken it', async () => {
    const { test, node } = await stalling()
    await pass(test, 9_999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
    expect(await lastOf(test, 'a', 'TimedOut')).toEqual({ cause: 'stalled' })
    expect(await whatWasTold(node)).toEqual([{ id: 'a', directive: 'abort', number: 1, reason: 'It is over here: timedOut (stalled).' }])
  })

  it('does not count while nobody has taken it', async () => {
    const test = await startManagement()
    await giveOut(test, 'a', { timeoutMs: 60_000, stalledAfterMs: 1_000 })
    await pass(test, 59_999)
    expect(stateOf(test, 'a')).toBe('waiting')
    await pass(test, 1)
    expect(await lastOf(test, 'a', 'TimedOut')).toEqual({ cause: 'total' })
  })

  it.each([
    ['progress that is recorded', { progress: { fraction: 0.9 } }],
    ['progress that is only noted', { progress: { fraction: 0.101 } }],
    ['another message', { progress: { fraction: 0.1, message: 'on it' } }],
    ['another phase', { phase: 'verify' }],
  ])('counts anew from %s', async (_what, said) => {
    const { test } = await stalling()
    right(await report(test, 'a', { phase: 'copy', progress: { fraction: 0.1 } }))
    await pass(test, 9_000)
    right(await report(test, 'a', said))
    await pass(test, 9_999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it.each([
    ['signs of life', {}],
    ['the same phase and progress again', { phase: 'copy', progress: { fraction: 0.1 } }],
    ['the same state again', { state: 'running' as const }],
  ])('is not put off by %s', async (_what, said) => {
    const { test } = await stalling()
    right(await report(test, 'a', { phase: 'copy', progress: { fraction: 0.1 } }))
    for (let second = 1; second < 10; second += 1) {
      await pass(test, 1_000)
      right(await report(test, 'a', said))
    }
    await pass(test, 999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it('is not put off by progress that was noted and is recorded with a later sign of life', async () => {
    const { test } = await stalling()
    right(await report(test, 'a', { progress: { fraction: 0.1 } }))
    expect(right(await report(test, 'a', { progress: { fraction: 0.5 } })).recorded).toBe(false)
    await pass(test, 5_000)
    expect(right(await report(test, 'a')).events.map(({ type }) => type)).toEqual(['ProgressReported'])
    await pass(test, 5_000)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it('does not count while it is parked, and counts from when it goes on', async () => {
    const { test } = await stalling()
    await pass(test, 5_000)
    right(await report(test, 'a', { state: 'paused' }))
    await pass(test, 50_000)
    right(await report(test, 'a', { state: 'running' }))
    await pass(test, 9_999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it('begins anew when this server starts', async () => {
    const world = virtualWorld()
    const store = lasting(memoryStore({ world }))
    const node = await startNode()
    const first = await startManagement({ world, store })
    await registerNode(first, node)
    await giveAndTake(first, 'a', { timeoutMs: 3_600_000, stalledAfterMs: 10_000, progressEveryMs: 60_000 })
    await pass(first, 9_000)
    await stopManagement(first)
    world.advance(100_000)
    const second = await startManagement({ world, store })
    await pass(second, 9_999)
    expect(stateOf(second, 'a')).toBe('running')
    await pass(second, 1)
    expect(stateOf(second, 'a')).toBe('timedOut')
  })
})

describe('silence', () => {
  it('of three intervals makes it lost, its next report finds it, and it goes on as it was', async () => {
    const { test, node } = await running({ progressEveryMs: 2_000 })
    await pass(test, 5_999)
    expect(stateOf(test, 'a')).toBe('running')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('lost')
    expect(right(await report(test, 'a', { progress: { done: 1 } })).events.map(({ type }) => type)).toEqual(['HolderFound', 'LeaseExtended', 'ProgressReported'])
    expect(stateOf(test, 'a')).toBe('running')
    expect(node.told).toEqual([])
  })

  it('is ended by a report that says nothing', async () => {
    const { test } = await running({ progressEveryMs: 2_000 })
    for (let report_ = 0; report_ < 10; report_ += 1) {
      await pass(test, 5_000)
      right(await report(test, 'a'))
    }
    expect(stateOf(test, 'a')).toBe('running')
    expect((await historyOf(test, 'a')).length).toBeLessThanOrEqual(2 + 10)
  })

  it('does not end a long task: that is for its timeouts', async () => {
    const { test } = await running({ progressEveryMs: 2_000, timeoutMs: 100_000 })
    await pass(test, 99_999)
    expect(stateOf(test, 'a')).toBe('lost')
    await pass(test, 1)
    expect(stateOf(test, 'a')).toBe('timedOut')
  })

  it('counts from the start of this server', async () => {
    const world = virtualWorld()
    const store = lasting(memoryStore({ world }))
    const node = await startNode()
    const first = await startManagement({ world, store })
    await registerNode(first, node)
    await giveAndTake(first, 'a', { progressEveryMs: 2_000 })
    await stopManagement(first)
    world.advance(60_000)
    const second = await startManagement({ world, store })
    await pass(second, 5_999)
    expect(stateOf(second, 'a')).toBe('running')
    await pass(second, 1)
    expect(stateOf(second, 'a')).toBe('lost')
  })
})

describe('a result that comes after the timeout', () => {
  const late = { outcome: { completed: { result: { bytes: 7 } } } }

  it('is recorded and changes nothing; the same again is a repeat, another is refused', async () => {
    const { test } = await running({ timeoutMs: 30_000 })
    await pass(test, 30_000)
    const first = right(await report(test, 'a', late))
    expect([first.item.status, first.events.map(({ type }) => type)]).toEqual(['settled', ['LateResultRecorded']])
    expect(right(await report(test, 'a', late)).events).toEqual([])
    expect(left(await report(test, 'a', { outcome: { completed: {} } }))).toEqual({ type: 'settled', state: 'timedOut' })
    expect(stateOf(test, 'a')).toBe('timedOut')
    expect(await lastOf(test, 'a', 'LateResultRecorded')).toMatchObject({ lease: 1, outcome: late.outcome })
  })

  it('is recorded of what the log did not know to be taken', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('lose')
    await giveOut(test, 'a', { timeoutMs: 400 })
    await until(() => node.given.length > 0)
    node.take({ status: 503 })
    node.answerLists(503)
    test.world.advance(400)
    await untilState(test, 'a', 'timedOut')
    expect(right(await report(test, 'a', late)).events.map(({ type }) => type)).toEqual(['LateResultRecorded'])
  })

  it('without an outcome is refused, so that its node ends it', async () => {
    const { test } = await running({ timeoutMs: 30_000 })
    await pass(test, 30_000)
    expect(left(await report(test, 'a', { progress: { done: 1 } }))).toEqual({ type: 'settled', state: 'timedOut' })
    expect(left(await report(test, 'a'))).toEqual({ type: 'settled', state: 'timedOut' })
  })
})

describe('a race of the timeout with the last report', () => {
  it('has one winner', async () => {
    const { test, node } = await running({ timeoutMs: 30_000 })
    await pass(test, 29_999)
    const reported = report(test, 'a', { outcome: { completed: {} } })
    test.world.advance(1)
    right(await reported)
    await turns(50)
    const ends = (await historyOf(test, 'a')).filter((type) => type === 'Completed' || type === 'TimedOut')
    expect(ends).toEqual(['Completed'])
    expect([test.engine.live(longTaskId('a'))?.status, node.told]).toEqual(['settled', []])
  })
})

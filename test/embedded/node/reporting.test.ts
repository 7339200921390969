// What a node tells its management node of the operations on its list: when, how much in one message, and again until it is acknowledged. The clock is moved by hand.
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { SteeredRun } from '../../support/operations.ts'
import { settle } from '../../support/engine.ts'
import { closeStages, openStage, REST_MS } from '../../support/node-stage.ts'
import { steeredClass } from '../../support/operations.ts'

const LONG = { timeout: '15m', progressEvery: '2s' } as const
/** At nine tenths of the interval an operation is told of. */
const EACH_MS = 1_800
const copy = () => steeredClass('CopyImage', LONG)
const runAt = (runs: readonly SteeredRun[], index: number): SteeredRun => {
  const run = runs[index]
  if (run === undefined) throw new Error(`Expected run ${index} to have begun`)
  return run
}

afterEach(closeStages)

describe('an operation that runs', () => {
  it('is told of before its interval is over: what has changed, and its lease alone when nothing has', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const { context } = await images.begun()
    context.phase('copy')
    for (let done = 1; done <= 500; done += 1) context.progress({ done, total: 1_000 })
    await settle()
    stage.world.advance(1_799)
    await settle()
    expect(stage.management.messages).toEqual([])
    stage.world.advance(1)
    await stage.rested(1)
    stage.world.advance(EACH_MS - REST_MS)
    await stage.rested(2)
    context.progress({ done: 501, total: 1_000 })
    context.progress({ done: 502, total: 1_000 })
    stage.world.advance(EACH_MS - REST_MS)
    await stage.message(3)
    expect(stage.management.messages).toEqual([
      { at: 1_800, items: [{ id: 'a', lease: '1.a', phase: 'copy', progress: { done: 500, total: 1_000 } }] },
      { at: 3_600, items: [{ id: 'a', lease: '1.a' }] },
      { at: 5_400, items: [{ id: 'a', lease: '1.a', progress: { done: 502, total: 1_000 } }] },
    ])
  })

  it('has its progress in the log of its node by the rules of the log, not at each report', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const { context } = await images.begun()
    for (let message = 1; message <= 6; message += 1) {
      context.progress({ done: message, total: 1_000 })
      await settle()
      stage.world.advance(message === 1 ? EACH_MS : EACH_MS - REST_MS)
      await stage.rested(message)
    }
    expect(stage.management.told('a').map(({ progress }) => progress?.done)).toEqual([1, 2, 3, 4, 5, 6])
    // The first is recorded, and then what has moved by a hundredth of the whole.
    expect(await stage.history(node, 'a')).toEqual(['OperationDispatched', 'Leased', 'ProgressReported'])
    context.progress({ done: 11, total: 1_000 })
    await stage.passing(() => node.engine.live('long-task/a')?.progress?.done === 11)
    expect((await stage.history(node, 'a')).filter((type) => type === 'ProgressReported')).toHaveLength(2)
    await stage.replayed(node)
  })

  it('is told of phase by phase, though it enters them faster than it is told of', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const { context } = await images.begun()
    for (const phase of ['read', 'hash', 'write']) context.phase(phase)
    await stage.logged(node, 'a', 'PhaseEntered', 3)
    stage.world.advance(EACH_MS)
    for (const count of [1, 2, 3]) await stage.rested(count)
    expect(stage.management.messages.map(({ at }) => at)).toEqual([EACH_MS, EACH_MS + REST_MS, EACH_MS + 2 * REST_MS])
    expect(stage.management.told('a').map(({ phase }) => phase)).toEqual(['read', 'hash', 'write'])
  })
})

describe('operations of one interval', () => {
  it('come to be told of in one message, whenever each was taken', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    for (const [index, id] of ['a', 'b', 'c', 'd'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
      stage.world.advance(450)
      await settle()
    }
    await stage.rested(1)
    // When the last one is due, 1,350 ms after the others were told of.
    stage.world.advance(1_350 - REST_MS)
    await stage.rested(2)
    for (let count = 3; count <= 5; count += 1) {
      stage.world.advance(EACH_MS - REST_MS)
      await stage.rested(count)
    }
    const messages = stage.management.messages.map(({ items, at }) => [at, items.map(({ id }) => id).join('')])
    // The last one was taken 450 ms before the first message: the others go along when it is due.
    expect(messages).toEqual([
      [1_800, 'abc'],
      [3_150, 'abcd'],
      [4_950, 'abcd'],
      [6_750, 'abcd'],
      [8_550, 'abcd'],
    ])
    expect(stage.management.togetherMax()).toBe(1)
  })

  it('of which there are many go a thousand to a message', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start({ maxRunning: 1 })
    const ids = Array.from({ length: 1_050 }, (_, index) => `op-${index}`)
    for (let from = 0; from < ids.length; from += 50) await Promise.all(ids.slice(from, from + 50).map((id) => stage.management.send({ id, operation: 'CopyImage' })))
    stage.world.advance(2_000)
    await stage.rested(1)
    await stage.rested(2)
    expect(stage.management.messages.map(({ items }) => items.length)).toEqual([1_000, 50])
    expect(new Set(stage.management.messages.flatMap(({ items }) => items.map(({ id }) => id))).size).toBe(1_050)
    expect(stage.management.togetherMax()).toBeLessThanOrEqual(1)
  })
})

describe('an operation that has ended', () => {
  it('is told of at once, with what it said last, and leaves the list when that is acknowledged', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    run.context.phase('copy')
    run.context.progress(1)
    run.finish({ bytes: 512 })
    await stage.rested(1)
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    expect(stage.management.messages).toEqual([
      { at: 0, items: [{ id: 'a', lease: '1.a', phase: 'copy', progress: { fraction: 1 }, outcome: { completed: { result: { bytes: 512 } } } }] },
    ])
    expect((await stage.management.list()).items).toEqual([])
    expect(await stage.history(node, 'a')).toEqual(['OperationDispatched', 'Leased', 'PhaseEntered', 'ProgressReported', 'Completed', 'EffectsCarriedOut'])
    await stage.replayed(node)
  })

  it('by throwing has failed, with the code and the message of what it threw', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    for (const [index, id] of ['a', 'b', 'c'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
    }
    runAt(images.runs, 0).fail(Object.assign(new Error('No space is left.'), { code: 'ENOSPC' }))
    runAt(images.runs, 1).fail(new TypeError('No image.', { cause: new Error('It is empty.') }))
    await stage.management.until(() => stage.management.stateOf('b') === 'failed')
    const outcomes = ['a', 'b'].map((id) => stage.management.told(id).at(-1)?.outcome)
    expect(outcomes).toEqual([{ failed: { code: 'ENOSPC', message: 'No space is left.' } }, { failed: { code: 'TypeError', message: 'No image. (It is empty.)' } }])
    expect(stage.management.stateOf('c')).toBe('waiting')
  })

  it('by throwing what nobody can read has failed all the same', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    const unreadable = Object.defineProperty(new Error('x'), 'message', {
      get: () => {
        throw new Error('It cannot be read.')
      },
    })
    const circular: Error & { cause?: unknown } = new Error('x')
    circular.cause = circular
    const thrown: readonly unknown[] = [Object.create(null), unreadable, circular]
    for (const [index, each] of thrown.entries()) {
      await stage.management.send({ id: `a${index}`, operation: 'CopyImage' })
      ;(await images.begun(index + 1)).fail(each as Error)
    }
    await stage.passing(() => thrown.every((_, index) => stage.management.stateOf(`a${index}`) === 'failed'))
    expect(stage.management.told('a0').at(-1)?.outcome).toEqual({ failed: { code: 'error', message: 'It threw something that cannot be read.' } })
    expect(stage.problems).toEqual([])
  })

  it('does not wait for a rest after each of the phases before it', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const { context, finish } = await images.begun()
    const phases = Array.from({ length: 20 }, (_, index) => `part ${index}`)
    for (const phase of phases) context.phase(phase)
    finish()
    await stage.logged(node, 'a', 'Completed')
    // No time passes, so that a rest would not end. The last phase is told with the end.
    await stage.management.until(() => stage.management.messages.length === phases.length - 1)
    await stage.rested(phases.length - 1)
    await stage.management.until(() => stage.management.stateOf('a') === 'completed')
    expect(stage.management.told('a').flatMap(({ phase }) => phase ?? [])).toEqual(phases)
  })

  it('is told of again until it is acknowledged, the same each time, and takes effect once', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    stage.management.treat(() => 'lose')
    ;(await images.begun()).finish('done')
    await stage.management.until(() => stage.management.messages.length === 1)
    stage.management.treat(() => 'answer')
    expect((await stage.management.list()).items).toMatchObject([{ id: 'a', state: 'ended', outcome: { completed: { result: 'done' } } }])
    await stage.passing(() => stage.management.messages.length >= 2)
    const told = stage.management.told('a')
    expect(told[1]).toEqual(told[0])
    expect(stage.management.stateOf('a')).toBe('completed')
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    expect((await stage.management.list()).items).toEqual([])
  })

  it('with more than its management node takes is told of without its result', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    ;(await images.begun()).finish('x'.repeat(2 * 1024 * 1024))
    await stage.message(1)
    expect(stage.management.told('a')).toEqual([{ id: 'a', lease: '1.a', outcome: { completed: {} } }])
    expect(stage.problems).toEqual(['a: Expected an outcome that the management node takes, but it is too large: it is told without its result.'])
  })

  it('with a result that JSON cannot say is told of without it, and its author hears of that', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    ;(await images.begun()).finish({ bytes: 12n })
    await stage.message(1)
    expect(stage.management.told('a')).toEqual([{ id: 'a', lease: '1.a', outcome: { completed: {} } }])
    expect(stage.problems).toEqual(['a: Expected a result that JSON can say, but it cannot say this one: it is left out.'])
  })

  it('leaves the list when its management node has settled it otherwise, or does not know it', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    for (const [index, id] of ['a', 'b'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
    }
    stage.management.treat(() => 503)
    for (const run of images.runs) run.finish()
    await Promise.all(['a', 'b'].map((id) => stage.logged(node, id, 'Completed')))
    stage.management.settle('a', 'timedOut')
    stage.management.forget('b')
    stage.management.treat(() => 'answer')
    await stage.passing(() => stage.management.messages.length >= 1)
    await Promise.all(['a', 'b'].map((id) => stage.logged(node, id, 'EffectsCarriedOut')))
    expect((await stage.management.list()).items).toEqual([])
    // What came too late is noted there, and changes nothing.
    expect(stage.management.stateOf('a')).toBe('timedOut')
    await stage.replayed(node)
  })
})

describe('a report that is refused', () => {
  const two = async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    for (const [index, id] of ['a', 'b'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
    }
    return { stage, node, runs: images.runs, ...stage }
  }

  it('for want of a right is told again, and nothing of it is the fault of the operation', async () => {
    const { stage, runs, management, world } = await two()
    management.refuse('a', 'forbidden')
    runAt(runs, 0).context.phase('copy')
    await stage.passing(() => world.monotonic() >= 20_000)
    expect(runAt(runs, 0).context.signal.aborted).toBe(false)
    expect(stage.problems).toEqual(['a: You may not do this.'])
    expect([management.stateOf('a'), management.stateOf('b')]).toEqual(['waiting', 'running'])
    // The other one is told of as if nothing was.
    const told = management.messages.filter(({ items }) => items.some(({ id }) => id === 'b')).map(({ at }) => at)
    expect(told.map((at, index) => at - (told[index - 1] ?? 0)).filter((pause) => pause > 2_050)).toEqual([])
    management.refuse('a', undefined)
    await stage.passing(() => management.stateOf('a') === 'running')
    expect(management.told('a').at(-1)).toEqual({ id: 'a', lease: '1.a', phase: 'copy' })
  })

  it('for what it says is left out, but for how the operation ended, which is told bare', async () => {
    const { stage, node, runs, management } = await two()
    management.refuse('a', 'invalid', ({ progress, outcome }) => progress !== undefined || (outcome !== undefined && JSON.stringify(outcome).includes('bytes')))
    runAt(runs, 0).context.progress(0.5)
    await stage.passing(() => management.messages.length >= 2)
    runAt(runs, 0).finish({ bytes: 512 })
    await stage.passing(() => management.stateOf('a') === 'completed')
    expect(management.told('a').at(-1)?.outcome).toEqual({ completed: {} })
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    expect(stage.problems).toHaveLength(2)
  })

  it('with the whole message is told in smaller ones', async () => {
    const { stage, management } = await two()
    management.treat((items) => (items.length > 1 ? 413 : 'answer'))
    await stage.passing(() => management.stateOf('a') === 'running' && management.stateOf('b') === 'running')
    expect(management.messages.map(({ items }) => items.length)).toEqual(management.messages.map(() => 1))
  })
})

describe('while the management node is away', () => {
  it('operations run on, and everything is told when it is back, in order', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    for (const [index, id] of ['a', 'b'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
    }
    await stage.management.down()
    runAt(images.runs, 0).context.phase('copy')
    runAt(images.runs, 0).context.progress(0.5)
    await stage.passing(() => stage.problems.length > 0)
    runAt(images.runs, 0).context.phase('verify')
    runAt(images.runs, 0).finish('whole')
    for (let turn = 0; turn < 20; turn += 1) {
      stage.world.advance(5_000)
      await settle()
    }
    expect(stage.management.messages).toEqual([])
    expect(stage.problems.filter((problem) => problem.includes('Expected an answer'))).toHaveLength(1)
    await stage.management.up()
    await stage.passing(() => stage.management.messages.length >= 2)
    await stage.management.until(() => stage.management.stateOf('a') === 'completed')
    expect(stage.management.told('a').map(({ phase, outcome }) => [phase, outcome !== undefined])).toEqual([
      ['copy', false],
      ['verify', true],
    ])
    expect(stage.management.told('b').length).toBeGreaterThan(0)
  })

  it('pauses between two tries grow, and no more than one message is out', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const tries: number[] = []
    stage.management.treat(() => {
      tries.push(stage.world.monotonic())
      return 503
    })
    await images.begun()
    await stage.passing(() => tries.length >= 8)
    const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(REST_MS)
    expect(pauses.at(-1)).toBeGreaterThan(2_000)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5_000 + REST_MS + 50)
    expect(stage.management.togetherMax()).toBe(1)
  })
})

describe('a node that its management node does not know any more', () => {
  it('registers again and goes on, and none of its operations is taken for unknown', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    stage.management.forgetNode()
    stage.world.advance(2_000)
    await stage.passing(() => stage.management.messages.length >= 1)
    expect(stage.management.registrations).toHaveLength(2)
    expect(stage.management.registrations.map(({ instance, url }) => [instance, url])).toEqual([1, 2].map(() => [node.instance, node.url]))
    expect([run.context.signal.aborted, stage.management.stateOf('a')]).toEqual([false, 'running'])
  })

  it('finds out though it has nothing to tell', async () => {
    const stage = await openStage([copy().operation])
    await stage.start()
    stage.management.forgetNode()
    stage.world.advance(30_000)
    await stage.passing(() => stage.management.registrations.length === 2)
  })

  it('complains once when another process has taken its name, and does not take it back', async () => {
    const stage = await openStage([copy().operation])
    await stage.start()
    const other = await stage.start({ directory: join(stage.directory, 'other') })
    await stage.passing(() => stage.problems.length > 0)
    stage.world.advance(60_000)
    await settle()
    expect(stage.problems).toEqual([
      `Another process has registered as node-1, at ${other.url}, and is called in place of this one. Each node needs a name (and a directory) of its own.`,
    ])
    expect(stage.management.registrations.map(({ instance }) => instance)).toEqual([expect.any(String), other.instance])
  })

  it('does not take an answer for each item for one about the items, if the node is what is not known', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    stage.management.forgetNode('item by item')
    stage.world.advance(2_000)
    await stage.passing(() => stage.management.registrations.length === 2)
    await stage.passing(() => stage.management.messages.length >= 2)
    expect(run.context.signal.aborted).toBe(false)
  })
})

// Abort, pause and resume on their way from the management node to a running operation and back, by call and by the answer to a report.
import { afterEach, describe, expect, it } from 'vitest'
import { AbortRequested } from '../../../src/client/errors.ts'
import { settle } from '../../support/engine.ts'
import { closeStages, openStage } from '../../support/node-stage.ts'
import { steeredClass } from '../../support/operations.ts'

const LONG = { timeout: '15m', progressEvery: '2s' } as const

afterEach(closeStages)

/** A node with one operation that runs. */
const running = async ({ follows = true, id = 'a' } = {}) => {
  const images = steeredClass('CopyImage', LONG, { follows })
  const stage = await openStage([images.operation])
  const node = await stage.start()
  await stage.management.send({ id, operation: 'CopyImage' })
  const run = await images.begun()
  return { images, stage, node, run, ...stage }
}

const reasonOf = (signal: AbortSignal): AbortRequested => {
  if (!(signal.reason instanceof AbortRequested)) throw new Error(`Expected an AbortRequested, but it is ${String(signal.reason)}`)
  return signal.reason
}

describe('an abort', () => {
  it('by call reaches the signal of the operation at once, and its end is told with what there is of a result', async () => {
    const { stage, node, run, management } = await running()
    run.context.partial({ copied: 3 })
    expect(await management.direct('a', { number: management.wish('a', 'abort', 'not needed'), directive: 'abort', reason: 'not needed' })).toEqual({
      status: 200,
      body: { id: 'a', directive: 'abort' },
    })
    expect([reasonOf(run.context.signal).reason, reasonOf(run.context.signal).directive]).toEqual(['not needed', 1])
    await stage.message(1)
    expect(management.told('a')).toEqual([{ id: 'a', lease: '1.a', outcome: { aborted: { reason: 'not needed', partial: { copied: 3 } } } }])
    expect(await stage.history(node, 'a')).toEqual(['OperationDispatched', 'Leased', 'DirectiveGiven', 'DirectiveEnded', 'Aborted', 'EffectsCarriedOut'])
    await stage.replayed(node)
  })

  it('by the answer to a report does the same, with who gave it', async () => {
    const { stage, run, management, world } = await running()
    management.wish('a', 'abort')
    world.advance(2_000)
    await stage.rested(1)
    expect([reasonOf(run.context.signal).by, reasonOf(run.context.signal).reason]).toEqual(['ann@example.com', 'ann@example.com asked for it to be aborted.'])
    await stage.message(2)
    expect(management.stateOf('a')).toBe('aborted')
  })

  it('that the operation does not follow leaves it to end as it does', async () => {
    const { stage, run, management } = await running({ follows: false })
    await management.direct('a', { number: 1, directive: 'abort' })
    expect(run.context.signal.aborted).toBe(true)
    await expect(run.context.checkpoint()).rejects.toBeInstanceOf(AbortRequested)
    run.finish('whole')
    await stage.message(1)
    expect(management.told('a').at(-1)?.outcome).toEqual({ completed: { result: 'whole' } })
  })
})

describe('a pause', () => {
  it('holds the operation at its next checkpoint until it is resumed, and both are told at once', async () => {
    const { stage, node, run, management } = await running()
    await run.context.checkpoint()
    await management.direct('a', { number: management.wish('a', 'pause'), directive: 'pause' })
    let isParked = true
    const parked = run.context.checkpoint().then(() => (isParked = false))
    await stage.rested(1)
    expect([management.told('a'), management.stateOf('a'), isParked]).toEqual([[{ id: 'a', lease: '1.a', state: 'paused' }], 'paused', true])
    expect((await management.list()).items).toMatchObject([{ id: 'a', state: 'paused' }])
    await management.direct('a', { number: management.wish('a', 'resume'), directive: 'resume' })
    await parked
    await stage.message(2)
    expect([management.told('a').at(-1), management.stateOf('a')]).toEqual([{ id: 'a', lease: '1.a', state: 'running' }, 'running'])
    const events = ['DirectiveGiven', 'Paused', 'DirectiveEnded', 'DirectiveGiven', 'Resumed', 'DirectiveEnded']
    await stage.logged(node, 'a', 'DirectiveEnded', 2)
    expect((await stage.history(node, 'a')).filter((type) => type !== 'DirectiveSeen')).toEqual(['OperationDispatched', 'Leased', ...events])
  })

  it('that came by call is no other one when it comes by answer too, and an older one does not undo a newer', async () => {
    const { stage, node, run, management, world } = await running()
    const pause = { number: management.wish('a', 'pause'), directive: 'pause' }
    await management.direct('a', pause)
    await management.direct('a', pause)
    world.advance(2_000)
    await stage.rested(1)
    const resume = { number: management.wish('a', 'resume'), directive: 'resume' }
    await management.direct('a', resume)
    expect((await management.direct('a', pause)).body).toEqual({ id: 'a', directive: 'normal' })
    expect(run.context.directive).toBe('normal')
    expect((await stage.history(node, 'a')).filter((type) => type === 'DirectiveGiven')).toHaveLength(2)
  })

  it('that the operation refuses is withdrawn, under the number that its management node gave it', async () => {
    const { stage, node, run, management } = await running()
    await management.direct('a', { number: 7, directive: 'pause' })
    run.context.refuse('It cannot stop in the middle.')
    await run.context.checkpoint()
    await stage.message(1)
    expect(management.told('a')).toEqual([{ id: 'a', lease: '1.a', refuse: { directive: 7, reason: 'It cannot stop in the middle.' } }])
    await stage.logged(node, 'a', 'DirectiveEnded')
    expect(node.engine.live('long-task/a')).toMatchObject({ will: 'normal', receipt: { number: 1, resolution: 'refused', resolutionReason: 'It cannot stop in the middle.' } })
  })
})

describe('an operation that has settled at its management node', () => {
  it('is told to abort by the answer to its report, leaves the list at once, and tells how it ended once, as a late result', async () => {
    const { stage, node, run, management, world } = await running({ follows: false })
    for (const phase of ['copy', 'verify']) run.context.phase(phase)
    management.settle('a', 'timedOut')
    world.advance(2_000)
    await stage.rested(1)
    expect(reasonOf(run.context.signal).reason).toBe('It has ended at the management node: timedOut.')
    expect((await management.list()).items).toEqual([])
    await stage.passing(() => world.monotonic() >= 20_000)
    expect(management.messages).toHaveLength(1)
    run.context.phase('clean up')
    run.finish('too late')
    await stage.message(2)
    expect(management.told('a').at(-1)).toEqual({ id: 'a', lease: '1.a', outcome: { completed: { result: 'too late' } } })
    expect(management.stateOf('a')).toBe('timedOut')
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    await stage.replayed(node)
  })

  it('or is not known there is told to abort, leaves the list, and nothing of it is told any more', async () => {
    const { stage, node, run, management, world } = await running()
    management.forget('a')
    world.advance(2_000)
    await stage.rested(1)
    expect(reasonOf(run.context.signal).reason).toBe('The management node does not know it.')
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    expect([(await management.list()).items, node.operations()]).toEqual([[], []])
    await stage.passing(() => world.monotonic() >= 20_000)
    expect(management.messages).toHaveLength(1)
  })
})

describe('an operation that waits for its turn', () => {
  const waiting = async () => {
    const images = steeredClass('CopyImage', LONG)
    const stage = await openStage([images.operation])
    const node = await stage.start({ maxRunning: 1 })
    for (const id of ['a', 'b', 'c']) await stage.management.send({ id, operation: 'CopyImage' })
    const run = await images.begun()
    return { images, stage, node, run, ...stage }
  }
  const statesOf = (items: readonly { readonly id: string; readonly state: string }[]) => items.map(({ id, state }) => `${id} ${state}`)

  it('is told of as alive, and begins when there is a place, in the order in which they were taken', async () => {
    const { stage, images, run, management, world } = await waiting()
    expect(statesOf((await management.list()).items)).toEqual(['a running', 'b waiting', 'c waiting'])
    world.advance(2_000)
    await stage.rested(1)
    expect(management.messages[0]?.items).toEqual(['a', 'b', 'c'].map((id) => ({ id, lease: `1.${id}` })))
    run.finish()
    const second = await images.begun(2)
    expect([second.context.id, images.runs.length]).toEqual(['b', 2])
    second.finish()
    expect((await images.begun(3)).context.id).toBe('c')
  })

  it('never begins when it is aborted', async () => {
    const { stage, node, images, run, management } = await waiting()
    await management.direct('b', { number: management.wish('b', 'abort', 'wrong image'), directive: 'abort', reason: 'wrong image' })
    await stage.message(1)
    expect(management.told('b')).toEqual([{ id: 'b', lease: '1.b', outcome: { aborted: { reason: 'wrong image' } } }])
    run.finish()
    expect((await images.begun(2)).context.id).toBe('c')
    await stage.logged(node, 'b', 'EffectsCarriedOut')
    expect(await stage.history(node, 'b')).toEqual(['OperationDispatched', 'DirectiveGiven', 'DirectiveEnded', 'Cancelled', 'EffectsCarriedOut'])
  })

  it('lets others go ahead while it is paused, and begins when it is resumed', async () => {
    const { stage, images, run, management } = await waiting()
    await management.direct('b', { number: management.wish('b', 'pause'), directive: 'pause' })
    await stage.rested(1)
    expect(management.told('b')).toEqual([{ id: 'b', lease: '1.b', state: 'paused' }])
    run.finish()
    expect((await images.begun(2)).context.id).toBe('c')
    expect(statesOf((await management.list()).items)).toContain('b paused')
    images.runs[1]?.finish()
    await management.direct('b', { number: management.wish('b', 'resume'), directive: 'resume' })
    expect((await images.begun(3)).context.id).toBe('b')
    await stage.passing(() => management.told('b').some(({ state }) => state === 'running'))
  })
})

describe('a directive that cannot be', () => {
  it('is refused: for what is not on the list, under another lease, and after the end', async () => {
    const { stage, node, run, management } = await running()
    const abort = { number: 1, directive: 'abort' }
    expect(await management.direct('b', abort)).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await management.direct('a', { ...abort, lease: '1.other' })).toMatchObject({ status: 409, body: { code: 'stale-lease', state: 'running' } })
    expect(await management.direct('a', { number: 0, directive: 'stop' })).toMatchObject({ status: 400, body: { errors: [{ path: '/number' }, { path: '/directive' }] } })
    expect(run.context.signal.aborted).toBe(false)
    management.treat(() => 503)
    run.finish()
    await stage.logged(node, 'a', 'Completed')
    expect(await management.direct('a', abort)).toMatchObject({ status: 409, body: { code: 'settled', state: 'completed' } })
    management.treat(() => 'answer')
    await stage.passing(() => management.stateOf('a') === 'completed')
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    await settle()
    expect(await management.direct('a', { number: 2, directive: 'abort' })).toMatchObject({ status: 404 })
  })

  it('is refused after an abort, which is final', async () => {
    const { management } = await running({ follows: false })
    await management.direct('a', { number: 1, directive: 'abort' })
    expect(await management.direct('a', { number: 2, directive: 'resume' })).toMatchObject({ status: 409, body: { code: 'aborting' } })
  })
})

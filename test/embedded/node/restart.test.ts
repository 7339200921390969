// A node that stops and starts again finds its list: what ran is run again or fails as its class says, what was paused stays so, and an end that nobody has acknowledged is told.
import * as t from 'io-ts'
import { afterEach, describe, expect, it } from 'vitest'
import { Closed } from '../../../src/client/errors.ts'
import { closeStages, openStage } from '../../support/node-stage.ts'
import { steeredClass } from '../../support/operations.ts'

const RESUMED = { timeout: '15m', progressEvery: '2s', onRestart: 'resume' } as const
const FAILING = { timeout: '15m', progressEvery: '2s' } as const

afterEach(closeStages)

describe('a node that stops', () => {
  it('tells what runs to stop, without an end', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    await node.close()
    expect(run.context.signal.reason).toBeInstanceOf(Closed)
    expect(stage.management.stateOf('a')).toBe('waiting')
    expect(stage.world.pending()).toEqual([])
  })

  it('lets what runs go on for as long as it is given, takes nothing more meanwhile, and tells what ends', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start({ drainSeconds: 60 })
    for (const [index, id] of ['a', 'b'].entries()) {
      await stage.management.send({ id, operation: 'CopyImage' })
      await images.begun(index + 1)
    }
    const closed = node.close()
    expect(await stage.management.send({ id: 'c', operation: 'CopyImage' })).toMatchObject({ status: 503, body: { code: 'stopping' } })
    images.runs[0]?.finish('whole')
    await stage.passing(() => stage.management.stateOf('a') === 'completed')
    images.runs[1]?.finish('whole too')
    await stage.passing(() => stage.management.stateOf('b') === 'completed')
    // Nothing is left to wait for.
    await closed
    expect(stage.world.monotonic()).toBeLessThan(60_000)
  })

  it('keeps what has come to an end while it was told to stop', async () => {
    const images = steeredClass('CopyImage', RESUMED, { follows: false })
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    run.context.signal.addEventListener('abort', () => run.finish('in time'))
    await node.close()
    const again = await stage.start()
    await stage.passing(() => stage.management.stateOf('a') === 'completed')
    expect(images.runs).toHaveLength(1)
    await stage.logged(again, 'a', 'EffectsCarriedOut')
  })

  it('is registered again when it starts, as another process', async () => {
    const stage = await openStage([steeredClass('CopyImage', RESUMED).operation])
    await (await stage.start()).close()
    await stage.start()
    const [first, second] = stage.management.registrations
    expect(first?.operations).toEqual([{ operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 2 }])
    expect([second?.id, second?.instance === first?.instance]).toEqual(['node-1', false])
  })
})

describe('an operation that ran when its node stopped', () => {
  it('is run again where its class says so, and is told what was known of it', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage', args: { from: 'x' } })
    const first = await images.begun()
    first.context.phase('copy')
    first.context.progress({ done: 40, total: 100, unit: 'MiB' })
    await stage.logged(node, 'a', 'ProgressReported')
    await node.close()

    const again = await stage.start()
    const second = await images.begun(2)
    expect([second.args, second.context.attempt]).toEqual([{ from: 'x' }, 2])
    expect(second.context.before).toEqual({ phase: 'copy', progress: { done: 40, total: 100, unit: 'MiB' } })
    // It is heard of at once: somebody may have taken it for lost.
    await stage.rested(1)
    expect(stage.management.messages[0]).toEqual({ at: 0, items: [{ id: 'a', lease: '1.a' }] })
    expect((await stage.management.list()).items).toEqual([{ id: 'a', lease: '1.a', operation: 'CopyImage', state: 'running', attempt: 2 }])

    // An attempt that said nothing hides nothing of the one before.
    await again.close()
    const third = await stage.start()
    const last = await images.begun(3)
    expect([last.context.attempt, last.context.before]).toEqual([3, { phase: 'copy', progress: { done: 40, total: 100, unit: 'MiB' } }])
    last.finish('whole')
    await stage.passing(() => stage.management.stateOf('a') === 'completed')
    await stage.logged(third, 'a', 'EffectsCarriedOut')
    expect((await stage.history(third, 'a')).filter((type) => type === 'Leased' || type === 'LeaseExpired')).toEqual(['Leased', 'LeaseExpired', 'Leased', 'LeaseExpired', 'Leased'])
    await stage.replayed(third)
  })

  it('fails where its class does not say that it is run again', async () => {
    const images = steeredClass('CopyImage', FAILING)
    const stage = await openStage([images.operation])
    const node = await stage.start({ maxRunning: 1 })
    for (const id of ['a', 'b']) await stage.management.send({ id, operation: 'CopyImage' })
    await images.begun()
    await node.close()
    const again = await stage.start()
    await stage.passing(() => stage.management.stateOf('a') === 'failed')
    expect(stage.management.told('a').at(-1)?.outcome).toMatchObject({ failed: { code: 'interrupted' } })
    // The other one had not begun.
    expect((await images.begun(2)).context.id).toBe('b')
    await stage.logged(again, 'a', 'EffectsCarriedOut')
    await stage.replayed(again)
  })

  it('fails when the node does not know its class any more, or its class does not take its arguments', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation, steeredClass('HashImage', RESUMED).operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage', args: {} })
    await stage.management.send({ id: 'b', operation: 'HashImage' })
    await images.begun()
    await node.close()
    await stage.start({ operations: [steeredClass('CopyImage', RESUMED, { args: t.type({ from: t.string }) }).operation] })
    await stage.passing(() => ['a', 'b'].every((id) => stage.management.stateOf(id) === 'failed'))
    expect(stage.management.told('a').at(-1)?.outcome).toEqual({
      failed: { code: 'invalid', message: 'Its node does not take its arguments any more: /args/from Expected a value, but the field is missing.' },
    })
    expect(stage.management.told('b').at(-1)?.outcome).toEqual({ failed: { code: 'unknown-operation', message: 'Its node does not know HashImage any more.' } })
  })

  it('and was paused stays paused, and goes on when it is resumed', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    await images.begun()
    // It was told, and the node stopped before it came to a checkpoint.
    await stage.management.direct('a', { number: stage.management.wish('a', 'pause'), directive: 'pause' })
    await node.close()
    const again = await stage.start()
    await stage.rested(1)
    expect(stage.management.told('a')).toEqual([{ id: 'a', lease: '1.a', state: 'paused' }])
    expect(again.operations()).toMatchObject([{ id: 'a', state: 'paused', attempt: 1 }])
    expect(images.runs).toHaveLength(1)
    await stage.management.direct('a', { number: stage.management.wish('a', 'resume'), directive: 'resume' })
    expect((await images.begun(2)).context.attempt).toBe(2)
    await stage.passing(() => stage.management.stateOf('a') === 'running')
  })

  it('and was to be aborted has been', async () => {
    const images = steeredClass('CopyImage', RESUMED, { follows: false })
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    const run = await images.begun()
    await stage.management.direct('a', { number: stage.management.wish('a', 'abort'), directive: 'abort' })
    expect(run.context.signal.aborted).toBe(true)
    const closed = node.close()
    await stage.world.until((pending) => pending.includes(2_000))
    stage.world.advance(2_000)
    await closed
    await stage.start()
    await stage.passing(() => stage.management.stateOf('a') === 'aborted')
    expect(images.runs).toHaveLength(1)
  })
})

describe('an operation that had ended when its node stopped', () => {
  it('is told of when the node is there again, with what it said last, until it is acknowledged', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    stage.management.treat(() => 'lose')
    const run = await images.begun()
    run.context.phase('verify')
    run.finish({ bytes: 512 })
    await stage.management.until(() => stage.management.messages.length === 1)
    await stage.logged(node, 'a', 'Completed')
    await node.close()
    stage.management.treat(() => 'answer')
    const again = await stage.start()
    await stage.message(2)
    expect(stage.management.told('a')[1]).toEqual(stage.management.told('a')[0])
    expect(stage.management.stateOf('a')).toBe('completed')
    await stage.logged(again, 'a', 'EffectsCarriedOut')
    expect(again.operations()).toEqual([])
    await stage.replayed(again)
  })

  it('is known when it is sent again late, and not run again: neither while it is kept nor after it was erased', async () => {
    const images = steeredClass('CopyImage', RESUMED)
    const stage = await openStage([images.operation])
    const node = await stage.start({ retainSeconds: 3_600 })
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    ;(await images.begun()).finish('whole')
    await stage.logged(node, 'a', 'EffectsCarriedOut')
    await node.close()
    const again = await stage.start({ retainSeconds: 3_600 })
    expect(await stage.management.send({ id: 'a', operation: 'CopyImage' })).toEqual({ status: 200, body: { id: 'a', outcome: { completed: { result: 'whole' } } } })
    stage.world.advance(3_700_000)
    await stage.passing(() => again.engine.status().sweeper.erased === 1)
    expect((await stage.management.send({ id: 'a', operation: 'CopyImage' })).body.outcome).toMatchObject({ failed: { code: 'erased' } })
    expect((await stage.management.send({ id: 'a', operation: 'CopyImage', args: 'other' })).status).toBe(409)
    expect(images.runs).toHaveLength(1)
  })
})

describe('a short operation whose node stopped while it ran', () => {
  it('is not run again: whoever sends it again is told that it was interrupted', async () => {
    const ping = steeredClass('Ping', undefined)
    const stage = await openStage([ping.operation])
    const node = await stage.start()
    const sent = stage.management.send({ id: 'p', operation: 'Ping' })
    await ping.begun()
    await node.close()
    expect(await sent).toMatchObject({ status: 503, body: { code: 'stopping' } })
    await stage.start()
    expect((await stage.management.send({ id: 'p', operation: 'Ping' })).body.outcome).toMatchObject({ failed: { code: 'interrupted' } })
    expect([ping.runs.length, stage.management.messages]).toEqual([1, []])
  })
})

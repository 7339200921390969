// What a wall clock that jumps does to jobs: nothing that is judged by silence, because silence is counted on a clock that cannot be set.
import { describe, expect, it } from 'vitest'
import { ask, direct, insert, lease, register, report, right, settle, SILENCE_MS, startEngine } from '../support/engine.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

const HOUR_MS = 3_600_000

/** A world whose wall clock can be set, as an administrator or a time server does it. */
const settable = (): VirtualWorld & { readonly set: (aheadMs: number) => void } => {
  const world = virtualWorld()
  let ahead = 0
  return {
    ...world,
    now: () => world.now() + ahead,
    set: (aheadMs) => {
      ahead = aheadMs
    },
  }
}

describe('when the wall clock jumps', () => {
  it.each([
    ['an hour ahead', HOUR_MS],
    ['an hour back', -HOUR_MS],
  ])('%s, nobody is lost before the promised silence, nor later', async (_jump, aheadMs) => {
    const world = settable()
    const test = await startEngine({ world })
    const { workItem, lease } = await register(test)
    world.advance(SILENCE_MS / 3)
    right(await ask(test, workItem, lease))
    world.set(aheadMs)
    world.advance(SILENCE_MS - 1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('running')
    world.advance(1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('lost')
    await test.engine.close()
  })

  it.each([
    ['a day ahead', 24 * HOUR_MS],
    ['an hour back', -HOUR_MS],
  ])('%s, a task is free when its lease has run, and a lost job settles when its day is over, by the clock that cannot be set', async (_jump, aheadMs) => {
    const world = settable()
    const test = await startEngine({ world })
    await insert(test, 'mail-1')
    const [held] = await lease(test, { termMs: 60_000 })
    const { workItem } = await register(test)
    world.advance(SILENCE_MS)
    await settle()
    world.set(aheadMs)
    // Something happens to both, so that their deadlines are looked at anew.
    right(await direct(test, workItem, 'pause'))
    world.advance(60_000 - SILENCE_MS - 1)
    await settle()
    expect(test.engine.live(held?.workItem ?? '')?.status).toBe('running')
    world.advance(1)
    await settle()
    expect(test.engine.live(held?.workItem ?? '')?.status).toBe('waiting')
    world.advance(86_400_000 - 60_000 + SILENCE_MS - 1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('lost')
    world.advance(1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('settled')
    await test.engine.close()
  })

  it('back, what happens is dated no earlier than what happened before', async () => {
    const world = settable()
    const test = await startEngine({ world })
    const { workItem, lease } = await register(test)
    right(await report(test, workItem, lease, { phase: 'read' }))
    world.set(-HOUR_MS)
    right(await report(test, workItem, lease, { phase: 'merge' }))
    right(await report(test, workItem, lease, { outcome: { completed: {} } }))
    const times = right(await test.engine.history(workItem, { from: 0, max: 100 })).map(({ time }) => time)
    expect(times).toHaveLength(5)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    await test.engine.close()
  })
})

describe('when a report and the end of the silence come at the same moment', () => {
  it('takes the one that came first, and has lost nobody whom it has just heard', async () => {
    const test = await startEngine()
    const { workItem, lease } = await register(test)
    test.world.advance(SILENCE_MS - 1)
    const reported = report(test, workItem, lease, { phase: 'merge' })
    test.world.advance(1)
    right(await reported)
    await settle()
    expect(test.engine.live(workItem)).toMatchObject({ status: 'running', phase: 'merge' })
    const types = right(await test.engine.history(workItem, { from: 0, max: 100 })).map(({ type }) => type)
    expect(types).not.toContain('HolderLost')
    await test.engine.close()
  })
})

describe('when progress was noted only', () => {
  it('is shown until a restart, which forgets it and keeps what was recorded', async () => {
    const before = await startEngine()
    const { workItem, lease } = await register(before)
    expect(right(await report(before, workItem, lease, { progress: { fraction: 0.1 } })).recorded).toBe(true)
    expect(right(await report(before, workItem, lease, { progress: { fraction: 0.2 } })).recorded).toBe(false)
    expect(before.engine.presence(workItem)?.progress).toEqual({ fraction: 0.2 })
    const after = await startEngine({ store: before.store, world: before.world })
    expect(after.engine.presence(workItem)?.progress).toBeUndefined()
    expect(after.engine.live(workItem)?.progress).toEqual({ fraction: 0.1 })
    await after.engine.close()
  })
})

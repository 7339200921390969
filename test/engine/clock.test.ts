// What a wall clock that jumps does to jobs: nothing that is judged by silence, because silence is counted on a clock that cannot be set.
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ask, contextOf, direct, insert, lease, register, report, right, settle, SILENCE_MS, startEngine } from '../support/engine.ts'
import { fail, giveBack, idOf, leaseOf, namesOf, put, take, tryTake } from '../support/tasks.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

const HOUR_MS = 3_600_000

/** What jumps of the wall may do to tasks; `which` chooses among those that are held. */
type TaskStep =
  | { readonly do: 'put' | 'release' | 'fail' | 'extend'; readonly which: number; readonly delayMs: number }
  | { readonly do: 'take' | 'restart' }
  | { readonly do: 'jump' | 'advance'; readonly ms: number }

const taskStep: fc.Arbitrary<TaskStep> = fc.oneof(
  fc.record({ do: fc.constantFrom('put' as const, 'release' as const, 'fail' as const, 'extend' as const), which: fc.nat(9), delayMs: fc.constantFrom(0, 0, 5_000) }),
  fc.record({ do: fc.constantFrom('take' as const, 'take' as const, 'restart' as const) }),
  fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(-HOUR_MS, -10_000, 10_000, HOUR_MS) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 1_000, 5_000, 20_000) }),
)

/** Longer than any sequence of steps: what ends here ends by somebody's deed. */
const TERM_MS = 10 * HOUR_MS

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

describe('when the wall clock jumps under tasks', () => {
  it('back, what is given back, has failed or lost its lease is there again at once, or after its delay', async () => {
    const world = settable()
    const test = await startEngine({ world })
    for (const id of ['released', 'failed', 'expired', 'later']) await put(test, id)
    expect(await take(test, { max: 4, termMs: 60_000 })).toHaveLength(4)
    world.set(-HOUR_MS)
    await giveBack(test, 'released')
    await giveBack(test, 'later', { delayMs: 5_000 })
    expect(await take(test, { max: 9, worker: 'w2', termMs: TERM_MS })).toEqual(['released'])
    world.advance(4_999)
    await settle()
    expect(await take(test, { max: 9, worker: 'w2', termMs: TERM_MS })).toEqual([])
    world.advance(1)
    await settle()
    expect(await take(test, { max: 9, worker: 'w2', termMs: TERM_MS })).toEqual(['later'])
    world.advance(60_000)
    await settle()
    expect((await take(test, { max: 9, worker: 'w2' })).toSorted()).toEqual(['expired', 'failed'])
    await test.engine.close()
  })

  it('back, a lease that is given then is over after its term, and not after the jump', async () => {
    const world = settable()
    const test = await startEngine({ world })
    await put(test, 'a')
    await take(test)
    world.set(-HOUR_MS)
    await giveBack(test, 'a')
    expect(await take(test, { worker: 'w2', termMs: 60_000 })).toEqual(['a'])
    world.advance(60_000)
    await settle()
    expect(test.engine.live(idOf('a'))?.status).toBe('waiting')
    await test.engine.close()
  })

  it('either way, and over restarts, what is due by the clock that cannot be set is given, and a lease that stands can be extended', { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(taskStep, { maxLength: 30, size: 'max' }), async (steps) => {
        const world = settable()
        let ahead = 0
        let test = await startEngine({ world })
        /** When each task that waits has to be there at the latest, and how long it was put off. */
        const ready = new Map<string, { at: number; readonly delayMs: number }>()
        const held: string[] = []
        const wait = (name: string, delayMs: number) => ready.set(name, { at: world.monotonic() + delayMs, delayMs })
        for (const [at, step] of steps.entries()) {
          switch (step.do) {
            case 'put':
              await put(test, `t${at}`, { dueInMs: step.delayMs })
              wait(`t${at}`, step.delayMs)
              break
            case 'release':
            case 'fail':
            case 'extend': {
              const name = held[step.which % Math.max(1, held.length)]
              if (name === undefined) break
              if (step.do === 'extend') {
                const command = { type: 'ExtendLease', by: 'workers', lease: leaseOf(test, name), termMs: TERM_MS } as const
                expect(E.isRight(await test.engine.execute(idOf(name), command, contextOf(world, 'workers')))).toBe(true)
                break
              }
              held.splice(held.indexOf(name), 1)
              if (step.do === 'release') await giveBack(test, name, { delayMs: step.delayMs })
              else await fail(test, name)
              // The pause after a failure is drawn: what the event says counts.
              const item = test.engine.live(idOf(name))
              if (item?.status === 'waiting') wait(name, (item.task?.dueAt ?? 0) - item.updatedAt)
              break
            }
            case 'take': {
              const names = namesOf(right(await tryTake(test, { max: 100, worker: `w${at}`, termMs: TERM_MS })))
              const due = [...ready].filter(([, one]) => one.at <= world.monotonic()).map(([name]) => name)
              expect(names).toEqual(expect.arrayContaining(due))
              for (const name of names) ready.delete(name)
              held.push(...names)
              break
            }
            case 'restart':
              test = await startEngine({ world, store: test.store })
              // How much of a delay had run, a wall that was set back cannot tell.
              for (const [name, { delayMs }] of ready) wait(name, delayMs)
              break
            case 'jump':
              world.set((ahead += step.ms))
              break
            case 'advance':
              world.advance(step.ms)
              await settle()
              break
          }
        }
        await test.engine.close()
      }),
      { numRuns: 150 },
    )
  })

  it('ahead, a lease that still runs can be extended, and when its time has come on the clock that cannot be set no more', async () => {
    const world = settable()
    const test = await startEngine({ world })
    await put(test, 'a')
    await take(test, { termMs: 60_000 })
    const lease = leaseOf(test, 'a')
    world.set(HOUR_MS)
    world.advance(59_999)
    await settle()
    const extend = () => test.engine.execute(idOf('a'), { type: 'ExtendLease', by: 'workers', lease, termMs: 60_000 }, contextOf(world, 'workers'))
    right(await extend())
    world.advance(60_000)
    expect(E.isLeft(await extend())).toBe(true)
    await settle()
    expect(test.engine.live(idOf('a'))?.status).toBe('waiting')
    await test.engine.close()
  })

  it('a server that was away for longer than the lease lets it be extended within the grace', async () => {
    const before = await startEngine()
    await put(before, 'a')
    await take(before, { termMs: 60_000 })
    const lease = leaseOf(before, 'a')
    before.engine.stop()
    before.world.advance(HOUR_MS)
    const after = await startEngine({ store: before.store, world: before.world })
    after.world.advance(29_999)
    await settle()
    const done = right(await after.engine.execute(idOf('a'), { type: 'ExtendLease', by: 'workers', lease, termMs: 60_000 }, contextOf(after.world, 'workers')))
    expect(done.item).toMatchObject({ status: 'running', lease: { until: after.world.now() + 60_000 } })
    await after.engine.close()
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

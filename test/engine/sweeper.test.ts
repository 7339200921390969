// What time releases and erases: when it is due and never before, batch by batch, and over restarts and faults.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { WorkItemId } from '../../src/domain/ids.ts'
import type { EngineSettings } from '../../src/engine/open.ts'
import { createSweeper, type EraseItem, type Prune, type Retention } from '../../src/engine/sweeper.ts'
import { StoreFault } from '../../src/store/port.ts'
import { contextOf, insert, lease, register, report, right, settle, SILENCE_MS, startEngine, type TestEngine } from '../support/engine.ts'
import { accept, ENCOURAGED, release, reply, RETAIN_MS } from '../support/kept-requests.ts'
import { expectReplayEqual } from '../support/replay.ts'

const DAY_MS = 86_400_000
const KEPT: Retention = { settledMs: 30 * DAY_MS, releasedMs: DAY_MS }

const start = async (given: { readonly retention?: Retention } & Pick<Parameters<typeof startEngine>[0] & object, 'store' | 'world'> = {}): Promise<TestEngine> => {
  const { retention = {}, ...rest } = given
  const test = await startEngine({ ...rest, settings: { retention } satisfies Partial<EngineSettings> })
  onTestFinished(() => test.engine.close())
  await rested(test)
  return test
}

/** Lets a sweep that is under way come to its end, its pauses included. */
const rested = async ({ engine, world }: Pick<TestEngine, 'engine' | 'world'>): Promise<void> => {
  await settle()
  while (engine.status().sweeper.isSweeping) {
    world.advance(10)
    await settle()
  }
}

/** Moves the clock on, an hour at a time at most, as sweeps come by timers that they set themselves. */
const pass = async (test: Pick<TestEngine, 'engine' | 'world'>, ms: number): Promise<void> => {
  for (let left = ms; left > 0; left -= 3_600_000) {
    test.world.advance(Math.min(left, 3_600_000))
    await rested(test)
  }
}

/** When the sweeper of an engine prunes what it has not erased itself. */
const PRUNE_SOON_MS = 5_000

/** Timers of the sweeper; those of leases are longer. */
const soon = ({ world }: TestEngine): readonly number[] => world.pending().filter((ms) => ms <= 60_000 && ms !== SILENCE_MS)

const finishJob = async (test: TestEngine, id: string): Promise<WorkItemId> => {
  const { workItem, lease: token } = await register(test, id)
  right(await report(test, workItem, token, { outcome: { completed: {} } }))
  return workItem
}

const finishTask = async (test: TestEngine, id: string): Promise<WorkItemId> => {
  await insert(test, id)
  const [leased] = await lease(test)
  if (leased === undefined) throw new Error('Expected a task')
  right(await test.engine.execute(leased.workItem, { type: 'DeleteTask', by: 'worker' }, contextOf(test.world, 'worker')))
  return leased.workItem
}

/** What became of an item: the code of the refusal to show it, or its state. */
const fateOf = async ({ engine }: TestEngine, workItem: WorkItemId): Promise<string> => {
  const read = await engine.read(workItem)
  if (E.isLeft(read)) return 'type' in read.left ? read.left.type : read.left.kind
  const { item } = read.right
  return item.status === 'settled' && item.released !== undefined ? `released by ${item.released.how}` : item.status
}

describe('a reply whose time is over', () => {
  it('is released by time, and not a moment before', async () => {
    const test = await start()
    const workItem = await accept(test, '1', { release: ENCOURAGED })
    await reply(test, workItem)
    await pass(test, RETAIN_MS - 1)
    expect(await fateOf(test, workItem)).toBe('settled')
    await pass(test, 1)
    expect(await fateOf(test, workItem)).toBe('released by time')
    expect(test.engine.status().sweeper).toMatchObject({ released: 1, erased: 0, lastSweptAt: test.world.now() })
    await expectReplayEqual(test.engine, test.store)
  })

  it('is left alone when its client has released it, when it is kept without limit, and while it is pending', async () => {
    const test = await start()
    const [mine, kept, pending] = [await accept(test, '1', { release: ENCOURAGED }), await accept(test, '2'), await accept(test, '3', { release: ENCOURAGED })]
    await reply(test, mine)
    await reply(test, kept)
    await release(test, mine)
    await pass(test, 10 * RETAIN_MS)
    expect([await fateOf(test, mine), await fateOf(test, kept), test.engine.status().sweeper.released]).toEqual(['released by client', 'settled', 0])
    expect(test.engine.live(pending)).toBeDefined()
  })

  it('is released after a restart, and what fell due meanwhile at once', async () => {
    const first = await start()
    const workItem = await accept(first, '1', { release: ENCOURAGED })
    await reply(first, workItem)
    first.engine.stop()
    first.world.advance(RETAIN_MS)
    const second = await start({ store: first.store, world: first.world })
    expect(await fateOf(second, workItem)).toBe('released by time')
  })
})

describe('what is past its retention', () => {
  it('is erased: jobs and tasks so long after they settled, requests so long after their release', async () => {
    const test = await start({ retention: KEPT })
    const [job, task, request, unreleased] = [await finishJob(test, 'a'), await finishTask(test, 't'), await accept(test, '1'), await accept(test, '2')]
    await reply(test, request)
    await reply(test, unreleased)
    await release(test, request)
    const fates = async () => [await fateOf(test, job), await fateOf(test, task), await fateOf(test, request), await fateOf(test, unreleased)]
    await pass(test, DAY_MS - 1)
    expect(await fates()).toEqual(['settled', 'settled', 'released by client', 'settled'])
    await pass(test, 1)
    expect(await fates()).toEqual(['settled', 'settled', 'erased', 'settled'])
    await pass(test, 29 * DAY_MS - 1)
    expect(await fates()).toEqual(['settled', 'settled', 'erased', 'settled'])
    await pass(test, 1)
    expect(await fates()).toEqual(['erased', 'erased', 'erased', 'settled'])
    expect(test.engine.status().sweeper).toMatchObject({ erased: 3, refused: 0 })
  })

  it('is erased at once when nothing is to be kept', async () => {
    const test = await start({ retention: { settledMs: 0, releasedMs: 0 } })
    const [job, request] = [await finishJob(test, 'a'), await accept(test, '1', { release: ENCOURAGED })]
    await reply(test, request)
    await pass(test, 5_000)
    expect([await fateOf(test, job), await fateOf(test, request)]).toEqual(['erased', 'settled'])
    await pass(test, RETAIN_MS)
    expect(await fateOf(test, request)).toBe('released by time')
    await pass(test, 5_000)
    expect(await fateOf(test, request)).toBe('erased')
  })

  it('is kept for ever when retention is off', async () => {
    const test = await start()
    const job = await finishJob(test, 'a')
    await pass(test, 2 * DAY_MS)
    expect([await fateOf(test, job), soon(test)]).toEqual(['settled', []])
  })
})

describe('the sweeper', () => {
  it('has no timer while nothing will ever be due', async () => {
    const test = await start({ retention: KEPT })
    await register(test, 'a')
    expect(soon(test)).toEqual([])
    const idle = await start({ retention: KEPT })
    expect(soon(idle)).toEqual([])
    await reply(idle, await accept(idle, '1'))
    expect(soon(idle)).toEqual([])
  })

  /** A sweeper of its own over what an engine has released, with what a test says of erasing and pruning. */
  const over = async (count: number, given: { readonly eraseItem?: EraseItem; readonly prune?: Prune } = {}) => {
    const test = await start()
    for (let number = 0; number < count; number += 1) {
      const workItem = await accept(test, String(number))
      await reply(test, workItem)
      await release(test, workItem)
    }
    const troubles: string[] = []
    const sweeper = createSweeper({
      world: test.world,
      tables: test.engine.tables,
      handler: test.engine,
      eraseItem: test.engine.execute,
      retention: { releasedMs: 0 },
      position: test.engine.position,
      isOff: () => false,
      onTrouble: (what) => troubles.push(what),
      ...given,
    })
    onTestFinished(() => sweeper.close())
    return { test, sweeper, troubles }
  }

  it('takes a batch at a time, and rests between them', async () => {
    const { test, sweeper } = await over(250)
    sweeper.start()
    await settle()
    expect([sweeper.figures().erased, soon(test)]).toEqual([100, [10, PRUNE_SOON_MS]])
    test.world.advance(10)
    await settle()
    expect([sweeper.figures().erased, soon(test)]).toEqual([200, [10, PRUNE_SOON_MS - 10]])
    test.world.advance(10)
    await settle()
    expect([sweeper.figures().erased, soon(test)]).toEqual([250, [PRUNE_SOON_MS - 20]])
  })

  it('stops between two batches, and another goes on', async () => {
    const { test, sweeper } = await over(150)
    sweeper.start()
    await settle()
    await sweeper.close()
    expect([sweeper.figures().erased, soon(test)]).toEqual([100, [PRUNE_SOON_MS]])
    const next = await start({ store: test.store, world: test.world, retention: { releasedMs: 0 } })
    expect(next.engine.status().sweeper.erased).toBe(50)
  })

  it('says what holds it up, and goes on when that is over', async () => {
    let isDown = true
    const given: { eraseItem?: EraseItem } = {}
    const made = await over(1, {
      eraseItem: (...asked) => (isDown ? Promise.resolve(E.left(new StoreFault('overloaded', 'Too much in flight'))) : (given.eraseItem as EraseItem)(...asked)),
    })
    given.eraseItem = made.test.engine.execute
    made.sweeper.start()
    await settle()
    expect(made.sweeper.figures()).toMatchObject({ erased: 0, failing: 'Too much in flight' })
    expect(made.troubles).toHaveLength(1)
    isDown = false
    made.test.world.advance(60_000)
    await settle()
    expect(made.sweeper.figures()).toMatchObject({ erased: 1, failing: undefined })
  })

  it('does not ask without end for what is refused', async () => {
    let asked = 0
    const { test, sweeper } = await over(1, {
      eraseItem: async () => {
        asked += 1
        return E.left({ type: 'not-found' })
      },
    })
    sweeper.start()
    await settle()
    expect([asked, sweeper.figures().refused, soon(test)]).toEqual([1, 1, [60_000]])
  })

  it('prunes at its start and after it has erased, until nothing is left', async () => {
    const calls: (string | undefined)[] = []
    const { test, sweeper } = await over(1, {
      prune: async (_before, after) => {
        calls.push(after)
        return E.right({ pruned: 3, ...(calls.length === 1 ? { next: 'i.7' } : {}) })
      },
    })
    sweeper.start()
    await settle()
    expect(calls).toEqual([undefined])
    test.world.advance(10)
    await settle()
    expect([calls, sweeper.figures()]).toEqual([[undefined, 'i.7'], expect.objectContaining({ erased: 1, pruned: 6 })])
    const item = right(await test.engine.read(await accept(test, 'next'))).item
    sweeper.touch(item, test.engine.position())
    await reply(test, 'request/orders/anna/next')
    sweeper.touch((await release(test, 'request/orders/anna/next')).item, test.engine.position())
    test.world.advance(5_000)
    await settle()
    expect([calls.length, sweeper.figures().erased]).toEqual([3, 2])
  })

  it('prunes once more what was erased by hand while it waited for the tables', async () => {
    const test = await start()
    const workItem = await finishJob(test, 'j1')
    const erased = right(await test.engine.execute(workItem, { type: 'Erase', by: 'admin', reason: 'asked' }, contextOf(test.world, 'admin')))
    const pruned: string[] = []
    let [waits, seen] = [0, '']
    const sweeper = createSweeper({
      ...{ world: test.world, handler: test.engine, eraseItem: test.engine.execute, retention: {}, isOff: () => false, onTrouble: () => undefined },
      tables: {
        ...test.engine.tables,
        status: () => ({ ...test.engine.tables.status(), position: seen }),
        reached: async (position) => {
          waits += 1
          // The sweep has begun, and waits for what had happened by then.
          if (waits === 2) sweeper.touch(erased.item, erased.position)
          seen = position
          return true
        },
      },
      prune: async (before) => {
        pruned.push(before)
        return E.right({ pruned: 0 })
      },
      position: () => '',
    })
    onTestFinished(() => sweeper.close())
    sweeper.start()
    await settle()
    expect([pruned, sweeper.figures().isOwing]).toEqual([[''], true])
    test.world.advance(PRUNE_SOON_MS)
    await settle()
    expect([pruned, sweeper.figures().isOwing]).toEqual([['', erased.position], false])
  })
})

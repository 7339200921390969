// What keeps the leases of a worker that holds more than one exchange can extend.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { holdItem, type HeldItem, type LeasedItem } from '../../src/client/held-item.ts'
import { createLeaseKeeper } from '../../src/client/lease-keeper.ts'
import { createReachability } from '../../src/client/reachability.ts'
import { settle } from '../support/engine.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

const TERM_MS = 1_000

const leasedFor = (world: VirtualWorld, id: string, ms: number): LeasedItem => ({
  id,
  lease: `1.${id}`,
  attempt: 1,
  directive: 'normal',
  receipt: undefined,
  updatedAt: new Date(world.now()).toISOString(),
  leaseUntil: new Date(world.now() + ms).toISOString(),
})

/** Keeps the leases of these, and tells what it asks for. */
const keeping = (world: VirtualWorld, items: readonly HeldItem[], onExtended: (id: string, seconds: number) => void) => {
  const over = new AbortController()
  const keeper = createLeaseKeeper({
    world,
    source: {
      extend: async (leases) => {
        for (const [{ id }, seconds] of leases) onExtended(id, seconds)
        return leases.map(() => E.right({ directive: 'normal' } as never))
      },
      extendedMax: 4,
      askDirective: () => Promise.reject(new Error('Nothing has begun.')),
    },
    reachability: createReachability(world, { firstMs: 1, mostMs: 1 }),
    items,
    over: over.signal,
    onLost: () => undefined,
    outage: () => ({ met: () => undefined, over: () => undefined }),
  })
  const end = async (): Promise<void> => {
    over.abort()
    await keeper.ended()
  }
  return { keeper, end }
}

const held = (world: VirtualWorld, id: string, ms: number): HeldItem =>
  holdItem(leasedFor(world, id, ms), { world, isLate: false, onChange: () => undefined, onProblem: () => undefined })

describe('a worker that holds more than one exchange can extend', () => {
  it('extends all of it before half of a lease is over', async () => {
    const world = virtualWorld()
    const items = Array.from({ length: 50 }, (_, index) => held(world, `t${index}`, TERM_MS))
    const extended: string[] = []
    const { keeper, end } = keeping(world, items, (id) => extended.push(id))
    keeper.added()
    world.advance(TERM_MS / 2)
    await settle()
    await settle()
    expect(new Set(extended).size).toBe(50)
    await end()
  })
})

describe('a task that is worked on for months', () => {
  it('is leased for twice as long after each thousand extensions, up to an hour, so that its stream does not fill', async () => {
    const world = virtualWorld()
    const asked: number[] = []
    const item = held(world, 'long', 60_000)
    const { keeper, end } = keeping(world, [item], (_, seconds) => asked.push(seconds))
    keeper.added()
    for (let thousand = 1; thousand <= 8; thousand += 1) {
      item.extensions = thousand * 1_000 - 1
      const before = asked.length
      while (asked.length < before + 3) {
        world.advance(1_000)
        await Promise.resolve()
        if (asked.length > before) await settle()
      }
    }
    expect(asked).toEqual([60, 120, 120, 120, 240, 240, 240, 480, 480, 480, 960, 960, 960, 1_920, 1_920, 1_920, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600])
    await end()
  })
})

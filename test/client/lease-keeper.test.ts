// What keeps the leases of a worker that holds more than one exchange can extend.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { holdItem, type LeasedItem } from '../../src/client/held-item.ts'
import { createLeaseKeeper } from '../../src/client/lease-keeper.ts'
import { createReachability } from '../../src/client/reachability.ts'
import { settle } from '../support/engine.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const TERM_MS = 1_000

describe('a worker that holds more than one exchange can extend', () => {
  it('extends all of it before half of a lease is over', async () => {
    const world = virtualWorld()
    const over = new AbortController()
    const leased = (id: string) =>
      ({
        id,
        lease: `1.${id}`,
        attempt: 1,
        directive: 'normal',
        updatedAt: new Date(world.now()).toISOString(),
        leaseUntil: new Date(world.now() + TERM_MS).toISOString(),
      }) as LeasedItem
    const items = Array.from({ length: 50 }, (_, index) => holdItem(leased(`t${index}`), { world, isLate: false, onChange: () => undefined, onProblem: () => undefined }))
    const extended: string[] = []
    const keeper = createLeaseKeeper({
      world,
      source: {
        extend: async (leases) => {
          extended.push(...leases.map(([{ id }]) => id))
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
    keeper.added()
    world.advance(TERM_MS / 2)
    await settle()
    await settle()
    expect(new Set(extended).size).toBe(50)
    over.abort()
    await keeper.ended()
  })
})

// The lease of an execution at a server: extended at half time, and the handler told when it is lost or an administrator wants it to end. On a clock that stands still.
import { describe, expect, it } from 'vitest'
import { AbortRequested, StintError, Unreachable } from '../../src/client/errors.ts'
import { watchLease, type LeaseWatchOptions } from '../../src/embedded/lease-watch.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const LEASE_MS = 60_000
const staleLease = new StintError({ status: 409, code: 'stale-lease' })

const watched = (given: Partial<LeaseWatchOptions> = {}) => {
  const world = virtualWorld()
  const extended: number[] = []
  const watch = watchLease({
    world,
    workItem: 'request/orders/ann/1',
    leaseMs: LEASE_MS,
    extend: async () => void extended.push(world.monotonic()),
    abortAsked: () => new Promise(() => undefined),
    ...given,
  })
  const aborted = new Promise<unknown>((resolve) => watch.signal.addEventListener('abort', () => resolve(watch.signal.reason)))
  return { world, watch, extended, aborted }
}

describe('the lease of an execution', () => {
  it('is extended at half time, again and again, until it ends', async () => {
    const { world, watch, extended } = watched()
    const start = world.monotonic()
    for (const _ of [1, 2, 3]) {
      await world.until((pending) => pending.some((ms) => ms === LEASE_MS / 2))
      world.advance(LEASE_MS / 2)
    }
    expect(extended.map((at) => at - start)).toEqual([30_000, 60_000, 90_000])
    await world.until((pending) => pending.length === 1)
    watch.end()
    await world.until((pending) => pending.length === 0)
    expect(watch.signal.aborted).toBe(false)
  })

  it('that the server gave to somebody else ends the handler', async () => {
    const { world, aborted } = watched({ extend: () => Promise.reject(staleLease) })
    world.advance(LEASE_MS / 2)
    expect(await aborted).toMatchObject({ name: 'LeaseLost', code: 'stale-lease' })
  })

  it('that cannot be extended while the server is away is lost when its time is over, not before', async () => {
    let tries = 0
    const { world, watch, aborted } = watched({
      extend: () => {
        tries += 1
        return Promise.reject(new Unreachable('http://127.0.0.1', new Error('refused')))
      },
    })
    world.advance(LEASE_MS / 2)
    for (let at = 0; at < 14; at += 1) {
      await world.until((pending) => pending.some((ms) => ms === 2_000))
      world.advance(2_000)
    }
    await world.until((pending) => pending.some((ms) => ms === 2_000))
    expect([tries, watch.signal.aborted]).toEqual([15, false])
    world.advance(2_000)
    expect(await aborted).toMatchObject({ name: 'LeaseLost', code: 'unreachable' })
  })

  it('tells the handler that an administrator wants it to end, and is kept meanwhile', async () => {
    const asked = new AbortRequested(1, 'ann', 'wrong order')
    const { world, aborted, extended } = watched({ abortAsked: async () => asked })
    world.advance(1_000)
    expect(await aborted).toBe(asked)
    world.advance(LEASE_MS / 2)
    expect(extended).toHaveLength(1)
  })

  it('costs no question for a handler that is through within a second', async () => {
    let questions = 0
    const { world, watch } = watched({
      abortAsked: () => {
        questions += 1
        return new Promise(() => undefined)
      },
    })
    world.advance(999)
    watch.end()
    world.advance(LEASE_MS)
    expect(questions).toBe(0)
  })
})

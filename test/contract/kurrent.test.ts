// The store over EventStoreDB keeps the contract, against the wire-level double.
import { afterAll, describe, expect, it } from 'vitest'
import { openKurrentStore } from '../../src/store/kurrent/store.ts'
import { startDouble, type Double } from '../support/kurrent-double/double.ts'
import { exercise } from './event-store.ts'
import { exerciseSharing } from './sharing.ts'

const doubles: Double[] = []
afterAll(() => Promise.all(doubles.map((double) => double.close())))

exercise('kurrent', async (options) => {
  const double = await startDouble()
  doubles.push(double)
  return openKurrentStore({ connectionString: double.connectionString, prefixes: 'all', ...options })
})

exerciseSharing('kurrent', true, async () => {
  const double = await startDouble()
  doubles.push(double)
  const open = () => openKurrentStore({ connectionString: double.connectionString, prefixes: 'all' })
  const first = await open()
  return { first, again: open, close: first.close }
})

describe('the store over EventStoreDB', () => {
  it('says that it has places instead of numbers, no chain and no erasure, and that it is durable and shared', async () => {
    const double = await startDouble()
    doubles.push(double)
    const store = await openKurrentStore({ connectionString: double.connectionString })
    expect(store.capabilities).toEqual({
      densePositions: false,
      globalChain: false,
      erase: false,
      prune: false,
      truncate: true,
      durable: true,
      shared: true,
      maxAppendBytes: 1_000_000,
    })
    await store.close()
  })
})

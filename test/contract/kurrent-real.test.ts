// The store keeps the contract over a real EventStoreDB or KurrentDB too, where there is one: at STINT_TEST_ESDB=esdb://…, or in a container.
import { afterAll, describe, expect, it } from 'vitest'
import { openKurrentStore } from '../../src/store/kurrent/store.ts'
import { realWorld } from '../../src/world.ts'
import { realEsdb } from '../support/real-esdb.ts'
import { exercise } from './event-store.ts'
import { namedView } from './named-view.ts'
import { exerciseSharing } from './sharing.ts'
import { left, put, right, sample, samples } from './samples.ts'

const real = await realEsdb()

if ('missing' in real) {
  describe('kurrent on a real server', () => {
    it('keeps the contract', (context) => context.skip(real.missing))
  })
} else {
  afterAll(() => real.stop())
  const open = async ({ maxAppendBytes = 1_000_000 }: { readonly maxAppendBytes?: number } = {}) => {
    const prefix = `contract${realWorld.token(12)}-`
    const store = await openKurrentStore({ connectionString: real.connectionString, prefixes: [prefix], maxAppendBytes: maxAppendBytes + Buffer.byteLength(prefix) })
    return { store, prefix, view: namedView(store, prefix) }
  }

  exercise(`kurrent on a real server (${real.what})`, async (options) => (await open(options)).view)

  exerciseSharing(`kurrent on a real server (${real.what})`, true, async () => {
    const { store, prefix, view } = await open()
    const again = async () => namedView(await openKurrentStore({ connectionString: real.connectionString, prefixes: [prefix] }), prefix)
    return { first: view, again, close: store.close }
  })

  describe('a real server', () => {
    it('keeps what the double says of truncation and of numbers that go on', async () => {
      const { store, prefix, view } = await open()
      await put(view, 'a', samples(5))
      right(await store.truncate(`${prefix}a`, 4)())
      expect(right(await view.readStream('a')()).map(({ revision }) => revision)).toEqual([4])
      expect(left(await view.append('a', 'noStream', [sample(6)])())).toEqual({ kind: 'conflict', actual: 4 })
      expect(right(await view.append('a', 4, [sample(6)])()).revision).toBe(5)
      await store.close()
    })

    it('refuses a position between two events, as the double does', async () => {
      const { store, view } = await open()
      await put(view, 'a', samples(3))
      const [first] = right(await view.readAll()())
      const position = first?.position ?? ''
      const between = `${position.slice(0, -16)}${String(BigInt(position.slice(-16)) + 7n).padStart(16, '0')}`
      expect(left(await view.readAll({ after: between })())).toMatchObject({ kind: 'foreign-position' })
      await store.close()
    })
  })
}

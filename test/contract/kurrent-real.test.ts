// The store keeps the contract over a real EventStoreDB or KurrentDB too, where there is one: at STINT_TEST_ESDB=esdb://…, or in a container.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openKurrentStore } from '../../src/store/kurrent/store.ts'
import { realWorld } from '../../src/world.ts'
import { openCluster } from '../support/cluster.ts'
import { judge, stormOver } from '../support/cluster-storm.ts'
import { realEsdb } from '../support/real-esdb.ts'
import { exerciseWire } from '../store/kurrent/wire.ts'
import { exercise } from './event-store.ts'
import { namedView } from './named-view.ts'
import { exerciseSharing } from './sharing.ts'
import { left, put, right, sample, samples } from './samples.ts'

const TIMEOUT_MS = 600_000
const TASKS = 300

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

  exerciseWire('a real server', async () => ({ connectionString: real.connectionString, prefix: `wire${realWorld.uuid().slice(-12)}-` }))

  describe('two servers of Stint over a real server', () => {
    it('complete each of some hundred tasks once and lose none while they are killed in turn, and their tables equal a replay', { timeout: TIMEOUT_MS }, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'stint-real-'))
      const queue = { app: `storm${realWorld.uuid().slice(-12)}`, queue: 'tasks' }
      const cluster = await openCluster({ directory: folder, servers: 2, store: real.connectionString })
      // This chance kills one of them, and then both at once.
      const fates = [0.9, 0, 0.1, 0]
      const random = (): number => fates.shift() ?? 0.9
      try {
        const storm = await stormOver({ ...queue, cluster, tasks: TASKS, workers: 2, concurrency: 16, leaseSeconds: 2, kills: 2, workerKills: 1, random })
        const verdict = await judge(cluster, queue)
        expect(verdict.differences).toEqual([])
        expect(verdict.wrong).toEqual([])
        expect(verdict).toMatchObject({ tasks: TASKS, completedOnce: TASKS })
        expect([storm.killed, storm.workersKilled]).toEqual([3, 1])
      } finally {
        await cluster.close()
        rmSync(folder, { recursive: true })
      }
    })
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

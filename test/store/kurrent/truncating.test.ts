// Truncating streams of an EventStoreDB by $tb: at once out of reach, gone from the disk with the next scavenge.
import { describe, expect, it } from 'vitest'
import type { KurrentStore } from '../../../src/store/kurrent/store.ts'
import { TOMBSTONE } from '../../contract/integrity.ts'
import { everything, left, put, right, sample, samples } from '../../contract/samples.ts'
import { kurrentStage, passUntil } from '../../support/kurrent-stage.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()

describe('truncating a stream', () => {
  it('leaves the events from a revision on, and its numbers go on', async () => {
    const store = await stage.store(await stage.double())
    await put(store, 'a', samples(5))
    right(await store.truncate('a', 4)())
    expect(right(await store.readStream('a')()).map(({ revision }) => revision)).toEqual([4])
    expect(right(await store.append('a', 4, [sample(6)])()).revision).toBe(5)
    expect(left(await store.append('a', 'noStream', [sample(7)])())).toEqual({ kind: 'conflict', actual: 5 })
  })

  it('leaves the whole log to be read until a scavenge, and the rest in order after it', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    for (const round of [0, 1, 2]) for (const stream of ['a', 'b']) await put(store, stream, [sample(round)])
    right(await store.truncate('a', 2)())
    const before = await everything(store)
    expect(before.map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
    double.log.scavenge()
    expect(await everything(store)).toEqual(before.filter(({ stream, revision }) => stream === 'b' || revision === 2))
    expect(right(await store.readAll({ after: before[3]?.position ?? '' })())).toEqual(before.slice(4))
  })

  it('goes forwards only, and does nothing when it is repeated', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(5))
    right(await store.truncate('a', 3)())
    const { length } = double.log
    right(await store.truncate('a', 3)())
    right(await store.truncate('a', 1)())
    expect(double.log.length).toBe(length)
    expect(right(await store.readStream('a')()).map(({ revision }) => revision)).toEqual([3, 4])
  })

  it('keeps what else the metadata of the stream says', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(5))
    const metadata = (): unknown => {
      const read = double.log.readStream('$$a', 'end', 1, true)
      return read.kind === 'events' ? JSON.parse(Buffer.from(read.events[0]?.data ?? []).toString()) : undefined
    }
    double.log.append('$$a', 'any', [
      { id: '11111111-1111-4111-8111-111111111111', type: '$metadata', contentType: 'application/json', data: Buffer.from('{"$acl":{"$r":"ops"}}'), metadata: Buffer.alloc(0) },
    ])
    right(await store.truncate('a', 2)())
    expect(metadata()).toEqual({ $acl: { $r: 'ops' }, $tb: 2 })
  })

  it('may be left to the server, which keeps the last events of a stream that says the same again and again, unless it was told before', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(3))
    right(await store.keepLast('a', 2)())
    expect(right(await store.readStream('a')()).map(({ revision }) => revision)).toEqual([1, 2])
    right(await store.keepLast('a', 1)())
    right(await store.append('a', 2, [sample(4)])())
    expect(right(await store.readStream('a')()).map(({ revision }) => revision)).toEqual([2, 3])
    expect(() => store.keepLast('a', 0)).toThrow(RangeError)
  })

  it('is tried again where its answer is lost or others were quicker', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', samples(5))
    double.node.faults.appends.push('timed out before', 'timed out', 'busy')
    right(await passUntil(world, store.truncate('a', 2)()))
    right(
      await passUntil(
        world,
        Promise.all([store.truncate('a', 3)(), store.truncate('a', 4)()]).then(([, second]) => second),
      ),
    )
    expect(right(await store.readStream('a')()).map(({ revision }) => revision)).toEqual([4])
  })

  it('is unavailable where the store is closed, and throws for no revision', async () => {
    const store = await stage.store(await stage.double())
    expect(() => store.truncate('a', -1)).toThrow(RangeError)
    await store.close()
    expect(left(await store.truncate('a', 1)())).toMatchObject({ kind: 'unavailable' })
  })
})

describe('truncating what is erased', () => {
  const owed = async (store: KurrentStore) => right(await store.truncateErased({ tombstone: TOMBSTONE.type, before: right(await store.head()()).position })())
  const erased = async (store: KurrentStore, stream: string): Promise<void> => {
    await put(store, stream, samples(4))
    right(await store.append(stream, 3, [TOMBSTONE])())
  }

  it('is owed over a crash: whoever opens the log next does it, once', async () => {
    const double = await stage.double()
    const crashed = await stage.store(double)
    await erased(crashed, 'a')
    const next = await stage.store(double)
    expect(await owed(next)).toEqual({ truncated: 4 })
    expect(right(await next.readStream('a')()).map(({ revision }) => revision)).toEqual([4])
    // What has been dealt with is not looked at again, neither here nor elsewhere.
    const { appends } = double.node.counts
    expect([await owed(next), await owed(crashed)]).toEqual([{ truncated: 0 }, { truncated: 0 }])
    expect(double.node.counts.appends).toBe(appends)
  })

  it('is owed as long as the server refuses it, also what is erased meanwhile', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await erased(store, 'a')
    double.node.faults.appends.push('denied')
    const before = right(await store.head()()).position
    expect(left(await store.truncateErased({ tombstone: TOMBSTONE.type, before })())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('denies access') })
    await erased(store, 'b')
    expect(await owed(store)).toEqual({ truncated: 8 })
  })

  it('leaves the log shown as it was until a scavenge, and only then without what was erased', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await erased(store, 'a')
    await put(store, 'b', samples(2))
    await owed(store)
    expect(await everything(store)).toHaveLength(7)
    double.log.scavenge()
    expect((await everything(store)).map(({ stream, revision }) => `${stream}${revision}`)).toEqual(['a4', 'b0', 'b1'])
  })

  it('passes over a stream that was deleted by hand', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await erased(store, 'a')
    await erased(store, 'b')
    double.log.tombstone('a', 'any')
    expect(await owed(store)).toEqual({ truncated: 4 })
  })

  it('looks past many events that are none, and some at a time', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'much', samples(1_500))
    for (const stream of ['a', 'b', 'c']) await erased(store, stream)
    await put(store, 'more', samples(1_500))
    const before = right(await store.head()()).position
    const counts: number[] = []
    for (let after: string | undefined; ;) {
      const { truncated, next } = right(await store.truncateErased({ tombstone: TOMBSTONE.type, before, max: 2, ...(after === undefined ? {} : { after }) })())
      counts.push(truncated)
      if (next === undefined) break
      after = next
    }
    expect(counts).toEqual([8, 4])
  })
})

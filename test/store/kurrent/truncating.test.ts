// Truncating streams of an EventStoreDB by $tb: at once out of reach, gone from the disk with the next scavenge.
import { describe, expect, it } from 'vitest'
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

// The part of the event store's contract that is about erasing, and about proving that nothing else has changed. A store may lack either; then it says so.
import { expect, it } from 'vitest'
import { ERASED_DATA } from '../../src/store/port.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { everything, left, put, right, sample, samples, type ContractStore } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

const verified = async (store: ContractStore) => {
  const { readStream, readAll, readChain, head } = store
  if (readChain === undefined) throw new Error('A store with a chain can read it')
  return right(await verifyChain({ readStream, readAll, readChain, head }, { batch: 7 })())
}

export const erases = (make: MakeStore): void => {
  const store = withStore(make)

  it('takes data and payload of one stream and leaves the rest, if it can at all', async () => {
    await put(store(), 'a', [sample(1, { payload: Buffer.from('secret') }), sample(2)])
    await put(store(), 'b', [sample(3)])
    const before = await everything(store())
    const answer = await store().erase('a')()
    if (!store().capabilities.erase) {
      expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
      expect(await everything(store())).toEqual(before)
      return
    }
    expect(right(answer)).toBe(2)
    const expected = before.map(({ payload: _gone, ...event }) => (event.stream === 'a' ? { ...event, data: ERASED_DATA } : event))
    expect(await everything(store())).toEqual(expected)
    expect(right(await store().readStream('a')())).toEqual(expected.slice(0, 2))
  })

  it('counts only what it had not erased yet', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(3))
    expect(right(await store().erase('a')())).toBe(3)
    expect(right(await store().erase('a')())).toBe(0)
    expect(right(await store().erase('nobody')())).toBe(0)
    await put(store(), 'a', [sample(4)])
    expect(right(await store().erase('a')())).toBe(1)
  })

  it('keeps the revision, so that the stream goes on where it was', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(3))
    await store().erase('a')()
    expect(left(await store().append('a', 'noStream', [sample(4)])())).toEqual({ kind: 'conflict', actual: 2 })
    expect(right(await store().append('a', 2, [sample(4)])()).revision).toBe(3)
  })

  it('is in order with appends', async () => {
    if (!store().capabilities.erase) return
    const [, erased] = await Promise.all([store().append('a', 'any', samples(2))(), store().erase('a')(), store().append('a', 'any', [sample(3)])()])
    expect(right(erased)).toBe(2)
    expect((await everything(store())).map(({ data }) => data)).toEqual([ERASED_DATA, ERASED_DATA, sample(3).data])
  })

  it('keeps the chain', async () => {
    if (!store().capabilities.erase || !store().capabilities.globalChain) return
    await put(store(), 'a', [sample(1, { payload: Buffer.from('secret') }), sample(2), sample(3, { payload: new Uint8Array(0) })])
    await put(store(), 'b', samples(20, 4))
    const before = right(await store().head()())
    await store().erase('a')()
    expect(right(await store().head()())).toEqual(before)
    expect(await verified(store())).toEqual({ events: 23, erased: 3, head: before })
    await put(store(), 'a', [sample(30)])
    expect(await verified(store())).toMatchObject({ events: 24, erased: 3 })
  })
}

export const keepsItsChain = (make: MakeStore): void => {
  const store = withStore(make)

  it('has a digest at its head that every event changes, or none at all', async () => {
    const digests = [right(await store().head()()).digest]
    for (let number = 1; number <= 3; number += 1) {
      await put(store(), 'a', [sample(1)])
      digests.push(right(await store().head()()).digest)
    }
    if (!store().capabilities.globalChain) return expect(digests).toEqual(['', '', '', ''])
    expect(new Set(digests).size).toBe(4)
    for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is proved from the first event to the head', async () => {
    if (!store().capabilities.globalChain) return
    const empty = right(await store().head()())
    expect(await verified(store())).toEqual({ events: 0, erased: 0, head: empty })
    await Promise.all(samples(50).map((event, index) => store().append(`s${index % 9}`, 'any', [event, sample(100 + index, { payload: Buffer.from('p') })])()))
    expect(await verified(store())).toEqual({ events: 100, erased: 0, head: right(await store().head()()) })
  })

  it('starts elsewhere in each log', async () => {
    if (!store().capabilities.globalChain) return
    const other = await make()
    expect(right(await store().head()()).digest).not.toBe(right(await other.head()()).digest)
    await other.close()
  })

  it('says what it can do', () => {
    const { densePositions, globalChain, erase, durable, maxAppendBytes } = store().capabilities
    for (const flag of [densePositions, globalChain, erase, durable]) expect(typeof flag).toBe('boolean')
    expect(maxAppendBytes).toBeGreaterThanOrEqual(1024)
    expect(Object.keys(store().capabilities)).toHaveLength(5)
  })
}

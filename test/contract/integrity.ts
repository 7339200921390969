// The part of the event store's contract that is about erasing, and about proving that nothing else has changed. A store may lack either; then it says so.
import { expect, it } from 'vitest'
import { ERASED_DATA } from '../../src/store/port.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { brief, everything, left, put, right, sample, samples, take, type ContractStore } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

export const verified = async (store: ContractStore) => {
  const { readStream, readAll, readChain, readGaps, head } = store
  if (readChain === undefined || readGaps === undefined) throw new Error('A store with a chain can read it')
  return right(await verifyChain({ readStream, readAll, readChain, readGaps, head }, { batch: 7 })())
}

/** What takes the place of what is erased. */
export const TOMBSTONE = sample(999, { type: 'Tombstone', payload: Uint8Array.of(1, 2, 3) })

export const erases = (make: MakeStore): void => {
  const store = withStore(make)

  it('takes data and payload of one stream, puts the tombstone behind it and leaves the rest, if it can at all', async () => {
    await put(store(), 'a', [sample(1, { payload: Buffer.from('secret') }), sample(2)])
    await put(store(), 'b', [sample(3)])
    const before = await everything(store())
    const answer = await store().erase('a', 1, [TOMBSTONE])()
    if (!store().capabilities.erase) {
      expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
      expect(await everything(store())).toEqual(before)
      return
    }
    const { position } = right(await store().head()())
    expect(right(answer)).toEqual({ revision: 2, position, erased: 2 })
    const erased = before.map(({ payload: _gone, ...event }) => (event.stream === 'a' ? { ...event, data: ERASED_DATA } : event))
    const expected = [...erased, { ...TOMBSTONE, stream: 'a', revision: 2, position }]
    expect(await everything(store())).toEqual(expected)
    expect(right(await store().readStream('a')())).toEqual(expected.filter(({ stream }) => stream === 'a'))
  })

  it('counts only what it had not erased yet, the tombstone before among it', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(3))
    expect(right(await store().erase('a', 'any', [TOMBSTONE])()).erased).toBe(3)
    expect(right(await store().erase('a', 'any', [TOMBSTONE, sample(4)])())).toMatchObject({ erased: 1, revision: 5 })
    expect(right(await store().erase('a', 5, [TOMBSTONE])()).erased).toBe(2)
    expect(right(await store().readStream('a')()).map(({ data }) => data === ERASED_DATA)).toEqual([true, true, true, true, true, true, false])
  })

  it('expects a revision as an append does, and erases nothing in a conflict', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(3))
    const before = await everything(store())
    expect(left(await store().erase('a', 1, [TOMBSTONE])())).toEqual({ kind: 'conflict', actual: 2 })
    expect(left(await store().erase('a', 'noStream', [TOMBSTONE])())).toEqual({ kind: 'conflict', actual: 2 })
    expect(left(await store().erase('nobody', 0, [TOMBSTONE])())).toEqual({ kind: 'conflict', actual: -1 })
    expect(await everything(store())).toEqual(before)
  })

  it('throws for what no correct caller asks to erase', () => {
    expect(() => store().erase('a', 'any', [])).toThrow(RangeError)
    expect(() => store().erase('', 'any', [TOMBSTONE])).toThrow(RangeError)
    expect(() => store().erase('a', -1, [TOMBSTONE])).toThrow(RangeError)
  })

  it('keeps the revision, so that the stream goes on where it was', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(3))
    await store().erase('a', 2, [TOMBSTONE])()
    expect(left(await store().append('a', 'noStream', [sample(4)])())).toEqual({ kind: 'conflict', actual: 3 })
    expect(right(await store().append('a', 3, [sample(4)])()).revision).toBe(4)
  })

  it('is in order with appends', async () => {
    if (!store().capabilities.erase) return
    const [before, erased, conflict, after] = await Promise.all([
      store().append('a', 'any', samples(2))(),
      store().erase('a', 1, [TOMBSTONE])(),
      store().erase('a', 1, [TOMBSTONE])(),
      store().append('a', 2, [sample(3)])(),
    ])
    expect(right(erased)).toMatchObject({ revision: 2, erased: 2 })
    expect(left(conflict)).toEqual({ kind: 'conflict', actual: 2 })
    const all = await everything(store())
    expect(all.map(({ data }) => data)).toEqual([ERASED_DATA, ERASED_DATA, TOMBSTONE.data, sample(3).data])
    expect([right(before), right(erased), right(after)].map(({ position }) => position)).toEqual([1, 2, 3].map((index) => all[index]?.position))
  })

  it('is heard of as any append is', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', samples(2))
    const over = new AbortController()
    const { position } = right(await store().head()())
    const heard = store().subscribe({ after: position, signal: over.signal })[Symbol.asyncIterator]()
    expect(brief(await take(heard, 1))).toEqual(['caughtUp'])
    const next = heard.next()
    await store().erase('a', 1, [TOMBSTONE])()
    expect((await next).value).toMatchObject({ type: 'event', event: { type: 'Tombstone', revision: 2 } })
    over.abort()
  })

  it('keeps the chain over what was erased', async () => {
    if (!store().capabilities.erase || !store().capabilities.globalChain) return
    await put(store(), 'a', [sample(1, { payload: Buffer.from('secret') }), sample(2), sample(3, { payload: new Uint8Array(0) })])
    await put(store(), 'b', samples(20, 4))
    await store().erase('a', 2, [TOMBSTONE])()
    expect(await verified(store())).toEqual({ events: 24, erased: 3, pruned: 0, gaps: 0, head: right(await store().head()()) })
    await put(store(), 'a', [sample(30)])
    expect(await verified(store())).toMatchObject({ events: 25, erased: 3 })
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
    expect(await verified(store())).toEqual({ events: 0, erased: 0, pruned: 0, gaps: 0, head: empty })
    await Promise.all(samples(50).map((event, index) => store().append(`s${index % 9}`, 'any', [event, sample(100 + index, { payload: Buffer.from('p') })])()))
    expect(await verified(store())).toEqual({ events: 100, erased: 0, pruned: 0, gaps: 0, head: right(await store().head()()) })
  })

  it('starts elsewhere in each log', async () => {
    if (!store().capabilities.globalChain) return
    const other = await make()
    expect(right(await store().head()()).digest).not.toBe(right(await other.head()()).digest)
    await other.close()
  })

  it('says what it can do', () => {
    const { densePositions, globalChain, erase, prune, truncate, durable, shared, maxAppendBytes } = store().capabilities
    for (const flag of [densePositions, globalChain, erase, prune, truncate, durable, shared]) expect(typeof flag).toBe('boolean')
    if (prune) expect(erase).toBe(true)
    expect(maxAppendBytes).toBeGreaterThanOrEqual(1024)
    expect(Object.keys(store().capabilities)).toHaveLength(8)
  })
}

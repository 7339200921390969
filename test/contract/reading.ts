// The part of the event store's contract that is about reads and positions.
import { expect, it } from 'vitest'
import { foreignPosition } from '../../src/store/port.ts'
import { everything, left, put, right, sample, samples } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

export const reads = (make: MakeStore): void => {
  const store = withStore(make)

  it('finds nothing in an unknown stream or an empty log', async () => {
    expect(right(await store().readStream('nobody')())).toEqual([])
    expect(right(await store().readAll()())).toEqual([])
  })

  it('reads a stream from a revision, at most so many', async () => {
    await put(store(), 'a', samples(10))
    await put(store(), 'ab', samples(2, 11))
    const revisions = async (options: { from?: number; max?: number }) => right(await store().readStream('a', options)()).map(({ revision }) => revision)
    expect(await revisions({})).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(await revisions({ from: 7 })).toEqual([7, 8, 9])
    expect(await revisions({ from: 2, max: 3 })).toEqual([2, 3, 4])
    expect(await revisions({ from: 10 })).toEqual([])
  })

  it('reads the first events of many streams in the order asked, whatever came after them', async () => {
    expect(right(await store().readFirst([])())).toEqual([])
    await put(store(), 'a', samples(3))
    await put(store(), 'ab', samples(2, 4))
    const first = right(await store().readFirst(['ab', 'nobody', 'a', 'ab'])())
    const [a] = right(await store().readStream('a', { max: 1 })())
    const [ab] = right(await store().readStream('ab', { max: 1 })())
    expect(first).toEqual([ab, undefined, a, ab])
    await put(store(), 'nobody', [sample(6)])
    expect(right(await store().readFirst(['nobody'])())).toMatchObject([{ ...sample(6), stream: 'nobody', revision: 0 }])
  })

  it('reads the whole log page by page, each event once and in order', async () => {
    for (const [index, stream] of ['a', 'b', 'a', 'c', 'b'].entries()) await put(store(), stream, samples(5, 1 + 5 * index))
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const page = right(await store().readAll(after === undefined ? { max: 4 } : { after, max: 4 })())
      expect(page.length).toBeLessThanOrEqual(4)
      if (page.length === 0) break
      seen.push(...page.map(({ type }) => type))
      after = page.at(-1)?.position
    }
    expect(seen).toEqual(samples(25).map(({ type }) => type))
  })

  it('answers a thousand events where no number is given', async () => {
    await put(store(), 'a', samples(1_005))
    expect(right(await store().readStream('a')())).toHaveLength(1_000)
    expect(right(await store().readAll()())).toHaveLength(1_000)
  })

  it('finds the head of an empty log before its first event', async () => {
    const empty = right(await store().head()())
    expect(Object.keys(empty).toSorted()).toEqual(['digest', 'incarnation', 'position', 'storeId'])
    expect(empty.storeId).not.toBe('')
    expect(foreignPosition(empty.position, empty.incarnation)).toBeUndefined()
    await put(store(), 'a', [sample(1)])
    const [first] = right(await store().readAll({ after: empty.position })())
    expect(first?.type).toBe('Sample1')
    expect((first?.position ?? '') > empty.position).toBe(true)
    expect(right(await store().head()())).toMatchObject({ storeId: empty.storeId, incarnation: empty.incarnation, position: first?.position })
  })
}

export const positions = (make: MakeStore): void => {
  const store = withStore(make)

  it('orders positions as strings in log order, all of one incarnation', async () => {
    for (let index = 0; index < 12; index += 1) await put(store(), `s${index % 5}`, samples(1 + (index % 3), index * 3))
    const all = (await everything(store())).map(({ position }) => position)
    const { incarnation } = right(await store().head()())
    expect(all).toEqual([...new Set(all)].toSorted())
    expect(all.map((position) => foreignPosition(position, incarnation))).toEqual(all.map(() => undefined))
    expect(incarnation).toMatch(/^[0-9a-z]{8}$/)
    if (!store().capabilities.densePositions) return
    expect(all.map((position) => Number(position.slice(position.indexOf('.') + 1)))).toEqual(all.map((_, index) => index + 1))
  })

  it('gives dense positions within a group of appends too', async () => {
    await Promise.all(Array.from({ length: 200 }, (_, index) => store().append(`s${index % 7}`, index % 2 === 0 ? 'any' : 'noStream', samples(2, index))()))
    const all = await everything(store())
    if (store().capabilities.densePositions) expect(all.map(({ position }) => Number(position.slice(-16)))).toEqual(all.map((_, index) => index + 1))
    const revisions = Map.groupBy(all, ({ stream }) => stream)
    for (const events of revisions.values()) expect(events.map(({ revision }) => revision)).toEqual(events.map((_, index) => index))
  })

  it('refuses a position of another log and what is none', async () => {
    await put(store(), 'a', [sample(1)])
    const { position, incarnation } = right(await store().head()())
    const other = `${incarnation === 'zzzzzzzz' ? 'yyyyyyyy' : 'zzzzzzzz'}${position.slice(incarnation.length)}`
    for (const after of [other, '', '1', `${incarnation}.1`, `${position}0`]) {
      expect(left(await store().readAll({ after })())).toMatchObject({ name: 'StoreFault', kind: 'foreign-position' })
    }
  })

  it('has nothing beyond the end', async () => {
    await put(store(), 'a', [sample(1)])
    const { incarnation } = right(await store().head()())
    expect(right(await store().readAll({ after: `${incarnation}.${'9'.repeat(15)}0` })())).toEqual([])
  })
}

// What a store that is shared promises to those who have it open together; and that one which is not shared is never open twice.
import { describe, expect, it } from 'vitest'
import type { EventStore } from '../../src/store/port.ts'
import { brief, everything, left, right, sample, samples, take } from './samples.ts'

/** A log that may be opened again and again. */
export interface Openings {
  /** Another opening of the same log, or a refusal. */
  readonly again: () => Promise<EventStore>
  readonly first: EventStore
  readonly close: () => Promise<void>
}

const both = async (open: () => Promise<Openings>, run: (first: EventStore, second: EventStore) => Promise<void>): Promise<void> => {
  const { first, again, close } = await open()
  const second = await again()
  await run(first, second)
  await second.close()
  await close()
}

const isShared = (name: string, open: () => Promise<Openings>): void => {
  describe(`${name}, which says that it is shared`, () => {
    it('is one log, with one life and one end, however often it is opened', () =>
      both(open, async (first, second) => {
        right(await first.append('a', 'noStream', samples(2))())
        right(await second.append('b', 'noStream', samples(1, 3))())
        expect(right(await second.head()())).toEqual(right(await first.head()()))
        expect(await everything(second)).toEqual(await everything(first))
        expect((await everything(first)).map(({ stream }) => stream)).toEqual(['a', 'a', 'b'])
      }))

    it('lets one of two get through that expect the same revision, and tells the other where the stream is', () =>
      both(open, async (first, second) => {
        right(await first.append('a', 'noStream', [sample(1)])())
        const tried = await Promise.all([first.append('a', 0, [sample(2)])(), second.append('a', 0, [sample(3)])()])
        expect(tried.map(({ _tag }) => _tag).toSorted()).toEqual(['Left', 'Right'])
        const lost = tried.find(({ _tag }) => _tag === 'Left')
        expect(lost === undefined ? undefined : left(lost)).toEqual({ kind: 'conflict', actual: 1 })
        expect(right(await first.readStream('a')())).toHaveLength(2)
      }))

    it('appends for those who expect nothing, whoever was there meanwhile', () =>
      both(open, async (first, second) => {
        const sent = samples(40).map((event, index) => (index % 2 === 0 ? first : second).append('a', 'any', [event])())
        for (const answer of await Promise.all(sent)) right(answer)
        const kept = right(await first.readStream('a')())
        expect(kept.map(({ revision }) => revision)).toEqual(kept.map((_, index) => index))
        expect(kept.map(({ id }) => id).toSorted()).toEqual(samples(40).map(({ id }) => id))
      }))

    it('tells a follower what any of them has appended, in the order in which it reads', () =>
      both(open, async (first, second) => {
        const over = new AbortController()
        const heard = second.subscribe({ signal: over.signal })[Symbol.asyncIterator]()
        expect(brief(await take(heard, 1))).toEqual(['caughtUp'])
        for (const [index, event] of samples(6).entries()) right(await (index % 2 === 0 ? first : second).append(`s${index % 3}`, 'any', [event])())
        const types: string[] = []
        while (types.length < 6) types.push(...brief(await take(heard, 1)).filter((type) => type !== 'caughtUp'))
        expect(types).toEqual((await everything(first)).map(({ type }) => type))
        over.abort()
      }))
  })
}

const isNotShared = (name: string, open: () => Promise<Openings>): void => {
  describe(`${name}, which says that it is not shared`, () => {
    it('refuses whoever opens it a second time', async () => {
      const { again, close } = await open()
      await expect(again()).rejects.toMatchObject({ problem: 'in-use' })
      await close()
    })
  })
}

/** Holds a store to what it says of itself. */
export const exerciseSharing = (name: string, shared: boolean, open: () => Promise<Openings>): void => {
  if (shared) isShared(name, open)
  else isNotShared(name, open)
  it(`${name} says whether it is shared as it was tried`, async () => {
    const { first, close } = await open()
    expect(first.capabilities.shared).toBe(shared)
    await close()
  })
}

// The part of the event store's contract that is about following the log.
import { expect, it } from 'vitest'
import { brief, everything, put, right, sample, samples, take } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

/** A signal that a test ends, and the subscription that hangs on it. */
const subscribed = (store: ReturnType<ReturnType<typeof withStore>>, after?: string) => {
  const ending = new AbortController()
  const options = after === undefined ? { signal: ending.signal } : { signal: ending.signal, after }
  return { items: store.subscribe(options)[Symbol.asyncIterator](), end: () => ending.abort() }
}

export const subscribes = (make: MakeStore): void => {
  const store = withStore(make)

  it('yields what is there, says that it has caught up, and goes on with what comes', async () => {
    await put(store(), 'a', samples(2))
    const { items, end } = subscribed(store())
    const first = await take(items, 3)
    expect(brief(first)).toEqual(['Sample1', 'Sample2', 'caughtUp'])
    const all = await everything(store())
    expect(first).toEqual([...all.map((event) => ({ type: 'event', event })), { type: 'caughtUp', position: all[1]?.position }])
    const waiting = take(items, 2)
    await put(store(), 'b', [sample(3)])
    const head = right(await store().head()())
    const second = await waiting
    expect(brief(second)).toEqual(['Sample3', 'caughtUp'])
    expect(second[1]).toEqual({ type: 'caughtUp', position: head.position })
    end()
    expect((await items.next()).done).toBe(true)
  })

  it('catches up with an empty log at the position before the first event', async () => {
    const { items, end } = subscribed(store())
    expect(await take(items, 1)).toEqual([{ type: 'caughtUp', position: right(await store().head()()).position }])
    end()
  })

  it('resumes after a position, each event once', async () => {
    await put(store(), 'a', samples(5))
    const [, , third] = await everything(store())
    const { items, end } = subscribed(store(), third?.position)
    expect(brief(await take(items, 3))).toEqual(['Sample4', 'Sample5', 'caughtUp'])
    end()
  })

  it('loses and doubles nothing while appends go on', async () => {
    const { items, end } = subscribed(store())
    const seen: string[] = []
    const following = (async () => {
      while (seen.length < 300) {
        const { value } = await items.next()
        if (value?.type === 'event') seen.push(value.event.position)
      }
    })()
    for (let round = 0; round < 30; round += 1) await Promise.all(samples(10).map((event, index) => store().append(`s${index}`, 'any', [event])()))
    await following
    end()
    expect(seen).toEqual((await everything(store())).map(({ position }) => position))
  })

  it('crosses page after page of a long log', async () => {
    await put(store(), 'a', samples(2_500))
    const { items, end } = subscribed(store())
    const taken = brief(await take(items, 2_501))
    end()
    expect(taken).toEqual([...samples(2_500).map(({ type }) => type), 'caughtUp'])
  })

  it('serves several readers, each at its own pace', async () => {
    await put(store(), 'a', samples(3))
    const slow = subscribed(store())
    const fast = subscribed(store())
    expect(brief(await take(slow.items, 1))).toEqual(['Sample1'])
    expect(brief(await take(fast.items, 4))).toEqual(['Sample1', 'Sample2', 'Sample3', 'caughtUp'])
    await put(store(), 'a', [sample(4)])
    expect(brief(await take(fast.items, 2))).toEqual(['Sample4', 'caughtUp'])
    expect(brief(await take(slow.items, 4))).toContain('Sample4')
    slow.end()
    fast.end()
  })

  it('does not repeat that it has caught up when only conflicts happen', async () => {
    const { items, end } = subscribed(store())
    await take(items, 1)
    const waiting = take(items, 1)
    await store().append('a', 4, [sample(1)])()
    await put(store(), 'a', [sample(2)])
    expect(brief(await waiting)).toEqual(['Sample2'])
    end()
  })

  it('ends quietly when it is aborted, before, while and after it waits', async () => {
    const before = AbortSignal.abort()
    expect((await store().subscribe({ signal: before })[Symbol.asyncIterator]().next()).done).toBe(true)
    const { items, end } = subscribed(store())
    await take(items, 1)
    const waiting = items.next()
    end()
    expect((await waiting).done).toBe(true)
    expect((await items.next()).done).toBe(true)
  })

  it('throws for a position of another log', async () => {
    const { items } = subscribed(store(), 'zzzzzzzz.0000000000000001')
    await expect(items.next()).rejects.toMatchObject({ name: 'StoreFault', kind: 'foreign-position' })
  })

  it('throws when the store is closed under it', async () => {
    const { items } = subscribed(store())
    await take(items, 1)
    const [waiting] = await Promise.allSettled([items.next(), store().close()])
    expect(waiting).toMatchObject({ status: 'rejected', reason: { name: 'StoreFault', kind: 'unavailable' } })
  })
}

// The part of the event store's contract that is about large appends, many appends, and the end.
import { expect, it } from 'vitest'
import { everything, left, put, right, sample, samples } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

const LIMIT = 10_000

export const limitsSize = (make: MakeStore): void => {
  const store = withStore(make, { maxAppendBytes: LIMIT })
  const bytesOf = (stream: string, { id, type, data, meta }: ReturnType<typeof sample>): number => Buffer.byteLength(stream + id + type + data + meta)

  it('takes an append of exactly the limit and refuses one byte more', async () => {
    const rest = LIMIT - bytesOf('ä', sample(1))
    expect(left(await store().append('ä', 'any', [sample(1, { payload: new Uint8Array(rest + 1) })])())).toEqual({ kind: 'tooLarge', limitBytes: LIMIT })
    expect(await everything(store())).toEqual([])
    expect(right(await store().append('ä', 'any', [sample(1, { payload: new Uint8Array(rest) })])()).revision).toBe(0)
  })

  it('counts the bytes of all events of an append together, in UTF-8', async () => {
    const large = sample(1, { data: JSON.stringify('é'.repeat(LIMIT / 4)) })
    expect(left(await store().append('a', 'any', [large, large])())).toEqual({ kind: 'tooLarge', limitBytes: LIMIT })
    expect(right(await store().append('a', 'any', [large])()).revision).toBe(0)
  })

  it('looks at the size before it looks at the revision', async () => {
    expect(left(await store().append('a', 7, [sample(1, { payload: new Uint8Array(LIMIT) })])())).toEqual({ kind: 'tooLarge', limitBytes: LIMIT })
  })

  it('holds for tombstones too, and erases nothing then', async () => {
    if (!store().capabilities.erase) return
    await put(store(), 'a', [sample(1)])
    expect(left(await store().erase('a', 0, [sample(2, { payload: new Uint8Array(LIMIT) })])())).toEqual({ kind: 'tooLarge', limitBytes: LIMIT })
    expect((await everything(store())).map(({ data }) => data)).toEqual([sample(1).data])
  })

  it('says its limit', () => {
    expect(store().capabilities.maxAppendBytes).toBe(LIMIT)
  })
}

export const takesMuch = (make: MakeStore): void => {
  const store = withStore(make)

  it('appends five thousand events at once', async () => {
    expect((await put(store(), 'a', samples(5_000))).revision).toBe(4_999)
    const read = right(await store().readStream('a', { max: 10_000 })())
    expect(read.map(({ type }) => type)).toEqual(samples(5_000).map(({ type }) => type))
  })

  it('appends to two thousand streams at once', async () => {
    const answers = await Promise.all(samples(2_000).map((event, index) => store().append(`s${index}`, 'noStream', [event])()))
    expect(answers.map((answer) => right(answer).revision)).toEqual(answers.map(() => 0))
    expect(answers.map((answer) => right(answer).position)).toEqual((await everything(store())).map(({ position }) => position))
  })

  it('keeps a payload of eight million bytes, or the largest that it takes', async () => {
    const payload = Buffer.alloc(Math.min(8_000_000, store().capabilities.maxAppendBytes - 1_000), 'stint ')
    await put(store(), 'a', [sample(1, { payload })])
    expect(payload.equals((await everything(store()))[0]?.payload ?? new Uint8Array(0))).toBe(true)
  })
}

export const closes = (make: MakeStore): void => {
  const store = withStore(make)

  it('settles what is in flight', async () => {
    const underWay = samples(20).map((event) => store().append('a', 'any', [event])())
    await store().close()
    expect((await Promise.all(underWay)).map((answer) => right(answer).revision)).toEqual(samples(20).map((_, index) => index))
  })

  it('answers unavailable afterwards, to everything', async () => {
    const { position: before } = right(await store().head()())
    await store().close()
    const asked = [
      store().append('a', 'any', [sample(1)])(),
      store().readStream('a')(),
      store().readFirst(['a'])(),
      store().readAll()(),
      store().head()(),
      store().erase('a', 'any', [sample(1)])(),
      store().prune({ before })(),
    ]
    for (const answer of await Promise.all<Promise<Parameters<typeof left>[0]>>(asked)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
  })

  it('can be closed again', async () => {
    await store().close()
    await expect(store().close()).resolves.toBeUndefined()
  })
}

// The part of the event store's contract that is about appends and the revisions they expect.
import { expect, it } from 'vitest'
import { everything, left, put, right, sample, samples } from './samples.ts'
import { withStore, type MakeStore } from './store-under-test.ts'

export const appends = (make: MakeStore): void => {
  const store = withStore(make)

  it('answers with revision and position of the last event written', async () => {
    const first = await put(store(), 'a', samples(3))
    expect(first).toEqual({ revision: 2, position: right(await store().head()()).position })
    expect(Object.keys(first).toSorted()).toEqual(['position', 'revision'])
    const second = await put(store(), 'a', [sample(4)])
    expect(second.revision).toBe(3)
    expect(second.position > first.position).toBe(true)
  })

  it('keeps every field as it was given', async () => {
    const payload = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const events = [sample(1), sample(2, { payload })]
    await put(store(), 'a', events)
    const read = right(await store().readStream('a')())
    const all = await everything(store())
    expect(read).toEqual(all)
    expect(read).toEqual(events.map((event, revision) => ({ ...event, stream: 'a', revision, position: all[revision]?.position })))
    expect(read[1]?.payload).toEqual(payload)
  })

  it('keeps the bytes of a payload that is part of a larger buffer', async () => {
    const whole = Buffer.from('before-payload-after')
    await put(store(), 'a', [sample(1, { payload: whole.subarray(7, 14) })])
    const [read] = await everything(store())
    expect(Buffer.from(read?.payload ?? []).toString()).toBe('payload')
  })

  it('tells an empty payload from none', async () => {
    await put(store(), 'a', [sample(1, { payload: new Uint8Array(0) })])
    await put(store(), 'a', [sample(2)])
    const [empty, none] = await everything(store())
    expect(empty?.payload).toEqual(new Uint8Array(0))
    expect(none !== undefined && 'payload' in none).toBe(false)
  })

  it('keeps text of any script, in any field', async () => {
    const text = '{"t":"žluťoučký 中文 😀 \u2028 \\u0000 \u0085 ´"}'
    const stream = 'workItem-job/ä%2F😀 \n\0"\''
    const event = sample(1, { id: 'i-😀', type: 'Übergabe', data: text, meta: text })
    await put(store(), stream, [event])
    expect(right(await store().readStream(stream)())).toMatchObject([{ ...event, stream }])
  })

  it('keeps times before 1970 and far ahead', async () => {
    await put(store(), 'a', [sample(1, { time: -1 }), sample(2, { time: 8_640_000_000_000_000, v: 2_147_483_648 })])
    expect((await everything(store())).map(({ time, v }) => [time, v])).toEqual([
      [-1, 2],
      [8_640_000_000_000_000, 2_147_483_648],
    ])
  })

  it('throws for what no correct caller asks', () => {
    expect(() => store().append('a', 'any', [])).toThrow(RangeError)
    expect(() => store().append('', 'any', [sample(1)])).toThrow(RangeError)
    expect(() => store().append('a', -1, [sample(1)])).toThrow(RangeError)
    expect(() => store().append('a', 0.5, [sample(1)])).toThrow(RangeError)
    expect(() => store().append('a', 'any', [sample(1, { time: 0.5 })])).toThrow(RangeError)
    expect(() => store().append('a', 'any', [sample(1, { v: Number.NaN })])).toThrow(RangeError)
    expect(() => store().append('a\ud800', 'any', [sample(1)])).toThrow(RangeError)
    for (const field of ['id', 'type', 'data', 'meta']) expect(() => store().append('a', 'any', [sample(1, { [field]: '"\udc00"' })])).toThrow(RangeError)
  })

  it('does nothing before it is run, and appends again each time it is', async () => {
    const append = store().append('a', 'any', [sample(1)])
    expect(await everything(store())).toEqual([])
    await append()
    await append()
    expect((await everything(store())).map(({ revision }) => revision)).toEqual([0, 1])
  })
}

export const expectsRevisions = (make: MakeStore): void => {
  const store = withStore(make)

  it('takes noStream only for a stream without events', async () => {
    expect(right(await store().append('a', 'noStream', samples(2))()).revision).toBe(1)
    expect(left(await store().append('a', 'noStream', [sample(3)])())).toEqual({ kind: 'conflict', actual: 1 })
    expect(right(await store().append('b', 'noStream', [sample(4)])()).revision).toBe(0)
  })

  it('takes a number only if it is the last revision', async () => {
    await put(store(), 'a', samples(2))
    expect(left(await store().append('a', 0, [sample(3)])())).toEqual({ kind: 'conflict', actual: 1 })
    expect(left(await store().append('a', 2, [sample(3)])())).toEqual({ kind: 'conflict', actual: 1 })
    expect(right(await store().append('a', 1, [sample(3)])()).revision).toBe(2)
  })

  it('answers -1 for a stream that has no event', async () => {
    expect(left(await store().append('a', 0, [sample(1)])())).toEqual({ kind: 'conflict', actual: -1 })
    expect(await everything(store())).toEqual([])
  })

  it('takes any always', async () => {
    expect(right(await store().append('a', 'any', [sample(1)])()).revision).toBe(0)
    expect(right(await store().append('a', 'any', [sample(2)])()).revision).toBe(1)
  })

  it('decides what is sent one after another in that order', async () => {
    const answers = await Promise.all([store().append('a', 'noStream', [sample(1)])(), store().append('a', 0, [sample(2), sample(3)])(), store().append('a', 2, [sample(4)])()])
    expect(answers.map((answer) => right(answer).revision)).toEqual([0, 2, 3])
    expect((await everything(store())).map(({ type }) => type)).toEqual(['Sample1', 'Sample2', 'Sample3', 'Sample4'])
  })

  it('fails a conflicting append alone, and all of it', async () => {
    await put(store(), 'a', [sample(1)])
    const [before, conflict, after, unaware] = await Promise.all([
      store().append('b', 'noStream', [sample(2, { payload: Buffer.from('two') })])(),
      store().append('a', 'noStream', [sample(3, { payload: Buffer.from('three') }), sample(4)])(),
      store().append('a', 0, [sample(5, { payload: Buffer.from('five') })])(),
      store().append('a', 0, [sample(6)])(),
    ])
    expect(right(before).revision).toBe(0)
    expect(left(conflict)).toEqual({ kind: 'conflict', actual: 0 })
    expect(right(after).revision).toBe(1)
    expect(left(unaware)).toEqual({ kind: 'conflict', actual: 1 })
    const all = await everything(store())
    expect(all.map(({ type, stream, revision, payload }) => [type, stream, revision, payload && Buffer.from(payload).toString()])).toEqual([
      ['Sample1', 'a', 0, undefined],
      ['Sample2', 'b', 0, 'two'],
      ['Sample5', 'a', 1, 'five'],
    ])
    expect([right(before).position, right(after).position]).toEqual(all.slice(1).map(({ position }) => position))
  })

  it('has one winner among many that expect the same', async () => {
    const answers = await Promise.all(samples(50).map((event) => store().append('a', 'noStream', [event])()))
    expect(answers.filter((answer) => answer._tag === 'Right')).toHaveLength(1)
    expect(answers.slice(1).map(left)).toEqual(answers.slice(1).map(() => ({ kind: 'conflict', actual: 0 })))
  })
}

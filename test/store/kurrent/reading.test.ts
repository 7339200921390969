// Reads over EventStoreDB: what was met on a real server with missing, deleted and truncated streams, with events of others, and with failures that pass.
import { describe, expect, it } from 'vitest'
import type { EventStore } from '../../../src/store/port.ts'
import type { ReadFault } from '../../support/kurrent-double/faults.ts'
import type { Double } from '../../support/kurrent-double/double.ts'
import { everything, left, put, right, sample, samples } from '../../contract/samples.ts'
import { kurrentStage, pass, passUntil } from '../../support/kurrent-stage.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()

/** What a program that is not Stint writes. */
const strange = (type: string, data = '{}') => ({
  id: '11111111-1111-4111-8111-111111111111',
  type,
  contentType: 'application/json',
  data: Buffer.from(data),
  metadata: Buffer.from('{}'),
})

const setMetadata = (double: Double, stream: string, metadata: Readonly<Record<string, unknown>>): unknown =>
  double.log.append(`$$${stream}`, 'any', [{ ...strange('$metadata', JSON.stringify(metadata)), id: `22222222-2222-4222-8222-${String(double.log.length).padStart(12, '0')}` }])

const revisions = async (store: EventStore, stream: string, options: { from?: number; max?: number } = {}): Promise<readonly number[]> =>
  right(await store.readStream(stream, options)()).map(({ revision }) => revision)

describe('reading a stream', () => {
  it('that was deleted softly finds nothing, and appends go on with its numbers', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(3))
    double.log.deleteSoftly('a', 'any')
    expect(await revisions(store, 'a')).toEqual([])
    expect(right(await store.append('a', 'noStream', [sample(4)])()).revision).toBe(3)
    expect(await revisions(store, 'a')).toEqual([3])
  })

  it('that was deleted for good says so, as does appending to it', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', [sample(1)])
    double.log.tombstone('a', 'any')
    expect(left(await store.readStream('a')())).toMatchObject({ kind: 'damaged', message: expect.stringContaining('deleted in EventStoreDB by hand') })
    expect(left(await store.append('a', 0, [sample(2)])())).toMatchObject({ kind: 'damaged' })
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1'])
  })

  it('that was truncated begins where it is left, and its revisions go on', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(5))
    setMetadata(double, 'a', { $tb: 3 })
    expect([await revisions(store, 'a'), await revisions(store, 'a', { from: 1, max: 1 }), await revisions(store, 'a', { from: 9 })]).toEqual([[3, 4], [3], []])
    expect(right(await store.readFirst(['a'])())).toMatchObject([{ revision: 3 }])
    expect(left(await store.append('a', 'noStream', [sample(6)])())).toEqual({ kind: 'conflict', actual: 4 })
    expect(right(await store.append('a', 4, [sample(6)])()).revision).toBe(5)
  })

  it('that keeps so many events shows the last of them', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(5))
    setMetadata(double, 'a', { $maxCount: 2 })
    expect(await revisions(store, 'a')).toEqual([3, 4])
    expect(right(await store.append('a', 4, [sample(6)])()).revision).toBe(5)
    expect(await revisions(store, 'a')).toEqual([4, 5])
  })

  it('of which nothing is wanted asks nothing, as the server takes 0 for an error', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', [sample(1)])
    const { reads } = double.node.counts
    expect(await revisions(store, 'a', { max: 0 })).toEqual([])
    expect(double.node.counts.reads).toBe(reads)
  })

  it('leaves no call open, however many there were', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(100))
    const firsts = right(await store.readFirst(Array.from({ length: 300 }, (_, index) => (index % 2 === 0 ? 'a' : `no${index}`)))())
    expect(firsts.map((event) => event?.revision)).toEqual(firsts.map((_, index) => (index % 2 === 0 ? 0 : undefined)))
    for (let round = 0; round < 150; round += 1) expect(await revisions(store, 'a', { max: 1 })).toEqual([0])
    expect(double.node.counts.connections).toBe(1)
  })
})

describe('what others have written', () => {
  it('is not seen: the server, its projections and other programs', async () => {
    const double = await stage.double()
    const store = await stage.store(double, { prefixes: ['workItem-', 'queue-'] })
    await put(store, 'workItem-a', [sample(1)])
    double.log.append('orders-17', 'any', [strange('OrderPlaced')])
    setMetadata(double, 'workItem-a', { $maxCount: 10 })
    double.log.append('$ce-workItem', 'any', [{ ...strange('$>'), id: '33333333-3333-4333-8333-333333333333' }])
    await put(store, 'queue-a', [sample(2)])
    for (let index = 0; index < 50; index += 1)
      double.log.append('orders-18', 'any', [{ ...strange('OrderPlaced'), id: `44444444-4444-4444-8444-${String(index).padStart(12, '0')}` }])
    const all = await everything(store)
    expect(all.map(({ stream }) => stream)).toEqual(['workItem-a', 'queue-a'])
    expect(right(await store.head()()).position).toBe(all[1]?.position)
    expect(right(await store.readStream('orders-17')())).toEqual([])
  })

  it('may not be appended to, as it would never be seen again', async () => {
    const store = await stage.store(await stage.double(), { prefixes: ['workItem-'] })
    expect(() => store.append('orders-17', 'any', [sample(1)])).toThrow(RangeError)
    expect(() => store.append('stint-log', 'any', [sample(1)])).toThrow(RangeError)
    expect(() => store.append('$ce-workItem', 'any', [sample(1)])).toThrow(RangeError)
  })

  it('is damage in a stream of ours, and is named', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    double.log.append('workItem-a', 'any', [strange('OrderPlaced')])
    const named = { kind: 'damaged', message: expect.stringMatching(/OrderPlaced .*workItem-a was not written by Stint/) }
    expect(left(await store.readStream('workItem-a')())).toMatchObject(named)
    expect(left(await store.readAll()())).toMatchObject(named)
  })
})

describe('a read that fails', () => {
  for (const fault of ['dropped', 'not ready', 'internal', 'exhausted'] satisfies readonly ReadFault[]) {
    it(`for what may pass is made again: ${fault}`, async () => {
      const double = await stage.double()
      const world = virtualWorld()
      const store = await stage.store(double, { world })
      await put(store, 'a', samples(3))
      for (const read of [() => store.readStream('a')(), () => store.readAll()(), () => store.head()(), () => store.readFirst(['a'])()]) {
        double.node.faults.reads.push(fault)
        expect((await passUntil<{ readonly _tag: string }>(world, read()))._tag).toBe('Right')
      }
    })
  }

  it('because nothing is said for too long is made again', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', samples(3))
    double.node.faults.reads.push('silent')
    const came = double.node.arrived('read')
    const reading = store.readStream('a')()
    await came
    await pass(world, 5_000)
    expect(right(await passUntil(world, reading))).toHaveLength(3)
  })

  it('because the user may not read says what to look at', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    double.node.faults.reads.push('denied')
    expect(left(await store.readStream('a')())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('denies access') })
  })

  it('from a position where no event is says that it is none of this log', async () => {
    const store = await stage.store(await stage.double())
    await put(store, 'a', samples(3))
    const [first] = await everything(store)
    const position = first?.position ?? ''
    const between = `${position.slice(0, -16)}${String(BigInt(position.slice(-16)) + 7n).padStart(16, '0')}`
    expect(left(await store.readAll({ after: between })())).toMatchObject({ kind: 'foreign-position' })
  })

  it('is unavailable once the store is closed under it', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    double.node.faults.reads.push('silent')
    const came = double.node.arrived('read')
    const reading = store.readStream('a')()
    await came
    await store.close()
    expect(left(await reading)).toMatchObject({ kind: 'unavailable' })
  })
})

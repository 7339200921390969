// Appends over EventStoreDB when things go wrong: nothing that may be stored is reported as failed, nothing is stored twice, and what was met on a real server
// is met here.
import { describe, expect, it } from 'vitest'
import type { AppendFault } from '../../support/kurrent-double/faults.ts'
import { everything, left, put, right, sample, samples } from '../../contract/samples.ts'
import { kurrentStage, pass, passUntil, reached } from '../../support/kurrent-stage.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()
const DEADLINE_MS = 5_000
const PATIENCE_MS = 10_000

describe('an append whose answer is lost', () => {
  /** What goes wrong, and whether the append is stored by the attempt that it goes wrong with. Those that are not answered at all need the deadline. */
  const faults: readonly (readonly [AppendFault, boolean, 'answered' | 'silent'])[] = [
    ['lost', true, 'silent'],
    ['ignored', false, 'silent'],
    ['dropped after', true, 'answered'],
    ['dropped before', false, 'answered'],
    ['timed out', true, 'answered'],
    ['timed out before', false, 'answered'],
    ['unknown', true, 'answered'],
    ['busy', false, 'answered'],
    ['not ready', false, 'answered'],
  ]
  for (const [fault, , kind] of faults) {
    it(`is stored once and answered as such: ${fault}`, async () => {
      const double = await stage.double()
      const world = virtualWorld()
      const store = await stage.store(double, { world })
      await put(store, 'a', [sample(1)])
      double.node.faults.appends.push(fault)
      const came = double.node.arrived('append')
      const appending = store.append('a', 0, samples(2, 2))()
      await came
      if (kind === 'silent') await pass(world, DEADLINE_MS)
      const appended = right(await passUntil(world, appending))
      expect(appended.revision).toBe(2)
      const all = await everything(store)
      expect(all.map(({ type }) => type)).toEqual(['Sample1', 'Sample2', 'Sample3'])
      expect(appended.position).toBe(all[2]?.position)
    })
  }

  it('is sent again only where it was not stored', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    const before = double.node.counts.appends
    for (const [fault, isStored] of faults.filter(([, , kind]) => kind === 'answered')) {
      const from = double.node.counts.appends
      double.node.faults.appends.push(fault)
      right(await passUntil(world, store.append(`of ${fault}`, 'noStream', [sample(1)])()))
      expect([fault, double.node.counts.appends - from]).toEqual([fault, isStored ? 1 : 2])
    }
    expect(double.node.counts.appends).toBeGreaterThan(before)
  })

  it('is found behind what others have appended meanwhile', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const [store, other] = [await stage.store(double, { world }), await stage.store(double, { world: virtualWorld({ seed: 2 }) })]
    double.node.faults.appends.push('lost')
    const came = double.node.arrived('append')
    const appending = store.append('a', 'noStream', samples(2))()
    await came
    await put(other, 'a', samples(3, 10))
    await pass(world, DEADLINE_MS)
    expect(right(await passUntil(world, appending)).revision).toBe(1)
  })

  it('is a conflict if others are where it would be', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const [store, other] = [await stage.store(double, { world }), await stage.store(double, { world: virtualWorld({ seed: 2 }) })]
    double.node.faults.appends.push('ignored')
    const came = double.node.arrived('append')
    const appending = store.append('a', 'noStream', samples(2))()
    await came
    await put(other, 'a', samples(3, 10))
    await pass(world, DEADLINE_MS)
    expect(left(await passUntil(world, appending))).toEqual({ kind: 'conflict', actual: 2 })
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample10', 'Sample11', 'Sample12'])
  })

  it('keeps its place before those that were sent after it to the same stream', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    double.node.faults.appends.push('ignored')
    const came = double.node.arrived('append')
    const all = [store.append('a', 'any', [sample(1)])(), store.append('a', 'any', [sample(2)])(), store.append('b', 'any', [sample(3)])(), store.append('a', 2, [sample(4)])()]
    await came
    // What is for another stream does not wait for it.
    expect(right((await all[2]) as Awaited<(typeof all)[0]>).revision).toBe(0)
    await pass(world, DEADLINE_MS)
    const answers = await passUntil(world, Promise.all([all[0], all[1]]))
    expect(answers.map((answer) => right(answer as Awaited<(typeof all)[0]>).revision)).toEqual([0, 1])
    expect(left((await all[3]) as Awaited<(typeof all)[0]>)).toEqual({ kind: 'conflict', actual: 1 })
  })

  it('is of unknown outcome, not failed, if the store cannot be asked in time', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    double.node.faults.appends.push('dropped after')
    const came = double.node.arrived('append')
    const appending = store.append('a', 'noStream', [sample(1)])()
    await came
    await double.node.stop()
    const fault = left(await passUntil(world, appending))
    expect(fault).toMatchObject({ name: 'StoreFault', kind: 'unknown-outcome' })
    expect(world.monotonic()).toBeGreaterThanOrEqual(PATIENCE_MS)
    await double.node.start()
    await reached(world, store)
    expect((await passUntil(world, everything(store))).map(({ type }) => type)).toEqual(['Sample1'])
  })
})

describe('an append to a cluster that has lost its majority', () => {
  const lost = async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const [store, other] = [await stage.store(double, { world }), await stage.store(double, { world: virtualWorld({ seed: 2 }) })]
    await put(store, 'a', [sample(1)])
    double.log.loseMajority()
    return { double, world, store, other }
  }

  it('is answered when the majority is back, and is not seen before', async () => {
    const { double, store, other } = await lost()
    const came = double.node.arrived('append')
    const appending = store.append('a', 0, [sample(2)])()
    await came
    expect(await everything(other)).toHaveLength(1)
    double.log.findMajority()
    expect(right(await appending).revision).toBe(1)
    expect(await everything(other)).toHaveLength(2)
  })

  it('is stored once where it is sent again before that, as the server says nothing to a repeat', async () => {
    const { double, world, store } = await lost()
    // A leader that waits for its followers in vain says after 2 s that it took too long.
    double.node.faults.appends.push('timed out')
    const again = double.node.arrived('append', 2)
    const appending = store.append('a', 0, [sample(2)])()
    await passUntil(world, again)
    double.log.findMajority()
    await pass(world, DEADLINE_MS)
    expect(right(await passUntil(world, appending)).revision).toBe(1)
    expect(await everything(store)).toHaveLength(2)
  })

  it('is a conflict no sooner than what it lost to can be read, so that it can be decided anew', async () => {
    const { double, world, store, other } = await lost()
    const came = double.node.arrived('append')
    const first = other.append('a', 0, [sample(2)])()
    await came
    const [losing, looked] = [store.append('a', 0, [sample(3)])(), double.node.arrived('read')]
    const seen = losing.then(async () => right(await store.readStream('a')()).map(({ type }) => type))
    await looked
    double.log.findMajority()
    expect(left(await passUntil(world, losing))).toEqual({ kind: 'conflict', actual: 1 })
    expect(await seen).toEqual(['Sample1', 'Sample2'])
    right(await first)
  })

  it('is no conflict either when an earlier attempt at it is in doubt, until others can be read in its place', async () => {
    const { double, world, store, other } = await lost()
    double.node.faults.appends.push('ignored')
    const came = double.node.arrived('append')
    const losing = store.append('a', 0, [sample(3)])()
    await came
    const took = double.node.arrived('append')
    const first = other.append('a', 0, [sample(2)])()
    await took
    const again = double.node.arrived('append', 2)
    await pass(world, DEADLINE_MS)
    await passUntil(world, again)
    double.log.findMajority()
    expect(left(await passUntil(world, losing))).toEqual({ kind: 'conflict', actual: 1 })
    right(await first)
  })

  it('is unavailable, and stored nowhere, where what it lost to is not to be read in time', async () => {
    const { double, world, store, other } = await lost()
    const came = double.node.arrived('append')
    const first = other.append('a', 0, [sample(2)])()
    await came
    const fault = left(await passUntil(world, store.append('a', 0, [sample(3)])()))
    expect(fault).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    double.log.findMajority()
    right(await first)
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1', 'Sample2'])
  })

  it('goes on behind what is not to be read yet where it expects nothing', async () => {
    const { double, store, other } = await lost()
    const came = double.node.arrived('append', 3)
    const sent = [store.append('a', 'any', [sample(2)])(), other.append('a', 'any', [sample(3)])()]
    await came
    double.log.findMajority()
    for (const each of sent) right(await each)
    expect(await everything(store)).toHaveLength(3)
  })
})

describe('an append to a stream that was deleted softly', () => {
  it('is in conflict at once with what is out of reach', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(3))
    double.log.deleteSoftly('a', 'any')
    expect(left(await store.append('a', 0, [sample(4)])())).toEqual({ kind: 'conflict', actual: 2 })
    expect(right(await store.append('a', 2, [sample(4)])()).revision).toBe(3)
  })
})

describe('an append while the server hangs', () => {
  it('is given up after its own deadline, as the client has none, and stored once when the server goes on', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', [sample(1)])
    double.node.freeze()
    const appending = store.append('a', 0, [sample(2)])()
    await pass(world, DEADLINE_MS)
    await world.until((pending) => pending.some((ms) => ms <= 1_000))
    double.node.thaw()
    expect(right(await passUntil(world, appending)).revision).toBe(1)
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1', 'Sample2'])
  })

  it('has the client connect anew, as the old connection tells nothing', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', [sample(1)])
    double.node.faults.appends.push('ignored')
    const came = double.node.arrived('append')
    const appending = store.append('a', 0, [sample(2)])()
    await came
    expect(double.node.counts.appendCalls).toBe(1)
    await pass(world, DEADLINE_MS)
    right(await passUntil(world, appending))
    expect(double.node.counts.appendCalls).toBe(1)
    expect(double.node.counts.appends).toBe(4)
  })
})

describe('an append while the server is away', () => {
  it('is unavailable, as nothing was sent, and works when the server is back', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', [sample(1)])
    await double.node.stop()
    // Only once it is known that there is no connection is it certain that nothing leaves.
    left(await passUntil(world, store.readStream('a')()))
    expect(left(await passUntil(world, store.append('a', 0, [sample(2)])()))).toMatchObject({ kind: 'unavailable' })
    await double.node.start()
    await reached(world, store)
    expect(right(await passUntil(world, store.append('a', 0, [sample(3)])())).revision).toBe(1)
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1', 'Sample3'])
  })

  it('is sat out where it is short', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await double.node.stop()
    const appending = store.append('a', 'noStream', [sample(1)])()
    await pass(world, 1_000)
    await double.node.start()
    expect(right(await passUntil(world, appending)).revision).toBe(0)
  })

  it('is refused at once when the store has been away for longer than anybody waits', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await double.node.stop()
    left(await passUntil(world, store.append('a', 'noStream', [sample(1)])()))
    const since = world.monotonic()
    expect(left(await store.append('b', 'noStream', [sample(2)])())).toMatchObject({ kind: 'unavailable' })
    expect(left(await store.readStream('a')())).toMatchObject({ kind: 'unavailable' })
    expect(world.monotonic()).toBe(since)
  })

  it('is answered "Server Is Not Ready" by a server that starts, and sits that out', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    double.node.faults.isStarting = true
    const appending = store.append('a', 'noStream', [sample(1)])()
    await pass(world, 1_000)
    double.node.faults.isStarting = false
    expect(right(await passUntil(world, appending)).revision).toBe(0)
  })
})

describe('an append that the server refuses', () => {
  it('names the revision that the stream has, whichever it is', async () => {
    const store = await stage.store(await stage.double())
    await put(store, 'a', samples(42))
    expect(left(await store.append('a', 1, [sample(50)])())).toEqual({ kind: 'conflict', actual: 41 })
    expect(left(await store.append('a', 'noStream', [sample(50)])())).toEqual({ kind: 'conflict', actual: 41 })
  })

  it('is unavailable where the user may not write, and says what to look at', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    double.node.faults.appends.push('denied')
    expect(left(await store.append('a', 'any', [sample(1)])())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('denies access') })
  })

  it('is not tried again where that would not help', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    const before = double.node.counts.appends
    double.node.faults.appends.push('bad request')
    expect(left(await store.append('a', 'any', [sample(1)])())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('Record is too big') })
    expect(double.node.counts.appends).toBe(before + 1)
  })

  it('stays in doubt where a refusal follows an attempt that may be stored', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    double.node.faults.appends.push('timed out before', ...Array.from({ length: 40 }, () => 'denied' as const))
    expect(left(await passUntil(world, store.append('a', 'noStream', [sample(1)])()))).toMatchObject({ kind: 'unknown-outcome' })
  })
})

describe('a large append', () => {
  it('never reaches the server, where it would fail others that are under way', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    const before = double.node.counts.appends
    expect(left(await store.append('a', 'any', [sample(1, { payload: new Uint8Array(17_000_000) })])())).toEqual({ kind: 'tooLarge', limitBytes: 1_000_000 })
    expect(double.node.counts.appends).toBe(before)
  })

  it('is refused for what the server counts too: the metadata of many small events', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    const many = samples(9_000)
    expect(left(await store.append('a', 'any', many)())).toEqual({ kind: 'tooLarge', limitBytes: 1_000_000 })
    expect(right(await store.append('a', 'any', many.slice(0, 5_000))()).revision).toBe(4_999)
  })

  it('is refused with the limit of a server that takes less', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    double.node.faults.maxAppendSize = 10_000
    expect(left(await store.append('a', 'any', [sample(1, { payload: new Uint8Array(20_000) })])())).toEqual({ kind: 'tooLarge', limitBytes: 10_000 })
    expect(right(await store.append('a', 'any', [sample(1)])()).revision).toBe(0)
  })

  it('is overload where too much is under way, and others get through again', async () => {
    const double = await stage.double()
    const store = await stage.store(double, { inFlight: { appends: 3, bytes: 2_000 } })
    double.node.faults.isHolding = true
    const came = double.node.arrived('append', 3)
    const held = ['a', 'b', 'c'].map((stream) => store.append(stream, 'any', [sample(1)])())
    expect(left(await store.append('d', 'any', [sample(1)])())).toMatchObject({ kind: 'overloaded' })
    double.node.letGo()
    await came
    for (const answer of await Promise.all(held)) right(answer)
    expect(left(await store.append('d', 'any', [sample(1, { payload: new Uint8Array(2_000) })])())).toMatchObject({ kind: 'overloaded' })
    right(await store.append('d', 'any', [sample(1)])())
  })
})

describe('the ids of an append', () => {
  it('are new for each, so that a repeat with the ids of its events is a conflict as on every store', async () => {
    const store = await stage.store(await stage.double())
    right(await store.append('a', 'noStream', [sample(1)])())
    expect(left(await store.append('a', 'noStream', [sample(1)])())).toEqual({ kind: 'conflict', actual: 0 })
    expect(right(await store.append('a', 0, [sample(1)])()).revision).toBe(1)
    expect((await everything(store)).map(({ id }) => id)).toEqual([sample(1).id, sample(1).id])
  })

  it('are UUIDs, one for each event, in every attempt the same', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    double.node.faults.appends.push('timed out before')
    right(await passUntil(world, store.append('a', 'noStream', samples(300))()))
    const read = double.log.readStream('a', 'start', 1_000, false)
    const ids = read.kind === 'events' ? read.events.map(({ id }) => id) : []
    expect(new Set(ids).size).toBe(300)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})

describe('an append that expects nothing', () => {
  it('finds the end of a stream that others append to', async () => {
    const double = await stage.double()
    const [one, two] = [await stage.store(double), await stage.store(double, { world: virtualWorld({ seed: 2 }) })]
    const answers = await Promise.all(samples(40).map((event, index) => (index % 2 === 0 ? one : two).append('audit', 'any', [event])()))
    expect(answers.map((answer) => right(answer).revision).toSorted((a, b) => a - b)).toEqual(answers.map((_, index) => index))
  })
})

describe('two stores in one process', () => {
  it('do not share what is under way: one that loses its connection fails nothing of the other', async () => {
    const [first, second] = [await stage.double(), await stage.double()]
    const world = virtualWorld()
    const [one, two] = [await stage.store(first, { world }), await stage.store(second, { world: virtualWorld({ seed: 2 }) })]
    second.node.faults.isHolding = true
    const held = samples(20).map((event, index) => two.append(`s${index}`, 'noStream', [event])())
    first.node.faults.appends.push('dropped after')
    right(await passUntil(world, one.append('a', 'noStream', [sample(1)])()))
    second.node.letGo()
    for (const answer of await Promise.all(held)) expect(right(answer).revision).toBe(0)
  })
})

// A cluster of EventStoreDB nodes under one store: the leader changes, stops, hangs, and nothing that was acknowledged is lost or doubled.
import { describe, expect, it } from 'vitest'
import { everything, left, put, right, sample, samples, take, brief } from '../../contract/samples.ts'
import { kurrentStage, passUntil } from '../../support/kurrent-stage.ts'
import type { DoubleNode } from '../../support/kurrent-double/double.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()

const three = async () => {
  const double = await stage.double({ nodes: 3, settings: '&discoveryInterval=10' })
  const world = virtualWorld()
  const store = await stage.store(double, { world })
  const [a, b, c] = double.nodes as readonly [DoubleNode, DoubleNode, DoubleNode]
  return { double, world, store, a, b, c }
}

describe('a store over a cluster', () => {
  it('finds the leader by gossip, whichever node it asks', async () => {
    const double = await stage.double({ nodes: 3 })
    double.lead(double.nodes[2] as DoubleNode)
    const store = await stage.store(double)
    await put(store, 'a', [sample(1)])
    expect(double.nodes.map(({ counts }) => counts.appends > 0)).toEqual([false, false, true])
  })

  it('follows the leader when another node is elected, with appends under way', async () => {
    const { double, world, store, a, b } = await three()
    await put(store, 'a', [sample(1)])
    double.lead(b)
    const answers = await passUntil(world, Promise.all(samples(20, 2).map((event, index) => store.append(`s${index}`, 'noStream', [event])())))
    expect(answers.map((answer) => right(answer).revision)).toEqual(answers.map(() => 0))
    expect(await everything(store)).toHaveLength(21)
    expect([a.counts.appendCalls, b.counts.appendCalls]).toEqual([0, 1])
  })

  it('is not touched when a node that led before is restarted, with appends under way at the new leader', async () => {
    const { double, world, store, a, b } = await three()
    await put(store, 'a', [sample(1)])
    double.lead(b)
    right(await passUntil(world, store.readStream('a')()))
    right(await passUntil(world, store.append('a', 0, [sample(2)])()))
    b.faults.isHolding = true
    const held = samples(20).map((event, index) => store.append(`s${index}`, 'noStream', [event])())
    a.drop()
    await a.stop()
    await a.start()
    b.letGo()
    expect((await Promise.all(held)).map((answer) => right(answer).revision)).toEqual(held.map(() => 0))
  })

  it('leaves a node that it has gone from altogether: subscription and appends', async () => {
    const { double, world, store, a, b } = await three()
    await put(store, 'a', [sample(1)])
    const ending = new AbortController()
    const items = store.subscribe({ signal: ending.signal })[Symbol.asyncIterator]()
    const began = a.arrived('subscription')
    expect(brief(await take(items, 2))).toEqual(['Sample1', 'caughtUp'])
    await began
    // As one that is cut off from the others does, it answers nothing and ends nothing.
    a.faults.appends.push(...Array.from({ length: 100 }, () => 'ignored' as const))
    double.lead(b)
    const moved = b.arrived('subscription')
    right(await passUntil(world, store.readStream('a')()))
    await passUntil(world, moved)
    right(await passUntil(world, store.append('a', 0, [sample(2)])()))
    expect(brief(await passUntil(world, take(items, 1)))).toEqual(['Sample2'])
    expect([a.counts.appendCalls, a.counts.subscriptions, b.counts.appendCalls, b.counts.subscriptions]).toEqual([0, 0, 1, 1])
    ending.abort()
  })

  it('reads from the leader, so that what was acknowledged is seen', async () => {
    const { double, world, store, c } = await three()
    await put(store, 'a', samples(3))
    double.lead(c)
    expect(right(await passUntil(world, store.readStream('a')()))).toHaveLength(3)
    expect(c.counts.reads).toBeGreaterThan(0)
  })

  it('sits out an election', async () => {
    const { double, world, store, a, b, c } = await three()
    for (const node of [a, b, c]) node.faults.isLeaderless = true
    const appending = store.append('a', 'noStream', [sample(1)])()
    await world.until((pending) => pending.some((ms) => ms <= 1_000))
    world.advance(1_000)
    for (const node of [a, b, c]) node.faults.isLeaderless = false
    double.lead(c)
    expect(right(await passUntil(world, appending)).revision).toBe(0)
    expect(await everything(store)).toHaveLength(1)
  })

  it('outlives that no node is to be found, with a call under way at the one that it has left', async () => {
    const { double, world, store, a, b, c } = await three()
    await put(store, 'a', [sample(1)])
    const ending = new AbortController()
    const [items, began] = [store.subscribe({ signal: ending.signal })[Symbol.asyncIterator](), a.arrived('subscription')]
    expect(brief(await take(items, 2))).toEqual(['Sample1', 'caughtUp'])
    await began
    for (const node of [a, b, c]) node.faults.isLeaderless = true
    a.freeze()
    const appending = store.append('a', 0, [sample(2)])()
    await world.until((pending) => pending.some((ms) => ms <= 5_000))
    world.advance(5_000)
    a.thaw()
    // A channel is being made for the read, and will not be; meanwhile the subscription on the old one ends.
    const reading = store.readStream('a')()
    a.drop()
    expect(left(await passUntil(world, reading))).toMatchObject({ name: 'StoreFault' })
    expect(left(await passUntil(world, appending))).toMatchObject({ name: 'StoreFault' })
    for (const node of [a, b, c]) node.faults.isLeaderless = false
    double.lead(b)
    // Whoever was told for long that nobody is to be found asks once a second.
    const reached = new Promise<void>((resolve) => {
      store.reach?.onChange(() => {
        if (store.reach?.trouble() === undefined) resolve()
      })
    })
    await passUntil(world, reached)
    expect(right(await passUntil(world, store.append('b', 'noStream', [sample(3)])())).revision).toBe(0)
    ending.abort()
  })

  it('goes on at another node when its own stops under load, storing each append once', async () => {
    const { double, world, store, a, b } = await three()
    const ending = new AbortController()
    const items = store.subscribe({ signal: ending.signal })[Symbol.asyncIterator]()
    expect(brief(await take(items, 1))).toEqual(['caughtUp'])
    const came = a.arrived('append', 20)
    const appending = Promise.all(samples(40).map((event, index) => store.append(`s${index}`, 'noStream', [event])()))
    await came
    double.lead(b)
    await a.stop()
    const answers = await passUntil(world, appending)
    expect(answers.map((answer) => right(answer).revision)).toEqual(answers.map(() => 0))
    const all = await passUntil(world, everything(store))
    expect(all.map(({ stream }) => stream).toSorted()).toEqual(answers.map((_, index) => `s${index}`).toSorted())
    const heard: string[] = []
    while (heard.length < 40) {
      const { value } = await passUntil(world, items.next())
      if (value?.type === 'event') heard.push(value.event.position)
    }
    expect(heard).toEqual(all.map(({ position }) => position))
    ending.abort()
  })

  it('leaves a leader that hangs', async () => {
    const { double, world, store, a, b } = await three()
    await put(store, 'a', [sample(1)])
    a.freeze()
    double.lead(b)
    const appending = store.append('a', 0, [sample(2)])()
    await world.until((pending) => pending.some((ms) => ms <= 5_000))
    world.advance(5_000)
    expect(right(await passUntil(world, appending)).revision).toBe(1)
    expect(b.counts.appends).toBeGreaterThan(0)
    a.thaw()
  })
})

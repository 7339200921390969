// Following the log of an EventStoreDB over everything that ends a subscription there: nothing missed, nothing twice, and one call for all who follow.
import { describe, expect, it } from 'vitest'
import type { EventStore, Subscribed } from '../../../src/store/port.ts'
import { brief, everything, put, sample, samples, take } from '../../contract/samples.ts'
import type { DoubleNode } from '../../support/kurrent-double/double.ts'
import { kurrentStage, passUntil } from '../../support/kurrent-stage.ts'
import { virtualWorld, type VirtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()

const followed = (store: EventStore, after?: string) => {
  const ending = new AbortController()
  return { items: store.subscribe({ signal: ending.signal, ...(after === undefined ? {} : { after }) })[Symbol.asyncIterator](), end: () => ending.abort() }
}

/** Follows until so many events came; answers their positions. */
const positionsOf = async (items: AsyncIterator<Subscribed>, count: number): Promise<readonly string[]> => {
  const positions: string[] = []
  while (positions.length < count) {
    const { value } = await items.next()
    if (value?.type === 'event') positions.push(value.event.position)
  }
  return positions
}

/** Something that ends a subscription, and is over when it resolves. */
type Ending = (node: DoubleNode, world: VirtualWorld) => Promise<void>

const subscribedAgain = async (node: DoubleNode, world: VirtualWorld, end: () => void): Promise<void> => {
  const again = node.arrived('subscription')
  end()
  await passUntil(world, again)
}

const endings: Readonly<Record<string, Ending>> = {
  'the connection is cut': (node, world) => subscribedAgain(node, world, node.drop),
  'the server drops a reader that is too slow': (node, world) => subscribedAgain(node, world, node.dropSlow),
  'the server is restarted': async (node, world) => {
    await node.stop()
    const again = node.arrived('subscription')
    await node.start()
    await passUntil(world, again)
  },
}

describe('following the log', () => {
  for (const [what, happens] of Object.entries(endings)) {
    it(`misses nothing and hears nothing twice when ${what}, again and again`, async () => {
      const double = await stage.double()
      const world = virtualWorld()
      const store = await stage.store(double, { world })
      const other = await stage.store(double, { world })
      const { items, end } = followed(store)
      const began = double.node.arrived('subscription')
      const following = positionsOf(items, 60)
      await began
      for (let round = 0; round < 6; round += 1) {
        await passUntil(world, put(store, `s${round}`, samples(3, 10 * round)))
        await happens(double.node, world)
        await passUntil(world, put(other, 't', samples(7, 10 * round + 3)))
      }
      const heard = await passUntil(world, following)
      end()
      expect(heard).toEqual((await passUntil(world, everything(store))).map(({ position }) => position))
    })
  }

  it('hears what was appended while it was away', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    const { items, end } = followed(store)
    expect(brief(await take(items, 1))).toEqual(['caughtUp'])
    double.node.dropSlow()
    const [again, next] = [double.node.arrived('subscription'), take(items, 3)]
    await put(store, 'a', samples(2))
    await passUntil(world, again)
    expect(brief(await passUntil(world, next))).toEqual(['Sample1', 'Sample2', 'caughtUp'])
    end()
  })

  it('leaves a subscription that shows nothing of what it has appended itself, though the connection lives', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    const other = await stage.store(double, { world })
    const { items, end } = followed(store)
    expect(brief(await take(items, 1))).toEqual(['caughtUp'])
    double.node.faults.isMute = true
    await put(other, 'a', [sample(1)])
    await put(store, 'b', [sample(2)])
    const next = take(items, 2)
    const again = double.node.arrived('subscription')
    await world.until((pending) => pending.some((ms) => ms === 10_000))
    world.advance(10_000)
    await passUntil(world, again)
    expect(brief(await passUntil(world, next))).toEqual(['Sample1', 'Sample2'])
    // What it shows in time leaves no watch behind.
    double.node.faults.isMute = false
    await put(store, 'b', [sample(3)])
    expect(brief(await take(items, 2)).filter((each) => each !== 'caughtUp')).toEqual(['Sample3'])
    expect(double.node.counts.subscribed).toBe(2)
    end()
  })

  it('goes on from the last checkpoint, not from the last event, over what is not ours', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world, prefixes: ['workItem-'] })
    const { items, end } = followed(store)
    await take(items, 1)
    await put(store, 'workItem-a', [sample(1)])
    const [first] = await take(items, 1)
    const orders = Array.from({ length: 3_000 }, (_, index) => ({
      ...{ id: `44444444-4444-4444-8444-${String(index).padStart(12, '0')}`, type: 'OrderPlaced', contentType: 'application/json' },
      ...{ data: Buffer.from('{}'), metadata: Buffer.from('{}') },
    }))
    const passed = double.node.arrived('checkpoint', 3)
    for (const order of orders) double.log.append('orders-1', 'any', [order])
    await passed
    // What was sent before the end of the call comes before it.
    await subscribedAgain(double.node, world, double.node.dropSlow)
    const from = double.node.counts.subscribedFrom.at(-1)
    expect(typeof from === 'bigint' && first?.type === 'event' && from > (double.log.at(double.log.length - 1_002)?.position ?? 0n)).toBe(true)
    await put(store, 'workItem-a', [sample(3)])
    expect(brief(await take(items, 2)).filter((each) => each !== 'caughtUp')).toEqual(['Sample3'])
    end()
  })

  it('takes one subscription for all who follow, and none for those who have left', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(3))
    const all = Array.from({ length: 200 }, () => followed(store))
    for (const { items } of all) expect(brief(await take(items, 4))).toEqual(['Sample1', 'Sample2', 'Sample3', 'caughtUp'])
    const next = all.map(({ items }) => take(items, 1))
    await put(store, 'a', [sample(4)])
    expect((await Promise.all(next)).map((taken) => brief(taken))).toEqual(all.map(() => ['Sample4']))
    expect(double.node.counts.subscriptions).toBe(1)
    for (const { end } of all) end()
    await store.close()
    expect(double.node.counts.subscribed).toBe(1)
  })

  it('lets a slow reader fall out of what is kept, and gives it all the same from pages', async () => {
    const double = await stage.double()
    const store = await stage.store(double, { tail: { events: 10, bytes: 1_000_000 } })
    const slow = followed(store)
    const fast = followed(store)
    expect(brief(await take(slow.items, 1))).toEqual(['caughtUp'])
    const following = positionsOf(fast.items, 500)
    for (let index = 0; index < 50; index += 1) await put(store, `s${index % 7}`, samples(10, 10 * index))
    const all = (await everything(store)).map(({ position }) => position)
    expect(await following).toEqual(all)
    expect(await positionsOf(slow.items, 500)).toEqual(all)
    slow.end()
    fast.end()
  })

  it('keeps no more of large events than it may', async () => {
    const double = await stage.double()
    const store = await stage.store(double, { tail: { events: 1_000, bytes: 50_000 } })
    const { items, end } = followed(store)
    await take(items, 1)
    for (let index = 0; index < 20; index += 1) await put(store, 'a', [sample(index, { payload: new Uint8Array(10_000) })])
    expect(await positionsOf(items, 20)).toEqual((await everything(store)).map(({ position }) => position))
    end()
  })

  it('says that it has caught up only after what was acknowledged', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    for (let round = 0; round < 20; round += 1) {
      await put(store, 'a', [sample(round)])
      const { items, end } = followed(store)
      expect(brief(await take(items, round + 2))).toEqual([...samples(round + 1, 0).map(({ type }) => type), 'caughtUp'])
      end()
    }
  })

  it('leaves no call open when its reader breaks off, and goes on for the others', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', samples(3))
    const other = followed(store)
    for await (const item of store.subscribe({ signal: new AbortController().signal })) {
      expect(item.type).toBe('event')
      break
    }
    expect(brief(await take(other.items, 4))).toEqual(['Sample1', 'Sample2', 'Sample3', 'caughtUp'])
    expect(double.node.counts.subscriptions).toBeLessThanOrEqual(1)
    other.end()
  })

  it('waits for a store that is away, and ends at once when it is told to', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    const store = await stage.store(double, { world })
    await put(store, 'a', [sample(1)])
    await double.node.stop()
    const waiting = followed(store)
    const first = waiting.items.next()
    const leaving = followed(store)
    const never = leaving.items.next()
    await world.until((pending) => pending.some((ms) => ms <= 1_000))
    leaving.end()
    expect((await never).done).toBe(true)
    for (let step = 0; step < 60; step += 1) {
      await world.until((pending) => pending.some((ms) => ms <= 1_000))
      world.advance(1_000)
    }
    await double.node.start()
    expect((await passUntil(world, first)).value).toMatchObject({ type: 'event', event: { type: 'Sample1' } })
    waiting.end()
  })

  it('throws for an event that no Stint has written', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    const { items } = followed(store)
    await take(items, 1)
    const next = items.next()
    double.log.append('a', 'any', [
      { id: '11111111-1111-4111-8111-111111111111', type: 'OrderPlaced', contentType: 'application/json', data: Buffer.from('{}'), metadata: Buffer.from('{}') },
    ])
    await expect(next).rejects.toMatchObject({ name: 'StoreFault', kind: 'damaged' })
  })
})

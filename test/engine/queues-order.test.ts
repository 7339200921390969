// Which task a lease call is given: by priority and age, by tag, by key, by the rate of the queue, and by who has just given it back.
import { afterEach, describe, expect, it } from 'vitest'
import type { CommandToDo } from '../../src/engine/command.ts'
import { contextOf, settle, startEngine, type TestEngine } from '../support/engine.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { fail, finish, giveBack, idOf, put, take } from '../support/tasks.ts'

const opened: TestEngine[] = []
const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const one = await startEngine(given)
  opened.push(one)
  return one
}
afterEach(async () => {
  for (const { engine, store } of opened.splice(0)) {
    await settle()
    await expectReplayEqual(engine, store)
    await engine.close()
  }
})

describe('tasks that wait', () => {
  it('come by priority, then by how long they have been due', async () => {
    const test = await start()
    await put(test, 'old')
    test.world.advance(10)
    await put(test, 'urgent', { priority: 5 })
    await put(test, 'late', { priority: -1 })
    await put(test, 'soon', { dueInMs: 1_000 })
    test.world.advance(500)
    await put(test, 'new')
    test.world.advance(500)
    expect(await take(test, { max: 10 })).toEqual(['urgent', 'old', 'new', 'soon', 'late'])
  })

  it('go behind those that are due when they are given back or tried again', async () => {
    const test = await start()
    await put(test, 'a')
    await put(test, 'b')
    expect(await take(test)).toEqual(['a'])
    test.world.advance(10)
    await giveBack(test, 'a')
    expect(await take(test, { max: 2, worker: 'w2' })).toEqual(['b', 'a'])
    await fail(test, 'b')
    expect(await take(test, { worker: 'w2' })).toEqual([])
    test.world.advance(1_200)
    expect(await take(test, { worker: 'w2' })).toEqual(['b'])
  })

  it('are as many as the answer can carry, the first whatever its size', async () => {
    const test = await start()
    for (const id of ['a', 'b', 'c', 'd']) await put(test, id, { bytes: 100 })
    expect(await take(test, { max: 10, bytesMax: 250 })).toEqual(['a', 'b'])
    expect(await take(test, { max: 10, bytesMax: 50 })).toEqual(['c'])
    expect(test.engine.queues.figuresOf({ app: 'shop', queue: 'mail' })).toMatchObject({ waiting: 1, leased: 3 })
  })

  it('stay in order through many inserts, leases and deletions', async () => {
    const test = await start()
    for (let round = 0; round < 30; round += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => put(test, `r${round}-${index}`, { tag: index % 2 === 0 ? 'even' : 'odd' })))
      const taken = await take(test, { max: 100, tag: 'even' })
      expect(taken).toHaveLength(50)
      await Promise.all([...taken.map((id) => finish(test, id))])
      for (const id of await take(test, { max: 100 })) await finish(test, id)
    }
    expect(test.engine.queues.figuresOf({ app: 'shop', queue: 'mail' })).toMatchObject({ waiting: 0, delayed: 0, leased: 0, claims: 0 })
  })
})

describe('a lease by tag', () => {
  it('is given only tasks with that tag', async () => {
    const test = await start()
    await put(test, 'a1', { tag: 'a' })
    await put(test, 'b1', { tag: 'b' })
    await put(test, 'none')
    await put(test, 'a2', { tag: 'a' })
    expect(await take(test, { max: 5, tag: 'a' })).toEqual(['a1', 'a2'])
    expect(await take(test, { max: 5, tag: 'c' })).toEqual([])
    expect(await take(test, { max: 5 })).toEqual(['b1', 'none'])
  })

  it('with the same tag is given those of the oldest, and without one only those without', async () => {
    const test = await start()
    for (const [id, tag] of [
      ['a1', 'a'],
      ['n1', undefined],
      ['b1', 'b'],
      ['a2', 'a'],
      ['n2', undefined],
    ] as const)
      await put(test, id, tag === undefined ? {} : { tag })
    expect(await take(test, { max: 5, sameTag: true })).toEqual(['a1', 'a2'])
    expect(await take(test, { max: 5, sameTag: true })).toEqual(['n1', 'n2'])
    expect(await take(test, { max: 5, sameTag: true })).toEqual(['b1'])
    expect(await take(test, { max: 5, sameTag: true })).toEqual([])
  })

  it('waits for its tag, whatever else comes', async () => {
    const test = await start()
    const waiting = take(test, { tag: 'a', waitMs: 30_000 })
    await settle()
    await put(test, 'b1', { tag: 'b' })
    await put(test, 'none')
    await put(test, 'a1', { tag: 'a' })
    expect(await waiting).toEqual(['a1'])
    const other = take(test, { tag: 'c', waitMs: 30_000 })
    const any = take(test, { tag: 'd', worker: 'w2', waitMs: 30_000 })
    await settle()
    await put(test, 'd1', { tag: 'd' })
    expect(await any).toEqual(['d1'])
    test.world.advance(30_000)
    expect(await other).toEqual([])
  })
})

describe('tasks of one key', () => {
  it('are worked on one after another, others go on', async () => {
    const test = await start()
    for (const id of ['k1', 'k2', 'k3']) await put(test, id, { key: 'k' })
    await put(test, 'free')
    expect(await take(test, { max: 10 })).toEqual(['k1', 'free'])
    expect(await take(test, { max: 10 })).toEqual([])
    const waiting = take(test, { waitMs: 30_000 })
    await settle()
    await finish(test, 'k1')
    expect(await waiting).toEqual(['k2'])
    await giveBack(test, 'k2')
    // Given back, it is due after the third; its holder has the third at once.
    expect(await take(test, { max: 10 })).toEqual(['k3'])
  })

  it('are as many at once as the queue says, and that can change', async () => {
    const test = await start()
    const limit = (keyConcurrency: number) => configure(test, queueConfig('shop', 'mail', { stint: { keyConcurrency } }))
    await limit(2)
    for (const id of ['k1', 'k2', 'k3', 'k4']) await put(test, id, { key: 'k' })
    expect(await take(test, { max: 10 })).toEqual(['k1', 'k2'])
    const waiting = take(test, { max: 10, waitMs: 30_000 })
    await settle()
    await limit(3)
    expect(await waiting).toEqual(['k3'])
    await limit(1)
    for (const id of ['k1', 'k2']) await finish(test, id)
    expect(await take(test, { max: 10 })).toEqual([])
    await finish(test, 'k3')
    expect(await take(test, { max: 10 })).toEqual(['k4'])
  })

  it('are counted still after a restart, and by what expired no more', async () => {
    const before = await start()
    for (const id of ['k1', 'k2']) await put(before, id, { key: 'k' })
    expect(await take(before)).toEqual(['k1'])
    const after = await start({ store: before.store, world: before.world })
    opened.shift()
    expect(await take(after, { max: 10 })).toEqual([])
    const waiting = take(after, { worker: 'w2', waitMs: 120_000 })
    await settle()
    before.world.advance(60_000)
    await settle()
    // k2 has been due longer than k1, which has just come back.
    expect(await waiting).toEqual(['k2'])
    expect(await take(after, { max: 10 })).toEqual([])
    before.engine.stop()
  })

  it('leave their line when they are deleted, and come back into it when they are paused and resumed', async () => {
    const test = await start()
    for (const id of ['k1', 'k2', 'k3']) await put(test, id, { key: 'k' })
    expect(await take(test, { max: 10 })).toEqual(['k1'])
    const command = (id: string, given: object) => test.engine.execute(`task/shop/mail/${id}`, given as never, { subject: 'admin', actor: 'admin', commandId: test.world.uuid() })
    await command('k2', { type: 'DeleteTask', by: 'admin' })
    await command('k3', { type: 'GiveDirective', by: 'admin', commandId: test.world.uuid(), directive: 'pause' })
    await finish(test, 'k1')
    expect(await take(test, { max: 10 })).toEqual([])
    await command('k3', { type: 'GiveDirective', by: 'admin', commandId: test.world.uuid(), directive: 'resume' })
    expect(await take(test, { max: 10 })).toEqual(['k3'])
  })

  it.each<readonly ['deleted' | 'paused' | 'purged', CommandToDo | undefined]>([
    ['deleted', { type: 'DeleteTask', by: 'admin' }],
    ['paused', { type: 'GiveDirective', by: 'admin', commandId: 'pause-it', directive: 'pause' }],
    ['purged', undefined],
  ])('go on with the next when the one whose turn has come is %s', async (how, command) => {
    const test = await start()
    const context = () => contextOf(test.world, 'admin')
    await put(test, 'k1', { key: 'k' })
    await put(test, 'k2', { key: 'k' })
    test.world.advance(1)
    const later = test.world.now()
    await put(test, 'k3', { key: 'k' })
    expect(await take(test, { max: 9 })).toEqual(['k1'])
    expect(await take(test, { max: 9 })).toEqual([])
    await finish(test, 'k1')
    if (command === undefined) await test.engine.queues.startBulk({ app: 'shop', queue: 'mail' }, 'purge', { insertedBefore: later }, context())
    else await test.engine.execute(idOf('k2'), command, context())
    await settle()
    const k3 = test.engine.live(idOf('k3'))
    expect([how, k3 && test.engine.gateOf(k3, idOf('k3'))]).toEqual([how, { gate: 'no-worker' }])
    expect(await take(test, { max: 9 })).toEqual(['k3'])
  })

  it('with different tags reach whoever wants the tag, whichever is first in line', async () => {
    const test = await start()
    await put(test, 'held', { key: 'k' })
    await put(test, 'a1', { key: 'k', tag: 'a' })
    await put(test, 'b1', { key: 'k', tag: 'b' })
    expect(await take(test, { max: 10 })).toEqual(['held'])
    const waiting = take(test, { tag: 'b', waitMs: 30_000, worker: 'w2' })
    await settle()
    await finish(test, 'held')
    expect(await waiting).toEqual(['b1'])
    await finish(test, 'b1')
    expect(await take(test, { tag: 'a' })).toEqual(['a1'])
  })
})

describe('a queue with a rate', () => {
  it('gives so many at once, then as they flow', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { stint: { rate: { perSecond: 2, burst: 3 } } }))
    for (let index = 0; index < 10; index += 1) await put(test, `t${index}`)
    expect(await take(test, { max: 10 })).toHaveLength(3)
    expect(await take(test, { max: 10 })).toEqual([])
    const waiting = take(test, { max: 10, waitMs: 30_000 })
    await settle()
    test.world.advance(499)
    await settle()
    test.world.advance(1)
    expect(await waiting).toEqual(['t3'])
    test.world.advance(60_000)
    expect(await take(test, { max: 10 })).toHaveLength(3)
  })

  it('counts only leases that came about, and lets births pass only as fast', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { stint: { rate: { perSecond: 1, burst: 1 } } }))
    expect(await take(test, { max: 10 })).toEqual([])
    const one = take(test, { waitMs: 30_000 })
    const two = take(test, { worker: 'w2', waitMs: 30_000 })
    await settle()
    await put(test, 'a')
    await put(test, 'b')
    expect(await one).toEqual(['a'])
    await settle()
    expect(test.engine.queues.figuresOf({ app: 'shop', queue: 'mail' })).toMatchObject({ waiting: 1, leased: 1 })
    test.world.advance(1_000)
    expect(await two).toEqual(['b'])
  })

  it('gives freely once its rate is gone', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { stint: { rate: { perSecond: 0.001, burst: 1 } } }))
    for (const id of ['a', 'b', 'c']) await put(test, id)
    expect(await take(test, { max: 10 })).toEqual(['a'])
    const waiting = take(test, { max: 10, waitMs: 30_000 })
    await settle()
    await configure(test, queueConfig('shop', 'mail'))
    expect(await waiting).toEqual(['b', 'c'])
  })
})

describe('who has given a task back', () => {
  it('is passed over for it: a second, then twice as long each time, up to a minute', async () => {
    const test = await start()
    await put(test, 'a')
    expect(await take(test)).toEqual(['a'])
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      await giveBack(test, 'a')
      test.world.advance(seconds * 1_000 - 1)
      expect([seconds, await take(test)]).toEqual([seconds, []])
      test.world.advance(1)
      expect([seconds, await take(test)]).toEqual([seconds, ['a']])
    }
  })

  it('gets others meanwhile, and others get it', async () => {
    const test = await start()
    await put(test, 'a')
    await put(test, 'b')
    await take(test)
    await giveBack(test, 'a')
    expect(await take(test)).toEqual(['b'])
    expect(await take(test, { worker: 'w2' })).toEqual(['a'])
  })

  it('waits until its time is up, and is woken then', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test)
    await giveBack(test, 'a')
    const waiting = take(test, { waitMs: 30_000 })
    await settle()
    test.world.advance(999)
    await settle()
    expect(test.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters).toBe(1)
    test.world.advance(1)
    expect(await waiting).toEqual(['a'])
  })

  it('gives it to another who waits, at once', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test)
    const mine = take(test, { waitMs: 10_000 })
    const other = take(test, { worker: 'w2', waitMs: 10_000 })
    await settle()
    const at = test.world.now()
    await giveBack(test, 'a')
    expect(await other).toEqual(['a'])
    expect(test.world.now()).toBe(at)
    test.world.advance(10_000)
    expect(await mine).toEqual([])
  })

  it('and names no worker is passed over only while somebody else waits', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test, { worker: '' })
    await giveBack(test, 'a')
    expect(await take(test, { worker: '' })).toEqual(['a'])
    await giveBack(test, 'a')
    const other = take(test, { worker: 'w2', tag: 'else', waitMs: 500 })
    await settle()
    expect(await take(test, { worker: '' })).toEqual([])
    const mine = take(test, { worker: '', waitMs: 30_000 })
    await settle()
    test.world.advance(500)
    expect(await other).toEqual([])
    // The other is gone, so nobody else could have it.
    expect(await mine).toEqual(['a'])
  })

  it('is passed over no longer when the answer that gave it got lost', async () => {
    const test = await start()
    await put(test, 'a')
    await take(test)
    const token = test.engine.live('task/shop/mail/a')
    await test.engine.takeBack('task/shop/mail/a', token !== undefined && 'lease' in token ? token.lease.token : '', {
      subject: 'workers',
      actor: 'workers',
      commandId: test.world.uuid(),
    })
    expect(await take(test)).toEqual(['a'])
    expect(test.engine.live('task/shop/mail/a')?.attempt).toBe(1)
  })
})

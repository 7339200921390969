// How the engine hands out tasks: order, delays, waiting, expiry, and claims that two callers cannot both win.
import { afterEach, describe, expect, it } from 'vitest'
import { taskId } from '../../src/domain/ids.ts'
import { contentDigest } from '../../src/engine/digest.ts'
import { contextOf, insert, lease, left, right, settle, startEngine, type TestEngine } from '../support/engine.ts'

const opened: TestEngine[] = []

const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const one = await startEngine(given)
  opened.push(one)
  return one
}

afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.close()
})

const complete = ({ engine, world }: TestEngine, id: string, token: string, result: unknown = 1) => {
  const outcome = { completed: { result } }
  return engine.execute(
    taskId('shop', 'mail', id),
    { type: 'Report', by: 'worker', lease: token, outcome, digest: contentDigest(outcome), retry: { pauseMs: 0 } },
    contextOf(world, 'worker'),
  )
}

const idsOf = (leased: readonly { workItem: string }[]): readonly string[] => leased.map(({ workItem }) => workItem.split('/').at(-1) ?? '')

describe('when tasks wait', () => {
  it('leases them oldest first, with their payload byte for byte', async () => {
    const test = await start()
    for (const id of ['a', 'b', 'c']) await insert(test, id)
    const leased = await lease(test, { max: 2 })
    expect(idsOf(leased)).toEqual(['a', 'b'])
    expect(new TextDecoder().decode(leased[0]?.payload)).toBe('{"task":"a"}')
    expect(idsOf(await lease(test, { max: 5 }))).toEqual(['c'])
    expect(await lease(test)).toEqual([])
  })

  it('leases them with the same payload again when they come back', async () => {
    const test = await start()
    const { engine, world } = test
    await insert(test, 'a')
    const [first] = await lease(test)
    right(
      await engine.execute(
        taskId('shop', 'mail', 'a'),
        { type: 'ReleaseLease', by: 'worker', lease: first?.item.lease.token ?? '', busy: false, delayMs: 0 },
        contextOf(world, 'worker'),
      ),
    )
    const [second] = await lease(test, { worker: 'worker-2' })
    expect(first?.birth).toMatchObject({ type: 'TaskInserted' })
    expect([second?.birth, Buffer.from(second?.payload ?? [])]).toEqual([first?.birth, Buffer.from(first?.payload ?? [])])
  })

  it('gives each task to one of many callers that ask at once', async () => {
    const test = await start()
    await Promise.all(Array.from({ length: 50 }, (_, index) => insert(test, `t${index}`)))
    const leased = await Promise.all(Array.from({ length: 20 }, (_, index) => lease(test, { max: 5, worker: `worker-${index}` })))
    const ids = leased.flatMap(idsOf)
    expect(ids).toHaveLength(50)
    expect(new Set(ids).size).toBe(50)
  })

  it('holds a delayed task back until it is due', async () => {
    const test = await start()
    await insert(test, 'later', { dueInMs: 5_000 })
    expect(await lease(test)).toEqual([])
    test.world.advance(5_000)
    expect(idsOf(await lease(test))).toEqual(['later'])
  })
})

describe('when a worker waits', () => {
  it('gets a task as soon as there is one', async () => {
    const test = await start()
    const waiting = lease(test, { waitMs: 30_000 })
    await settle()
    await insert(test, 'now')
    expect(idsOf(await waiting)).toEqual(['now'])
  })

  it('gets a delayed task when it falls due', async () => {
    const test = await start()
    await insert(test, 'later', { dueInMs: 2_000 })
    const waiting = lease(test, { waitMs: 30_000 })
    await settle()
    test.world.advance(2_000)
    expect(idsOf(await waiting)).toEqual(['later'])
  })

  it('gets nothing when the wait is over, or the engine stops', async () => {
    const test = await start()
    const timed = lease(test, { waitMs: 1_000 })
    await settle()
    test.world.advance(1_000)
    expect(await timed).toEqual([])
    const stopped = lease(test, { waitMs: 60_000 })
    await settle()
    test.engine.stop()
    expect(await stopped).toEqual([])
  })
})

describe('when a lease ends', () => {
  it('makes the task available again, and refuses what its late holder says', async () => {
    const test = await start()
    await insert(test, 'slow')
    const [first] = await lease(test, { termMs: 60_000 })
    test.world.advance(60_000)
    await settle()
    const [second] = await lease(test, { worker: 'worker-2' })
    expect(second?.item.lease.number).toBe(2)
    expect(left(await complete(test, 'slow', first?.item.lease.token ?? ''))).toMatchObject({ type: 'stale-lease' })
    expect(right(await complete(test, 'slow', second?.item.lease.token ?? '')).item.status).toBe('settled')
  })

  it('answers a repeated completion as the first, and a different one as late, once', async () => {
    const test = await start()
    await insert(test, 'done')
    const [held] = await lease(test)
    const token = held?.item.lease.token ?? ''
    const first = right(await complete(test, 'done', token))
    const again = right(await complete(test, 'done', token))
    expect(again.events).toEqual([])
    expect(again.position).toBe(first.position)
    expect(right(await complete(test, 'done', token, 2)).events.map((event) => event.type)).toEqual(['LateResultRecorded'])
    expect(left(await complete(test, 'done', token, 3))).toMatchObject({ type: 'settled' })
  })
})

describe('when too much lives', () => {
  it('refuses births, and takes them again when something has settled', async () => {
    const test = await start({ settings: { maxLiveItems: 2 } })
    await insert(test, 'a')
    await insert(test, 'b')
    const birth = () =>
      test.engine.execute(
        taskId('shop', 'mail', 'c'),
        { type: 'InsertTask', by: 'producer', task: { app: 'shop', queue: 'mail', dueAt: test.world.now() }, mediaType: 'application/json', digest: 'c' },
        contextOf(test.world, 'producer'),
      )
    expect(left(await birth())).toEqual({ type: 'too-many-live' })
    const [held] = await lease(test)
    right(await complete(test, 'a', held?.item.lease.token ?? ''))
    expect(right(await birth()).item.status).toBe('waiting')
  })
})

describe('after a restart with tasks', () => {
  it('has the same tasks waiting, held and delayed', async () => {
    const before = await start()
    for (const id of ['a', 'b']) await insert(before, id)
    await insert(before, 'later', { dueInMs: 5_000 })
    await lease(before)
    const after = await start({ store: before.store, world: before.world })
    expect(idsOf(await lease(after, { max: 10 }))).toEqual(['b'])
    before.world.advance(5_000)
    expect(idsOf(await lease(after, { max: 10 }))).toEqual(['later'])
    before.world.advance(60_000)
    await settle()
    expect(after.engine.live(taskId('shop', 'mail', 'a'))?.status).toBe('waiting')
  })

  it.each([
    ['30 seconds where its lease is longer', 60_000, 30_000],
    ['its term where that is shorter', 10_000, 10_000],
  ])('gives a worker whose lease ended meanwhile %s', async (_what, termMs, graceMs) => {
    const before = await start()
    await insert(before, 'a')
    await lease(before, { termMs })
    before.engine.stop()
    before.world.advance(10 * termMs)
    const after = await start({ store: before.store, world: before.world })
    before.world.advance(graceMs - 1)
    await settle()
    expect(after.engine.live(taskId('shop', 'mail', 'a'))?.status).toBe('running')
    before.world.advance(1)
    await settle()
    expect(after.engine.live(taskId('shop', 'mail', 'a'))?.status).toBe('waiting')
  })
})

describe('when the server stood still while tasks were leased', () => {
  it('takes none from its worker for the time in which it could not listen', async () => {
    const test = await start()
    await insert(test, 'a')
    await lease(test)
    // The clock jumps as it does after SIGSTOP: the timer fires much too late.
    test.world.leap(65_000)
    await settle()
    expect(test.engine.live(taskId('shop', 'mail', 'a'))?.status).toBe('running')
    test.world.advance(30_000)
    await settle()
    expect(test.engine.live(taskId('shop', 'mail', 'a'))?.status).toBe('waiting')
  })
})

// How the engine carries a job through its life: signs of life, silence, loss, return, and what a restart makes of them.
import { afterEach, describe, expect, it } from 'vitest'
import { ask, direct, left, register, report, right, settle, SILENCE_MS, startEngine, type TestEngine } from '../support/engine.ts'

const opened: TestEngine[] = []

const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const one = await startEngine(given)
  opened.push(one)
  return one
}

afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.close()
})

const stateOf = (test: TestEngine, workItem: string): string | undefined => test.engine.live(workItem)?.status

describe('when a job is registered', () => {
  it('is running under lease 1, and the same registration again changes nothing', async () => {
    const test = await start()
    const first = await register(test)
    const again = await register(test)
    expect(first.done.events.map((event) => event.type)).toEqual(['JobRegistered', 'Leased'])
    expect(again.done.events).toEqual([])
    expect(again.lease).toBe(first.lease)
    expect(again.done.position).toBe(first.done.position)
  })

  it('lets a hundred registrations of one id at once make one job', async () => {
    const test = await start()
    const all = await Promise.all(Array.from({ length: 100 }, () => register(test)))
    expect(all.filter(({ done }) => done.events.length > 0)).toHaveLength(1)
    expect(new Set(all.map(({ lease }) => lease)).size).toBe(1)
  })

  it('gives a new instance a new lease and fences the old one', async () => {
    const test = await start()
    const old = await register(test)
    const taken = await register(test, '1', { instance: 'instance-2' })
    expect(taken.lease).toMatch(/^2\./)
    expect(left(await report(test, old.workItem, old.lease, { phase: 'merge' }))).toMatchObject({ type: 'stale-lease' })
    expect(right(await report(test, old.workItem, taken.lease, { phase: 'merge' })).recorded).toBe(true)
  })
})

describe('when its holder reports', () => {
  it('records the first progress and only notes the next that comes too soon', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    expect(right(await report(test, workItem, lease, { progress: { fraction: 0.1 } })).recorded).toBe(true)
    expect(right(await report(test, workItem, lease, { progress: { fraction: 0.5 } })).recorded).toBe(false)
    expect(test.engine.presence(workItem)?.progress).toEqual({ fraction: 0.5 })
    expect(test.engine.live(workItem)?.progress).toEqual({ fraction: 0.1 })
  })

  it('records noted progress with the next sign of life when its time has come', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    await report(test, workItem, lease, { progress: { fraction: 0.1 } })
    await report(test, workItem, lease, { progress: { fraction: 0.5 } })
    test.world.advance(300)
    await ask(test, workItem, lease)
    expect(test.engine.live(workItem)?.progress).toEqual({ fraction: 0.5 })
    expect(test.engine.presence(workItem)?.progress).toBeUndefined()
  })

  it('runs commands on one item one after another', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    const phases = Array.from({ length: 50 }, (_, index) => `phase ${index}`)
    const done = await Promise.all(phases.map((phase) => report(test, workItem, lease, { phase })))
    expect(done.map((one) => right(one).item.revision)).toEqual(phases.map((_, index) => index + 2))
    expect(test.engine.live(workItem)?.phase).toBe('phase 49')
  })
})

describe('when its holder falls silent', () => {
  it('stays running until the promised silence is over, then is lost', async () => {
    const test = await start()
    const { workItem } = await register(test)
    test.world.advance(SILENCE_MS - 1)
    await settle()
    expect(stateOf(test, workItem)).toBe('running')
    test.world.advance(1)
    await settle()
    expect(stateOf(test, workItem)).toBe('lost')
  })

  it('counts the silence from the last sign of life, and adds at most one event a silence', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    for (let second = 0; second < 60; second++) {
      test.world.advance(1_000)
      await ask(test, workItem, lease)
    }
    await settle()
    expect(stateOf(test, workItem)).toBe('running')
    expect(test.engine.live(workItem)?.revision).toBeLessThanOrEqual(1 + Math.ceil(60_000 / SILENCE_MS))
    test.world.advance(SILENCE_MS)
    await settle()
    expect(stateOf(test, workItem)).toBe('lost')
  })

  it('is found again with the lease it had, and what it reports is kept', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    test.world.advance(SILENCE_MS)
    await settle()
    const found = right(await report(test, workItem, lease, { phase: 'merge' }))
    expect(found.events.map((event) => event.type)).toEqual(['HolderFound', 'LeaseExtended', 'PhaseEntered'])
    expect(stateOf(test, workItem)).toBe('running')
  })

  it('keeps a directive waiting for a lost job', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    test.world.advance(SILENCE_MS)
    await settle()
    right(await direct(test, workItem, 'abort'))
    expect(stateOf(test, workItem)).toBe('lost')
    const answer = right(await ask(test, workItem, lease))
    expect(answer.item).toMatchObject({ status: 'running', will: 'abort' })
    expect(answer.item.receipt?.seenAt).toBe(test.world.now())
  })

  it('settles as failed after a day, and records one late result', async () => {
    const test = await start()
    const { workItem, lease } = await register(test)
    test.world.advance(SILENCE_MS)
    await settle()
    test.world.advance(86_400_000)
    await settle()
    expect(right(await test.engine.read(workItem))).toMatchObject({ item: { status: 'settled', end: 'failed' }, ending: { code: 'lost' } })
    const late = right(await report(test, workItem, lease, { outcome: { completed: { result: 1 } } }))
    expect(late.events.map((event) => event.type)).toEqual(['LateResultRecorded'])
    expect(left(await report(test, workItem, lease, { outcome: { completed: { result: 2 } } }))).toMatchObject({ type: 'settled' })
  })
})

describe('when this server stood still', () => {
  it('judges nobody by the time in which it could not listen', async () => {
    const test = await start()
    const { workItem } = await register(test)
    // The clock jumps as it does after SIGSTOP: the timer fires much too late.
    test.world.leap(SILENCE_MS + 5_000)
    await settle()
    expect(stateOf(test, workItem)).toBe('running')
    test.world.advance(SILENCE_MS)
    await settle()
    expect(stateOf(test, workItem)).toBe('lost')
  })
})

describe('after a restart', () => {
  it('knows every job as it was, under the same lease', async () => {
    const before = await start()
    const { workItem, lease } = await register(before)
    await report(before, workItem, lease, { phase: 'merge', progress: { done: 3, total: 10, unit: 'files' } })
    await direct(before, workItem, 'pause')
    const was = before.engine.live(workItem)
    const after = await start({ store: before.store, world: before.world })
    expect(after.engine.live(workItem)).toEqual(was)
    expect(right(await report(after, workItem, lease, { state: 'paused' })).item.status).toBe('paused')
  })

  it('gives a job a full silence before it is lost', async () => {
    const before = await start()
    const { workItem } = await register(before)
    before.engine.stop()
    before.world.advance(10 * SILENCE_MS)
    const after = await start({ store: before.store, world: before.world })
    before.world.advance(SILENCE_MS - 1)
    await settle()
    expect(stateOf(after, workItem)).toBe('running')
    before.world.advance(1)
    await settle()
    expect(stateOf(after, workItem)).toBe('lost')
  })

  it('answers a repeated final report as the first time', async () => {
    const before = await start()
    const { workItem, lease } = await register(before)
    right(await report(before, workItem, lease, { outcome: { completed: { result: { pages: 7 } } } }))
    const after = await start({ store: before.store, world: before.world })
    const again = right(await report(after, workItem, lease, { outcome: { completed: { result: { pages: 7 } } } }))
    expect(again.events).toEqual([])
    expect(again.item).toMatchObject({ status: 'settled', end: 'completed' })
  })
})

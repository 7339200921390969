// Signs of life and births at awkward moments: a start that takes long, a server that is full, news that are none.
import { describe, expect, it } from 'vitest'
import type { EventStore } from '../../src/store/port.ts'
import { ask, left, register, report, right, settle, SILENCE_MS, startEngine } from '../support/engine.ts'

describe('when a start takes about as long as the promised silence', () => {
  it('counts silence from when calls can be heard again', async () => {
    const before = await startEngine()
    const { workItem, lease } = await register(before)
    before.engine.stop()
    let reads = 0
    const slow: EventStore = {
      ...before.store,
      readAll: (options) => async () => {
        reads += 1
        if (reads === 1) before.world.leap(SILENCE_MS + 500)
        return before.store.readAll(options)()
      },
    }
    const after = await startEngine({ store: slow, world: before.world })
    after.world.advance(SILENCE_MS - 1)
    await settle()
    expect(after.engine.live(workItem)?.status).toBe('running')
    right(await ask(after, workItem, lease))
    await after.engine.close()
  })
})

describe('when no more may be born', () => {
  it('still knows the repeat of a birth that is long settled', async () => {
    const before = await startEngine()
    const { workItem, lease } = await register(before, 'old')
    right(await report(before, workItem, lease, { outcome: { completed: {} } }))
    before.engine.stop()
    const after = await startEngine({ store: before.store, world: before.world, settings: { maxLiveItems: 1 } })
    await register(after, 'new')
    const repeated = await register(after, 'old')
    expect(repeated.done).toMatchObject({ events: [], item: { status: 'settled', end: 'completed' } })
    await expect(register(after, 'newer')).rejects.toThrow('too-many-live')
    await after.engine.close()
  })
})

describe('when progress goes back to what was recorded', () => {
  it('shows what was said last', async () => {
    const test = await startEngine()
    const { workItem, lease } = await register(test)
    expect(right(await report(test, workItem, lease, { progress: { fraction: 0.4 } })).recorded).toBe(true)
    expect(right(await report(test, workItem, lease, { progress: { fraction: 0.404 } })).recorded).toBe(false)
    expect(test.engine.presence(workItem)?.progress).toEqual({ fraction: 0.404 })
    expect(right(await report(test, workItem, lease, { progress: { fraction: 0.4 } })).recorded).toBe(true)
    expect(test.engine.presence(workItem)?.progress).toBeUndefined()
    test.world.advance(1_000)
    right(await ask(test, workItem, lease))
    expect(test.engine.live(workItem)?.progress).toEqual({ fraction: 0.4 })
    expect(left(await ask(test, workItem, '9.xxxxxxxx'))).toMatchObject({ type: 'stale-lease' })
    await test.engine.close()
  })
})

describe('when a registration is repeated', () => {
  it('is no sign of life, as it carries no lease: a lost job stays lost until its holder speaks under the lease', async () => {
    const test = await startEngine()
    const { workItem, lease } = await register(test)
    const registeredAt = test.world.now()
    test.world.advance(SILENCE_MS)
    await settle()
    expect((await register(test)).done).toMatchObject({ events: [], item: { status: 'lost', lastSeenAt: registeredAt } })
    expect(test.engine.presence(workItem)?.lastSeenAt).toBe(registeredAt)
    right(await ask(test, workItem, lease))
    expect(test.engine.live(workItem)?.status).toBe('running')
    await test.engine.close()
  })
})

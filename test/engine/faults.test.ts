// What the engine does when the store fails: nothing is claimed that is not known, and reads go on (rules 9).
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { jobId } from '../../src/domain/ids.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type AppendFailure, type Appended, type EventStore } from '../../src/store/port.ts'
import { contextOf, left, register, registerCommand, report, right, settle, SILENCE_MS, startEngine, type TestEngine } from '../support/engine.ts'

const opened: TestEngine[] = []

afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.close()
})

/** A memory store whose next appends a test can spoil: before anything is stored, or after. */
const spoilable = () => {
  const store = memoryStore()
  let fault: { readonly kind: StoreFault['kind']; readonly stored: boolean } | undefined
  const append: EventStore['append'] = (stream, expected, events) => async (): Promise<E.Either<AppendFailure, Appended>> => {
    const spoilt = fault
    if (spoilt === undefined) return store.append(stream, expected, events)()
    if (spoilt.stored) await store.append(stream, expected, events)()
    return E.left(new StoreFault(spoilt.kind, 'as the test wants it'))
  }
  return {
    store: { ...store, append },
    spoil: (kind: StoreFault['kind'], stored: boolean) => {
      fault = { kind, stored }
    },
    heal: () => {
      fault = undefined
    },
  }
}

const start = async (store: EventStore): Promise<TestEngine> => {
  const one = await startEngine({ store })
  opened.push(one)
  return one
}

describe('when the store is unavailable', () => {
  it('refuses the command, changes nothing, and takes it when the store is back', async () => {
    const { store, spoil, heal } = spoilable()
    const test = await start(store)
    const { workItem, lease } = await register(test)
    spoil('unavailable', false)
    expect(left(await report(test, workItem, lease, { phase: 'merge' }))).toMatchObject({ kind: 'unavailable' })
    expect(test.engine.live(workItem)?.phase).toBeUndefined()
    expect(right(await test.engine.read(workItem)).item.status).toBe('running')
    heal()
    expect(right(await report(test, workItem, lease, { phase: 'merge' })).item.phase).toBe('merge')
  })

  it('hears whoever holds a lease all the same, and tells it what is known', async () => {
    const { store, spoil, heal } = spoilable()
    const test = await start(store)
    const { workItem, lease } = await register(test)
    // The promise in the log is nearly over, so a sign of life has something to record.
    test.world.advance(SILENCE_MS - 1)
    right(await report(test, workItem, lease, {}))
    test.world.advance(SILENCE_MS - 1)
    spoil('unavailable', false)
    const asked = right(await test.engine.execute(workItem, { type: 'AskDirective', by: 'server', lease }, contextOf(test.world, 'server')))
    expect([asked.item.will, asked.recorded, asked.events]).toEqual(['normal', false, []])
    left(await report(test, workItem, lease, { phase: 'merge' }))
    heal()
    test.world.advance(SILENCE_MS - 1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('running')
    test.world.advance(1)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('lost')
  })

  it('tries a timer again until the store takes what it says', async () => {
    const { store, spoil, heal } = spoilable()
    const test = await start(store)
    const { workItem } = await register(test)
    spoil('unavailable', false)
    test.world.advance(SILENCE_MS)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('running')
    expect(test.troubles).toEqual([expect.stringContaining('LoseHolder')])
    heal()
    test.world.advance(1_000)
    await settle()
    expect(test.engine.live(workItem)?.status).toBe('lost')
  })
})

describe('when the outcome of an append is unknown', () => {
  it('finds a birth that was stored after all, by the same command again', async () => {
    const { store, spoil, heal } = spoilable()
    const test = await start(store)
    spoil('unknown-outcome', true)
    const context = contextOf(test.world, 'server')
    expect(left(await test.engine.execute(jobId('1'), registerCommand(), context))).toMatchObject({ kind: 'unknown-outcome' })
    heal()
    const again = right(await test.engine.execute(jobId('1'), registerCommand(), context))
    expect(again.events).toEqual([])
    expect(again.item).toMatchObject({ status: 'running', revision: 1 })
  })

  it('finds a report that was stored after all, and decides again on the stream', async () => {
    const { store, spoil, heal } = spoilable()
    const test = await start(store)
    const { workItem, lease } = await register(test)
    spoil('unknown-outcome', true)
    left(await report(test, workItem, lease, { outcome: { completed: { result: 1 } } }))
    heal()
    const again = right(await report(test, workItem, lease, { outcome: { completed: { result: 1 } } }))
    expect(again.events).toEqual([])
    expect(again.item.status).toBe('settled')
  })
})

describe('when the log holds what this version does not know', () => {
  it('refuses to start and names it', async () => {
    const store = memoryStore()
    right(await store.append('workItem-job/1', 'noStream', [{ id: '1', type: 'JobTeleported', v: 1, time: 1, data: '{}', meta: '{}' }])())
    await expect(startEngine({ store })).rejects.toThrow('JobTeleported')
  })
})

describe('when the store has failed for good', () => {
  it('is not ready and says why', async () => {
    const test = await start(memoryStore())
    expect(test.engine.status().status).toBe('ready')
    test.engine.failed(new Error('disk I/O error'))
    expect(test.engine.status()).toMatchObject({ status: 'not-ready', checks: expect.arrayContaining([{ name: 'store', ok: false, detail: 'disk I/O error' }]) })
  })
})

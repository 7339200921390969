// Purging and redriving many tasks at once: what was there when it began and has not changed since, also over a restart and a store that fails on the way.
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import type { BulkFilter } from '../../src/domain/queue/events.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { StoreFault, type EventStore } from '../../src/store/port.ts'
import { left, right, settle, startEngine, type TestEngine } from '../support/engine.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { fail, finish, put, take } from '../support/tasks.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const MAIL = { app: 'shop', queue: 'mail' }
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

const context = ({ world }: TestEngine) => ({ subject: 'admin', actor: 'admin@shop.example', commandId: world.uuid() })
/** A store that takes so many events of a type and then fails for good, as a process that is killed there. */
const crashing = (type: string, count: number) => {
  const world = virtualWorld()
  const log = memoryStore({ world })
  let taken = 0
  const store: EventStore = {
    ...log,
    append: (stream, expected, events) => {
      const append = log.append(stream, expected, events)
      return async () => {
        if (taken >= count && !stream.startsWith('audit')) return E.left(new StoreFault('unavailable', 'gone'))
        taken += events.filter((event) => event.type === type).length
        return append()
      }
    },
    close: async () => undefined,
  }
  return { store, world, log }
}

/** Another engine over what was stored. */
const afterCrash = async (before: TestEngine, { log, world }: ReturnType<typeof crashing>): Promise<TestEngine> => {
  opened.length = 0
  await before.engine.close()
  return start({ store: log, world })
}

const begin = async (test: TestEngine, what: 'purge' | 'redrive', filter: BulkFilter = {}) => right(await test.engine.queues.startBulk(MAIL, what, filter, context(test))).id

const bulkOf = (test: TestEngine, id: string) => test.engine.queues.get(MAIL)?.bulks.find((bulk) => bulk.id === id)

/** Lets a bulk run to its end. */
const finished = async (test: TestEngine, id: string) => {
  for (let turn = 0; turn < 200 && bulkOf(test, id)?.finished === undefined; turn += 1) await settle()
  return bulkOf(test, id)?.finished
}

const namesOf = async (test: TestEngine, max = 1_000) => (await take(test, { max })).toSorted()

const deadLetters = async (test: TestEngine, ids: readonly string[], code = 'broken'): Promise<void> => {
  for (const id of ids) await put(test, id)
  const taken = await take(test, { max: ids.length })
  for (const id of taken) await fail(test, id, code)
}

describe('a purge', () => {
  it('cancels what waits, due or delayed, and leaves what is held', async () => {
    const test = await start()
    for (const id of ['held', 'a', 'b']) await put(test, id)
    await put(test, 'later', { dueInMs: 60_000 })
    await take(test)
    const id = await begin(test, 'purge')
    expect(await finished(test, id)).toMatchObject({ done: 3, skipped: 0 })
    await put(test, 'after')
    expect(await namesOf(test)).toEqual(['after'])
    expect((await finish(test, 'held')).item.status).toBe('settled')
    expect(right(await test.engine.read('task/shop/mail/a'))).toMatchObject({ item: { end: 'cancelled' }, ending: { by: 'admin@shop.example' } })
    test.world.advance(60_000)
    expect(await namesOf(test)).toEqual([])
  })

  it('takes only what fits all of its filter', async () => {
    const test = await start()
    await put(test, 'a1', { tag: 'a', key: 'k' })
    await put(test, 'a2', { tag: 'a' })
    await put(test, 'b1', { tag: 'b', key: 'l' })
    const old = test.world.now() + 1
    test.world.advance(1_000)
    await put(test, 'a3', { tag: 'a', key: 'm' })
    expect(await finished(test, await begin(test, 'purge', { tag: 'a', key: 'k' }))).toMatchObject({ done: 1 })
    expect(await finished(test, await begin(test, 'purge', { insertedBefore: old }))).toMatchObject({ done: 2 })
    expect(await finished(test, await begin(test, 'purge', { tag: 'none' }))).toMatchObject({ done: 0 })
    expect(await namesOf(test)).toEqual(['a3'])
  })

  it('is the same when it is asked for again under its name', async () => {
    const test = await start()
    await put(test, 'a')
    const named = context(test)
    const first = right(await test.engine.queues.startBulk(MAIL, 'purge', {}, named))
    const again = right(await test.engine.queues.startBulk(MAIL, 'purge', {}, named))
    expect(again.id).toBe(first.id)
    expect(left(await test.engine.queues.startBulk(MAIL, 'redrive', {}, named))).toMatchObject({ type: 'exists-with-other-content' })
    await finished(test, first.id)
  })

  it('goes on after a crash in its middle', async () => {
    const crash = crashing('Cancelled', 300)
    const before = await start(crash)
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => put(before, `t${index}`)))
    const id = await begin(before, 'purge')
    await settle()
    expect(bulkOf(before, id)?.finished).toBeUndefined()
    const after = await afterCrash(before, crash)
    expect(after.engine.status().liveItems).toBe(700)
    await put(after, 'new')
    expect(await finished(after, id)).toMatchObject({ done: 1_000, skipped: 0 })
    expect(await namesOf(after)).toEqual(['new'])
  })

  it('counts all that it did and all that it had to leave, though it was killed between', async () => {
    const crash = crashing('Cancelled', 300)
    const before = await start(crash)
    await Promise.all(Array.from({ length: 500 }, (_, index) => put(before, `t${index}`, { tag: 'meant' })))
    await put(before, 'other', { tag: 'other' })
    // Purged last and leased first.
    for (const id of ['u1', 'u2', 'u3']) await put(before, id, { tag: 'meant', priority: 1 })
    const id = await begin(before, 'purge', { tag: 'meant' })
    expect(await take(before, { max: 3, tag: 'meant' })).toEqual(['u1', 'u2', 'u3'])
    await put(before, 'born-later', { tag: 'meant' })
    await settle()
    expect(bulkOf(before, id)?.finished).toBeUndefined()
    const after = await afterCrash(before, crash)
    expect(await finished(after, id)).toMatchObject({ done: 500, skipped: 3 })
    expect(await namesOf(after)).toEqual(['born-later', 'other'])
  })

  it('goes on when the store has failed on the way', async () => {
    const world = virtualWorld()
    const store = memoryStore({ world })
    let failures = 0
    const failing: EventStore = {
      ...store,
      append: (stream, expected, events) => {
        const append = store.append(stream, expected, events)
        return async () => {
          if (events[0]?.type !== 'Cancelled' || (failures += 1) > 5) return append()
          return E.left(new StoreFault('overloaded', 'full'))
        }
      },
    }
    const test = await start({ store: failing, world })
    for (let index = 0; index < 20; index += 1) await put(test, `t${index}`)
    const id = await begin(test, 'purge')
    await settle()
    expect(test.troubles).toEqual([expect.stringContaining('purge')])
    world.advance(1_000)
    expect(await finished(test, id)).toMatchObject({ done: 20, skipped: 0 })
    expect(test.engine.status().liveItems).toBe(0)
  })
})

describe('a redrive', () => {
  it('gives dead letters another life, all attempts anew', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { retryLimit: 1 }))
    await deadLetters(test, ['a', 'b', 'c'])
    expect(await namesOf(test)).toEqual([])
    const id = await begin(test, 'redrive')
    expect(await finished(test, id)).toMatchObject({ done: 3, skipped: 0 })
    expect(await namesOf(test)).toEqual(['a', 'b', 'c'])
    expect(test.engine.live('task/shop/mail/a')).toMatchObject({ attempt: 1 })
  })

  it('takes only those that ended with a code', async () => {
    const test = await start()
    await configure(test, queueConfig('shop', 'mail', { retryLimit: 1 }))
    await deadLetters(test, ['a', 'b'], 'smtp')
    await deadLetters(test, ['c'], 'dns')
    expect(await finished(test, await begin(test, 'redrive', { code: 'dns' }))).toMatchObject({ done: 1 })
    expect(await namesOf(test)).toEqual(['c'])
  })

  it('goes on after a crash, though nothing in the queue is alive and no file names it', async () => {
    const crash = crashing('Redriven', 2)
    const before = await start(crash)
    await configure(before, queueConfig('shop', 'mail', { retryLimit: 1 }))
    await deadLetters(before, ['a', 'b', 'c', 'd'])
    await settle()
    const id = await begin(before, 'redrive')
    await settle()
    const after = await afterCrash(before, crash)
    expect(await finished(after, id)).toMatchObject({ done: 4, skipped: 0 })
    expect(await namesOf(after)).toEqual(['a', 'b', 'c', 'd'])
  })
})

// What the SQLite store answers when the world fails: a commit that breaks, a disk that is full, a thread that is gone, too much at once.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { copyFileSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Worker } from 'node:worker_threads'
import { ERASED_DATA } from '../../src/store/port.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { realDisk, type Disk } from '../../src/store/sqlite/sync.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { realWorld, type World } from '../../src/world.ts'
import { virtualWorld } from '../support/virtual-world.ts'
import { directories } from './directories.ts'
import { reportOf, start, startAfter } from './processes.ts'
import { brief, everything, left, put, right, sample, samples, take } from './samples.ts'

const directory = directories()

describe('when a commit fails', () => {
  it('stops for good: unknown for what was under way, unavailable afterwards, reads go on, and the host is told once', async () => {
    const data = directory()
    const report = (await reportOf(startAfter('ulimit -f 4000', 'failing.ts', [data]))) as Record<'acknowledged' | 'faults' | 'causes' | 'late', string[]> & {
      later: string
      read: number
    }
    expect(report.faults).toEqual(Array.from({ length: 8 }, () => 'unknown-outcome'))
    expect(report.later).toBe('unavailable')
    expect(report.causes).toEqual([expect.stringMatching(/disk I\/O error.*SQLite \d+/)])
    expect(report.late).toEqual(report.causes)
    expect(report.acknowledged.length).toBeGreaterThan(8)
    expect(report.read).toBeGreaterThanOrEqual(report.acknowledged.length)

    const store = await openSqliteStore({ directory: data })
    const positions = (await everything(store)).map(({ position }) => position)
    expect(report.acknowledged.filter((position) => !positions.includes(position))).toEqual([])
    expect(right(await verifyChain(store)()).events).toBe(positions.length)
    expect(right(await store.append('later', 'noStream', [sample(1)])()).revision).toBe(0)
    await store.close()
  })
})

/** A disk of the test's own: each sync takes `ms` on a clock of its own, and one beside is over when the test says so. */
const scriptedDisk = () => {
  let now = 0
  const pending: ((error: Error | null) => void)[] = []
  const seen: string[] = []
  const state = { ms: 0, error: undefined as Error | undefined }
  const world: World = { ...realWorld, monotonic: () => now }
  const disk: Disk = {
    ...realDisk,
    sync: (descriptor) => {
      seen.push('here')
      now += state.ms
      if (state.error !== undefined) throw state.error
      realDisk.sync(descriptor)
    },
    syncBeside: (_, done) => {
      seen.push('beside')
      pending.push(done)
    },
  }
  const finish = (error: Error | null = null): void => {
    now += state.ms
    for (const done of pending.splice(0)) done(error)
  }
  return { disk, world, seen, state, finish }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('when the disk is slow', () => {
  it('is waited for beside, until it is quick again', async () => {
    const { disk, world, seen, state, finish } = scriptedDisk()
    const store = await openSqliteStore({ directory: directory(), disk, world })
    await put(store, 'a', [sample(1)])
    state.ms = 30
    await put(store, 'a', [sample(2)])
    seen.length = 0
    for (let number = 3; seen.at(-1) !== 'here' && number < 50; number += 1) {
      state.ms = 0.5
      const appended = store.append('a', 'any', [sample(number)])()
      while (seen.length < number - 2) await turn()
      finish()
      right(await appended)
    }
    expect(seen.length).toBeGreaterThan(3)
    expect(seen.length).toBeLessThan(20)
    expect(new Set(seen.slice(0, -1))).toEqual(new Set(['beside']))
    await store.close()
  })

  it('shows and acknowledges nothing before it is durable', async () => {
    const { disk, world, seen, state, finish } = scriptedDisk()
    const store = await openSqliteStore({ directory: directory(), disk, world })
    const items = store.subscribe({ signal: new AbortController().signal })[Symbol.asyncIterator]()
    state.ms = 30
    await put(store, 'a', [sample(1)])
    const before = right(await store.head()())
    expect(brief(await take(items, 2))).toEqual(['Sample1', 'caughtUp'])
    seen.length = 0
    let answered = 0
    const appended = store
      .append('a', 0, [sample(2)])()
      .finally(() => (answered += 1))
    while (seen.length === 0) await turn()
    const waiting = store
      .append('b', 'noStream', [sample(3)])()
      .finally(() => (answered += 1))
    await turn()
    expect(answered).toBe(0)
    expect(right(await store.head()())).toEqual(before)
    expect(await everything(store)).toHaveLength(1)
    expect(right(await store.readStream('a')())).toHaveLength(1)
    expect(right(await store.readChain()())).toHaveLength(1)
    finish()
    expect(right(await appended).revision).toBe(1)
    expect(right(await store.readStream('a')())).toHaveLength(2)
    expect(brief(await take(items, 2))).toEqual(['Sample2', 'caughtUp'])
    while (seen.length < 2) await turn()
    finish()
    expect(right(await waiting).revision).toBe(0)
    expect(right(await verifyChain(store)()).events).toBe(3)
    await store.close()
  })
})

describe('when the machine stops', () => {
  it('has on the disk, at each sync, what is acknowledged after it', async () => {
    const data = directory()
    const file = join(data, 'stint.db')
    /** The files as they were when they were synced last: what a machine that stops would be left with, at least. */
    let kept = directory()
    const keep = (): void => {
      kept = directory()
      for (const name of readdirSync(data).filter((name) => name.startsWith('stint.db'))) copyFileSync(join(data, name), join(kept, name))
    }
    const disk: Disk = {
      ...realDisk,
      sync: (descriptor) => {
        realDisk.sync(descriptor)
        keep()
      },
    }
    const store = await openSqliteStore({ file, disk, world: { ...realWorld, monotonic: () => 0 }, checkpointPages: 16, indexEvery: 10 })
    const acknowledged: string[] = []
    for (let turn = 0; turn < 30; turn += 1) {
      const answers = await Promise.all(samples(1 + (turn % 4), turn * 10).map((event, index) => store.append(`s${(turn + index) % 7}`, 'any', [event])()))
      acknowledged.push(...answers.map((answer) => right(answer).position))
      const left = await openSqliteStore({ directory: kept })
      const found = await everything(left)
      expect(found.map(({ position }) => position)).toEqual(acknowledged)
      for (const { stream, revision, id } of found) expect(right(await left.readStream(stream, { from: revision, max: 1 })())[0]?.id).toBe(id)
      expect(right(await verifyChain(left)()).events).toBe(acknowledged.length)
      await left.close()
    }
    await store.close()
  })
})

describe('when the disk does not sync', () => {
  it.each(['here', 'beside'])('does not know what was written, and takes nothing more: %s', async (where) => {
    const { disk, world, seen, state, finish } = scriptedDisk()
    const data = directory()
    const store = await openSqliteStore({ directory: data, disk, world })
    const causes: string[] = []
    store.onFatal((cause) => causes.push(cause.message))
    if (where === 'beside') state.ms = 30
    await put(store, 'a', [sample(1)])
    const items = store.subscribe({ signal: new AbortController().signal })[Symbol.asyncIterator]()
    expect(brief(await take(items, 2))).toEqual(['Sample1', 'caughtUp'])
    const error = new Error('EIO: i/o error, fdatasync')
    if (where === 'here') state.error = error
    seen.length = 0
    const given = samples(3, 2).map((event) => store.append('a', 'any', [event])())
    while (seen.length === 0) await turn()
    const waiting = samples(3, 5).map((event) => store.append('a', 'any', [event])())
    finish(error)
    for (const answer of await Promise.all(given)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unknown-outcome' })
    for (const answer of await Promise.all(waiting)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    expect(left(await store.append('a', 'any', [sample(9)])())).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    expect(causes).toEqual([expect.stringContaining('EIO')])
    expect(await everything(store)).toHaveLength(1)
    await store.close()
    await expect(items.next()).rejects.toMatchObject({ kind: 'unavailable' })

    // Whatever of it is there after a restart is there for good, and whole.
    const again = await openSqliteStore({ directory: data })
    expect(right(await verifyChain(again)()).events).toBe((await everything(again)).length)
    expect((await put(again, 'later', [sample(10)])).revision).toBe(0)
    await again.close()
  })

  it('is not opened', async () => {
    const { disk, world, state } = scriptedDisk()
    const data = directory()
    state.error = new Error('EIO: i/o error, fdatasync')
    await expect(openSqliteStore({ directory: data, disk, world })).rejects.toThrow('EIO')
    state.error = undefined
    const store = await openSqliteStore({ directory: data, disk, world })
    await store.close()
  })
})

describe('when the thread that copies the write-ahead log is gone', () => {
  it('starts another, and can be closed at any time', async () => {
    const started: Worker[] = []
    const seen = (worker: Worker): void => void started.push(worker)
    process.on('worker', seen)
    const store = await openSqliteStore({ directory: directory(), checkpointPages: 16 })
    for (let number = 0; started.length < 3; number += 1) {
      await put(store, 'a', [sample(number, { payload: Buffer.alloc(20_000) })])
      if (started.length < 3) await started.at(-1)?.terminate()
      await turn()
    }
    process.off('worker', seen)
    const events = await everything(store)
    const underWay = samples(50, 1_000).map((event) => store.append('b', 'any', [event])())
    await Promise.all([started.at(-1)?.terminate(), store.close()])
    const kinds = (await Promise.all(underWay)).map((answer) => (answer._tag === 'Left' ? answer.left.kind : 'stored'))
    expect(new Set(kinds)).toEqual(new Set(['stored']))
    const again = await openSqliteStore({ file: store.file })
    expect((await everything(again)).length).toBe(events.length + 50)
    await again.close()
  })

  it('starts another as well when it has ended while it had nothing to do', async () => {
    const started: Worker[] = []
    const seen = (worker: Worker): void => void started.push(worker)
    process.on('worker', seen)
    const store = await openSqliteStore({ directory: directory(), checkpointPages: 16 })
    const write = async (): Promise<void> => {
      await put(store, 'a', [sample(1, { payload: Buffer.alloc(20_000) })])
      await turn()
    }
    while (started.length < 1) await write()
    for (let times = 0; times < 100; times += 1) await turn()
    await started[0]?.terminate()
    while (started.length < 2) await write()
    process.off('worker', seen)
    await store.close()
  })
})

describe('when a log is closed', () => {
  it('ends at any moment of the copying, with every thread, and lets the process end', async () => {
    const program = start('closer.ts', [directory(), '40'])
    const line = await program.lines.next()
    expect({ line: line.value as unknown, complaints: await program.gone }).toEqual({ line: 'closed', complaints: '' })
  })

  it('has not failed, whatever was to be tidied up', async () => {
    for (let times = 0; times < 5; times += 1) {
      const store = await openSqliteStore({ directory: directory() })
      const fatal: Error[] = []
      store.onFatal((cause) => fatal.push(cause))
      const appended = store.append('a', 'noStream', [sample(1, { payload: Buffer.alloc(3_000_000) })])()
      const closed = store.close()
      right(await appended)
      await closed
      await turn()
      expect(fatal).toEqual([])
    }
  })

  it('waits for a sync that is under way', async () => {
    const { disk, world, seen, state, finish } = scriptedDisk()
    const order: string[] = []
    const store = await openSqliteStore({
      directory: directory(),
      world,
      disk: {
        ...disk,
        close: (descriptor) => {
          order.push('closed')
          realDisk.close(descriptor)
        },
      },
    })
    state.ms = 30
    await put(store, 'a', [sample(1)])
    seen.length = 0
    const appended = store.append('a', 'any', [sample(2)])()
    while (seen.length === 0) await turn()
    const closed = store.close()
    await turn()
    order.push('synced')
    finish()
    right(await appended)
    await closed
    expect(order).toEqual(['synced', 'closed'])
  })
})

describe('when much is written without a pause', () => {
  it('has a write-ahead log that begins anew all the same', async () => {
    const store = await openSqliteStore({ directory: directory(), checkpointPages: 256 })
    let largest = 0
    const lane = async (number: number): Promise<void> => {
      for (let times = 0; times < 25; times += 1) {
        right(await store.append(`s${number}`, 'any', [sample(times, { payload: Buffer.alloc(400_000) })])())
        largest = Math.max(largest, statSync(`${store.file}-wal`).size)
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, number) => lane(number)))
    // 80 MB were written.
    expect(largest).toBeLessThan(40_000_000)
    await store.close()
  })
})

describe('when events are erased on a slow disk', () => {
  it('shows them whole, or erased with their tombstone', async () => {
    const { disk, world, seen, state, finish } = scriptedDisk()
    const store = await openSqliteStore({ directory: directory(), disk, world })
    await put(store, 'a', [sample(1), sample(2)])
    state.ms = 30
    await put(store, 'b', [sample(3)])
    seen.length = 0
    const erased = store.erase('a', 1, [sample(4)])()
    for (let turns = 0; turns < 20; turns += 1) {
      const found = right(await store.readStream('a')())
      expect([2, 3]).toContain(found.length)
      expect(found.slice(0, 2).every(({ data }) => data === ERASED_DATA)).toBe(found.length === 3)
      await turn()
    }
    // Synced with the commit, before it could be seen.
    expect(seen).toEqual([])
    finish()
    expect(right(await erased).erased).toBe(2)
    await store.close()
  })
})

/** Whether this user may mount a disk that only its own processes see. */
const mayMount = async (at: string): Promise<boolean> => {
  try {
    return (await startAfter(`mount -t tmpfs -o size=1m tmpfs '${at}' && exit 0`, 'holder.ts', [at], ['unshare', '--mount']).gone) === ''
  } catch {
    return false
  }
}

interface Filled {
  readonly stored: number
  readonly answer: string
}

describe('when the disk is full', () => {
  it('stores nothing of that commit, says so, and takes what fits afterwards', async () => {
    const store = await openSqliteStore({ directory: directory(), maxFileBytes: 1_000_000 })
    const fatal: Error[] = []
    store.onFatal((cause) => fatal.push(cause))
    await put(store, 'a', [sample(1)])
    const before = right(await store.head()())
    const together = await Promise.all([
      store.append('b', 'noStream', [sample(2)])(),
      store.append('a', 0, [sample(3, { payload: Buffer.alloc(2_000_000) })])(),
      store.append('a', 'noStream', [sample(4)])(),
    ])
    for (const answer of together)
      expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable', message: expect.stringMatching(/disk is full.*nothing was stored/) })
    expect(right(await store.head()())).toEqual(before)
    expect(right(await store.append('b', 'noStream', [sample(5)])())).toEqual({ revision: 0, position: `${before.incarnation}.0000000000000002` })
    expect(right(await store.append('a', 0, [sample(6)])()).revision).toBe(1)
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1', 'Sample5', 'Sample6'])
    expect(right(await verifyChain(store)()).events).toBe(3)
    expect(fatal).toEqual([])
    await store.close()
  })

  it('is in trouble until there is room again, though nobody writes', async () => {
    const world = virtualWorld()
    const store = await openSqliteStore({ directory: directory(), maxFileBytes: 1_000_000, world })
    const told: (string | undefined)[] = []
    store.reach?.onChange(() => told.push(store.reach?.trouble()?.reason))
    const large = (number: number) => store.append('a', 'any', [sample(number, { payload: Buffer.alloc(30_000) })])()
    let number = 1
    while (E.isRight(await large(number))) number += 1
    const refused = left(await large(number))
    expect(refused).toMatchObject({ kind: 'unavailable', told: expect.stringContaining('disk of the log is full') })
    expect(store.reach?.trouble()).toMatchObject({ isRefusing: true, reason: expect.stringContaining('disk is full') })
    world.advance(5_000)
    expect(told).toEqual([expect.stringContaining('disk is full')])
    right(await store.append('b', 'any', [sample(900)])())
    expect(store.reach?.trouble()).toBeUndefined()
    left(await large(number))
    right(await store.erase('a', 'any', [sample(901)])())
    left(await store.append('c', 'any', [sample(902, { payload: Buffer.alloc(2_000_000) })])())
    expect(store.reach?.trouble()).toBeDefined()
    world.advance(1_000)
    expect(store.reach?.trouble()).toBeUndefined()
    expect(told.map((reason) => reason !== undefined)).toEqual([true, false, true, false, true, false])
    await store.close()
  })

  it('stays in trouble where its directory cannot be looked at', async () => {
    const world = virtualWorld()
    const data = directory()
    const store = await openSqliteStore({ directory: data, maxFileBytes: 1_000_000, world })
    left(await store.append('a', 'any', [sample(1, { payload: Buffer.alloc(2_000_000) })])())
    renameSync(data, `${data}-moved`)
    world.advance(1_000)
    expect(store.reach?.trouble()).toBeDefined()
    renameSync(`${data}-moved`, data)
    world.advance(1_000)
    expect(store.reach?.trouble()).toBeUndefined()
    await store.close()
  })

  it('recovers on a real disk as soon as there is room', async (context) => {
    const data = directory()
    if (!(await mayMount(data))) return context.skip('needs the right to mount a small disk in a namespace of its own')
    const program = startAfter(`mount -t tmpfs -o size=6m tmpfs '${data}'`, 'full-disk.ts', [data], ['unshare', '--mount'])
    const report = (await reportOf(program)) as { first: Filled; again: Filled; afterwards: Filled; events: number; fatal: number }
    for (const { answer } of [report.first, report.again, report.afterwards]) expect(answer).toMatch(/^unavailable: The disk is full/)
    expect(report.first.stored).toBeGreaterThan(10)
    expect(report.afterwards.stored).toBeGreaterThan(10)
    expect(report.events).toBe(report.first.stored + report.again.stored + report.afterwards.stored)
    expect(report.fatal).toBe(0)
  })
})

describe('when too much is under way', () => {
  it('refuses what goes beyond the number of appends, and takes more once they are settled', async () => {
    const store = await openSqliteStore({ directory: directory(), inFlight: { appends: 10, bytes: 1_000_000 } })
    const answers = await Promise.all(samples(15).map((event) => store.append('a', 'any', [event])()))
    expect(answers.slice(0, 10).map((answer) => right(answer).revision)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const answer of answers.slice(10)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'overloaded' })
    expect((await put(store, 'a', [sample(16)])).revision).toBe(10)
    await store.close()
  })

  it('refuses what goes beyond the bytes', async () => {
    const store = await openSqliteStore({ directory: directory(), inFlight: { appends: 10, bytes: 10_000 } })
    const large = sample(1, { payload: Buffer.alloc(6_000) })
    const [first, second, third] = await Promise.all([store.append('a', 'any', [large])(), store.append('a', 'any', [large])(), store.append('a', 'any', [sample(2)])()])
    expect([right(first).revision, right(third).revision]).toEqual([0, 1])
    expect(left(second)).toMatchObject({ kind: 'overloaded' })
    await store.close()
  })
})

describe('when another program has the write lock of the log', () => {
  it('refuses after a second, and stores once it has let go', async () => {
    const store = await openSqliteStore({ directory: directory() })
    const other = new DatabaseSync(store.file)
    other.exec('BEGIN IMMEDIATE')
    expect(left(await store.append('a', 'any', [sample(1)])())).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/write lock.*nothing was stored/) })
    expect(await everything(store)).toEqual([])
    other.exec('ROLLBACK')
    other.close()
    expect((await put(store, 'a', [sample(1)])).revision).toBe(0)
    await store.close()
  })
})

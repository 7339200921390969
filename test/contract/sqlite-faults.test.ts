// What the SQLite store answers when the world fails: a commit that breaks, a disk that is full, a thread that is gone, too much at once.
import { describe, expect, it } from 'vitest'
import { DatabaseSync } from 'node:sqlite'
import type { Worker } from 'node:worker_threads'
import { openSqliteStore, type SqliteOptions, type SqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { directories } from './directories.ts'
import { reportOf, startAfter } from './processes.ts'
import { brief, everything, left, put, right, sample, samples, take } from './samples.ts'

const directory = directories()

/** A store and the thread that writes for it. */
const withThread = async (options: SqliteOptions = {}): Promise<{ store: SqliteStore; thread: Worker }> => {
  let thread: Worker | undefined
  const seen = (worker: Worker): void => {
    thread = worker
  }
  process.once('worker', seen)
  const store = await openSqliteStore({ directory: directory(), ...options })
  if (thread === undefined) throw new Error('No thread was started')
  return { store, thread }
}

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

describe("when the writer's thread is gone", () => {
  it('treats what it had as in doubt, and what it had not been given as not stored', async () => {
    const { store, thread } = await withThread()
    await put(store, 'a', [sample(1)])
    const causes: string[] = []
    store.onFatal((cause) => causes.push(cause.message))
    const other = new DatabaseSync(store.file)
    other.exec('BEGIN IMMEDIATE')
    const given = samples(3, 2).map((event) => store.append('a', 'any', [event])())
    await new Promise((resolve) => setImmediate(resolve))
    const waiting = samples(3, 5).map((event) => store.append('a', 'any', [event])())
    await thread.terminate()
    other.close()
    for (const answer of await Promise.all(given)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unknown-outcome' })
    for (const answer of await Promise.all(waiting)) expect(left(answer)).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    expect(left(await store.append('a', 'any', [sample(9)])())).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    expect(causes).toEqual([expect.stringContaining('thread ended')])
    expect(await everything(store)).toHaveLength(1)
    await store.close()
  })

  it('can still be closed while appends are under way', async () => {
    const { store, thread } = await withThread()
    const underWay = samples(50).map((event) => store.append('a', 'any', [event])())
    await Promise.all([thread.terminate(), store.close()])
    const kinds = (await Promise.all(underWay)).map((answer) => (answer._tag === 'Left' ? answer.left.kind : 'stored'))
    expect(kinds.filter((kind) => !['stored', 'unknown-outcome', 'unavailable'].includes(kind))).toEqual([])
  })

  it('ends subscriptions only when the store is closed', async () => {
    const { store, thread } = await withThread()
    await put(store, 'a', [sample(1)])
    await thread.terminate()
    const items = store.subscribe({ signal: new AbortController().signal })[Symbol.asyncIterator]()
    expect(brief(await take(items, 2))).toEqual(['Sample1', 'caughtUp'])
    await store.close()
    await expect(items.next()).rejects.toMatchObject({ kind: 'unavailable' })
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

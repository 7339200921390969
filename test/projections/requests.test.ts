// Questions about requests and about what time says: kept requests by contract and caller, usage, what expires and what is retired; each as the log has it, for any log.
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { requestId, streamOf, type WorkItemId } from '../../src/domain/ids.ts'
import { kept, NO_USAGE, plus } from '../../src/domain/policy/quota.ts'
import { expiryOf } from '../../src/domain/policy/release.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { EventOfType, Release, WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { evolve } from '../../src/domain/work-item/evolve.ts'
import { absent, isOwing, surfaceState, type SurfaceState, type WorkItem } from '../../src/domain/work-item/state.ts'
import { projections } from '../../src/projections/index.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import { requestWalkOf } from '../../src/projections/request-lists.ts'
import { requests } from '../../src/projections/requests.ts'
import { retired } from '../../src/projections/retired.ts'
import type { CallerUsage, Due, DueFilter, DuePage, ItemRow, RequestFilter, Tables, UsageFilter } from '../../src/projections/tables.ts'
import { sqlOf } from '../../src/projections/work-item-lists.ts'
import { workItems } from '../../src/projections/work-items.ts'
import type { EventStore } from '../../src/store/port.ts'
import { join } from 'node:path'
import { right } from '../support/engine.ts'
import { appendLog, CALLERS, CONTRACTS, draws, randomLog, type Said } from '../support/random-log.ts'
import { everyAnswer, everyRow, rebuiltTables } from '../support/replay.ts'
import { BIRTH, completed, jobLeased } from '../support/samples.ts'
import { append, caughtUp, freshStore, job, openFor, rowsIn, task, temporary } from '../support/tables.ts'

const DAY_MS = 86_400_000

const accepted = (contract: string, caller: string, id: string, release: Release = { policy: 'required' }, bytes = 10): readonly [WorkItemId, WorkItemEvent] => [
  requestId(contract, caller, id),
  {
    type: 'RequestAccepted',
    contract,
    caller,
    by: 'gateway',
    digest: 'print',
    mediaType: 'application/json',
    runs: 'workers',
    release,
    onInterrupted: 'retry',
    interruptedAfterMs: 3_600_000,
    bytes,
    dueAt: BIRTH,
  },
]
const replied = (bytes = 5, given: Partial<EventOfType<'Completed'>> = {}): WorkItemEvent => ({
  type: 'Completed',
  reply: { status: 200, headers: [], bytes, kept: true },
  lease: 1,
  digest: 'reply',
  ...given,
})
const letGo: WorkItemEvent = { type: 'ReplyReleased', how: 'client', by: 'anna' }
const erased = (kind: 'job' | 'task' | 'request'): WorkItemEvent => ({
  type: 'Erased',
  kind,
  by: 'gateway',
  digest: 'print',
  end: 'completed',
  createdAt: BIRTH,
  settledAt: BIRTH,
  eraser: 'stint',
})
const EFFECT = { callback: { url: 'http://127.0.0.1/', mediaType: 'text/plain', bodyBase64: '' } }

const opened = async () => {
  const store = freshStore()
  return { store, tables: await openFor({ reader: store }) }
}

const orNever = <Answer>(answer: Answer | { readonly invalid: 'cursor' }): Exclude<Answer, { readonly invalid: 'cursor' }> => {
  if (typeof answer === 'object' && answer !== null && 'invalid' in answer) throw new Error('Expected the cursor to be good')
  return answer as Exclude<Answer, { readonly invalid: 'cursor' }>
}

/** All pages of a list. */
const listOf = async (tables: Tables, filter: Partial<RequestFilter>): Promise<readonly WorkItemId[]> => {
  const found: WorkItemId[] = []
  for (let after: string | undefined; ;) {
    const page = orNever(await tables.requests({ contract: 'orders', order: 'newest', limit: 2, ...filter, after }))
    found.push(...page.items.map(({ workItem }) => workItem))
    after = page.next
    if (after === undefined) return found
  }
}

const usageOf = async (tables: Tables, filter: Partial<UsageFilter>): Promise<readonly CallerUsage[]> => {
  const found: CallerUsage[] = []
  for (let after: string | undefined; ;) {
    const page = orNever(await tables.usage({ contract: 'orders', limit: 1, ...filter, after }))
    found.push(...page.items)
    after = page.next
    if (after === undefined) return found
  }
}

const dueOf = async (ask: (filter: DueFilter) => Promise<DuePage>, notAfter: number): Promise<readonly Due[]> => {
  const found: Due[] = []
  for (;;) {
    const { items } = await ask({ notAfter, limit: 2, after: found.at(-1) })
    if (items.length === 0) return found
    found.push(...items)
  }
}

const names = (ids: readonly WorkItemId[]): readonly string[] => ids.map((id) => id.split('/').slice(2).join('/'))

describe('a list of requests', () => {
  const fill = async () => {
    const { store, tables } = await opened()
    for (const [contract, caller, id] of [
      ['orders', 'anna', '1'],
      ['orders', 'bert', '1'],
      ['payments', 'anna', '1'],
      ['orders', 'anna', '2'],
      ['orders', 'anna', '3'],
      ['orders', 'anna0', '4'],
    ] as const)
      await append(store, ...accepted(contract, caller, id))
    await append(store, requestId('orders', 'anna', '1'), jobLeased(), replied())
    await append(store, requestId('orders', 'anna', '2'), jobLeased(), replied())
    await append(store, requestId('orders', 'anna', '2'), letGo)
    await append(store, requestId('orders', 'bert', '1'), jobLeased())
    await caughtUp(tables, store)
    return { store, tables }
  }

  it('is of one contract, newest first, and by caller, state and release, page by page', async () => {
    const { tables } = await fill()
    const of = async (filter: Partial<RequestFilter>) => names(await listOf(tables, filter))
    expect(await of({})).toEqual(['anna0/4', 'anna/3', 'anna/2', 'bert/1', 'anna/1'])
    expect(await of({ order: 'oldest' })).toEqual(['anna/1', 'bert/1', 'anna/2', 'anna/3', 'anna0/4'])
    expect(await of({ caller: 'anna' })).toEqual(['anna/3', 'anna/2', 'anna/1'])
    expect(await of({ released: false })).toEqual(['anna0/4', 'anna/3', 'bert/1', 'anna/1'])
    expect(await of({ released: true })).toEqual(['anna/2'])
    expect(await of({ caller: 'anna', released: false })).toEqual(['anna/3', 'anna/1'])
    expect(await of({ caller: 'bert', released: true })).toEqual([])
    expect(await of({ state: 'running' })).toEqual(['bert/1'])
    expect(await of({ state: 'completed' })).toEqual(['anna/2', 'anna/1'])
    expect(await of({ state: 'completed', released: false })).toEqual(['anna/1'])
    expect(await of({ contract: 'payments' })).toEqual(['anna/1'])
    expect(await of({ contract: 'none' })).toEqual([])
  })

  it('is of what settled before a time', async () => {
    const { tables } = await fill()
    const rows = (await everyRow(tables)).flatMap(({ workItem, item }) => (item.status === 'settled' ? [{ workItem, at: item.settledAt }] : []))
    for (const { workItem, at } of rows) {
      const before = rows.filter((row) => row.at < at).map((row) => row.workItem)
      expect(await listOf(tables, { settledBefore: at, order: 'oldest' })).toEqual(before)
      expect(await listOf(tables, { settledBefore: at + 1, order: 'oldest' })).toEqual([...before, workItem])
      expect(await listOf(tables, { settledBefore: at + 1, order: 'oldest', released: false, caller: 'anna' })).toEqual([requestId('orders', 'anna', '1')])
    }
    expect(rows).toHaveLength(2)
  })

  it('gives what every list gives, as of a position', async () => {
    const { store, tables } = await fill()
    const page = orNever(await tables.requests({ contract: 'orders', state: 'completed', order: 'oldest', limit: 1 }))
    expect(page).toMatchObject({ position: right(await store.head()()).position, items: [{ birth: { type: 'RequestAccepted' }, ending: replied(), item: { end: 'completed' } }] })
    expect(page.next).toBeTypeOf('string')
  })

  it('refuses a cursor that it did not give', async () => {
    const { tables } = await fill()
    expect(await tables.requests({ contract: 'orders', order: 'newest', limit: 1, after: 'bad' })).toEqual({ invalid: 'cursor' })
    expect(await tables.usage({ contract: 'orders', limit: 1, after: 'bad' })).toEqual({ invalid: 'cursor' })
  })

  it('walks an index for the unreleased of one caller, and for a contract', () => {
    const db = new DatabaseSync(':memory:')
    for (const { schema } of [workItems, requests]) db.exec(schema)
    const wayOf = (filter: Partial<RequestFilter>): string => {
      const walk = requestWalkOf({ contract: 'orders', order: 'newest', limit: 10, ...filter })
      const args = [...walk.restArgs, ...walk.fromArgs, 1, 10]
      const [sql = ''] = sqlOf('newest', walk)
      return (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...args) as unknown as { detail: string }[]).map(({ detail }) => detail).join('\n')
    }
    expect(wayOf({ caller: 'anna', released: false, settledBefore: 1 })).toContain('requests_by_caller (contract=? AND caller=?')
    expect(wayOf({ released: false })).toContain('work_items_by_scope')
    expect(wayOf({ state: 'running', released: false })).toContain('requests_by_state')
    for (const filter of [{ caller: 'anna', released: false }, { caller: 'anna' }, { released: true, settledBefore: 3 }] as const)
      expect(wayOf(filter)).not.toMatch(/SCAN|TEMP B-TREE/)
  })
})

describe('what a caller has', () => {
  it('is summed up from acceptance to release', async () => {
    const { store, tables } = await opened()
    const workItem = requestId('orders', 'anna', '1')
    const now = async () => {
      await caughtUp(tables, store)
      return usageOf(tables, { caller: 'anna' })
    }
    await append(store, ...accepted('orders', 'anna', '1'))
    expect(await now()).toEqual([{ caller: 'anna', pending: 1, unreleased: 0, bytes: 10, newest: workItem }])
    await append(store, workItem, jobLeased())
    expect(await now()).toMatchObject([{ pending: 1, unreleased: 0, bytes: 10 }])
    await append(store, workItem, replied())
    expect(await now()).toMatchObject([{ pending: 0, unreleased: 1, bytes: 15, oldestUnreleased: { workItem } }])
    await append(store, workItem, letGo)
    expect(await now()).toEqual([])
  })

  it('ends with a request that settles without a reply, however it is released', async () => {
    const { store, tables } = await opened()
    const workItem = requestId('orders', 'anna', '1')
    await append(store, ...accepted('orders', 'anna', '1'))
    await append(store, workItem, jobLeased(), { type: 'Failed', lease: 1, code: 'no-bank', message: 'The bank is closed.', digest: 'failed' })
    await caughtUp(tables, store)
    expect([await usageOf(tables, { caller: 'anna' }), await listOf(tables, { released: false })]).toEqual([[], []])
    const retiredNow = async () => (await dueOf((filter) => tables.retired({ ...filter, kind: 'request' }), Number.MAX_SAFE_INTEGER)).map((due) => due.workItem)
    expect(await retiredNow()).toEqual([workItem])
    await append(store, workItem, letGo)
    await caughtUp(tables, store)
    expect(await retiredNow()).toEqual([workItem])
  })

  it('counts no body that was not kept', async () => {
    const { store, tables } = await opened()
    await append(store, ...accepted('orders', 'anna', '1'))
    await append(store, requestId('orders', 'anna', '1'), jobLeased(), replied(9_000_000, { reply: { status: 200, headers: [], bytes: 9_000_000, kept: false } }))
    await caughtUp(tables, store)
    expect(await usageOf(tables, {})).toMatchObject([{ unreleased: 1, bytes: 10 }])
  })

  it('is told by caller, page after page, with the oldest that could be released', async () => {
    const { store, tables } = await opened()
    for (const caller of ['bert', 'anna', 'Übersee']) for (const id of ['1', '2', '3']) await append(store, ...accepted('orders', caller, id))
    for (const id of ['3', '2']) await append(store, requestId('orders', 'anna', id), jobLeased(), replied())
    await append(store, ...accepted('payments', 'carl', '1'))
    const position = await caughtUp(tables, store)
    expect((await usageOf(tables, {})).map(({ caller, pending, unreleased, oldestUnreleased }) => [caller, pending, unreleased, oldestUnreleased?.workItem])).toEqual([
      ['anna', 1, 2, requestId('orders', 'anna', '2')],
      ['bert', 3, 0, undefined],
      ['Übersee', 3, 0, undefined],
    ])
    expect(orNever(await tables.usage({ contract: 'orders', caller: 'nobody', limit: 1 }))).toEqual({ items: [], position })
  })
})

describe('what is due', () => {
  it('are replies whose time is over, until their release is in the log', async () => {
    const { store, tables } = await opened()
    const workItem = requestId('orders', 'anna', '1')
    await append(store, ...accepted('orders', 'anna', '1', { policy: 'encouraged', retainMs: DAY_MS }))
    await append(store, ...accepted('orders', 'anna', 'for ever'))
    await append(store, requestId('orders', 'anna', 'for ever'), jobLeased(), replied())
    await append(store, workItem, jobLeased(), replied())
    await caughtUp(tables, store)
    const expiry = (await everyRow(tables)).flatMap(({ item }) => (item.status === 'settled' ? (expiryOf(item) ?? []) : []))[0] ?? 0
    expect(await dueOf(tables.expiring, expiry - 1)).toEqual([])
    expect(await dueOf(tables.expiring, expiry)).toMatchObject([{ workItem, at: expiry }])
    await append(store, workItem, letGo)
    await caughtUp(tables, store)
    expect(await dueOf(tables.expiring, Number.MAX_SAFE_INTEGER)).toEqual([])
  })

  it('are jobs and tasks from their settlement, requests from their release, and none that owes effects or is erased', async () => {
    const { store, tables } = await opened()
    const dues = async (kind: 'job' | 'task' | 'request') => {
      await caughtUp(tables, store)
      return (await dueOf((filter) => tables.retired({ ...filter, kind }), Number.MAX_SAFE_INTEGER)).map(({ workItem }) => workItem)
    }
    await append(store, ...job('a'))
    await append(store, ...task('mail', 't'))
    await append(store, ...accepted('orders', 'anna', '1'))
    await append(store, ...accepted('orders', 'anna', '2'))
    expect([await dues('job'), await dues('task'), await dues('request')]).toEqual([[], [], []])
    const [first, second] = [requestId('orders', 'anna', '1'), requestId('orders', 'anna', '2')]
    await append(store, 'job/a', jobLeased(), completed)
    await append(store, 'task/shop/mail/t', jobLeased(), completed)
    await append(store, first, jobLeased(), replied())
    await append(store, second, jobLeased(), replied(1, { effects: [EFFECT] }))
    expect([await dues('job'), await dues('task'), await dues('request')]).toEqual([['job/a'], ['task/shop/mail/t'], []])
    await append(store, second, letGo)
    await append(store, first, letGo)
    expect(await dues('request')).toEqual([first])
    await append(store, second, { type: 'EffectsCarriedOut', effects: [{ entry: 0, outcome: 'done' }] })
    expect(await dues('request')).toEqual([first, second])
    await append(store, first, erased('request'))
    await append(store, 'job/a', erased('job'))
    expect([await dues('job'), await dues('request')]).toEqual([[], [second]])
  })
})

/** The same, the long way: items as each event left them, and since when each is retired, with the place of that event in the log. */
const byHand = (log: readonly Said[]) => {
  const items = new Map<WorkItemId, WorkItem>()
  /** What ended without a reply is told until a reply would be gone; and of what is no request it counts when it ended, however late that was acknowledged. */
  const untold = (item: WorkItem, time: number): number => {
    if (item.status !== 'settled') return time
    if (item.kind !== 'request') return item.settledAt
    return item.end === 'completed' ? time : Math.max(time, expiryOf(item) ?? time)
  }
  const since = new Map<WorkItemId, number>()
  const isOver = (item: WorkItem): boolean =>
    item.status === 'settled' && item.erased !== true && !isOwing(item) && (item.kind !== 'request' || item.released !== undefined || item.end !== 'completed')
  for (const { workItem, time, events } of log)
    for (const event of events) {
      const before = items.get(workItem) ?? absent
      const after = evolve(before, event, { time, revision: before.revision + 1 })
      if (isOver(after) && !isOver(before)) since.set(workItem, untold(after, time))
      items.set(workItem, after)
    }
  return { items, since }
}

/** Follows a log in so many parts, so that batches end here and there. */
const followed = async (log: readonly Said[], parts: number, store: EventStore, tables: Tables): Promise<void> => {
  const size = Math.ceil(log.length / parts)
  for (let part = 0; part < parts; part += 1) {
    await appendLog(store, log.slice(part * size, (part + 1) * size), `part-${part}`)
    await caughtUp(tables, store)
  }
}

describe('for any log, wherever the batches end', () => {
  it('usage, expiry and retirement are as the items say', async () => {
    await fc.assert(
      fc.asyncProperty(draws(400), fc.integer({ min: 1, max: 8 }), async (drawn, parts) => {
        const { store, tables } = await opened()
        const log = randomLog(drawn)
        await followed(log, parts, store, tables)
        const { items, since } = byHand(log)
        const all = [...items]
        for (const contract of CONTRACTS) {
          const expected = CALLERS.flatMap((caller) => {
            const usage = all.flatMap(([, item]) => kept(item) ?? []).filter((row) => row.contract === contract && row.caller === caller)
            const { pending, unreleased, bytes } = usage.reduce((sum, each) => plus(sum, each), NO_USAGE)
            return usage.length === 0 ? [] : [{ caller, pending, unreleased, bytes }]
          })
          expect((await usageOf(tables, { contract })).map(({ caller, pending, unreleased, bytes }) => ({ caller, pending, unreleased, bytes }))).toEqual(expected)
        }
        const expiring = all.flatMap(([workItem, item]) => {
          const at = item.status === 'settled' && item.end === 'completed' && item.released === undefined ? expiryOf(item) : undefined
          return at === undefined ? [] : [{ workItem, at }]
        })
        const found = await dueOf(tables.expiring, Number.MAX_SAFE_INTEGER)
        expect(found.map(({ workItem, at }) => ({ workItem, at })).toSorted(byName)).toEqual(expiring.toSorted(byName))
        expect(found.map(({ at }) => at)).toEqual(found.map(({ at }) => at).toSorted((a, b) => a - b))
        for (const kind of ['job', 'task', 'request', 'long-task'] as const) {
          const over = all.flatMap(([workItem, item]) => {
            const at = since.get(workItem)
            return at !== undefined && item.status === 'settled' && item.erased !== true && item.kind === kind ? [{ workItem, at }] : []
          })
          const rows = await dueOf((filter) => tables.retired({ ...filter, kind }), Number.MAX_SAFE_INTEGER)
          expect(rows.map(({ workItem, at }) => ({ workItem, at })).toSorted(byName)).toEqual(over.toSorted(byName))
        }
        await tables.close()
      }),
      { numRuns: 40 },
    )
  })

  const byName = (a: { readonly workItem: string }, b: { readonly workItem: string }): number => (a.workItem < b.workItem ? -1 : 1)

  it('a list of requests is a filter over all rows', async () => {
    const filters = fc.record({
      contract: fc.constantFrom(...CONTRACTS),
      caller: fc.option(fc.constantFrom(...CALLERS), { nil: undefined }),
      state: fc.option(fc.constantFrom<SurfaceState>('waiting', 'running', 'completed', 'failed', 'aborted'), { nil: undefined }),
      released: fc.option(fc.boolean(), { nil: undefined }),
      settledBefore: fc.option(
        fc.nat(12_000_000).map((ms) => BIRTH + ms),
        { nil: undefined },
      ),
      order: fc.constantFrom('newest', 'oldest'),
      limit: fc.integer({ min: 1, max: 5 }),
    })
    const holds = ({ contract, caller, state, released, settledBefore }: RequestFilter, { item }: ItemRow): boolean => {
      if (item.request?.contract !== contract || (caller ?? item.request.caller) !== item.request.caller) return false
      if (state !== undefined && surfaceState(item) !== state) return false
      if (released !== undefined && released !== (kept(item) === undefined)) return false
      return settledBefore === undefined || (item.status === 'settled' && item.settledAt < settledBefore)
    }
    await fc.assert(
      fc.asyncProperty(draws(400), fc.array(filters, { minLength: 8, maxLength: 8 }), async (drawn, asked) => {
        const { store, tables } = await opened()
        await appendLog(store, randomLog(drawn))
        await caughtUp(tables, store)
        const rows = await everyRow(tables)
        for (const filter of asked as RequestFilter[]) {
          const expected = rows.filter((row) => holds(filter, row)).map((row) => row.workItem)
          expect(await listOf(tables, filter)).toEqual(filter.order === 'oldest' ? expected : expected.toReversed())
        }
        await tables.close()
      }),
      { numRuns: 30 },
    )
  })

  it('the kept tables equal rebuilt ones', async () => {
    await fc.assert(
      fc.asyncProperty(draws(400), fc.integer({ min: 1, max: 8 }), async (drawn, parts) => {
        const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
        const tables = await openFor({ file, reader: store })
        await followed(randomLog(drawn), parts, store, tables)
        const rebuilt = await rebuiltTables(store)
        expect(await everyAnswer(tables)).toEqual(await everyAnswer(rebuilt))
        await Promise.all([rebuilt.close(), tables.close()])
        expect((await compareWithRebuilt({ reader: store, keptFile: file })).differences).toEqual([])
      }),
      { numRuns: 15 },
    )
  })
})

describe('of an item whose stream was erased', () => {
  it('nothing is left but its tombstone, and the tables equal rebuilt ones', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const given = [requests, retired]
    const tables = await openFor({ file, reader: store, projections: given })
    const [workItem, birth] = accepted('orders', 'anna', '1')
    await append(store, workItem, birth, jobLeased(), replied())
    await append(store, ...accepted('orders', 'anna', '2'))
    await append(store, ...job('a'))
    await append(store, 'job/a', jobLeased(), completed)
    await caughtUp(tables, store)
    for (const [each, kind] of [
      [workItem, 'request'],
      ['job/a', 'job'],
    ] as const)
      await eraseWithTombstone(store, each, erased(kind))
    await caughtUp(tables, store)
    expect(await usageOf(tables, {})).toMatchObject([{ pending: 1, unreleased: 0, bytes: 10 }])
    expect(await dueOf((filter) => tables.retired({ ...filter, kind: 'job' }), Number.MAX_SAFE_INTEGER)).toEqual([])
    await tables.close()
    expect((await compareWithRebuilt({ reader: store, keptFile: file, projections: given })).differences).toEqual([])
  })
})

describe('of an item whose beginning was pruned before the tables came to its tombstone', () => {
  it.each([
    ['beside the work items', projections],
    ['alone', [requests, retired]],
  ])('nothing is left, as its name finds its rows: %s', async (_, given) => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const first = await openFor({ file, reader: store, projections: given })
    const [workItem, birth] = accepted('orders', 'anna', '1')
    await append(store, workItem, birth, jobLeased(), replied())
    await append(store, ...accepted('orders', 'anna', '2'))
    await append(store, ...job('a'))
    await append(store, 'job/a', jobLeased(), completed)
    await caughtUp(first, store)
    await first.close()
    await eraseWithTombstone(store, workItem, erased('request'))
    await eraseWithTombstone(store, 'job/a', erased('job'))
    await append(store, ...job('b'))
    expect(right(await store.prune({ before: right(await store.head()()).position })()).pruned).toBe(6)

    const second = await openFor({ file, reader: store, projections: given })
    await caughtUp(second, store)
    expect(await usageOf(second, {})).toMatchObject([{ pending: 1, unreleased: 0, bytes: 10 }])
    expect(await dueOf((filter) => second.retired({ ...filter, kind: 'job' }), Number.MAX_SAFE_INTEGER)).toEqual([])
    const rebuilt = await rebuiltTables(store)
    if (given === projections) expect(await everyAnswer(second)).toMatchObject({ ...((await everyAnswer(rebuilt)) as object), statistics: expect.anything() })
    await Promise.all([second.close(), rebuilt.close()])
    expect((await compareWithRebuilt({ reader: store, keptFile: file, projections: given, erased: 6 })).differences).toEqual([])

    const named = (): readonly unknown[] => rowsIn(file, "SELECT name FROM sqlite_schema WHERE name LIKE '%by_name'")
    expect(named()).not.toEqual([])
    await (await openFor({ file, reader: store, projections: given })).close()
    expect(named()).toEqual([])
  })
})

/** The data of all there was is taken as its tombstone comes. */
const eraseWithTombstone = async (store: EventStore, workItem: WorkItemId, tombstone: WorkItemEvent): Promise<void> => {
  right(await store.erase(streamOf(workItem), 'any', [{ id: `tombstone ${workItem}`, ...encodeEvent(tombstone), time: BIRTH + DAY_MS, meta: '{}' }])())
}

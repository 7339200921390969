// Lists of work items: filters, order, cursors, and that SQLite walks an index for the common ones.
import fc from 'fast-check'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { contractStream } from '../../src/domain/contract.ts'
import { taskId, type WorkItemId } from '../../src/domain/ids.ts'
import { nodeStream } from '../../src/domain/node.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { surfaceState, type SurfaceState, type TaskFacts } from '../../src/domain/work-item/state.ts'
import { cursorAfter } from '../../src/projections/cursor.ts'
import type { ItemFilter, ItemRow, Tables } from '../../src/projections/tables.ts'
import { sqlOf, walksOf } from '../../src/projections/work-item-lists.ts'
import { scopeOf, workItems } from '../../src/projections/work-items.ts'
import { right } from '../support/engine.ts'
import { appendLog, draws, NODES, OPERATIONS, randomLog } from '../support/random-log.ts'
import { everyRow } from '../support/replay.ts'
import { BIRTH, completed, JOB, jobLeased, phase, sampleEvents, taskLeased } from '../support/samples.ts'
import { allOf, append, caughtUp, freshStore, idsOf, job, openFor, pageOf, task } from '../support/tables.ts'

const opened = async () => {
  const store = freshStore()
  return { store, tables: await openFor({ reader: store }) }
}

describe('a list of work items', () => {
  it('shows state, birth, ending and late result, as of a position', async () => {
    const { store, tables } = await opened()
    const [workItem, birth] = job('a')
    await append(store, workItem, birth, jobLeased())
    await append(store, workItem, phase, completed)
    await append(store, workItem, sampleEvents.LateResultRecorded)
    const position = await caughtUp(tables, store)
    const page = await pageOf(tables, {})
    expect(page).toMatchObject({ position, items: [{ workItem, birth, ending: completed, late: sampleEvents.LateResultRecorded, position }] })
    expect(page.items[0]?.item).toMatchObject({ status: 'settled', end: 'completed', phase: 'merge', attempt: 1, revision: 4, late: { digest: 'late' } })
    expect(page.next).toBeUndefined()
  })

  it('is newest first or oldest first, by birth, however late an item changed', async () => {
    const { store, tables } = await opened()
    for (const id of ['a', 'b', 'c']) await append(store, ...job(id))
    await append(store, 'job/a', jobLeased())
    await caughtUp(tables, store)
    expect(idsOf(await pageOf(tables, { order: 'newest' }))).toEqual(['job/c', 'job/b', 'job/a'])
    expect(idsOf(await pageOf(tables, { order: 'oldest' }))).toEqual(['job/a', 'job/b', 'job/c'])
  })

  it('filters by kind, scope, server, label, state and maker, and by all of them at once', async () => {
    const { store, tables } = await opened()
    await append(store, ...job('a', { service: 'search', server: 'one', label: 'x', by: 'eve' }))
    await append(store, ...job('b', { service: 'mail', server: 'two', label: 'x' }))
    await append(store, ...job('c', { service: 'mail', server: 'one', label: 'y' }))
    await append(store, ...task('orders', 't'))
    await append(store, 'job/c', jobLeased())
    await caughtUp(tables, store)
    const ids = (filter: Partial<ItemFilter>) => allOf(tables, filter)
    expect(await ids({ kind: 'task' })).toEqual(['task/shop/orders/t'])
    expect(await ids({ kind: 'task', scope: 'shop/orders' })).toEqual(['task/shop/orders/t'])
    expect(await ids({ scope: 'mail' })).toEqual(['job/c', 'job/b'])
    expect(await ids({ server: 'one' })).toEqual(['job/c', 'job/a'])
    expect(await ids({ label: 'x' })).toEqual(['job/b', 'job/a'])
    expect(await ids({ state: 'running' })).toEqual(['job/c'])
    expect(await ids({ by: 'eve' })).toEqual(['job/a'])
    expect(await ids({ scope: 'mail', server: 'one', label: 'y', state: 'running', by: 'servers' })).toEqual(['job/c'])
    expect(await ids({ scope: 'mail', server: 'one', label: 'y', state: 'running', by: 'eve' })).toEqual([])
  })

  it('finds few among many, beyond the rows of one slice', async () => {
    const { store, tables } = await opened()
    await append(store, ...job('first', { label: 'rare' }))
    for (let number = 0; number < 12_000; number += 1) await append(store, ...job(`j${number}`))
    await append(store, ...job('last', { label: 'rare' }))
    await caughtUp(tables, store)
    expect(await allOf(tables, { label: 'rare' })).toEqual(['job/last', 'job/first'])
    expect(await allOf(tables, { label: 'rare', order: 'oldest', limit: 1 })).toEqual(['job/first', 'job/last'])
    expect(await allOf(tables, { label: 'rare', scope: 'search' })).toEqual(['job/last', 'job/first'])
    expect(await allOf(tables, { label: 'none' })).toEqual([])
  })

  it('ends a page early when what it shows is large, and the next goes on behind it', async () => {
    const { store, tables } = await opened()
    const large = 'x'.repeat(5 * 1024 * 1024)
    const ids = ['a', 'b', 'c', 'd', 'e']
    for (const id of ids) {
      const [workItem, birth] = job(id)
      await append(store, workItem, birth, jobLeased(), { type: 'Completed', lease: 1, result: large })
    }
    await append(store, ...job('f'))
    await caughtUp(tables, store)
    const first = await pageOf(tables, { limit: 1_000 })
    expect(idsOf(first)).toEqual(['job/f', 'job/e', 'job/d', 'job/c'])
    expect(await allOf(tables, { limit: 1_000 })).toEqual(['job/f', 'job/e', 'job/d', 'job/c', 'job/b', 'job/a'])
    expect(await allOf(tables, { limit: 1_000, label: 'none' })).toEqual([])
    expect(await allOf(tables, { scope: JOB.service, order: 'oldest', limit: 1_000 })).toEqual(['job/a', 'job/b', 'job/c', 'job/d', 'job/e', 'job/f'])
  })

  it('equals a filter over all rows, for any log and any filter', async () => {
    const filters = fc.record({
      kind: fc.constantFrom('job', 'task', 'long-task'),
      scope: fc.option(fc.constantFrom('search', 'mail & post', 'Übersicht', 'shop/queue-1', ...NODES, 'none'), { nil: undefined }),
      operation: fc.option(fc.constantFrom(...OPERATIONS), { nil: undefined, freq: 1 }),
      server: fc.option(fc.constantFrom('node-0', 'node-1'), { nil: undefined }),
      label: fc.option(fc.constant('even'), { nil: undefined }),
      state: fc.option(fc.constantFrom<SurfaceState>('waiting', 'running', 'paused', 'aborting', 'lost', 'completed', 'failed', 'aborted', 'cancelled', 'timedOut'), {
        nil: undefined,
      }),
      by: fc.option(fc.constantFrom('servers-0', 'producer', 'management'), { nil: undefined }),
      order: fc.constantFrom('newest', 'oldest'),
      limit: fc.integer({ min: 1, max: 5 }),
    })
    const holds = (filter: ItemFilter, { item }: ItemRow): boolean =>
      item.kind === filter.kind &&
      (filter.scope ?? scopeOf(item)) === scopeOf(item) &&
      (filter.server ?? item.job?.server) === item.job?.server &&
      (filter.label ?? item.job?.label) === item.job?.label &&
      (filter.operation ?? item.operation?.operation) === item.operation?.operation &&
      (filter.state ?? surfaceState(item)) === surfaceState(item) &&
      (filter.by ?? item.by) === item.by
    await fc.assert(
      fc.asyncProperty(draws(200), fc.array(filters, { minLength: 8, maxLength: 8 }), async (drawn, asked) => {
        const { store, tables } = await opened()
        await appendLog(store, randomLog(drawn))
        await caughtUp(tables, store)
        const rows = await everyRow(tables)
        for (const filter of asked as ItemFilter[]) {
          const expected = rows.filter((row) => holds(filter, row)).map((row) => row.workItem)
          expect(await allOf(tables, filter)).toEqual(filter.order === 'oldest' ? expected : expected.toReversed())
        }
        await tables.close()
      }),
      { numRuns: 30 },
    )
  })
})

describe('the order of a queue', () => {
  const scope = 'shop/mail'
  const born = (id: string, facts: Partial<TaskFacts> = {}): readonly [WorkItemId, WorkItemEvent] => {
    const [workItem, birth] = task('mail', id)
    return [workItem, { ...birth, ...facts }]
  }
  const names = (ids: readonly WorkItemId[]): string => ids.map((workItem) => workItem.split('/').at(-1)).join(' ')
  const listed = async (tables: Tables, filter: Partial<ItemFilter> = {}): Promise<string> => names(await allOf(tables, { kind: 'task', scope, order: 'queue', ...filter }))

  it('is by priority, then due time, then insertion, in whatever state a task is', async () => {
    const { store, tables } = await opened()
    await append(store, ...born('later', { dueAt: BIRTH + 5 }))
    await append(store, ...born('first'))
    await append(store, ...born('second'))
    await append(store, ...born('urgent', { priority: 10, dueAt: BIRTH + 9 }))
    await append(store, ...born('idle', { priority: -1, dueAt: 0 }))
    await append(store, ...task('orders', 'elsewhere'))
    await append(store, 'task/shop/mail/first', taskLeased())
    await append(store, 'task/shop/mail/urgent', taskLeased(), completed)
    await caughtUp(tables, store)
    for (const limit of [1, 2, 100]) expect(await listed(tables, { limit })).toBe('urgent first second later idle')
    expect(await listed(tables, { state: 'waiting', limit: 1 })).toBe('second later idle')
  })

  it('takes what is tried again or given back to its new place', async () => {
    const { store, tables } = await opened()
    for (const id of ['a', 'b', 'c']) await append(store, ...born(id))
    await append(store, 'task/shop/mail/a', taskLeased(), { type: 'RetryScheduled', dueAt: BIRTH + 60_000, code: 'broken', message: 'It broke.', lease: 1 })
    await caughtUp(tables, store)
    expect(await listed(tables, { state: 'waiting' })).toBe('b c a')
  })

  it('is filtered by tag and key, beyond the rows of one slice too', async () => {
    const { store, tables } = await opened()
    await append(store, ...born('x', { tag: 'rare', key: 'k', dueAt: BIRTH + 1 }))
    for (let number = 0; number < 12_000; number += 1) await append(store, ...born(`t${number}`))
    await append(store, ...born('y', { tag: 'rare', priority: 1 }))
    await caughtUp(tables, store)
    expect(await listed(tables, { tag: 'rare', limit: 1 })).toBe('y x')
    expect(await listed(tables, { key: 'k' })).toBe('x')
    expect(await listed(tables, { tag: 'rare', key: 'k', state: 'running' })).toBe('')
    expect((await listed(tables, { limit: 1_000 })).split(' ')).toHaveLength(12_002)
  })

  it('holds from page to page: what stays is met once, in order, however much comes and goes between', async () => {
    const places = fc.record({ priority: fc.integer({ min: -1, max: 1 }), dueAt: fc.integer({ min: BIRTH, max: BIRTH + 3 }) })
    const deeds = fc.record({ what: fc.constantFrom('insert', 'lease', 'complete', 'retry'), at: fc.nat(), place: places })
    await fc.assert(
      fc.asyncProperty(fc.array(places, { minLength: 5, maxLength: 30 }), fc.array(deeds, { maxLength: 30 }), fc.integer({ min: 1, max: 4 }), async (first, changes, limit) => {
        const { store, tables } = await opened()
        const rest = [...changes]
        const touched = new Set<WorkItemId>()
        /** What has got another place; a lease or an ending leaves a task where it is. */
        const moved = new Set<WorkItemId>()
        const facts = new Map<WorkItemId, Partial<TaskFacts>>()
        const insert = async (id: string, place: Partial<TaskFacts>): Promise<void> => {
          const [workItem, birth] = born(id, place)
          facts.set(workItem, place)
          await append(store, workItem, birth)
        }
        for (const [index, place] of first.entries()) await insert(`t${index}`, place)
        const change = async ({ what, at, place }: (typeof rest)[number]): Promise<void> => {
          const workItem = taskId('shop', 'mail', `t${at % first.length}`)
          if (what === 'insert') return insert(`new-${facts.size}`, place)
          if (touched.has(workItem)) return
          touched.add(workItem)
          if (what === 'lease') return append(store, workItem, taskLeased())
          if (what === 'complete') return append(store, workItem, taskLeased(), completed)
          moved.add(workItem)
          return append(store, workItem, taskLeased(), { type: 'RetryScheduled', dueAt: place.dueAt, code: 'broken', message: 'It broke.', lease: 1 })
        }
        const met: WorkItemId[] = []
        for (let after: string | undefined; ;) {
          await caughtUp(tables, store)
          const page = await pageOf(tables, { kind: 'task', scope, order: 'queue', limit, after })
          met.push(...idsOf(page))
          after = page.next
          if (after === undefined) break
          for (const each of rest.splice(0, 2)) await change(each)
        }
        const stayed = [...facts.keys()].filter((workItem) => !moved.has(workItem) && !workItem.includes('new'))
        const rankOf = (workItem: WorkItemId): readonly number[] => [-(facts.get(workItem)?.priority ?? 0), facts.get(workItem)?.dueAt ?? 0]
        const inOrder = stayed.toSorted((a, b) => (rankOf(a)[0] ?? 0) - (rankOf(b)[0] ?? 0) || (rankOf(a)[1] ?? 0) - (rankOf(b)[1] ?? 0))
        expect(met.filter((workItem) => stayed.includes(workItem))).toEqual(inOrder)
        await tables.close()
      }),
      { numRuns: 40 },
    )
  })
})

describe('a cursor', () => {
  it('goes on where the page ended, whatever is born in between', async () => {
    const { store, tables } = await opened()
    for (const id of ['a', 'b', 'c', 'd']) await append(store, ...job(id))
    await caughtUp(tables, store)
    const newest = await pageOf(tables, { limit: 2 })
    const oldest = await pageOf(tables, { limit: 2, order: 'oldest' })
    expect([idsOf(newest), idsOf(oldest)]).toEqual([
      ['job/d', 'job/c'],
      ['job/a', 'job/b'],
    ])
    await append(store, ...job('e'))
    await append(store, 'job/b', jobLeased())
    await caughtUp(tables, store)
    expect(idsOf(await pageOf(tables, { limit: 2, after: newest.next }))).toEqual(['job/b', 'job/a'])
    expect(idsOf(await pageOf(tables, { limit: 3, order: 'oldest', after: oldest.next }))).toEqual(['job/c', 'job/d', 'job/e'])
  })

  it('is there exactly when there is more', async () => {
    const { store, tables } = await opened()
    for (const id of ['a', 'b']) await append(store, ...job(id))
    await caughtUp(tables, store)
    expect((await pageOf(tables, { limit: 2 })).next).toBeUndefined()
    expect((await pageOf(tables, { limit: 2, label: 'index' })).next).toBeUndefined()
    expect((await pageOf(tables, { limit: 1, label: 'index' })).next).toBeTypeOf('string')
  })

  it('is refused when it was made by nobody, for the other order, or over another log', async () => {
    const { store, tables } = await opened()
    for (const id of ['a', 'b']) await append(store, ...job(id))
    await caughtUp(tables, store)
    const { next = '' } = await pageOf(tables, { limit: 1 })
    const bad = [
      '',
      '1',
      'n',
      '%',
      `${next}=`,
      `${next}A`,
      next.slice(0, -1),
      cursorAfter('oldest', right(await store.head()()).incarnation, [1]),
      cursorAfter('queue', right(await store.head()()).incarnation, [0, 1, 1]),
      cursorAfter('newest', 'elsewhere', [1]),
    ]
    for (const after of bad) expect(await tables.list({ kind: 'job', order: 'newest', limit: 1, after })).toEqual({ invalid: 'cursor' })
    expect(await tables.list({ kind: 'job', order: 'oldest', limit: 1, after: next })).toEqual({ invalid: 'cursor' })
    expect(idsOf(await pageOf(tables, { limit: 1, after: next }))).toEqual(['job/a'])
  })
})

describe('dead letters', () => {
  it('are listed by themselves, and without them what has failed for good', async () => {
    const { store, tables } = await opened()
    for (const id of ['dead', 'failed', 'waiting']) await append(store, ...task('mail', id))
    await append(store, ...task('orders', 'elsewhere'))
    await append(store, 'task/shop/mail/dead', taskLeased(), sampleEvents.DeadLettered)
    await append(store, 'task/shop/orders/elsewhere', taskLeased(), sampleEvents.DeadLettered)
    await append(store, 'task/shop/mail/failed', taskLeased(), sampleEvents.Failed)
    await caughtUp(tables, store)
    const of = async (filter: object) => (await allOf(tables, { kind: 'task', scope: 'shop/mail', ...filter })).map((workItem) => workItem.split('/').at(-1))
    expect(await of({ deadLetter: true })).toEqual(['dead'])
    expect(await of({ state: 'failed' })).toEqual(['failed', 'dead'])
    // A dead letter has its place by when it died.
    expect(await of({ state: 'failed', order: 'queue' })).toEqual(['failed', 'dead'])
    expect(await of({ state: 'failed', deadLetter: false })).toEqual(['failed'])
    expect(await of({ deadLetter: false })).toEqual(['waiting', 'failed'])
    await append(store, 'task/shop/mail/dead', sampleEvents.Redriven)
    await caughtUp(tables, store)
    expect([await of({ deadLetter: true }), await of({ deadLetter: false })]).toEqual([[], ['waiting', 'failed', 'dead']])
  })
})

describe('the streams of queues, contracts and nodes', () => {
  it('are known with the live items, each once', async () => {
    const { store, tables } = await opened()
    const configured = async (stream: string, index: number, type = 'QueueConfigured') =>
      right(await store.append(stream, 'any', [{ id: `${stream}-${index}`, type, v: 1, time: 1, data: '{}', meta: '{}' }])())
    await configured('queue-shop/mail', 0)
    await configured('queue-shop/mail', 1)
    await configured('queue-bank/mail', 0)
    await configured(nodeStream('nas-1'), 0, 'NodeRegistered')
    await configured(nodeStream('nas-1'), 1, 'NodeRemoved')
    await configured(contractStream('payments'), 0, 'ContractConfigured')
    await append(store, ...task('mail', 't'))
    await caughtUp(tables, store)
    expect((await tables.liveItems()).bookStreams).toEqual(['contract-payments', 'node-nas-1', 'queue-bank/mail', 'queue-shop/mail'])
  })
})

describe('the live items', () => {
  it('are all that can still change, with the position they are as of', async () => {
    const { store, tables } = await opened()
    expect(await tables.liveItems()).toEqual({ position: undefined, items: [], bookStreams: [] })
    await append(store, ...job('waiting'))
    await append(store, ...job('running'))
    await append(store, 'job/running', jobLeased())
    await append(store, ...job('done'))
    await append(store, 'job/done', jobLeased(), completed)
    await append(store, ...task('orders', 'dead'))
    await append(store, 'task/shop/orders/dead', jobLeased(), sampleEvents.DeadLettered)
    const position = await caughtUp(tables, store)
    const live = await tables.liveItems()
    expect(live.position).toBe(position)
    expect(live.items.map(({ workItem, item }) => [workItem, item.status])).toEqual([
      ['job/waiting', 'waiting'],
      ['job/running', 'running'],
    ])
    expect(live.items[1]?.item).toMatchObject({ lease: { number: 1, holder: { name: 'node-1' } } })
  })

  it('have a dead letter among them again once it is redriven', async () => {
    const { store, tables } = await opened()
    const [workItem, birth] = task('orders', 'dead')
    await append(store, workItem, birth, jobLeased(), sampleEvents.DeadLettered)
    await caughtUp(tables, store)
    expect((await tables.liveItems()).items).toEqual([])
    await append(store, workItem, sampleEvents.Redriven)
    await caughtUp(tables, store)
    expect((await tables.liveItems()).items).toMatchObject([{ workItem, item: { status: 'waiting', attempt: 0 } }])
    expect(idsOf(await pageOf(tables, { kind: 'task' }))).toEqual([workItem])
  })
})

describe('the way SQLite goes about a list', () => {
  const db = new DatabaseSync(':memory:')
  db.exec(workItems.schema)
  const wayOf = (filter: Partial<ItemFilter>): string => {
    const asked: ItemFilter = { kind: 'job', order: 'newest', limit: 100, ...filter }
    const plans = walksOf(asked).flatMap((walk) => sqlOf(asked.order, walk).map((sql) => db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()))
    return (plans.flat() as unknown as { detail: string }[]).map(({ detail }) => detail).join('\n')
  }

  it('is an index for kind, scope and state, without a sort', () => {
    expect(wayOf({ scope: 'mail' })).toBe('SEARCH work_items USING COVERING INDEX work_items_by_scope (kind=? AND scope=? AND created<?)')
    expect(wayOf({ state: 'lost' })).toBe('SEARCH work_items USING COVERING INDEX jobs_by_state (state=? AND created<?)')
    expect(wayOf({ state: 'lost', scope: 'mail', label: 'x' })).toBe('SEARCH work_items USING INDEX jobs_by_state (state=? AND created<?)')
    expect(wayOf({ kind: 'task', scope: 'shop/mail', live: true, order: 'oldest' })).toBe(
      'SEARCH work_items USING COVERING INDEX work_items_live (kind=? AND scope=? AND created>?)',
    )
    expect(wayOf({ kind: 'long-task', scope: 'nas-1' })).toBe('SEARCH work_items USING COVERING INDEX work_items_by_scope (kind=? AND scope=? AND created<?)')
    expect(wayOf({ kind: 'long-task', state: 'running' })).toBe('SEARCH work_items USING COVERING INDEX long_tasks_by_state (state=? AND created<?)')
    expect(wayOf({ kind: 'long-task', scope: 'nas-1', state: 'running' })).toBe('SEARCH work_items USING INDEX long_tasks_by_state (state=? AND created<?)')
    // However many tasks and jobs there are, they are not looked at.
    for (const filter of [{}, { operation: 'CopyImage' }, { operation: 'CopyImage', scope: 'nas-1' }, { by: 'management', state: 'timedOut' }] as const)
      for (const way of wayOf({ kind: 'long-task', ...filter }).split('\n'))
        expect(way).toMatch(/^SEARCH work_items USING (COVERING )?INDEX (long_tasks_by_state|work_items_by_scope) /)
    for (const filter of [{ scope: 'mail', server: 'one', order: 'oldest' }, {}, { kind: 'task', scope: 'shop/mail', order: 'queue', tag: 'a', live: true }] as const) {
      expect(wayOf(filter)).not.toMatch(/SCAN|TEMP B-TREE/)
    }
  })

  it('is by state for the order of a queue, however many tasks stand at the same place', () => {
    expect(wayOf({ kind: 'task', scope: 'shop/mail', state: 'waiting', order: 'queue' }).split('\n')).toEqual([
      'SEARCH work_items USING COVERING INDEX tasks_by_state (scope=? AND state=? AND rank=? AND due=? AND created>?)',
      'SEARCH work_items USING COVERING INDEX tasks_by_state (scope=? AND state=? AND (rank,due)>(?,?))',
    ])
  })

  it('has no row in more than three indexes', () => {
    const rows = [
      { kind: 'job', live: 1 },
      { kind: 'job', live: 0 },
      { kind: 'task', live: 1 },
      { kind: 'task', live: 0 },
      { kind: 'request', live: 1 },
      { kind: 'request', live: 0 },
      { kind: 'long-task', live: 1 },
      { kind: 'long-task', live: 0 },
    ]
    const conditions = (db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'work_items' AND sql IS NOT NULL").all() as unknown as { sql: string }[]).map(
      ({ sql }) => sql.split(' WHERE ')[1] ?? 'true',
    )
    const indexesOf = ({ kind, live }: { kind: string; live: number }): number =>
      (db.prepare(`SELECT ${conditions.map((condition) => `(${condition})`).join(' + ')} AS count FROM (SELECT ? AS kind, ? AS live)`).get(kind, live) as { count: number }).count
    expect(rows.map(indexesOf)).toEqual([3, 2, 2, 1, 3, 2, 3, 2])
  })
})

// Tables over a log of which items were erased and pruned: they come to the same rows as tables that are folded from what is left.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { streamOf, type WorkItemId } from '../../src/domain/ids.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { createFold } from '../../src/projections/fold.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import type { MemoryStore } from '../../src/store/memory.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { contextOf, left, registerCommand, right, startEngine } from '../support/engine.ts'
import { everyRow, rebuiltTables } from '../support/replay.ts'
import { BIRTH, completed, jobLeased, sampleEvents } from '../support/samples.ts'
import { append, caughtUp, freshStore, job, openFile, rowsIn, temporary } from '../support/tables.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const tombstone: WorkItemEvent = { ...sampleEvents.Erased, kind: 'job', by: 'servers', digest: 'content' }

let erasures = 0
const erase = async (store: MemoryStore, workItem: WorkItemId, events: readonly WorkItemEvent[] = [tombstone]): Promise<void> => {
  erasures += 1
  const encoded = events.map((event, index) => ({ id: `tombstone-${erasures}-${index}`, ...encodeEvent(event), time: BIRTH + 90_000_000 + erasures, meta: '{}' }))
  right(await store.erase(streamOf(workItem), 'any', encoded)())
}

const pruneAll = async (store: MemoryStore): Promise<number> => {
  await append(store, ...job(`later-${(erasures += 1)}`))
  return right(await store.prune({ before: right(await store.head()()).position })()).pruned
}

/** Three jobs, of which `a` and `c` are completed; tables that saw them. */
const kept = async () => {
  const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
  for (const id of ['a', 'b', 'c']) await append(store, ...job(id), jobLeased())
  await append(store, 'job/a', completed)
  await append(store, 'job/c', completed)
  const { tables } = await openFile(file, store)
  await caughtUp(tables, store)
  return { store, file, tables }
}

const expectSame = async (store: MemoryStore, file: string, tables: Awaited<ReturnType<typeof kept>>['tables']): Promise<void> => {
  await caughtUp(tables, store)
  const rebuilt = await rebuiltTables(store)
  expect(await everyRow(tables)).toEqual(await everyRow(rebuilt))
  await rebuilt.close()
  const { erased, pruned } = right(await verifyChain(store)())
  expect((await compareWithRebuilt({ reader: store, keptFile: file, erased: erased + pruned })).differences).toEqual([])
}

describe('when an item is erased', () => {
  it('leaves the lists, in the running tables as in rebuilt ones', async () => {
    const { store, file, tables } = await kept()
    await erase(store, 'job/a')
    await expectSame(store, file, tables)
    expect(rowsIn(file, 'SELECT created, work_item FROM work_items')).toEqual([
      { created: 3, work_item: 'job/b' },
      { created: 5, work_item: 'job/c' },
    ])
    expect(rowsIn(file, 'SELECT count(*) AS n FROM work_item_states')).toEqual([{ n: 2 }])
    await pruneAll(store)
    await expectSame(store, file, tables)
  })

  it('is found by tables that have let go of it, erased once and again', async () => {
    const { store, file, tables } = await kept()
    await tables.close()
    await erase(store, 'job/a')
    const second = await openFile(file, store)
    await expectSame(store, file, second.tables)
    await second.tables.close()
    await erase(store, 'job/a')
    const third = await openFile(file, store)
    await expectSame(store, file, third.tables)
    expect(await pruneAll(store)).toBe(4)
    await third.tables.close()
    const fourth = await openFile(file, store)
    expect(fourth.said).toEqual([])
    await expectSame(store, file, fourth.tables)
    expect(rowsIn(file, `SELECT work_item FROM work_items WHERE work_item = 'job/a'`)).toEqual([])
  })

  it('leaves nothing when it was born and erased in one batch', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const { tables } = await openFile(file, store)
    await append(store, ...job('a'), completed)
    await erase(store, 'job/a')
    await erase(store, 'job/a')
    await expectSame(store, file, tables)
  })

  it('counts no more among the states, and stays in what was counted before', async () => {
    const { store, tables } = await kept()
    await erase(store, 'job/a')
    await caughtUp(tables, store)
    const { items } = await tables.statistics({})
    expect(items.map(({ kind, states, runMs }) => [kind, states, runMs?.count])).toEqual([['job', { completed: 1, running: 1 }, 2]])
  })
})

describe('a comparison with tables rebuilt from a log of which something was erased', () => {
  it('says that it does not compare counts', async () => {
    const { store, file } = await kept()
    const compared = await compareWithRebuilt({ reader: store, keptFile: file })
    expect([compared.equal, compared.notCompared]).toEqual([true, undefined])
    expect(await compareWithRebuilt({ reader: store, keptFile: file, erased: 7 })).toMatchObject({ equal: true, notCompared: { statistics: '7 events erased' } })
  })

  it('passes over what was erased after the kept tables had come as far as they have', async () => {
    const { store, file, tables } = await kept()
    await tables.close()
    await erase(store, 'job/a')
    expect(await compareWithRebuilt({ reader: store, keptFile: file })).toMatchObject({ equal: true, notCompared: { statistics: '3 events erased' } })
    await pruneAll(store)
    expect(await compareWithRebuilt({ reader: store, keptFile: file, erased: 3 })).toMatchObject({ equal: true })
  })
})

describe('a fold that begins behind what was pruned', () => {
  it('takes an item from its tombstone', async () => {
    const store = freshStore()
    await append(store, ...job('a'), jobLeased(), completed)
    await erase(store, 'job/a')
    expect(await pruneAll(store)).toBe(3)
    const [first] = right(await store.readAll()())
    const { changes } = right(await createFold({ reader: store }).take(first === undefined ? [] : [first]))
    expect(changes).toMatchObject([{ workItem: 'job/a', created: 4, before: { status: 'absent' }, after: { status: 'settled', end: 'completed', erased: true, revision: 3 } }])
  })
})

describe('the engine, asked for an erased item', () => {
  it.each([
    ['erased', false],
    ['erased and pruned', true],
  ])('knows that it was, and gives nothing of it: %s', async (_what, pruned) => {
    const store = freshStore()
    await append(store, ...job('a'), jobLeased(), completed)
    await erase(store, 'job/a')
    if (pruned) expect(await pruneAll(store)).toBe(3)
    const { engine } = await startEngine({ store })
    expect(left(await engine.read('job/a'))).toEqual({ type: 'erased' })
    expect(left(await engine.execute('job/a', registerCommand({ instance: 'again' }), contextOf(virtualWorld(), 'server')))).toMatchObject({ type: 'id-in-use' })
    expect(right(await engine.history('job/a', { from: 0, max: 10 })).map(({ revision }) => revision)).toEqual(pruned ? [3] : [0, 1, 2, 3])
    await engine.close()
  })
})

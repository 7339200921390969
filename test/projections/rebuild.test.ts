// The comparison of kept tables with rebuilt ones: it passes what is equal, and finds whatever is not.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { FOLD_VERSION } from '../../src/projections/fold.ts'
import { projections } from '../../src/projections/index.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import { right, startEngine, direct, register, report, insert, lease } from '../support/engine.ts'
import { appendLog } from '../support/random-log.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { append, caughtUp, fixedLog, freshStore, job, openFor, temporary } from '../support/tables.ts'

const log = fixedLog(1_500)

/** A log, and tables that followed it and are closed. */
const kept = async () => {
  const [store, keptFile] = [freshStore(), join(temporary(), 'tables.db')]
  await appendLog(store, log)
  const tables = await openFor({ file: keptFile, reader: store })
  const position = await caughtUp(tables, store)
  await tables.close()
  return { store, keptFile, position }
}

const plant = (file: string, sql: string): void => {
  const db = new DatabaseSync(file)
  db.exec(sql)
  db.close()
}

describe('a comparison of kept tables with rebuilt ones', () => {
  it('passes tables that are as the log says, up to where they have come', async () => {
    const { store, keptFile, position } = await kept()
    await append(store, ...job('later'))
    const told: number[] = []
    const compared = await compareWithRebuilt({ reader: store, keptFile, onProgress: ({ events }) => told.push(events) })
    expect(compared).toEqual({ equal: true, position, events: Number(position.slice(-16)), differences: [] })
    expect(told.at(-1)).toBe(compared.events)
  })

  it.each([
    [
      'a state',
      `UPDATE work_item_states SET item = replace(item, '"attempt":1', '"attempt":2') WHERE created = (SELECT min(created) FROM work_item_states WHERE item LIKE '%"attempt":1%')`,
      'work_item_states',
    ],
    ['a birth', `UPDATE work_item_births SET at = at + 1 WHERE created = (SELECT min(created) FROM work_item_births)`, 'work_item_births'],
    ['a filter column', `UPDATE work_items SET label = 'planted' WHERE created = (SELECT min(created) FROM work_items)`, 'work_items'],
    ['a fact', `UPDATE work_item_states SET ending = NULL WHERE created = (SELECT min(created) FROM work_item_states WHERE ending IS NOT NULL)`, 'work_item_states'],
    ['a count', 'UPDATE statistics_states SET count = count + 1 WHERE rowid_of = 1', 'statistics_states'],
    ['a request', `UPDATE requests SET expires_at = 1 WHERE created = (SELECT min(created) FROM requests)`, 'requests'],
    ['what a caller has', `UPDATE request_usage SET bytes = bytes + 1 WHERE (contract, caller) = (SELECT contract, caller FROM request_usage LIMIT 1)`, 'request_usage'],
    ['what is retired', `UPDATE retired SET since = since + 1 WHERE position = (SELECT min(position) FROM retired)`, 'retired'],
    ['a row that is gone', 'DELETE FROM work_items WHERE created = (SELECT min(created) FROM work_items)', 'work_items'],
    ['a row too many', `INSERT INTO work_item_states (created, position, item) VALUES (999999, 1, '{}')`, 'work_item_states'],
  ])('finds %s', async (_, sql, table) => {
    const { store, keptFile } = await kept()
    plant(keptFile, sql.replace('rowid_of = 1', `(kind, scope, state) = (SELECT kind, scope, state FROM statistics_states LIMIT 1)`))
    const compared = await compareWithRebuilt({ reader: store, keptFile })
    expect(compared).toMatchObject({ equal: false, differences: [{ table }] })
    expect(compared.differences).toHaveLength(1)
    expect(compared.differences[0]?.kept).not.toEqual(compared.differences[0]?.rebuilt)
  })

  it('names at most twenty', async () => {
    const { store, keptFile } = await kept()
    plant(keptFile, `UPDATE work_items SET scope = scope || '!'`)
    expect((await compareWithRebuilt({ reader: store, keptFile })).differences).toHaveLength(20)
  })

  it('says so when the tables follow another log', async () => {
    const { keptFile } = await kept()
    expect(await compareWithRebuilt({ reader: freshStore(), keptFile })).toMatchObject({ equal: false, differences: [{ table: 'followed_log', kept: 'it follows another log' }] })
  })

  it('says so when a projection is kept in another version', async () => {
    const { store, keptFile } = await kept()
    const newer = projections.map((projection) => (projection.name === 'statistics' ? { ...projection, version: 7 } : projection))
    expect(await compareWithRebuilt({ reader: store, keptFile, projections: newer })).toMatchObject({
      equal: false,
      differences: [{ table: 'followed_to', key: 'statistics', rebuilt: `7/${FOLD_VERSION}` }],
    })
  })
})

describe('the replay at the end of a scenario', () => {
  it('finds the engine and its tables equal to the log', async () => {
    const started = await startEngine()
    const { lease: token } = await register(started, 'a')
    await register(started, 'b')
    right(await report(started, 'job/a', token, { progress: { fraction: 0.5 }, phase: 'merge' }))
    right(await direct(started, 'job/b', 'pause'))
    await insert(started, 't1')
    await insert(started, 't2')
    await lease(started)
    right(await report(started, 'job/a', token, { outcome: { completed: {} } }))
    await expectReplayEqual(started.engine, started.store)
    await started.engine.close()
  })
})

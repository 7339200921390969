// A log whose file was changed behind the store's back is found out, at the place of the change.
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { ChainLink } from '../../src/store/chain.ts'
import { dataDigestOf, linkDigest } from '../../src/store/chain.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { positionAt } from '../../src/store/position.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { directories } from './directories.ts'
import { left, put, right, sample, samples } from './samples.ts'

const directory = directories()

/** What verify says of ten events after `sql` has been at their file. */
const after = async (sql: string) => {
  const store = await openSqliteStore({ directory: directory() })
  await put(store, 'a', samples(5))
  await put(store, 'b', [sample(6, { payload: Buffer.from('bytes') }), ...samples(4, 7)])
  const { incarnation } = right(await store.head()())
  await store.close()
  const db = new DatabaseSync(store.file)
  db.exec(sql)
  db.close()
  const reader = openSqliteReader(store.file)
  const verdict = await verifyChain(reader, { batch: 3 })()
  reader.close()
  return { verdict, at: (sequence: number) => positionAt(incarnation, sequence) }
}

describe('when a stored event was changed', () => {
  it.each([
    ['its data', `UPDATE events SET data = replace(data, '4', '5') WHERE position = 4`, 4],
    ['its payload', `UPDATE events SET payload = CAST('bytez' AS BLOB) WHERE position = 6`, 6],
    ['a payload taken away', 'UPDATE events SET payload = NULL WHERE position = 6', 6],
    ['an empty payload added', `UPDATE events SET payload = x'' WHERE position = 5`, 5],
    ['its stream', `UPDATE events SET stream = 'c' WHERE position = 5`, 5],
    ['its revision', 'UPDATE events SET revision = 9 WHERE position = 5', 5],
    ['its id', `UPDATE events SET id = id || 'x' WHERE position = 1`, 1],
    ['its type', `UPDATE events SET type = 'Other' WHERE position = 10`, 10],
    ['its version', 'UPDATE events SET v = v + 1 WHERE position = 2', 2],
    ['its time', 'UPDATE events SET time = time + 1 WHERE position = 3', 3],
    ['its meta', `UPDATE events SET meta = '{}' WHERE position = 3`, 3],
    ['its digest', `UPDATE events SET digest = zeroblob(32) WHERE position = 7`, 7],
    ['text moved from type to id', `UPDATE events SET id = id || 'S', type = substr(type, 2) WHERE position = 8`, 8],
    ['an erasure that never was', `UPDATE events SET data = NULL, data_digest = zeroblob(32) WHERE position = 8`, 8],
    ['an erasure with data left', `UPDATE events SET data_digest = zeroblob(32) WHERE position = 8`, 8],
  ])('finds %s', async (_what, sql, sequence) => {
    const { verdict, at } = await after(sql)
    expect(left(verdict)).toEqual({ position: at(sequence), problem: expect.any(String) })
  })

  it('finds a missing event and what comes after it', async () => {
    const { verdict, at } = await after('DELETE FROM events WHERE position = 4')
    expect(left(verdict)).toEqual({ position: at(4), problem: `missing: the next event is at ${at(5)}` })
  })

  it('finds two events that changed places', async () => {
    const { verdict, at } = await after(
      'UPDATE events SET position = 100 WHERE position = 2; UPDATE events SET position = 2 WHERE position = 3; UPDATE events SET position = 3 WHERE position = 100',
    )
    expect(left(verdict).position).toBe(at(2))
  })

  it('finds a log that carries the name of another', async () => {
    const { verdict, at } = await after(`UPDATE meta SET value = 'another' WHERE key = 'storeId'`)
    expect(left(verdict).position).toBe(at(1))
  })

  it('finds nothing where nothing was changed', async () => {
    const { verdict, at } = await after('SELECT 1')
    expect(right(verdict)).toMatchObject({ events: 10, erased: 0, pruned: 0, gaps: 0, head: { position: at(10) } })
  })
})

/** What verify says of a log with the gaps 2–4 and 7, of nine events, a tombstone and one event more, after `sql` has been at its file. */
const afterPruning = async (sql: string) => {
  const store = await openSqliteStore({ directory: directory() })
  await put(store, 'kept', [sample(1)])
  await put(store, 'gone', samples(3, 2))
  await put(store, 'kept', samples(2, 5))
  await put(store, 'gone', [sample(7)])
  await put(store, 'kept', samples(2, 8))
  right(await store.erase('gone', 3, [sample(10)])())
  const { incarnation, position } = right(await store.append('kept', 'any', [sample(11)])()) && right(await store.head()())
  expect(right(await store.prune({ before: position })())).toEqual({ pruned: 4 })
  await store.close()
  const db = new DatabaseSync(store.file)
  db.exec(sql)
  db.close()
  const reader = openSqliteReader(store.file)
  const verdicts = [right(await reader.head()()).position, await verifyChain(reader, { batch: 100 })(), await verifyChain(reader, { batch: 2 })()] as const
  reader.close()
  expect(verdicts[2]).toEqual(verdicts[1])
  return { verdict: verdicts[1], at: (sequence: number) => positionAt(incarnation, sequence) }
}

describe('when a log was pruned', () => {
  it('is proved over its gaps, and says how many there are', async () => {
    const { verdict, at } = await afterPruning('SELECT 1')
    expect(right(verdict)).toMatchObject({ events: 7, erased: 0, pruned: 4, gaps: 2, head: { position: at(11) } })
  })

  it.each([
    ['a gap whose digest was changed', 'UPDATE gaps SET chain = zeroblob(32) WHERE first = 2', 5],
    ['a gap that is gone', 'DELETE FROM gaps WHERE first = 7', 7],
    ['a gap that is shorter than what is missing', 'UPDATE gaps SET last = 3 WHERE first = 2', 4],
    ['a gap that begins too late', 'UPDATE gaps SET first = 3 WHERE first = 2', 2],
    ['a gap that reaches over an event', 'UPDATE gaps SET last = 5 WHERE first = 2', 2],
    ['a gap that begins before an event', 'UPDATE gaps SET first = 6 WHERE first = 7', 6],
    ['a gap where nothing is missing', 'INSERT INTO gaps VALUES (9, 9, zeroblob(32))', 9],
    ['an event that is gone outside the gaps', 'DELETE FROM events WHERE position = 8', 8],
    ['an event that is gone beside a gap', 'DELETE FROM events WHERE position = 5', 5],
    ['an event that was changed behind a gap', `UPDATE events SET meta = '{}' WHERE position = 6`, 6],
    ['a tombstone that is gone', 'DELETE FROM events WHERE position = 10', 10],
  ])('finds %s', async (_what, sql, sequence) => {
    const { verdict, at } = await afterPruning(sql)
    expect(left(verdict)).toEqual({ position: at(sequence), problem: expect.any(String) })
  })

  it('is proved also while more of it is pruned between the reads', async () => {
    const store = memoryStore()
    await put(store, 'kept', [sample(1)])
    for (const stream of ['a', 'b', 'c']) await put(store, stream, samples(3))
    for (const stream of ['a', 'b', 'c']) right(await store.erase(stream, 2, [sample(9)])())
    const { position } = await put(store, 'kept', [sample(2)])
    let reads = 0
    const pruning = {
      ...store,
      readChain: (options: Parameters<typeof store.readChain>[0]) => async () => {
        const page = await store.readChain(options)()
        reads += 1
        await store.prune({ before: position, max: 2 })()
        return page
      },
    }
    const verdict = right(await verifyChain(pruning, { batch: 4 })())
    expect(reads).toBeGreaterThan(1)
    expect(verdict.head).toEqual(right(await store.head()()))
    expect(verdict.events + verdict.pruned).toBe(14)
  })
})

describe('when a long log is proved', () => {
  it('tells how far it is', async () => {
    const store = memoryStore()
    await put(store, 'a', samples(25))
    const told: number[] = []
    expect(right(await verifyChain(store, { batch: 10, onProgress: ({ events }) => told.push(events) })()).events).toBe(25)
    expect(told).toEqual([10, 20, 25])
  })

  it('says so when the log ends before its head', async () => {
    const store = memoryStore()
    await put(store, 'a', samples(3))
    const short = { ...store, readChain: (options: { after?: string; max?: number } = {}) => store.readChain({ ...options, max: 2 }) }
    const head = right(await store.head()())
    const cut = { ...short, head: async () => ({ _tag: 'Right' as const, right: { ...head, position: positionAt(head.incarnation, 9) } }) }
    expect(left(await verifyChain({ ...cut, head: () => cut.head })())).toEqual({ position: positionAt(head.incarnation, 4), problem: 'the log ends before its head' })
  })

  it('passes a failed read on', async () => {
    const store = memoryStore()
    await store.close()
    expect(left(await verifyChain(store)())).toEqual({ position: '', problem: 'The store is closed' })
  })
})

describe('the digests', () => {
  const event: ChainLink['event'] = { ...sample(1), stream: 'a', revision: 0, position: 'p' }

  it('are those of every release: a log must stay provable', () => {
    const fixed = { id: 'i', type: 'T', v: 1, time: 2, data: '{"ä":1}', meta: '{"m":1}', stream: 's', revision: 3 }
    const data = dataDigestOf(fixed)
    const withPayload = dataDigestOf({ data: fixed.data, payload: new Uint8Array([1, 2, 3]) })
    expect([data, withPayload, linkDigest('0'.repeat(64), 7, fixed, data)]).toMatchInlineSnapshot(`
      [
        "e4d9850b702ce0c7e39996b4b42b3fcbad9815fb87cfabe926c6b4fe24c450ad",
        "9e8f7aa6006d949080c204e34726960b08e456f7f7aaa1e2c9c3ee3f861d4736",
        "dea1f2fcc46e83d227562c83826845d9d559f5bbd2e322d8fa3e9cb0b89f897e",
      ]
    `)
  })

  it('tell apart what only looks alike when it is put together', () => {
    const digest = (changed: Partial<ChainLink['event']>): string => linkDigest('', 1, { ...event, ...changed }, 'd')
    expect(digest({ stream: 'ab', id: 'c' })).not.toBe(digest({ stream: 'a', id: 'bc' }))
    expect(digest({ type: 'T{', meta: '}' })).not.toBe(digest({ type: 'T', meta: '{}' }))
    expect(dataDigestOf({ data: '{}' })).not.toBe(dataDigestOf({ data: '{}', payload: new Uint8Array(0) }))
  })
})

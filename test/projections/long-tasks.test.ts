// Long tasks in the tables: the long-task table by node, operation and state, what is counted of them, and when they may be erased, on both sides.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { streamOf, type WorkItemId } from '../../src/domain/ids.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import type { ItemFilter, Tables } from '../../src/projections/tables.ts'
import { right } from '../support/engine.ts'
import { BIRTH, completed, jobLeased, ON_ITS_NODE, sampleEvents, taskLeased, timedOut } from '../support/samples.ts'
import { allOf, append, caughtUp, freshStore, job, longTask, openFile, openFor, pageOf, task, temporary } from '../support/tables.ts'

const opened = async () => {
  const store = freshStore()
  return { store, tables: await openFor({ reader: store }) }
}

/** Three nodes with two kinds of operations, among other work: what runs, what is over, and what nobody has taken. */
const filled = async () => {
  const { store, tables } = await opened()
  await append(store, ...longTask('a', { node: 'nas-1' }), jobLeased())
  await append(store, ...job('x', { service: 'nas-1' }))
  await append(store, ...longTask('b', { node: 'nas-2', operation: 'HashImage' }), jobLeased(), completed)
  await append(store, ...task('mail', 't'))
  await append(store, ...longTask('c', { node: 'nas-1', operation: 'HashImage' }), jobLeased(), timedOut('stalled'))
  await append(store, ...longTask('d', { node: 'nas-3' }), timedOut('total'))
  await append(store, ...longTask('e', { node: 'nas-1' }))
  await append(store, ...longTask('f', { node: 'nas-2' }), jobLeased(), { type: 'Paused' })
  await caughtUp(tables, store)
  return { store, tables }
}

const idsOf = async (tables: Tables, filter: Partial<ItemFilter>): Promise<string> =>
  (await allOf(tables, { kind: 'long-task', ...filter })).map((workItem) => workItem.replace('long-task/', '')).join(' ')

describe('the long-task table', () => {
  it('is listed newest first, and by node, operation and state', async () => {
    const { tables } = await filled()
    for (const limit of [1, 2, 100]) {
      expect(await idsOf(tables, { limit })).toBe('f e d c b a')
      expect(await idsOf(tables, { scope: 'nas-1', limit })).toBe('e c a')
      expect(await idsOf(tables, { operation: 'HashImage', limit })).toBe('c b')
      expect(await idsOf(tables, { state: 'timedOut', limit })).toBe('d c')
      expect(await idsOf(tables, { scope: 'nas-1', operation: 'CopyImage', limit })).toBe('e a')
      expect(await idsOf(tables, { scope: 'nas-1', operation: 'HashImage', state: 'timedOut', limit })).toBe('c')
      expect(await idsOf(tables, { order: 'oldest', operation: 'CopyImage', limit })).toBe('a d e f')
    }
    expect(await idsOf(tables, { live: true })).toBe('f e a')
    expect([await idsOf(tables, { scope: 'nas-4' }), await idsOf(tables, { operation: 'None' }), await idsOf(tables, { scope: 'nas-3', state: 'running' })]).toEqual(['', '', ''])
  })

  it('follows what happens to them', async () => {
    const { store, tables } = await filled()
    await append(store, 'long-task/e', jobLeased())
    await append(store, 'long-task/a', sampleEvents.HolderLost)
    await append(store, 'long-task/f', timedOut('total'))
    await caughtUp(tables, store)
    expect([await idsOf(tables, { state: 'waiting' }), await idsOf(tables, { state: 'running' }), await idsOf(tables, { state: 'lost' })]).toEqual(['', 'e', 'a'])
    expect([await idsOf(tables, { state: 'paused' }), await idsOf(tables, { state: 'timedOut' })]).toEqual(['', 'f d c'])
  })

  it('shows which of its times was over, and the late result beside it', async () => {
    const { store, tables } = await filled()
    await append(store, 'long-task/c', sampleEvents.LateResultRecorded)
    await caughtUp(tables, store)
    const { items } = await pageOf(tables, { kind: 'long-task', scope: 'nas-1', state: 'timedOut' })
    expect(items).toMatchObject([
      {
        workItem: 'long-task/c',
        birth: { type: 'OperationDispatched', operation: 'HashImage', node: 'nas-1' },
        ending: { type: 'TimedOut', cause: 'stalled' },
        late: sampleEvents.LateResultRecorded,
        item: { end: 'timedOut', cause: 'stalled' },
      },
    ])
  })

  it('finds few of one operation among many of another', async () => {
    const { store, tables } = await opened()
    await append(store, ...longTask('first', { operation: 'Rare' }), jobLeased(), completed)
    for (let number = 0; number < 6_000; number += 1) await append(store, ...longTask(`l${number}`), jobLeased(), completed)
    await append(store, ...longTask('last', { operation: 'Rare' }))
    await caughtUp(tables, store)
    for (const limit of [1, 100]) expect(await idsOf(tables, { operation: 'Rare', limit })).toBe('last first')
    expect(await idsOf(tables, { operation: 'Rare', scope: 'node-1', state: 'completed' })).toBe('first')
  })
})

describe('statistics of long tasks', () => {
  it('are by node, with what timed out, and how long those took that were done', async () => {
    const { store, tables } = await filled()
    await append(store, 'long-task/a', completed)
    await caughtUp(tables, store)
    const { items } = await tables.statistics({ kind: 'long-task' })
    expect(items.map(({ scope, states, runMs, waitMs }) => [scope, states, runMs?.count, waitMs])).toEqual([
      ['nas-1', { completed: 1, timedOut: 1, waiting: 1 }, 1, undefined],
      ['nas-2', { completed: 1, paused: 1 }, 1, undefined],
      ['nas-3', { timedOut: 1 }, undefined, undefined],
    ])
    // Leased with its birth, a second after BIRTH for each append of this file.
    expect(items[0]?.runMs?.max).toBeGreaterThanOrEqual(8_000)
  })
})

const tombstone = (end: 'completed' | 'timedOut'): WorkItemEvent => ({ ...sampleEvents.Erased, kind: 'long-task', by: 'management', digest: 'content', end })

describe('retention of long tasks', () => {
  const due = async (tables: Tables) => (await tables.retired({ kind: 'long-task', notAfter: Number.MAX_SAFE_INTEGER, limit: 100 })).items.map(({ workItem, at }) => [workItem, at])
  const settledAt = async (tables: Tables, workItem: WorkItemId): Promise<number | undefined> => {
    const { item } = (await pageOf(tables, { kind: 'long-task' })).items.find((row) => row.workItem === workItem) ?? {}
    return item?.status === 'settled' ? item.settledAt : undefined
  }

  it('counts from their settlement, however they settled', async () => {
    const { store, tables } = await filled()
    const expected = [...'bcd'].map(async (id) => [`long-task/${id}`, await settledAt(tables, `long-task/${id}`)])
    expect(await due(tables)).toEqual(await Promise.all(expected))
    await append(store, 'long-task/c', sampleEvents.LateResultRecorded)
    await caughtUp(tables, store)
    expect(await due(tables)).toEqual(await Promise.all(expected))
  })

  it('waits on its node until the end is acknowledged, and counts from the end all the same', async () => {
    const { store, tables } = await opened()
    const [workItem, birth] = longTask('a', { ...ON_ITS_NODE })
    await append(store, workItem, birth, taskLeased())
    await append(store, workItem, completed)
    await caughtUp(tables, store)
    const at = await settledAt(tables, workItem)
    expect([at !== undefined, await due(tables)]).toEqual([true, []])
    expect((await tables.liveItems()).items).toMatchObject([{ workItem, item: { outbox: ['reply'] } }])
    await append(store, workItem, { type: 'EffectsCarriedOut', effects: [{ entry: 'reply', outcome: 'done' }] })
    await caughtUp(tables, store)
    expect(await due(tables)).toEqual([[workItem, at]])
    expect((await tables.liveItems()).items).toEqual([])
  })

  it('ends with a tombstone that says how it ended, and leaves the tables as rebuilt ones', async () => {
    const [store, file] = [freshStore(), join(temporary(), 'tables.db')]
    const { tables } = await openFile(file, store)
    await append(store, ...longTask('a'), jobLeased(), timedOut('total'))
    await append(store, ...longTask('b', { ...ON_ITS_NODE }), taskLeased(), completed, { type: 'EffectsCarriedOut', effects: [{ entry: 'reply', outcome: 'done' }] })
    await append(store, ...longTask('c'))
    await caughtUp(tables, store)
    for (const [id, end] of [
      ['a', 'timedOut'],
      ['b', 'completed'],
    ] as const)
      right(await store.erase(streamOf(`long-task/${id}`), 'any', [{ id: `tombstone-${id}`, ...encodeEvent(tombstone(end)), time: BIRTH + 90_000_000, meta: '{}' }])())
    await caughtUp(tables, store)
    expect([await idsOf(tables, {}), await due(tables)]).toEqual(['c', []])
    expect((await tables.statistics({})).items).toMatchObject([{ kind: 'long-task', scope: 'node-1', states: { waiting: 1 } }])
    await tables.close()
    const compared = await compareWithRebuilt({ reader: store, keptFile: file, erased: 7 })
    expect([compared.differences, compared.notCompared]).toEqual([[], { statistics: '7 events erased' }])
  })
})

// The check with which demo and recovery tests prove that nothing acknowledged was lost must itself be able to fail.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { isInHistory, keepingLedger, readLedger, type Said } from '../../../src/cli/demo/ledger.ts'
import type { HistoryEvent } from '../../../src/client/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-ledger-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const historyOf = (...events: readonly (readonly [type: string, data?: object])[]): readonly HistoryEvent[] =>
  events.map(([type, data = {}], revision) => ({ id: `event-${revision}`, position: `log.${revision}`, revision, type, v: 1, time: '2026-01-01T00:00:00.000Z', data }))

const TWICE_LEASED = historyOf(
  ['JobRegistered'],
  ['Leased', { lease: 1 }],
  ['PhaseEntered', { phase: 'scan' }],
  ['ProgressReported', { progress: { done: 1, total: 4 } }],
  ['Paused'],
  ['Leased', { lease: 2 }],
  ['PhaseEntered', { phase: 'index' }],
  ['Completed', { result: { words: 3 }, lease: 2, digest: 'd' }],
)

const isIn = (lease: string, said: Said, history = TWICE_LEASED): boolean => isInHistory({ job: 'a', lease, said }, history)

describe('what was acknowledged', () => {
  it('is in the history when its events are', () => {
    expect(isIn('1.token', { registered: true })).toBe(true)
    expect(isIn('1.token', { phase: 'scan', progress: { total: 4, done: 1 } })).toBe(true)
    expect(isIn('1.token', { state: 'paused' })).toBe(true)
    expect(isIn('2.token', { phase: 'index' })).toBe(true)
    expect(isIn('2.token', { outcome: { completed: { result: { words: 3 } } } })).toBe(true)
  })

  it('is missing when one of them is not, or is another one', () => {
    expect(isIn('3.token', { registered: true })).toBe(false)
    expect(isIn('1.token', { phase: 'merge' })).toBe(false)
    expect(isIn('1.token', { phase: 'scan', progress: { done: 2, total: 4 } })).toBe(false)
    expect(isIn('2.token', { state: 'paused' })).toBe(false)
    expect(isIn('2.token', { outcome: { completed: { result: { words: 4 } } } })).toBe(false)
    expect(isIn('2.token', { outcome: { failed: { code: 'x', message: '' } } })).toBe(false)
    expect(isIn('2.token', { outcome: { aborted: { reason: 'x' } } })).toBe(false)
  })

  it('is looked for under its own lease, where what still holds needs no new event', () => {
    expect(isIn('1.token', { phase: 'index' })).toBe(false)
    expect(isIn('2.token', { phase: 'scan' })).toBe(true)
    expect(isIn('2.token', { progress: { done: 1, total: 4 } })).toBe(true)
  })

  it('may be a result that came too late', () => {
    const outcome = { completed: { result: 7 } }
    const history = historyOf(['Leased', { lease: 1 }], ['Failed', { code: 'lost' }], ['LateResultRecorded', { lease: 1, outcome }])
    expect(isIn('1.token', { outcome }, history)).toBe(true)
    expect(isIn('1.token', { outcome: { completed: { result: 8 } } }, history)).toBe(false)
  })
})

const answering = (status: number, body: object) => async (): Promise<Response> => Response.json(body, { status })
const sent = (body: object): RequestInit => ({ method: 'POST', body: JSON.stringify(body) })
const REPORTS = 'http://127.0.0.1/v1/jobs/reports'

describe('the ledger of a job server', () => {
  it('has what was answered as recorded, and nothing else', async () => {
    const file = join(folder, 'recorded.jsonl')
    await keepingLedger(file, answering(201, { id: 'a', lease: '1.t' }))('http://127.0.0.1/v1/jobs', sent({ id: 'a' }))
    const items = [
      { id: 'a', lease: '1.t', phase: 'scan' },
      { id: 'b', lease: '1.u', progress: { done: 1 } },
      { id: 'c', lease: '1.v', phase: 'scan' },
      { id: 'd', lease: '1.w' },
    ]
    const answers = [
      { id: 'a', status: 200, recorded: true },
      { id: 'b', status: 200, recorded: false },
      { id: 'c', status: 409 },
      { id: 'd', status: 200, recorded: true },
    ]
    await keepingLedger(file, answering(200, { items: answers }))(REPORTS, sent({ items }))
    await keepingLedger(file, answering(503, { code: 'stopping' }))(REPORTS, sent({ items }))
    expect(readLedger(file)).toEqual([
      { job: 'a', lease: '1.t', said: { registered: true } },
      { job: 'a', lease: '1.t', said: { phase: 'scan' } },
    ])
  })

  it('hands the answer on untouched', async () => {
    const body = { items: [{ id: 'a', status: 200, recorded: true }] }
    const response = await keepingLedger(join(folder, 'untouched.jsonl'), answering(200, body))(REPORTS, sent({ items: [{ id: 'a', lease: '1.t', phase: 'scan' }] }))
    expect(await response.json()).toEqual(body)
  })
})

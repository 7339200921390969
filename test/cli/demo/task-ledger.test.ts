// The workers' record of what Stint told them, and its comparison with the log.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { agrees, keepingTaskLedger, readTaskLedger } from '../../../src/cli/demo/task-ledger.ts'
import { history } from '../../support/history.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-task-ledger-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const answering = (status: number, body: object) => async (): Promise<Response> => Response.json(body, { status })
const sent = (body: object): RequestInit => ({ method: 'POST', body: JSON.stringify(body) })
const URL_OF_TASKS = 'http://127.0.0.1/v1/queues/archive/files/tasks'

describe('the ledger of a worker', () => {
  it('has what was taken and what was refused, and nothing of an answer that was none', async () => {
    const file = join(folder, 'told.jsonl')
    expect(readTaskLedger(file)).toEqual([])
    const items = ['a', 'b', 'c'].map((id) => ({ id, lease: '1.t' }))
    const answers = [
      { id: 'a', status: 200, state: 'completed' },
      { id: 'b', status: 409, code: 'stale-lease' },
      { id: 'c', status: 200, late: true },
    ]
    await keepingTaskLedger(file, answering(200, { items: answers }))(`${URL_OF_TASKS}/complete`, sent({ items }))
    await keepingTaskLedger(file, answering(200, { id: 'd', state: 'running' }))(`${URL_OF_TASKS}/extend`, sent({ id: 'd', lease: '2.t', leaseSeconds: 2 }))
    const report = (outcome: object): RequestInit => sent({ lease: '1.t', phase: 'pack', outcome })
    await keepingTaskLedger(file, answering(200, { id: 'e', state: 'completed', recorded: true }))(`${URL_OF_TASKS}/e/reports`, report({ completed: {} }))
    await keepingTaskLedger(file, answering(409, { code: 'settled', status: 409 }))(`${URL_OF_TASKS}/f/reports`, report({ completed: {} }))
    await keepingTaskLedger(file, answering(200, { id: 'g', state: 'waiting', recorded: true }))(`${URL_OF_TASKS}/g/reports`, report({ failed: { code: 'x', message: '' } }))
    await keepingTaskLedger(file, answering(503, { code: 'stopping' }))(`${URL_OF_TASKS}/complete`, sent({ items }))
    await keepingTaskLedger(file, answering(503, { code: 'stopping' }))(`${URL_OF_TASKS}/h/reports`, report({ completed: {} }))
    await keepingTaskLedger(file, answering(200, { items: [] }))(`${URL_OF_TASKS}/lease`, sent({ max: 1 }))
    expect(readTaskLedger(file)).toEqual([
      { task: 'a', lease: '1.t', verb: 'complete' },
      { task: 'b', lease: '1.t', verb: 'complete', refused: 'stale-lease' },
      { task: 'c', lease: '1.t', verb: 'complete', refused: 'late' },
      { task: 'd', lease: '2.t', verb: 'extend' },
      { task: 'e', lease: '1.t', verb: 'complete' },
      { task: 'f', lease: '1.t', verb: 'complete', refused: 'settled' },
    ])
  })
})

describe('the log agrees with the ledger', () => {
  const events = history(['Leased', { lease: 1 }], ['LeaseExpired', { lease: 1 }], ['Leased', { lease: 2 }], ['Completed', { lease: 2 }])
  const told = (lease: string, refused?: string) => ({ task: 'a', lease, verb: 'complete' as const, ...(refused === undefined ? {} : { refused }) })

  it('when what counts is there and what was refused is not', () => {
    expect(agrees(told('2.t'), events)).toBe(true)
    expect(agrees(told('1.t', 'stale-lease'), events)).toBe(true)
  })
  it('but not when what was acknowledged is missing, or what was refused counts', () => {
    expect(agrees(told('1.t'), events)).toBe(false)
    expect(agrees(told('2.t', 'stale-lease'), events)).toBe(false)
  })
})

// Proves that the table of states and commands has no hole: every status and kind has its states, every state its row, every command its column.
// That each row answers every column is checked by the row itself (`whenState`).
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isUnresolved } from '../../../src/domain/work-item/state.ts'
import { itemIn } from '../../support/given.ts'
import { CELLS, COMMAND_TYPES, nowIn, STATES, STATUSES, type StateName } from '../../support/samples.ts'

const NAMES = Object.keys(STATES) as StateName[]

const rows = (): readonly string[] => {
  const sources = readdirSync(import.meta.dirname).filter((name) => /^decide-.*\.test\.ts$/.test(name))
  const text = sources.map((name) => readFileSync(`${import.meta.dirname}/${name}`, 'utf8')).join('\n')
  return [...text.matchAll(/whenState\('([^']+)'/g)].map(([, name]) => name ?? '')
}

describe('the table of states and commands', () => {
  it('has one row for each state', () => {
    expect([...rows()].sort()).toEqual([...NAMES].sort())
  })

  it('has a column for each command, and no other', () => {
    const columns = new Set(Object.keys(CELLS).map((cell) => cell.split(/[ ,]/)[0]))
    expect(columns).toEqual(new Set(COMMAND_TYPES))
  })

  it('builds in each column the command that it names', () => {
    for (const [cell, make] of Object.entries(CELLS)) expect(cell.startsWith(make(nowIn('job running')).type)).toBe(true)
  })

  it('has states of every status for each kind, as far as the kind can be in it', () => {
    const reached = (kind: string) => [...new Set(NAMES.filter((name) => name.startsWith(`${kind} `)).map((name) => itemIn(name).status))].sort()
    expect(reached('job')).toEqual(STATUSES.filter((status) => status !== 'deadLetter').sort())
    expect(reached('task')).toEqual(STATUSES.filter((status) => status !== 'lost').sort())
    expect(reached('long-task')).toEqual(STATUSES.filter((status) => status !== 'deadLetter').sort())
    expect(reached('request')).toEqual(STATUSES.filter((status) => status !== 'lost' && status !== 'deadLetter').sort())
  })

  it('has held states with each directive standing, and every end', () => {
    const standing = NAMES.map((name) => itemIn(name)).flatMap((item) => (item.status !== 'absent' && isUnresolved(item.receipt) ? [`${item.kind} ${item.receipt.directive}`] : []))
    const kinds = ['job', 'long-task', 'request', 'task']
    expect([...new Set(standing)].sort()).toEqual(kinds.flatMap((kind) => [`${kind} abort`, `${kind} pause`, `${kind} resume`]))
    const ends = NAMES.map((name) => itemIn(name)).flatMap((item) => (item.status === 'settled' ? [`${item.kind} ${item.end}`] : []))
    // Only a long task times out.
    expect(ends).toContain('long-task timedOut')
    expect(new Set(ends).size).toBe(4 * kinds.length + 1)
  })
})

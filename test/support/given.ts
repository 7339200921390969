// Tests of the decider as sentences: given what happened, when a command comes, then these facts follow; and the table of all states and commands.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import type { Command, Rejection } from '../../src/domain/work-item/commands.ts'
import { decide, timeOf } from '../../src/domain/work-item/decide.ts'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { evolve, evolveAll } from '../../src/domain/work-item/evolve.ts'
import { absent, type WorkItem } from '../../src/domain/work-item/state.ts'
import { BIRTH, CELLS, nowIn, STATES, type Cell, type Dated, type StateName } from './samples.ts'

/** The item after this life: facts without a time of their own follow the one before by a second, from BIRTH on. */
export const itemAfter = (...life: readonly (WorkItemEvent | Dated)[]): WorkItem => {
  let item: WorkItem = absent
  let time = BIRTH - 1_000
  for (const [revision, fact] of life.entries()) {
    const dated = 'event' in fact ? fact : { time: time + 1_000, event: fact }
    time = dated.time
    item = evolve(item, dated.event, { time, revision })
  }
  return item
}

export const itemIn = (state: StateName): WorkItem => itemAfter(...STATES[state])

/** The item after a command; what it refuses leaves it as it was. */
export const after = (item: WorkItem, command: Command): WorkItem => {
  const decided = decide(command, item)
  return E.isLeft(decided) ? item : evolveAll(item, decided.right, timeOf(command, item))
}

type RejectionFacts = { readonly [key in 'state' | 'detail']?: unknown }

/** Begins a sentence with an item. */
export const givenItem = (item: WorkItem) => ({
  item,
  when: (command: Command) => {
    const decided = decide(command, item)
    const thenAdds = (...events: readonly WorkItemEvent[]) => {
      expect(decided).toEqual(E.right(events))
      return givenItem(after(item, command))
    }
    return {
      /** These facts and no others follow; goes on with the item after them. */
      thenAdds,
      /** The command is granted, and nothing new has happened. */
      thenNothing: () => thenAdds(),
      rejects: (type: Rejection['type'], facts: RejectionFacts = {}) => {
        expect(decided).toMatchObject(E.left({ type, ...facts }))
        return givenItem(item)
      },
    }
  },
})

/** Begins a sentence with a life. */
export const given = (...life: readonly (WorkItemEvent | Dated)[]) => givenItem(itemAfter(...life))

export type Expectation = { readonly says: string; readonly events: readonly WorkItemEvent[] } | { readonly says: string; readonly refusal: Rejection['type'] }

export const adds = (...events: readonly WorkItemEvent[]): Expectation => ({ says: `adds ${events.map(({ type }) => type).join(', ')}`, events })
export const nothing: Expectation = { says: 'adds nothing', events: [] }
export const refuses = (refusal: Rejection['type']): Expectation => ({ says: `is refused as ${refusal}`, refusal })

/** What a command comes to when it is said again: leasing is asking for more work, a released reply is no longer given, everything else was answered already. */
const whenRepeated = (cell: Cell, first: readonly WorkItemEvent[]): Expectation => {
  if (cell.startsWith('LeaseItem')) return refuses('not-possible')
  return cell.startsWith('AcceptRequest') && first.some(({ type }) => type === 'ReplyReleased') ? refuses('released') : nothing
}

const check = (item: WorkItem, command: Command, expected: Expectation) => {
  const { thenAdds, rejects } = givenItem(item).when(command)
  if ('refusal' in expected) rejects(expected.refusal)
  else thenAdds(...expected.events)
}

/** One row of the table: what each command comes to in this state, and that saying it again adds nothing. */
export const whenState = (state: StateName, row: Readonly<Record<Cell, Expectation>>): void => {
  describe(`when ${state}`, () => {
    const item = itemIn(state)
    for (const [name, expected] of Object.entries(row)) {
      const cell = name as Cell
      const command = CELLS[cell](nowIn(state))
      it(`${cell}: ${expected.says}`, () => check(item, command, expected))
      if (!('events' in expected) || expected.events.length === 0) continue
      const repeated = whenRepeated(cell, expected.events)
      it(`${cell}, said again: ${repeated.says}`, () => check(after(item, command), command, repeated))
    }
    it('has an answer to every command', () => {
      expect(Object.keys(row).sort()).toEqual(Object.keys(CELLS).sort())
    })
  })
}

/** The same answer for several commands. */
export const all = <Name extends Cell>(expected: Expectation, ...cells: readonly Name[]): Readonly<Record<Name, Expectation>> =>
  Object.fromEntries(cells.map((cell) => [cell, expected])) as Record<Name, Expectation>

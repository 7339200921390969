// What every event store must do, whatever it is made of: the meaning of src/store/port.ts as examples. Run on each adapter.
import { describe } from 'vitest'
import { appends, expectsRevisions } from './appending.ts'
import { erases, keepsItsChain } from './integrity.ts'
import { closes, limitsSize, takesMuch } from './limits.ts'
import { positions, reads } from './reading.ts'
import { prunes } from './pruning.ts'
import type { MakeStore } from './store-under-test.ts'
import { subscribes } from './subscribing.ts'
import { truncates } from './truncating.ts'

/** Runs the contract on one adapter. */
export const exercise = (name: string, make: MakeStore): void => {
  describe(`${name} as an event store`, () => {
    describe('when appending', () => {
      appends(make)
    })
    describe('when a revision is expected', () => {
      expectsRevisions(make)
    })
    describe('when reading', () => {
      reads(make)
    })
    describe('with its positions', () => {
      positions(make)
    })
    describe('when an append is too large', () => {
      limitsSize(make)
    })
    describe('when much comes at once', () => {
      takesMuch(make)
    })
    describe('when subscribed to', () => {
      subscribes(make)
    })
    describe('when erasing', () => {
      erases(make)
    })
    describe('when pruning', () => {
      prunes(make)
    })
    describe('when truncating', () => {
      truncates(make)
    })
    describe('with its chain', () => {
      keepsItsChain(make)
    })
    describe('when closed', () => {
      closes(make)
    })
  })
}

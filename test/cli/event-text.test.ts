// Every event has its sentence, and so is a type that can be asked for.
import { describe, expect, it } from 'vitest'
import { colourOf, eventTypes, sentenceOf } from '../../src/cli/event-text.ts'
import { workItemEvents } from '../../src/domain/work-item/events.ts'
import { sampleEvents } from '../support/samples.ts'

describe('the types of events that the command line knows', () => {
  it('are those that there are', () => expect(eventTypes.toSorted()).toEqual(Object.keys(workItemEvents).toSorted()))
})

describe('an event as a sentence', () => {
  it('names what a long task is, where it runs, and which time was over', () => {
    expect(sentenceOf('OperationDispatched', { ...sampleEvents.OperationDispatched, reportTo: undefined })).toBe('dispatched to node-1: CopyImage')
    expect(sentenceOf('OperationDispatched', { ...sampleEvents.OperationDispatched, reportTo: 'http://stint.example' })).toBe('taken from http://stint.example: CopyImage')
    expect([sentenceOf('TimedOut', { cause: 'total' }), sentenceOf('TimedOut', { cause: 'stalled' })]).toEqual(['timed out', 'timed out: it made no progress'])
    expect(colourOf('TimedOut')).toBe('red')
  })

  it('names each entry of an outbox and what became of it', () =>
    expect(sentenceOf('EffectsCarriedOut', sampleEvents.EffectsCarriedOut)).toBe('effects carried out: 0 done, reply given-up'))

  it('says of what was erased what it was, and how it had ended', () => {
    const erased = sampleEvents.Erased
    expect(sentenceOf('Erased', erased)).toBe('erased by stint: retention; it was a request that had completed')
    expect(sentenceOf('Erased', { ...erased, kind: 'long-task', end: 'timedOut' })).toBe('erased by stint: retention; it was a long task that had timed out')
    expect(sentenceOf('Erased', { ...erased, kind: 'task', end: 'cancelled' })).toBe('erased by stint: retention; it was a task that had been cancelled')
  })

  it('has none for what it does not know, and shows its data', () => expect(sentenceOf('Teleported', { to: 'moon' })).toBe('{"to":"moon"}'))
})

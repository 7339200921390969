// Every event has its sentence, and so is a type that can be asked for.
import { describe, expect, it } from 'vitest'
import { eventTypes } from '../../src/cli/event-text.ts'
import { workItemEvents } from '../../src/domain/work-item/events.ts'

describe('the types of events that the command line knows', () => {
  it('are those that there are', () => expect(eventTypes.toSorted()).toEqual(Object.keys(workItemEvents).toSorted()))
})

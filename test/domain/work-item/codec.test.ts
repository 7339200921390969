// Storing and reading back: what is damaged, unknown or newer is named and never let through.
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEvent, encodeEvent, eventDecoder } from '../../../src/domain/work-item/codec.ts'
import type { WorkItemEvent, WorkItemEventType } from '../../../src/domain/work-item/events.ts'
import { laterSamples, sampleEvents } from '../../support/samples.ts'

const TYPES = Object.keys(sampleEvents) as WorkItemEventType[]

/** Fields that may be missing, for each type that has such. */
const OPTIONAL: Readonly<Partial<Record<WorkItemEventType, readonly string[]>>> = {
  JobRegistered: ['label', 'attributes', 'expectedMs'],
  TaskInserted: ['tag', 'priority', 'key', 'bytes'],
  RequestAccepted: ['attemptsMax', 'method', 'path', 'callback'],
  OperationDispatched: ['timeoutMs', 'stalledAfterMs', 'reportTo', 'onRestart'],
  Leased: ['requestId'],
  LeaseReleased: ['reason', 'busy'],
  DirectiveGiven: ['reason'],
  DirectiveEnded: ['reason'],
  RetryScheduled: ['digest'],
  DeadLettered: ['lease', 'digest'],
  Completed: ['result', 'partial', 'reply', 'effects', 'lease', 'digest'],
  Failed: ['detail', 'lease', 'digest'],
  Aborted: ['partial', 'lease', 'digest'],
  Cancelled: ['reason'],
  Erased: ['reason'],
}
/** Fields that hold whatever their author put there. */
const FREE: Readonly<Partial<Record<WorkItemEventType, string>>> = { Completed: 'result', Failed: 'detail', Aborted: 'partial' }

/** With every field that the type may have. */
const fullest = (type: WorkItemEventType): WorkItemEvent => ({ ...sampleEvents[type], ...laterSamples.find(({ event }) => event.type === type)?.event }) as WorkItemEvent
const dataOf = (type: WorkItemEventType): Record<string, unknown> => JSON.parse(encodeEvent(fullest(type)).data) as Record<string, unknown>

const without = (data: Record<string, unknown>, key: string): Record<string, unknown> => Object.fromEntries(Object.entries(data).filter(([name]) => name !== key))

/** A value of another kind than the one that stands there. */
const otherKind = (value: unknown): fc.Arbitrary<unknown> =>
  fc.oneof(fc.constant(null), fc.integer(), fc.string(), fc.boolean(), fc.constant([]), fc.constant({ wrong: 1 })).filter((other) => {
    if (Array.isArray(value)) return !Array.isArray(other)
    if (typeof value !== 'object') return typeof other !== typeof value
    // A record is another record's kind; what must be in it is judged field by field.
    return typeof other !== 'object' || other === null || Array.isArray(other)
  })

const damages = fc.constantFrom(...TYPES.filter((type) => Object.keys(dataOf(type)).length > 0)).chain((type) => {
  const fields = Object.keys(dataOf(type)).filter((key) => key !== FREE[type])
  return fc.constantFrom(...fields).chain((key) => otherKind(dataOf(type)[key]).map((value) => ({ type, key, value })))
})

describe('an event that is stored', () => {
  it('does not say its type twice', () => {
    const encoded = encodeEvent(sampleEvents.PhaseEntered)
    expect(encoded).toEqual({ type: 'PhaseEntered', v: 1, data: '{"phase":"merge"}' })
  })

  it('leaves out what is undefined', () => {
    expect(encodeEvent({ type: 'Cancelled', by: 'admin', reason: undefined }).data).toBe('{"by":"admin"}')
  })
})

describe('an event that is read', () => {
  it('may lack its optional fields and no other', () => {
    for (const type of TYPES) {
      const data = dataOf(type)
      for (const key of Object.keys(data)) expect(E.isRight(decodeEvent(type, 1, without(data, key))), `${type} without ${key}`).toBe(OPTIONAL[type]?.includes(key) ?? false)
    }
  })

  it('is invalid with any field of the wrong kind, and the field is named', () => {
    fc.assert(
      fc.property(damages, ({ type, key, value }) => {
        const decoded = decodeEvent(type, 1, { ...dataOf(type), [key]: value })
        expect(decoded).toMatchObject(E.left({ reason: 'invalid' }))
        if (E.isLeft(decoded)) expect(decoded.left.detail).toContain(key)
      }),
      { numRuns: 1_000 },
    )
  })

  it('is invalid inside its parts too, and the path is given without the value', () => {
    const data = { ...dataOf('Leased'), holder: { subject: 'servers', name: 4_711 } }
    const decoded = decodeEvent('Leased', 1, data)
    expect(decoded).toEqual(E.left({ reason: 'invalid', detail: 'Expected Leased of version 1 to be sound, but it is wrong at holder/name.' }))
    expect(decodeEvent('LateResultRecorded', 1, { ...dataOf('LateResultRecorded'), outcome: { maybe: 1 } })).toMatchObject(E.left({ reason: 'invalid' }))
  })

  it('is invalid with a word that it does not know', () => {
    for (const cause of ['total', 'stalled']) expect(decodeEvent('TimedOut', 1, { cause })).toEqual(E.right({ type: 'TimedOut', cause }))
    expect(decodeEvent('TimedOut', 1, { cause: 'bored' })).toMatchObject(E.left({ reason: 'invalid', detail: expect.stringContaining('cause') }))
    expect(decodeEvent('OperationDispatched', 1, { ...dataOf('OperationDispatched'), onRestart: 'pray' })).toMatchObject(E.left({ reason: 'invalid' }))
    expect(decodeEvent('Erased', 1, { ...dataOf('Erased'), kind: 'long-task', end: 'timedOut' })).toMatchObject(E.right({ kind: 'long-task', end: 'timedOut' }))
    for (const wrong of [{ kind: 'operation' }, { end: 'expired' }])
      expect(decodeEvent('Erased', 1, { ...dataOf('Erased'), ...wrong })).toMatchObject(E.left({ reason: 'invalid' }))
  })

  it('keeps fields that it does not know', () => {
    expect(decodeEvent('PhaseEntered', 1, { phase: 'merge', added: true })).toEqual(E.right({ type: 'PhaseEntered', phase: 'merge', added: true }))
  })

  it('is of the type that the envelope says, whatever its data say', () => {
    expect(decodeEvent('PhaseEntered', 1, { type: 'Completed', phase: 'merge' })).toEqual(E.right({ type: 'PhaseEntered', phase: 'merge' }))
  })

  it.each([[null], [undefined], ['{}'], [7], [[]]])('is invalid when its data are %j', (data) => {
    expect(decodeEvent('Paused', 1, data)).toMatchObject(E.left({ reason: 'invalid' }))
  })

  it.each(['Exploded', '', 'constructor', 'toString', '__proto__'])('is unknown when its type is "%s"', (type) => {
    expect(decodeEvent(type, 1, {})).toMatchObject(E.left({ reason: 'unknown-type' }))
  })

  it('is newer when its version has not been heard of', () => {
    expect(decodeEvent('Paused', 2, {})).toEqual(E.left({ reason: 'newer-version', detail: 'Expected Paused of version 1 at most, but it has version 2.' }))
  })

  it.each([0, -1, 0.5, Number.NaN])('is invalid when its version is %s', (v) => {
    expect(decodeEvent('Paused', v, {})).toMatchObject(E.left({ reason: 'invalid' }))
  })
})

describe('an event that has changed since', () => {
  const decode = eventDecoder({
    PhaseEntered: [({ name, ...rest }) => ({ ...rest, label: name }), ({ label, ...rest }) => ({ ...rest, phase: typeof label === 'string' ? label.toLowerCase() : label })],
  })

  it('is brought from each older version to the newest, one step after another', () => {
    const merge = E.right({ type: 'PhaseEntered', phase: 'merge' })
    expect(decode('PhaseEntered', 1, { name: 'MERGE' })).toEqual(merge)
    expect(decode('PhaseEntered', 2, { label: 'MERGE' })).toEqual(merge)
    expect(decode('PhaseEntered', 3, { phase: 'merge' })).toEqual(merge)
    expect(decode('PhaseEntered', 4, { phase: 'merge' })).toMatchObject(E.left({ reason: 'newer-version' }))
  })

  it('is judged after the last step', () => {
    expect(decode('PhaseEntered', 1, { phase: 'merge' })).toMatchObject(E.left({ reason: 'invalid' }))
  })
})

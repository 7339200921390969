// The short way through a codec: whatever it lets pass is what the long way would have answered, and everyday values take it.
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import type * as t from 'io-ts'
import { describe, expect, it } from 'vitest'
import { reportBody } from '../../src/wire/items.ts'
import { decode, exactlyOne, fields, number, numberText, text } from '../../src/wire/schema.ts'
import { isSound } from '../../src/wire/soundness.ts'
import { completeBeside, insertBody, leaseBody, leasedTask } from '../../src/wire/tasks.ts'

const AT = '2026-01-02T03:04:05.678Z'
const leased = {
  id: '42',
  workItem: 'task/shop/mail/42',
  kind: 'task',
  state: 'running',
  attempt: 1,
  directive: 'normal',
  createdAt: AT,
  updatedAt: AT,
  position: 'a.0000000000000001',
  app: 'shop',
  queue: 'mail',
  lease: '1.abcdefgh',
  leaseUntil: AT,
  holder: { name: 'worker', lastSeenAt: AT },
  payload: { to: ['ann@example.com'] },
  mediaType: 'application/json',
}
const insert = { id: '42', payload: { to: 'ann@example.com' }, tag: 'mail', priority: 3, delaySeconds: 0.5 }
const lease = { max: 32, leaseSeconds: 60, worker: 'one', sameTag: true, requestId: 'first' }

describe('a value that is as its codec wants it', () => {
  it.each([
    ['a task to insert', insertBody, insert],
    ['a task with no more than it needs', insertBody, {}],
    ['a leased task', leasedTask, leased],
    ['a lease request', leaseBody, lease],
    ['an array of objects', completeBeside.answers, { leased: { items: [leased, leased], more: true } }],
    ['an optional field that is undefined', leaseBody, { ...lease, tag: undefined }],
  ])('need not be decoded: %s', (_what, codec: t.Mixed, value: unknown) => {
    expect(isSound(codec, value)).toBe(true)
    expect(decode(codec, value)).toEqual(E.right(value))
  })
})

describe('a value that is not', () => {
  it.each([
    ['an unknown field', insertBody, { ...insert, colour: 'red' }],
    ['an unknown field further in', leasedTask, { ...leased, holder: { ...leased.holder, colour: 'red' } }],
    ['a field beyond its limits', insertBody, { ...insert, priority: 1_001 }],
    ['a field of another type', leasedTask, { ...leased, attempt: '1' }],
    ['a missing field', leasedTask, { ...leased, lease: undefined }],
    ['one wrong item among many', completeBeside.answers, { leased: { items: [leased, { ...leased, id: 7 }] } }],
    ['an array in place of an object', insertBody, []],
    ['nothing', insertBody, null],
    ['a prototype as a field', insertBody, JSON.parse('{"__proto__":{"id":"42"}}')],
    ['text that is another value once decoded', fields({ count: numberText({}) }), { count: '7' }],
    ['a choice, which only a decode can judge', exactlyOne({ a: text({ max: 1 }), b: number({}) }), { a: 'x' }],
  ])('is left to the decode: %s', (_what, codec: t.Mixed, value: unknown) => {
    expect(isSound(codec, value)).toBe(false)
  })
})

const anything = fc.oneof(fc.jsonValue(), fc.constant(undefined))
const spoilt = <Value extends object>(value: Value) =>
  fc
    .tuple(fc.constantFrom(...Object.keys(value), 'more', 'holder', 'outcome', 'progress'), fc.oneof(anything, fc.constantFrom(1, '1', AT, {}, [], leased.holder)))
    .map(([name, part]): unknown => ({ ...value, [name]: part }))

describe('any value', () => {
  it.each([
    ['insertBody', insertBody, insert],
    ['leaseBody', leaseBody, lease],
    ['leasedTask', leasedTask, leased],
    ['reportBody', reportBody, { lease: '1.abcdefgh', phase: 'index', progress: { fraction: 0.5 } }],
  ])('that is let pass decodes to itself: %s', (_what, codec: t.Mixed, sample: object) => {
    fc.assert(
      fc.property(fc.oneof(anything, spoilt(sample)), (value) => {
        if (isSound(codec, value)) expect(codec.decode(value)).toEqual(E.right(value))
      }),
      { numRuns: 300 },
    )
  })
})

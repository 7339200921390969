// Work-item IDs: readable, one way to write each, and back again (rules 1).
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contractOfRequest, jobId, kindOf, nameIn, parseWorkItemId, requestId, streamOf, taskId, WORK_ITEM_ID_BYTES_MAX, workItemOf } from '../../src/domain/ids.ts'

/** Any text that UTF-8 can write, as ids of clients may be. */
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 })

describe('a work-item ID', () => {
  it('is readable when its parts are', () => {
    expect(jobId('index-42')).toBe('job/index-42')
    expect(taskId('shop', 'mail.out', 'welcome~7')).toBe('task/shop/mail.out/welcome~7')
    expect(requestId('payments', 'shop-7', 'order.1')).toBe('request/payments/shop-7/order.1')
  })

  it('encodes what would not be one segment of a path', () => {
    expect(jobId("a/b c!'()*%")).toBe('job/a%2Fb%20c%21%27%28%29%2A%25')
    expect(taskId('é', 'q', '1')).toBe('task/%C3%A9/q/1')
  })

  it('gives back its parts', () => {
    expect(parseWorkItemId('job/a%2Fb')).toEqual(E.right({ kind: 'job', scope: '', id: 'a/b' }))
    expect(parseWorkItemId('task/shop/mail/7')).toEqual(E.right({ kind: 'task', scope: 'shop/mail', id: '7' }))
    fc.assert(
      fc.property(text, (id) => {
        expect(parseWorkItemId(jobId(id))).toEqual(E.right({ kind: 'job', scope: '', id }))
      }),
    )
    fc.assert(
      fc.property(text, text, text, (app, queue, id) => {
        expect(parseWorkItemId(taskId(app, queue, id))).toMatchObject(E.right({ kind: 'task', id }))
      }),
    )
  })

  it('of a request gives back contract, caller and id, whatever characters they have', () => {
    expect(requestId('pay', 'ann@example.com', '1')).toBe('request/pay/ann%40example.com/1')
    fc.assert(
      fc.property(text, text, text, (contract, caller, id) => {
        const workItem = requestId(contract, caller, id)
        expect(parseWorkItemId(workItem)).toMatchObject(E.right({ kind: 'request', id }))
        expect(contractOfRequest(workItem)).toEqual({ contract, caller, id })
        expect(nameIn(workItem)).toBe(id)
        expect(workItemOf(streamOf(workItem))).toBe(workItem)
        expect(kindOf(workItem)).toBe('request')
      }),
    )
    for (const other of [jobId('1'), taskId('pay', 'ann', '1'), 'request/pay', 'request/%zz/ann/1']) expect(contractOfRequest(other)).toBeUndefined()
  })

  it('of two callers is never the same', () => {
    expect(requestId('pay', 'ann', '1')).not.toBe(requestId('pay', 'bob', '1'))
    expect(requestId('pay', 'a/b', '1')).not.toBe(requestId('pay/a', 'b', '1'))
  })

  it('is another one for other parts', () => {
    fc.assert(
      fc.property(text, text, text, text, (a, b, c, d) => {
        expect(taskId(a, b, 'x') === taskId(c, d, 'x')).toBe(a === c && b === d)
      }),
    )
  })

  it.each([
    ['', 'begin with one of job, task'],
    ['queue/shop/mail', 'begins with "queue"'],
    ['job', '1 segments'],
    ['job/', '1 segments'],
    ['job/a/b', '1 segments'],
    ['task/shop/7', '3 segments'],
    ['request/pay/1', '3 segments'],
    ['task/shop//7', '3 segments'],
    ['job/%', 'percent-encoded'],
    ['job/%C3', 'percent-encoded'],
    ['job/%61', 'percent-encoded'],
    ['job/a%2fb', 'percent-encoded'],
    ['job/a b', 'percent-encoded'],
    ['job/é', 'percent-encoded'],
    ['task/%73hop/mail/7', 'percent-encoded'],
    [`job/${'x'.repeat(WORK_ITEM_ID_BYTES_MAX)}`, '1000 bytes'],
  ])('is not "%s"', (wrong, why) => {
    const parsed = parseWorkItemId(wrong)
    expect(E.isLeft(parsed) ? parsed.left : '').toContain(why)
  })

  it('may have 1,000 bytes', () => {
    expect(E.isRight(parseWorkItemId(`job/${'x'.repeat(WORK_ITEM_ID_BYTES_MAX - 4)}`))).toBe(true)
  })
})

describe('the stream of a work item', () => {
  it('carries its ID and no other stream does', () => {
    expect(streamOf('job/42')).toBe('workItem-job/42')
    expect(workItemOf('workItem-job/42')).toBe('job/42')
    expect(workItemOf('queue-shop/mail')).toBeUndefined()
    expect(workItemOf('audit-2027-01-15')).toBeUndefined()
  })
})

// When the time of a long task is over, and what is left of that: its cause, whatever its node says afterwards, and its end even in its tombstone.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { decide } from '../../../src/domain/work-item/decide.ts'
import { after, given, givenItem, itemIn } from '../../support/given.ts'
import { BIRTH, directiveGiven, dispatched, HOLDER, jobLeased, NOW, OPERATION, reportCompleted, timedOut, timeOut, TIMES_OUT_AT } from '../../support/samples.ts'

const byNode = { takenBy: HOLDER } as const

describe('when the time of a long task is over', () => {
  const running = itemIn('long-task running')

  it('is judged by the clock that counts, whatever the wall says', () => {
    givenItem(running).when({ type: 'TimeOut', time: NOW, cause: 'total', reached: TIMES_OUT_AT }).thenAdds(timedOut('total'))
    givenItem(running)
      .when({ type: 'TimeOut', time: NOW, cause: 'total', reached: TIMES_OUT_AT - 1 })
      .thenNothing()
    givenItem(itemIn('long-task waiting')).when({ type: 'TimeOut', time: NOW, cause: 'total', reached: TIMES_OUT_AT }).thenAdds(timedOut('total'))
  })

  it('never is where none was set', () => {
    const { timeoutMs: _timeout, stalledAfterMs: _stalled, ...timeless } = OPERATION
    const { timeoutMs: _time, stalledAfterMs: _still, ...birth } = dispatched
    expect(
      decide({ type: 'DispatchOperation', time: BIRTH, by: 'management', operation: timeless, mediaType: 'application/json', digest: 'content' }, itemIn('long-task absent')),
    ).toEqual(E.right([birth]))
    const item = given(birth, jobLeased()).item
    for (const cause of ['total', 'stalled'] as const)
      givenItem(item)
        .when(timeOut(TIMES_OUT_AT * 2, cause))
        .thenNothing()
  })

  it('leaves its cause, ends what was wanted of it, and stays as it is whatever comes', () => {
    const over = after(given(dispatched, jobLeased(), directiveGiven('pause')).item, timeOut(TIMES_OUT_AT, 'stalled'))
    expect(over).toMatchObject({ status: 'settled', end: 'timedOut', cause: 'stalled', receipt: { resolution: 'overtaken' }, ended: { how: 'settled', token: OPERATION.lease } })
    const late = after(over, reportCompleted(TIMES_OUT_AT + 1, byNode))
    expect(late).toMatchObject({ end: 'timedOut', cause: 'stalled', late: { digest: 'completed' } })
    const erased = after(late, { type: 'Erase', time: TIMES_OUT_AT + 2, by: 'stint' })
    expect(erased).toMatchObject({ kind: 'long-task', status: 'settled', end: 'timedOut', settledAt: TIMES_OUT_AT, erased: true })
  })
})

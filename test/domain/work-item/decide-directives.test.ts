// How far an administrator's wish gets: given, seen, then obeyed, refused or overtaken (surface 7), also over losses, takeovers and give-backs.
import { describe, expect, it } from 'vitest'
import type { WorkItem } from '../../../src/domain/work-item/state.ts'
import { after, given, givenItem, itemAfter, itemIn } from '../../support/given.ts'
import {
  askDirective,
  directive,
  directiveEnded,
  directiveGiven,
  extended,
  GIVE_UP_AT,
  JOB,
  jobLeased,
  LOST_NOW,
  newDirective,
  NEXT_HOLDER,
  NOW,
  paused,
  phase,
  progress,
  refusedDirective,
  registerJob,
  report,
  reportCompleted,
  reportFailed,
  resumed,
  seen,
  STATES,
} from '../../support/samples.ts'

const receiptOf = (item: WorkItem) => (item.status === 'absent' ? undefined : item.receipt)
const willOf = (item: WorkItem) => (item.status === 'absent' ? undefined : item.will)

describe('when a directive is given, seen and obeyed', () => {
  it('keeps each time in its receipt', () => {
    const wished = after(itemIn('job running'), directive(NOW, 'pause'))
    const asked = after(wished, askDirective(NOW + 2_000))
    const parked = after(asked, report(NOW + 3_000, { state: 'paused' }))
    expect(receiptOf(parked)).toEqual({
      number: 1,
      directive: 'pause',
      by: 'admin',
      commandId: 'command-new',
      givenAt: NOW,
      seenAt: NOW + 2_000,
      resolution: 'obeyed',
      resolvedAt: NOW + 3_000,
    })
    expect(parked.status).toBe('paused')
    expect(willOf(parked)).toBe('pause')
  })

  it('is seen once, by the first call that is answered with it', () => {
    const wished = given(...STATES['job running, told to pause'])
    wished
      .when(askDirective(NOW))
      .thenAdds(seen())
      .when(askDirective(NOW + 1))
      .thenNothing()
    wished
      .when(report(NOW, { phase: 'merge' }))
      .thenAdds(phase, seen())
      .when(report(NOW, { phase: 'read' }))
      .thenAdds({ type: 'PhaseEntered', phase: 'read' })
  })
})

describe('when the holder refuses a directive', () => {
  it('goes back to normal, keeps the reason, and may be asked again', () => {
    const refused = after(itemIn('job running, told to abort'), report(NOW, { refuse: { directive: 1, reason: 'not here' } }))
    expect(willOf(refused)).toBe('normal')
    expect(receiptOf(refused)).toMatchObject({ resolution: 'refused', resolutionReason: 'not here', resolvedAt: NOW })
    givenItem(refused).when(directive(NOW, 'pause')).thenAdds(newDirective('pause', 2))
  })

  it('keeps the state that it reports in the same breath', () => {
    given(...STATES['job running, told to pause'])
      .when(report(NOW, { refuse: { directive: 1, reason: 'not here' }, state: 'paused' }))
      .thenAdds(seen(), paused, refusedDirective)
  })

  it('is refused, not overtaken, when the outcome comes with the refusal', () => {
    given(...STATES['job running, told to abort'])
      .when(reportCompleted(NOW, { refuse: { directive: 1, reason: 'not here' } }))
      .thenAdds(refusedDirective, { type: 'Completed', result: { pages: 3 }, lease: 1, digest: 'completed' })
  })

  it('does not touch a directive that is not the one it refuses', () => {
    given(...STATES['job paused, told to abort'])
      .when(report(NOW, { refuse: { directive: 1, reason: 'too late' } }))
      .thenAdds(seen(2))
  })

  it('refuses a pause and fails: the task waits for its next attempt, and is not paused', () => {
    const failed = after(itemIn('task running, told to pause'), reportFailed(NOW, { refuse: { directive: 1, reason: 'not here' } }))
    expect(failed.status).toBe('waiting')
    expect(willOf(failed)).toBe('normal')
  })
})

describe('when a new wish meets one that stands', () => {
  it('overtakes it', () => {
    const both = after(itemIn('job running, told to pause'), directive(NOW, 'abort'))
    expect(receiptOf(both)).toMatchObject({ number: 2, directive: 'abort' })
    expect(receiptOf(both)?.resolution).toBeUndefined()
  })

  it('lets nothing follow an abort', () => {
    for (const wish of ['pause', 'resume'] as const)
      given(...STATES['job lost, told to abort'])
        .when(directive(LOST_NOW, wish))
        .rejects('aborting')
  })
})

describe('when a resume finds nothing to resume', () => {
  it('is obeyed as it is given, and given again it adds nothing', () => {
    const normal = givenItem(itemIn('job running')).when(directive(NOW, 'resume')).thenAdds(newDirective('resume', 1), directiveEnded('obeyed'))
    normal.when(directive(NOW, 'resume', 'another')).thenNothing()
  })

  it('is given anew when the holder has parked since', () => {
    given(...STATES['job running'], directiveGiven('resume'), directiveEnded('obeyed'), paused)
      .when(directive(NOW, 'resume'))
      .thenAdds(newDirective('resume', 2))
  })
})

describe('when a paused job goes on without being told', () => {
  it('is still to pause, and is seen running', () => {
    const running = after(itemIn('job paused'), report(NOW, { state: 'running' }))
    expect(running.status).toBe('running')
    expect(willOf(running)).toBe('pause')
    givenItem(running)
      .when(report(NOW, { state: 'paused' }))
      .thenAdds(paused)
  })
})

describe('when the holder is lost', () => {
  it('keeps the wish for its return', () => {
    const wished = after(itemIn('job lost'), directive(LOST_NOW, 'pause'))
    expect(wished.status).toBe('lost')
    givenItem(wished)
      .when(askDirective(LOST_NOW))
      .thenAdds({ type: 'HolderFound', lease: 1 }, extended(LOST_NOW + 2 * JOB.silenceMs), seen())
  })

  it('is found parked if it had parked', () => {
    expect(after(itemIn('job lost while paused'), askDirective(LOST_NOW)).status).toBe('paused')
    expect(after(itemIn('job lost'), askDirective(LOST_NOW)).status).toBe('running')
  })

  it('settles as aborted after a day if that was the wish, and the wish has come true', () => {
    const settled = after(itemIn('job lost, told to abort'), { type: 'GiveUpLost', time: GIVE_UP_AT, lease: 1 })
    expect(settled).toMatchObject({ status: 'settled', end: 'aborted', receipt: { resolution: 'obeyed' } })
  })

  it('remembers the last sign of life while it is lost, and no longer', () => {
    expect(itemIn('job lost')).toMatchObject({ lostAt: LOST_NOW - 5_000, lastSeenAt: NOW - 5_000 })
    expect(after(itemIn('job lost'), askDirective(LOST_NOW))).toMatchObject({ lostAt: undefined, lastSeenAt: undefined })
  })
})

describe('when a new instance takes over', () => {
  const restart = registerJob(NOW, { holder: NEXT_HOLDER, token: 'next' })

  it('has not seen what the old one saw', () => {
    const takenOver = after(itemAfter(...STATES['job running, told to abort'], seen()), restart)
    expect(receiptOf(takenOver)?.seenAt).toBeUndefined()
    givenItem(takenOver)
      .when(askDirective(NOW, { lease: '2.next' }))
      .thenAdds(seen())
  })

  it('runs from the start, so that a resume that stood is obeyed', () => {
    const takenOver = after(itemIn('job paused, told to resume'), restart)
    expect(takenOver).toMatchObject({ status: 'running', will: 'normal', receipt: { number: 2, resolution: 'obeyed' } })
  })

  it('finds an obeyed pause still in force', () => {
    const takenOver = after(itemIn('job paused'), restart)
    expect(takenOver).toMatchObject({ status: 'running', will: 'pause', attempt: 2 })
    givenItem(takenOver)
      .when(report(NOW, { lease: '2.next', state: 'paused' }))
      .thenAdds(paused)
  })

  it('takes over a lost job that is to be aborted, and is told so', () => {
    const takenOver = after(itemIn('job lost, told to abort'), restart)
    expect(takenOver).toMatchObject({ status: 'running', will: 'abort', lease: { number: 2 } })
    const aborted = after(takenOver, report(LOST_NOW, { lease: '2.next', outcome: { aborted: { reason: 'asked' } }, digest: 'aborted' }))
    expect(aborted).toMatchObject({ end: 'aborted', receipt: { resolution: 'obeyed' } })
  })

  it('begins without the progress and phase of the old one', () => {
    const worked = itemAfter(...STATES['job running'], phase, progress)
    expect(after(worked, restart)).toMatchObject({ phase: undefined, progress: undefined, attempt: 2 })
  })
})

describe('when progress travels', () => {
  const told = itemAfter(...STATES['job running'], progress)
  const now = { type: 'ProgressReported', progress: { fraction: 0.501 } } as const

  it('is recorded with news, though it has hardly moved', () => {
    givenItem(told)
      .when(report(NOW, { phase: 'merge', progress: now.progress }))
      .thenAdds(phase, now)
    givenItem(told)
      .when(report(NOW, { state: 'paused', progress: now.progress }))
      .thenAdds(now, paused)
    givenItem(told)
      .when(reportCompleted(NOW, { progress: now.progress }))
      .thenAdds(now, { type: 'Completed', result: { pages: 3 }, lease: 1, digest: 'completed' })
  })

  it('is not recorded alone before it has moved, nor with a phase that is no news', () => {
    givenItem(told)
      .when(report(NOW, { progress: now.progress }))
      .thenNothing()
    given(...STATES['job running'], phase, progress)
      .when(report(NOW, { phase: 'merge', progress: now.progress }))
      .thenNothing()
  })

  it('is not recorded before its interval is over', () => {
    const moved = { type: 'ProgressReported', progress: { fraction: 0.9 } } as const
    const recordedAt = NOW - 8_000
    givenItem(told)
      .when(report(recordedAt + 249, { progress: moved.progress }))
      .thenNothing()
    givenItem(told)
      .when(report(recordedAt + 250, { progress: moved.progress }))
      .thenAdds(moved)
  })

  it('comes along with a question, as a report would bring it', () => {
    givenItem(itemIn('job running'))
      .when({ type: 'AskDirective', time: NOW, by: 'servers', lease: '1.current', progress: { fraction: 0.5 } })
      .thenAdds(progress)
    givenItem(told).when({ type: 'AskDirective', time: NOW, by: 'servers', lease: '1.current', progress: now.progress }).thenNothing()
  })

  it('of a retried attempt does not stand for the next one', () => {
    const retaken = itemAfter(...STATES['task running'], progress, { type: 'LeaseExpired', lease: 1 }, jobLeased({ lease: 2, token: '2.next' }))
    givenItem(retaken)
      .when(report(NOW, { lease: '2.next', progress: { fraction: 0.5 } }))
      .thenAdds(progress)
  })
})

describe('when a resumed job reports that it runs', () => {
  it('obeys the resume and is running', () => {
    given(...STATES['job paused, told to resume'])
      .when(report(NOW, { state: 'running' }))
      .thenAdds(seen(2), resumed, directiveEnded('obeyed', 2))
  })
})

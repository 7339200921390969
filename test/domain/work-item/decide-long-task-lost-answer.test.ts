// A long task whose node has taken it while nobody here knows, because the answer to the dispatch never came: whoever has the lease that travelled with it has taken it.
import { OPERATION_PROMISE_MS } from '../../../src/domain/policy/streams.ts'
import { describe, expect, it } from 'vitest'
import { STREAM_EVENTS_MAX, STREAM_EVENTS_RESERVED } from '../../../src/domain/policy/streams.ts'
import type { Command } from '../../../src/domain/work-item/commands.ts'
import { decide } from '../../../src/domain/work-item/decide.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { surfaceState, type WorkItem } from '../../../src/domain/work-item/state.ts'
import { givenItem, itemIn } from '../../support/given.ts'
import {
  CELLS,
  completed,
  failOperation,
  HOLDER,
  jobLeased,
  NEXT_HOLDER,
  NOW,
  nowIn,
  OPERATION,
  OTHER,
  paused,
  phase,
  report,
  reportCompleted,
  reportFailed,
  STATES,
  takeOperation,
  timedOut,
  timeOut,
  TIMES_OUT_AT,
  type Cell,
  type StateName,
} from '../../support/samples.ts'

const byNode = { takenBy: HOLDER } as const
const taken = jobLeased({ until: NOW + OPERATION_PROMISE_MS })
const finished: WorkItemEvent = { type: 'LateResultRecorded', lease: 1, outcome: { completed: { result: { pages: 3 } } }, digest: 'completed' }

describe('when a node reports on a long task that nobody knows it has', () => {
  const waiting = givenItem(itemIn('long-task waiting'))

  it('has taken it with its first report, in one append with what that says', () => {
    waiting.when(report(NOW, { ...byNode, phase: 'merge' })).thenAdds(taken, phase)
    // With nothing but its lease it says that it runs.
    const running = waiting.when(report(NOW, byNode)).thenAdds(taken)
    expect(running.item).toMatchObject({ status: 'running', attempt: 1, lease: { number: 1, token: OPERATION.lease, holder: HOLDER, termMs: 15_000 } })
    running.when(report(NOW, byNode)).thenNothing()
    running.when(takeOperation(NOW, NEXT_HOLDER)).thenNothing()
  })

  it('has taken and settled what was short', () => {
    const settled = waiting.when(reportCompleted(NOW, byNode)).thenAdds(taken, completed)
    settled.when(reportCompleted(NOW, byNode)).thenNothing()
  })

  it('has taken what was paused meanwhile, and is told to pause', () => {
    const running = givenItem(itemIn('long-task waiting, paused')).when(report(NOW, byNode)).thenAdds(taken)
    expect(running.item).toMatchObject({ status: 'running', will: 'pause' })
    running.when(report(NOW, { ...byNode, state: 'paused' })).thenAdds(paused)
  })

  it('has not taken it without the lease that was sent, as somebody else, or where nobody says that it is the node', () => {
    waiting.when(report(NOW, { ...byNode, lease: OTHER })).rejects('stale-lease', { state: 'waiting' })
    waiting.when(report(NOW, { ...byNode, by: 'somebody else' })).rejects('forbidden')
    waiting.when(report(NOW, {})).rejects('stale-lease', { state: 'waiting' })
    givenItem(itemIn('long-task on its node, waiting'))
      .when(report(NOW, { ...byNode, lease: '1.sent' }))
      .rejects('stale-lease')
  })

  it('has not taken what ends because its stream is full, unless it is done already', () => {
    const full = { ...itemIn('long-task waiting'), revision: STREAM_EVENTS_MAX - STREAM_EVENTS_RESERVED - 1 } as WorkItem
    const message = 'Its stream holds 10000 events, as many as one work item may have.'
    givenItem(full).when(takeOperation(NOW)).thenAdds({ type: 'Failed', code: 'history-limit', message })
    givenItem(full)
      .when(report(NOW, { ...byNode, phase: 'merge' }))
      .thenAdds(phase, { type: 'Failed', code: 'history-limit', message })
    givenItem(full).when(reportCompleted(NOW, byNode)).thenAdds(taken, completed).when(reportCompleted(NOW, byNode)).thenNothing()
    givenItem(full).when(timeOut(TIMES_OUT_AT, 'total')).thenAdds(timedOut('total'))
    givenItem(full).when(failOperation(NOW)).thenAdds({ type: 'Failed', code: 'gone', message: 'Its node does not know it any more.' })
  })
})

describe('when a long task has settled before anybody knew that its node has it', () => {
  it.each(['long-task timed out, never taken', 'long-task cancelled', 'long-task refused by its node'] as const)(
    '%s: its node is told so, and its result is kept once',
    (state) => {
      const item = itemIn(state)
      const seen = item.status === 'absent' ? undefined : surfaceState(item)
      const settled = givenItem(item)
      settled.when(report(TIMES_OUT_AT, { ...byNode, phase: 'merge' })).rejects('settled', { state: seen })
      settled.when(reportCompleted(TIMES_OUT_AT, { ...byNode, lease: OTHER })).rejects('settled')
      settled.when(reportCompleted(TIMES_OUT_AT, { ...byNode, by: 'somebody else' })).rejects('settled')
      settled.when(reportCompleted(TIMES_OUT_AT)).rejects('settled')
      const late = settled.when(reportCompleted(TIMES_OUT_AT, byNode)).thenAdds(finished)
      expect(late.item).toMatchObject({ status: 'settled', settledAt: item.status === 'settled' ? item.settledAt : 0, late: { digest: 'completed' } })
      expect(late.item.status === 'absent' ? undefined : surfaceState(late.item)).toBe(seen)
      late.when(reportCompleted(TIMES_OUT_AT, byNode)).thenNothing()
      late.when(reportFailed(TIMES_OUT_AT, byNode)).rejects('settled')
    },
  )
})

describe('who has taken it', () => {
  const matters = (state: StateName): boolean => /^long-task (waiting|timed out, never|cancelled|refused)/.test(state)

  it('makes no difference where somebody has, and to what is no long task', () => {
    const cells = (Object.keys(CELLS) as Cell[]).filter((cell) => cell.startsWith('Report'))
    for (const state of (Object.keys(STATES) as StateName[]).filter((name) => !matters(name)))
      for (const cell of cells) {
        const command: Command = CELLS[cell](nowIn(state))
        expect(decide({ ...command, ...byNode }, itemIn(state)), `${state}, ${cell}`).toEqual(decide(command, itemIn(state)))
      }
  })
})

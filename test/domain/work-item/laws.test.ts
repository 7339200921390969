// What holds for every life of a work item, whatever commands come in whatever order at whatever times.
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { STREAM_EVENTS_MAX } from '../../../src/domain/policy/streams.ts'
import { isGone } from '../../../src/domain/policy/release.ts'
import { whyNotRunning } from '../../../src/domain/policy/why.ts'
import { decodeEvent, encodeEvent } from '../../../src/domain/work-item/codec.ts'
import type { Command } from '../../../src/domain/work-item/commands.ts'
import { decide } from '../../../src/domain/work-item/decide.ts'
import { SETTLING, workItemEvents, type WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { evolve } from '../../../src/domain/work-item/evolve.ts'
import { isRecorded } from '../../../src/domain/work-item/holding.ts'
import { isRunHere } from '../../../src/domain/work-item/operations.ts'
import { awaitsCall, isHeld, isParked, isUnresolved, surfaceState, type Existing, type WorkItem } from '../../../src/domain/work-item/state.ts'
import { lives, longLives, type Life, type Step } from './lives.ts'

const anyLife = fc.oneof({ weight: 3, arbitrary: lives }, { weight: 1, arbitrary: longLives })

const RUNS = { numRuns: 400 }

const always = (law: (life: Life) => void, of = anyLife): void => fc.assert(fc.property(of, law), RUNS)
const atEachStep = (law: (step: Step) => void, of = anyLife): void => always(({ steps }) => steps.forEach(law), of)

const stored = (event: WorkItemEvent): WorkItemEvent => {
  const { type, v, data } = encodeEvent(event)
  const decoded = decodeEvent(type, v, JSON.parse(data))
  if (E.isLeft(decoded)) throw new Error(decoded.left.detail)
  return decoded.right
}

/** Every kind of event, refusal and status comes up, so that no law holds for want of cases. */
describe('random lives', () => {
  it('reach every event, status and end', () => {
    const events = new Set<string>()
    const states = new Set<string>()
    for (const life of fc.sample(anyLife, { numRuns: 2_500, seed: 7 }))
      for (const { events: added, after } of life.steps) {
        for (const { type } of added) events.add(type)
        states.add(after.status === 'settled' ? after.end : after.status)
      }
    expect(Object.keys(workItemEvents).filter((type) => !events.has(type))).toEqual([])
    expect([...states].sort()).toEqual(['aborted', 'absent', 'cancelled', 'completed', 'deadLetter', 'failed', 'lost', 'paused', 'running', 'timedOut', 'waiting'])
  })
})

describe('the log', () => {
  it('gives back each event as it was decided', () => atEachStep(({ events }) => events.forEach((event) => expect(stored(event)).toEqual(event))))

  it('replayed from what was stored gives the state that was live', () =>
    always(({ start, steps, end }) => {
      let item: WorkItem = start
      for (const { events, time } of steps) for (const event of events) item = evolve(item, stored(event), { time, revision: item.revision + 1 })
      expect(item).toEqual(end)
      expect(JSON.stringify(item)).toBe(JSON.stringify(end))
    }))

  it('goes forward in time, even when clocks do not', () =>
    atEachStep(({ before, events, time, after }) => {
      if (events.length > 0 && before.status !== 'absent') expect(time).toBeGreaterThanOrEqual(before.updatedAt)
      if (events.length > 0 && after.status !== 'absent') expect(after.updatedAt).toBe(time)
    }))

  it('counts every event, and no stream grows over its maximum', () =>
    atEachStep(({ before, events, after }) => {
      expect(after.revision).toBe(before.revision + events.length)
      expect(after.revision + 1).toBeLessThanOrEqual(STREAM_EVENTS_MAX)
    }))
})

describe('a command said again', () => {
  /**
   * Asking for another lease is a new wish each time; whoever wants a repeat to be one sends a request id to the queue. And a call that found the time of its
   * reply over is told so by what it added; the next is refused.
   */
  const isRepeatable = ({ command, events }: Step): boolean =>
    command.type !== 'LeaseItem' && !(command.type === 'AcceptRequest' && events.some(({ type }) => type === 'ReplyReleased'))

  it('adds nothing on the state that it made, and is granted', () =>
    atEachStep((step) => {
      if (E.isLeft(step.decision) || !isRepeatable(step)) return
      expect(decide(step.command, step.after)).toEqual(E.right([]))
    }, lives))

  it('adds nothing either when its stream was full: then it is granted, or refused for how the item ended', () =>
    atEachStep((step) => {
      if (E.isLeft(step.decision) || !isRepeatable(step)) return
      const again = decide(step.command, step.after)
      if (E.isRight(again)) expect(again.right).toEqual([])
      else expect(['settled', 'stale-lease']).toContain(again.left.type)
    }, longLives))

  it('is decided as it was the first time when it is decided on the same state', () =>
    atEachStep(({ command, before, decision }) => {
      expect(decide(command, before)).toEqual(decision)
    }))
})

describe('a settled item', () => {
  const AFTERWARDS = ['LateResultRecorded', 'EffectsCarriedOut', 'ReplyReleased', 'Erased']

  it('takes one late result, and what carries out, releases and erases what it promised; nothing else', () =>
    atEachStep(({ before, events, after }) => {
      if (before.status !== 'settled') return
      expect(events.length).toBeLessThanOrEqual(1)
      for (const { type } of events) expect(AFTERWARDS).toContain(type)
      if (before.late !== undefined || before.erased === true) expect(events.map(({ type }) => type)).not.toContain('LateResultRecorded')
      if (before.released !== undefined) expect(events.map(({ type }) => type)).not.toContain('ReplyReleased')
      if (before.erased === true) expect(events).toEqual([])
      expect(after).toMatchObject({ status: 'settled', end: before.end, digest: before.digest, settledAt: before.settledAt })
    }))

  it('that still owes effects, or a reply to whoever calls again, is not erased', () =>
    atEachStep(({ before, events, time }) => {
      if (before.status !== 'settled' || !events.some(({ type }) => type === 'Erased')) return
      expect(before.outbox).toBeUndefined()
      if (before.kind === 'request') expect(isGone(before, time) || (before.reply === undefined && before.request?.release.retainMs === undefined)).toBe(true)
    }))

  it('has settled by the last of the events that were added with it', () =>
    atEachStep(({ events, before }) => {
      const index = events.findIndex(({ type }) => SETTLING.has(type))
      if (before.status !== 'settled' && index >= 0) expect(index).toBe(events.length - 1)
    }))
})

describe('leases', () => {
  it('are numbered from 1 without gaps, and one ends before the next begins', () =>
    always(({ steps }) => {
      let last = 0
      let held: number | undefined
      for (const { events } of steps)
        for (const event of events) {
          if (event.type === 'Leased') {
            expect(event.lease).toBe(last + 1)
            expect(event.token.startsWith(`${event.lease}.`)).toBe(true)
            last = event.lease
            held = event.lease
          } else if ('lease' in event && typeof event.lease === 'number' && event.type !== 'LateResultRecorded') expect(event.lease).toBe(held)
          if (['LeaseReleased', 'LeaseExpired', 'RetryScheduled', 'DeadLettered'].includes(event.type) || SETTLING.has(event.type)) held = undefined
        }
    }, lives))

  /** A delete needs no lease; what a lease is to it, the law of deletes says. */
  const isUnderLease = (command: Command): command is Command & { readonly by: string; readonly lease: string } =>
    command.type !== 'DeleteTask' && 'lease' in command && typeof command.lease === 'string'

  /** The first report of a node that has taken a long task, though nobody knows it yet. */
  const takes = ({ command, before }: Pick<Step, 'command' | 'before'>): boolean =>
    command.type === 'Report' && command.takenBy?.subject === command.by && before.status === 'waiting' && before.operation?.lease === command.lease

  it('that are not the current one decide nothing but a late result', () =>
    atEachStep(({ command, before, events }) => {
      if (!isUnderLease(command) || takes({ command, before })) return
      if (isHeld(before) && before.lease.token === command.lease) return
      expect(events.every(({ type }) => type === 'LateResultRecorded')).toBe(true)
    }))

  it('obey nobody but the principal they were given to', () =>
    atEachStep(({ command, before, decision }) => {
      if (!isUnderLease(command) || !isHeld(before) || before.lease.holder.subject === command.by) return
      expect(E.isLeft(decision) || decision.right.length === 0).toBe(true)
    }))

  it('carry the request that asked for them, and no other', () =>
    atEachStep(({ command, before, after, events }) => {
      if (after.status === 'absent' || !isHeld(after)) return
      const grant = command.type === 'InsertTask' || command.type === 'AcceptRequest' ? command.leaseTo : command.type === 'LeaseItem' ? command : undefined
      if (events.some(({ type }) => type === 'Leased')) expect(after.lease.requestId).toBe(grant?.requestId)
      else expect(after.lease.requestId).toBe(isHeld(before) ? before.lease.requestId : undefined)
    }))

  it('are given at birth to whoever waits for a task that is due, and to nobody for one that is not', () =>
    atEachStep(({ command, before, after, events }) => {
      if (command.type !== 'InsertTask' || before.status !== 'absent') return
      const isLeased = command.leaseTo !== undefined && command.task.dueAt <= command.time
      expect(events.map(({ type }) => type)).toEqual(isLeased ? ['TaskInserted', 'Leased'] : ['TaskInserted'])
      expect(after).toMatchObject({ status: isLeased ? 'running' : 'waiting', attempt: isLeased ? 1 : 0, task: command.task })
    }))

  it('are counted as attempts, never below zero, and a held item is in its first at least', () =>
    atEachStep(({ after }) => {
      if (after.status === 'absent') return
      expect(after.attempt).toBeGreaterThanOrEqual(isHeld(after) ? 1 : 0)
    }))
})

describe('a delete', () => {
  it('ends every task that has not ended: completed by its holder, cancelled by anybody else', () =>
    atEachStep(({ command, before, decision, events, after }) => {
      if (command.type !== 'DeleteTask') return
      if (before.status === 'absent' || before.kind !== 'task') return expect(E.isLeft(decision)).toBe(true)
      expect(after.status).toBe('settled')
      if (before.status === 'settled') return expect(decision).toEqual(E.right([]))
      const isHolder = isHeld(before) && before.lease.holder.subject === command.by && [undefined, before.lease.token].includes(command.lease)
      expect(events.at(-1)).toMatchObject(isHolder ? { type: 'Completed', lease: before.lease.number } : { type: 'Cancelled', by: command.by })
    }))
})

describe('a policy without dead letters', () => {
  it('makes none, not even of a stream that is full', () =>
    atEachStep(({ command, events }) => {
      if ('retry' in command && command.retry.deadLetter === false) expect(events.map(({ type }) => type)).not.toContain('DeadLettered')
    }))

  it('fails for good where a dead letter would have been made, and changes nothing else', () =>
    atEachStep(({ command, before, decision }) => {
      if (!('retry' in command) || E.isLeft(decision)) return
      const typesWith = (deadLetter: boolean): readonly string[] => {
        const decided = decide({ ...command, retry: { ...command.retry, deadLetter } }, before)
        return E.isLeft(decided) ? [] : decided.right.map(({ type }) => type)
      }
      expect(typesWith(false)).toEqual(typesWith(true).map((type) => (type === 'DeadLettered' ? 'Failed' : type)))
    }))
})

describe('directives', () => {
  it('stand only while somebody holds the item', () =>
    atEachStep(({ after }) => {
      if (after.status !== 'absent' && isUnresolved(after.receipt)) expect(isHeld(after)).toBe(true)
    }))

  it('to abort stand until the holder answers, and nothing is leased out under one', () =>
    atEachStep(({ after }) => {
      if (after.status === 'absent' || after.status === 'settled' || after.will !== 'abort') return
      expect(isUnresolved(after.receipt) && after.receipt.directive).toBe('abort')
    }))

  it('are numbered from 1 without gaps, and each ends once, after it was given', () =>
    always(({ steps }) => {
      let given = 0
      let standing: number | undefined
      for (const { events } of steps)
        for (const event of events) {
          if (event.type === 'DirectiveGiven') {
            expect(standing).toBeUndefined()
            expect(event.number).toBe((given += 1))
            standing = event.number
          }
          if (event.type === 'DirectiveSeen' || event.type === 'DirectiveEnded') expect(event.number).toBe(standing)
          if (event.type === 'DirectiveEnded') standing = undefined
        }
    }, lives))
})

describe('what a reader is told', () => {
  it('is one of the states of the surface, and why, in every state', () =>
    atEachStep(({ after, time }) => {
      const why = whyNotRunning(after, time)
      if (after.status === 'absent') expect(why).toBeUndefined()
      else {
        expect(['waiting', 'running', 'paused', 'aborting', 'lost', 'completed', 'failed', 'aborted', 'cancelled', 'timedOut']).toContain(surfaceState(after))
        expect(why?.detail).toMatch(/^\S.*\.$/)
      }
    }))

  it('of a report with news, an outcome or its first progress is that it is recorded', () =>
    atEachStep(({ command, before, decision, events, after }) => {
      if (command.type !== 'Report' || E.isLeft(decision) || !isHeld(before)) return
      const news = events.some(({ type }) => type === 'PhaseEntered' || type === 'Paused' || type === 'Resumed')
      if (news || command.outcome !== undefined || before.progress === undefined) expect(isRecorded(command, after)).toBe(true)
      if (command.progress !== undefined && isRecorded(command, after) && command.outcome === undefined && after.status !== 'absent')
        expect(after.progress).toEqual(command.progress)
    }))
})

/** What never happens to an item of a kind; a long task is another thing in the log of the node that runs it. */
const foreignTo = (item: Existing): readonly string[] => {
  switch (item.kind) {
    case 'job':
      return ['LeaseReleased', 'LeaseExpired', 'RetryScheduled', 'DeadLettered', 'Redriven', 'TimedOut']
    case 'task':
      return ['HolderLost', 'HolderFound', 'TimedOut']
    case 'request':
      return ['HolderLost', 'HolderFound', 'DeadLettered', 'Redriven', 'TimedOut']
    case 'long-task':
      return ['LeaseReleased', 'RetryScheduled', 'DeadLettered', 'Redriven', ...(isRunHere(item) ? ['HolderLost', 'HolderFound', 'TimedOut'] : ['LeaseExpired'])]
  }
}

describe('a kind of item', () => {
  it('never has what belongs to the others alone', () =>
    atEachStep(({ after, events }) => {
      if (after.status === 'absent') return
      const foreign = foreignTo(after)
      expect(events.filter(({ type }) => foreign.includes(type))).toEqual([])
    }))
})

describe('a long task', () => {
  it('times out only where it was given out, and no sooner than its time is over or it may not stand still any longer', () =>
    atEachStep(({ command, before, events }) => {
      if (before.status === 'absent' || !events.some(({ type }) => type === 'TimedOut')) return
      if (command.type !== 'TimeOut') throw new Error('Expected nothing but time to time it out')
      expect(before.operation?.reportTo).toBeUndefined()
      if (command.cause === 'stalled') return expect(isHeld(before) && !isParked(before) && before.operation?.stalledAfterMs !== undefined).toBe(true)
      const at = before.createdAt + (before.operation?.timeoutMs ?? Infinity)
      expect(command.reached === at || Math.max(command.time, before.updatedAt) >= at).toBe(true)
    }))

  it('times out whenever its time is over, whatever was asked of it before', () =>
    atEachStep(({ after }) => {
      if (after.status === 'absent' || after.status === 'settled' || after.operation?.timeoutMs === undefined || isRunHere(after)) return
      const time = after.createdAt + after.operation.timeoutMs
      const decided = decide({ type: 'TimeOut', time, cause: 'total' }, after)
      expect(E.isRight(decided) && decided.right.at(-1)).toEqual({ type: 'TimedOut', cause: 'total' })
    }))

  it('is leased once where it was given out, with the lease that travelled with it', () =>
    atEachStep(({ before, after, events }) => {
      if (after.status === 'absent' || after.operation === undefined || isRunHere(after)) return
      const leased = events.filter((event) => event.type === 'Leased')
      expect(leased.length).toBeLessThanOrEqual(before.status === 'waiting' ? 1 : 0)
      for (const { lease, token } of leased) expect([lease, token]).toEqual([1, after.operation.lease])
    }))

  it('owes its end to whoever gave it out exactly where it is run, until that has acknowledged it', () =>
    always(({ steps }) => {
      let acknowledged = false
      for (const { before, after, events } of steps) {
        if (after.status === 'absent' || after.kind !== 'long-task' || after.status !== 'settled' || after.erased === true) continue
        if (before.status !== 'settled') acknowledged = false
        if (events.some(({ type }) => type === 'EffectsCarriedOut')) acknowledged = true
        expect(after.outbox).toEqual(isRunHere(after) && !acknowledged ? ['reply'] : undefined)
      }
    }, lives))

  it('that its node lost while it was to be aborted has been aborted', () =>
    atEachStep(({ command, before, after }) => {
      if (command.type !== 'FailOperation' || before.status === 'absent' || before.status === 'settled' || before.kind !== 'long-task') return
      expect(after).toMatchObject({ status: 'settled', end: before.will === 'abort' ? 'aborted' : 'failed' })
    }))
})

describe('a request', () => {
  it('is completed by a reply alone, and nothing else has one', () =>
    atEachStep(({ after, events }) => {
      if (after.status === 'absent') return
      for (const event of events) if (event.type === 'Completed') expect(event.reply !== undefined).toBe(after.kind === 'request')
    }))

  it('that began in middleware is leased again by a call of middleware alone', () =>
    atEachStep(({ command, before, events }) => {
      if (!awaitsCall(before) || !events.some(({ type }) => type === 'Leased')) return
      expect(command).toMatchObject({ type: 'AcceptRequest', digest: before.digest, request: { runs: 'middleware' } })
    }))
})

// Random lives of work items for the laws: commands, valid and not, at times that mostly go on and sometimes go back a little.
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import type { Command, LeaseGrant } from '../../../src/domain/work-item/commands.ts'
import { decide, timeOf, type WorkItemDecision } from '../../../src/domain/work-item/decide.ts'
import type { CarriedOut, Effect, Outcome, Progress, Release, WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { evolve } from '../../../src/domain/work-item/evolve.ts'
import { absent, isHeld, type WorkItem } from '../../../src/domain/work-item/state.ts'
import { BIRTH, JOB, REPLY, REQUEST, TASK, TERM_MS } from '../../support/samples.ts'

/** A command before it is known which item it meets. */
type Intent = (item: WorkItem, time: number) => Command

const who = fc.constantFrom('servers', 'servers', 'servers', 'servers', 'stranger')
const instances = fc.constantFrom('first', 'first', 'second', 'third', undefined)
const retries = fc.record({ attemptsMax: fc.constantFrom(undefined, 1, 2, 3), pauseMs: fc.constantFrom(0, 1_000, 60_000), deadLetter: fc.constantFrom(undefined, true, false) })

/** The current lease, the one before it, or one that never was. */
const leaseOf = (which: 'current' | 'ended' | 'none', item: WorkItem): string => {
  if (which === 'none' || item.status === 'absent') return '77.never'
  const ended = item.ended?.token ?? '0.never'
  // Of a long task that nobody has taken yet, the lease that travelled with it.
  return which === 'current' ? (isHeld(item) ? item.lease.token : (item.operation?.lease ?? ended)) : ended
}
const leases = fc.constantFrom('current' as const, 'current' as const, 'current' as const, 'current' as const, 'ended' as const, 'none' as const)
const numberOf = (which: 'current' | 'ended' | 'none', item: WorkItem): number => Number.parseInt(leaseOf(which, item), 10)

const progresses: fc.Arbitrary<Progress> = fc.oneof(
  fc.record({ fraction: fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100) }),
  fc.record({ done: fc.nat(50), total: fc.constantFrom(0, 50) }),
  fc.record({ done: fc.nat(50), unit: fc.constant('files') }),
  fc.record({ message: fc.constantFrom('reading', 'writing') }),
)

/** As JSON has them: no negative zero, no undefined. */
const anything = fc.jsonValue({ maxDepth: 2 }).map((value): unknown => JSON.parse(JSON.stringify(value)))

const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  anything.map((result) => ({ completed: { result } })),
  fc.constant({ completed: {} }),
  fc.constantFrom({}, { retry: false }, { retry: true, detail: { free: 0 } }).map((facts) => ({ failed: { code: 'disk-full', message: 'No space left.', ...facts } })),
  anything.map((partial) => ({ aborted: { reason: 'asked', partial } })),
)

const orNot = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const requestIds = orNot(fc.constantFrom('request-1', 'request-2'))

const grantTo = ([subject, instance, requestId]: readonly [string, string | undefined, string | undefined], item: WorkItem): LeaseGrant => ({
  holder: { subject, name: 'w', ...(instance === undefined ? {} : { instance }) },
  token: `t${item.revision}`,
  termMs: TERM_MS,
  requestId,
})

const births: readonly fc.Arbitrary<Intent>[] = [
  fc.tuple(who, instances, fc.constantFrom('content', 'content', 'content', 'other')).map(([by, instance, digest]): Intent => (item, time) => ({
    type: 'RegisterJob',
    time,
    by,
    job: JOB,
    digest,
    holder: { subject: by, name: 'node-1', ...(instance === undefined ? {} : { instance }) },
    token: `t${item.revision}`,
  })),
  fc
    .tuple(who, fc.constantFrom('content', 'content', 'other'), orNot(fc.constantFrom(0, 512)), orNot(fc.tuple(who, instances, requestIds)), fc.constantFrom(0, 0, 5_000))
    .map(([by, digest, bytes, waiter, delayMs]): Intent => (item, time) => ({
      type: 'InsertTask',
      time,
      by,
      task: { ...TASK, dueAt: delayMs === 0 ? TASK.dueAt : time + delayMs, ...(bytes === undefined ? {} : { bytes }) },
      mediaType: 'text/plain',
      digest,
      leaseTo: waiter && grantTo(waiter, item),
    })),
  fc
    .record({
      by: who,
      digest: fc.constantFrom('content', 'content', 'other'),
      runs: fc.constantFrom('workers' as const, 'middleware' as const),
      release: fc.constantFrom<Release>({ policy: 'required' }, { policy: 'encouraged', retainMs: 5_000 }, { policy: 'none-required', retainMs: 90_000_000 }),
      waiter: orNot(fc.tuple(who, instances, requestIds)),
      callback: orNot(fc.constant('https://shop.example/replies')),
    })
    .map(({ by, digest, runs, release, waiter, callback }): Intent => (item, time) => ({
      type: 'AcceptRequest',
      time,
      by,
      request: { ...REQUEST, runs, release, ...(callback === undefined ? {} : { callback }) },
      mediaType: 'text/plain',
      digest,
      leaseTo: waiter && grantTo(waiter, item),
    })),
  fc
    .record({
      by: who,
      digest: fc.constantFrom('content', 'content', 'other'),
      timeoutMs: orNot(fc.constantFrom(20_000, 60_000)),
      stalledAfterMs: orNot(fc.constantFrom(5_000, 20_000)),
      reportTo: orNot(fc.constant('https://stint.example')),
      onRestart: orNot(fc.constantFrom('resume' as const, 'fail' as const)),
    })
    .map(({ by, digest, ...facts }): Intent => (_, time) => ({
      type: 'DispatchOperation',
      time,
      by,
      operation: { operation: 'CopyImage', node: 'node-1', lease: '1.sent', progressEveryMs: 5_000, ...facts },
      mediaType: 'text/plain',
      digest,
    })),
]

/** What belongs to long tasks alone. */
const ofLongTasks: readonly fc.Arbitrary<Intent>[] = [
  who.map((subject): Intent => (_, time) => ({ type: 'TakeOperation', time, holder: { subject, name: 'node-1' } })),
  fc.tuple(fc.constantFrom('gone', 'unknown-operation'), orNot(anything)).map(([code, detail]): Intent => (_, time) => ({
    type: 'FailOperation',
    time,
    code,
    message: 'It cannot be run.',
    detail,
  })),
  fc.tuple(fc.constantFrom('total' as const, 'total' as const, 'stalled' as const), fc.constantFrom(undefined, undefined, 0, 1)).map(([cause, offMs]): Intent => (item, time) => ({
    type: 'TimeOut',
    time,
    cause,
    reached: offMs === undefined || item.status === 'absent' ? undefined : item.createdAt + (item.operation?.timeoutMs ?? 0) - offMs,
  })),
]

const effects = fc.constantFrom<readonly Effect[]>([], [{ directive: { workItem: 'job/1', directive: 'abort' } }])

/** What belongs to requests alone. */
const ofRequests: readonly fc.Arbitrary<Intent>[] = [
  fc.tuple(who, leases, fc.constantFrom('reply', 'reply', 'other reply'), orNot(effects)).map(([by, lease, digest, carried]): Intent => (item, time) => ({
    type: 'Reply',
    time,
    by,
    lease: leaseOf(lease, item),
    reply: REPLY,
    digest,
    effects: carried,
  })),
  fc.constantFrom('client' as const, 'time' as const, 'force' as const).map((how): Intent => (_, time) => ({ type: 'ReleaseReply', time, by: 'shop', how })),
  fc.constantFrom<readonly CarriedOut[]>([{ entry: 0, outcome: 'done' }], [{ entry: 'reply', outcome: 'given-up', code: 'gone' }]).map((done): Intent => (_, time) => ({
    type: 'NoteEffects',
    time,
    effects: done,
  })),
  orNot(fc.constant('because')).map((reason): Intent => (_, time) => ({ type: 'Erase', time, by: 'admin', reason })),
  leases.map((lease): Intent => (item, time) => ({ type: 'Interrupt', time, lease: numberOf(lease, item) })),
]

const reports: fc.Arbitrary<Intent> = fc
  .record({
    by: who,
    lease: leases,
    phase: orNot(fc.constantFrom('read', 'merge')),
    progress: orNot(progresses),
    state: orNot(fc.constantFrom('paused' as const, 'running' as const)),
    refuse: orNot(fc.record({ directive: fc.integer({ min: 1, max: 4 }), reason: fc.constant('not here') })),
    outcome: fc.option(outcomes, { nil: undefined, freq: 4 }),
    retry: retries,
    isNode: fc.boolean(),
  })
  .map(({ lease, outcome, isNode, ...facts }): Intent => (item, time) => ({
    type: 'Report',
    time,
    lease: leaseOf(lease, item),
    ...facts,
    takenBy: isNode ? { subject: 'servers', name: 'node-1' } : undefined,
    outcome,
    digest: outcome && JSON.stringify(outcome),
  }))

const commands: readonly fc.Arbitrary<Intent>[] = [
  // As often as any two others: most births meet what is born already.
  fc.oneof(...births),
  fc.oneof(...births),
  ...ofRequests,
  fc.oneof(...ofLongTasks),
  fc.tuple(who, instances, requestIds).map((to): Intent => (item, time) => ({ type: 'LeaseItem', time, ...grantTo(to, item) })),
  fc.tuple(who, orNot(leases)).map(([by, lease]): Intent => (item, time) => ({ type: 'DeleteTask', time, by, lease: lease && leaseOf(lease, item) })),
  fc.tuple(who, leases, fc.constantFrom(TERM_MS, 1_000)).map(([by, lease, termMs]): Intent => (item, time) => ({
    type: 'ExtendLease',
    time,
    by,
    lease: leaseOf(lease, item),
    termMs,
  })),
  fc.tuple(who, leases, fc.boolean(), fc.constantFrom(0, 5_000), orNot(fc.constant('busy'))).map(([by, lease, busy, delayMs, reason]): Intent => (item, time) => ({
    type: 'ReleaseLease',
    time,
    by,
    lease: leaseOf(lease, item),
    busy,
    delayMs,
    reason,
  })),
  fc.tuple(who, leases, orNot(progresses)).map(([by, lease, progress]): Intent => (item, time) => ({ type: 'AskDirective', time, by, lease: leaseOf(lease, item), progress })),
  reports,
  reports,
  reports,
  fc
    .tuple(fc.constantFrom('pause' as const, 'resume' as const, 'abort' as const), fc.integer({ min: 1, max: 9 }), orNot(fc.constant('because')))
    .map(([directive, id, reason]): Intent => (_, time) => ({ type: 'GiveDirective', time, by: 'admin', commandId: `command-${id}`, directive, reason })),
  fc.constant<Intent>((_, time) => ({ type: 'Redrive', time, by: 'admin' })),
  fc.tuple(leases, retries).map(([lease, retry]): Intent => (item, time) => ({ type: 'ExpireLease', time, lease: numberOf(lease, item), retry })),
  leases.map((lease): Intent => (item, time) => ({ type: 'LoseHolder', time, lease: numberOf(lease, item), lastSeenAt: time - 15_000 })),
  leases.map((lease): Intent => (item, time) => ({ type: 'GiveUpLost', time, lease: numberOf(lease, item) })),
]

/** Mostly a little later, sometimes past every deadline, sometimes before the last fact. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 8_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: -3_000, max: -1 }) },
  fc.constantFrom(31_000, 90_000_000),
)

const intent: fc.Arbitrary<Intent> = fc.oneof(...commands)

/** One command met the item: what was before, what was decided, what is after. */
export interface Step {
  readonly command: Command
  readonly before: WorkItem
  readonly decision: WorkItemDecision
  readonly events: readonly WorkItemEvent[]
  /** When its events were recorded. */
  readonly time: number
  readonly after: WorkItem
}

export interface Life {
  readonly start: WorkItem
  readonly steps: readonly Step[]
  readonly end: WorkItem
}

const live = (start: WorkItem, intents: readonly (readonly [Intent, number])[]): Life => {
  let item = start
  let clock = BIRTH
  const steps = intents.map(([intend, ms]): Step => {
    clock += ms
    const command = intend(item, clock)
    const before = item
    const decision = decide(command, before)
    const events = E.isLeft(decision) ? [] : decision.right
    const time = timeOf(command, before)
    for (const event of events) item = evolve(item, event, { time, revision: item.revision + 1 })
    return { command, before, decision, events, time, after: item }
  })
  return { start, steps, end: item }
}

const first = fc.oneof(...births.map((arbitrary) => ({ arbitrary, weight: 5 })), intent)

const intents = fc.tuple(first, fc.array(fc.tuple(intent, step), { maxLength: 60, size: 'large' })).map(([birth, rest]) => [[birth, 0] as const, ...rest])

/** A life from the beginning. */
export const lives: fc.Arbitrary<Life> = intents.map((all) => live(absent, all))

/** A life whose stream is nearly full: it goes on from a state that claims to have had thousands of events. */
export const longLives: fc.Arbitrary<Life> = fc.tuple(intents, intents, fc.integer({ min: 9_940, max: 9_983 })).map(([youth, age, revision]) => {
  const { end } = live(absent, youth.slice(0, 8))
  return live(end.status === 'absent' ? end : { ...end, revision }, age)
})

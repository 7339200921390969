// Logs of many work items that lived as chance would have it: commands drawn for the state that an item is in, decided by the rules themselves.
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { jobId, longTaskId, requestId, streamOf, taskId, type Kind, type WorkItemId } from '../../src/domain/ids.ts'
import { encodeEvent } from '../../src/domain/work-item/codec.ts'
import type { Command, RetryPolicy } from '../../src/domain/work-item/commands.ts'
import { decide, timeOf } from '../../src/domain/work-item/decide.ts'
import type { Effect, Release, WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { evolve } from '../../src/domain/work-item/evolve.ts'
import { absent, isHeld, type Existing, type OperationFacts, type RequestFacts, type WorkItem } from '../../src/domain/work-item/state.ts'
import type { EventStore, Position } from '../../src/store/port.ts'
import { right } from './engine.ts'
import { BIRTH, dispatchOperation, GRANT, HOLDER, insertTask, JOB, NEXT_HOLDER, registerJob, TASK, TERM_MS } from './samples.ts'

/** Which item is next, what happens to it, and how much later. */
export type Draw = readonly [item: number, choice: number, laterMs: number]

/** The last quarter of them are long tasks. */
export const ITEMS = 80
export const draws = (max: number): fc.Arbitrary<readonly Draw[]> => fc.array(fc.tuple(fc.nat(ITEMS - 1), fc.nat(999), fc.nat(60_000)), { maxLength: max, size: 'max' })

/** What one command recorded. */
export interface Said {
  readonly workItem: WorkItemId
  readonly time: number
  readonly events: readonly WorkItemEvent[]
}

const SERVICES = ['search', 'mail & post', 'Übersicht']
export const CONTRACTS = ['orders', 'mail & post'] as const
export const CALLERS = ['anna', 'bert & co', 'Übersee'] as const
export const NODES = ['nas-1', 'nas & 2', 'Österreich'] as const
export const OPERATIONS = ['CopyImage', 'hash & compare'] as const
const RELEASES: readonly Release[] = [
  { policy: 'required' },
  { policy: 'encouraged', retainMs: 1_200_000 },
  { policy: 'none-required', retainMs: 1_000 },
  { policy: 'encouraged', retainMs: 30 * 86_400_000 },
]

/** One of these by the item's number, whatever its kind. */
const ofGroup = <Value>(values: readonly Value[], item: number): Value => values[Math.floor(item / 3) % values.length] as Value
const kindAt = (item: number): Kind => (item >= (ITEMS * 3) / 4 ? 'long-task' : ((['job', 'task', 'request'] as const)[item % 3] ?? 'job'))

const idOf = (item: number): WorkItemId => {
  switch (kindAt(item)) {
    case 'job':
      return jobId(`j${item}`)
    case 'task':
      return taskId('shop', `queue-${ofGroup([0, 1, 2], item)}`, `t${item}`)
    case 'request':
      return requestId(ofGroup(CONTRACTS, item), ofGroup(CALLERS, item), `r${item}`)
    case 'long-task':
      return longTaskId(`l${item}`)
  }
}

const retryOf = (kind: Kind): RetryPolicy => ({ attemptsMax: 2, pauseMs: 500, ...(kind === 'request' ? { deadLetter: false } : {}) })

const requestOf = (item: number, choice: number, time: number): RequestFacts => ({
  contract: ofGroup(CONTRACTS, item),
  caller: ofGroup(CALLERS, item),
  runs: choice % 3 === 0 ? 'middleware' : 'workers',
  release: RELEASES[choice % RELEASES.length] as Release,
  onInterrupted: choice % 2 === 0 ? 'retry' : 'fail',
  interruptedAfterMs: 3_600_000,
  bytes: choice,
  dueAt: time,
  ...(choice % 5 === 0 ? { callback: 'http://127.0.0.1/done' } : {}),
})

/** Every third is in the log of the node that runs it. */
const operationOf = (item: number, choice: number): OperationFacts => ({
  operation: ofGroup(OPERATIONS, item),
  node: ofGroup(NODES, item),
  lease: '1.sent',
  progressEveryMs: 5_000,
  ...(choice % 3 === 0 ? { reportTo: 'http://127.0.0.1/stint', onRestart: choice % 2 === 0 ? 'resume' : 'fail' } : { timeoutMs: 600_000 + choice }),
  ...(choice % 4 === 0 ? { stalledAfterMs: 60_000 } : {}),
})

const birthOf = (item: number, choice: number, time: number): Command => {
  const servers = `servers-${ofGroup([0, 1, 2], item)}`
  switch (kindAt(item)) {
    case 'job':
      return registerJob(time, {
        by: servers,
        job: { ...JOB, service: ofGroup(SERVICES, item), server: `node-${choice % 3}`, label: choice % 2 === 0 ? 'even' : undefined },
        attributes: { number: item },
        holder: { ...HOLDER, subject: servers },
      })
    case 'task':
      return insertTask(time, { task: { ...TASK, queue: `queue-${ofGroup([0, 1, 2], item)}`, dueAt: time } })
    case 'request': {
      const leaseTo = choice % 4 === 0 ? { leaseTo: GRANT } : {}
      return { type: 'AcceptRequest', time, by: 'gateway', request: requestOf(item, choice, time), mediaType: 'application/json', digest: `print ${item}`, ...leaseTo }
    }
    case 'long-task':
      return dispatchOperation(time, { operation: operationOf(item, choice) })
  }
}

const EFFECT: Effect = { callback: { url: 'http://127.0.0.1/told', mediaType: 'text/plain', bodyBase64: '' } }

/** What comes after the lease of a request, and what comes after the end of any item. */
const endingsFor = (item: Existing, time: number, by: string, lease: string): readonly Command[] => {
  const reply = { status: 200, headers: [['content-type', 'text/plain'] as [string, string]], bytes: time % 1_000, kept: time % 5 !== 0 }
  const lastLease = item.ended?.number ?? 0
  return [
    { type: 'Reply', time, by, lease, reply, digest: `reply ${time}` },
    { type: 'Reply', time, by, lease, reply, digest: `reply ${time}`, effects: [EFFECT, EFFECT] },
    { type: 'AcceptRequest', time, by: 'gateway', request: requestOf(1, 1, time), mediaType: 'text/plain', digest: item.digest, leaseTo: GRANT },
    { type: 'Interrupt', time: time + 3_600_000, lease: lastLease },
    { type: 'ReleaseReply', time, by: 'stint', how: 'time' },
    { type: 'NoteEffects', time, effects: [{ entry: 0, outcome: 'done' }] },
    { type: 'NoteEffects', time, effects: (item.status === 'settled' ? (item.outbox ?? []) : []).map((entry) => ({ entry, outcome: 'done' as const })) },
    // Not of every item: nothing comes after it, and a long log should not end in tombstones and released replies alone.
    ...(item.createdAt % 2 === 0 ? [] : [{ type: 'ReleaseReply', time, by: 'anna', how: 'client' } as const]),
    ...(item.createdAt % 3 === 1 ? [{ type: 'Erase', time, by: 'stint' } as const] : []),
  ]
}

/** What belongs to long tasks alone: taken by answer or by report, lost by their node, over; and what is told late by a node that nobody knew had it. */
const ofLongTasks = (item: Existing, time: number): readonly Command[] => {
  if (item.operation === undefined) return []
  const takenBy = { ...HOLDER, name: item.operation.node }
  const byNode = { type: 'Report', time, by: HOLDER.subject, lease: item.operation.lease, takenBy, retry: { pauseMs: 0 } } as const
  return [
    { type: 'TakeOperation', time, holder: takenBy },
    { ...byNode, phase: `phase ${time % 3}` },
    { ...byNode, outcome: { completed: { result: { at: time } } }, digest: `completed ${time}` },
    { type: 'FailOperation', time, code: 'gone', message: 'Its node does not know it any more.' },
    { type: 'TimeOut', time: time + 600_999, cause: 'total' },
    { type: 'TimeOut', time, cause: 'stalled' },
  ]
}

/** Everything that may be asked of an item that exists: the decider refuses what does not fit its state. */
const commandsFor = (item: Existing, time: number): readonly Command[] => {
  const lease = isHeld(item) ? item.lease : item.ended
  const by = lease?.holder.subject ?? item.by
  const token = lease?.token ?? '1.none'
  const number = lease?.number ?? 1
  const retry = retryOf(item.kind)
  const said = { type: 'Report', time, by, lease: token, retry } as const
  const give = (directive: 'pause' | 'resume' | 'abort'): Command => ({ type: 'GiveDirective', time, by: 'admin', commandId: `command-${time}`, directive })
  return [
    { ...said, progress: { fraction: (time % 100) / 100 } },
    { ...said, progress: { done: time % 1_000, unit: 'files' }, phase: `phase ${time % 3}` },
    { ...said, state: 'paused' },
    { ...said, state: 'running' },
    { ...said, refuse: { directive: item.receipt?.number ?? 1, reason: 'busy' } },
    { ...said, outcome: { completed: { result: { at: time } } }, digest: `completed ${time}` },
    { ...said, outcome: { completed: { result: { at: time } } }, digest: `completed again ${time}` },
    { ...said, outcome: { failed: { code: 'broken', message: 'It broke.', retry: time % 2 === 0 } }, digest: `failed ${time}` },
    { ...said, outcome: { aborted: { reason: 'asked', partial: [time] } }, digest: `aborted ${time}` },
    { type: 'LeaseItem', time, holder: { ...NEXT_HOLDER, name: `worker-${time % 3}` }, token: `t${time}`, termMs: TERM_MS },
    { type: 'LeaseItem', time, holder: NEXT_HOLDER, token: `t${time}`, termMs: TERM_MS },
    { type: 'ReleaseLease', time, by, lease: token, busy: time % 2 === 0, delayMs: time % 1_000 },
    { type: 'ExtendLease', time, by, lease: token, termMs: TERM_MS },
    { type: 'AskDirective', time, by, lease: token },
    give('pause'),
    give('resume'),
    give('abort'),
    { type: 'Redrive', time, by: 'admin' },
    { type: 'ExpireLease', time, lease: number, retry },
    { type: 'LoseHolder', time, lease: number, lastSeenAt: item.updatedAt },
    { type: 'GiveUpLost', time: time + JOB.lostAfterMs, lease: number },
    ...endingsFor(item, time, by, token),
    ...ofLongTasks(item, time),
  ]
}

/** What a command says of an item; nothing when it is refused. */
const saidBy = (command: Command, item: WorkItem): readonly WorkItemEvent[] => {
  const decided = decide(command, item)
  return E.isLeft(decided) ? [] : decided.right
}

/** The log of these draws, each among the commands that add something. */
export const randomLog = (drawn: readonly Draw[]): readonly Said[] => {
  const items = new Map<WorkItemId, WorkItem>()
  const log: Said[] = []
  let now = BIRTH
  for (const [number, choice, laterMs] of drawn) {
    now += laterMs
    const workItem = idOf(number)
    const before = items.get(workItem) ?? absent
    const choices = before.status === 'absent' ? [birthOf(number, choice, now)] : commandsFor(before, now).filter((command) => saidBy(command, before).length > 0)
    const command = choices[choice % choices.length]
    if (command === undefined) continue
    const events = saidBy(command, before)
    const time = timeOf(command, before)
    let item = before
    for (const event of events) item = evolve(item, event, { time, revision: item.revision + 1 })
    items.set(workItem, item)
    log.push({ workItem, time, events })
  }
  return log
}

/** Appends to a log, in order; answers where it ends. Every so often something that is no work item's comes between. */
export const appendLog = async (store: EventStore, log: readonly Said[], seed = 'command'): Promise<Position> => {
  let position = right(await store.head()()).position
  for (const [index, { workItem, time, events }] of log.entries()) {
    const encoded = events.map((event, at) => ({ id: `${seed}-${index}-${at}`, ...encodeEvent(event), time, meta: '{}' }))
    position = right(await store.append(streamOf(workItem), 'any', encoded)()).position
    if (index % 7 === 0) await store.append('audit-2026-01-01', 'any', [{ id: `${seed}-audit-${index}`, type: 'Refused', v: 9, time, data: '{"code":"forbidden"}', meta: '{}' }])()
  }
  return right(await store.head()()).position || position
}

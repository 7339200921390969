// Proves from a log, and from what clients, workers and handlers saw outside, that requests were kept exactly once. The positions of the log are the witness: what an answer
// says must stand in the log at or before the position that the answer names. Reads the log as it is stored, with none of the rules that wrote it.
import * as E from 'fp-ts/lib/Either.js'
import type { EventReader, Position } from '../../src/store/port.ts'

/** An event as the log has it. */
export interface LogEvent {
  readonly stream: string
  readonly revision: number
  readonly position: Position
  readonly type: string
  readonly data: string
  readonly payload?: Uint8Array
}

/** What a caller was told. Times are one clock's, in any unit, that goes on through every crash of the server. */
export interface Exchange {
  /** `request/<contract>/<caller>/<id>`. */
  readonly workItem: string
  /** The same for the same content, and for no other; need not be the one that is stored. */
  readonly fingerprint: string
  readonly sentAt: number
  /** None: no answer came. */
  readonly answer?: Told
}

export interface Told {
  readonly at: number
  /** `Stint-Position` of the answer. */
  readonly position: Position
  /** `reply`: the handler's, with `Stint-Release` · `accepted`: 202 · else the code of the problem: `pending`, `fingerprint-mismatch`, `released`, `interrupted`, … */
  readonly told: 'accepted' | 'reply' | (string & {})
  /** Of a reply, with `told: 'reply'`. */
  readonly reply?: SeenReply
  /** `Idempotency-Replayed`. */
  readonly isReplayed?: boolean
}

export interface SeenReply {
  readonly status: number
  readonly body: Uint8Array
  /** Only those that the handler set, if they are to be compared. */
  readonly headers?: readonly (readonly [string, string])[]
}

/** What a worker was told about its reply. `recorded`: it is the reply · anything else settles nothing. */
export interface WorkerSaw {
  readonly workItem: string
  /** The number of its lease: what stands before the dot of the token. */
  readonly lease: number
  readonly position: Position
  readonly told: 'recorded' | 'late' | 'refused'
}

/** One effect of a handler, counted outside of Stint. */
export interface EffectSeen {
  readonly workItem: string
  readonly lease: number
}

export interface History {
  /** The whole log, in order. */
  readonly log: Iterable<LogEvent> | AsyncIterable<LogEvent>
  readonly calls: Iterable<Exchange>
  readonly workers?: Iterable<WorkerSaw>
  /** Given: each execution has one effect, before it replies. */
  readonly effects?: Iterable<EffectSeen>
  /** Nothing is under way any more: what was acknowledged must have settled, and every outbox must be empty. */
  readonly isAtRest?: boolean
}

export interface Violation {
  readonly rule: Rule
  readonly workItem: string
  readonly detail: string
}

export type Rule =
  | 'accepted-once'
  | 'settled-once'
  | 'no-execution-after-the-end'
  | 'leases-in-order'
  | 'fenced-off'
  | 'released-once'
  | 'acknowledged-is-stored'
  | 'reply-is-the-stored-one'
  | 'reply-was-stored-before'
  | 'told-what-is-stored'
  | 'released-stays-released'
  | 'never-forgotten'
  | 'accepted-told-once'
  | 'one-fingerprint'
  | 'positions-go-forward'
  | 'effects-have-attempts'
  | 'one-effect-an-attempt'
  | 'no-reply-without-its-effect'
  | 'outbox-carried-out-once'
  | 'nothing-left-open'

export interface Verdict {
  readonly violations: readonly Violation[]
  /** What it is based on: a history without cases proves nothing. */
  readonly counted: {
    readonly requests: number
    readonly settled: number
    readonly attempts: number
    readonly answers: number
    readonly repliesGiven: number
    readonly repliesReplayed: number
    readonly unanswered: number
    readonly effects: number
  }
}

type Data = Readonly<Record<string, unknown>>

interface StoredReply {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly kept: boolean
}

interface End {
  readonly type: string
  readonly position: Position
  readonly lease: number | undefined
  readonly reply: StoredReply | undefined
  readonly body: Uint8Array
}

/** A request, as its stream has it. */
interface Stored {
  readonly workItem: string
  acceptedAt?: Position
  leases: number
  /** Nobody holds the last lease any more. */
  isFree: boolean
  end?: End
  releasedAt?: Position
  /** Entries of its outbox that are not noted yet. */
  readonly open: Set<unknown>
}

const PREFIX = 'workItem-request/'
const ENDINGS: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled'])
const FREEING: ReadonlySet<string> = new Set(['LeaseExpired', 'LeaseReleased', 'RetryScheduled'])
/** Codes that a request without a reply answers with, by the event that ended it. */
const WITHOUT_REPLY: Readonly<Record<string, string>> = { interrupted: 'Failed', aborted: 'Aborted', cancelled: 'Cancelled' }

/** Answers that are given of a request only if it was accepted; all others, such as `overloaded` or `over-quota`, say nothing of it. */
const SPEAKS_OF_A_REQUEST: ReadonlySet<string> = new Set(['accepted', 'pending', 'reply', 'fingerprint-mismatch', 'released', 'reply-not-kept', ...Object.keys(WITHOUT_REPLY)])

const incarnationOf = (position: Position): string => position.slice(0, position.lastIndexOf('.'))
/** Whether a fact stood in the log when an answer with this position was given. */
const isBy = (fact: Position | undefined, position: Position): boolean => fact !== undefined && incarnationOf(fact) === incarnationOf(position) && fact <= position

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

type Report = (rule: Rule, workItem: string, detail: string) => void

const settle = (stored: Stored, { type, position, payload }: LogEvent, data: Data, callback: boolean, report: Report): void => {
  const lease = typeof data.lease === 'number' ? data.lease : undefined
  if (stored.end !== undefined) return report('settled-once', stored.workItem, `${type} at ${position} after ${stored.end.type} at ${stored.end.position}`)
  if (lease !== undefined && (stored.isFree || lease !== stored.leases))
    report('fenced-off', stored.workItem, `${type} at ${position} under lease ${lease}, but ${stored.isFree ? 'nobody holds it' : `the lease is ${stored.leases}`}`)
  const reply = data.reply as StoredReply | undefined
  if (type === 'Completed' && (reply === undefined || lease === undefined)) report('fenced-off', stored.workItem, `Completed at ${position} without a reply or a lease`)
  stored.isFree = true
  stored.end = { type, position, lease, reply, body: payload ?? new Uint8Array() }
  for (const index of Array.isArray(data.effects) ? data.effects.keys() : []) stored.open.add(index)
  if (callback) stored.open.add('reply')
}

const carriedOut = (stored: Stored, { position }: LogEvent, data: Data, report: Report): void => {
  for (const { entry } of data.effects as readonly { readonly entry: unknown }[])
    if (!stored.open.delete(entry)) report('outbox-carried-out-once', stored.workItem, `entry ${String(entry)} is noted at ${position}, and was not open`)
}

/** Folds the log into its requests, and holds each stream to the rules that need no client. */
const readLog = async (log: History['log'], report: Report): Promise<{ readonly requests: ReadonlyMap<string, Stored>; readonly head: Position | undefined }> => {
  const requests = new Map<string, Stored>()
  const callbacks = new Set<string>()
  let head: Position | undefined
  for await (const event of log) {
    head = event.position
    if (!event.stream.startsWith(PREFIX)) continue
    const workItem = event.stream.slice('workItem-'.length)
    const stored: Stored = requests.get(workItem) ?? { workItem, leases: 0, isFree: true, open: new Set() }
    requests.set(workItem, stored)
    // Only its tombstone speaks for an erased event.
    const data = JSON.parse(event.data) as Data | null
    if (data === null) continue
    if (event.type === 'RequestAccepted') {
      if (stored.acceptedAt !== undefined || event.revision !== 0) report('accepted-once', workItem, `accepted again at ${event.position}`)
      stored.acceptedAt ??= event.position
      if (data.callback !== undefined) callbacks.add(workItem)
    } else if (event.type === 'Leased') {
      if (stored.end !== undefined) report('no-execution-after-the-end', workItem, `leased at ${event.position}, settled at ${stored.end.position}`)
      if (data.lease !== stored.leases + 1 || !stored.isFree) report('leases-in-order', workItem, `lease ${String(data.lease)} at ${event.position} follows lease ${stored.leases}`)
      stored.leases = Number(data.lease)
      stored.isFree = false
    } else if (FREEING.has(event.type)) stored.isFree = true
    else if (ENDINGS.has(event.type)) settle(stored, event, data, callbacks.has(workItem), report)
    else if (event.type === 'EffectsCarriedOut') carriedOut(stored, event, data, report)
    else if (event.type === 'ReplyReleased') {
      if (stored.releasedAt !== undefined || stored.end === undefined) report('released-once', workItem, `released at ${event.position}, again or before its end`)
      stored.releasedAt ??= event.position
    }
  }
  return { requests, head }
}

const checkReply = (seen: SeenReply | undefined, end: End | undefined, { position }: Told, workItem: string, report: Report): void => {
  if (end?.reply === undefined || !isBy(end.position, position))
    return report('reply-was-stored-before', workItem, `a reply was given at ${position}, and ${end?.reply === undefined ? 'there is none' : `it is stored at ${end.position}`}`)
  if (seen === undefined) return report('reply-is-the-stored-one', workItem, 'a reply without status and bytes')
  if (seen.status !== end.reply.status || !same(seen.body, end.body))
    report('reply-is-the-stored-one', workItem, `${seen.status} with ${seen.body.byteLength} bytes was given, ${end.reply.status} with ${end.body.byteLength} bytes is stored`)
  if (seen.headers !== undefined && JSON.stringify(seen.headers) !== JSON.stringify(end.reply.headers))
    report('reply-is-the-stored-one', workItem, `the headers ${JSON.stringify(seen.headers)} were given, ${JSON.stringify(end.reply.headers)} are stored`)
}

/** One answer against the log. */
const checkAnswer = (workItem: string, told: Told, stored: Stored | undefined, head: Position | undefined, report: Report): void => {
  if (!isBy(told.position, head ?? '')) report('acknowledged-is-stored', workItem, `an answer names ${told.position}, and the log ends at ${head ?? 'its start'}`)
  if (!SPEAKS_OF_A_REQUEST.has(told.told)) return
  if (!isBy(stored?.acceptedAt, told.position)) return report('acknowledged-is-stored', workItem, `${told.told} was answered at ${told.position}, but not accepted by then`)
  const { end, releasedAt } = stored ?? {}
  if (told.told === 'reply') return checkReply(told.reply, end, told, workItem, report)
  if (told.told === 'released' && !isBy(releasedAt, told.position))
    report('told-what-is-stored', workItem, `released was answered at ${told.position}, but it was not released by then`)
  if (told.told === 'reply-not-kept' && !(end?.reply?.kept === false && isBy(end.position, told.position)))
    report('told-what-is-stored', workItem, `reply-not-kept was answered at ${told.position}, and no such reply was stored by then`)
  const ending = WITHOUT_REPLY[told.told]
  if (ending !== undefined && !(end?.type === ending && isBy(end.position, told.position)))
    report(
      'told-what-is-stored',
      workItem,
      `${told.told} was answered at ${told.position}, but it ${end === undefined ? 'has not ended' : `ended as ${end.type} at ${end.position}`}`,
    )
}

/** How final an answer is: once one of a rank was given, no call that is sent afterwards is given one of a lower. */
const rankOf = (told: string): number | undefined => {
  if (told === 'accepted' || told === 'pending') return 0
  if (told === 'reply' || told === 'reply-not-kept' || Object.hasOwn(WITHOUT_REPLY, told)) return 1
  return told === 'released' ? 2 : undefined
}

/** The answers to one request against each other. */
const checkTogether = (workItem: string, calls: readonly Exchange[], report: Report): void => {
  const answers = calls.flatMap(({ sentAt, fingerprint, answer }) => (answer === undefined ? [] : [{ sentAt, fingerprint, ...answer }]))
  if (answers.filter(({ told }) => told === 'accepted').length > 1) report('accepted-told-once', workItem, 'two calls were told that they are the first')
  const taken = new Set(answers.filter(({ told }) => rankOf(told) !== undefined).map(({ fingerprint }) => fingerprint))
  if (taken.size > 1) report('one-fingerprint', workItem, `calls with ${taken.size} fingerprints were taken for the same`)
  for (const { told, fingerprint } of answers)
    if (told === 'fingerprint-mismatch' && taken.has(fingerprint)) report('one-fingerprint', workItem, 'a call was refused for its fingerprint, and another with the same was not')
  const ranked = answers.flatMap((answer) => {
    const rank = rankOf(answer.told)
    return rank === undefined ? [] : [{ ...answer, rank }]
  })
  for (const earlier of ranked)
    for (const later of ranked) {
      if (later.sentAt <= earlier.at) continue
      if (later.rank < earlier.rank && earlier.rank === 2) report('released-stays-released', workItem, `${later.told} was answered after released`)
      else if (later.rank < earlier.rank || later.told === 'accepted') report('never-forgotten', workItem, `${later.told} was answered after ${earlier.told}`)
    }
}

/** A server that has answered with a position never answers with an earlier one, to whatever is sent afterwards; nor does the one that follows it. */
const checkPositions = (calls: readonly Exchange[], report: Report): void => {
  const answered = calls.flatMap(({ workItem, sentAt, answer }) => (answer === undefined ? [] : [{ workItem, sentAt, at: answer.at, position: answer.position }]))
  const byEnd = answered.toSorted((a, b) => a.at - b.at)
  let next = 0
  let highest: Position | undefined
  for (const { workItem, sentAt, position } of answered.toSorted((a, b) => a.sentAt - b.sentAt)) {
    for (let earlier = byEnd[next]; earlier !== undefined && earlier.at < sentAt; earlier = byEnd[(next += 1)])
      if (highest === undefined || earlier.position > highest) highest = earlier.position
    if (highest !== undefined && !isBy(highest, position)) report('positions-go-forward', workItem, `${position} was answered to what was sent after ${highest} was answered`)
  }
}

const checkWorkers = (workers: Iterable<WorkerSaw>, requests: ReadonlyMap<string, Stored>, report: Report): void => {
  for (const { workItem, lease, told, position } of workers) {
    if (told !== 'recorded') continue
    const end = requests.get(workItem)?.end
    if (end?.type !== 'Completed' || end.lease !== lease || !isBy(end.position, position))
      report(
        'acknowledged-is-stored',
        workItem,
        `the reply of lease ${lease} was recorded by ${position}, but ${end === undefined ? 'it has none' : `${end.type} of lease ${String(end.lease)} stands at ${end.position}`}`,
      )
  }
}

const checkEffects = (effects: Iterable<EffectSeen>, requests: ReadonlyMap<string, Stored>, report: Report): number => {
  const seen = new Map<string, Set<number>>()
  let count = 0
  for (const { workItem, lease } of effects) {
    count += 1
    const leases = seen.get(workItem) ?? new Set()
    seen.set(workItem, leases)
    if (leases.has(lease)) report('one-effect-an-attempt', workItem, `lease ${lease} had its effect twice`)
    leases.add(lease)
    if (lease < 1 || lease > (requests.get(workItem)?.leases ?? 0)) report('effects-have-attempts', workItem, `an effect under lease ${lease}, which was never given`)
  }
  for (const { workItem, end } of requests.values())
    if (end?.lease !== undefined && end.type === 'Completed' && seen.get(workItem)?.has(end.lease) !== true)
      report('no-reply-without-its-effect', workItem, `replied to under lease ${end.lease}, which had no effect`)
  return count
}

const checkRest = (requests: ReadonlyMap<string, Stored>, report: Report): void => {
  for (const { workItem, end, open } of requests.values()) {
    if (end === undefined) report('nothing-left-open', workItem, 'it was accepted and has not settled')
    if (open.size > 0) report('nothing-left-open', workItem, `its outbox still holds ${[...open].map(String).join(', ')}`)
  }
}

/**
 * Holds what was seen outside against the log. Sound for what it is told: an answer that no exchange mentions proves nothing.
 * Costs about as much as reading the log; keeps every exchange and the replies of the log in memory.
 */
export const checkRequestHistory = async (history: History): Promise<Verdict> => {
  const violations: Violation[] = []
  const report: Report = (rule, workItem, detail) => void violations.push({ rule, workItem, detail })
  const { requests, head } = await readLog(history.log, report)
  const calls = [...history.calls]
  for (const [workItem, ofOne] of Map.groupBy(calls, (exchange) => exchange.workItem)) {
    for (const { answer } of ofOne) if (answer !== undefined) checkAnswer(workItem, answer, requests.get(workItem), head, report)
    checkTogether(workItem, ofOne, report)
  }
  checkPositions(calls, report)
  checkWorkers(history.workers ?? [], requests, report)
  const effects = history.effects === undefined ? 0 : checkEffects(history.effects, requests, report)
  if (history.isAtRest === true) checkRest(requests, report)
  const answers = calls.flatMap(({ answer }) => answer ?? [])
  const stored = [...requests.values()]
  const counted = {
    requests: stored.length,
    settled: stored.filter(({ end }) => end !== undefined).length,
    attempts: stored.reduce((sum, { leases }) => sum + leases, 0),
    answers: answers.length,
    repliesGiven: answers.filter(({ told }) => told === 'reply').length,
    repliesReplayed: answers.filter(({ told, isReplayed }) => told === 'reply' && isReplayed === true).length,
    unanswered: calls.length - answers.length,
    effects,
  }
  return { violations, counted }
}

const PAGE = 1_000

/** The whole log of a store, page by page. */
export async function* logOf(reader: EventReader): AsyncGenerator<LogEvent> {
  for (let after: Position | undefined; ;) {
    const page = await reader.readAll({ ...(after === undefined ? {} : { after }), max: PAGE })()
    if (E.isLeft(page)) throw page.left
    yield* page.right
    const last = page.right.at(-1)
    if (last === undefined) return
    after = last.position
  }
}

/** One line for each violation, the first of many, for people. */
export const toldOf = ({ violations, counted }: Verdict, max = 20): string =>
  [
    Object.entries(counted)
      .map(([what, count]) => `${count} ${what}`)
      .join(', '),
    ...violations.slice(0, max).map(({ rule, workItem, detail }) => `${rule}: ${workItem}: ${detail}`),
    ...(violations.length > max ? [`and ${violations.length - max} more`] : []),
  ].join('\n')

// Carries out what replies bring about in Stint itself, after they are stored (rules 23): new tasks and requests, directives, callbacks, and replies that go to a callback.
//
//   Completed { effects } ─▶ owing ─▶ each effect, under an id that is always the same ─▶ EffectsCarriedOut ─▶ owing no more
//                              ▲                                                             │
//                              └──────────────── a restart finds it among the live items ────┘
//
// Each effect has an id made from its work item and its place, so that one that is carried out again after a crash finds itself done. A replay carries out nothing.
import * as E from 'fp-ts/lib/Either.js'
import { parseWorkItemId, requestId, streamOf, taskId, type WorkItemId } from '../../domain/ids.ts'
import { pauseMs } from '../../domain/policy/retry.ts'
import type { Backoff } from '../../domain/queue/config.ts'
import type { CarriedOut, Effect, OutboxEntry } from '../../domain/work-item/events.ts'
import { isRunHere } from '../../domain/work-item/operations.ts'
import { isOwing, surfaceState, type Owing, type Settled } from '../../domain/work-item/state.ts'
import { readEvent } from '../../projections/fold.ts'
import { StoreFault, type EventStore, type RecordedEvent } from '../../store/port.ts'
import { pause, type World } from '../../world.ts'
import { bodyFingerprint, canonicalJson, contentDigest } from '../digest.ts'
import type { Duties } from '../cluster/membership.ts'
import type { Deliveries, Message } from '../delivery/deliveries.ts'
import type { Context, Refusal } from '../command.ts'
import { uuidV5 } from '../envelope.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import type { TaskQueues } from '../queues/task-queues.ts'
import type { Contracts } from './contracts.ts'
import { createOpenEntries, effectId, EFFECTS, type OpenEntry } from './open-entries.ts'

/** After a fault of the store, or while the server takes no births, an effect is tried again after this. */
const TRY_AGAIN_MS = 1_000

/** A callback that this server may not make, or cannot sign, for now: it was accepted, so it is only put off, for longer each time. */
const HELD_BACK: Backoff = { minMs: 60_000, maxMs: 3_600_000, doublings: 6, jitter: 0.2 }

/** Events read at once when a directive is looked for in a stream. */
const PAGE = 1_000

export interface Outboxes {
  /** Carries on with what is owed. */
  readonly changed: (workItem: WorkItemId) => void
  /** What of an item is not carried out yet, and how far it is. */
  readonly openOf: (workItem: WorkItemId) => readonly OpenEntry[]
  /** Entries that are being carried out now. */
  readonly underWay: () => number
  readonly stop: () => void
  /** Resolves when nothing is being carried out any more. */
  readonly close: () => Promise<void>
}

/** What is read once for the effects of one request. */
interface Owed {
  readonly workItem: WorkItemId
  readonly item: Settled
  readonly effects: readonly Effect[]
  readonly ending: RecordedEvent
  /** On whose behalf: whoever replied, or made the request. */
  readonly context: Context
}

/** The engine may take it later: nothing is wrong with the effect. */
const isForLater = (refusal: Refusal): boolean =>
  refusal instanceof Error ||
  ('type' in refusal && (refusal.type === 'too-many-live' || refusal.type === 'lagging' || refusal.type === 'stopping' || refusal.type === 'over-quota'))

/** What came of one try: done for good, nothing for now, or, undefined, the server stops. */
type Tried = Omit<CarriedOut, 'entry'> | 'later' | { readonly heldBack: string } | undefined

const codeOf = (refusal: Refusal): string => ('type' in refusal ? refusal.type : refusal.kind)

/** What the receiver of a reply is told: a document of its own, because an HTTP request cannot carry a status. */
const replyDocument = (
  { workItem, item, ending }: Owed,
  reply: { readonly status: number; readonly headers: readonly (readonly [string, string])[]; readonly body: Uint8Array | undefined } | undefined,
): string => {
  const parsed = parseWorkItemId(workItem)
  return JSON.stringify({
    type: 'request.settled',
    timestamp: new Date(ending.time).toISOString(),
    data: {
      workItem,
      contract: item.request?.contract,
      caller: item.request?.caller,
      id: E.isRight(parsed) ? parsed.right.id : undefined,
      state: surfaceState(item),
      failure: item.failure,
      reply: reply && { status: reply.status, headers: reply.headers, bodyBase64: reply.body === undefined ? undefined : Buffer.from(reply.body).toString('base64') },
    },
  })
}

export const createOutboxes = (options: {
  readonly store: EventStore
  readonly live: Live
  readonly handler: Handler
  readonly world: World
  readonly tasks: Pick<TaskQueues, 'insert'>
  readonly contracts: Pick<Contracts, 'accept' | 'addresseeFor' | 'configOf' | 'replyOf'>
  readonly deliveries: Pick<Deliveries, 'send' | 'underWay'>
  readonly duties: Duties
  readonly onTrouble: (what: string, cause: unknown) => void
}): Outboxes => {
  const { store, live, handler, world, tasks, contracts, duties, onTrouble } = options
  const closing = new AbortController()
  const running = new Map<WorkItemId, Promise<void>>()
  const open = createOpenEntries(options)
  let underWay = 0

  const eventAt = async (workItem: WorkItemId, revision: number): Promise<RecordedEvent> => {
    const read = await store.readStream(streamOf(workItem), { from: revision, max: 1 })()
    if (E.isLeft(read)) throw read.left
    const [recorded] = read.right
    if (recorded === undefined) throw new StoreFault('damaged', `The stream of ${workItem} has no revision ${revision}`)
    return recorded
  }

  const owedOf = async (workItem: WorkItemId, item: Owing): Promise<Owed> => {
    const ending = await eventAt(workItem, item.endRevision)
    const event = readEvent(ending)
    if (E.isLeft(event)) throw new StoreFault('damaged', event.left.detail)
    const effects = event.right.type === 'Completed' ? (event.right.effects ?? []) : []
    const subject = item.ended?.holder.subject ?? item.by
    const { actor = subject, correlationId } = JSON.parse(ending.meta) as { readonly actor?: string; readonly correlationId?: string }
    return { workItem, item, effects, ending, context: { subject, actor, commandId: '', ...(correlationId === undefined ? {} : { correlationId }) } }
  }

  const born = (done: E.Either<Refusal, unknown>): Omit<CarriedOut, 'entry'> | 'later' => {
    if (E.isRight(done)) return { outcome: 'done' }
    return isForLater(done.left) ? 'later' : { outcome: 'refused', code: codeOf(done.left) }
  }

  /** When what is owed is born, as it sees it: with the ending, unless the wall has been set back since. */
  const bornAt = ({ ending }: Owed): number => Math.min(ending.time, world.now())

  const insertTask = async ({ app, queue, mediaType, bodyBase64, id, delayMs = 0, tag, priority, key }: Extract<Effect, { task: unknown }>['task'], owed: Owed, own: string) => {
    const payload = Buffer.from(bodyBase64, 'base64')
    const dueAt = bornAt(owed) + delayMs
    const digest = contentDigest({ tag, priority, key, delaySeconds: delayMs / 1_000, mediaType }, payload)
    const task = { app, queue, tag, priority, key, bytes: payload.byteLength, dueAt }
    return born(
      await tasks.insert(taskId(app, queue, id ?? own), { type: 'InsertTask', by: owed.context.subject, task, mediaType, digest }, { ...owed.context, commandId: own }, payload),
    )
  }

  const callRequest = async ({ contract, mediaType, bodyBase64, id }: Extract<Effect, { request: unknown }>['request'], owed: Owed, own: string) => {
    const config = contracts.configOf(contract)
    if (config === undefined) return { outcome: 'refused', code: 'not-found' } as const
    const body = Buffer.from(bodyBase64, 'base64')
    const { subject } = owed.context
    const { release, onInterrupted, attemptsMax, interruptedAfterMs } = config
    const request = {
      contract,
      caller: subject,
      runs: 'workers',
      release,
      onInterrupted,
      attemptsMax,
      interruptedAfterMs,
      bytes: body.byteLength,
      dueAt: bornAt(owed),
    } as const
    const digest = bodyFingerprint(mediaType, body)
    const command = { type: 'AcceptRequest', by: subject, request, mediaType: mediaType ?? 'application/octet-stream', digest } as const
    return born(await contracts.accept(requestId(contract, subject, id ?? own), command, { ...owed.context, commandId: own }, body))
  }

  /** Whether the item was given this directive before: another may have been given to it since. */
  const wasGiven = async (workItem: WorkItemId, commandId: string): Promise<boolean> => {
    for (let from = 0; ;) {
      const read = await store.readStream(streamOf(workItem), { from, max: PAGE })()
      if (E.isLeft(read)) throw read.left
      if (read.right.some(({ type, meta }) => type === 'DirectiveGiven' && (JSON.parse(meta) as { readonly commandId?: string }).commandId === commandId)) return true
      const last = read.right.at(-1)
      if (last === undefined || read.right.length < PAGE) return false
      from = last.revision + 1
    }
  }

  const direct = async ({ workItem, directive, reason }: Extract<Effect, { directive: unknown }>['directive'], owed: Owed, own: string) => {
    if (await wasGiven(workItem, own)) return { outcome: 'done' } as const
    return born(await handler.execute(workItem, { type: 'GiveDirective', by: owed.context.actor, commandId: own, directive, reason }, { ...owed.context, commandId: own }))
  }

  /** Resolves when the receiver has acknowledged it, wants no more of it, or it may not be sent for now; undefined: this server stops, and the next start goes on. */
  const deliver = async (owed: Owed, message: Pick<Message, 'id' | 'url' | 'body' | 'mediaType'>): Promise<Tried> => {
    const secrets = contracts.addresseeFor(owed.item.request?.contract, message.url)
    if (E.isLeft(secrets)) return { heldBack: secrets.left }
    const sent = await options.deliveries.send({ ...message, about: owed.workItem, secrets: secrets.right }, { signal: closing.signal })
    if (sent.type === 'acknowledged') return { outcome: 'done', attempts: sent.attempts }
    if (sent.reason === 'stopped' || sent.reason === 'cancelled') return undefined
    return sent.reason === 'not-allowed' ? { heldBack: sent.detail } : { outcome: 'given-up', code: sent.reason, attempts: sent.attempts }
  }

  const deliverReply = async (owed: Owed, own: string): Promise<Tried> => {
    const url = owed.item.request?.callback
    if (url === undefined) return { outcome: 'refused', code: 'no-callback' }
    const reply = await contracts.replyOf(owed.workItem, owed.item)
    if (E.isLeft(reply)) throw reply.left
    const body = Buffer.from(replyDocument(owed, reply.right && { ...reply.right.head, body: reply.right.body }))
    return deliver(owed, { id: own, url, body, mediaType: 'application/json' })
  }

  /** One entry; undefined when the server stops before it is done. */
  const carryOut = async (entry: OutboxEntry, owed: Owed): Promise<CarriedOut | undefined> => {
    const own = effectId(owed.workItem, entry)
    const once = async (): Promise<Tried> => {
      if (entry === 'reply') return deliverReply(owed, own)
      const effect = owed.effects[entry]
      if (effect === undefined) return { outcome: 'refused', code: 'not-found' }
      if ('task' in effect) return insertTask(effect.task, owed, own)
      if ('request' in effect) return callRequest(effect.request, owed, own)
      if ('directive' in effect) return direct(effect.directive, owed, own)
      const { url, mediaType, bodyBase64 } = effect.callback
      return deliver(owed, { id: own, url, body: Buffer.from(bodyBase64, 'base64'), mediaType })
    }
    underWay += 1
    try {
      for (let heldBack = 0; !closing.signal.aborted;) {
        const tried = await once()
        if (tried === undefined) return undefined
        if (tried === 'later') await pause(world, TRY_AGAIN_MS, closing.signal)
        else if ('outcome' in tried) return { entry, ...tried }
        else {
          heldBack += 1
          if (heldBack === 1) onTrouble(`A callback of ${owed.workItem} is held back and will be tried again`, new Error(tried.heldBack))
          const ms = pauseMs(HELD_BACK, heldBack, world.random())
          open.holdBack(own, { detail: tried.heldBack, nextAt: world.now() + Math.ceil(ms) })
          await pause(world, ms, closing.signal)
        }
      }
      return undefined
    } finally {
      open.holdBack(own, undefined)
      underWay -= 1
    }
  }

  const note = async (owed: Owed, effects: readonly CarriedOut[]): Promise<void> => {
    const commandId = uuidV5(EFFECTS, `${owed.workItem}\n${canonicalJson(effects)}`)
    for (;;) {
      const noted = await handler.execute(owed.workItem, { type: 'NoteEffects', effects }, { subject: 'stint', actor: 'stint', commandId })
      if (E.isRight(noted)) return
      if (!isForLater(noted.left) || closing.signal.aborted) throw noted.left instanceof Error ? noted.left : new Error(codeOf(noted.left))
      await pause(world, TRY_AGAIN_MS, closing.signal)
    }
  }

  const isPrompt = (entry: OutboxEntry, { effects }: Owed): boolean => {
    const effect = entry === 'reply' ? undefined : effects[entry]
    return effect !== undefined && !('callback' in effect)
  }

  /** What is done inside Stint is noted together; what leaves it is noted one by one, since a receiver may take days. */
  const settle = async (workItem: WorkItemId, item: Owing): Promise<void> => {
    const owed = await owedOf(workItem, item)
    const prompt = item.outbox.filter((entry) => isPrompt(entry, owed))
    const leaving = item.outbox.filter((entry) => !isPrompt(entry, owed))
    const together = async (): Promise<void> => {
      const done = (await Promise.all(prompt.map((entry) => carryOut(entry, owed)))).filter((one) => one !== undefined)
      if (done.length > 0) await note(owed, done)
    }
    const alone = async (entry: OutboxEntry): Promise<void> => {
      const done = await carryOut(entry, owed)
      if (done !== undefined) await note(owed, [done])
    }
    await Promise.all([together(), ...leaving.map(alone)])
  }

  const carryOn = async (workItem: WorkItemId): Promise<void> => {
    for (;;) {
      const item = live.get(workItem)?.item
      if (item === undefined || !isOwing(item) || closing.signal.aborted || !duties.isMine(workItem)) return
      try {
        await settle(workItem, item)
      } catch (cause) {
        if (closing.signal.aborted) return
        onTrouble(`The effects of ${workItem} were held up and will be carried on`, cause)
        await pause(world, TRY_AGAIN_MS, closing.signal)
      }
    }
  }

  return {
    changed: (workItem) => {
      if (closing.signal.aborted || running.has(workItem)) return
      const item = live.get(workItem)?.item
      // What an operation came to is told by the reporter of the node that ran it.
      if (item === undefined || !isOwing(item) || isRunHere(item) || !duties.isMine(workItem)) return
      // After the change has gone to everybody who listens to it.
      const run = Promise.resolve()
        .then(() => carryOn(workItem))
        .finally(() => running.delete(workItem))
      running.set(workItem, run)
    },
    openOf: open.of,
    underWay: () => underWay,
    stop: () => closing.abort(),
    close: async () => {
      closing.abort()
      await Promise.allSettled(running.values())
    },
  }
}

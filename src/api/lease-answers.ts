// Lease calls over HTTP, of queues and contracts alike: what is leased goes to the worker in the answer, and comes back at once when the answer did not get there (rules 27)
// or when the worker has lost its right meanwhile.
import * as E from 'fp-ts/lib/Either.js'
import type { Context, Done, LeaseCall, LeasedItem, Refusal } from '../engine/command.ts'
import type { LeaseAnswer, LeaseBody } from '../wire/tasks.ts'
import { PAYLOAD_BYTES_MAX } from '../wire/tasks.ts'
import type { QueueConfig, WorkItemId } from '../wire/words.ts'
import type { Cancel, World } from '../world.ts'
import { noLongerLetIn, type Call } from './call.ts'
import { queueFor } from './permission.ts'
import { fromRefusal, problemDocument, type Problem } from './problem.ts'
import { leasedTaskView } from './views.ts'

/** Payload bytes of one answer, at most: in base64 they are 32 MiB and some (rules 13). The first item always fits. */
const ANSWER_BYTES_MAX = 23 * 1024 * 1024
/** How long a call that has a name may be repeated before what it leased goes back. */
const REPEAT_WITHIN_MS = 10_000

/** What a line is leased from, whosever it is. */
export interface LeaseSource {
  readonly lease: (request: LeaseCall, context: Context) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
  readonly takeBack: (workItem: WorkItemId, lease: string, context: Context) => Promise<E.Either<Refusal, Done>>
  /** Whether the caller may lease from it, as the lists are now. */
  readonly allowed: () => E.Either<Problem, unknown>
  /** What a lease lasts unless the caller says otherwise, in milliseconds. */
  readonly defaultMs: number
}

export type LeaseAsk = Pick<LeaseBody, 'max' | 'leaseSeconds' | 'worker' | 'requestId' | 'tag' | 'sameTag'>

export interface LeaseAnswers {
  /** Leases for one call. `waitMs`: how long to wait for work; 0 not at all. An Idempotency-Key names the call where no requestId does. */
  readonly give: (call: Call, source: LeaseSource, ask: LeaseAsk, waitMs: number) => Promise<E.Either<Problem, readonly LeasedItem[]>>
  /** The same for tasks, as they are shown. */
  readonly lease: (call: Call, config: QueueConfig, body: LeaseBody, waitMs: number) => Promise<E.Either<Problem, LeaseAnswer>>
  /** Gives back what is still kept for a repeat; resolves when all of it is back. */
  readonly close: () => Promise<void>
}

/** What stands beside endings that ask for the next lease: what it brought or why not. One that brings nothing is asked once more when the endings are done, for what they have freed. */
export const leasedBeside = async <Answer extends { readonly items: readonly unknown[] }>(
  next: () => Promise<E.Either<Problem, Answer>>,
  endings: Promise<unknown>,
): Promise<Answer | { items: never[]; problem: ReturnType<typeof problemDocument> }> => {
  const first = await next()
  await endings
  const leased = E.isRight(first) && first.right.items.length === 0 ? await next() : first
  return E.isRight(leased) ? leased.right : { items: [], problem: problemDocument(leased.left) }
}

type TakeBack = LeaseSource['takeBack']

/** @param onDefect told what nobody waits for: the lease then ends by its time */
export const createLeaseAnswers = (world: World, onDefect: (cause: unknown) => void): LeaseAnswers => {
  /** Under a lease whose answer got lost, kept for the call's repeat: by work item and lease. */
  const kept = new Map<string, { readonly cancel: Cancel; readonly giveBack: () => void }>()
  /** Which call is answering with the lease. Only its end decides: what an earlier call with the same name did not hear, its repeat does. */
  const answering = new Map<string, Call>()
  const under = new Set<Promise<unknown>>()

  const keyOf = ({ workItem, item }: LeasedItem): string => `${workItem} ${item.lease.token}`

  const giveBack = (call: Call, takeBack: TakeBack, { workItem, item }: LeasedItem): Promise<unknown> => {
    const going: Promise<unknown> = takeBack(workItem, item.lease.token, { ...call.context, commandId: world.uuid() })
      .catch(onDefect)
      .finally(() => under.delete(going))
    under.add(going)
    return going
  }

  const lost = (call: Call, takeBack: TakeBack, one: LeasedItem, isNamed: boolean): void => {
    if (!isNamed) return void giveBack(call, takeBack, one)
    const key = keyOf(one)
    const back = (): void => {
      kept.delete(key)
      void giveBack(call, takeBack, one)
    }
    kept.set(key, { cancel: world.timer(REPEAT_WITHIN_MS, back), giveBack: back })
  }

  const claim = (call: Call, one: LeasedItem): void => {
    const key = keyOf(one)
    kept.get(key)?.cancel()
    kept.delete(key)
    answering.set(key, call)
  }

  const ended = (call: Call, takeBack: TakeBack, one: LeasedItem, isNamed: boolean, isWritten: boolean): void => {
    const key = keyOf(one)
    const isLast = answering.get(key) === call
    if (isWritten || isLast) answering.delete(key)
    if (!isWritten && isLast) lost(call, takeBack, one, isNamed)
  }

  const isFull = (leased: readonly LeasedItem[]): boolean => leased.reduce((bytes, { payload }) => bytes + (payload?.byteLength ?? 0), 0) + PAYLOAD_BYTES_MAX > ANSWER_BYTES_MAX

  const give: LeaseAnswers['give'] = async (call, source, { max = 1, leaseSeconds, worker, tag, sameTag, requestId: said }, waitMs) => {
    const { takeBack, allowed } = source
    const requestId = said ?? (call.isNamed ? call.context.commandId : undefined)
    const leased = await source.lease(
      {
        max,
        termMs: leaseSeconds === undefined ? source.defaultMs : Math.round(leaseSeconds * 1_000),
        holder: { subject: call.principal.subject, name: worker ?? '', ...(worker === undefined ? {} : { instance: worker }) },
        tag,
        sameTag,
        requestId,
        bytesMax: ANSWER_BYTES_MAX,
        waitMs,
        ...(waitMs > 0 ? { signal: call.signal, mayStill: () => E.isRight(allowed()) } : {}),
      },
      call.context,
    )
    if (E.isLeft(leased)) return E.left(fromRefusal(leased.left))
    if (waitMs > 0) {
      const still = (await call.isStillAllowed()) ? allowed() : E.left(noLongerLetIn)
      if (E.isLeft(still)) {
        await Promise.all(leased.right.map((one) => giveBack(call, takeBack, one)))
        return still
      }
    }
    for (const one of leased.right) claim(call, one)
    if (leased.right.length > 0) call.onEnd((isWritten) => leased.right.forEach((one) => ended(call, takeBack, one, requestId !== undefined, isWritten)))
    return leased
  }

  return {
    give,
    lease: async (call, config, body, waitMs) => {
      const { app, queue, stint } = config
      const source: LeaseSource = {
        lease: (request, context) => call.engine.leaseTasks({ app, queue, ...request }, context),
        takeBack: call.engine.takeBack,
        allowed: () => queueFor(call, config, 'consume'),
        defaultMs: stint.defaultLeaseMs,
      }
      const leased = await give(call, source, body, waitMs)
      if (E.isLeft(leased)) return leased
      const tasks = leased.right
      const more = tasks.length < (body.max ?? 1) && isFull(tasks) && call.engine.queues.figuresOf(config).waiting > 0
      return E.right({ items: tasks.map((task) => leasedTaskView({ ...task, presence: call.engine.presence(task.workItem) }, task.payload)), more: more ? true : undefined })
    },
    close: async () => {
      for (const { cancel, giveBack: back } of [...kept.values()]) {
        cancel()
        back()
      }
      await Promise.all(under)
    },
  }
}

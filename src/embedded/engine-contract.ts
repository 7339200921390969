// A contract over an engine in this process. Its executions are held by this process alone, which a lock on the log proves: they need no heartbeat, and those that an
// earlier process left behind are over when the log is opened (rules 17).
import * as E from 'fp-ts/lib/Either.js'
import { AbortRequested, LeaseLost } from '../client/errors.ts'
import type { ContractConfig } from '../domain/contract.ts'
import { parseWorkItemId, requestId, type WorkItemId } from '../domain/ids.ts'
import { expiryOf, isGone } from '../domain/policy/release.ts'
import type { ReplyHead as StoredHead } from '../domain/work-item/events.ts'
import { isHeld, type Existing, type Held, type Settled } from '../domain/work-item/state.ts'
import { contentDigest } from '../engine/digest.ts'
import type { Context, Done, Refusal } from '../engine/command.ts'
import type { Engine } from '../engine/engine.ts'
import type { World } from '../world.ts'
import type { BeginRequest, Begun, ContractStore, Execution, Kept, Refused, ReplyHead, ReplyInfo } from './contract-store.ts'

/** Who runs handlers in an engine's own process. */
export const EMBEDDED = 'embedded'

const BODY_BYTES_MAX = 1_048_576
/** A day: what holds it cannot be gone while the engine is there. */
const LEASE_MS = 86_400_000
const TOKEN_LENGTH = 8
/** The reason that a signal makes for itself comes with its stack, anew for each execution, and nobody reads it. */
const OVER = new Error('The execution is over.')
const NOBODY_ELSE = 'application/octet-stream'

const refused = (status: number, code: string, detail: string, retryAfterSeconds?: number): Refused => ({
  type: 'refused',
  status,
  code,
  detail,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
})

/** A refusal of the engine as the client of the app is told. */
const refusedOf = (refusal: Refusal): Refused => {
  if ('kind' in refusal) {
    if (refusal.kind === 'tooLarge') return refused(413, 'too-large', `It is larger than ${refusal.limitBytes} bytes when it is stored.`)
    return refused(503, 'store-unavailable', 'Nothing is known to be stored. Send the same request with the same key again.', 5)
  }
  switch (refusal.type) {
    case 'too-many-live':
      return refused(429, 'too-many-live', 'Too many requests are under way.', 10)
    case 'lagging':
      return refused(429, 'lagging', 'Requests come faster than they can be taken.', 2)
    case 'over-quota':
      return refused(429, 'over-quota', 'More replies are kept for this caller than it may have. Release some of them first.', 10)
    default:
      return refused(409, refusal.type === 'settled' ? 'settled' : 'stale-lease', 'This execution does not count any more, so its reply is not given.')
  }
}

export interface EngineContractOptions {
  readonly engine: Engine
  readonly world: World
  readonly contract: string
  readonly config: ContractConfig
}

const withoutReply = ({ end, failure }: Settled): Begun => {
  const code = end === 'aborted' || end === 'cancelled' ? end : 'interrupted'
  return { type: 'settled', code, detail: failure?.message ?? `The request was ${end} and has no reply.` }
}

export const engineContract = ({ engine, world, contract, config }: EngineContractOptions): ContractStore => {
  const closing = new AbortController()
  const context = (caller: string): Context => ({ subject: EMBEDDED, actor: caller, commandId: world.uuid() })
  const infoOf = (workItem: WorkItemId, item: Existing): ReplyInfo => ({
    workItem,
    policy: item.request?.release.policy ?? config.release.policy,
    expiresAt: item.status === 'settled' ? expiryOf(item) : undefined,
  })

  /** Aborts when somebody else has the request, it settled otherwise, or an administrator wants it to end. */
  const watched = (workItem: WorkItemId, lease: string, over: AbortSignal): AbortSignal => {
    const abort = new AbortController()
    const watch = async (): Promise<void> => {
      while (!over.aborted && !closing.signal.aborted) {
        const item = engine.live(workItem)
        if (item === undefined || !isHeld(item) || item.lease.token !== lease) return abort.abort(new LeaseLost(workItem, 'stale-lease', item?.status))
        if (item.will === 'abort') return abort.abort(new AbortRequested(item.receipt?.number ?? 0, item.receipt?.by ?? 'an administrator', item.receipt?.reason))
        await engine.changed(workItem, LEASE_MS, over)
      }
    }
    void watch()
    return abort.signal
  }

  const executionOf = (workItem: WorkItemId, caller: string, held: Held): Execution => {
    const lease = held.lease.token
    const over = new AbortController()
    const reply = async (head: StoredHead, body: Uint8Array | undefined): Promise<Kept | Refused> => {
      // Before it settles: its own reply is no loss of its lease.
      over.abort(OVER)
      const done = await engine.contracts.reply(workItem, { type: 'Reply', by: EMBEDDED, lease, reply: head, digest: contentDigest({ head }, body) }, context(caller), body)
      if (E.isLeft(done)) return refusedOf(done.left)
      const { item, events } = done.right
      // What came too late is noted and does not count.
      if (item.status !== 'settled' || !events.some(({ type }) => type === 'Completed')) return refused(409, 'stale-lease', 'The request was settled without this reply.')
      return { type: 'kept', info: infoOf(workItem, item) }
    }
    const giveUp: Execution['giveUp'] = async (how, reason) => {
      over.abort(OVER)
      const by = EMBEDDED
      const outcome = how === 'aborted' ? ({ aborted: { reason } } as const) : ({ failed: { code: 'interrupted', message: reason } } as const)
      const retry = engine.retryFor(held)
      const done = await engine.execute(
        workItem,
        how === 'undone' ? { type: 'ReleaseLease', by, lease, busy: false, delayMs: 0, reason } : { type: 'Report', by, lease, outcome, digest: contentDigest(outcome), retry },
        context(caller),
      )
      if (E.isLeft(done) && 'kind' in done.left) throw done.left instanceof Error ? done.left : new Error('The end of the execution could not be stored.')
    }
    const headOf = ({ status, headers }: ReplyHead) => ({ status, headers: headers.map(([name, value]): [string, string] => [name, value]) })
    return {
      info: infoOf(workItem, held),
      attempt: held.attempt,
      signal: watched(workItem, lease, over.signal),
      reply: ({ body, ...head }) => reply({ ...headOf(head), bytes: body.byteLength, kept: true }, body),
      pass: (head) => reply({ ...headOf(head), bytes: head.bytes, kept: false }, undefined),
      passed: async (unkept) => {
        const head: StoredHead = { ...headOf(unkept), bytes: unkept.bytes, kept: false, bodyDigest: unkept.digest }
        const done = await engine.execute(workItem, { type: 'Reply', by: EMBEDDED, lease, reply: head, digest: contentDigest({ head }) }, context(caller))
        return E.isLeft(done) ? refusedOf(done.left) : { type: 'kept', info: infoOf(workItem, done.right.item) }
      },
      giveUp,
    }
  }

  const settled = async (workItem: WorkItemId, item: Settled): Promise<Begun> => {
    if (isGone(item, engine.now())) return { type: 'released' }
    const kept = await engine.contracts.replyOf(workItem, item)
    if (E.isLeft(kept)) return refusedOf(kept.left)
    if (kept.right === undefined) return withoutReply(item)
    const { head, body } = kept.right
    const info = infoOf(workItem, item)
    return body === undefined ? { type: 'not-kept', status: head.status, info } : { type: 'replay', reply: { status: head.status, headers: head.headers, body }, info }
  }

  const accept = (workItem: WorkItemId, request: BeginRequest, token: string): Promise<E.Either<Refusal, Done>> =>
    engine.contracts.accept(
      workItem,
      {
        type: 'AcceptRequest',
        by: EMBEDDED,
        request: {
          contract,
          caller: request.caller,
          runs: 'middleware',
          release: config.release,
          onInterrupted: config.onInterrupted,
          interruptedAfterMs: config.interruptedAfterMs,
          ...(config.attemptsMax === undefined ? {} : { attemptsMax: config.attemptsMax }),
          bytes: request.body.byteLength,
          dueAt: engine.now(),
        },
        mediaType: request.mediaType ?? NOBODY_ELSE,
        method: request.method,
        path: request.path,
        digest: request.fingerprint,
        leaseTo: { holder: { subject: EMBEDDED, name: EMBEDDED, instance: EMBEDDED }, token, termMs: LEASE_MS },
      },
      context(request.caller),
      request.body,
    )

  const beginNow = async (workItem: WorkItemId, request: BeginRequest): Promise<Begun> => {
    const token = world.token(TOKEN_LENGTH)
    const done = await accept(workItem, request, token)
    if (E.isLeft(done)) {
      if (!('type' in done.left)) return refusedOf(done.left)
      if (done.left.type === 'released' || done.left.type === 'erased') return { type: 'released' }
      if (done.left.type !== 'fingerprint-mismatch') return refusedOf(done.left)
      engine.audit({ code: 'fingerprint-mismatch', route: 'exactlyOnce', target: workItem }, context(request.caller))
      return { type: 'mismatch', firstAt: done.left.firstAt }
    }
    const { item } = done.right
    if (item.status === 'settled') return settled(workItem, item)
    if (isHeld(item) && item.lease.token.endsWith(`.${token}`)) return { type: 'execute', execution: executionOf(workItem, request.caller, item) }
    return { type: 'pending', workItem, retryAfterSeconds: 1 }
  }

  return {
    replyBytesMax: BODY_BYTES_MAX,
    requestBytesMax: BODY_BYTES_MAX,
    begin: async (request) => {
      const workItem = requestId(contract, request.caller, request.id)
      if (E.isLeft(parseWorkItemId(workItem))) return refused(400, 'invalid', 'Contract, caller and key are too long together.')
      const until = world.monotonic() + request.waitMs
      for (;;) {
        const begun = await beginNow(workItem, request)
        const left = until - world.monotonic()
        if (begun.type !== 'pending' || left <= 0 || request.signal?.aborted || closing.signal.aborted) return begun
        await engine.changed(workItem, left, request.signal)
      }
    },
    release: async ({ caller, id }) => {
      const done = await engine.execute(requestId(contract, caller, id), { type: 'ReleaseReply', by: caller, how: 'client' }, context(caller))
      if (E.isRight(done)) return 'released'
      if (!('type' in done.left)) return refusedOf(done.left)
      if (done.left.type === 'erased') return 'released'
      return done.left.type === 'pending' || done.left.type === 'not-found' ? done.left.type : refusedOf(done.left)
    },
    close: async () => closing.abort(),
  }
}

// The answer that a settled request has for whoever asks for it: its reply, byte for byte, or why there is none, the same each time (spec C 4, rules 33).
import * as E from 'fp-ts/lib/Either.js'
import { isGone, nameIn, surfaceState, type Settled, type WorkItemId } from '../wire/words.ts'
import type { KeptReply } from '../engine/contracts/reply-shelf.ts'
import { noLongerLetIn, type Answer, type Call } from './call.ts'
import { fromRefusal, type Problem } from './problem.ts'
import { releaseHeader } from './request-views.ts'

export const REPLAYED = { 'Idempotency-Replayed': 'true' } as const

/** Why a request that settled without a reply has none. */
const withoutReply = (item: Settled): Problem => {
  const state = surfaceState(item)
  const said = item.failure === undefined ? undefined : `${item.failure.message} (${item.failure.code})`
  const code = item.end === 'aborted' ? 'aborted' : item.end === 'cancelled' ? 'cancelled' : 'interrupted'
  return { code, detail: said, state, headers: REPLAYED }
}

/** The reply of a settled request, or the problem that stands in its place. */
export const settledReply = async (call: Call, workItem: WorkItemId, item: Settled): Promise<E.Either<Problem, KeptReply & { readonly body: Uint8Array }>> => {
  if (isGone(item, call.engine.now())) return E.left({ code: 'released', state: surfaceState(item) })
  const reply = await call.engine.contracts.replyOf(workItem, item)
  if (E.isLeft(reply)) return E.left(fromRefusal(reply.left))
  if (reply.right === undefined) return E.left(withoutReply(item))
  const { head, body } = reply.right
  if (body !== undefined) return E.right({ head, body })
  const digest = head.bodyDigest === undefined ? '' : `, SHA-256 ${head.bodyDigest}`
  return E.left({ code: 'reply-not-kept', detail: `It had the status ${head.status} and ${head.bytes} bytes${digest}.`, state: surfaceState(item), headers: REPLAYED })
}

/** Gives the reply on as the answer itself: status, headers and bytes as they were made, with what Stint has to say about it. */
export const giveReply = (workItem: WorkItemId, item: Settled, { head, body }: KeptReply & { readonly body: Uint8Array }, isReplayed: boolean): Answer<never> => ({
  status: head.status,
  given: { headers: head.headers, body },
  headers: {
    'Stint-Work-Item': workItem,
    'Stint-Release': releaseHeader(item, item.request?.contract ?? '', nameIn(workItem)),
    ...(isReplayed ? REPLAYED : {}),
  },
})

/** Waits until the request is settled, the caller's time is over, or another item of the exchange has its answer; answers the item as it is then, if the caller still may have it. */
export const untilSettled = async (
  call: Call,
  workItem: WorkItemId,
  waitMs: number,
  mayStill: () => E.Either<Problem, unknown>,
): Promise<E.Either<Problem, ReturnType<Call['engine']['live']>>> => {
  const until = call.world.monotonic() + waitMs
  const over = call.gathering?.over ?? call.signal
  for (;;) {
    const item = call.engine.live(workItem)
    if (item === undefined || item.status === 'settled') return E.right(item)
    const left = until - call.world.monotonic()
    if (left <= 0 || over.aborted) return E.right(item)
    await call.engine.changed(workItem, left, over)
    if (call.signal.aborted) return E.right(call.engine.live(workItem))
    const still = (await call.isStillAllowed()) ? mayStill() : E.left(noLongerLetIn)
    if (E.isLeft(still)) return still
  }
}

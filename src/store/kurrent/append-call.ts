// Appends over one open call: all travel on it, in the order in which they are sent, and each is answered on its own. An append that is not answered in time,
// or whose call ends, is answered `unknown`; nothing is tried again here.
import type { BatchAppendResp } from '@eventstore/db-client/generated/streams_pb.js'
import type { Cancel, World } from '../../world.ts'
import { answerOf, requestOf, type Answer, type WireAppend } from './append-requests.ts'
import { SilenceError, type AppendCall, type Connection } from './connection.ts'
import { kindOfFailure } from './failures.ts'

interface Pending {
  readonly sentAt: number
  readonly settle: (answer: Answer) => void
}

/** One call with what is under way on it. The client's own keeps that in one map for the whole process, and so loses answers when it connects anew. */
interface OpenCall {
  readonly pending: Map<string, Pending>
  /** There once it is open. */
  call?: AppendCall
  /** What was sent before it was open. */
  queued: (() => void)[]
  /** Whether anything was ever answered on it. */
  isAnswered: boolean
}

/** What an append asks of whoever watches the log. */
export interface Assurance {
  /** Resolves once it is known that the log is the one that was opened; at once if nothing has failed since. Rejects with why not. */
  readonly sure: () => Promise<void>
  /** Something broke off: what is there now may be another log. */
  readonly doubted: () => void
}

export class AppendSender {
  readonly #connection: Connection
  readonly #world: World
  readonly #deadlineMs: number
  #open: OpenCall | undefined
  #reach: Assurance = { sure: async () => undefined, doubted: () => undefined }
  #cancelTimer: Cancel | undefined

  constructor(connection: Connection, world: World, deadlineMs: number) {
    this.#connection = connection
    this.#world = world
    this.#deadlineMs = deadlineMs
  }

  /** Asks it from now on whether the log is the right one, before anything is sent on a new call. */
  askFirst(reach: Assurance): void {
    this.#reach = reach
  }

  /** Sends it behind what was sent before. */
  send(append: WireAppend): Promise<Answer> {
    return new Promise((settle) => {
      const open = (this.#open ??= this.#begin())
      const correlationId = this.#world.uuid()
      open.pending.set(correlationId, { sentAt: this.#world.monotonic(), settle })
      this.#watch(open)
      // Given up before the call was open, it must not be sent any more.
      const write = (): void => {
        if (open.pending.has(correlationId)) open.call?.write(requestOf(this.#connection.library, correlationId, append))
      }
      if (open.call === undefined) open.queued.push(write)
      else write()
    })
  }

  /** Ends the call; what is under way is `unknown`. */
  close(): void {
    this.#open?.call?.cancel()
    this.#cancelTimer?.()
  }

  #begin(): OpenCall {
    const open: OpenCall = { pending: new Map(), queued: [], isAnswered: false }
    const over = (cause: unknown): void => {
      this.#reach.doubted()
      if (this.#open === open) this.#open = undefined
      const kind = !open.isAnswered && kindOfFailure(cause) === 'unsent' ? 'unsent' : 'unknown'
      this.#settle(open, (pending) => pending.settle({ kind, cause }))
    }
    const unsent = (cause: unknown): void => {
      if (this.#open === open) this.#open = undefined
      this.#settle(open, (pending) => pending.settle({ kind: 'unsent', cause }))
    }
    this.#connection.openAppends({ answer: (response) => this.#answered(open, response), over }).then(async (call) => {
      try {
        await this.#reach.sure()
      } catch (cause) {
        unsent(cause)
      }
      // All that waited may have been given up meanwhile.
      if (this.#open !== open) return call.cancel()
      open.call = call
      const queued = open.queued
      open.queued = []
      for (const write of queued) write()
    }, unsent)
    return open
  }

  #answered(open: OpenCall, response: BatchAppendResp): void {
    open.isAnswered = true
    const correlationId = response.getCorrelationId()?.getString() ?? ''
    const pending = open.pending.get(correlationId)
    // An answer that comes too late: whoever waited for it looks for its events itself.
    if (pending === undefined) return
    open.pending.delete(correlationId)
    pending.settle(answerOf(this.#connection.library, response))
  }

  #settle(open: OpenCall, tell: (pending: Pending) => void): void {
    const all = [...open.pending.values()]
    open.pending.clear()
    for (const pending of all) tell(pending)
  }

  /** One timer for all: they are due in the order in which they were sent. */
  #watch(open: OpenCall): void {
    if (this.#cancelTimer !== undefined) return
    const [oldest] = open.pending.values()
    if (oldest === undefined) return
    this.#cancelTimer = this.#world.timer(oldest.sentAt + this.#deadlineMs - this.#world.monotonic(), () => {
      this.#cancelTimer = undefined
      this.#expire(open)
      if (this.#open !== undefined) this.#watch(this.#open)
    })
  }

  #expire(open: OpenCall): void {
    const cause = new SilenceError(this.#deadlineMs)
    const due = this.#world.monotonic() - this.#deadlineMs
    // On a call that was never opened nothing was sent.
    const kind = open.call === undefined ? 'unsent' : 'unknown'
    let lastSentAt = -Infinity
    for (const [correlationId, { sentAt, settle }] of open.pending) {
      if (sentAt > due) break
      open.pending.delete(correlationId)
      lastSentAt = sentAt
      settle({ kind, cause })
    }
    if (open.call === undefined || lastSentAt === -Infinity) return
    // Where others were answered since, only these answers were lost.
    if (!this.#connection.doubt(lastSentAt, cause)) return
    if (this.#open === open) this.#open = undefined
    open.call.cancel()
  }
}

// Group commit without a timer: what is asked while a commit is under way travels together in the next one. Also the place where
// too much at once is refused, and where a failed commit turns into an answer for everyone who waited for it.
import * as E from 'fp-ts/lib/Either.js'
import type { InFlightLimits } from '../append-check.ts'
import { StoreFault, type AppendFailure, type Appended, type Erasure, type EventToAppend, type ExpectedRevision, type Pruned } from '../port.ts'
import { positionAt } from '../position.ts'
import { actualOfConflict, encodeBatch, unavailable, type Operation, type Outcome, type Pruning } from './batch.ts'
import type { WriterThread } from './writer-thread.ts'

/** An operation with the two ways in which it can end. */
type Waiting = Operation & {
  readonly bytes: number
  /** `result` and, where there is one, `second` as in the batch's outcome; `last` is the number of the last event so far. */
  readonly done: (result: number, last: number, second: number) => void
  readonly failed: (fault: StoreFault) => void
}

export class GroupCommit {
  readonly #thread: WriterThread
  readonly #limits: InFlightLimits
  readonly #onCommit: () => void
  readonly #onFatal: (cause: Error) => void
  #queued: Waiting[] = []
  #sent: readonly Waiting[] = []
  #scheduled = false
  #inFlight = 0
  #bytes = 0
  /** Why nothing is taken any more. */
  #stopped: StoreFault | undefined
  #drained: (() => void) | undefined

  constructor(thread: WriterThread, limits: InFlightLimits, on: { readonly commit: () => void; readonly fatal: (cause: Error) => void }) {
    this.#thread = thread
    this.#limits = limits
    this.#onCommit = on.commit
    this.#onFatal = on.fatal
    thread.listen({ outcome: (outcome) => this.#answer(outcome), fatal: (cause) => this.#fail(cause) })
  }

  /** Resolves after the commit. `bytes` is what the append weighs. One promise and no more: at full load they would cost as much as the rest of this thread's part. */
  append(stream: string, expected: ExpectedRevision, events: readonly EventToAppend[], bytes: number): Promise<E.Either<AppendFailure, Appended>> {
    return new Promise((resolve) =>
      this.#ask({
        kind: 'append',
        stream,
        expected,
        events,
        bytes,
        done: (result, last) => resolve(result < 0 ? E.left({ kind: 'conflict', actual: actualOfConflict(result) }) : E.right(this.#appended(result, last))),
        failed: (fault) => resolve(E.left(fault)),
      }),
    )
  }

  /** As `append`, and answers how many events of the stream were erased. */
  erase(stream: string, expected: ExpectedRevision, tombstone: readonly EventToAppend[], bytes: number): Promise<E.Either<AppendFailure, Erasure>> {
    return new Promise((resolve) =>
      this.#ask({
        kind: 'erase',
        stream,
        expected,
        events: tombstone,
        bytes,
        done: (result, last, erased) => resolve(result < 0 ? E.left({ kind: 'conflict', actual: actualOfConflict(result) }) : E.right({ ...this.#appended(result, last), erased })),
        failed: (fault) => resolve(E.left(fault)),
      }),
    )
  }

  prune(asked: Omit<Pruning, 'kind'>): Promise<E.Either<StoreFault, Pruned>> {
    return new Promise((resolve) =>
      this.#ask({
        kind: 'prune',
        ...asked,
        bytes: 0,
        done: (pruned, _last, next) => resolve(E.right(next === 0 ? { pruned } : { pruned, next: positionAt(this.#thread.identity.incarnation, next) })),
        failed: (fault) => resolve(E.left(fault)),
      }),
    )
  }

  #appended(revision: number, last: number): Appended {
    return { revision, position: positionAt(this.#thread.identity.incarnation, last) }
  }

  /** Takes nothing more and resolves when everything taken is answered. */
  stop(): Promise<void> {
    this.#stopped ??= unavailable('The store is closed')
    return this.#inFlight === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve))
  }

  #ask(asked: Waiting): void {
    if (this.#stopped !== undefined) return asked.failed(this.#stopped)
    if (this.#inFlight >= this.#limits.appends || this.#bytes + asked.bytes > this.#limits.bytes) {
      return asked.failed(new StoreFault('overloaded', `${this.#inFlight} appends of ${this.#bytes} bytes are under way; try again later`))
    }
    this.#inFlight += 1
    this.#bytes += asked.bytes
    this.#queued.push(asked)
    this.#schedule()
  }

  /** After the callbacks of this turn of the loop, so that what they ask travels together. */
  #schedule(): void {
    if (this.#scheduled || this.#sent.length > 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#queued.length === 0 || this.#sent.length > 0) return
    this.#sent = this.#queued
    this.#queued = []
    this.#thread.send(encodeBatch(this.#sent))
  }

  #answer(outcome: Outcome): void {
    const answered = this.#sent
    this.#sent = []
    // Before the answers, which take this thread their time: the writer has work meanwhile.
    this.#send()
    switch (outcome.kind) {
      case 'refused':
        this.#refuse(answered, unavailable(`${outcome.message}; nothing was stored`))
        break
      case 'committed':
        this.#settleEach(answered, outcome.first, outcome.results)
        this.#onCommit()
        break
    }
  }

  #settleEach(answered: readonly Waiting[], first: number, results: readonly number[]): void {
    let last = first - 1
    let at = 0
    for (const waiting of answered) {
      const result = results[at++] as number
      const second = waiting.kind === 'append' || result < 0 ? 0 : (results[at++] as number)
      if (result >= 0 && waiting.kind !== 'prune') last += waiting.events.length
      waiting.done(result, last, second)
    }
    this.#release(answered)
  }

  #refuse(all: readonly Waiting[], fault: StoreFault): void {
    for (const waiting of all) waiting.failed(fault)
    this.#release(all)
  }

  #release(answered: readonly Waiting[]): void {
    this.#inFlight -= answered.length
    for (const waiting of answered) this.#bytes -= waiting.bytes
    if (this.#inFlight > 0) return
    this.#drained?.()
    this.#drained = undefined
  }

  /** What the writer had is in doubt; what it had not is certainly not stored. Nothing is tried again (rules 9). */
  #fail(cause: Error): void {
    const sent = this.#sent
    const queued = this.#queued
    const first = this.#stopped === undefined || sent.length + queued.length > 0
    this.#stopped = unavailable(`The log takes no more: ${cause.message}. Restart to find out what is stored`, cause)
    this.#sent = []
    this.#queued = []
    this.#refuse(sent, new StoreFault('unknown-outcome', `The commit failed: ${cause.message}. Whether it is stored is known after a restart`, { cause }))
    this.#refuse(queued, this.#stopped)
    if (first) this.#onFatal(cause)
  }
}

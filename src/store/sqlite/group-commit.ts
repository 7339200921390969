// Group commit without a timer: what is asked while a commit is under way is written together in the next one. Also the place where
// too much at once is refused, and where a failed commit turns into an answer for everyone who waited for it.
import * as E from 'fp-ts/lib/Either.js'
import type { InFlightLimits } from '../append-check.ts'
import { StoreFault, type AppendFailure, type Appended, type Erasure, type EventToAppend, type ExpectedRevision, type Pruned } from '../port.ts'
import { positionAt } from '../position.ts'
import type { World } from '../../world.ts'
import { actualOfConflict, full, unavailable, type Operation, type Outcome, type Pruning } from './batch.ts'
import type { Hold } from './checkpoint.ts'
import { describeError } from './errors.ts'
import type { LogWriter } from './log-writer.ts'

/** An operation with the two ways in which it can end. */
type Waiting = Operation & {
  readonly bytes: number
  /** `result` and, where there is one, `second` as in the batch's outcome; `last` is the number of the last event so far. */
  readonly done: (result: number, last: number, second: number) => void
  readonly failed: (fault: StoreFault) => void
}

/** How long another process that holds the write lock is waited for, and how often it is looked after, milliseconds. */
const BUSY_MS = 1_000
const BUSY_AGAIN_MS = 5

/** What is written to, made durable and tidied up. */
export interface Log {
  readonly incarnation: string
  readonly write: LogWriter['write']
  /** See `Sync`. */
  readonly sync: () => Promise<void> | undefined
  readonly tidy: LogWriter['tidy']
}

export class GroupCommit {
  readonly #log: Log
  readonly #limits: InFlightLimits
  readonly #world: Pick<World, 'monotonic' | 'timer'>
  readonly #onCommit: () => void
  readonly #onFatal: (cause: Error) => void
  #queued: Waiting[] = []
  #sent: readonly Waiting[] = []
  #scheduled = false
  /** Nothing is to be written for now. */
  #held = false
  /** Told when nothing is being written. */
  #freed: (() => void) | undefined
  #inFlight = 0
  #bytes = 0
  /** Why nothing is taken any more. */
  #stopped: StoreFault | undefined
  #failed = false
  #drained: (() => void) | undefined

  constructor(log: Log, limits: InFlightLimits, world: Pick<World, 'monotonic' | 'timer'>, on: { readonly commit: () => void; readonly fatal: (cause: Error) => void }) {
    this.#log = log
    this.#limits = limits
    this.#world = world
    this.#onCommit = on.commit
    this.#onFatal = on.fatal
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
        done: (pruned, _last, next) => resolve(E.right(next === 0 ? { pruned } : { pruned, next: positionAt(this.#log.incarnation, next) })),
        failed: (fault) => resolve(E.left(fault)),
      }),
    )
  }

  #appended(revision: number, last: number): Appended {
    return { revision, position: positionAt(this.#log.incarnation, last) }
  }

  /** Takes nothing more and resolves when everything taken is answered. */
  stop(): Promise<void> {
    this.#stopped ??= unavailable('The store is closed')
    return this.#inFlight === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve))
  }

  /** Whether something failed of which nobody knows what it left behind. */
  get failed(): boolean {
    return this.#failed
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

  /** After the callbacks of this turn of the loop, so that what they ask is written together. */
  #schedule(): void {
    if (this.#scheduled || this.#sent.length > 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#queued.length === 0 || this.#sent.length > 0 || this.#held) return
    this.#sent = this.#queued
    this.#queued = []
    this.#write(this.#world.monotonic() + BUSY_MS)
  }

  #write(until: number): void {
    // A failure, or the end, has answered everyone meanwhile.
    if (this.#sent.length === 0) return
    try {
      const outcome = this.#log.write(this.#sent)
      switch (outcome.kind) {
        case 'busy':
          if (this.#world.monotonic() < until) return void this.#world.timer(BUSY_AGAIN_MS, () => this.#write(until))
          return this.#answer((sent) => this.#refuse(sent, unavailable('Another process holds the write lock of the log; nothing was stored')))
        case 'refused':
          return this.#answer((sent) => this.#refuse(sent, full(`${outcome.message}; nothing was stored`)))
        case 'written':
          return this.#sync(outcome)
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #sync({ isDurable, first, results }: Extract<Outcome, { readonly kind: 'written' }>): void {
    const durable = (): void =>
      this.#answer((sent) => {
        this.#settleEach(sent, first, results)
        this.#onCommit()
      })
    const synced = isDurable ? undefined : this.#log.sync()
    if (synced === undefined) durable()
    else void synced.then(durable, (error: unknown) => this.#fail(error))
  }

  /** Those who wait first; then what can wait, and what was asked meanwhile. */
  #answer(settle: (sent: readonly Waiting[]) => void): void {
    const sent = this.#sent
    this.#sent = []
    settle(sent)
    this.#free()
    setImmediate(() => this.#tidy())
  }

  #free(): void {
    this.#freed?.()
    this.#freed = undefined
  }

  readonly #hold: Hold = async (run) => {
    if (this.#sent.length > 0) await new Promise<void>((resolve) => (this.#freed = resolve))
    this.#held = true
    try {
      await run()
    } finally {
      this.#held = false
      this.#send()
    }
  }

  #tidy(): void {
    if (this.#failed) return
    // Whoever closes the log tidies up at the end.
    if (this.#stopped === undefined) {
      try {
        void this.#log.tidy(this.#hold)?.catch((error: unknown) => this.#fail(error))
      } catch (error) {
        return this.#fail(error)
      }
    }
    this.#send()
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

  /** What was being written is in doubt; what was not is certainly not stored. Nothing is tried again (rules 9). */
  #fail(error: unknown): void {
    const cause = new Error(describeError(error), { cause: error })
    const sent = this.#sent
    const queued = this.#queued
    // What goes wrong while nobody has anything to lose any more is found out by the next start.
    const isNews = !this.#failed && (this.#stopped === undefined || sent.length + queued.length > 0)
    this.#failed = true
    this.#stopped = unavailable(`The log takes no more: ${cause.message}. Restart to find out what is stored`, cause)
    this.#sent = []
    this.#queued = []
    this.#refuse(sent, new StoreFault('unknown-outcome', `The commit failed: ${cause.message}. Whether it is stored is known after a restart`, { cause }))
    this.#refuse(queued, this.#stopped)
    this.#free()
    if (isNews) this.#onFatal(cause)
  }
}

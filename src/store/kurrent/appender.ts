// Appends as the port means them: one after another on each stream, never reported as failed while they may be stored. An append of unknown outcome is looked
// for in its stream by its ids, and sent again with the same ids and the same expected revision, until it is known what became of it.
import * as E from 'fp-ts/lib/Either.js'
import type { World } from '../../world.ts'
import { tooLarge, type InFlightLimits } from '../append-check.ts'
import { StoreFault, type AppendFailure, type Appended, type EventToAppend, type ExpectedRevision } from '../port.ts'
import type { AppendSender } from './append-call.ts'
import type { Answer, WireAppend, WireExpected } from './append-requests.ts'
import { encodeEvent, sizeOnServer, type StoredForm } from './event-codec.ts'
import { faultOf, saidBy } from './failures.ts'
import type { Patience, Trying } from './patience.ts'
import type { Dated, KurrentReach, Known } from './reach.ts'
import { positionOf } from './streams.ts'

/** What a stream shows of an append that may be in it. */
export type Sighting =
  | { readonly kind: 'stored'; readonly revision: number; readonly commit: bigint }
  /** Others are where it would be. */
  | { readonly kind: 'passed'; readonly actual: number }
  | { readonly kind: 'absent' }

/** Looks where an append would be. Rejects if the store cannot be read. */
export type LookFor = (append: WireAppend) => Promise<Sighting>

/** Revision of the last event of a stream that can be read, -1 if there is none. Rejects if the store cannot be read. */
export type LastOf = (stream: string) => Promise<number>

export interface AppenderOptions {
  readonly sender: AppendSender
  readonly lookFor: LookFor
  readonly lastOf: LastOf
  readonly patience: Patience
  readonly world: World
  readonly incarnation: string
  readonly limits: InFlightLimits
  readonly maxAppendBytes: number
  /** Bytes that the server takes in one append, as it counts them. */
  readonly serverBytesMax: number
  /** Of its last event; `dated` where its first answer has come. */
  readonly onAppended: (event: Known, dated?: Dated) => void
  readonly reach: Pick<KurrentReach, 'refusal' | 'failed'>
}

type Outcome = E.Either<AppendFailure, Appended>

/** Streams whose last revision is remembered for appends that expect nothing. */
const REMEMBERED_MAX = 10_000

/** Ids of one append: new for each, as the server would take a known id for a repeat of what it knows, whatever it holds. The port has no such repeats. */
const idsFor = (world: World, count: number): readonly string[] => {
  const first = world.uuid()
  if (count === 1) return [first]
  const start = BigInt(`0x${first.slice(24)}`)
  return Array.from(
    { length: count },
    (_, index) =>
      first.slice(0, 24) +
      BigInt.asUintN(48, start + BigInt(index))
        .toString(16)
        .padStart(12, '0'),
  )
}

/** Conflicts of one append that expects nothing, after which it is given back: so many others append to the stream at the same time. */
const CONFLICTS_MAX = 100
/** The server's sign for a place that it cannot tell any more: -1, without its sign. */
const NO_COMMIT = 2n ** 63n

export class Appender {
  readonly #options: AppenderOptions
  /** The end of what is under way on each stream. */
  readonly #lanes = new Map<string, Promise<unknown>>()
  /** Where streams ended when they were last appended to. */
  readonly #ends = new Map<string, number>()
  #inFlight = 0
  #bytes = 0
  #closed = false
  #drained: (() => void) | undefined

  constructor(options: AppenderOptions) {
    this.#options = options
  }

  /** `bytes` is what the append weighs as the port counts. */
  append(stream: string, expected: ExpectedRevision, events: readonly EventToAppend[], bytes: number): Promise<Outcome> {
    const { limits, maxAppendBytes, serverBytesMax } = this.#options
    if (bytes > maxAppendBytes) return Promise.resolve(E.left(tooLarge(maxAppendBytes)))
    if (this.#closed) return Promise.resolve(E.left(new StoreFault('unavailable', 'The store is closed')))
    const refusal = this.#options.reach.refusal()
    if (refusal !== undefined) return Promise.resolve(E.left(refusal))
    if (this.#inFlight >= limits.appends || this.#bytes + bytes > limits.bytes)
      return Promise.resolve(E.left(new StoreFault('overloaded', `${this.#inFlight} appends of ${this.#bytes} bytes are under way; try again later`)))
    const stored = events.map(encodeEvent)
    let onServer = 0
    for (const form of stored) onServer += sizeOnServer(form)
    if (onServer > serverBytesMax) return Promise.resolve(E.left(tooLarge(maxAppendBytes)))
    this.#inFlight += 1
    this.#bytes += bytes
    const before = this.#lanes.get(stream)
    const run = (): Promise<Outcome> => this.#run(stream, expected, stored)
    const done = (before === undefined ? run() : before.then(run)).finally(() => {
      if (this.#lanes.get(stream) === done) this.#lanes.delete(stream)
      this.#inFlight -= 1
      this.#bytes -= bytes
      if (this.#inFlight === 0) this.#drained?.()
    })
    this.#lanes.set(stream, done)
    return done
  }

  /** Takes nothing more and resolves when everything taken is answered. */
  stop(): Promise<void> {
    this.#closed = true
    return this.#inFlight === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve))
  }

  async #run(stream: string, expected: ExpectedRevision, events: readonly StoredForm[]): Promise<Outcome> {
    const { patience, world } = this.#options
    const trying = patience.begin()
    const ids = idsFor(world, events.length)
    let at: WireExpected = expected === 'any' ? (this.#ends.get(stream) ?? 'noStream') : expected
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const outcome = await this.#settle({ stream, expected: at, ids, events }, trying)
      if (E.isRight(outcome)) {
        this.#remember(stream, outcome.right.revision)
        return outcome
      }
      if (outcome.left instanceof StoreFault || outcome.left.kind !== 'conflict') return outcome
      if (expected !== 'any') return this.#shown(stream, outcome.left.actual, trying)
      // Nothing of it is stored, and now it is known where the stream ends.
      at = outcome.left.actual === -1 ? 'noStream' : outcome.left.actual
    }
    return E.left(new StoreFault('overloaded', `${CONFLICTS_MAX} others have appended to ${stream} meanwhile; try again later`))
  }

  /**
   * A conflict, once what it is with can be read. It counts for the server as soon as its leader has it, and is shown when a majority of the cluster has it; who
   * decides anew in between would decide on the same state, and be in conflict again.
   */
  async #shown(stream: string, actual: number, trying: Trying): Promise<Outcome> {
    for (let cause: unknown; ;) {
      try {
        if (actual === -1 || (await this.#options.lastOf(stream)) >= actual) {
          this.#options.patience.worked()
          return E.left({ kind: 'conflict', actual })
        }
      } catch (error) {
        cause = error
      }
      if (!(await trying.again())) return E.left(faultOf(cause, `Nothing was appended to ${stream}, and what others have appended there cannot be read yet`))
    }
  }

  /** One append with one expected revision, until it is known what became of it or the time is over. */
  async #settle(append: WireAppend, trying: Trying): Promise<Outcome> {
    const { sender, world, reach } = this.#options
    let isInDoubt = false
    for (;;) {
      const from = world.now()
      const answer = await sender.send(append)
      if (answer.kind === 'stored' && (!isInDoubt || answer.commit < NO_COMMIT)) {
        // One that may have been stored by an earlier attempt was dated at another time.
        const dated = isInDoubt ? undefined : { from, to: world.now(), monotonic: world.monotonic() }
        return this.#stored(append, answer.revision, answer.commit, dated)
      }
      if (!isInDoubt) {
        const refused = this.#refused(append, answer)
        if (refused !== undefined) return refused
      }
      isInDoubt ||= answer.kind === 'unknown'
      const cause = 'cause' in answer ? answer.cause : undefined
      // What was answered is answered after an attempt that was not: only the stream tells which of them counts.
      const isAnswered = answer.kind === 'stored' || answer.kind === 'conflict'
      if (!isAnswered) reach.failed()
      if (!isAnswered && !(await trying.again())) return E.left(isInDoubt ? this.#doubt(append, cause) : faultOf(cause, `Nothing was appended to ${append.stream}`))
      if (!isInDoubt) continue
      const found = await this.#look(append, trying)
      if (found !== undefined) return found
      // Neither it nor others: what it is in conflict with may go again, with a leader that has no majority, and then an earlier attempt could get through.
      if (isAnswered && !(await trying.again())) return E.left(this.#doubt(append, cause))
    }
  }

  /** What an answer says for certain while no earlier attempt is in doubt; undefined: it is to be tried again. */
  #refused(append: WireAppend, answer: Answer): Outcome | undefined {
    switch (answer.kind) {
      case 'conflict':
        this.#options.patience.worked()
        return E.left({ kind: 'conflict', actual: answer.actual })
      case 'tooLarge':
        return E.left(tooLarge(Math.min(answer.limitBytes, this.#options.maxAppendBytes)))
      case 'final':
        return E.left(faultOf(answer.cause, `Nothing was appended to ${append.stream}`))
      case 'stored':
      case 'busy':
      case 'unsent':
      case 'unknown':
        return undefined
    }
  }

  /** Looks for it until the stream can be read; undefined if it is not there and nobody else is. */
  async #look(append: WireAppend, trying: Trying): Promise<Outcome | undefined> {
    for (;;) {
      try {
        const sighting = await this.#options.lookFor(append)
        switch (sighting.kind) {
          case 'stored':
            return this.#stored(append, sighting.revision, sighting.commit)
          case 'passed':
            // The revision that it expects will never be the last again, so it cannot be stored any more.
            return E.left({ kind: 'conflict', actual: sighting.actual })
          case 'absent':
            return undefined
        }
      } catch (cause) {
        if (!(await trying.again())) return E.left(this.#doubt(append, cause))
      }
    }
  }

  #stored({ stream, ids }: WireAppend, revision: number, commit: bigint, dated?: Dated): Outcome {
    const { patience, onAppended, incarnation } = this.#options
    patience.worked()
    onAppended({ stream, revision, commit, id: ids.at(-1) ?? '' }, dated)
    return E.right({ revision, position: positionOf(incarnation, commit) })
  }

  #doubt({ stream }: WireAppend, cause: unknown): StoreFault {
    return new StoreFault('unknown-outcome', `An append to ${stream} may or may not be stored, and EventStoreDB could not be asked: ${saidBy(cause)}`, { cause })
  }

  #remember(stream: string, revision: number): void {
    this.#ends.delete(stream)
    this.#ends.set(stream, revision)
    if (this.#ends.size <= REMEMBERED_MAX) return
    const [oldest] = this.#ends.keys()
    if (oldest !== undefined) this.#ends.delete(oldest)
  }
}

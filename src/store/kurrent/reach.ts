// Whether the log can be reached, and is still the one that was opened. It is asked again and again, so that a server that has lost its log knows it while nobody asks it for anything,
// and after everything that broke off before anything else is asked: what is found there then may be another log, or this one as it was at an earlier time.
//
//   every 5 s, and when something fails ─▶ who are you? is my newest append there? ─▶ yes: reached, and how far our clocks are apart · no: trouble, asked again every second
import * as E from 'fp-ts/lib/Either.js'
import type { Cancel, World } from '../../world.ts'
import { StoreFault, type Reach, type Trouble } from '../port.ts'
import type { Assurance } from './append-call.ts'
import type { Connection } from './connection.ts'
import { faultOf, kindOfFailure } from './failures.ts'
import { identityOf, type Identity } from './identity.ts'
import { wireReader, type WireReader } from './wire-reader.ts'
import { metadataOf } from './metadata.ts'
import type { Patience } from './patience.ts'
import { streamRequest, type WireEvent } from './read-requests.ts'
import { IDENTITY_STREAM } from './streams.ts'

/** An event that this process has read or appended. */
export interface Known {
  readonly stream: string
  readonly revision: number
  readonly commit: bigint
  readonly id: string
}

/** By this machine's wall: between these the server has dated an append. */
export interface Dated {
  readonly from: number
  readonly to: number
  /** The monotonic clock at `to`. */
  readonly monotonic: number
}

export interface ReachOptions {
  readonly connection: Connection
  readonly world: World
  readonly identity: Identity
  readonly patience: Patience
  /** Trouble for longer than this is told to everybody at once. */
  readonly patienceMs: number
}

export interface KurrentReach extends Reach, Assurance {
  /** Something failed that may pass: looks whether the log can be reached. */
  readonly failed: () => void
  /** The log holds this event; `dated` where this process has just appended it, and its first answer has come. */
  readonly holds: (event: Known, dated?: Dated) => void
  /** What is to be answered without asking the server, if anything. */
  readonly refusal: () => StoreFault | undefined
  readonly close: () => void
}

const ASK_EVERY_MS = 5_000
const ASK_AGAIN_MS = 1_000
const OTHER_TIMES = 2
/** What the clocks may differ by before it is news. */
const CLOCK_NEWS_MS = 1_000

const REPLACED = 'The log in EventStoreDB is another than the one that this server has read'
const BEHIND = 'The log in EventStoreDB lacks what it has shown to this server'
const RESTART = 'if it was restored from a backup or replaced, restart this server, so that it reads the log anew'

/** Why it is not the log that was opened. */
class OtherLogError extends Error {
  constructor(what: string, detail: string) {
    super(`${what} (${detail}); ${RESTART}`)
    this.name = 'OtherLogError'
  }
}

/** Rejects with OtherLogError unless the log says that it is who it was. */
const assertSameLog = async ({ connection, identity }: ReachOptions, { read }: WireReader): Promise<void> => {
  const [first] = await read(streamRequest(connection.library, IDENTITY_STREAM, { from: 0, max: 1 }))
  if (first === undefined) throw new OtherLogError(REPLACED, 'it holds no log of Stint')
  const found = identityOf(first)
  if (found.storeId === identity.storeId && found.incarnation === identity.incarnation && found.origin === identity.origin) return
  throw new OtherLogError(REPLACED, `incarnation ${identity.incarnation} became ${found.incarnation}`)
}

/** The event as the log has it; undefined where the stream was truncated or deleted since. Rejects with OtherLogError where it should be and is not. */
const readBack = async ({ connection }: ReachOptions, wire: WireReader, { stream, revision, commit, id }: Known): Promise<WireEvent | undefined> => {
  const lacking = new OtherLogError(BEHIND, `event ${revision} of the stream ${stream}`)
  const [event] = await wire.read(streamRequest(connection.library, stream, { from: revision, max: 1 }))
  if (event !== undefined && event.revision > revision) return undefined
  if (event !== undefined) {
    if (event.commit !== commit || event.id !== id) throw lacking
    return event
  }
  const [end] = await wire.read(streamRequest(connection.library, stream, { from: 'end', max: 1, isBackwards: true }))
  if (end !== undefined && end.revision < revision) throw lacking
  // Who deletes or limits a stream by hand leaves a mark in its metadata.
  if (end === undefined && (await metadataOf(connection, wire, stream)).revision === undefined) throw lacking
  return undefined
}

/** How far the wall of this machine is from the server's clock, as far as one append tells; on the monotonic clock it goes on telling when the wall is set. */
const createClockWatch = (world: World) => {
  let measured: { readonly ahead: number; readonly behind: number; readonly shift: number } | undefined
  const shiftNow = (): number => world.now() - world.monotonic()
  return {
    measure: (created: number, { from, to, monotonic }: Dated): void => {
      if (Number.isFinite(created)) measured = { ahead: from - created, behind: created - to, shift: to - monotonic }
    },
    offMs: (): number => {
      if (measured === undefined) return 0
      const set = shiftNow() - measured.shift
      if (measured.ahead + set > 0) return measured.ahead + set
      return measured.behind - set > 0 ? set - measured.behind : 0
    },
  }
}

interface Since {
  readonly reason: string
  /** Monotonic. */
  readonly since: number
  /** How often in a row the log was another. Once is not enough: a node that led before may not know yet that others have gone on without it. */
  readonly otherTimes: number
}

/** Begins to ask at once. */
export const watchReach = (options: ReachOptions): KurrentReach => {
  const { world, patience, patienceMs } = options
  // Not behind other reads, which may hang.
  const wire = wireReader(options.connection)
  const clock = createClockWatch(world)
  const listeners: (() => void)[] = []
  let isClosed = false
  let isSure = true
  /** Grows whenever something broke off, so that an answer from before does not count. */
  let doubts = 0
  let newest: Known | undefined
  /** Not measured yet. */
  let appended: { readonly event: Known; readonly dated: Dated } | undefined
  let away: Since | undefined
  let told: string | undefined
  let asking: Promise<E.Either<unknown, void>> | undefined
  let askedAt = -Infinity
  let cancel: Cancel = () => undefined

  const trouble = (): Trouble | undefined =>
    away === undefined ? undefined : { reason: away.reason, isRefusing: away.otherTimes >= OTHER_TIMES || world.monotonic() - away.since >= patienceMs }

  /** Tells those who listen where what is to be said is other than what was told. */
  const tell = (): void => {
    const now = trouble()
    const saying = JSON.stringify([now?.isRefusing, Math.abs(clock.offMs()) > CLOCK_NEWS_MS])
    if (saying === told) return
    told = saying
    for (const listener of listeners) listener()
  }

  const ask = async (): Promise<void> => {
    await assertSameLog(options, wire)
    const back = (event: Known): Promise<WireEvent | undefined> =>
      readBack(options, wire, event).catch((cause: unknown) => {
        if (cause instanceof OtherLogError || kindOfFailure(cause) !== 'deleted') throw cause
        return undefined
      })
    const toMeasure = appended
    if (newest !== undefined && newest !== toMeasure?.event) await back(newest)
    if (toMeasure === undefined) return
    const event = await back(toMeasure.event)
    if (event !== undefined) clock.measure(event.created, toMeasure.dated)
    if (appended === toMeasure) appended = undefined
  }

  const askOnce = async (): Promise<E.Either<unknown, void>> => {
    cancel()
    askedAt = world.monotonic()
    const doubtsThen = doubts
    let answer: E.Either<unknown, void>
    try {
      await ask()
      answer = E.right(undefined)
      patience.worked()
      away = undefined
      if (doubts === doubtsThen) isSure = true
    } catch (cause) {
      const isOther = cause instanceof OtherLogError
      const fault = isOther ? new StoreFault('unavailable', cause.message, { cause }) : faultOf(cause, 'The log cannot be reached')
      answer = E.left(isOther ? fault : cause)
      isSure = false
      away = { reason: fault.message, since: away?.since ?? askedAt, otherTimes: isOther ? (away?.otherTimes ?? 0) + 1 : 0 }
    }
    asking = undefined
    if (!isClosed) cancel = world.timer(away === undefined ? ASK_EVERY_MS : ASK_AGAIN_MS, () => void begin())
    if (!isClosed) tell()
    return answer
  }
  const begin = (): Promise<E.Either<unknown, void>> => (asking ??= askOnce())

  cancel = world.timer(ASK_EVERY_MS, () => void begin())

  return {
    trouble,
    clockOffMs: clock.offMs,
    onChange: (listener) => void listeners.push(listener),
    sure: async () => {
      while (!isSure) {
        const answer = await begin()
        if (E.isLeft(answer)) throw answer.left
      }
    },
    doubted: () => {
      isSure = false
      doubts += 1
    },
    failed: () => {
      if (!isClosed && away === undefined && world.monotonic() - askedAt >= ASK_AGAIN_MS) void begin()
    },
    holds: (event, dated) => {
      if (newest === undefined || event.commit > newest.commit) newest = event
      if (dated !== undefined) appended = { event, dated }
    },
    refusal: () => {
      const now = trouble()
      return now?.isRefusing === true ? new StoreFault('unavailable', now.reason) : undefined
    },
    close: () => {
      isClosed = true
      cancel()
    },
  }
}

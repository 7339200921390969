// One server leads each line of waiting work, so that rates, keys, the order of those who wait and repeats of lease calls are looked after in one place. That nothing is leased
// twice never rests on it: the item's revision decides.
//
//   a lease call ─▶ somebody leads ─▶ here, or there
//                └▶ nobody does ─▶ whose the line is, by rendezvous ─▶ there, or here: LineLed
//
// A line is taken over when it is wanted and its leader is gone, and handed over when a server has come whose it is.
import * as E from 'fp-ts/lib/Either.js'
import { decodeLeaderEvent, encodeLeaderEvent, evolveLeaders, LEADERS_STREAM, type LeaderEvent, type Leaders } from '../../domain/leader.ts'
import { StoreFault, type EventStore, type Position, type RecordedEvent } from '../../store/port.ts'
import type { World } from '../../world.ts'
import { encodeMeta, uuidV5 } from '../envelope.ts'
import type { Membership, OtherServer } from './membership.ts'

const STREAM_PAGE = 1_000
/** Decisions tried before a call is told that nobody leads. */
const ATTEMPTS_MAX = 5
/** How long a server that is to lead may take to hear what those before it gave out. */
const HEAR_MS = 2_000
/** Lines in one append. */
const LINES_AT_ONCE = 500

/** Who gives out what waits in a line. `here`: this server · undefined: nobody, for the moment. */
export type Leading = 'here' | OtherServer | undefined

export interface Leadership {
  readonly load: () => Promise<E.Either<StoreFault, void>>
  readonly follow: (events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>>
  /** Who leads; becomes the leader when nobody does and the line is this server's. */
  readonly lead: (line: string) => Promise<Leading>
  /** Whether this server leads it, as far as it knows. */
  readonly leads: (line: string) => boolean
  /** Calls `listener` with each line that this server leads now and did not before, or the other way round. */
  readonly onChange: (listener: (line: string) => void) => void
  /** Resolves when what is being written is written. */
  readonly close: () => Promise<void>
}

export interface LeadershipOptions {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  readonly membership: Membership
  readonly onAppended: (position: Position, events: number) => void
  /** Resolves when this server has taken in everything up to there; false when that takes too long. */
  readonly reached: (position: Position, ms: number) => Promise<boolean>
  readonly onTrouble: (what: string, cause: unknown) => void
}

const decodeRecorded = ({ type, v, data, position }: RecordedEvent): E.Either<StoreFault, LeaderEvent> => {
  const event = decodeLeaderEvent(type, v, JSON.parse(data))
  return E.isRight(event) ? event : E.left(new StoreFault('damaged', `Event ${position} (${type} v${v}) cannot be read by this version of Stint: ${event.left.detail}`))
}

/** What the stream says of who leads, and the one way in which it grows. */
const createLeaderBook = ({ store, world, server, onAppended, reached }: LeadershipOptions, onLed: (line: string) => void) => {
  let leaders: Leaders = new Map()
  /** Of the last event that is known. */
  let revision = -1

  const takeIn = (recorded: RecordedEvent): E.Either<StoreFault, void> => {
    if (recorded.revision <= revision) return E.right(undefined)
    const event = decodeRecorded(recorded)
    if (E.isLeft(event)) return event
    leaders = evolveLeaders(leaders, event.right)
    revision = recorded.revision
    onLed(event.right.line)
    return E.right(undefined)
  }

  const catchUp = async (): Promise<E.Either<StoreFault, void>> => {
    for (;;) {
      const page = await store.readStream(LEADERS_STREAM, { from: revision + 1, max: STREAM_PAGE })()
      if (E.isLeft(page)) return page
      for (const recorded of page.right) {
        const taken = takeIn(recorded)
        if (E.isLeft(taken)) return taken
      }
      if (page.right.length < STREAM_PAGE) return E.right(undefined)
    }
  }

  const heardUpTo = async (position: Position): Promise<E.Either<StoreFault, void>> =>
    (await reached(position, HEAR_MS)) ? E.right(undefined) : E.left(new StoreFault('overloaded', 'This server is behind the log'))

  /** Takes in what the log has now. */
  const hear = async (): Promise<E.Either<StoreFault, void>> => {
    const head = await store.head()()
    return E.isLeft(head) ? head : heardUpTo(head.right.position)
  }

  /**
   * At the head of what is known, so that whatever was decided holds; `false` when another server was first. It counts once this server comes to it in the log, and so knows all that was
   * given out by those who led before: keys, rates and repeats.
   */
  const record = async (events: readonly LeaderEvent[]): Promise<E.Either<StoreFault, boolean>> => {
    const commandId = world.uuid()
    const meta = encodeMeta({ subject: 'stint', actor: 'stint', commandId }, server)
    const at = revision
    const encoded = events.map((event, index) => ({ id: uuidV5(commandId, String(index)), ...encodeLeaderEvent(event), time: world.now(), meta }))
    const appended = await store.append(LEADERS_STREAM, at === -1 ? 'noStream' : at, encoded)()
    if (E.isRight(appended)) {
      onAppended(appended.right.position, events.length)
      const heard = await heardUpTo(appended.right.position)
      return E.isLeft(heard) ? heard : E.right(true)
    }
    if (appended.left instanceof StoreFault) return E.left(appended.left)
    if (appended.left.kind !== 'conflict') return E.left(new StoreFault('unavailable', 'Who leads could not be recorded'))
    const known = await catchUp()
    return E.isLeft(known) ? known : E.right(false)
  }

  return {
    get: (line: string) => leaders.get(line),
    entries: () => leaders.entries(),
    catchUp,
    hear,
    record,
    follow: async (events: readonly RecordedEvent[]): Promise<E.Either<StoreFault, void>> => {
      for (const recorded of events) {
        const taken = recorded.revision <= revision + 1 ? takeIn(recorded) : await catchUp()
        if (E.isLeft(taken)) return taken
      }
      return E.right(undefined)
    },
  }
}

export const createLeadership = (options: LeadershipOptions): Leadership => {
  const { membership, server, onTrouble } = options
  const listeners: ((line: string) => void)[] = []
  /** Lines that this server was last known to lead. */
  const own = new Set<string>()
  const wanted = new Set<string>()
  let claiming: Promise<boolean> | undefined

  const leads = (line: string): boolean => own.has(line) && membership.isIn()

  const looked = (line: string): void => {
    const isOwn = book.get(line)?.instance === membership.instance
    if (isOwn === own.has(line)) return
    if (isOwn) own.add(line)
    else own.delete(line)
    for (const listener of listeners) listener(line)
  }
  const book = createLeaderBook(options, looked)

  /** Who leads it and is there. */
  const present = (line: string): OtherServer | undefined => {
    const leader = book.get(line)
    const known = leader === undefined ? undefined : membership.find(leader.server)
    return known?.instance === leader?.instance ? known : undefined
  }

  const ledBy = (line: string, { server: name, instance }: { readonly server: string; readonly instance: string }): LeaderEvent => ({
    ...{ type: 'LineLed', line, server: name, instance },
    epoch: (book.get(line)?.epoch ?? 0) + 1,
  })

  /** What of the wanted lines is to be written down: those that nobody leads and that are this server's, and those that it leads and are another's. */
  const dueOf = (lines: readonly string[]): readonly LeaderEvent[] =>
    lines.flatMap((line) => {
      const leader = present(line)
      const owner = membership.ownerOf(line)
      if (owner === undefined || (leader !== undefined && leader.server !== server) || leader?.server === owner.server) return []
      return leader !== undefined || owner.server === server ? [ledBy(line, owner)] : []
    })

  const write = async (): Promise<void> => {
    for (let tried = 0; wanted.size > 0 && membership.isIn();) {
      const lines = [...wanted].slice(0, LINES_AT_ONCE)
      // A server that lags takes for gone who has spoken meanwhile.
      const heard = dueOf(lines).length === 0 ? E.right(undefined) : await book.hear()
      if (E.isLeft(heard)) throw heard.left
      const due = dueOf(lines)
      const recorded = due.length === 0 ? E.right(true) : await book.record(due)
      if (E.isLeft(recorded)) throw recorded.left
      if (!recorded.right && (tried += 1) < ATTEMPTS_MAX) continue
      for (const line of lines) wanted.delete(line)
    }
  }

  /** False: it could not be recorded. */
  const claim = (lines: Iterable<string>): Promise<boolean> => {
    for (const line of lines) wanted.add(line)
    claiming ??= write()
      .then(
        () => true,
        (cause: unknown) => {
          wanted.clear()
          onTrouble('Who leads could not be recorded', cause)
          return false
        },
      )
      .finally(() => {
        claiming = undefined
      })
    return claiming
  }

  const lead: Leadership['lead'] = async (line) => {
    for (let tried = 0; tried < ATTEMPTS_MAX && membership.isIn(); tried += 1) {
      const leader = present(line)
      if (leader !== undefined) return leader.server === server ? 'here' : leader
      const owner = membership.ownerOf(line)
      if (owner === undefined || owner.server !== server) return owner
      if (!(await claim([line]))) return undefined
    }
    return undefined
  }

  membership.onShift(() => {
    // Lines of which the leader counts itself out, or in again.
    for (const line of own) for (const listener of listeners) listener(line)
    const others = [...own].filter((line) => membership.ownerOf(line)?.server !== server)
    if (others.length > 0 && membership.isIn()) void claim(others)
  })

  return {
    load: book.catchUp,
    follow: book.follow,
    lead,
    leads,
    onChange: (listener) => void listeners.push(listener),
    close: async () => {
      await claiming
    },
  }
}

// This server among those that have the log open together: it says that it is there, again and again, and knows who else is.
//
//   join ─▶ ServerJoined { until } ─▶ half the term ─▶ ServerJoined ─▶ … ─▶ ServerLeft
//
// Whoever cannot say so any more, or does not hear the log any more, counts itself out before the others do: its own term is measured on its monotonic clock, from before the event was sent.
import * as E from 'fp-ts/lib/Either.js'
import { firstAmong, rankAmong } from '../../domain/policy/rendezvous.ts'
import { decodeServerEvent, encodeServerEvent, evolveServers, nextGoneAt, presentServers, SERVERS_STREAM, type ServerEvent, type Servers } from '../../domain/server.ts'
import { StoreFault, type EventStore, type Position, type RecordedEvent } from '../../store/port.ts'
import type { Cancel, World } from '../../world.ts'
import { encodeMeta, uuidV5 } from '../envelope.ts'
import { lengthOf } from '../stream-length.ts'

/** How long a server is taken to be there after it has said so, in milliseconds. */
export const SERVER_TERM_MS = 15_000
/** Between two times that it says so. */
const RENEW_EVERY_MS = SERVER_TERM_MS / 2
/** After a fault of the store. */
const RENEW_AGAIN_MS = 1_000
/** What clocks may differ by: nobody is taken for gone before its term and this are over, and who is next in rank waits as long. */
export const SERVER_GRACE_MS = 2_000
/** Events of the stream that are read at a start: all that is there speaks within its term, so more than these tell nothing new. */
const READ_AT_START = 1_000

export interface OtherServer {
  readonly server: string
  readonly instance: string
  /** Empty: it cannot be reached. */
  readonly url: string
}

/** Who does what one server is to do. */
export interface Duties {
  /** How many others come before this server for this thing; 0: it is its own to do. Infinity while it counts itself out. */
  readonly rankOf: (thing: string) => number
  readonly isMine: (thing: string) => boolean
  /** Calls `listener` whenever what is whose may be otherwise than before. */
  readonly onShift: (listener: () => void) => void
}

/** A server that has its log to itself. */
export const ALONE: Duties = { rankOf: () => 0, isMine: () => true, onShift: () => undefined }

export interface Membership extends Duties {
  /** Reads who is there. */
  readonly load: () => Promise<E.Either<StoreFault, void>>
  readonly follow: (events: readonly RecordedEvent[]) => E.Either<StoreFault, void>
  /** Says that this server is there, and where, and goes on saying so. Resolves with the position at which it does; it counts itself in when it has heard that. */
  readonly join: (url: string) => Promise<E.Either<StoreFault, Position>>
  /** Says that it has stopped. What is its own has to be stopped before. */
  readonly leave: () => Promise<void>
  /** Its own term has not ended. */
  readonly isIn: () => boolean
  /** Those that are there now, this one among them, by name. */
  readonly present: () => readonly OtherServer[]
  /** One of them. */
  readonly find: (server: string) => OtherServer | undefined
  /** Of this process. */
  readonly instance: string
  /** Whose a thing is that others have to reach its owner for: one that can be reached, if there is any. */
  readonly ownerOf: (thing: string) => OtherServer | undefined
  /** Says no more that it is there, and does nothing any more that is a server's to do: it cannot go on. */
  readonly countOut: () => void
  readonly stop: () => void
}

export interface MembershipOptions {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  readonly onAppended: (position: Position, events: number) => void
  /** Another process has come under this server's name. */
  readonly onSuperseded: (cause: Error) => void
  readonly onTrouble: (what: string, cause: unknown) => void
}

interface Term {
  readonly mono: number
  readonly wall: number
}

const isSame = (some: readonly string[], others: readonly string[]): boolean => some.length === others.length && some.every((name, index) => others[index] === name)

const decodeRecorded = ({ type, v, data, position }: RecordedEvent): E.Either<StoreFault, ServerEvent> => {
  const event = decodeServerEvent(type, v, JSON.parse(data))
  return E.isRight(event) ? event : E.left(new StoreFault('damaged', `Event ${position} (${type} v${v}) cannot be read by this version of Stint: ${event.left.detail}`))
}

export const createMembership = (options: MembershipOptions): Membership => {
  const { store, world, server } = options
  const instance = world.uuid()
  const listeners: (() => void)[] = []
  let servers: Servers = new Map()
  let names: readonly string[] = []
  /** Those that others can reach; all, if none can be. */
  let reachable: readonly string[] = []
  /** Of the last event that is known. */
  let revision = -1
  /** When its own term ends. On both clocks: the monotonic one stands still with a machine that is suspended, and the wall may be set. */
  let inUntil: Term = { mono: -Infinity, wall: -Infinity }
  /** Of a term that begins after a time in which it was out: what it has said, and until when. It counts once it has been heard, and with it all that others did meanwhile. */
  let comingIn: { readonly revision: number; readonly until: Term } | undefined
  let isTroubled = false
  /** Of its first event. */
  let joinedAt = Infinity
  /** Of the last event in which it said that it is there. */
  let saidAt = -1
  /** Those that were there under its name before. */
  const earlier = new Set<string>()
  let stopped = false
  let cancelRenewal: Cancel = () => undefined
  let cancelLook: Cancel = () => undefined
  let url = ''

  const isIn = (): boolean => !stopped && world.monotonic() < inUntil.mono && world.now() < inUntil.wall

  const stop = (): void => {
    stopped = true
    cancelRenewal()
    cancelLook()
  }

  const countOut = (): void => {
    if (stopped) return
    stop()
    for (const listener of listeners) listener()
  }

  /** Who is there may be others now. */
  const look = (): void => {
    cancelLook()
    if (stopped) return
    const now = world.now()
    const present = presentServers(servers, now, SERVER_GRACE_MS)
    const reached = present.filter((name) => servers.get(name)?.url !== '')
    const isOther = !isSame(present, names) || !isSame(reached, reachable)
    names = present
    reachable = reached
    const next = nextGoneAt(servers, now, SERVER_GRACE_MS)
    if (next !== undefined) cancelLook = world.timer(next - now, look)
    if (isOther) for (const listener of listeners) listener()
  }

  /** Counts itself in, if it has heard that it is. */
  const comeIn = (): void => {
    if (comingIn === undefined || revision < comingIn.revision || stopped) return
    inUntil = comingIn.until
    comingIn = undefined
    if (isIn()) for (const listener of listeners) listener()
  }

  /** Whoever's clock is ahead says that it is there for longer than its term; once it is gone nobody is to wait for that. */
  const bounded = (event: ServerEvent): ServerEvent => (event.type === 'ServerJoined' ? { ...event, until: Math.min(event.until, world.now() + SERVER_TERM_MS) } : event)

  /** The name is another's from here on: whoever went on speaking under it would take from that one what it leads. */
  const giveUp = (): void => {
    if (stopped) return
    options.onSuperseded(new Error(`Another process has joined under the name of this server, ${server}: each needs a name of its own.`))
    countOut()
  }

  /** Until this server speaks again its name is that of one that is no more. */
  const takeBack = (): void => {
    if (!stopped && revision > saidAt) renewLater()
  }

  const takeIn = (recorded: RecordedEvent): E.Either<StoreFault, void> => {
    const event = decodeRecorded(recorded)
    if (E.isLeft(event)) return event
    servers = evolveServers(servers, bounded(event.right))
    revision = recorded.revision
    if (event.right.server !== server || event.right.instance === instance) return E.right(undefined)
    // One that was there before may wake up after a pause, and finds out by itself that its place is taken.
    if (recorded.revision < joinedAt) earlier.add(event.right.instance)
    else if (event.right.type === 'ServerJoined' && earlier.has(event.right.instance)) takeBack()
    else if (event.right.type === 'ServerJoined') giveUp()
    return E.right(undefined)
  }

  const say = async (event: ServerEvent): Promise<E.Either<StoreFault, { readonly position: Position; readonly revision: number }>> => {
    const commandId = world.uuid()
    const meta = encodeMeta({ subject: 'stint', actor: 'stint', commandId }, server)
    const appended = await store.append(SERVERS_STREAM, 'any', [{ id: uuidV5(commandId, '0'), ...encodeServerEvent(event), time: world.now(), meta }])()
    if (E.isLeft(appended)) return E.left(appended.left instanceof StoreFault ? appended.left : new StoreFault('unavailable', 'It could not be recorded that this server is there'))
    options.onAppended(appended.right.position, 1)
    return appended
  }

  const renew = async (): Promise<E.Either<StoreFault, Position>> => {
    cancelRenewal()
    const until: Term = { mono: world.monotonic() + SERVER_TERM_MS, wall: world.now() + SERVER_TERM_MS }
    const said = await say({ type: 'ServerJoined', server, instance, url, until: until.wall })
    cancelRenewal()
    if (E.isLeft(said)) {
      if (!stopped) cancelRenewal = world.timer(RENEW_AGAIN_MS, renewLater)
      return said
    }
    if (stopped) return E.right(said.right.position)
    if (isIn()) inUntil = until
    else comingIn = { revision: said.right.revision, until }
    joinedAt = Math.min(joinedAt, said.right.revision)
    saidAt = said.right.revision
    cancelRenewal = world.timer(RENEW_EVERY_MS, renewLater)
    comeIn()
    return E.right(said.right.position)
  }

  const renewLater = (): void => {
    // Who says that it is there and does not hear of it would lead by what it knew once: it counts itself out until it hears.
    if (revision < saidAt) {
      cancelRenewal = world.timer(RENEW_AGAIN_MS, renewLater)
      return
    }
    void renew().then((renewed) => {
      if (E.isLeft(renewed) && !stopped && !isTroubled) options.onTrouble('It could not be recorded that this server is there; it is tried again', renewed.left)
      isTroubled = E.isLeft(renewed)
    })
  }

  const urlOf = (name: string): OtherServer => ({ server: name, instance: servers.get(name)?.instance ?? '', url: servers.get(name)?.url ?? '' })
  const rankOf = (thing: string): number => (isIn() ? rankAmong(server, names, thing) : Infinity)

  return {
    load: async () => {
      const length = await lengthOf(store, SERVERS_STREAM)
      if (E.isLeft(length)) return length
      const page = await store.readStream(SERVERS_STREAM, { from: Math.max(0, length.right - READ_AT_START), max: READ_AT_START })()
      if (E.isLeft(page)) return page
      for (const recorded of page.right) {
        const taken = takeIn(recorded)
        if (E.isLeft(taken)) return taken
      }
      look()
      return E.right(undefined)
    },
    follow: (events) => {
      for (const recorded of events) {
        const taken = recorded.revision > revision ? takeIn(recorded) : E.right(undefined)
        if (E.isLeft(taken)) return taken
      }
      look()
      comeIn()
      return E.right(undefined)
    },
    join: (where) => {
      url = where
      return renew()
    },
    leave: async () => {
      if (joinedAt === Infinity) return
      const said = await say({ type: 'ServerLeft', server, instance })
      if (E.isLeft(said)) options.onTrouble('It could not be recorded that this server has stopped; the others find out when its term is over', said.left)
    },
    isIn,
    present: () => names.map(urlOf),
    find: (name) => (names.includes(name) ? urlOf(name) : undefined),
    instance,
    ownerOf: (thing) => {
      const first = firstAmong(reachable.length > 0 ? reachable : names, thing)
      return first === undefined ? undefined : urlOf(first)
    },
    rankOf,
    isMine: (thing) => rankOf(thing) === 0,
    onShift: (listener) => void listeners.push(listener),
    countOut,
    stop,
  }
}

// The servers that have one log open together: who is there is a function of their one stream and of time. Events, state and questions of the aggregate; nothing is decided here,
// since each server speaks of itself alone.
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'
import type { EncodedEvent, UndecodableEvent } from './work-item/codec.ts'

/** The one stream that holds them. */
export const SERVERS_STREAM = 'servers'

const serverEvents = {
  /** It is there until then, and says so again in time. */
  ServerJoined: t.type({
    type: t.literal('ServerJoined'),
    server: t.string,
    /** Made once per process: tells a restarted server from the one before. */
    instance: t.string,
    /** Where others reach it; empty: nowhere. */
    url: t.string,
    /** Milliseconds since 1970 UTC. */
    until: t.number,
  }),
  /** It has stopped, and gives nothing out any more. */
  ServerLeft: t.type({ type: t.literal('ServerLeft'), server: t.string, instance: t.string }),
} as const
export type ServerEvent = t.TypeOf<(typeof serverEvents)[keyof typeof serverEvents]>

/** Version that is written now (rules 15). */
export const SERVER_EVENT_VERSION = 1

/** What is stored of an event. */
export const encodeServerEvent = ({ type, ...data }: ServerEvent): EncodedEvent => ({ type, v: SERVER_EVENT_VERSION, data: JSON.stringify(data) })

const isKnown = (type: string): type is keyof typeof serverEvents => Object.hasOwn(serverEvents, type)

/** The event that was stored as this type, version and (already parsed) data. */
export const decodeServerEvent = (type: string, v: number, data: unknown): E.Either<UndecodableEvent, ServerEvent> => {
  if (!isKnown(type)) return E.left({ reason: 'unknown-type', detail: `Expected a known event of a server, but it is "${type.slice(0, 60)}".` })
  if (v > SERVER_EVENT_VERSION) return E.left({ reason: 'newer-version', detail: `Expected ${type} of version ${SERVER_EVENT_VERSION} at most, but it has version ${v}.` })
  if (v !== SERVER_EVENT_VERSION) return E.left({ reason: 'invalid', detail: `Expected a version from 1, but ${type} has version ${v}.` })
  const event: unknown = typeof data === 'object' && data !== null ? { ...data, type } : data
  const codec: t.Mixed = serverEvents[type]
  return codec.is(event) ? E.right(event as ServerEvent) : E.left({ reason: 'invalid', detail: `Expected ${type} of version ${v} to be sound, but it is not.` })
}

/** What a server last said of itself. */
export interface Server {
  readonly instance: string
  readonly url: string
  readonly until: number
}

export type Servers = ReadonlyMap<string, Server>

/** The servers after one more fact. What an instance says that another has taken the place of still counts as said last: only the last word of a name does. */
export const evolveServers = (servers: Servers, event: ServerEvent): Servers => {
  const after = new Map(servers)
  switch (event.type) {
    case 'ServerJoined':
      return after.set(event.server, { instance: event.instance, url: event.url, until: event.until })
    case 'ServerLeft':
      // One that came again under its name has not left with the one before it.
      if (servers.get(event.server)?.instance === event.instance) after.delete(event.server)
      return after
  }
}

/** Names of those whose term has not ended, with this much grace for clocks that differ, in milliseconds. */
export const presentServers = (servers: Servers, now: number, graceMs: number): readonly string[] =>
  [...servers].flatMap(([name, { until }]) => (until + graceMs > now ? [name] : [])).toSorted()

/** When the next of them is gone if it says nothing more; undefined: there is none. */
export const nextGoneAt = (servers: Servers, now: number, graceMs: number): number | undefined => {
  let next: number | undefined
  for (const { until } of servers.values()) if (until + graceMs > now && (next === undefined || until + graceMs < next)) next = until + graceMs
  return next
}

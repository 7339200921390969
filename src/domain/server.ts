// The servers that have one log open together: who is there is a function of their one stream and of time. Events, state and questions of the aggregate; nothing is decided here,
// since each server speaks of itself alone.
import * as t from 'io-ts'
import { aggregateCodec, type AggregateCodec } from './aggregate-codec.ts'

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

const codec = aggregateCodec<ServerEvent>('server', SERVER_EVENT_VERSION, serverEvents)

/** What is stored of an event. */
export const encodeServerEvent = codec.encode

/** The event that was stored as this type, version and (already parsed) data. */
export const decodeServerEvent: AggregateCodec<ServerEvent>['decode'] = codec.decode

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

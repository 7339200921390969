// Which of several servers gives out what waits in a line: the tasks of a queue, the requests of a contract. Who leads is decided at the head of one stream; whether the leader is
// still there is told by the stream of the servers.
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'
import type { EncodedEvent, UndecodableEvent } from './work-item/codec.ts'

/** The one stream that holds them. */
export const LEADERS_STREAM = 'leaders'

/** Names a line of waiting work. */
export const queueLine = ({ app, queue }: { readonly app: string; readonly queue: string }): string => `queue ${app}/${queue}`
export const contractLine = (contract: string): string => `contract ${contract}`

const LineLed = t.type({
  type: t.literal('LineLed'),
  line: t.string,
  server: t.string,
  /** Of that server: one that comes again under its name has to be given the line again. */
  instance: t.string,
  /** From 1, raised each time that somebody else leads. */
  epoch: t.number,
})
export type LeaderEvent = t.TypeOf<typeof LineLed>

/** Version that is written now (rules 15). */
export const LEADER_EVENT_VERSION = 1

/** What is stored of an event. */
export const encodeLeaderEvent = ({ type, ...data }: LeaderEvent): EncodedEvent => ({ type, v: LEADER_EVENT_VERSION, data: JSON.stringify(data) })

/** The event that was stored as this type, version and (already parsed) data. */
export const decodeLeaderEvent = (type: string, v: number, data: unknown): E.Either<UndecodableEvent, LeaderEvent> => {
  if (type !== 'LineLed') return E.left({ reason: 'unknown-type', detail: `Expected a known event of a leader, but it is "${type.slice(0, 60)}".` })
  if (v !== LEADER_EVENT_VERSION) return E.left({ reason: 'newer-version', detail: `Expected ${type} of version ${LEADER_EVENT_VERSION} at most, but it has version ${v}.` })
  const event: unknown = typeof data === 'object' && data !== null ? { ...data, type } : data
  return LineLed.is(event) ? E.right(event) : E.left({ reason: 'invalid', detail: `Expected ${type} of version ${v} to be sound, but it is not.` })
}

export interface Leader {
  readonly server: string
  readonly instance: string
  readonly epoch: number
}

/** By line. */
export type Leaders = ReadonlyMap<string, Leader>

/** The leaders after one more fact. */
export const evolveLeaders = (leaders: Leaders, { line, server, instance, epoch }: LeaderEvent): Leaders => new Map(leaders).set(line, { server, instance, epoch })

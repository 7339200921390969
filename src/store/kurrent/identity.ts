// Who a store is, kept in a stream of its own in the server: made once by whichever Stint comes first, and read by all others.
import type { World } from '../../world.ts'
import { newIncarnation } from '../position.ts'
import type { AppendSender } from './append-call.ts'
import type { Connection } from './connection.ts'
import { encodeEvent, decodeEvent } from './event-codec.ts'
import type { WireReader } from './wire-reader.ts'
import { streamRequest, type WireEvent } from './read-requests.ts'
import { IDENTITY_STREAM } from './streams.ts'

export interface Identity {
  readonly storeId: string
  readonly incarnation: string
  /** Where the server keeps it. Nothing of Stint's is before. */
  readonly origin: bigint
}

const TYPE = 'LogCreated'
/** Of the encoding of events, raised when an older Stint could not read what is written. */
const FORMAT = 1

const isIdentityData = (value: unknown): value is { readonly storeId: string; readonly incarnation: string; readonly format: number } => {
  const { storeId, incarnation, format } = (value ?? {}) as Record<string, unknown>
  return typeof storeId === 'string' && typeof incarnation === 'string' && /^[0-9a-z]{8}$/.test(incarnation) && typeof format === 'number'
}

/** What the store's own event says. Throws for one that no Stint, or a newer one, has written. */
export const identityOf = (event: WireEvent): Identity => {
  const data: unknown = JSON.parse(decodeEvent(event, event.stream, '').data)
  if (event.type !== TYPE || !isIdentityData(data)) throw new Error(`The stream ${IDENTITY_STREAM} in EventStoreDB is not one that Stint has written`)
  if (data.format > FORMAT) throw new Error(`The log was written by a newer Stint (format ${data.format}, here ${FORMAT}); use that version`)
  return { storeId: data.storeId, incarnation: data.incarnation, origin: event.commit }
}

/** Reads it, or makes it. Of several that make it at once one is first, and all read that one. Rejects as the wire does. */
export const readOrMakeIdentity = async (connection: Connection, wire: WireReader, sender: AppendSender, world: World): Promise<Identity> => {
  const read = async (): Promise<Identity | undefined> => {
    const [event] = await wire.read(streamRequest(connection.library, IDENTITY_STREAM, { from: 0, max: 1 }))
    return event === undefined ? undefined : identityOf(event)
  }
  const found = await read()
  if (found !== undefined) return found
  const data = JSON.stringify({ storeId: world.uuid(), incarnation: newIncarnation(world), format: FORMAT })
  const event = encodeEvent({ id: world.uuid(), type: TYPE, v: 1, time: world.now(), data, meta: JSON.stringify({ actor: 'stint' }) })
  const answer = await sender.send({ stream: IDENTITY_STREAM, expected: 'noStream', ids: [world.uuid()], events: [event] })
  const made = await read()
  if (made !== undefined) return made
  throw 'cause' in answer ? answer.cause : new Error(`The stream ${IDENTITY_STREAM} could not be made`)
}

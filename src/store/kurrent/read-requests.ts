// Reads and subscriptions as the wire asks and answers them.
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js'
import type { Library } from './client.ts'
import type { StoredForm } from './event-codec.ts'
import type { StreamNames } from './streams.ts'

/** An event as it was read, with where it is. */
export interface WireEvent extends StoredForm {
  readonly id: string
  readonly stream: string
  readonly revision: number
  readonly commit: bigint
  /** When the server has taken it in, by its own clock: milliseconds since 1970 UTC, with fractions. */
  readonly created: number
}

export interface AllOptions {
  /** Inclusive for a read forwards; a subscription begins after it. */
  readonly from: bigint | 'start' | 'end'
  readonly filter: StreamNames['filter'] | { readonly types: readonly string[] }
}

/** Events that the server looks at for one page of a filtered read, and between two checkpoints of a subscription. */
const SEARCH_WINDOW = 1_000

const optionsOf = ({ streams, shared }: Library): ReadReq.Options => {
  const options = new streams.ReadReq.Options()
  const ids = new streams.ReadReq.Options.UUIDOption()
  ids.setString(new shared.Empty())
  options.setUuidOption(ids)
  options.setNoFilter(new shared.Empty())
  return options
}

export const streamRequest = (library: Library, stream: string, { from, max, isBackwards = false }: { from: number | 'end'; max: number; isBackwards?: boolean }): ReadReq => {
  const { streams, shared } = library
  const asked = new streams.ReadReq.Options.StreamOptions()
  const identifier = new shared.StreamIdentifier()
  identifier.setStreamName(new TextEncoder().encode(stream))
  asked.setStreamIdentifier(identifier)
  if (from === 'end') asked.setEnd(new shared.Empty())
  else asked.setRevision(String(from))
  const options = optionsOf(library)
  options.setStream(asked)
  options.setCount(String(max))
  options.setReadDirection(isBackwards ? 1 : 0)
  return new streams.ReadReq().setOptions(options)
}

const allOptions = (library: Library, { from, filter }: AllOptions): ReadReq.Options => {
  const { streams, shared } = library
  const all = new streams.ReadReq.Options.AllOptions()
  if (from === 'start') all.setStart(new shared.Empty())
  else if (from === 'end') all.setEnd(new shared.Empty())
  else {
    const position = new streams.ReadReq.Options.Position()
    position.setCommitPosition(String(from))
    position.setPreparePosition(String(from))
    all.setPosition(position)
  }
  const expression = new streams.ReadReq.Options.FilterOptions.Expression()
  const filtered = new streams.ReadReq.Options.FilterOptions()
  if ('types' in filter) filtered.setEventType(expression)
  else filtered.setStreamIdentifier(expression)
  if ('regex' in filter) expression.setRegex(filter.regex)
  else expression.setPrefixList([...('types' in filter ? filter.types : filter.prefixes)])
  filtered.setMax(SEARCH_WINDOW)
  filtered.setCheckpointintervalmultiplier(1)
  const options = optionsOf(library)
  options.setAll(all)
  options.setFilter(filtered)
  return options
}

/** The client's own `readAll` sends no filter; the server takes one. */
export const allRequest = (library: Library, asked: AllOptions & { readonly max: number; readonly isBackwards?: boolean }): ReadReq => {
  const options = allOptions(library, asked)
  options.setCount(String(asked.max))
  options.setReadDirection(asked.isBackwards === true ? 1 : 0)
  return new library.streams.ReadReq().setOptions(options)
}

export const subscriptionRequest = (library: Library, asked: AllOptions): ReadReq => {
  const options = allOptions(library, asked)
  options.setSubscription(new library.streams.ReadReq.Options.SubscriptionOptions())
  return new library.streams.ReadReq().setOptions(options)
}

const text = new TextDecoder()
const TICKS_PER_MS = 10_000

/** The event of an answer; undefined for answers that hold none, and for links whose event is gone. */
export const eventOf = (response: ReadResp): WireEvent | undefined => {
  const event = response.getEvent()?.getEvent()
  if (event === undefined) return undefined
  const map = event.getMetadataMap()
  return {
    id: event.getId()?.getString() ?? '',
    stream: text.decode(event.getStreamIdentifier()?.getStreamName_asU8()),
    revision: Number(event.getStreamRevision()),
    commit: BigInt(event.getCommitPosition()),
    created: Number(map.get('created') ?? 'NaN') / TICKS_PER_MS,
    type: map.get('type') ?? '',
    isJson: map.get('content-type') === 'application/json',
    data: event.getData_asU8(),
    metadata: event.getCustomMetadata_asU8(),
  }
}

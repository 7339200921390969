// The double's reads and subscriptions: streams and $all, forwards and backwards, filtered or not, in pages of 32 as the server's enumerators go.
import type { ServerWritableStream } from '@grpc/grpc-js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js'
import type { StoredEvent } from './log.ts'
import type { NodeState } from './node-state.ts'
import { accessDenied, badPosition, callError, notLeader, notReady, streamDeleted, tooSlow } from './refusals.ts'

type Call = ServerWritableStream<ReadReq, ReadResp>

/** Events of a page, and messages that a live subscription keeps for a reader. */
const PAGE = 32
const BACKWARDS = 1

type Matches = (event: StoredEvent) => boolean

const filterOf = (options: ReadReq.Options): { readonly matches: Matches; readonly window: number; readonly checkpointEvery: number } => {
  const filter = options.getFilter()
  if (filter === undefined) return { matches: () => true, window: PAGE, checkpointEvery: 0 }
  const onStream = filter.hasStreamIdentifier()
  const expression = onStream ? filter.getStreamIdentifier() : filter.getEventType()
  const regex = expression?.getRegex() ?? ''
  const prefixes = expression?.getPrefixList() ?? []
  const pattern = regex === '' ? undefined : new RegExp(regex)
  const window = filter.hasMax() ? filter.getMax() : PAGE
  return {
    matches: (event) => {
      const text = onStream ? event.stream : event.type
      return pattern === undefined ? prefixes.some((prefix) => text.startsWith(prefix)) : pattern.test(text)
    },
    window,
    checkpointEvery: window * filter.getCheckpointintervalmultiplier(),
  }
}

const identifier = (stream: string): InstanceType<typeof shared.StreamIdentifier> => {
  const made = new shared.StreamIdentifier()
  made.setStreamName(Uint8Array.from(Buffer.from(stream)))
  return made
}

const eventResponse = (event: StoredEvent): ReadResp => {
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent()
  const id = new shared.UUID()
  id.setString(event.id)
  recorded.setId(id)
  recorded.setStreamIdentifier(identifier(event.stream))
  recorded.setStreamRevision(String(event.revision))
  recorded.setCommitPosition(String(event.position))
  recorded.setPreparePosition(String(event.position))
  recorded.getMetadataMap().set('type', event.type).set('created', String(event.created)).set('content-type', event.contentType)
  recorded.setData(event.data)
  recorded.setCustomMetadata(event.metadata)
  const read = new streams.ReadResp.ReadEvent()
  read.setEvent(recorded)
  read.setCommitPosition(String(event.position))
  return new streams.ReadResp().setEvent(read)
}

const checkpointResponse = (position: bigint): ReadResp => {
  const checkpoint = new streams.ReadResp.Checkpoint()
  checkpoint.setCommitPosition(String(position))
  checkpoint.setPreparePosition(String(position))
  return new streams.ReadResp().setCheckpoint(checkpoint)
}

const drained = (call: Call): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done)
      call.off('close', done)
      call.off('cancelled', done)
      resolve()
    }
    call.once('drain', done)
    call.once('close', done)
    call.once('cancelled', done)
  })

const send = async (call: Call, response: ReadResp): Promise<void> => {
  if (!call.write(response)) await drained(call)
}

const goesBackwards = (options: ReadReq.Options): boolean => {
  const direction: number = options.getReadDirection()
  return direction === BACKWARDS
}

const readStream = async (node: NodeState, call: Call, options: ReadReq.Options): Promise<void> => {
  const asked = options.getStream()
  const stream = Buffer.from(asked?.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString()
  const from = asked?.hasStart() === true ? 'start' : asked?.hasEnd() === true ? 'end' : BigInt(asked?.getRevision() ?? '0')
  const read = node.log.readStream(stream, from, Number(options.getCount()), goesBackwards(options))
  if (read.kind === 'deleted') throw streamDeleted(stream)
  if (read.kind === 'notFound') {
    const notFound = new streams.ReadResp.StreamNotFound()
    notFound.setStreamIdentifier(identifier(stream))
    await send(call, new streams.ReadResp().setStreamNotFound(notFound))
    return
  }
  for (const event of read.events) {
    if (call.cancelled) return
    await send(call, eventResponse(event))
  }
}

/** Where a read or subscription of $all begins. */
const positionOf = (options: ReadReq.Options): bigint | 'start' | 'end' => {
  const all = options.getAll()
  if (all?.hasStart() === true) return 'start'
  return all?.hasEnd() === true ? 'end' : BigInt(all?.getPosition()?.getCommitPosition() ?? '0')
}

const readAll = async (node: NodeState, call: Call, options: ReadReq.Options): Promise<void> => {
  const { log } = node
  const { matches } = filterOf(options)
  const from = positionOf(options)
  if (typeof from === 'bigint' && !log.isRecord(from)) throw badPosition()
  const isBackwards = goesBackwards(options)
  const count = Number(options.getCount())
  let sent = 0
  // A position is inclusive forwards, and exclusive backwards.
  let index = from === 'start' ? 0 : from === 'end' ? log.length : log.indexFrom(from)
  if (isBackwards) index -= 1
  for (; sent < count && !call.cancelled; index += isBackwards ? -1 : 1) {
    const event = log.at(index)
    if (event === undefined) return
    if (!matches(event)) continue
    await send(call, eventResponse(event))
    sent += 1
  }
}

/** Follows $all: history first, then `caughtUp`, then what comes; a reader that leaves more than a page unread is dropped. */
const subscribe = async (node: NodeState, call: Call, options: ReadReq.Options): Promise<void> => {
  const { log } = node
  const { matches, checkpointEvery } = filterOf(options)
  const from = positionOf(options)
  if (typeof from === 'bigint' && !log.isRecord(from)) throw badPosition()
  const confirmation = new streams.ReadResp.SubscriptionConfirmation()
  confirmation.setSubscriptionId(String(node.counts.subscribed))
  await send(call, new streams.ReadResp().setConfirmation(confirmation))

  // Exclusive, whatever is there.
  let index = from === 'start' ? 0 : from === 'end' ? log.length : log.at(log.indexFrom(from))?.position === from ? log.indexFrom(from) + 1 : log.indexFrom(from)
  let considered = 0
  let isLive = false
  let dropped: 'slow' | 'gone' | undefined
  let wake = (): void => undefined
  const unlisten = log.onWritten(() => wake())
  const drop = (reason: 'slow' | 'gone'): void => {
    dropped = reason
    wake()
  }
  node.subscriptions.add(drop)
  call.on('cancelled', () => drop('gone'))
  call.on('close', () => drop('gone'))
  node.counts.subscriptions += 1
  node.counts.subscribed += 1
  node.counts.subscribedFrom.push(from)
  node.told('subscription')
  try {
    while (dropped === undefined) {
      if (isLive && node.faults.isMute) {
        await new Promise<void>((resolve) => {
          wake = resolve
          if (dropped !== undefined) resolve()
        })
        continue
      }
      const event = log.at(index)
      if (event === undefined) {
        if (!isLive) await send(call, new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp()))
        isLive = true
        await new Promise<void>((resolve) => {
          wake = resolve
          if (log.at(index) !== undefined || dropped !== undefined) resolve()
        })
        continue
      }
      index += 1
      considered += 1
      if (matches(event)) {
        const isTaken = call.write(eventResponse(event))
        if (!isTaken && isLive && call.writableLength > PAGE) drop('slow')
        else if (!isTaken) await drained(call)
      }
      if (checkpointEvery > 0 && considered % checkpointEvery === 0) {
        await send(call, checkpointResponse(event.position))
        node.told('checkpoint')
      }
    }
  } finally {
    unlisten()
    node.subscriptions.delete(drop)
    node.counts.subscriptions -= 1
  }
  if (dropped === 'slow') throw tooSlow()
}

/** What a read fails with before it is looked at; undefined if it does not. */
const refusalOf = (node: NodeState, call: Call, options: ReadReq.Options): Error | 'silent' | undefined => {
  const { faults } = node
  if (faults.isStarting) return notReady()
  if (faults.isLeaderless) return notLeader(undefined)
  if (call.metadata.get('requires-leader').includes('true') && !node.isLeader()) return notLeader(node.leaderAddress())
  if (faults.deniesAll && options.hasAll()) return accessDenied()
  if (options.hasSubscription()) return undefined
  switch (faults.reads.shift()) {
    case undefined:
      return options.getCount() === '0' ? callError(2, 'Exception was thrown by handler.') : undefined
    case 'dropped':
      node.dropConnections()
      return 'silent'
    case 'silent':
      return 'silent'
    case 'not ready':
      return notReady()
    case 'denied':
      return accessDenied()
    case 'internal':
      return callError(13, 'Received RST_STREAM with code 2 (Internal server error)')
    case 'exhausted':
      return callError(8, 'Received message larger than max')
  }
}

/** Serves one read or subscription to its end. */
export const serveRead = (node: NodeState, call: Call): void => {
  const options = call.request.getOptions()
  if (options === undefined) return void call.emit('error', callError(3, 'No options'))
  call.on('error', () => undefined)
  node.counts.reads += options.hasSubscription() ? 0 : 1
  node.told('read')
  const refusal = refusalOf(node, call, options)
  if (refusal === 'silent') return
  if (refusal !== undefined) return void call.emit('error', refusal)
  const served = options.hasSubscription() ? subscribe(node, call, options) : options.hasStream() ? readStream(node, call, options) : readAll(node, call, options)
  served.then(
    () => call.end(),
    (error: unknown) => call.emit('error', error),
  )
}

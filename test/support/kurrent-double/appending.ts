// The double's batch append: one call on which appends come and answers go, in order, as the server's worker does it.
import type { sendUnaryData, ServerDuplexStream, ServerReadableStream } from '@grpc/grpc-js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import type { Status } from '@eventstore/db-client/generated/status_pb.js'
import type { AppendReq, AppendResp, BatchAppendReq, BatchAppendResp } from '@eventstore/db-client/generated/streams_pb.js'
import { sizeOf, type Expected, type NewEvent } from './log.ts'
import type { NodeState } from './node-state.ts'
import { answers, callError, notLeader, notReady, streamDeleted } from './refusals.ts'

type Call = ServerDuplexStream<BatchAppendReq, BatchAppendResp>

/** An append whose events are still coming in. */
interface Incoming {
  readonly correlationId: string
  readonly stream: string
  readonly expected: Expected
  readonly events: NewEvent[]
  size: number
}

const expectedOf = (options: BatchAppendReq.Options): Expected => {
  if (options.hasStreamPosition()) return BigInt(options.getStreamPosition())
  if (options.hasNoStream()) return 'noStream'
  return options.hasStreamExists() ? 'streamExists' : 'any'
}

const eventOf = (message: BatchAppendReq.ProposedMessage | AppendReq.ProposedMessage): NewEvent => {
  const map = message.getMetadataMap()
  const contentType = map.get('content-type') ?? ''
  return { id: message.getId()?.getString() ?? '', type: map.get('type') ?? '', contentType, data: message.getData_asU8(), metadata: message.getCustomMetadata_asU8() }
}

const identifier = (stream: string): InstanceType<typeof shared.StreamIdentifier> => {
  const made = new shared.StreamIdentifier()
  made.setStreamName(Uint8Array.from(Buffer.from(stream)))
  return made
}

const answerTo = ({ correlationId, stream }: Incoming): BatchAppendResp => {
  const answer = new streams.BatchAppendResp()
  const uuid = new shared.UUID()
  uuid.setString(correlationId)
  answer.setCorrelationId(uuid)
  answer.setStreamIdentifier(identifier(stream))
  return answer
}

const refusal = (incoming: Incoming, error: Status): BatchAppendResp => answerTo(incoming).setError(error)

/** Appends, and answers as the server would; undefined: not at all. */
const append = (node: NodeState, incoming: Incoming): BatchAppendResp | undefined => {
  const { stream, expected, events } = incoming
  const written = node.log.append(stream, expected, events)
  if (written.kind === 'conflict') return refusal(incoming, answers.conflict(written.actual, expected))
  if (written.kind === 'deleted') return refusal(incoming, answers.deleted())
  if (written.kind === 'dropped') return undefined
  const success = new streams.BatchAppendResp.Success()
  success.setCurrentRevision(String(written.revision))
  const position = new shared.AllStreamPosition()
  position.setCommitPosition(String(written.position))
  position.setPreparePosition(String(written.position))
  success.setPosition(position)
  return answerTo(incoming).setSuccess(success)
}

/** What is answered to a whole append; undefined: nothing. */
const decide = (node: NodeState, incoming: Incoming): BatchAppendResp | undefined => {
  if (node.faults.isStarting) return refusal(incoming, answers.notHandled('Server Is Not Ready'))
  switch (node.faults.appends.shift()) {
    case undefined:
      return append(node, incoming)
    case 'lost':
      append(node, incoming)
      return undefined
    case 'dropped after':
      append(node, incoming)
      node.dropConnections()
      return undefined
    case 'dropped before':
      node.dropConnections()
      return undefined
    case 'ignored':
      return undefined
    case 'timed out':
      append(node, incoming)
      return refusal(incoming, answers.timeout())
    case 'timed out before':
      return refusal(incoming, answers.timeout())
    case 'busy':
      return refusal(incoming, answers.notHandled('Server Is Busy'))
    case 'not ready':
      return refusal(incoming, answers.notHandled('Server Is Not Ready'))
    case 'denied':
      return refusal(incoming, answers.denied())
    case 'bad request':
      return refusal(incoming, answers.bad('Record is too big.'))
    case 'unknown':
      append(node, incoming)
      return refusal(incoming, answers.unknown())
  }
}

/** Serves one call of batch append until the client ends it or the node fails it. */
export const serveBatchAppend = (node: NodeState, call: Call): void => {
  const incoming = new Map<string, Incoming>()
  const wantsLeader = call.metadata.get('requires-leader').includes('true')
  let isOver = false
  node.counts.appendCalls += 1
  const over = (): void => {
    if (isOver) return
    isOver = true
    node.counts.appendCalls -= 1
  }

  const arrived = (whole: Incoming): void => {
    node.counts.appends += 1
    node.told('append')
    // Not the leader: the whole call ends, and with it the answers to everything that is under way on it.
    if ((wantsLeader && !node.isLeader()) || node.faults.isLeaderless) {
      call.emit('error', notLeader(node.faults.isLeaderless ? undefined : node.leaderAddress()))
      return
    }
    const answer = decide(node, whole)
    const tell = (): void => {
      if (answer !== undefined && !isOver) call.write(answer)
    }
    if (answer?.hasSuccess() === true) node.log.whenReplicated(tell)
    else tell()
  }

  call.on('data', (request: BatchAppendReq) => {
    const correlationId = request.getCorrelationId()?.getString() ?? ''
    const options = request.getOptions()
    if (options !== undefined) {
      const stream = Buffer.from(options.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString()
      incoming.set(correlationId, { correlationId, stream, expected: expectedOf(options), events: [], size: 0 })
    }
    const known = incoming.get(correlationId)
    if (known === undefined) return
    const events = request.getProposedMessagesList().map(eventOf)
    known.events.push(...events)
    for (const event of events) known.size += sizeOf(event)
    if (known.size > node.faults.maxAppendSize) {
      incoming.delete(correlationId)
      call.write(refusal(known, answers.tooLarge(node.faults.maxAppendSize)))
      return
    }
    if (!request.getIsFinal()) return
    incoming.delete(correlationId)
    node.whenLetGo(() => arrived(known))
  })
  call.on('end', () => {
    over()
    call.end()
  })
  call.on('cancelled', over)
  call.on('error', over)
  call.on('close', over)
}

/** The older way, of one append a call; the client takes it where a call has credentials of its own. */
export const serveAppend = (node: NodeState, call: ServerReadableStream<AppendReq, AppendResp>, done: sendUnaryData<AppendResp>): void => {
  let stream = ''
  let expected: Expected = 'any'
  const events: NewEvent[] = []
  call.on('data', (request: AppendReq) => {
    const options = request.getOptions()
    const message = request.getProposedMessage()
    if (message !== undefined) events.push(eventOf(message))
    if (options === undefined) return
    stream = Buffer.from(options.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString()
    expected = options.hasRevision() ? BigInt(options.getRevision()) : options.hasNoStream() ? 'noStream' : options.hasStreamExists() ? 'streamExists' : 'any'
  })
  call.on('end', () => {
    node.counts.appends += 1
    node.told('append')
    if (node.faults.isStarting) return done(notReady())
    if (events.reduce((size, event) => size + sizeOf(event), 0) > node.faults.maxAppendSize)
      return done(callError(3, 'Maximum Append Size Exceeded.', { exception: 'maximum-append-size-exceeded', 'maximum-append-size': String(node.faults.maxAppendSize) }))
    const written = node.log.append(stream, expected, events)
    if (written.kind === 'deleted') return done(streamDeleted(stream))
    if (written.kind === 'dropped') return
    const answer = new streams.AppendResp()
    if (written.kind === 'conflict') {
      const conflict = new streams.AppendResp.WrongExpectedVersion()
      if (written.actual < 0) conflict.setCurrentNoStream(new shared.Empty())
      else conflict.setCurrentRevision(String(written.actual))
      return done(null, answer.setWrongExpectedVersion(conflict))
    }
    const success = new streams.AppendResp.Success()
    success.setCurrentRevision(String(written.revision))
    const position = new streams.AppendResp.Position()
    position.setCommitPosition(String(written.position))
    position.setPreparePosition(String(written.position))
    done(null, answer.setSuccess(success.setPosition(position)))
  })
}

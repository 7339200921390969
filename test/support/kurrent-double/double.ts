// A wire-level double of EventStoreDB 23.10: one or more nodes over one log in memory, speaking the client's own gRPC, with faults at will.
import { Server, ServerCredentials } from '@grpc/grpc-js'
import features from '@eventstore/db-client/generated/serverfeatures_pb.js'
import { ServerFeaturesService } from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import gossip from '@eventstore/db-client/generated/gossip_pb.js'
import { GossipService } from '@eventstore/db-client/generated/gossip_grpc_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type { Empty } from '@eventstore/db-client/generated/shared_pb.js'
import type { ClusterInfo } from '@eventstore/db-client/generated/gossip_pb.js'
import type { SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb.js'
import type {
  AppendReq,
  AppendResp,
  BatchAppendReq,
  BatchAppendResp,
  DeleteReq,
  DeleteResp,
  ReadReq,
  ReadResp,
  TombstoneReq,
  TombstoneResp,
} from '@eventstore/db-client/generated/streams_pb.js'
import type { handleUnaryCall, sendUnaryData, ServerDuplexStream, ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js'
import { realWorld } from '../../../src/world.ts'
import { serveAppend, serveBatchAppend } from './appending.ts'
import { noCounts, noFaults, type Counts, type Faults } from './faults.ts'
import { openFront, type Front, type FrontAddress } from './front.ts'
import { DoubleLog, type Expected } from './log.ts'
import type { NodeState, Told } from './node-state.ts'
import { serveRead } from './reading.ts'
import { callError, streamDeleted } from './refusals.ts'

export interface DoubleNode {
  readonly port: number
  readonly faults: Faults
  readonly counts: Counts
  /** Cuts every connection; new ones are taken. */
  readonly drop: () => void
  /** Takes and answers nothing, and tells nobody. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Is gone: connections are cut and refused. */
  readonly stop: () => Promise<void>
  /** Is there again, with the log as it was and an empty cache of event ids. */
  readonly start: () => Promise<void>
  /** Drops its subscriptions, as those of a reader that is too slow. */
  readonly dropSlow: () => void
  /** Lets go the appends that were held. */
  readonly letGo: () => void
  /** Resolves when as many more of these have arrived. */
  readonly arrived: (what: Told, count?: number) => Promise<void>
}

export interface Double {
  readonly log: DoubleLog
  /** Puts another log in its place, as who restores a backup or begins anew does: while all nodes are stopped. */
  readonly replaceLog: (log: DoubleLog) => void
  readonly nodes: readonly DoubleNode[]
  /** The only node, or the first. */
  readonly node: DoubleNode
  /** `esdb://…` of all nodes. */
  readonly connectionString: string
  /** Makes another node the leader. */
  readonly lead: (node: DoubleNode) => void
  readonly close: () => Promise<void>
}

export interface DoubleOptions {
  /** 1. */
  readonly nodes?: number
  /** 23.10.6.0 */
  readonly version?: string
  /** Added to the connection string: `&keepAliveInterval=…`. */
  readonly settings?: string
  /** Where its only node, or the first, is reached: a free port of the loopback. */
  readonly listen?: FrontAddress
}

/** States of a node, as gossip names them. A node that knows no leader is in none of those that a client goes to. */
const [UNKNOWN, FOLLOWER, LEADER] = [2, 6, 8] as const

const METHODS = ['read', 'append', 'delete', 'tombstone', 'batchappend']

const supported = (version: string): SupportedMethods => {
  const answer = new features.SupportedMethods()
  answer.setEventStoreServerVersion(version)
  answer.setMethodsList(
    METHODS.map((name) => {
      const method = new features.SupportedMethod()
      method.setServiceName('event_store.client.streams.Streams')
      method.setMethodName(name)
      return method
    }),
  )
  return answer
}

interface Revisions {
  readonly hasRevision: () => boolean
  readonly getRevision: () => string
  readonly hasNoStream: () => boolean
  readonly hasStreamExists: () => boolean
}

const expectedOf = (options: Revisions): Expected => {
  if (options.hasRevision()) return BigInt(options.getRevision())
  if (options.hasNoStream()) return 'noStream'
  return options.hasStreamExists() ? 'streamExists' : 'any'
}

const positionOf = <Position extends InstanceType<typeof streams.DeleteResp.Position>>(made: Position, at: string): Position => {
  made.setCommitPosition(at)
  made.setPreparePosition(at)
  return made
}

/** Both kinds of deletion, which differ in what they leave. */
const serveDelete = <Req extends DeleteReq | TombstoneReq, Resp extends DeleteResp | TombstoneResp>(
  node: NodeState,
  how: 'deleteSoftly' | 'tombstone',
  answer: (position: string) => Resp,
): handleUnaryCall<Req, Resp> => {
  return (call, done) => {
    const options = call.request.getOptions()
    if (options === undefined) return done(callError(3, 'No options'))
    const stream = Buffer.from(options.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString()
    const deleted = node.log[how](stream, expectedOf(options))
    if (deleted.kind === 'deleted') return done(streamDeleted(stream))
    if (deleted.kind !== 'stored')
      return done(
        callError(9, 'WrongExpectedVersion', {
          exception: 'wrong-expected-version',
          'stream-name': stream,
          'expected-version': '-2',
          'actual-version': String(deleted.kind === 'conflict' ? deleted.actual : -1),
        }),
      )
    done(null, answer(String(deleted.position)))
  }
}

const startServices = async (node: NodeState, version: string, members: () => ClusterInfo): Promise<{ server: Server; port: number }> => {
  const server = new Server({ 'grpc.max_receive_message_length': 32 * 1024 * 1024 })
  server.addService(ServerFeaturesService, {
    getSupportedMethods: (_call: ServerUnaryCall<Empty, SupportedMethods>, done: sendUnaryData<SupportedMethods>) => done(null, supported(version)),
  })
  server.addService(GossipService, { read: (_call: ServerUnaryCall<Empty, ClusterInfo>, done: sendUnaryData<ClusterInfo>) => done(null, members()) })
  server.addService(StreamsService, {
    read: (call: ServerWritableStream<ReadReq, ReadResp>) => serveRead(node, call),
    batchAppend: (call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>) => serveBatchAppend(node, call),
    append: (call: ServerReadableStream<AppendReq, AppendResp>, done: sendUnaryData<AppendResp>) => serveAppend(node, call, done),
    delete: serveDelete<DeleteReq, DeleteResp>(node, 'deleteSoftly', (at) => new streams.DeleteResp().setPosition(positionOf(new streams.DeleteResp.Position(), at))),
    tombstone: serveDelete<TombstoneReq, TombstoneResp>(node, 'tombstone', (at) => new streams.TombstoneResp().setPosition(positionOf(new streams.TombstoneResp.Position(), at))),
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
  )
  return { server, port }
}

/** Tells those who wait for something to arrive. */
const arrivals = () => {
  let waiting: { readonly what: Told; left: number; readonly resolve: () => void }[] = []
  return {
    told: (what: Told): void => {
      for (const each of waiting) if (each.what === what && (each.left -= 1) === 0) each.resolve()
      waiting = waiting.filter(({ left }) => left > 0)
    },
    arrived: (what: Told, count = 1): Promise<void> => new Promise((resolve) => waiting.push({ what, left: count, resolve })),
  }
}

interface Member {
  readonly node: DoubleNode
  readonly front: Front
  readonly server: Server
}

interface MemberOptions {
  /** Where the log of all nodes is; it may become another. */
  readonly place: { log: DoubleLog }
  readonly version: string
  readonly listen: FrontAddress
  readonly leader: () => DoubleNode | undefined
  readonly members: () => ClusterInfo
}

const openMember = async ({ place, version, listen, leader, members }: MemberOptions): Promise<Member> => {
  const faults = noFaults()
  const counts = noCounts()
  const { told, arrived } = arrivals()
  let held: (() => void)[] = []
  let behind = 0
  const front = await openFront(
    () => behind,
    () => told('disconnection'),
    listen,
  )
  const state: NodeState = {
    get log() {
      return place.log
    },
    faults,
    counts,
    isLeader: () => leader() === node,
    leaderAddress: () => ({ host: '127.0.0.1', port: leader()?.port ?? 0 }),
    dropConnections: front.cut,
    whenLetGo: (run) => (faults.isHolding ? void held.push(run) : run()),
    told,
    subscriptions: new Set(),
  }
  const node: DoubleNode = {
    port: front.port,
    faults,
    counts,
    drop: front.cut,
    freeze: front.freeze,
    thaw: front.thaw,
    stop: front.shut,
    start: async () => {
      place.log.forgetIds()
      await front.reopen()
    },
    dropSlow: () => {
      for (const drop of state.subscriptions) drop('slow')
    },
    letGo: () => {
      faults.isHolding = false
      const all = held
      held = []
      for (const run of all) run()
    },
    arrived,
  }
  Object.defineProperty(counts, 'connections', { get: front.connections })
  const { server, port } = await startServices(state, version, members)
  behind = port
  return { node, front, server }
}

/** Starts it on free ports of the loopback. */
export const startDouble = async ({ nodes: count = 1, version = '23.10.6.0', settings = '', listen = {} }: DoubleOptions = {}): Promise<Double> => {
  const place = { log: new DoubleLog(realWorld.now) }
  const members: Member[] = []
  let leader: DoubleNode | undefined
  const cluster = (): ClusterInfo => {
    const info = new gossip.ClusterInfo()
    info.setMembersList(
      members.map(({ node }) => {
        const member = new gossip.MemberInfo()
        member.setState(node.faults.isLeaderless ? UNKNOWN : node === leader ? LEADER : FOLLOWER)
        member.setIsAlive(true)
        const endPoint = new gossip.EndPoint()
        endPoint.setAddress('127.0.0.1')
        endPoint.setPort(node.port)
        member.setHttpEndPoint(endPoint)
        return member
      }),
    )
    return info
  }
  for (let index = 0; index < count; index += 1) members.push(await openMember({ place, version, listen: index === 0 ? listen : {}, leader: () => leader, members: cluster }))
  leader = members[0]?.node
  const nodes = members.map(({ node }) => node)
  const [node] = nodes
  if (node === undefined) throw new RangeError('A double has a node at least')
  return {
    get log() {
      return place.log
    },
    replaceLog: (log) => {
      place.log = log
    },
    nodes,
    node,
    connectionString: `esdb://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}?tls=false${settings}`,
    lead: (next) => {
      leader = next
    },
    close: async () => {
      for (const { front, server } of members) {
        await front.shut()
        server.forceShutdown()
      }
    },
  }
}

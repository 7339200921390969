// The connection to one EventStoreDB: calls over the client's channel, each with a time after which silence is a failure, and a way to have the client
// connect anew. Everything that is open is known, so that closing ends it.
import type { BatchAppendReq, BatchAppendResp, ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js'
import type { SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb.js'
import type { Cancel, World } from '../../world.ts'
import { insideOf, type ClientInside, type Library } from './client.ts'

/** Raised where the server says nothing for too long; the code is that of a call that failed so. */
export class SilenceError extends Error {
  readonly code = 14
  readonly ms: number
  constructor(ms: number) {
    super(`EventStoreDB has not answered for ${ms} ms`)
    this.name = 'SilenceError'
    this.ms = ms
  }
}

/** Raised where a call is ended because the client has gone to another node. */
export class LeftError extends Error {
  readonly code = 14
  constructor() {
    super('The client has gone to another node of EventStoreDB')
    this.name = 'LeftError'
  }
}

type GrpcClient = InstanceType<Library['services']['StreamsClient']>

export interface ReadOptions {
  readonly onMessage: (message: ReadResp) => void
  /** Silence that is a failure; without it the connection's own signs of life decide. */
  readonly silenceMs?: number
  readonly signal?: AbortSignal
}

export interface AppendCall {
  readonly write: (request: BatchAppendReq) => void
  /** Ends the call; who listens is told. */
  readonly cancel: () => void
}

export interface Connection {
  readonly library: Library
  /** Sends a read or subscription and resolves when the server ends it or the signal aborts. Rejects with what the wire or `onMessage` throws. */
  readonly read: (request: ReadReq, options: ReadOptions) => Promise<void>
  /** Opens a call of batch append. */
  readonly openAppends: (on: { readonly answer: (answer: BatchAppendResp) => void; readonly over: (cause: unknown) => void }) => Promise<AppendCall>
  /**
   * Something was not answered that was sent at this time of the monotonic clock. If nothing else was heard since, the node hangs or the way to it is gone:
   * then the client is to look for a node anew, which by itself it would do only after its own signs of life have failed, in 20 seconds. Answers whether so.
   */
  readonly doubt: (sentAt: number, cause: Error) => boolean
  /** Says which version of the server answers. */
  readonly version: () => Promise<string>
  /** Ends every call and the connection. */
  readonly close: () => Promise<void>
}

/** A call's errors are handled where it was made; one that comes after its end is nobody's. */
const nobody = (): void => undefined

/** Watches for silence: `heard` puts it off. */
const silence = (world: World, ms: number | undefined, onSilent: () => void): { readonly heard: () => void; readonly end: Cancel } => {
  if (ms === undefined) return { heard: nobody, end: nobody }
  let heardAt = world.monotonic()
  let cancel: Cancel = nobody
  const watch = (left: number): void => {
    cancel = world.timer(left, () => {
      const rest = heardAt + ms - world.monotonic()
      if (rest > 0) watch(rest)
      else onSilent()
    })
  }
  watch(ms)
  return {
    heard: () => {
      heardAt = world.monotonic()
    },
    end: () => cancel(),
  }
}

const VERSION_SILENCE_MS = 5_000

const askVersion = (library: Library, inside: ClientInside, world: World, onChannel: (channel: { readonly close: () => void }) => void): Promise<string> =>
  new Promise((resolve, reject) => {
    let isOver = false
    const over = (settle: () => void): void => {
      if (isOver) return
      isOver = true
      quiet.end()
      settle()
    }
    const quiet = silence(world, VERSION_SILENCE_MS, () => over(() => reject(new SilenceError(VERSION_SILENCE_MS))))
    const asked = inside.execute(
      library.features.ServerFeaturesClient,
      'getSupportedMethods',
      (client) =>
        new Promise<string>((answered, failed) => {
          onChannel(client.getChannel())
          client.getSupportedMethods(
            new library.shared.Empty(),
            ...inside.callArguments({ requiresLeader: false }, { deadline: Infinity }),
            (error: Error | null, supported?: SupportedMethods) => (error === null ? answered(supported?.getEventStoreServerVersion() ?? '') : failed(error)),
          )
        }),
    )
    asked.then(
      (version) => over(() => resolve(version)),
      (error: unknown) => over(() => reject(error instanceof Error ? error : new Error(String(error)))),
    )
  })

/** Does not connect yet: the first call does. Throws for a connection string that the client does not understand. */
export const connectionTo = (connectionString: string, library: Library, world: World): Connection => {
  const client = library.client.EventStoreDBClient.connectionString(connectionString)
  const inside = insideOf(client)
  const { StreamsClient } = library.services
  let heardAt = -Infinity
  /** Of the newest call. */
  let newest: GrpcClient | undefined
  let channel: { readonly close: () => void } | undefined
  /** Calls that last, each with the client that it was made on. */
  const lasting = new Set<{ readonly grpc: GrpcClient; readonly leave: () => void }>()

  /** Notes on which client a call is made. Once it is another, the one before was left for a reason: what lasts on it must not stay with a node that is cut off. */
  const made = (grpc: GrpcClient): GrpcClient => {
    channel = grpc.getChannel()
    if (newest === grpc) return grpc
    newest = grpc
    for (const { grpc: old, leave } of lasting) if (old !== grpc) leave()
    return grpc
  }

  const doubt: Connection['doubt'] = (sentAt, cause) => {
    if (heardAt > sentAt || newest === undefined) return false
    void inside.handleError(newest, new library.client.UnavailableError(undefined, cause.message))
    return true
  }

  const read: Connection['read'] = (request, { onMessage, silenceMs, signal }) =>
    new Promise((resolve, reject) => {
      let call: { cancel: () => void } | undefined
      let lasts: { readonly grpc: GrpcClient; readonly leave: () => void } | undefined
      let isOver = false
      const over = (settle: () => void): void => {
        if (isOver) return
        isOver = true
        quiet.end()
        if (lasts !== undefined) lasting.delete(lasts)
        signal?.removeEventListener('abort', aborted)
        // Also where it has ended: without it a call that is left early stays open on both sides.
        call?.cancel()
        settle()
      }
      const aborted = (): void => over(resolve)
      const quiet = silence(world, silenceMs, () => {
        const cause = new SilenceError(silenceMs ?? 0)
        doubt(world.monotonic() - cause.ms, cause)
        over(() => reject(cause))
      })
      if (signal?.aborted === true) return aborted()
      signal?.addEventListener('abort', aborted, { once: true })

      const opened = inside.GRPCStreamCreator(StreamsClient, 'read', (grpc) => {
        const reading = made(grpc).read(request, ...inside.callArguments({ requiresLeader: true }, { deadline: Infinity }))
        if (silenceMs === undefined && !isOver) lasting.add((lasts = { grpc, leave: () => over(() => reject(new LeftError())) }))
        return reading
      })()
      opened.then(
        (reading) => {
          reading.on('error', (error: Error) => over(() => reject(error)))
          if (isOver) return reading.cancel()
          call = reading
          reading.on('data', (message: ReadResp) => {
            if (isOver) return
            heardAt = world.monotonic()
            quiet.heard()
            try {
              onMessage(message)
            } catch (error) {
              over(() => reject(error instanceof Error ? error : new Error(String(error))))
            }
          })
          reading.on('end', () => over(resolve))
        },
        (error: unknown) => over(() => reject(error instanceof Error ? error : new Error(String(error)))),
      )
    })

  const openAppends: Connection['openAppends'] = async ({ answer, over }) => {
    let lasts: { readonly grpc: GrpcClient; readonly leave: () => void } | undefined
    const call = await inside.GRPCStreamCreator(StreamsClient, 'batchAppend', (grpc) => {
      const appending = made(grpc).batchAppend(...inside.callArguments({ requiresLeader: true }, { deadline: Infinity }))
      lasting.add((lasts = { grpc, leave: () => appending.cancel() }))
      return appending
    })()
    const ended = (cause: Error): void => {
      if (lasts !== undefined) lasting.delete(lasts)
      over(cause)
    }
    call.on('data', (response: BatchAppendResp) => {
      heardAt = world.monotonic()
      answer(response)
    })
    call.on('error', ended)
    call.on('end', () => ended(new Error('EventStoreDB ended the call')))
    return { write: (request) => void call.write(request), cancel: () => call.cancel() }
  }

  return {
    library,
    read,
    openAppends,
    doubt,
    version: () =>
      askVersion(library, inside, world, (used) => {
        channel = used
      }),
    close: async () => {
      await inside.dispose()
      // The client leaves its channel open, and with it the process.
      channel?.close()
    },
  }
}

// The client library, loaded only where an EventStoreDB is used: it and what it brings take a tenth of a second and a dozen megabytes.
import type * as client from '@eventstore/db-client'
import type { EventStoreDBClient } from '@eventstore/db-client'
import type * as features from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import type shared from '@eventstore/db-client/generated/shared_pb.js'
import type * as services from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type streams from '@eventstore/db-client/generated/streams_pb.js'
import type { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type { ServerFeaturesClient } from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'

/** What is used of the library and of the protocol that it was generated from. */
export interface Library {
  readonly client: typeof client
  readonly streams: typeof streams
  readonly shared: typeof shared
  readonly services: typeof services
  readonly features: typeof features
}

export const loadClient = async (): Promise<Library> => {
  const [client, streams, shared, services, features] = await Promise.all([
    import('@eventstore/db-client'),
    import('@eventstore/db-client/generated/streams_pb.js'),
    import('@eventstore/db-client/generated/shared_pb.js'),
    import('@eventstore/db-client/generated/streams_grpc_pb.js'),
    import('@eventstore/db-client/generated/serverfeatures_grpc_pb.js'),
  ])
  return { client, streams: streams.default, shared: shared.default, services, features }
}

/** The rest of a call's arguments: headers and options, as the client makes them with its credentials. */
type CallArguments = Parameters<StreamsClient['read']> extends [unknown, (infer Headers)?, (infer Options)?] ? [NonNullable<Headers>, NonNullable<Options>] : never

/**
 * What the client does for its own calls, and here for ours: find a node, connect, send credentials, reconnect, follow the leader. Its own calls are not
 * used, as they cannot be relied on: see ARCHITECTURE.md.
 */
export interface ClientInside {
  readonly GRPCStreamCreator: <Call>(service: Library['services']['StreamsClient'], name: string, create: (client: StreamsClient) => Call) => () => Promise<Call>
  readonly execute: <Answer>(service: Library['features']['ServerFeaturesClient'], name: string, action: (client: ServerFeaturesClient) => Promise<Answer>) => Promise<Answer>
  readonly callArguments: (base: { readonly requiresLeader: boolean }, options: { readonly deadline: number | Date }) => CallArguments
  readonly handleError: (client: StreamsClient, error: Error) => Promise<void>
  readonly dispose: () => Promise<void>
}

/** The client's own parts. Throws if it is not the version that this was written for. */
export const insideOf = (client: EventStoreDBClient): ClientInside => {
  const inside = client as unknown as { -readonly [Part in keyof ClientInside]: ClientInside[Part] }
  for (const part of ['GRPCStreamCreator', 'execute', 'callArguments', 'handleError', 'dispose'] as const) {
    if (typeof inside[part] !== 'function') throw new Error(`@eventstore/db-client has no ${part}: another version than 6.2.1 is installed`)
  }
  // The client calls it for every call that ends badly and leaves what comes of it to nobody. It waits for the channel that is being made, which fails where no
  // node is found; that would end the process. Who asked for the channel hears of it.
  const { handleError } = inside
  inside.handleError = (grpc, error) => handleError(grpc, error).catch(() => undefined)
  return inside
}

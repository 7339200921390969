// Taking the beginning of a stream out of reach: the server's own `$tb`, set in the stream's metadata. What else is in the metadata stays.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import type { World } from '../../world.ts'
import { StoreFault } from '../port.ts'
import type { AppendSender } from './append-call.ts'
import type { Connection } from './connection.ts'
import { faultOf, kindOfFailure } from './failures.ts'
import type { WireReader } from './log-reader.ts'
import type { Patience } from './patience.ts'
import { metadataOf, metastreamOf } from './metadata.ts'

export interface TruncationOptions {
  readonly connection: Connection
  readonly wire: WireReader
  readonly sender: AppendSender
  readonly patience: Patience
  readonly world: World
  readonly isClosed: () => boolean
}

/**
 * Sets `$tb`, forwards only. The metadata is a stream of its own, so a change by somebody else in between is a conflict, and is seen; the client's own
 * `setStreamMetadata` would overwrite it, and the revision that its `getStreamMetadata` answers is in truth a position.
 */
export const truncation = ({ connection, wire, sender, patience, world, isClosed }: TruncationOptions) => {
  return (stream: string, before: number): TE.TaskEither<StoreFault, void> => {
    if (!Number.isSafeInteger(before) || before < 0) throw new RangeError(`No revision: ${before}`)
    return async () => {
      const trying = patience.begin()
      for (;;) {
        if (isClosed()) return E.left(new StoreFault('unavailable', 'The store is closed'))
        try {
          const { revision, document } = await metadataOf(connection, wire, stream)
          if (typeof document['$tb'] === 'number' && document['$tb'] >= before) return E.right(undefined)
          const data = new TextEncoder().encode(JSON.stringify({ ...document, $tb: before }))
          const event = { type: '$metadata', isJson: true, data, metadata: new Uint8Array(0) }
          const answer = await sender.send({ stream: metastreamOf(stream), expected: revision ?? 'noStream', ids: [world.uuid()], events: [event] })
          if (answer.kind === 'stored') return E.right(undefined)
          if (answer.kind === 'final') return E.left(faultOf(answer.cause, `${stream} cannot be truncated`))
          if (!(await trying.again())) return E.left(faultOf('cause' in answer ? answer.cause : undefined, `${stream} cannot be truncated`))
        } catch (error) {
          const kind = kindOfFailure(error)
          if ((kind !== 'unsent' && kind !== 'transient') || !(await trying.again())) return E.left(faultOf(error, `${stream} cannot be truncated`))
        }
      }
    }
  }
}

// Taking the beginning of a stream out of reach: the server's own `$tb`, set in the stream's metadata. What else is in the metadata stays.
import * as E from 'fp-ts/lib/Either.js'
import type * as TE from 'fp-ts/lib/TaskEither.js'
import type { World } from '../../world.ts'
import { StoreFault } from '../port.ts'
import type { AppendSender } from './append-call.ts'
import type { Connection } from './connection.ts'
import { faultOf, kindOfFailure } from './failures.ts'
import type { WireReader } from './wire-reader.ts'
import { metadataOf, metastreamOf, type Metadata } from './metadata.ts'
import type { Patience } from './patience.ts'

export interface TruncationOptions {
  readonly connection: Connection
  readonly wire: WireReader
  readonly sender: AppendSender
  readonly patience: Patience
  readonly world: World
  readonly isClosed: () => boolean
}

type Document = Metadata['document']

/**
 * Changes the metadata of a stream, until it is as wanted; `change` answers what it is to be, or undefined where nothing is to be done. The metadata is a stream of its own, so a change by
 * somebody else in between is a conflict, and is seen; the client's own `setStreamMetadata` would overwrite it, and the revision that its `getStreamMetadata` answers is in truth a position.
 */
export const streamMetadata = ({ connection, wire, sender, patience, world, isClosed }: TruncationOptions) => {
  const read = (stream: string): Promise<Metadata> => metadataOf(connection, wire, stream)
  const change = async (stream: string, changed: (document: Document) => Document | undefined): Promise<E.Either<StoreFault, void>> => {
    const failed = (cause: unknown): E.Either<StoreFault, never> => E.left(faultOf(cause, `The metadata of ${stream} cannot be changed`))
    const trying = patience.begin()
    for (;;) {
      if (isClosed()) return E.left(new StoreFault('unavailable', 'The store is closed'))
      try {
        const { revision, document } = await read(stream)
        const wanted = changed(document)
        if (wanted === undefined) return E.right(undefined)
        const event = { type: '$metadata', isJson: true, data: new TextEncoder().encode(JSON.stringify(wanted)), metadata: new Uint8Array(0) }
        const answer = await sender.send({ stream: metastreamOf(stream), expected: revision ?? 'noStream', ids: [world.uuid()], events: [event] })
        if (answer.kind === 'stored') return E.right(undefined)
        if (answer.kind === 'final') return failed(answer.cause)
        if (!(await trying.again())) return failed('cause' in answer ? answer.cause : undefined)
      } catch (error) {
        const kind = kindOfFailure(error)
        if ((kind !== 'unsent' && kind !== 'transient') || !(await trying.again())) return failed(error)
      }
    }
  }
  return { read: async (stream: string): Promise<Document> => (await read(stream)).document, change }
}

export type StreamMetadata = ReturnType<typeof streamMetadata>

/** Sets `$tb`, forwards only; answers how many events no reader of the stream is shown any more that was shown them before, as far as `$tb` tells. */
export const truncation =
  ({ change }: StreamMetadata) =>
  (stream: string, before: number): TE.TaskEither<StoreFault, number> => {
    if (!Number.isSafeInteger(before) || before < 0) throw new RangeError(`No revision: ${before}`)
    return async () => {
      let taken = 0
      const changed = await change(stream, (document) => {
        const standing = typeof document['$tb'] === 'number' ? document['$tb'] : 0
        if (standing >= before) return undefined
        taken = before - standing
        return { ...document, $tb: before }
      })
      return E.isLeft(changed) ? changed : E.right(taken)
    }
  }

/** Sets `$maxCount`, unless somebody has: of a stream that says the same again and again only the last is worth keeping. */
export const keepingLast =
  ({ change }: StreamMetadata) =>
  (stream: string, count: number): TE.TaskEither<StoreFault, void> => {
    if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`A stream keeps one event at least, not ${count}`)
    return () => change(stream, (document) => (document['$maxCount'] === undefined ? { ...document, $maxCount: count } : undefined))
  }

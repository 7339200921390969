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
import { streamRequest } from './read-requests.ts'

export interface TruncationOptions {
  readonly connection: Connection
  readonly wire: WireReader
  readonly sender: AppendSender
  readonly patience: Patience
  readonly world: World
  readonly isClosed: () => boolean
}

interface Metadata {
  readonly revision: number | undefined
  readonly document: Readonly<Record<string, unknown>>
}

/** The stream in which the server keeps the metadata of another. */
export const metastreamOf = (stream: string): string => `$$${stream}`

export const documentOf = (data: Uint8Array): Readonly<Record<string, unknown>> => {
  const parsed: unknown = JSON.parse(new TextDecoder().decode(data))
  return typeof parsed === 'object' && parsed !== null ? (parsed as Readonly<Record<string, unknown>>) : {}
}

/**
 * Sets `$tb`, forwards only. The metadata is a stream of its own, so a change by somebody else in between is a conflict, and is seen; the client's own
 * `setStreamMetadata` would overwrite it, and the revision that its `getStreamMetadata` answers is in truth a position.
 */
export const truncation = ({ connection, wire, sender, patience, world, isClosed }: TruncationOptions) => {
  const read = async (metastream: string): Promise<Metadata> => {
    const [last] = await wire.read(streamRequest(connection.library, metastream, { from: 'end', max: 1, isBackwards: true }))
    return last === undefined ? { revision: undefined, document: {} } : { revision: last.revision, document: documentOf(last.data) }
  }
  return (stream: string, before: number): TE.TaskEither<StoreFault, void> => {
    if (!Number.isSafeInteger(before) || before < 0) throw new RangeError(`No revision: ${before}`)
    const metastream = metastreamOf(stream)
    return async () => {
      const trying = patience.begin()
      for (;;) {
        if (isClosed()) return E.left(new StoreFault('unavailable', 'The store is closed'))
        try {
          const { revision, document } = await read(metastream)
          if (typeof document['$tb'] === 'number' && document['$tb'] >= before) return E.right(undefined)
          const data = new TextEncoder().encode(JSON.stringify({ ...document, $tb: before }))
          const event = { type: '$metadata', isJson: true, data, metadata: new Uint8Array(0) }
          const answer = await sender.send({ stream: metastream, expected: revision ?? 'noStream', ids: [world.uuid()], events: [event] })
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

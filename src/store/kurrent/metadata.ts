// A stream's metadata as the server keeps it: the last event of a stream of its own. The client's own reading is not used, as the revision that it answers is in truth a position.
import type { Connection } from './connection.ts'
import type { WireReader } from './wire-reader.ts'
import { streamRequest } from './read-requests.ts'

export interface Metadata {
  /** Of the metadata; undefined if there is none. */
  readonly revision: number | undefined
  readonly document: Readonly<Record<string, unknown>>
}

export const metastreamOf = (stream: string): string => `$$${stream}`

const documentOf = (data: Uint8Array): Readonly<Record<string, unknown>> => {
  const parsed: unknown = JSON.parse(new TextDecoder().decode(data))
  return typeof parsed === 'object' && parsed !== null ? (parsed as Readonly<Record<string, unknown>>) : {}
}

/** Rejects if the store cannot be read. */
export const metadataOf = async (connection: Connection, wire: WireReader, stream: string): Promise<Metadata> => {
  const [last] = await wire.read(streamRequest(connection.library, metastreamOf(stream), { from: 'end', max: 1, isBackwards: true }))
  return last === undefined ? { revision: undefined, document: {} } : { revision: last.revision, document: documentOf(last.data) }
}

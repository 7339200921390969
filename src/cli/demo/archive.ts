// The work of a task: one file is read, hashed, counted and packed into the archive, as the author of an application would write it. Nothing here knows of Stint.
import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'

/** What somebody wants archived. */
export interface Order {
  readonly path: string
  /** As the sender knows it: a file that has fewer was cut off on its way. */
  readonly bytes: number
}

export interface Archived {
  readonly sha256: string
  readonly bytes: number
  readonly lines: number
  /** Bytes in the archive. */
  readonly packed: number
}

export class IncompleteFile extends Error {
  readonly code = 'incomplete-file'
}

export const archiveFileOf = (into: string, id: string): string => join(into, `${id}.gz`)

const sha256Of = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
const linesOf = (content: Buffer): number => content.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0)

/** Archives a file under an id; doing it again does no harm. Throws `IncompleteFile`, or what reading and writing throw. */
export const archive = async ({ path, bytes }: Order, into: string, id: string): Promise<Archived> => {
  const content = await readFile(path)
  if (content.length !== bytes) throw new IncompleteFile(`Expected ${bytes} bytes, but the file has ${content.length}.`)
  const packed = await promisify(gzip)(content)
  const file = archiveFileOf(into, id)
  // Two workers may be at it when one was taken for dead: each writes beside, and the file under its final name is whole.
  const beside = `${file}.${process.pid}`
  await writeFile(beside, packed)
  await rename(beside, file)
  return { sha256: sha256Of(content), bytes, lines: linesOf(content), packed: packed.length }
}

/** Whether a result is what a second look at the file says, and the archive holds the file as it is. */
export const isTrue = async ({ path }: Order, into: string, id: string, result: Archived | undefined): Promise<boolean> => {
  const content = await readFile(path)
  const packed = await readFile(archiveFileOf(into, id)).catch(() => undefined)
  if (packed === undefined || result === undefined) return false
  const unpacked = await promisify(gunzip)(packed)
  return unpacked.equals(content) && result.sha256 === sha256Of(content) && result.lines === content.toString('latin1').split('\n').length - 1 && result.bytes === content.length
}

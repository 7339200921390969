// The job itself: a full-text index of the files under a directory, as a service author would write it. Only `job` knows of Stint.
//
//   scan ─▶ index ─▶ merge ─▶ write
//
// The index grows in parts on disk, each written whole under its final name: what a killed process left behind is trusted by the one that takes over.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Job } from '../../client/index.ts'
import { createCounter, createSearcher, encodeWords, mergeInto } from './inverted-index.ts'
import type { Pace } from './pace.ts'
import { sourceFilesUnder, type SourceFile } from './source-files.ts'

/** A part is written after so many bytes of text. */
const PART_BYTES = 256 * 1024

const QUESTIONS: readonly string[] = ['error handler', 'read file', 'license', 'promise resolve']

export interface IndexRequest {
  readonly directory: string
  /** Where index and parts are kept, a directory of this job alone. */
  readonly into: string
  readonly pace: Pace
  /** Told of every file that was read. */
  readonly onFile: (bytes: number) => void
}

export interface IndexResult {
  readonly files: number
  readonly bytes: number
  /** Words that stand somewhere, each time. */
  readonly words: number
  readonly distinctWords: number
  /** Files that a killed process had indexed before. */
  readonly filesTakenOver: number
  readonly answers: readonly { readonly question: string; readonly hits: number; readonly best?: string }[]
}

/** What a part says about itself, on its first line. */
interface PartHead {
  readonly files: readonly number[]
  readonly words: number
}

const PART = /^part-\d+$/

const readPart = async (path: string): Promise<{ readonly head: PartHead; readonly words: string }> => {
  const text = await readFile(path, 'utf8')
  const end = text.indexOf('\n')
  return { head: JSON.parse(text.slice(0, end)) as PartHead, words: text.slice(end + 1) }
}

/** Written beside and renamed: a file under its final name is whole. */
const writeWhole = async (path: string, text: string): Promise<void> => {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

const partsIn = async (directory: string): Promise<readonly string[]> => (await readdir(directory)).filter((name) => PART.test(name)).map((name) => join(directory, name))

const scan = async (job: Job, directory: string): Promise<readonly SourceFile[]> => {
  job.phase('scan')
  return sourceFilesUnder(directory, () => job.checkpoint())
}

const indexFiles = async (job: Job, files: readonly SourceFile[], known: ReadonlySet<number>, { into, pace, onFile }: IndexRequest): Promise<void> => {
  job.phase('index')
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  let bytes = files.reduce((sum, file, number) => sum + (known.has(number) ? file.bytes : 0), 0)
  let done = known.size
  let words = 0
  let counter = createCounter()
  let part: { numbers: number[]; bytes: number } = { numbers: [], bytes: 0 }

  const endPart = async (): Promise<void> => {
    const [first] = part.numbers
    if (first === undefined) return
    const head: PartHead = { files: part.numbers, words: counter.total() }
    await writeWhole(join(into, `part-${first}`), `${JSON.stringify(head)}\n${encodeWords(counter.words())}`)
    words += head.words
    counter = createCounter()
    part = { numbers: [], bytes: 0 }
  }

  for (const [number, file] of files.entries()) {
    if (known.has(number)) continue
    const text = await readFile(file.path, 'utf8').catch(() => '')
    for (let at = 0; at < text.length; at += pace.piece) {
      const piece = text.slice(at, at + pace.piece)
      await pace.take(piece.length, job.signal)
      await job.checkpoint()
      counter.add(number, piece)
      job.progress({ fraction: Math.min(1, (bytes + at + piece.length) / Math.max(1, total)), done, total: files.length, unit: 'files' })
    }
    bytes += file.bytes
    done += 1
    part.numbers.push(number)
    part.bytes += file.bytes
    onFile(file.bytes)
    job.partial({ files: done, bytes, words: words + counter.total() })
    if (part.bytes >= PART_BYTES) await endPart()
  }
  await endPart()
  job.progress({ fraction: 1, done, total: files.length, unit: 'files' })
}

const merge = async (job: Job, into: string): Promise<{ readonly merged: Map<string, Map<number, number>>; readonly words: number }> => {
  job.phase('merge')
  const parts = await partsIn(into)
  const merged = new Map<string, Map<number, number>>()
  let words = 0
  for (const [number, path] of parts.entries()) {
    await job.checkpoint()
    const part = await readPart(path)
    mergeInto(merged, part.words)
    words += part.head.words
    job.progress({ done: number + 1, total: parts.length, unit: 'parts' })
  }
  return { merged, words }
}

const answersFrom = (index: string, files: readonly SourceFile[], directory: string): IndexResult['answers'] => {
  const searcher = createSearcher(index, files.length)
  return QUESTIONS.map((question) => {
    const hits = searcher.search(question.split(' '))
    const best = files[hits[0] ?? -1]
    return { question, hits: hits.length, ...(best === undefined ? {} : { best: relative(directory, best.path) }) }
  })
}

/** Indexes a directory, or goes on where a killed process stopped. */
export const indexDirectory = async (job: Job, request: IndexRequest): Promise<IndexResult> => {
  const { directory, into } = request
  await mkdir(into, { recursive: true })
  const files = await scan(job, directory)
  const left = await Promise.all((await partsIn(into)).map(readPart))
  const known = new Set(left.flatMap((part) => part.head.files))
  await indexFiles(job, files, known, request)
  const { merged, words } = await merge(job, into)
  job.phase('write')
  await job.checkpoint()
  const path = join(into, 'index')
  await writeWhole(path, encodeWords(merged))
  for (const part of await partsIn(into)) await rm(part)
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  return { files: files.length, bytes, words, distinctWords: merged.size, filesTakenOver: known.size, answers: answersFrom(await readFile(path, 'utf8'), files, directory) }
}

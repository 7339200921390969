// Projections that stand at one position and are taken on together. Normally all are in one lane; one that is folded anew, or had stopped, follows in a lane
// of its own until it has caught up, so that it neither holds the others up nor sees an item in another state than its own.
import type { DatabaseSync } from 'node:sqlite'
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../domain/ids.ts'
import type { Position } from '../store/port.ts'
import { createFold, upTo, type Fold, type FoldFailure, type LoadItems } from './fold.ts'
import type { Batch, Known, TablesReader } from './projection.ts'
import { sequenceOf } from './sequence.ts'
import { isStorageError, witnessOf, type Member, type TablesFile } from './tables-file.ts'

export interface Lane {
  position: Position
  members: readonly Member[]
  readonly fold: Fold
}

/** Live items at hand for a lane that can load the others from its tables; without such tables all stay. */
const ITEMS_AT_HAND = 20_000

/** Lanes of these projections, the foremost first. */
export const lanesOf = (members: readonly Member[], reader: TablesReader): Lane[] => {
  const lanes: Lane[] = []
  for (const member of members) {
    const level = lanes.find((lane) => lane.position === member.position)
    if (level !== undefined) level.members = [...level.members, member]
    else {
      const lane: Lane = { position: member.position, members: [member], fold: createFold({ reader, load: (workItems) => loadFrom(lane, reader, workItems) }) }
      lanes.push(lane)
    }
  }
  return lanes.toSorted((a, b) => (a.position < b.position ? 1 : -1))
}

const loaderOf = (lane: Lane) => lane.members.find(({ opened }) => opened.load !== undefined)?.opened.load

/** Tables are keyed by births, and where an item was born the log knows by the item's name: its first event is looked up there. */
const loadFrom = async (lane: Lane, reader: TablesReader, workItems: readonly WorkItemId[]): ReturnType<LoadItems> => {
  const found = new Map<WorkItemId, Omit<Known, 'position'>>()
  const load = loaderOf(lane)
  if (load === undefined) return E.right(found)
  const births = await reader.readFirst(workItems.map(streamOf))()
  if (E.isLeft(births)) return births
  for (const [index, workItem] of workItems.entries()) {
    const first = births.right[index]
    const known = load(workItem, first?.revision === 0 ? sequenceOf(first.position) : undefined)
    if (known !== undefined) found.set(workItem, known)
  }
  return E.right(found)
}

/** Puts lanes at the same position together. What the folds know is the same; the one kept is that of the lane that was ahead. */
export const mergeLevel = (lanes: readonly Lane[]): Lane[] => {
  const merged: Lane[] = []
  for (const lane of lanes) {
    const level = merged.find(({ position }) => position === lane.position)
    if (level === undefined) merged.push(lane)
    else level.members = [...level.members, ...lane.members]
  }
  return merged
}

export interface Stopped {
  readonly member: Member
  readonly why: string
}

const sentenceOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** One transaction; taken back when anything in it throws. */
const inTransaction = <A>(db: DatabaseSync, run: () => A): A => {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    db.exec('COMMIT')
    return result
  } catch (cause) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw cause
  }
}

/** What the batch changes in each projection's tables, and how far each has come. Throws what any of them throws. */
const writeAll = ({ db, reachedBy }: TablesFile, { members }: Lane, batch: Batch, witness: string): void =>
  inTransaction(db, () => {
    for (const { projection, opened } of members) {
      opened.apply(batch)
      reachedBy(projection.name, batch.position, witness)
    }
  })

/** The same, each projection by itself: one that throws stops, and what it wrote of the batch is taken back. Throws what SQLite says of the file or the machine. */
const writeEach = ({ db, reachedBy, stoppedBy }: TablesFile, { members }: Lane, batch: Batch, witness: string): readonly Stopped[] =>
  inTransaction(db, () => {
    const stopped: Stopped[] = []
    for (const member of members) {
      db.exec('SAVEPOINT one')
      try {
        member.opened.apply(batch)
        reachedBy(member.projection.name, batch.position, witness)
      } catch (cause) {
        if (isStorageError(cause)) throw cause
        db.exec('ROLLBACK TO one')
        stopped.push({ member, why: `At ${batch.position} or up to ${batch.events - 1} events before it: ${sentenceOf(cause)}` })
        stoppedBy(member.projection.name, sentenceOf(cause))
      }
      db.exec('RELEASE one')
    }
    return stopped
  })

/** A savepoint copies every page that is written under it, so there is one for each projection only after one of them threw. */
const write = (file: TablesFile, lane: Lane, batch: Batch, witness: string): readonly Stopped[] => {
  try {
    writeAll(file, lane, batch, witness)
    return []
  } catch (cause) {
    if (isStorageError(cause)) throw cause
    return writeEach(file, lane, batch, witness)
  }
}

export interface Step {
  /** None: the lane is at its limit or at the end of the log. */
  readonly events: number
  readonly stopped: readonly Stopped[]
}

/** Takes a lane on by at most `max` events, not beyond `limit`. Left when the log could not be read or folded; throws what SQLite says of the file. */
export const stepLane = async (options: {
  readonly file: TablesFile
  readonly reader: TablesReader
  readonly lane: Lane
  readonly max: number
  readonly limit: Position | undefined
}): Promise<E.Either<FoldFailure, Step>> => {
  const { file, reader, lane, max, limit } = options
  const page = await reader.readAll({ after: lane.position, max })()
  if (E.isLeft(page)) return page
  const due = upTo(page.right, limit)
  const batch = await lane.fold.take(due)
  if (E.isLeft(batch)) return batch
  const last = due[batch.right.events - 1]
  if (last === undefined) return E.right({ events: 0, stopped: [] })
  const stopped = write(file, lane, batch.right, witnessOf(last))
  lane.fold.keep(batch.right)
  lane.position = batch.right.position
  lane.members = lane.members.filter((member) => !stopped.some((each) => each.member === member))
  if (loaderOf(lane) !== undefined) lane.fold.trim(ITEMS_AT_HAND)
  return E.right({ events: batch.right.events, stopped })
}

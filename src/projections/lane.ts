// Projections that stand at one position and are taken on together. Normally all are in one lane; one that is folded anew, or had stopped, follows in a lane
// of its own until it has caught up, so that it neither holds the others up nor sees an item in another state than its own.
import * as E from 'fp-ts/lib/Either.js'
import type { EventReader, Position } from '../store/port.ts'
import { createFold, upTo, type Fold, type FoldFailure } from './fold.ts'
import type { Batch } from './projection.ts'
import { isStorageError, witnessOf, type Member, type TablesFile } from './tables-file.ts'

export interface Lane {
  position: Position
  members: readonly Member[]
  readonly fold: Fold
}

/** Live items at hand for a lane that can load the others from its tables; without such tables all stay. */
const ITEMS_AT_HAND = 20_000

/** Lanes of these projections, the foremost first. */
export const lanesOf = (members: readonly Member[], reader: EventReader): Lane[] => {
  const lanes: Lane[] = []
  for (const member of members) {
    const level = lanes.find((lane) => lane.position === member.position)
    if (level !== undefined) level.members = [...level.members, member]
    else {
      const lane: Lane = { position: member.position, members: [member], fold: createFold({ reader, load: (workItem, created) => loaderOf(lane)?.(workItem, created) }) }
      lanes.push(lane)
    }
  }
  return lanes.toSorted((a, b) => (a.position < b.position ? 1 : -1))
}

const loaderOf = (lane: Lane) => lane.members.find(({ opened }) => opened.load !== undefined)?.opened.load

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

/** One transaction: what the batch changes in each projection's tables, and how far each has come. Throws what SQLite says of the file or the machine. */
const write = (file: TablesFile, lane: Lane, batch: Batch, witness: string): readonly Stopped[] => {
  const stopped: Stopped[] = []
  const { db } = file
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const member of lane.members) {
      db.exec('SAVEPOINT one')
      try {
        member.opened.apply(batch)
        file.reachedBy(member.projection.name, batch.position, witness)
      } catch (cause) {
        if (isStorageError(cause)) throw cause
        db.exec('ROLLBACK TO one')
        stopped.push({ member, why: `At ${batch.position} or up to ${batch.events - 1} events before it: ${sentenceOf(cause)}` })
        file.stoppedBy(member.projection.name, sentenceOf(cause))
      }
      db.exec('RELEASE one')
    }
    db.exec('COMMIT')
  } catch (cause) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw cause
  }
  return stopped
}

export interface Step {
  /** None: the lane is at its limit or at the end of the log. */
  readonly events: number
  readonly stopped: readonly Stopped[]
}

/** Takes a lane on by at most `max` events, not beyond `limit`. Left when the log could not be read or folded; throws what SQLite says of the file. */
export const stepLane = async (options: {
  readonly file: TablesFile
  readonly reader: EventReader
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

// Takes the index of streams on, many events at a time and in the order of the index, so that each of its pages is written once for many events. Between
// commits, in steps: nobody waits for it, and a step that is lost is made again.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { isBusy, isFull } from './errors.ts'
import type { StreamIndex } from './stream-index.ts'

/** Events that wait for the index until it is taken on. */
const EVENTS_A_RUN = 16_384

/** Events of one step: about a millisecond. */
const EVENTS_A_STEP = 512

const ROWS_A_STATEMENT = 64
const WIDTH = 3

export interface IndexFiller {
  /** One step, if there is something to do. Not within a transaction. Throws what it cannot be certain of. */
  readonly step: () => void
  /** All that is left. */
  readonly finish: () => void
  /** After a rollback of what it had seen. */
  readonly drop: () => void
}

/** Key, revision and position of each event, in the order of the index; `upTo`: the last position. */
interface Run {
  readonly rows: readonly number[]
  readonly upTo: number
  at: number
}

/** Numbers below this are told apart within one double beside a key of 32 bits. */
const PLACES_MAX = 2 ** 20

const runOf = ({ tail, keyOf, reached }: StreamIndex): Run => {
  const keys: number[] = []
  const places: number[] = []
  let upTo = reached()
  const last = upTo + PLACES_MAX
  for (const [stream, found] of tail.streams()) {
    const key = keyOf(stream) as number
    for (let at = 0; at < found.length; at += 2) {
      const position = found[at + 1] as number
      if (position > last) break
      keys.push(key)
      places.push(found[at] as number, position)
      upTo = Math.max(upTo, position)
    }
  }
  // Numbers sort ten times as fast as objects: the key and, below it, which place it is.
  const order = Float64Array.from(keys, (key, index) => key * PLACES_MAX + index).sort()
  const rows: number[] = []
  for (const packed of order) {
    const index = packed % PLACES_MAX
    rows.push((packed - index) / PLACES_MAX, places[index * 2] as number, places[index * 2 + 1] as number)
  }
  return { rows, upTo, at: 0 }
}

const insertOf = (db: DatabaseSync, rows: number): StatementSync =>
  db.prepare(`INSERT OR IGNORE INTO stream_places (key, revision, position) VALUES ${Array(rows).fill('(?, ?, ?)').join(', ')}`)

export const indexFillerOf = (db: DatabaseSync, index: StreamIndex, eventsARun = EVENTS_A_RUN): IndexFiller => {
  const [one, many] = [insertOf(db, 1), insertOf(db, ROWS_A_STATEMENT)]
  const reach = db.prepare('UPDATE indexed SET position = ?')
  let run: Run | undefined

  const insert = ({ rows }: Run, from: number, to: number): void => {
    const wide = WIDTH * ROWS_A_STATEMENT
    let at = from
    for (; at + wide <= to; at += wide) many.run(...rows.slice(at, at + wide))
    for (; at < to; at += WIDTH) one.run(...rows.slice(at, at + WIDTH))
  }

  /** False: not now. */
  const take = (events: number): boolean => {
    run ??= runOf(index)
    const to = Math.min(run.rows.length, run.at + events * WIDTH)
    try {
      db.exec('BEGIN IMMEDIATE')
      insert(run, run.at, to)
      if (to === run.rows.length) reach.run(run.upTo)
      db.exec('COMMIT')
    } catch (cause) {
      if (db.isTransaction) db.exec('ROLLBACK')
      if (isBusy(cause) || isFull(cause)) return false
      throw cause
    }
    run.at = to
    if (to < run.rows.length) return true
    index.movedTo(run.upTo)
    run = undefined
    return true
  }

  return {
    step: () => {
      if (run !== undefined || index.tail.size() >= eventsARun) take(EVENTS_A_STEP)
    },
    finish: () => {
      while ((run !== undefined || index.tail.size() > 0) && take(PLACES_MAX));
    },
    drop: () => {
      run = undefined
    },
  }
}

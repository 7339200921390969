// Takes the index of streams on, many events at a time and in the order of the index, so that each of its pages is written once for many events. Between
// commits, in steps: nobody waits for it, and a step that is lost is made again.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { isBusy, isFull } from './errors.ts'
import type { StreamIndex } from './stream-index.ts'

/** Events that wait for the index until it is taken on. */
const EVENTS_A_RUN = 16_384

/** Events of one step, at least: a millisecond or two. */
const EVENTS_A_STEP = 256

const ROWS_A_STATEMENT = 64
const WIDTH = 3

export interface IndexFiller {
  /**
   * One step, if there is something to do: of at least twice as many events as were `written` since the last, so that it comes to an end. Not within a transaction.
   * Throws what it cannot be certain of.
   */
  readonly step: (written: number) => void
  /** All that is left. */
  readonly finish: () => void
  /** Begins anew: something that it had seen was taken back, or pruned. */
  readonly drop: () => void
}

/** Key, revision and position of each event, in the order of the index; `upTo`: the last position. */
interface Run {
  readonly rows: readonly number[]
  readonly upTo: number
  at: number
}

/** Numbers below this are told apart within one double beside a key of 32 bits: of so many positions there are no more places. */
const PLACES_MAX = 2 ** 20

const runOf = ({ tail, keyOf }: StreamIndex, most: number): Run => {
  const keys: number[] = []
  const places: number[] = []
  let first = Infinity
  for (const [, found] of tail.streams()) first = Math.min(first, found[1] as number)
  const last = first + Math.min(most, PLACES_MAX) - 1
  let upTo = 0
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

  /** Answers how many were taken; none: not now. */
  const take = (events: number): number => {
    run ??= runOf(index, eventsARun)
    const to = Math.min(run.rows.length, run.at + events * WIDTH)
    try {
      db.exec('BEGIN IMMEDIATE')
      insert(run, run.at, to)
      if (to === run.rows.length) reach.run(run.upTo)
      db.exec('COMMIT')
    } catch (cause) {
      if (db.isTransaction) db.exec('ROLLBACK')
      if (isBusy(cause) || isFull(cause)) return 0
      throw cause
    }
    const taken = (to - run.at) / WIDTH
    run.at = to
    if (to < run.rows.length) return taken
    index.movedTo(run.upTo)
    run = undefined
    return taken
  }

  return {
    step: (written) => {
      let left = Math.max(EVENTS_A_STEP, 2 * written)
      for (let taken = left; taken > 0 && left > 0 && (run !== undefined || index.tail.size() >= eventsARun); left -= taken) taken = take(left)
    },
    finish: () => {
      while ((run !== undefined || index.tail.size() > 0) && take(PLACES_MAX) > 0);
    },
    drop: () => {
      run = undefined
    },
  }
}

// The table of every work item's last state: what lists are made of and what a start takes the live items from.
// Narrow rows to filter by stand apart from what is shown, so that a list that must look at many rows reads little. Of an item to which nothing has happened yet its birth says
// everything; the others have a state too. All tables are keyed by the position of the item's birth and so grow at their end (rules 12), and nothing is indexed by name: names lie in no order, and each would touch a page of its own.
// No row stands in more than three of the indexes. History is not here: it is in the log.
import type { DatabaseSync } from 'node:sqlite'
import type { WorkItemId } from '../domain/ids.ts'
import { isLive, surfaceState, type Existing, type WorkItem } from '../domain/work-item/state.ts'
import { asBorn, isAsBorn } from './as-born.ts'
import { byName } from './by-name.ts'
import { insertsInto } from './inserts.ts'
import type { ItemChange, OpenedProjection, Projection } from './projection.ts'
import { sequenceOf } from './sequence.ts'
import type { Birth } from './tables.ts'

const schema = `
  CREATE TABLE work_items (
    created INTEGER PRIMARY KEY, work_item TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL, /* 1: live, 2: dead letter */ live INTEGER NOT NULL,
    server TEXT, label TEXT, tag TEXT, task_key TEXT, operation TEXT, /* of tasks: their order in the queue, with created */ rank INTEGER, due INTEGER, made_by TEXT NOT NULL
  ) STRICT;
  CREATE INDEX work_items_live ON work_items (kind, scope, created) WHERE live = 1;
  CREATE INDEX work_items_by_scope ON work_items (kind, scope, created) WHERE kind = 'job' OR kind = 'request' OR kind = 'long-task';
  CREATE INDEX jobs_by_state ON work_items (state, created) WHERE kind = 'job';
  CREATE INDEX requests_by_state ON work_items (scope, state, created) WHERE kind = 'request';
  CREATE INDEX long_tasks_by_state ON work_items (state, created) WHERE kind = 'long-task';
  CREATE INDEX tasks_by_state ON work_items (scope, state, rank, due, created) WHERE kind = 'task';
  CREATE TABLE work_item_births (created INTEGER PRIMARY KEY, at INTEGER NOT NULL, birth TEXT NOT NULL) STRICT;
  CREATE TABLE work_item_states (created INTEGER PRIMARY KEY, position INTEGER NOT NULL, item TEXT NOT NULL, ending TEXT, late TEXT) STRICT;
  CREATE TABLE book_streams (stream TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
`

/** Service of a job, `<app>/<queue>` of a task, contract of a request, node of a long task: what lists and statistics are grouped by. */
export const scopeOf = ({ job, task, request, operation }: Existing): string =>
  task === undefined ? (job?.service ?? request?.contract ?? operation?.node ?? '') : `${task.app}/${task.queue}`

/** Of what was erased no row is left: lists show and statistics count what is kept (rules 26). */
export const isErased = (item: WorkItem): boolean => item.status === 'settled' && item.erased === true

/** Dead letters are settled for a start, which leaves them where they are, and still another thing than what has failed. */
const livenessOf = (item: WorkItem): 0 | 1 | 2 => (item.status === 'deadLetter' ? 2 : isLive(item) ? 1 : 0)

interface Place {
  readonly rank: number | null
  readonly due: number | null
}

/** Where a task stands in its queue: by priority, the higher first, then by when it is due. Whole numbers, as a queue might have been given others. */
const placeOf = ({ task }: Existing): Place => (task === undefined ? { rank: null, due: null } : { rank: 0 - Math.trunc(task.priority ?? 0), due: Math.trunc(task.dueAt) })

interface Facts {
  readonly birth: string | null
  readonly ending: string | null
  readonly late: string | null
}

/** The facts of a change that a reader is shown, as JSON. */
const shownFacts = (change: ItemChange): Facts => {
  let birth: string | null = null
  let ending: string | null = null
  let late: string | null = null
  for (const { event, begins } of change.facts) {
    if (begins === true) {
      birth = JSON.stringify(event)
      ending = null
      late = null
      continue
    }
    switch (event.type) {
      case 'JobRegistered':
      case 'TaskInserted':
      case 'RequestAccepted':
      case 'OperationDispatched':
        birth = JSON.stringify(event)
        break
      case 'Completed':
      case 'Failed':
      case 'Aborted':
      case 'Cancelled':
      case 'TimedOut':
        ending = JSON.stringify(event)
        break
      case 'LateResultRecorded':
        late = JSON.stringify(event)
        break
      default:
        break
    }
  }
  return { birth, ending, late }
}

const open = (db: DatabaseSync): OpenedProjection => {
  const newItems = insertsInto(db, 'work_items', 'created work_item kind scope state live server label tag task_key operation rank due made_by'.split(' '))
  const newBirths = insertsInto(db, 'work_item_births', ['created', 'at', 'birth'])
  const newStates = insertsInto(db, 'work_item_states', ['created', 'position', 'item', 'ending', 'late'])
  const addQueue = db.prepare('INSERT OR IGNORE INTO book_streams (stream) VALUES (?)')
  // An index is written when a column of it is set, whether it changes or not.
  const setSurface = db.prepare('UPDATE work_items SET state = ? WHERE created = ?')
  const setLiveness = db.prepare('UPDATE work_items SET state = ?, live = ? WHERE created = ?')
  const setDue = db.prepare('UPDATE work_items SET due = ? WHERE created = ?')
  const setState = db.prepare('UPDATE work_item_states SET position = ?, item = ? WHERE created = ?')
  const setFacts = db.prepare('UPDATE work_item_states SET position = ?, item = ?, ending = coalesce(?, ending), late = coalesce(?, late) WHERE created = ?')
  const find = db.prepare('SELECT b.created, b.at, b.birth, s.item FROM work_item_births b LEFT JOIN work_item_states s ON s.created = b.created WHERE b.created = ?')
  find.setReturnArrays(true)
  const named = byName(db, 'work_items')
  const removals = ['work_items', 'work_item_births', 'work_item_states'].map((table) => db.prepare(`DELETE FROM ${table} WHERE created = ?`))

  /** Takes in the changes of one batch. */
  const batch = () => {
    const [items, births, states] = [newItems(), newBirths(), newStates()]

    const addState = ({ created, after, position }: ItemChange, { ending, late }: Facts): void => states.add(created, sequenceOf(position), JSON.stringify(after), ending, late)

    const add = (change: ItemChange, facts: Facts): void => {
      const { workItem, created, after } = change
      const { kind, job, task, operation, by } = after
      const { rank, due } = placeOf(after)
      const asked = [job?.server ?? null, job?.label ?? null, task?.tag ?? null, task?.key ?? null, operation?.operation ?? null, rank, due, by]
      items.add(created, workItem, kind, scopeOf(after), surfaceState(after), livenessOf(after), ...asked)
      births.add(created, after.createdAt, facts.birth)
      if (!isAsBorn(after)) addState(change, facts)
    }

    const update = (change: ItemChange, before: Existing, facts: Facts): void => {
      const { created, after, position } = change
      const { ending, late } = facts
      const [state, liveness] = [surfaceState(after), livenessOf(after)]
      if (livenessOf(before) !== liveness) setLiveness.run(state, liveness, created)
      else if (surfaceState(before) !== state) setSurface.run(state, created)
      const { due } = placeOf(after)
      if (placeOf(before).due !== due) setDue.run(due, created)
      if (isAsBorn(before)) addState(change, facts)
      else if (ending === null && late === null) setState.run(sequenceOf(position), JSON.stringify(after), created)
      else setFacts.run(sequenceOf(position), JSON.stringify(after), ending, late, created)
    }

    return {
      take: (change: ItemChange): void => {
        const { before } = change
        if (isErased(change.after)) {
          for (const remove of removals) remove.run(change.replaces ?? change.created)
        } else if (before.status === 'absent') add(change, shownFacts(change))
        else update(change, before, shownFacts(change))
      },
      write: (): void => {
        for (const rows of [items, births, states]) rows.write()
      },
    }
  }

  return {
    apply: ({ changes, bookStreams }) => {
      for (const stream of bookStreams) addQueue.run(stream)
      const { take, write } = batch()
      for (const change of changes) take(change)
      write()
    },
    load: (workItem, birth) => {
      const created = birth ?? named(workItem)
      const row = created === undefined ? undefined : (find.get(created) as unknown as readonly [number, number, string, string | null] | undefined)
      if (row === undefined) return undefined
      // What stands there was written by this version of the fold: another version's tables have been dropped.
      const item = row[3] === null ? asBorn(JSON.parse(row[2]) as Birth, row[1]) : (JSON.parse(row[3]) as Existing)
      return { created: row[0], item }
    },
  }
}

export const workItems: Projection = {
  name: 'work-items',
  version: 5,
  schema,
  tables: [
    { name: 'work_items', key: ['created'] },
    { name: 'work_item_births', key: ['created'] },
    { name: 'work_item_states', key: ['created'] },
    { name: 'book_streams', key: ['stream'] },
  ],
  outlivesErasure: true,
  createdOf: (db, workItems) => {
    const found = new Set<number>()
    const rows = db.prepare('SELECT created, work_item FROM work_items')
    rows.setReturnArrays(true)
    for (const [created, workItem] of rows.iterate() as unknown as Iterable<readonly [number, WorkItemId]>) if (workItems.has(workItem)) found.add(created)
    return found
  },
  open,
}

// What may be erased once its time is over, in the order in which it became so: jobs, tasks and long tasks from their settlement, requests from the release of their reply, or their end without one. An item that still owes
// effects is not among them yet. Rows leave with the item.
import type { DatabaseSync } from 'node:sqlite'
import { expiryOf, hasNoReply } from '../domain/policy/release.ts'
import type { WorkItemEventType } from '../domain/work-item/events.ts'
import { SETTLING } from '../domain/work-item/events.ts'
import { isOwing, type WorkItem } from '../domain/work-item/state.ts'
import { byName } from './by-name.ts'
import { askDue } from './due.ts'
import { insertsInto } from './inserts.ts'
import type { Fact, ItemChange, OpenedProjection, Projection } from './projection.ts'
import { sequenceOf } from './sequence.ts'
import type { Due, RetiredFilter } from './tables.ts'
import { isErased } from './work-items.ts'

/** By time rather than by place: a clock that once ran ahead then holds up nothing but what it dated. Within one time they lie in log order. */
const schema = `
  CREATE TABLE retired (created INTEGER PRIMARY KEY, position INTEGER NOT NULL, work_item TEXT NOT NULL, kind TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
  CREATE INDEX retired_by_time ON retired (kind, since, position);
`

/** Nothing can come any more that anybody waits for. What ended without a reply waits for no release. */
const isRetired = (item: WorkItem): boolean =>
  item.status === 'settled' && !isErased(item) && !isOwing(item) && (item.kind !== 'request' || item.released !== undefined || hasNoReply(item))

const RELEASING: ReadonlySet<string> = new Set<WorkItemEventType>(['ReplyReleased', 'EffectsCarriedOut'])
/** Of what has no reply that is released: its end, or the last that was owed after it. The release of a request without a reply may follow, and changes nothing. */
const ENDING: ReadonlySet<string> = new Set([...SETTLING, 'EffectsCarriedOut'])

/** The fact that retired it: none of these can follow it, so the last one of a batch is it, whatever the batches are. */
const retiredBy = ({ after, facts }: ItemChange): Fact | undefined => {
  const retiring = after.kind !== 'request' || (after.status === 'settled' && hasNoReply(after)) ? ENDING : RELEASING
  return facts.findLast(({ event }) => retiring.has(event.type))
}

/**
 * From when on it counts: a request without a reply from the end of the time for which one would be kept, since its reason is told until then; whatever is no
 * request from its settlement, however late its end was acknowledged.
 */
const sinceOf = (after: WorkItem, { time }: Fact): number => {
  if (after.status !== 'settled') return Math.floor(time)
  if (after.kind !== 'request') return Math.floor(after.settledAt)
  return Math.floor(hasNoReply(after) ? Math.max(time, expiryOf(after) ?? time) : time)
}

const open = (db: DatabaseSync): OpenedProjection => {
  const newRows = insertsInto(db, 'retired', ['created', 'position', 'work_item', 'kind', 'since'])
  const drop = db.prepare('DELETE FROM retired WHERE created = ?')
  const named = byName(db, 'retired')
  return {
    apply: ({ changes }) => {
      const rows = newRows()
      for (const change of changes) {
        const { workItem, created, before, after } = change
        if (isErased(after) && !isErased(before)) drop.run(change.replaces ?? named(workItem) ?? created)
        if (!isRetired(after) || isRetired(before)) continue
        const fact = retiredBy(change)
        if (fact !== undefined) rows.add(created, sequenceOf(fact.position), workItem, after.kind, sinceOf(after, fact))
      }
      rows.write()
    },
  }
}

export const retired: Projection = {
  name: 'retired',
  version: 4,
  schema,
  tables: [{ name: 'retired', key: ['created'] }],
  outlivesErasure: true,
  open,
}

/** The question to this table. */
export const askRetired = (db: DatabaseSync): ((filter: RetiredFilter) => readonly Due[]) => {
  const due = askDue(db, 'retired INDEXED BY retired_by_time', 'since', 'position', 'kind = ?')
  return (filter) => due(filter, filter.kind)
}

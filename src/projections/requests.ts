// The requests that are kept: pending, or settled with a reply that is not released yet. What has expired and what a caller has unreleased is found here without looking at any other item;
// what each caller has is summed up as it changes, so that a question about it costs one row.
import type { DatabaseSync } from 'node:sqlite'
import { kept, NO_USAGE, plus, type Usage } from '../domain/policy/quota.ts'
import { expiryOf } from '../domain/policy/release.ts'
import { surfaceState, type Existing } from '../domain/work-item/state.ts'
import { byName } from './by-name.ts'
import type { ItemChange, OpenedProjection, Projection } from './projection.ts'
import { isErased } from './work-items.ts'

const schema = `
  CREATE TABLE requests (
    created INTEGER PRIMARY KEY, work_item TEXT NOT NULL, contract TEXT NOT NULL, caller TEXT NOT NULL, state TEXT NOT NULL,
    settled_at INTEGER, expires_at INTEGER, pending INTEGER NOT NULL, unreleased INTEGER NOT NULL, bytes INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX requests_by_caller ON requests (contract, caller, created);
  CREATE INDEX requests_by_expiry ON requests (expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE request_usage (
    contract TEXT NOT NULL, caller TEXT NOT NULL, pending INTEGER NOT NULL, unreleased INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (contract, caller)
  ) STRICT, WITHOUT ROWID;
`

type Row = NonNullable<ReturnType<typeof kept>>

/** Sums of one batch, so that each caller's row is written once. */
const tally = () => {
  const sums = new Map<string, Row>()
  return {
    add: ({ contract, caller, ...usage }: Row, sign: 1 | -1): void => {
      const key = JSON.stringify([contract, caller])
      sums.set(key, { contract, caller, ...plus(sums.get(key) ?? NO_USAGE, usage, sign) })
    },
    sums: () => sums.values(),
  }
}

/** Milliseconds in whole numbers: a column of integers takes nothing else. */
const timesOf = (item: Existing): readonly [settledAt: number | null, expiresAt: number | null] => {
  if (item.status !== 'settled') return [null, null]
  const expiry = expiryOf(item)
  return [Math.floor(item.settledAt), expiry === undefined ? null : Math.ceil(expiry)]
}

const open = (db: DatabaseSync): OpenedProjection => {
  const add = db.prepare(
    'INSERT INTO requests (created, work_item, contract, caller, state, settled_at, expires_at, pending, unreleased, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const set = db.prepare('UPDATE requests SET state = ?, settled_at = ?, expires_at = ?, pending = ?, unreleased = ?, bytes = ? WHERE created = ?')
  const named = byName(db, 'requests')
  const drop = db.prepare('DELETE FROM requests WHERE created = ? RETURNING contract, caller, pending, unreleased, bytes')
  const sum = db.prepare(
    `INSERT INTO request_usage (contract, caller, pending, unreleased, bytes) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET pending = pending + excluded.pending, unreleased = unreleased + excluded.unreleased, bytes = bytes + excluded.bytes RETURNING pending, unreleased`,
  )
  const forget = db.prepare('DELETE FROM request_usage WHERE contract = ? AND caller = ?')

  /** The row as it stands leaves, whatever is known of the item: of one whose stream was erased nothing but its name may be. */
  const leave = ({ workItem, created, before, after, replaces }: ItemChange, usage: ReturnType<typeof tally>): void => {
    const isTold = !isErased(after) || isErased(before)
    const row = drop.get(isTold ? created : (replaces ?? named(workItem) ?? created)) as unknown as Row | undefined
    if (row !== undefined) usage.add(row, -1)
  }

  const update = ({ created, before, after }: ItemChange, row: Row, usage: ReturnType<typeof tally>): void => {
    const was = kept(before)
    if (was !== undefined) usage.add(was, -1)
    usage.add(row, 1)
    const state = surfaceState(after)
    // Most of what happens to a pending request changes nothing here.
    if (before.status === 'absent' || before.status !== after.status || surfaceState(before) !== state)
      set.run(state, ...timesOf(after), row.pending, row.unreleased, row.bytes, created)
  }

  return {
    apply: ({ changes }) => {
      const usage = tally()
      for (const change of changes) {
        const { workItem, created, before, after } = change
        if (after.kind !== 'request') continue
        const row = kept(after)
        if (row === undefined) leave(change, usage)
        else if (before.status === 'absent') {
          add.run(created, workItem, row.contract, row.caller, surfaceState(after), ...timesOf(after), row.pending, row.unreleased, row.bytes)
          usage.add(row, 1)
        } else update(change, row, usage)
      }
      for (const { contract, caller, pending, unreleased, bytes } of usage.sums()) {
        if (pending === 0 && unreleased === 0 && bytes === 0) continue
        const now = sum.get(contract, caller, pending, unreleased, bytes) as unknown as Usage
        if (now.pending === 0 && now.unreleased === 0) forget.run(contract, caller)
      }
    },
  }
}

export const requests: Projection = {
  name: 'requests',
  version: 3,
  schema,
  tables: [
    { name: 'requests', key: ['created'] },
    { name: 'request_usage', key: ['contract', 'caller'] },
  ],
  outlivesErasure: true,
  open,
}

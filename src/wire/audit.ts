// The audit over HTTP: refusals that somebody may want to see later, a day at a time.
import * as t from 'io-ts'
import { pageQuery, position, route } from './items.ts'
import { fields, instant, text } from './schema.ts'

const day = text({ max: 20, pattern: /^\d{4}-\d\d-\d\d$/, description: 'a day in UTC, for instance 2026-01-31 (today)' })

/** One refusal: `subject` is who was refused, `nobody` when that is not known; `actor` is how people read it. */
export const refusal = fields(
  { position, refusedAt: instant, code: text({ max: 60 }), route: text({ max: 100 }), subject: text({ max: 320 }), actor: text({ max: 320 }) },
  { target: text({ max: 1_000 }), detail: text({ max: 4_000 }) },
)
export type AuditedRefusal = t.TypeOf<typeof refusal>

export const listAudit = route({
  name: 'listAudit',
  method: 'GET',
  path: '/v1/audit',
  tag: 'service',
  summary:
    'List what was refused on a day, newest first: to known principals for want of a right, to unknown ones for their credential; at most ten a second for one of them and code',
  roles: [],
  query: fields({}, { day, code: text({ min: 1, max: 60, description: 'only refusals with this code' }), ...pageQuery }),
  answers: { 200: fields({ day, items: t.array(refusal) }, { next: text({ max: 200 }) }) },
})

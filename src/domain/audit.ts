// What is kept of refusals that matter: facts of a stream a day, apart from the work items, which get no event for a refusal (rules 24).
import * as t from 'io-ts'

export const auditEvents = {
  RefusalRecorded: t.intersection([
    t.type({ type: t.literal('RefusalRecorded'), code: t.string, route: t.string, subject: t.string }),
    t.partial({ target: t.string, detail: t.string }),
  ]),
} as const

export type AuditEvent = t.TypeOf<(typeof auditEvents)[keyof typeof auditEvents]>

/** The stream of the day, in UTC, that a time belongs to. */
export const auditStream = (isoTime: string): string => `audit-${isoTime.slice(0, 10)}`

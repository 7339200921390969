// What every work item shows, whatever its door: the common fields of surface 3, with receipts, leases, outcomes and pages.
import * as t from 'io-ts'
import { exactlyOne, fields, instant, json, jsonUpTo, number, numberText, oneOf, text } from './schema.ts'
import { makeRoute } from './route.ts'

export const route = makeRoute(fields({}))

/** The caller's name for an item in its collection (surface 2). */
export const itemId = text({ min: 1, max: 200, pattern: /^(?!\.{1,2}$)[A-Za-z0-9._~-]+$/, description: 'your name for it in this collection' })
export const taskItemId = text({ min: 1, max: 500, pattern: /^[A-Za-z0-9_-]+$/, description: 'your name for it in this queue' })
export const workItemId = text({ min: 1, max: 1_000, description: 'a work-item ID, percent-encoded as one path segment' })
/** Opaque: given with a lease, sent back with everything said under it. */
export const lease = text({ min: 1, max: 64, description: 'the lease, as it was given' })

export const states = ['waiting', 'held', 'running', 'paused', 'aborting', 'lost', 'completed', 'failed', 'aborted', 'cancelled', 'timedOut'] as const
export const state = oneOf(...states)
export type State = t.TypeOf<typeof state>

export const directive = oneOf('normal', 'pause', 'abort')
export const reason = text({ max: 1_000 })

const count = number({ min: 0, max: Number.MAX_SAFE_INTEGER })

export const progress = fields(
  {},
  { fraction: number({ min: 0, max: 1, description: 'share of the whole that is done' }), done: count, total: count, unit: text({ max: 40 }), message: text({ max: 1_000 }) },
)
export type Progress = t.TypeOf<typeof progress>

/** Bytes of a result, a partial result or the detail of a failure, as JSON, at most. */
export const RESULT_BYTES_MAX = 1024 * 1024

export const result = jsonUpTo(RESULT_BYTES_MAX)

export const failure = fields({ code: text({ min: 1, max: 100 }), message: text({ max: 4_000 }) }, { retry: t.boolean, detail: result })

/** What a holder may say in the end. */
export const outcome = exactlyOne({ completed: fields({}, { result, partial: t.boolean }), failed: failure, aborted: fields({ reason }, { partial: result }) })
export type Outcome = t.TypeOf<typeof outcome>

/** What a reader may be shown: the engine ends items too. */
export const shownOutcome = exactlyOne({
  completed: fields({}, { result: json, partial: t.boolean }),
  failed: failure,
  aborted: fields({ reason }, { partial: json }),
  cancelled: fields({}, { reason }),
  timedOut: fields({ cause: oneOf('total', 'stalled') }),
})

export const receipt = fields(
  { number: number({ min: 1, integer: true }), directive: oneOf('pause', 'resume', 'abort'), by: text({ max: 320 }), givenAt: instant },
  { reason, seenAt: instant, resolution: oneOf('obeyed', 'refused', 'overtaken'), resolvedAt: instant, resolutionReason: reason },
)
export type Receipt = t.TypeOf<typeof receipt>

export const holder = fields({ name: text({ max: 200 }) }, { lastSeenAt: instant })

export const position = text({ max: 60, description: 'a place in the log, opaque' })

/** Required and optional fields that every item has. */
export const common = {
  required: {
    id: text({ max: 500 }),
    workItem: workItemId,
    kind: oneOf('job', 'task', 'request', 'long-task'),
    state,
    attempt: number({ min: 0, integer: true }),
    directive,
    createdAt: instant,
    updatedAt: instant,
    position,
  },
  optional: { phase: text({ max: 200 }), progress, outcome: shownOutcome, holder, receipt, settledAt: instant, lateOutcome: shownOutcome },
}

export const directiveBody = fields({ directive: oneOf('abort', 'pause', 'resume') }, { reason })
/** `state` stands in it once the item is settled: nothing more will be asked of it. */
export const directiveAnswer = fields({ directive }, { receipt, state })
export const givenAnswer = fields({ directive, state, receipt })

/** What a holder reports (spec A); for a task it is also how a handler tells its progress. */
export const reportFields = {
  required: { lease },
  optional: {
    phase: text({ min: 1, max: 200 }),
    progress,
    state: oneOf('paused', 'running'),
    refuse: fields({ directive: number({ min: 1, integer: true }), reason }),
    outcome,
  },
}
export const reportBody = fields(reportFields.required, reportFields.optional)
export type ReportBody = t.TypeOf<typeof reportBody>

export const reportAnswer = fields({ id: text({ max: 500 }), directive, state, recorded: t.boolean }, { receipt, late: t.boolean, leaseUntil: instant })
export type ReportAnswer = t.TypeOf<typeof reportAnswer>

export const historyEvent = fields(
  { id: text({ max: 60 }), position, revision: number({ min: 0, integer: true }), type: text({ max: 60 }), v: number({ min: 1, integer: true }), time: instant, data: json },
  { workItem: workItemId, actor: text({ max: 320 }), commandId: text({ max: 60 }) },
)
export type HistoryEvent = t.TypeOf<typeof historyEvent>

/** What the settlement of a request is still to bring about, or could not. */
export const outboxEntry = fields(
  {
    what: oneOf('reply', 'callback', 'task', 'request', 'directive'),
    state: oneOf('under-way', 'held-back', 'given-up', 'refused'),
  },
  {
    effect: number({ min: 0, integer: true, description: 'its place among the effects of the reply' }),
    attempts: number({ min: 0, integer: true, description: 'attempts begun so far; since the start of this server, while it is under way' }),
    lastAttemptAt: instant,
    lastStatus: number({ min: 0, integer: true, description: 'of the answer to the last attempt, if there was one' }),
    lastError: text({ max: 300, description: 'why the last attempt failed, or why it is held back' }),
    nextAttemptAt: instant,
    code: text({ max: 100, description: 'why it was given up or refused' }),
  },
)

export const why = fields(
  { state, gate: text({ max: 60, description: 'what it waits for' }), detail: text({ max: 4_000 }) },
  {
    since: instant,
    until: instant,
    holder: text({ max: 200 }),
    directive: fields({ by: text({ max: 320 }), seen: t.boolean }, { reason }),
    failure: fields({ code: text({ max: 100 }), message: text({ max: 4_000 }) }),
    outbox: t.array(outboxEntry),
  },
)

export const page = <Item extends t.Mixed>(item: Item) => fields({ items: t.array(item) }, { next: text({ max: 200, description: 'pass as `after` for the next page' }) })
export const pageQuery = { limit: numberText({ min: 1, max: 1_000, description: 'items a page (100)' }), after: text({ max: 200, description: '`next` of the page before' }) }

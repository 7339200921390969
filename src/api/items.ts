// What handlers of every door share: finding a work item, checking who may see it, and the routes that are the same for all kinds.
import * as E from 'fp-ts/lib/Either.js'
import type { TypeOf } from 'io-ts'
import type { ItemRow, Page } from '../projections/tables.ts'
import type { directiveBody, givenAnswer, historyEvent, reportAnswer, ReportBody, why } from '../wire/items.ts'
import { nameIn, surfaceState, type Existing, type WorkItemId } from '../wire/words.ts'
import { contentDigest } from '../engine/digest.ts'
import type { CommandToDo, Done } from '../engine/command.ts'
import { execute, ok, type Call, type Handled } from './call.ts'
import { answerVersion, type Version } from './change-wait.ts'
import { outboxText, outboxView } from './outbox-view.ts'
import { maySee } from './permission.ts'
import { fromRefusal, invalid, problem, type Problem } from './problem.ts'
import { eventView, leaseView, receiptView, whyView, type Shown } from './views.ts'

/** Items a page, unless the caller says otherwise. */
const PAGE = 100

const foreign = E.left(problem('forbidden', 'This work item was made by somebody else.'))

/** The item, if the caller may see it as the lists are now. */
export const visible = (call: Call, workItem: WorkItemId, item: Existing): E.Either<Problem, Existing> => (maySee(call, workItem, item.by) ? E.right(item) : foreign)

/** Whoever could not see the item even if it had made it is refused whether it exists or not: names are nobody's business. */
export const visibleIfOwn = (call: Call, workItem: WorkItemId): E.Either<Problem, unknown> => (maySee(call, workItem, call.principal.subject) ? E.right(undefined) : foreign)

/** The row of an item that the caller may see. */
export const readVisible = async (call: Call, workItem: WorkItemId): Promise<E.Either<Problem, ItemRow>> => {
  const allowed = visibleIfOwn(call, workItem)
  if (E.isLeft(allowed)) return allowed
  const row = await call.engine.read(workItem)
  if (E.isLeft(row)) return E.left(fromRefusal(row.left))
  return maySee(call, workItem, row.right.item.by) ? row : foreign
}

/** As `readVisible`, for whoever needs the item alone: what is live is not read from the log. */
export const findVisible = async (call: Call, workItem: WorkItemId): Promise<E.Either<Problem, Existing>> => {
  const item = call.engine.live(workItem)
  if (item === undefined || (item.status === 'settled' && item.erased === true)) return E.map(({ item: read }: ItemRow) => read)(await readVisible(call, workItem))
  const allowed = visibleIfOwn(call, workItem)
  return E.isLeft(allowed) ? allowed : visible(call, workItem, item)
}

/** The row with the signs of life that are known of it. */
export const shown = (call: Call, row: ItemRow): Shown => ({ ...row, presence: call.engine.presence(row.workItem) })

/** Shows an item; the ETag is that of the recorded state, so it is weak: signs of life lie over it. */
export const showItem = async <View>(call: Call, workItem: WorkItemId, view: (shown: Shown) => View): Promise<Handled<View>> => {
  const version = async (): Promise<E.Either<Problem, Version<View>>> => {
    const row = await readVisible(call, workItem)
    if (E.isLeft(row)) return row
    const { item, position } = row.right
    return E.right({
      etag: `W/"${position}"`,
      body: () => view(shown(call, row.right)),
      isCurrent: () => (call.engine.live(workItem)?.revision ?? item.revision) === item.revision,
    })
  }
  const first = await version()
  return E.isLeft(first) ? first : answerVersion(call, { workItem, version: first.right, again: version })
}

/** A page of rows as the tables have them. */
export const pageAnswer = <View>(
  call: Call,
  page: Page<ItemRow> | { readonly invalid: 'cursor' },
  view: (shown: Shown) => View,
): Handled<{ items: View[]; next?: string | undefined }> => {
  if ('invalid' in page) return E.left(invalid([{ path: '/query/after', code: 'pattern', detail: 'Expected `next` of the page before.' }]))
  return E.right({ status: 200, body: { items: page.items.map((row) => view(shown(call, row))), next: page.next }, position: page.position })
}

export const limitOf = (query: { readonly limit?: number | undefined }): number => query.limit ?? PAGE

const CURSOR = /^\d{1,15}$/

/** A page of an item's history; the cursor is the revision of the last event shown. */
export const showHistory = async (
  call: Call,
  workItem: WorkItemId,
  query: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<Handled<{ items: TypeOf<typeof historyEvent>[]; next?: string | undefined }>> => {
  if (query.after !== undefined && !CURSOR.test(query.after)) return E.left(invalid([{ path: '/query/after', code: 'pattern', detail: 'Expected `next` of the page before.' }]))
  const row = await readVisible(call, workItem)
  if (E.isLeft(row)) return row
  const from = query.after === undefined ? 0 : Number(query.after) + 1
  const events = await call.engine.history(workItem, { from, max: limitOf(query) })
  if (E.isLeft(events)) return E.left(fromRefusal(events.left))
  const last = events.right.at(-1)
  const next = last !== undefined && last.revision < row.right.item.revision ? String(last.revision) : undefined
  return ok({ items: events.right.map(eventView), next })
}

export const showWhy = async (call: Call, workItem: WorkItemId): Promise<Handled<TypeOf<typeof why>>> => {
  const row = await readVisible(call, workItem)
  if (E.isLeft(row)) return row
  const outbox = await outboxView(call, row.right)
  if (E.isLeft(outbox)) return outbox
  const found = whyView(row.right.item, call.engine.now(), call.engine.gateOf(row.right.item, workItem))
  return ok(outbox.right.length === 0 ? found : { ...found, detail: `${found.detail} ${outboxText(outbox.right)}`, outbox: [...outbox.right] })
}

/** Administrators are shown by their e-mail in receipts, because people read them. */
export const direct = async (call: Call, workItem: WorkItemId, body: TypeOf<typeof directiveBody>): Promise<Handled<TypeOf<typeof givenAnswer>>> => {
  const { commandId } = call.context
  const done = await execute(call, workItem, { type: 'GiveDirective', by: call.principal.email, commandId, directive: body.directive, reason: body.reason })
  if (E.isLeft(done)) return done
  const { item } = done.right
  if (item.receipt === undefined) throw new Error(`${workItem} was given a directive but has no receipt`)
  return ok({ directive: item.will, state: surfaceState(item), receipt: receiptView(item.receipt) })
}

/** The command that a report is; `result` and the like stay out of the state, their digest stays in. */
export const reportCommand = (subject: string, body: ReportBody, pauseMs = 0): Extract<CommandToDo, { type: 'Report' }> => ({
  type: 'Report',
  by: subject,
  lease: body.lease,
  phase: body.phase,
  progress: body.progress,
  state: body.state,
  refuse: body.refuse,
  outcome: body.outcome,
  digest: body.outcome === undefined ? undefined : contentDigest(body.outcome),
  retry: { pauseMs },
})

/** Whether the outcome came after settlement and was kept, now or before (surface 8). */
export const isLate = (item: Existing, digest: string | undefined): boolean => digest !== undefined && item.status === 'settled' && item.late?.digest === digest

export const reportView = (workItem: WorkItemId, { item, recorded }: Done, digest: string | undefined): TypeOf<typeof reportAnswer> => ({
  id: nameIn(workItem),
  directive: item.will,
  state: surfaceState(item),
  recorded,
  receipt: item.receipt === undefined ? undefined : receiptView(item.receipt),
  late: isLate(item, digest) ? true : undefined,
  leaseUntil: leaseView(item)?.leaseUntil,
})

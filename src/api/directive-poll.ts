// What the administrator wants, as job servers poll for it: the hottest read there is. It is answered from memory, and appends only what has changed (rules 16).
import * as E from 'fp-ts/lib/Either.js'
import type { directiveAnswer } from '../wire/items.ts'
import type * as t from 'io-ts'
import { isHeld, surfaceState, type Existing, type WorkItemId } from '../wire/words.ts'
import { execute, type Call, type Handled } from './call.ts'
import { answerVersion, type Version } from './change-wait.ts'
import { visible, visibleIfOwn } from './items.ts'
import { fromRefusal, type Problem } from './problem.ts'
import { receiptView } from './views.ts'

type DirectiveAnswer = t.TypeOf<typeof directiveAnswer>

const UNTOUCHED = '"0"'

/** Changes with the directive, with every step of its receipt, and once more when the item is settled, so that whoever waits is told. */
const directiveTag = (item: Existing): string => {
  const { receipt } = item
  if (item.status === 'settled') return `"over.${receipt?.number ?? 0}.${item.end}"`
  return receipt === undefined
    ? UNTOUCHED
    : `"${receipt.number}.${receipt.givenAt.toString(36)}.${receipt.seenAt === undefined ? 'given' : 'seen'}.${receipt.resolution ?? 'open'}"`
}

const load = async (call: Call, workItem: WorkItemId): Promise<E.Either<Problem, Existing>> => {
  const live = call.engine.live(workItem)
  if (live !== undefined) return E.right(live)
  const row = await call.engine.read(workItem)
  return E.isLeft(row) ? E.left(fromRefusal(row.left)) : E.right(row.right.item)
}

/** An open connection proves nothing about the process behind it, so a holder's poll ends well before its silence would be judged. */
const heldWaitMs = (item: Existing): number | undefined => (isHeld(item) && (item.kind === 'job' || item.kind === 'long-task') ? Math.max(1, item.lease.termMs / 2) : undefined)

/** Who may ask: whether the item exists or not, and about the item as it is. */
export interface Askers {
  readonly atAll: () => E.Either<Problem, unknown>
  readonly one: (item: Existing) => E.Either<Problem, unknown>
}

/** Answers a poll of those who may see the item, unless said otherwise; with `Stint-Lease` it is a sign of life, and what is answered counts as seen. */
export const pollDirective = async (
  call: Call,
  workItem: WorkItemId,
  { atAll, one }: Askers = { atAll: () => visibleIfOwn(call, workItem), one: (item) => visible(call, workItem, item) },
): Promise<Handled<DirectiveAnswer>> => {
  const mayAtAll = atAll()
  if (E.isLeft(mayAtAll)) return mayAtAll
  const found = await load(call, workItem)
  if (E.isLeft(found)) return found
  const allowed = one(found.right)
  if (E.isLeft(allowed)) return allowed
  const lease = call.headers['stint-lease']

  const versionOf = (item: Existing): Version<DirectiveAnswer> => ({
    etag: directiveTag(item),
    body: () => ({
      directive: item.will,
      receipt: item.receipt === undefined ? undefined : receiptView(item.receipt),
      state: item.status === 'settled' ? surfaceState(item) : undefined,
    }),
    isCurrent: () => (call.engine.live(workItem) ?? item) === item,
  })
  const ask = async (): Promise<E.Either<Problem, Existing>> => {
    const still = one(found.right)
    if (E.isLeft(still)) return still
    if (lease === undefined) return load(call, workItem)
    const done = await execute(call, workItem, { type: 'AskDirective', by: call.principal.subject, lease: String(lease) })
    return E.isLeft(done) ? done : E.right(done.right.item)
  }
  const first = lease === undefined ? found : await ask()
  if (E.isLeft(first)) return first
  const known = directiveTag(first.right)

  /** A change that is not news for this holder is no reason to take the open connection for a sign of life. */
  const again = async (): Promise<E.Either<Problem, Version<DirectiveAnswer>>> => {
    const now = call.engine.live(workItem)
    const isNews = lease === undefined || now === undefined || !isHeld(now) || now.lease.token !== lease || directiveTag(now) !== known
    if (!isNews) return E.right(versionOf(now))
    const item = await ask()
    return E.isLeft(item) ? item : E.right(versionOf(item.right))
  }

  return answerVersion(call, { workItem, version: versionOf(first.right), again, ...(lease === undefined ? {} : { waitMsMax: heldWaitMs(first.right) }) })
}

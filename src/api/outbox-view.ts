// What a settled request still owes, or could not bring about: the part of `why` that its state does not know, told from its outbox and from what its history notes of it.
import * as E from 'fp-ts/lib/Either.js'
import type { TypeOf } from 'io-ts'
import type { OpenEntry } from '../engine/contracts/open-entries.ts'
import type { ItemRow } from '../projections/tables.ts'
import type { outboxEntry } from '../wire/items.ts'
import type { CarriedOut, OutboxEntry } from '../wire/words.ts'
import type { Call } from './call.ts'
import { contractFor } from './permission.ts'
import { fromRefusal, type Problem } from './problem.ts'
import { instantOf } from './views.ts'

type Shown = TypeOf<typeof outboxEntry>

/** Events after a settlement: one for each callback, and few others. */
const NOTED_MAX = 1_000
const ERROR_MAX = 300
/** Entries of which a sentence is said. */
const SAID_MAX = 3

const kindOf = (entry: OutboxEntry, { ending }: ItemRow): Shown['what'] => {
  if (entry === 'reply') return 'reply'
  const effect = ending?.type === 'Completed' ? ending.effects?.[entry] : undefined
  if (effect === undefined || 'callback' in effect) return 'callback'
  return 'task' in effect ? 'task' : 'request' in effect ? 'request' : 'directive'
}

const named = (entry: OutboxEntry, row: ItemRow): Pick<Shown, 'what' | 'effect'> => ({ what: kindOf(entry, row), ...(entry === 'reply' ? {} : { effect: entry }) })

const openView = ({ entry, delivery, heldBack }: OpenEntry, row: ItemRow, tellsWhy: boolean): Shown => {
  if (heldBack !== undefined) {
    return { ...named(entry, row), state: 'held-back', nextAttemptAt: instantOf(heldBack.nextAt), ...(tellsWhy ? { lastError: heldBack.detail.slice(0, ERROR_MAX) } : {}) }
  }
  const shown: Shown = { ...named(entry, row), state: 'under-way' }
  if (delivery === undefined) return shown
  const { attempts, lastFailed } = delivery
  if (lastFailed === undefined) return { ...shown, attempts }
  return {
    ...shown,
    attempts,
    lastAttemptAt: instantOf(lastFailed.at),
    ...(lastFailed.status === undefined ? {} : { lastStatus: lastFailed.status }),
    ...(tellsWhy ? { lastError: lastFailed.detail.slice(0, ERROR_MAX) } : {}),
    // Once the next attempt is under way there is none to wait for.
    ...(lastFailed.nextAt === undefined || lastFailed.number < attempts ? {} : { nextAttemptAt: instantOf(lastFailed.nextAt) }),
  }
}

const notedView = ({ entry, outcome, code, attempts }: CarriedOut, row: ItemRow): readonly Shown[] => {
  if (outcome === 'done') return []
  return [{ ...named(entry, row), state: outcome, ...(code === undefined ? {} : { code }), ...(attempts === undefined ? {} : { attempts }) }]
}

/** What its history notes as given up or refused. */
const notedOf = async (call: Call, row: ItemRow, from: number): Promise<E.Either<Problem, readonly Shown[]>> => {
  const events = await call.engine.history(row.workItem, { from, max: NOTED_MAX })
  if (E.isLeft(events)) return E.left(fromRefusal(events.left))
  const noted = events.right.filter(({ type }) => type === 'EffectsCarriedOut').flatMap(({ data }) => (JSON.parse(data) as { readonly effects: readonly CarriedOut[] }).effects)
  return E.right(noted.flatMap((one) => notedView(one, row)))
}

/** What of a settled request is not done: empty for whatever else, and for nearly every request. */
export const outboxView = async (call: Call, row: ItemRow): Promise<E.Either<Problem, readonly Shown[]>> => {
  const { item, workItem } = row
  if (item.status !== 'settled' || item.request === undefined) return E.right([])
  const noted = await notedOf(call, row, item.endRevision + 1)
  if (E.isLeft(noted)) return noted
  // Where an effect goes is its worker's business, as the effect is (rules 30); where a reply goes its caller has said.
  const looks = E.isRight(contractFor(call, item.request.contract, 'look'))
  const open = call.engine.openEntriesOf(workItem).map((one) => openView(one, row, looks || one.entry === 'reply'))
  return E.right([...open, ...noted.right])
}

const WHAT: Readonly<Record<Shown['what'], string>> = { reply: 'the reply to its callback', callback: 'a callback', task: 'a task', request: 'a request', directive: 'a directive' }

const times = (attempts: number): string => `${attempts} attempt${attempts === 1 ? '' : 's'}`

const sentenceOf = ({ what, state, attempts, lastError, lastAttemptAt, nextAttemptAt, code }: Shown): string => {
  const because = lastError === undefined ? '' : `: ${lastError.replace(/\.$/, '')}`
  const next = nextAttemptAt === undefined ? '' : `; the next attempt begins at ${nextAttemptAt}`
  switch (state) {
    case 'under-way':
      if (lastAttemptAt === undefined) return `Under way: ${WHAT[what]}.`
      return `Still to be delivered: ${WHAT[what]}, after ${times(attempts ?? 1)}, of which the last that ended failed${because}${next}.`
    case 'held-back':
      return `Held back for now: ${WHAT[what]}${because}; it is looked at again at ${nextAttemptAt ?? 'the next start'}.`
    case 'given-up':
      return `Given up: ${WHAT[what]}${attempts === undefined ? '' : ` after ${times(attempts)}`}${code === undefined ? '' : ` (${code})`}.`
    case 'refused':
      return `Refused: ${WHAT[what]}${code === undefined ? '' : ` (${code})`}.`
  }
}

/** The same in sentences, of the first ones. */
export const outboxText = (outbox: readonly Shown[]): string => {
  const more = outbox.length - SAID_MAX
  return [...outbox.slice(0, SAID_MAX).map(sentenceOf), ...(more > 0 ? [`And ${more} more.`] : [])].join(' ')
}

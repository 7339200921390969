// What was refused, and to whom: for administrators, a day at a time. And the note of a credential that opens nothing, which never says the credential.
import * as E from 'fp-ts/lib/Either.js'
import type { Engine } from '../engine/engine.ts'
import type * as wire from '../wire/audit.ts'
import type { World } from '../world.ts'
import type { Handle } from './call.ts'
import { limitOf } from './items.ts'
import { NOBODY } from './principal.ts'
import { fromRefusal, invalid, type Problem } from './problem.ts'
import { instantOf } from './views.ts'

const CURSOR = /^\d{1,15}$/

const isDay = (text: string): boolean => !Number.isNaN(Date.parse(text)) && new Date(Date.parse(text)).toISOString().startsWith(text)

export const listAudit: Handle<typeof wire.listAudit> = async ({ query }, call) => {
  const { code, after } = query
  const day = query.day ?? instantOf(call.engine.now()).slice(0, 10)
  if (!isDay(day)) return E.left(invalid([{ path: '/query/day', code: 'pattern', detail: 'Expected a day that there is, for instance 2026-01-31.' }]))
  if (after !== undefined && !CURSOR.test(after)) return E.left(invalid([{ path: '/query/after', code: 'pattern', detail: 'Expected `next` of the page before.' }]))
  const limit = limitOf(query)
  const rows = await call.engine.refusals(day, { code, before: after === undefined ? undefined : Number(after), max: limit + 1 })
  if (E.isLeft(rows)) return E.left(fromRefusal(rows.left))
  const shown = rows.right.slice(0, limit)
  const items = shown.map(({ position, time, code: of, route, subject, actor, target, detail }) => ({
    position,
    refusedAt: instantOf(time),
    code: of,
    route,
    subject,
    actor,
    target,
    detail,
  }))
  // A cursor is a place in the stream of this day.
  const next = rows.right.length > shown.length ? String(shown.at(-1)?.revision) : undefined
  return E.right({ status: 200, body: { day, items, next } })
}

/** Notes that somebody came with a credential that opens nothing: where to, and no more. The query stays out of it, as it may carry the credential. */
export const auditStranger = ({ engine, world }: { readonly engine: Engine; readonly world: World }, refused: Problem, route: string, path: string): void => {
  if (refused.code !== 'unauthenticated') return
  const { subject, email } = NOBODY
  engine.audit({ code: refused.code, route, target: path.slice(0, 1_000), detail: refused.detail }, { subject, actor: email, commandId: world.uuid() })
}

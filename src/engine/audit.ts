// Writes refusals into the audit stream of the day, and not more of them than an attacker should be able to make us store (rules 24).
import * as E from 'fp-ts/lib/Either.js'
import { auditStream, type AuditEvent } from '../domain/audit.ts'
import type { EventStore, Position } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Context } from './command.ts'
import type { Engine } from './engine.ts'
import { encodeMeta, uuidV5 } from './envelope.ts'

/** Refusals recorded in a second for one principal and code. */
const RECORDED_PER_SECOND_MAX = 10

export const createAudit = (options: {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  readonly onAppended: (position: Position, events: number) => void
  readonly onFailed: (cause: unknown) => void
}): Engine['audit'] => {
  const { store, world, server } = options
  let second = 0
  let counts = new Map<string, number>()

  const isTooMany = (key: string): boolean => {
    const now = Math.floor(world.monotonic() / 1_000)
    if (now !== second) {
      second = now
      counts = new Map()
    }
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count > RECORDED_PER_SECOND_MAX
  }

  const append = async (event: AuditEvent, context: Context): Promise<void> => {
    const { type, ...data } = event
    const time = world.now()
    const appended = await store.append(auditStream(new Date(time).toISOString()), 'any', [
      { id: uuidV5(context.commandId, `${type} ${event.code}`), type, v: 1, time, data: JSON.stringify(data), meta: encodeMeta(context, server) },
    ])()
    if (E.isLeft(appended)) options.onFailed(appended.left)
    else options.onAppended(appended.right.position, 1)
  }

  return (fact, context) => {
    if (isTooMany(`${context.subject} ${fact.code}`)) return
    const { code, route, target, detail } = fact
    append(
      { type: 'RefusalRecorded', code, route, subject: context.subject, ...(target === undefined ? {} : { target }), ...(detail === undefined ? {} : { detail }) },
      context,
    ).catch(options.onFailed)
  }
}

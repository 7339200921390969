// The exactly-once contract (C) as rules of the one lifecycle: accepted once, replied to once, and the same reply until it is released. What settled a request is never run again,
// whether its reply can still be given or not.
import * as E from 'fp-ts/lib/Either.js'
import { accept, reject, type Decision } from '../decider.ts'
import { isDispensable, isExpired } from '../policy/release.ts'
import type { CommandOfType, Rejection } from './commands.ts'
import { directiveEnded } from './directives.ts'
import type { WorkItemEvent } from './events.ts'
import { heldBy, late } from './holding.ts'
import { leasedTo, nextLease } from './leasing.ts'
import { awaitsCall, brokeOff, isOwing, nounOf, surfaceState, type Settled, type WorkItem } from './state.ts'

type RequestDecision = Decision<WorkItemEvent, Rejection>

const BROKE_OFF = { code: 'interrupted', message: 'Its execution broke off, and nobody asked for it again in time.' } as const
const GIVEN_BACK = { code: 'given-back', message: 'Its execution was given back as having come to nothing, and nobody asked for it again in time.' } as const

const RELEASED_BY_TIME: WorkItemEvent = { type: 'ReplyReleased', how: 'time', by: 'stint' }

/** The reply goes, and the body of the request with it: what a released request leaves is that it was, and with which fingerprint. */
const again = (c: CommandOfType<'AcceptRequest'>, item: Settled): RequestDecision => {
  if (item.released !== undefined) return reject({ type: 'released', state: surfaceState(item) })
  return isExpired(item, c.time) ? accept(RELEASED_BY_TIME) : accept()
}

export const acceptRequest = (c: CommandOfType<'AcceptRequest'>, item: WorkItem): RequestDecision => {
  if (item.status === 'absent') {
    const { mediaType, method, path, by, digest } = c
    const said = { ...(method === undefined ? {} : { method }), ...(path === undefined ? {} : { path }) }
    const accepted: WorkItemEvent = { type: 'RequestAccepted', ...c.request, by, digest, mediaType, ...said }
    return c.leaseTo === undefined ? accept(accepted) : accept(accepted, leasedTo(c.leaseTo, 1, c.time))
  }
  if (item.kind !== 'request') return reject({ type: 'id-in-use' })
  if (item.digest !== c.digest) return reject({ type: 'fingerprint-mismatch', firstAt: item.createdAt, state: surfaceState(item) })
  if (item.status === 'settled') return again(c, item)
  // Only middleware goes on with what began in middleware: a worker that waits at the contract never runs it.
  return awaitsCall(item) && c.request.runs === 'middleware' && c.leaseTo !== undefined ? accept(leasedTo(c.leaseTo, nextLease(item), c.time)) : accept()
}

/** Of a body that was sent on while it was made, the end is told afterwards. */
const lateResult = ({ status, bytes, bodyDigest }: CommandOfType<'Reply'>['reply']) => (bodyDigest === undefined ? { status } : { status, bytes, bodyDigest })

export const reply = (c: CommandOfType<'Reply'>, item: WorkItem): RequestDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (item.kind !== 'request') return reject({ type: 'not-possible', state: surfaceState(item), detail: `Expected a request: a ${nounOf(item)} is completed by its outcome.` })
  if (item.status === 'settled') return late({ by: c.by, lease: c.lease, digest: c.digest, outcome: { completed: { result: lateResult(c.reply) } } }, item)
  const held = heldBy(c, item)
  if (E.isLeft(held)) return held
  const { lease } = held.right
  const effects = c.effects === undefined || c.effects.length === 0 ? {} : { effects: [...c.effects] }
  return accept<WorkItemEvent>(...directiveEnded(held.right, 'overtaken'), { type: 'Completed', reply: c.reply, ...effects, lease: lease.number, digest: c.digest })
}

export const releaseReply = (c: CommandOfType<'ReleaseReply'>, item: WorkItem): RequestDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  const state = surfaceState(item)
  if (item.kind !== 'request') return reject({ type: 'not-possible', state, detail: `Expected a request: a ${nounOf(item)} has no reply to release.` })
  if (item.status !== 'settled') return reject({ type: 'pending', state })
  if (item.released !== undefined) return accept()
  // Time speaks for itself, and only when it has come.
  if (c.how === 'time') return isExpired(item, c.time) ? accept(RELEASED_BY_TIME) : accept()
  return accept<WorkItemEvent>({ type: 'ReplyReleased', how: c.how, by: c.by })
}

export const noteEffects = (c: CommandOfType<'NoteEffects'>, item: WorkItem): RequestDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  if (!isOwing(item)) return accept()
  const open = c.effects.filter(({ entry }) => item.outbox.includes(entry))
  return open.length === 0 ? accept() : accept<WorkItemEvent>({ type: 'EffectsCarriedOut', effects: [...open] })
}

/** A callback that is still to be delivered needs its reply, so an open outbox comes first; and a reply that may still be asked for is not taken away. */
export const erase = (c: CommandOfType<'Erase'>, item: WorkItem): RequestDecision => {
  if (item.status === 'absent') return reject({ type: 'not-found' })
  const state = surfaceState(item)
  if (item.status !== 'settled') return reject({ type: 'not-possible', state, detail: 'Expected a settled work item: what still runs cannot be erased.' })
  if (isOwing(item)) return reject({ type: 'not-possible', state, detail: 'Expected nothing left to carry out, but its effects are still under way.' })
  if (item.erased === true) return accept()
  if (item.kind === 'request' && !isDispensable(item, c.time))
    return reject({ type: 'not-possible', state, detail: 'Expected a released request: until it is, whoever calls again is answered as before.' })
  const { kind, by, digest, end, createdAt, settledAt } = item
  return accept<WorkItemEvent>({ type: 'Erased', kind, by, digest, end, createdAt, settledAt, eraser: c.by, ...(c.reason === undefined ? {} : { reason: c.reason }) })
}

/**
 * Nobody came back for it. What it did before it broke off nobody knows, and so it is not run again (rules 33); and what was given back, having come to nothing, is not
 * kept waiting for a call that may never come.
 */
export const interrupt = (c: CommandOfType<'Interrupt'>, item: WorkItem): RequestDecision => {
  if (!awaitsCall(item) || (item.ended?.number ?? 0) !== c.lease) return accept()
  const at = item.updatedAt + item.request.interruptedAfterMs
  if (c.time < at && c.reached !== at) return accept()
  return accept<WorkItemEvent>(...directiveEnded(item, 'overtaken'), { type: 'Failed', ...(brokeOff(item) ? BROKE_OFF : GIVEN_BACK) })
}

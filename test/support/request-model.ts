// What the exactly-once contract promises of one request, as short as it can be said: the rules and the server are held to this, and it knows nothing of them.
// Each step answers what whoever asks is told, and the request after it.

export interface Rules {
  readonly runs: 'workers' | 'middleware'
  readonly onInterrupted: 'retry' | 'fail'
  readonly termMs: number
  /** How long a reply is kept; none: until it is released. */
  readonly retainMs?: number | undefined
  /** How long a request of middleware that broke off waits for its next call. */
  readonly interruptedAfterMs: number
}

export interface Model {
  readonly rules: Rules
  readonly fingerprint?: string
  /** Leases given so far: the number of the last, which fences off all before it. */
  readonly leases: number
  /** `grace`: it is not ended before, whatever was said (rules 17). */
  readonly lease?: { readonly until: number; readonly grace?: number } | undefined
  readonly idleSince?: number | undefined
  readonly end?: { readonly at: number; readonly reply?: string }
  /** What its last holder said otherwise, after the end. */
  readonly late?: string
  readonly released?: boolean
  readonly erased?: boolean
}

export type Step = readonly [told: string, after: Model]

export const unknown = (rules: Rules): Model => ({ rules, leases: 0 })

const leased = (m: Model, now: number): Step => [`lease ${m.leases + 1}`, { ...m, leases: m.leases + 1, lease: { until: now + m.rules.termMs } }]
const holds = (m: Model, lease: number): boolean => m.lease !== undefined && lease === m.leases
const isGone = (m: Model, now: number): boolean => m.released === true || (m.end !== undefined && m.rules.retainMs !== undefined && now >= m.end.at + m.rules.retainMs)
/** An execution ended without a reply. */
const brokeOff = (m: Model, now: number): Model => (m.rules.onInterrupted === 'fail' ? { ...m, lease: undefined, end: { at: now } } : { ...m, lease: undefined, idleSince: now })

export const call = (m: Model, fingerprint: string, now: number): Step => {
  const isMiddleware = m.rules.runs === 'middleware'
  if (m.fingerprint === undefined) return isMiddleware ? leased({ ...m, fingerprint }, now) : ['accepted', { ...m, fingerprint }]
  if (m.fingerprint !== fingerprint) return ['mismatch', m]
  if (m.end === undefined) return isMiddleware && m.lease === undefined ? leased(m, now) : ['pending', m]
  if (isGone(m, now)) return ['released', { ...m, released: true }]
  return [m.end.reply === undefined ? 'interrupted' : `reply ${m.end.reply}`, m]
}

/** Asking for the reply, without calling. */
export const read = (m: Model, now: number): Step => {
  if (m.fingerprint === undefined) return ['unknown', m]
  if (m.end === undefined) return ['pending', m]
  if (isGone(m, now)) return ['released', m]
  return [m.end.reply === undefined ? 'interrupted' : `reply ${m.end.reply}`, m]
}

export const lease = (m: Model, now: number): Step =>
  m.fingerprint === undefined || m.end !== undefined || m.lease !== undefined || m.rules.runs === 'middleware' ? ['nothing', m] : leased(m, now)

export const reply = (m: Model, under: number, said: string, now: number): Step => {
  if (holds(m, under)) return ['recorded', { ...m, lease: undefined, end: { at: now, reply: said } }]
  if (m.end === undefined || m.erased === true || under !== m.leases || under === 0) return ['refused', m]
  if (said === m.end.reply) return ['recorded', m]
  return m.late === undefined || m.late === said ? ['late', { ...m, late: said }] : ['refused', m]
}

export const extend = (m: Model, under: number, now: number): Step =>
  holds(m, under) && now < (m.lease?.until ?? 0) ? ['extended', { ...m, lease: { until: now + m.rules.termMs } }] : ['refused', m]

/** What time does, if it is time for it. */
export const deadline = (m: Model): number | undefined => {
  if (m.end !== undefined) return undefined
  if (m.lease !== undefined) return Math.max(m.lease.until, m.lease.grace ?? 0)
  return m.rules.runs === 'middleware' && m.idleSince !== undefined ? m.idleSince + m.rules.interruptedAfterMs : undefined
}
export const tick = (m: Model, now: number): Model => {
  const at = deadline(m)
  if (at === undefined || now < at) return m
  return m.lease === undefined ? { ...m, end: { at: now } } : brokeOff(m, now)
}
/** After a restart every lease is given time to be heard of, though its holder was promised no more. */
export const restart = (m: Model, now: number): Model => (m.lease === undefined ? m : { ...m, lease: { ...m.lease, grace: now + Math.min(m.rules.termMs, 30_000) } })

export const release = (m: Model, how: 'client' | 'time' | 'force', now: number): Step => {
  if (m.fingerprint === undefined) return ['unknown', m]
  if (m.end === undefined) return ['pending', m]
  return how === 'time' && !isGone(m, now) ? ['nothing', m] : ['released', { ...m, released: true }]
}

export const erase = (m: Model, now: number): Step => {
  if (m.fingerprint === undefined) return ['unknown', m]
  // Where time releases nothing, there is nothing that a request without a reply would be kept for.
  const isDispensable = m.end !== undefined && (isGone(m, now) || (m.end.reply === undefined && m.rules.retainMs === undefined))
  return isDispensable ? ['erased', { ...m, released: true, erased: true }] : ['refused', m]
}

// Conditional and waiting reads: an ETag that has not changed is answered 304, at once or after the wait that the caller asked for (surface 11).
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../wire/words.ts'
import { noLongerLetIn, type Call, type Handled } from './call.ts'
import type { Problem } from './problem.ts'

const withoutWeakness = (tag: string): string => (tag.startsWith('W/') ? tag.slice(2) : tag)

/** Whether the caller has this version already (weak comparison, RFC 9110 13.1.2). */
export const matches = (ifNoneMatch: string | undefined, etag: string): boolean => {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch === '*') return true
  return ifNoneMatch.split(',').some((tag) => withoutWeakness(tag.trim()) === withoutWeakness(etag))
}

/** One version of what is polled. */
export interface Version<Body> {
  readonly etag: string
  /** Made only if it is sent. */
  readonly body: () => Body
  /** Whether it is still the newest: asked in the tick in which the wait begins, so that no change slips in between. */
  readonly isCurrent: () => boolean
}

export interface Polled<Body> {
  readonly workItem: WorkItemId
  /** The first look. */
  readonly version: Version<Body>
  /** The look after a change. */
  readonly again: () => Promise<E.Either<Problem, Version<Body>>>
  /** Cuts the wait, in milliseconds. */
  readonly waitMsMax?: number | undefined
}

/** What a wait that was asked for says about itself; cut short by a stop, it says when to come again (surface 11). */
export const waitHeaders = (call: Call, waitMs: number | undefined): Readonly<Record<string, string>> => {
  if (waitMs === undefined) return {}
  const applied = { 'Preference-Applied': `wait=${Math.ceil(waitMs / 1_000)}` }
  return call.isStopping() ? { ...applied, 'Retry-After': '1' } : applied
}

/** Answers with the version, or 304 when the caller has it and the time that it would wait is over. */
export const answerVersion = async <Body>(call: Call, { workItem, version, again, waitMsMax }: Polled<Body>): Promise<Handled<Body>> => {
  const { waitMs } = call
  const wait = waitMs === undefined || waitMsMax === undefined ? waitMs : Math.min(waitMs, waitMsMax)
  const ifNoneMatch = call.headers['if-none-match']
  const changed = ({ etag, body }: Version<Body>): Handled<Body> =>
    E.right({ status: 200, body: body(), headers: { ETag: etag, 'Cache-Control': 'no-cache', ...waitHeaders(call, wait) } })
  const unchanged = (etag: string): Handled<Body> => E.right({ status: 304, headers: { ETag: etag, 'Cache-Control': 'no-cache', ...waitHeaders(call, wait) } })

  if (!matches(ifNoneMatch, version.etag)) return changed(version)
  // What is settled may wait like everything else: a 304 at once would have its caller ask again and again.
  if (wait === undefined || wait === 0) return unchanged(version.etag)
  const until = call.world.monotonic() + wait
  let current = version
  for (;;) {
    const left = until - call.world.monotonic()
    if (left <= 0 || call.signal.aborted) return unchanged(current.etag)
    if (current.isCurrent()) await call.engine.changed(workItem, left, call.signal)
    // Whoever is gone gets no answer, and what it did not hear it has not seen.
    if (call.signal.aborted) return unchanged(current.etag)
    if (!(await call.isStillAllowed())) return E.left(noLongerLetIn)
    const next = await again()
    if (E.isLeft(next)) return next
    current = next.right
    if (!matches(ifNoneMatch, current.etag)) return changed(current)
  }
}

// How long streams may grow and how often facts that only refresh may be added to them (rules 14, 16).
import type { Progress } from '../work-item/events.ts'

/** Events that one work item holds, at most. Settling always fits: the last places are kept for it. */
export const STREAM_EVENTS_MAX = 10_000
/** Places kept free for what settles an item and for what follows. */
export const STREAM_EVENTS_RESERVED = 16
/** From here on 'why' says that the stream is nearly full. */
export const STREAM_EVENTS_WARN = 9_000

/** Two recorded progress reports are at least this far apart in a young stream. */
export const PROGRESS_INTERVAL_MS = 250
/** The interval doubles each time the stream has grown by this many events. */
export const PROGRESS_INTERVAL_DOUBLES_EVERY = 500
/** Progress is recorded when it has moved by 1 %. */
export const PROGRESS_STEP = 0.01

/** The pause between two recorded progress reports in a stream at this revision, in milliseconds. */
export const progressIntervalMs = (revision: number): number => PROGRESS_INTERVAL_MS * 2 ** Math.floor(revision / PROGRESS_INTERVAL_DOUBLES_EVERY)

const fractionOf = (progress: Progress): number | undefined => {
  if (progress.fraction !== undefined) return progress.fraction
  return progress.done !== undefined && progress.total !== undefined && progress.total > 0 ? progress.done / progress.total : undefined
}

/** Whether progress has moved by 1 %: of the whole where it is known, of what was counted so far where it is not. */
export const hasMoved = (before: Progress, now: Progress): boolean => {
  const was = fractionOf(before)
  const is = fractionOf(now)
  if (was !== undefined && is !== undefined) return Math.abs(is - was) >= PROGRESS_STEP - Number.EPSILON
  if (was !== is) return true
  if (before.message !== now.message && now.done === undefined) return true
  return Math.abs((now.done ?? 0) - (before.done ?? 0)) >= Math.max(Number.MIN_VALUE, (before.done ?? 0) * PROGRESS_STEP)
}

/** Extensions of a held job last two silences, and longer as the stream grows, so that a job of weeks stays within its stream. */
const EXTENSION_DOUBLES_EVERY = 1_000
/** No extension is made longer than this for the stream's sake. */
const EXTENSION_MS_MAX = 3_600_000

/** How far an extension of a job's lease reaches, in milliseconds from now. */
export const extensionMs = (silenceMs: number, revision: number): number => {
  const twice = 2 * silenceMs
  return Math.max(twice, Math.min(twice * 2 ** Math.floor(revision / EXTENSION_DOUBLES_EVERY), EXTENSION_MS_MAX))
}

/** An operation reports every second or two: promises of two silences would fill its stream with themselves. Its silence is judged from memory, whatever stands there. */
export const OPERATION_PROMISE_MS = 300_000

/** How far the lease of a long task reaches from now on, when it is given and when it is extended, in milliseconds. */
export const operationPromiseMs = (silenceMs: number, revision: number): number => Math.max(OPERATION_PROMISE_MS, extensionMs(silenceMs, revision))

// When a receiver that refused wants to be asked again: its `Retry-After`, in seconds or as a date.

/** A receiver that names a time further away than this is asked then, in milliseconds. */
export const RETRY_AFTER_MAX_MS = 86_400_000

/** Milliseconds from `now` on; undefined when the header says nothing that can be understood. */
export const retryAfterMs = (header: string | undefined, now: number): number | undefined => {
  const text = header?.trim() ?? ''
  const ms = /^\d{1,15}$/.test(text) ? Number(text) * 1_000 : /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) - now : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), RETRY_AFTER_MAX_MS)
}

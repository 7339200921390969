// Durations as people write them on flags, and as they read them in tables.
export { parseDuration } from '../client/duration.ts'

/** A duration in at most two units: `850ms`, `4.2s`, `3m 20s`, `2h 5m`, `4d 3h`. */
export const formatDuration = (ms: number): string => {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string => (small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`)
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), 'm', seconds % 60, 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm')
  const hours = Math.round(minutes / 60)
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

/** How long ago an RFC 3339 time was, in one unit: `now`, `40s`, `3m`, `2h`, `5d`. */
export const formatAge = (time: string, now: number): string => {
  const seconds = Math.round((now - Date.parse(time)) / 1_000)
  if (seconds < 1) return 'now'
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}

// Durations as people write them, in class declarations and on flags: `2s`, `15m`, `1h30m`. In REST and in options they are numbers of seconds (surface 14).

type Unit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w'

/** A duration as a text, which the compiler checks: `2s`, `15m`, `1h30m`. */
export type Duration = `${number}${Unit}` | `${number}${Unit}${number}${Unit}`

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } satisfies Record<Unit, number>

/** Milliseconds of a text like `30s`, `15m`, `1h30m` or `2d`; undefined for anything else. A number needs its unit, but for 0. */
export const parseDuration = (text: string): number | undefined => {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
  return total
}

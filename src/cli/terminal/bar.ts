// Progress bars in eighths of a character, so that a short bar still moves with each percent.

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** A bar `width` columns wide, filled by `fraction` (0 to 1); without a fraction an empty one. Full only when all is done. */
export const bar = (fraction: number | undefined, width: number): string => {
  const share = Math.min(1, Math.max(0, fraction ?? 0))
  const eighths = Math.floor(share * width * 8)
  const whole = Math.floor(eighths / 8)
  const filled = '█'.repeat(whole) + (EIGHTHS[eighths % 8] ?? '')
  return filled + '░'.repeat(Math.max(0, width - whole - (eighths % 8 === 0 ? 0 : 1)))
}

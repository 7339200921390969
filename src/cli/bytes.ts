// Amounts of bytes as people read them.

const KIB = 1024
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

const powerOf = (bytes: number): number => (bytes < KIB ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log(bytes) / Math.log(KIB))))

const scaled = (bytes: number, power: number): string => {
  const value = bytes / KIB ** power
  return Number.isInteger(value) ? value.toLocaleString('en') : value.toFixed(1)
}

/** `17 bytes`, `1.5 KiB`, `2 GiB`. */
export const bytesText = (bytes: number): string => `${scaled(bytes, powerOf(bytes))} ${UNITS[powerOf(bytes)]}`

/** With a decimal throughout, so that it keeps its width while it changes. */
const steady = (bytes: number, power: number): string => (bytes / KIB ** power).toFixed(power === 0 ? 0 : 1)

/** So many of so many, in the unit of the whole: `3.5/200.0 MiB`. */
export const bytesOfText = (done: number, total: number): string => `${steady(done, powerOf(total))}/${steady(total, powerOf(total))} ${UNITS[powerOf(total)]}`

/** `5.0 MiB/s`. */
export const bytesRateText = (bytesPerSecond: number): string => `${steady(bytesPerSecond, powerOf(bytesPerSecond))} ${UNITS[powerOf(bytesPerSecond)]}/s`

/** Whether a count of these is one of bytes. */
export const isBytes = (unit: string | undefined): boolean => unit === 'bytes' || unit === 'B'

// The forms in which queue files write numbers, names and addresses, as readers of single values.
import { faultOf, scalar, type Fault, type Read } from './queue-files-document.ts'

/** A text that must be of a form. */
export const text = (pattern: RegExp, expected: string): Read<string> => scalar((value) => (pattern.test(value) ? value : faultOf('form', expected, value)))

/** One of some words. */
export const choice = <Word extends string>(...words: readonly Word[]): Read<Word> =>
  scalar((value) => words.find((word) => word === value) ?? faultOf('choice', `one of ${words.join(', ')}`, value))

export interface Range {
  readonly min: number
  readonly max: number
}

const within = ({ min, max }: Range, value: number, written: string): number | Fault => (value >= min && value <= max ? value : faultOf('range', `${min} to ${max}`, written))

/** Digits, a whole number. */
export const integer = (range: Range): Read<number> => scalar((value) => (/^\d+$/.test(value) ? within(range, Number(value), value) : faultOf('form', 'a whole number', value)))

const DECIMAL = /^(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/

/** A number, with a fraction if need be. */
export const decimal = (range: Range): Read<number> => scalar((value) => (DECIMAL.test(value) ? within(range, Number(value), value) : faultOf('form', 'a number', value)))

/** Seconds in the file, milliseconds in the value. */
export const seconds = (range: Range): Read<number> => {
  const read = decimal(range)
  return (spot) => {
    const value = read(spot)
    return value === undefined ? undefined : Math.round(value * 1000)
  }
}

/** `true` or `false`. */
export const flag: Read<boolean> = scalar((value) => (value === 'true' ? true : value === 'false' ? false : faultOf('choice', 'true or false', value)))

const BYTES: Readonly<Record<string, number>> = { '': 1, B: 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 }

/** `500M`, `1.2G`, `1048576`: bytes, by powers of 1024. */
export const storage: Read<number> = scalar((value) => {
  // Without a suffix App Engine takes whole bytes only.
  const [, number, suffix = ''] = /^(\d+(?:\.\d*)?(?=[BKMGT])|\d+)([BKMGT])?$/.exec(value) ?? []
  const unit = BYTES[suffix]
  if (number === undefined || unit === undefined) return faultOf('form', 'a number of bytes such as 500M or 1.2G (suffixes B, K, M, G, T)', value)
  const bytes = Math.floor(Number(number) * unit)
  return Number.isSafeInteger(bytes) ? bytes : faultOf('range', `at most ${Number.MAX_SAFE_INTEGER} bytes`, value)
})

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** `30s`, `10m`, `12h`, `7d`: in seconds. */
export const age: Read<number> = scalar((value) => {
  const [, number, unit = ''] = /^(\d+(?:\.\d*(?:e-?\d+)?)?)([smhd])$/.exec(value) ?? []
  const factor = SECONDS[unit]
  return number === undefined || factor === undefined ? faultOf('form', 'an age such as 30s, 10m, 12h or 7d', value) : Math.floor(Number(number) * factor)
})

/** `5/s`, `0.5/m`, `2000/d`: a second; `0` only where `mayRest`. */
export const ratePerSecond = ({ mayRest, max }: { readonly mayRest: boolean; readonly max: number }): Read<number> =>
  scalar((value) => {
    if (value === '0' && mayRest) return 0
    const [, number, unit = ''] = /^(\d+(?:\.\d*)?)\/([smhd])$/.exec(value) ?? []
    const factor = SECONDS[unit]
    if (number === undefined || factor === undefined) return faultOf('form', 'a rate such as 5/s, 0.5/m, 10/h or 2000/d', value)
    const perSecond = Number(number) / factor
    if (perSecond > max) return faultOf('range', `at most ${max}/s`, value)
    return perSecond > 0 || mayRest ? perSecond : faultOf('range', 'a rate above 0; to let nothing out, pause the queue', value)
  })

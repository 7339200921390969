// What the server says about itself: JSON lines for machines, short lines where a person is looking. Always on stderr, which leaves stdout to data.
import pino, { type Logger } from 'pino'
import type { World } from './world.ts'

export type { Logger } from 'pino'

export interface LogOptions {
  readonly level: string
  readonly world: World
  /** Short lines for a person in place of JSON. */
  readonly human: boolean
  /** Takes finished lines, each with its line break. Stderr unless given. */
  readonly write?: (line: string) => void
}

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }

/** Known to every line, so not worth showing to a person. */
const HIDDEN = new Set(['level', 'time', 'msg', 'err', 'pid', 'hostname', 'v'])

const shortValue = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))

/** One JSON line of the log as a person reads it: time of day, level, message, then the rest as name=value. */
export const humanLine = (json: string): string => {
  const entry = JSON.parse(json) as { readonly level: number; readonly time: number; readonly msg?: string; readonly err?: { readonly stack?: string; readonly message?: string } }
  const rest = Object.entries(entry).filter(([name]) => !HIDDEN.has(name))
  const clock = new Date(entry.time).toISOString().slice(11, 19)
  const level = LEVELS[entry.level] ?? String(entry.level)
  const head = [clock, level.padEnd(5), entry.msg ?? '', ...rest.map(([name, value]) => `${name}=${shortValue(value)}`)].filter((part) => part !== '').join(' ')
  return entry.err === undefined ? `${head}\n` : `${head}\n${entry.err.stack ?? entry.err.message ?? ''}\n`
}

/** Makes the log. Lines are written before the call returns, so that the last ones before an exit are there. */
export const createLog = ({ level, world, human, write }: LogOptions): Logger => {
  const options = { level, base: null, timestamp: () => `,"time":${world.now()}` }
  const destination = write === undefined ? pino.destination({ dest: 2, sync: true }) : { write }
  return pino(options, human ? { write: (line: string) => destination.write(humanLine(line)) } : destination)
}

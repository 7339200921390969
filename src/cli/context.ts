// What a command is given beside its own arguments: the global options, the streams, the world, and the client of the server that it talks to.
import { InvalidArgumentError, Option, type Command } from 'commander'
import { createInterface } from 'node:readline/promises'
import { createHttp, type Http } from '../client/http.ts'
import { hearStops } from '../client/stops.ts'
import { realWorld, type World } from '../world.ts'
import { parseDuration } from './duration.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { STOP_SIGNALS, type StopSignal } from './stop-signals.ts'
import { paintFor, type Paint } from './terminal/text.ts'

export type Format = 'table' | 'json' | 'jsonl'

export const DEFAULT_URL = 'http://127.0.0.1:7070'

interface GlobalOptions {
  readonly url?: string
  readonly token?: string
  readonly as?: string
  readonly output: Format
  readonly yes?: boolean
  /** False with --no-color. */
  readonly color: boolean
}

export interface Context {
  readonly world: World
  readonly format: Format
  /** Data: a line on stdout. */
  readonly out: (line: string) => void
  /** Messages for people: a line on stderr. */
  readonly say: (line: string) => void
  readonly paint: Paint
  /** For what goes to stderr. */
  readonly paintMessage: Paint
  /** Columns of the terminal that stdout is; undefined off a terminal. */
  readonly columns: () => number | undefined
  readonly http: Http
  /** Where to find the server. */
  readonly url: string
  /** Aborts on the first Ctrl-C or SIGTERM once it has been asked for; the second one ends the process. */
  readonly interrupted: () => AbortSignal
  /** Asks on a terminal, unless --yes answered before. Off a terminal the command itself is the answer; with `insist`, for what touches many things at once, only --yes is. Throws when the answer is no. */
  readonly confirm: (question: string, insist?: 'insist') => Promise<void>
}

const wantsColor = (flag: boolean, stream: NodeJS.WriteStream): boolean => {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (!flag || (NO_COLOR !== undefined && NO_COLOR !== '')) return false
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') return true
  return stream.isTTY && TERM !== 'dumb'
}

const urlOf = (given: string | undefined): string => {
  const url = given ?? process.env['STINT_URL'] ?? DEFAULT_URL
  const parsed = URL.parse(url)
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) throw usage(`Expected an address like ${DEFAULT_URL}, but it is "${url}".`, 'See --url and STINT_URL.')
  return url
}

/** The second signal meets the default, which ends the process. */
const endByDefault = (signal: StopSignal): void => {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}

const interruption = (world: World) => {
  let controller: AbortController | undefined
  return (): AbortSignal => {
    if (controller !== undefined) return controller.signal
    const made = new AbortController()
    controller = made
    hearStops(STOP_SIGNALS, world, { first: (signal) => made.abort(new Error(signal)), again: endByDefault })
    return made.signal
  }
}

const confirming =
  (yes: boolean) =>
  async (question: string, insist?: 'insist'): Promise<void> => {
    if (yes) return
    if (!process.stdin.isTTY || !process.stderr.isTTY) {
      if (insist === undefined) return
      throw usage(`${question} Nobody is here to answer.`, '--yes answers the question beforehand.')
    }
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    try {
      const answer = await lines.question(`${question} [y/N] `)
      if (!/^y(?:es)?$/i.test(answer.trim())) throw new CliFailure(EXIT.usage, 'Nothing was done.', '--yes answers the question beforehand.')
    } finally {
      lines.close()
    }
  }

/** Makes the context of one command from its global options. */
export const contextOf = (command: Command): Context => {
  const options = command.optsWithGlobals<GlobalOptions>()
  const world = realWorld
  let http: Http | undefined
  let url: string | undefined
  const getUrl = (): string => (url ??= urlOf(options.url))
  return {
    world,
    format: options.output,
    out: (line) => void process.stdout.write(`${line}\n`),
    say: (line) => void process.stderr.write(`${line}\n`),
    paint: paintFor(wantsColor(options.color, process.stdout)),
    paintMessage: paintFor(wantsColor(options.color, process.stderr)),
    columns: () => (process.stdout.isTTY ? process.stdout.columns || undefined : undefined),
    get url() {
      return getUrl()
    },
    get http() {
      return (http ??= createHttp({ url: getUrl(), token: options.token ?? process.env['STINT_TOKEN'], as: options.as, world, fetch }))
    },
    interrupted: interruption(world),
    confirm: confirming(options.yes === true),
  }
}

/** Wraps what a command does into what commander calls: arguments first, then options, then the command itself. */
export const action =
  <Args extends readonly unknown[], Options>(run: (context: Context, options: Options, ...args: Args) => Promise<void>) =>
  async (...given: readonly unknown[]): Promise<void> => {
    const command = given[given.length - 1] as Command
    const options = given[given.length - 2] as Options
    await run(contextOf(command), options, ...(given.slice(0, -2) as unknown as Args))
  }

/** The options that every command takes. */
export const globalOptions = (): readonly Option[] => [
  new Option('--url <url>', `address of the server (STINT_URL, ${DEFAULT_URL})`),
  new Option('--token <token>', 'bearer token (STINT_TOKEN; there it is not seen by `ps`)'),
  new Option('--as <email>', 'on a server without auth: act as this principal, whom access lists bind and who is no administrator'),
  new Option('-o, --output <format>', 'how data is printed').choices(['table', 'json', 'jsonl']).default('table'),
  new Option('--yes', 'answer yes to every question'),
  new Option('--no-color', 'no colours (NO_COLOR)'),
]

// ---- texts of flags, for commander ----

/** A duration on a flag, in milliseconds. */
export const durationFlag = (text: string): number => {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('Expected a duration like 30s, 15m or 2h.')
  return ms
}

/** A whole number on a flag. */
export const countFlag =
  (min: number, max: number) =>
  (text: string): number => {
    const count = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (Number.isNaN(count) || count < min || count > max) throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
    return count
  }

/** One word on a flag, one of `choices`. */
export const wordFlag =
  <Word extends string>(choices: readonly Word[]) =>
  (text: string): Word => {
    const word = choices.find((choice) => choice === text)
    if (word === undefined) throw new InvalidArgumentError(`Expected one of ${choices.join(', ')}.`)
    return word
  }

/** Words on a flag, separated by commas; each one of `choices`. */
export const wordsFlag =
  <Word extends string>(choices: readonly Word[]) =>
  (text: string): readonly Word[] =>
    text.split(',').map((part) => wordFlag(choices)(part.trim()))

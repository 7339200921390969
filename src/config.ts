// What can be set about a server, from where, and what holds when nothing is: flags before environment before `stint.yaml` before defaults (rules 32).
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { isLoopback } from './api/settings.ts'
import { settingNames, settings, settingsCodec, type ServerConfig, type SettingName } from './settings.ts'
import { decode, type FieldError } from './wire/schema.ts'

export const CONFIG_FILE = 'stint.yaml'

/** A setting that cannot be used, and where it stands. */
export interface ConfigProblem {
  /** `--port`, `STINT_PORT` or `stint.yaml:3:7`. */
  readonly source: string
  /** A sentence. */
  readonly detail: string
}

export interface ConfigSources {
  /** By setting name, as they were written on the command line. */
  readonly flags?: Readonly<Partial<Record<SettingName, string>>>
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where `stint.yaml` is looked for; no directory: no file. A named directory without the file is no error. */
  readonly directory?: string | undefined
}

type Values = Readonly<Partial<Record<string, unknown>>>
type Loaded = E.Either<readonly ConfigProblem[], Values>

/** A text from flag or environment as the value that its setting takes; what does not fit is left for the codec to refuse. */
const valueOf = (name: SettingName, text: string): unknown => {
  switch (settings[name].form) {
    case 'text':
      return text
    case 'number':
      return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
    case 'flag':
      return /^(?:true|1|yes)$/i.test(text) ? true : /^(?:false|0|no)$/i.test(text) ? false : text
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
  }
}

const fromTexts = (texts: Readonly<Partial<Record<SettingName, string>>>, sourceOf: (name: SettingName) => string): Loaded => {
  const values: Record<string, unknown> = {}
  const problems: ConfigProblem[] = []
  for (const name of settingNames) {
    const text = texts[name]
    if (text === undefined || text === '') continue
    const value = valueOf(name, text)
    const decoded = decode(settings[name].codec as t.Type<unknown, unknown, unknown>, value)
    if (E.isRight(decoded)) values[name] = value
    else problems.push({ source: sourceOf(name), detail: decoded.left.map((error) => error.detail).join(' ') })
  }
  return problems.length === 0 ? E.right(values) : E.left(problems)
}

/** Where each key of the file stands, and which stand there again. Looked up once, because a file may be of any length. */
const keysOf = ({ contents }: Document.Parsed): { readonly first: ReadonlyMap<string, number>; readonly again: readonly number[] } => {
  const first = new Map<string, number>()
  const again: number[] = []
  for (const { key } of isMap(contents) ? contents.items : []) {
    if (!isScalar(key)) continue
    const name = String(key.value)
    const offset = key.range?.[0] ?? 0
    if (first.has(name)) again.push(offset)
    else first.set(name, offset)
  }
  return { first, again }
}

/** The byte at which a field stands: its key if the key is what is wrong, its value otherwise. */
const offsetOf = (document: Document.Parsed, known: ReadonlyMap<string, number>, error: FieldError): number => {
  const keys = error.path.split('/').slice(1)
  if (error.code === 'unknown') return known.get(keys[0] ?? '') ?? 0
  const node = document.getIn(
    keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key)),
    true,
  ) as { readonly range?: readonly number[] | null } | undefined
  return node?.range?.[0] ?? 0
}

const nearest = (wanted: string): string => {
  const same = settingNames.find((name) => name.toLowerCase() === wanted.toLowerCase().replaceAll(/[-_]/g, ''))
  return same === undefined ? `The settings are ${settingNames.join(', ')}.` : `Did you mean ${same}?`
}

const describe = (error: FieldError): string => {
  const [, name = ''] = error.path.split('/')
  return error.code === 'unknown' ? `${name} is no setting. ${nearest(name)}` : `${name === '' ? 'the file' : name}: ${error.detail}`
}

/** Reads settings from the text of a `stint.yaml`. */
export const parseConfigFile = (text: string, file = CONFIG_FILE): Loaded => {
  const lines = new LineCounter()
  // Its own search for keys that come twice compares each with each.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  if (document.errors.length > 0) return E.left(document.errors.map((error) => ({ source: at(error.pos[0]), detail: `${error.message}.`.replace(/\.\.$/, '.') })))
  const { first, again } = keysOf(document)
  if (again.length > 0) return E.left(again.map((offset) => ({ source: at(offset), detail: 'Expected each setting once.' })))
  const value: unknown = document.toJS() ?? {}
  const decoded = decode(settingsCodec, value)
  return E.isRight(decoded) ? E.right(decoded.right) : E.left(decoded.left.map((error) => ({ source: at(offsetOf(document, first, error)), detail: describe(error) })))
}

const fromFile = (directory: string | undefined): Loaded => {
  if (directory === undefined) return E.right({})
  const file = join(directory, CONFIG_FILE)
  try {
    return parseConfigFile(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return E.right({})
    return E.left([{ source: file, detail: `The file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` }])
  }
}

/** What no setting can say alone. */
const together = (config: ServerConfig): readonly ConfigProblem[] => {
  const problems: ConfigProblem[] = []
  if (config.auth === 'none' && !isLoopback(config.host))
    problems.push({
      source: 'host',
      detail: `Without auth anybody who reaches ${config.host} could do anything, so the server binds to loopback only. Set auth to tokens (--auth tokens), or host to 127.0.0.1.`,
    })
  if (config.auth === 'jwt' || config.auth === 'tokens+jwt')
    for (const name of ['jwtKeysUrl', 'jwtIssuer', 'jwtAudience'] as const)
      if (config[name] === '') problems.push({ source: name, detail: `Expected a value, because auth is ${config.auth}.` })
  return problems
}

/** The settings of a server, or everything that is wrong with them. */
export const loadConfig = ({ flags = {}, env = {}, directory }: ConfigSources): E.Either<readonly ConfigProblem[], ServerConfig> => {
  const parts = [
    fromFile(directory),
    fromTexts(Object.fromEntries(settingNames.map((name) => [name, env[settings[name].env]])), (name) => settings[name].env),
    fromTexts(flags, (name) => settings[name].flag),
  ]
  const problems = parts.flatMap((part) => (E.isLeft(part) ? part.left : []))
  if (problems.length > 0) return E.left(problems)
  const defaults = Object.fromEntries(settingNames.map((name) => [name, settings[name].default]))
  const config = Object.assign(defaults, ...parts.map((part) => (E.isRight(part) ? part.right : {}))) as ServerConfig
  const unfit = together(config)
  return unfit.length === 0 ? E.right(config) : E.left(unfit)
}

/** One line for each problem. */
export const describeProblems = (problems: readonly ConfigProblem[]): string => problems.map(({ source, detail }) => `${source}: ${detail}`).join('\n')

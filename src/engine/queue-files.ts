// The queue files of a config directory, `apps/<app>/queue.yaml` and `apps/<app>/stint-queue.yaml`, as the configs that enter the log (rules 29, 32).
import * as E from 'fp-ts/lib/Either.js'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_STINT_SETTINGS, queueKey, type QueueConfig, type StintSettings } from '../domain/queue/config.ts'
import type { QueueCommandOfType, ReadWhen } from '../domain/queue/decide.ts'
import { contentDigest } from './digest.ts'
import type { FileError, FileErrorCode, ReadDocument } from './queue-files-document.ts'
import { readQueueYaml, type QueueYaml } from './queue-files-queue-yaml.ts'
import { readStintYaml } from './queue-files-stint-yaml.ts'

export type { FileError, FileErrorCode } from './queue-files-document.ts'

export const QUEUE_FILE = 'queue.yaml'
export const STINT_QUEUE_FILE = 'stint-queue.yaml'
/** Bytes of one file, at most. */
export const FILE_BYTES_MAX = 1024 * 1024

/** A file's name, for its errors, and what stands in it. */
export interface FileText {
  readonly file: string
  readonly text: string
}

/** The queues of one app, or everything that is wrong with its two files. */
export interface AppQueues {
  readonly app: string
  readonly queues: E.Either<readonly FileError[], readonly QueueConfig[]>
  /** What is taken but has no effect; none when the files are refused. */
  readonly notices: readonly FileError[]
}

/** The queues of all apps, by app and name. */
export interface QueueFiles {
  readonly queues: readonly QueueConfig[]
  readonly notices: readonly FileError[]
}

/** An error of a file or directory as a whole. */
export const fileError = (file: string, code: FileErrorCode, detail: string): FileError => ({ file, line: 1, column: 1, path: '', code, detail })

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const configsOf = (app: string, { entries, storageLimitBytes }: QueueYaml, settings: ReadonlyMap<string, StintSettings>): readonly QueueConfig[] =>
  entries
    .map(({ name, mode, retryLimit, users, writers }): QueueConfig => ({
      app,
      queue: name,
      mode,
      users: [...users],
      writers: [...writers],
      stint: settings.get(name) ?? DEFAULT_STINT_SETTINGS,
      ...(retryLimit === undefined ? {} : { retryLimit }),
      ...(storageLimitBytes === undefined ? {} : { storageLimitBytes }),
    }))
    .toSorted((a, b) => byText(a.queue, b.queue))

const NO_SETTINGS: ReadDocument<ReadonlyMap<string, StintSettings>> = { value: new Map(), errors: [], notices: [] }
const NO_QUEUES: ReadDocument<QueueYaml> = { value: { entries: [] }, errors: [], notices: [] }

/** The queues of an app from the texts of its files; a file that is not there has nothing to say. */
export const parseAppQueues = (app: string, queueFile: FileText | undefined, stintFile: FileText | undefined): AppQueues => {
  const said = queueFile === undefined ? NO_QUEUES : readQueueYaml(queueFile.file, queueFile.text)
  const names = said.value && new Set(said.value.entries.map(({ name }) => name))
  const own = stintFile === undefined ? NO_SETTINGS : readStintYaml(stintFile.file, stintFile.text, names)
  if (said.value === undefined || own.value === undefined) return { app, queues: E.left([...said.errors, ...own.errors]), notices: [] }
  return { app, queues: E.right(configsOf(app, said.value, own.value)), notices: [...said.notices, ...own.notices] }
}

const codeOf = (cause: unknown): unknown => (cause instanceof Error && 'code' in cause ? cause.code : undefined)

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** The text of a file; undefined when there is none. */
export const readText = async (file: string): Promise<E.Either<FileError, FileText | undefined>> => {
  try {
    const found = await stat(file)
    // Reading a pipe or a device might never end.
    if (!found.isFile()) return E.left(fileError(file, 'unreadable', 'Expected a file, but it is something else.'))
    if (found.size > FILE_BYTES_MAX) return E.left(fileError(file, 'too-large', `Expected at most ${FILE_BYTES_MAX} bytes, but there are ${found.size}.`))
    return E.right({ file, text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file)) })
  } catch (cause) {
    // A plain file among the directories of the apps has no files in it either.
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return E.right(undefined)
    if (cause instanceof TypeError) return E.left(fileError(file, 'encoding', 'Expected UTF-8, but there are bytes that are not.'))
    return E.left(fileError(file, 'unreadable', `The file cannot be read: ${reasonOf(cause)}`))
  }
}

/** As `{project}` of the dialect and `{app}` of the native routes take it. */
const APP_NAME = /^[a-z0-9.:-]{1,100}$/

/** What was read of each app last, and from which texts: whoever looks again and again parses a change once. */
export type ParsedApps = Map<string, { readonly texts: readonly (string | undefined)[]; readonly queues: AppQueues }>

const parseOnce = (app: string, queueFile: FileText | undefined, stintFile: FileText | undefined, parsed: ParsedApps): AppQueues => {
  const texts = [queueFile?.text, stintFile?.text]
  const known = parsed.get(app)
  if (known !== undefined && known.texts.every((text, index) => text === texts[index])) return known.queues
  const queues = parseAppQueues(app, queueFile, stintFile)
  parsed.set(app, { texts, queues })
  return queues
}

/** The queues of one app; undefined when its directory holds neither file. */
const readApp = async (directory: string, app: string, parsed: ParsedApps): Promise<AppQueues | undefined> => {
  const [queueFile, stintFile] = await Promise.all([readText(join(directory, app, QUEUE_FILE)), readText(join(directory, app, STINT_QUEUE_FILE))])
  const errors = [queueFile, stintFile].flatMap((read) => (E.isLeft(read) ? [read.left] : []))
  if (E.isRight(queueFile) && E.isRight(stintFile)) {
    if (queueFile.right === undefined && stintFile.right === undefined) return undefined
    if (APP_NAME.test(app)) return parseOnce(app, queueFile.right, stintFile.right, parsed)
    errors.push(fileError(join(directory, app), 'name', 'Expected the directory of an app to have a name of 1 to 100 of a-z, 0-9, ".", ":" and "-".'))
  }
  return { app, queues: E.left(errors), notices: [] }
}

/** Where the directories of the apps are. */
export const appsDirectory = (configDirectory: string): string => join(configDirectory, 'apps')

/** Names in the directory of apps that may be apps; what begins with a dot belongs to tools. Undefined when there is no such directory. */
export const appNames = async (configDirectory: string): Promise<E.Either<FileError, readonly string[] | undefined>> => {
  const directory = appsDirectory(configDirectory)
  try {
    return E.right((await readdir(directory)).filter((name) => !name.startsWith('.')).sort())
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return E.right(undefined)
    return E.left(fileError(directory, 'unreadable', `The directory of apps cannot be read: ${reasonOf(cause)}`))
  }
}

/** `parsed`: the same for each look at one directory, so that what has not changed is not parsed again. Every app by itself, so that one app's mistake is no other's; undefined when there is no directory of apps, Left when it cannot be read. */
export const readApps = async (configDirectory: string, parsed: ParsedApps = new Map()): Promise<E.Either<readonly FileError[], readonly AppQueues[] | undefined>> => {
  const names = await appNames(configDirectory)
  if (E.isLeft(names)) return E.left([names.left])
  if (names.right === undefined) return E.right(undefined)
  const apps: AppQueues[] = []
  // One after another: a directory of many apps must not take all file handles.
  for (const name of names.right) {
    const app = await readApp(appsDirectory(configDirectory), name, parsed)
    if (app !== undefined) apps.push(app)
  }
  return E.right(apps)
}

/** All queues of a config directory, or everything that is wrong with any of its files. Without a directory there are no queues. */
export const readQueueFiles = async (configDirectory: string): Promise<E.Either<readonly FileError[], QueueFiles>> => {
  const read = await readApps(configDirectory)
  if (E.isLeft(read)) return read
  const apps = read.right ?? []
  const errors = apps.flatMap(({ queues }) => (E.isLeft(queues) ? queues.left : []))
  if (errors.length > 0) return E.left(errors)
  return E.right({ queues: apps.flatMap(({ queues }) => (E.isRight(queues) ? queues.right : [])), notices: apps.flatMap(({ notices }) => notices) })
}

/** SHA-256 of a config, the same whatever the order in its files. */
export const queueDigest = (config: QueueConfig): string => contentDigest(config)

/** SHA-256 of all queues of one app together. */
export const appDigest = (configs: readonly QueueConfig[]): string =>
  contentDigest(configs.map((config) => [config.queue, queueDigest(config)] as const).toSorted(([a], [b]) => byText(a, b)))

export interface ConfigurationStep {
  readonly app: string
  readonly queue: string
  readonly command: QueueCommandOfType<'ConfigureQueue' | 'RemoveQueue'>
}

/**
 * What to ask of each queue so that the log says what the files say: `queues` are those of the files, `inLog` the open ones of the log.
 * What is in the log already is left out; the decider has the last word (rules 29).
 */
export const configurationSteps = (
  queues: readonly QueueConfig[],
  inLog: readonly QueueConfig[],
  { by, when }: { readonly by: string; readonly when: ReadWhen },
): readonly ConfigurationStep[] => {
  const known = new Map(inLog.map((config) => [queueKey(config), queueDigest(config)]))
  const wanted = new Set(queues.map(queueKey))
  const configure = queues
    .map((config) => ({ config, digest: queueDigest(config) }))
    .filter(({ config, digest }) => known.get(queueKey(config)) !== digest)
    .map(({ config, digest }): ConfigurationStep => ({ app: config.app, queue: config.queue, command: { type: 'ConfigureQueue', by, config, digest, when } }))
  const remove = inLog
    .filter((config) => !wanted.has(queueKey(config)))
    .map(({ app, queue }): ConfigurationStep => ({ app, queue, command: { type: 'RemoveQueue', by, digest: appDigest(queues.filter((each) => each.app === app)), when } }))
  return [...configure, ...remove]
}

/** One line for each error or notice: `file:line:column: path: sentence`. */
export const describeFileErrors = (errors: readonly FileError[]): string =>
  errors.map(({ file, line, column, path, detail }) => `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${detail}`).join('\n')

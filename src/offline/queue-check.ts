// Queue files looked at without a server, by the reader that the server itself uses: one file with the one beside it, the directory of an app, or a config directory.
import * as E from 'fp-ts/lib/Either.js'
import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { QueueConfig } from '../domain/queue/config.ts'
import { appsDirectory, parseAppQueues, QUEUE_FILE, readApps, readText, STINT_QUEUE_FILE, type AppQueues, type FileError, type FileText } from '../engine/queue-files.ts'

export type { FileError } from '../engine/queue-files.ts'

/** Nothing there that could be checked. */
export class NoQueueFiles extends Error {
  override readonly name = 'NoQueueFiles'
}

export interface CheckedQueues {
  /** Queues of the apps whose files are good, by app and name. */
  readonly queues: readonly QueueConfig[]
  readonly errors: readonly FileError[]
  /** What is taken, but has no effect. */
  readonly notices: readonly FileError[]
}

const merged = (apps: readonly AppQueues[]): CheckedQueues => ({
  queues: apps.flatMap(({ queues }) => (E.isRight(queues) ? queues.right : [])),
  errors: apps.flatMap(({ queues }) => (E.isLeft(queues) ? queues.left : [])),
  notices: apps.flatMap(({ notices }) => notices),
})

/** A key of a queue.yaml at its top, in block or flow style. */
const KEYS = /^\s*\{?\s*["']?(?:queue|total_storage_limit)["']?\s*:/m

/** The two files of one app; what they are called and where they stand is the caller's. */
const checkPair = async (app: string, queueFile: string, stintFile: string): Promise<CheckedQueues> => {
  const read = await Promise.all([readText(queueFile), readText(stintFile)])
  const errors = read.flatMap((each) => (E.isLeft(each) ? [each.left] : []))
  if (errors.length > 0) return { queues: [], errors, notices: [] }
  const [queues, stint] = read.map((each): FileText | undefined => (E.isRight(each) ? each.right : undefined))
  return merged([parseAppQueues(app, queues, stint)])
}

/** A file of another name in which nothing looks like a queue.yaml: whoever named it meant another one. */
const isNeither = async (path: string): Promise<boolean> => {
  const read = await readText(path)
  return E.isRight(read) && !KEYS.test(read.right?.text ?? '')
}

const checkApps = async (configDirectory: string): Promise<CheckedQueues> => {
  const read = await readApps(configDirectory)
  if (E.isLeft(read)) return { queues: [], errors: read.left, notices: [] }
  return merged(read.right ?? [])
}

/**
 * Everything that a server would say of these files. A file that is not called stint-queue.yaml is read as a queue.yaml; the other of the two is taken from
 * beside it. Throws NoQueueFiles when there is nothing to check.
 */
export const checkQueueFiles = async (path: string): Promise<CheckedQueues> => {
  if (!existsSync(path)) throw new NoQueueFiles(`There is no ${path}.`)
  if (!statSync(path).isDirectory()) {
    const directory = dirname(path)
    const app = basename(dirname(resolve(path)))
    if (basename(path) === STINT_QUEUE_FILE) return checkPair(app, join(directory, QUEUE_FILE), path)
    if (basename(path) !== QUEUE_FILE && (await isNeither(path))) throw new NoQueueFiles(`${path} is no queue file: it has no \`queue:\`, with which a ${QUEUE_FILE} begins.`)
    return checkPair(app, path, join(directory, STINT_QUEUE_FILE))
  }
  if (existsSync(appsDirectory(path))) return checkApps(path)
  if ([QUEUE_FILE, STINT_QUEUE_FILE].some((name) => existsSync(join(path, name)))) return checkPair(basename(resolve(path)), join(path, QUEUE_FILE), join(path, STINT_QUEUE_FILE))
  if (basename(resolve(path)) === 'apps') return checkApps(dirname(path))
  throw new NoQueueFiles(`There is neither apps/APP/${QUEUE_FILE} nor ${QUEUE_FILE} in ${path}.`)
}

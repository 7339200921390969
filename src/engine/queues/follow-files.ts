// The queue files of a running server: read before it starts, brought into the log when it has, and taken up again whenever they change (rules 29).
import * as E from 'fp-ts/lib/Either.js'
import type { QueueConfig } from '../../domain/queue/config.ts'
import type { World } from '../../world.ts'
import type { Context } from '../command.ts'
import { describeFileErrors, readApps, type FileError } from '../queue-files.ts'
import { watchQueueFiles, type QueuesInForce } from '../queue-files-watch.ts'
import type { Queues } from './queues.ts'

/** Queue files that cannot be used, at a start. */
export class QueueFilesError extends Error {
  readonly errors: readonly FileError[]
  constructor(errors: readonly FileError[]) {
    super(`The queue files cannot be used.\n${describeFileErrors(errors)}`)
    this.name = 'QueueFilesError'
    this.errors = errors
  }
}

/** Whether the config directory has a directory of apps. Throws QueueFilesError for what a start must not begin with: any file that is bad. */
export const checkQueueFiles = async (directory: string): Promise<{ readonly hasApps: boolean }> => {
  const apps = await readApps(directory)
  if (E.isLeft(apps)) throw new QueueFilesError(apps.left)
  const errors = (apps.right ?? []).flatMap(({ queues }) => (E.isLeft(queues) ? queues.left : []))
  if (errors.length > 0) throw new QueueFilesError(errors)
  return { hasApps: apps.right !== undefined }
}

export interface FollowedFiles {
  readonly close: () => Promise<void>
}

const SUBJECT = 'queue-files'

/**
 * Brings the log up to the files, and keeps it there. A file that is bad from now on leaves its app as it was last good; `queues.files()` tells what is wrong.
 * `hasApps` is what `checkQueueFiles` found: without a directory of apps the queues of the log stay as they are until one comes. Throws StoreFault.
 */
export const followQueueFiles = async (options: {
  readonly directory: string
  readonly hasApps: boolean
  readonly queues: Queues
  readonly world: World
  /** Told each time something changed or is wrong, in a sentence. */
  readonly onNews: (level: 'info' | 'warn' | 'error', text: string) => void
}): Promise<FollowedFiles> => {
  const { directory, hasApps, queues, world, onNews } = options
  const context = (): Context => ({ subject: SUBJECT, actor: SUBJECT, commandId: world.uuid() })

  const take = async (now: QueuesInForce, when: 'start' | 'change'): Promise<void> => {
    for (const error of now.errors) onNews('error', describeFileErrors([error]))
    for (const notice of now.notices) onNews('info', describeFileErrors([notice]))
    const applied = await queues.apply(now.queues, when, context())
    if (E.isLeft(applied)) {
      onNews('error', `The queue files could not be brought into the log: ${applied.left.message}`)
      queues.report({ errors: now.errors, warnings: ['The queue files could not be brought into the log; change one to try again.'] })
      if (when === 'start') throw applied.left
      return
    }
    const { changed, warnings } = applied.right
    for (const warning of warnings) onNews('warn', warning)
    if (changed.length > 0) onNews('info', `The files have changed these queues: ${changed.join(', ')}`)
    queues.report({ errors: now.errors, warnings })
    for (const warning of queues.files().warnings.slice(warnings.length)) onNews('warn', warning)
  }

  const inLog: readonly QueueConfig[] = queues.list().flatMap(({ config, status, isConfigured }) => (status === 'open' && isConfigured ? [config] : []))
  const watch = await watchQueueFiles(directory, world, (now) => take(now, 'change'), hasApps ? inLog : [])
  try {
    if (hasApps) await take(watch.current(), 'start')
    else if (inLog.length > 0) onNews('warn', `There is no directory of apps in ${directory}: the ${inLog.length} queues that the log knows stay as they are.`)
  } catch (cause) {
    await watch.close()
    throw cause
  }
  return { close: watch.close }
}

// Takes up changed queue files while the server runs. It watches directories, not files, because editors and deployments put new files in the place of old ones;
// what it finds counts once two looks in a row agree, so that a file half written, or gone between two renames, takes no queue away.
// A bad file leaves the queues of its app as they were last good; other apps go on.
import * as E from 'fp-ts/lib/Either.js'
import { watch, type FSWatcher } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { QueueConfig } from '../domain/queue/config.ts'
import { pause, type Cancel, type World } from '../world.ts'
import { canonicalJson } from './digest.ts'
import { appNames, appsDirectory, fileError, readApps, type FileError, type ParsedApps } from './queue-files.ts'

/** From a change to the look, and between two looks that must agree, in milliseconds. */
export const SETTLE_MS = 50
/** Between two looks where a directory cannot be watched, or is not there yet, in milliseconds. */
export const POLL_MS = 1_000
/** Between two looks where all directories are watched: a watcher does not see that something above it was replaced. In milliseconds. */
export const RECHECK_MS = 10_000

/** What holds, and what of the files is not taken. */
export interface QueuesInForce {
  /** Of good files what they say; of an app with a bad one what it said when it was last good. */
  readonly queues: readonly QueueConfig[]
  readonly errors: readonly FileError[]
  readonly notices: readonly FileError[]
}

export interface QueueFileWatch {
  readonly current: () => QueuesInForce
  /** Lets go of all watchers and timers; a look that is under way ends first, and tells nothing any more. */
  readonly close: () => Promise<void>
}

type LastGood = ReadonlyMap<string, readonly QueueConfig[]>

const byApp = (configs: readonly QueueConfig[]): LastGood => {
  const apps = new Map<string, QueueConfig[]>()
  for (const config of configs) apps.set(config.app, [...(apps.get(config.app) ?? []), config])
  return apps
}

interface Found {
  readonly inForce: QueuesInForce
  readonly lastGood: LastGood
}

const unchanged = (lastGood: LastGood, errors: readonly FileError[]): Found => ({ inForce: { queues: [...lastGood.values()].flat(), errors, notices: [] }, lastGood })

const goneError = (directory: string): FileError =>
  fileError(
    appsDirectory(directory),
    'unreadable',
    'Expected the directory of apps, but it is gone; its queues stay as they were. To remove them, empty the directory or its files.',
  )

const lookInto = async (directory: string, lastGood: LastGood, parsed: ParsedApps): Promise<Found> => {
  const read = await readApps(directory, parsed)
  if (E.isLeft(read)) return unchanged(lastGood, read.left)
  // A directory that is gone as a whole is more likely unmounted than meant to take every queue away.
  if (read.right === undefined && [...lastGood.values()].some((queues) => queues.length > 0)) return unchanged(lastGood, [goneError(directory)])
  const apps = (read.right ?? []).map(({ app, queues, notices }) => ({
    app,
    queues: E.isRight(queues) ? queues.right : (lastGood.get(app) ?? []),
    errors: E.isLeft(queues) ? queues.left : [],
    notices,
  }))
  return {
    inForce: { queues: apps.flatMap(({ queues }) => queues), errors: apps.flatMap(({ errors }) => errors), notices: apps.flatMap(({ notices }) => notices) },
    lastGood: new Map(apps.map(({ app, queues }) => [app, queues])),
  }
}

interface Watched {
  readonly watcher: FSWatcher
  /** Which directory it was when the watch began: another one may stand under the same name by now. */
  readonly identity: string
}

/** Keeps one watcher on each of the directories that matter now. */
const createWatchers = (directory: string, onEvent: () => void) => {
  const watched = new Map<string, Watched>()

  const drop = (path: string): void => {
    watched.get(path)?.watcher.close()
    watched.delete(path)
  }

  const identityOf = async (path: string): Promise<string | undefined> => {
    try {
      const found = await stat(path)
      return found.isDirectory() ? `${found.dev}:${found.ino}:${found.birthtimeMs}` : undefined
    } catch {
      // Whatever the reason, it cannot be watched now.
      return undefined
    }
  }

  const begin = (path: string, identity: string): boolean => {
    try {
      // What is written into files beside the apps is none of theirs: a log may lie there.
      const watcher = watch(path, (kind) => {
        if (path !== directory || kind !== 'change') onEvent()
      })
      watcher.on('error', () => {
        if (watched.get(path)?.watcher === watcher) drop(path)
        onEvent()
      })
      watched.set(path, { watcher, identity })
      return true
    } catch {
      // No watchers left, or a file system without them: it is looked at again and again instead.
      return false
    }
  }

  /** Whether it can be watched. A plain file among the apps, or one that has just gone, is nothing to watch. */
  const ensure = async (path: string): Promise<'watched' | 'no-directory' | 'refused'> => {
    const identity = await identityOf(path)
    if (watched.get(path)?.identity !== identity) drop(path)
    if (identity === undefined) return 'no-directory'
    return watched.has(path) || begin(path, identity) ? 'watched' : 'refused'
  }

  /** Brings the watchers in line with the directories that are there. False when some change would not be seen. */
  const sync = async (): Promise<boolean> => {
    const names = await appNames(directory)
    const apps = E.isRight(names) ? (names.right ?? []).map((name) => join(appsDirectory(directory), name)) : []
    const roots = [directory, appsDirectory(directory)]
    const wanted = new Set([...roots, ...apps])
    for (const path of watched.keys()) if (!wanted.has(path)) drop(path)
    const [root, shelf, ...each] = await Promise.all([...wanted].map(ensure))
    // Without a directory of apps the one above it tells when it comes.
    return root === 'watched' && shelf !== 'refused' && !each.includes('refused')
  }

  return {
    sync,
    close: () => {
      for (const path of [...watched.keys()]) drop(path)
    },
  }
}

/**
 * Watches the queue files of a config directory. `onChange` is told whenever what holds, or what is wrong, has changed; one call ends before the next begins, and a call
 * that fails is a defect. `inForce` is what the log says now, which stays in force for apps whose files are bad from the start. Resolves after the first look, which is `current`
 * and not told.
 */
export const watchQueueFiles = async (
  directory: string,
  world: World,
  onChange: (now: QueuesInForce) => void | Promise<void>,
  inForce: readonly QueueConfig[] = [],
): Promise<QueueFileWatch> => {
  const closing = new AbortController()
  let isClosed = false
  let isAllWatched = false
  let looking: Promise<void> | undefined
  let cancel: Cancel = () => undefined
  let isStarted = false
  let isSoon = false
  let isDirty = false

  const arm = (ms: number): void => {
    cancel()
    if (isClosed) return
    cancel = world.timer(ms, () => {
      isSoon = false
      isDirty = false
      looking = look().finally(() => {
        looking = undefined
        armNext()
      })
    })
  }

  const armNext = (): void => {
    isSoon = isDirty
    arm(isDirty ? SETTLE_MS : isAllWatched ? RECHECK_MS : POLL_MS)
  }

  const onEvent = (): void => {
    if (!isStarted || looking !== undefined) isDirty = true
    else if (!isSoon) {
      isSoon = true
      arm(SETTLE_MS)
    }
  }

  const watchers = createWatchers(directory, onEvent)
  const parsed: ParsedApps = new Map()

  const find = async (lastGood: LastGood): Promise<Found> => {
    // Watched first and read afterwards: a change in between is seen twice and never missed.
    isAllWatched = await watchers.sync()
    return lookInto(directory, lastGood, parsed)
  }

  let found = await find(byApp(inForce))
  let told = canonicalJson(found.inForce)

  const look = async (): Promise<void> => {
    let text = canonicalJson((await find(found.lastGood)).inForce)
    while (!isClosed && text !== told) {
      await pause(world, SETTLE_MS, closing.signal)
      const next = await find(found.lastGood)
      const nextText = canonicalJson(next.inForce)
      if (isClosed) return
      if (nextText === text) {
        found = next
        told = text
        await onChange(found.inForce)
        return
      }
      text = nextText
    }
  }

  isStarted = true
  armNext()

  return {
    current: () => found.inForce,
    close: async () => {
      isClosed = true
      cancel()
      closing.abort()
      await looking
      watchers.close()
    },
  }
}

// Opens the tables: in a thread of their own with a connection of their own to the log, so that lists and folding take nothing from the engine's thread;
// or in this thread, over any reader, for the store in memory and for tests.
import { Worker } from 'node:worker_threads'
import { StoreFault, type Position } from '../store/port.ts'
import { realWorld, type Cancel, type World } from '../world.ts'
import { tablesFace, type Face, type Link } from './face.ts'
import { projections as allProjections } from './index.ts'
import type { FromThread, LogPlace, Question, ThreadData, ToThread } from './messages.ts'
import type { Projection, TablesReader } from './projection.ts'
import { openCore, type ListText, type LiveText, type Statistics, type UsageAnswer } from './runner.ts'
import type { DuePage, Tables, TablesStatus } from './tables.ts'

export interface TablesOptions {
  /** Of the tables. */
  readonly file: string
  /** For the waits of `reached`. */
  readonly world?: World
  /** Told after each batch how many events it took in. */
  readonly onProgress?: (progress: { readonly position: Position; readonly events: number }) => void
  /** Told in a sentence what an operator should know: made anew, stopped, tried again. */
  readonly onLog?: (text: string) => void
}

export type ThreadOptions = TablesOptions & LogPlace

/** Compiled code lies beside compiled code. */
const THREAD = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url)

/** Questions to the thread that are not answered yet. */
const questions = (post: (message: ToThread) => void) => {
  const open = new Map<number, { readonly answered: (value: unknown) => void; readonly failed: (cause: Error) => void }>()
  let last = 0
  let gone: Error | undefined
  return {
    ask: (question: Question): Promise<unknown> =>
      new Promise((answered, failed) => {
        if (gone !== undefined) return failed(gone)
        last += 1
        open.set(last, { answered, failed })
        post({ type: 'question', number: last, question })
      }),
    settle: (message: Extract<FromThread, { readonly number: number }>): void => {
      const question = open.get(message.number)
      open.delete(message.number)
      if (message.type === 'answer') question?.answered(message.value)
      else question?.failed(new StoreFault('unavailable', message.message))
    },
    end: (cause: Error): void => {
      gone = cause
      for (const { failed } of open.values()) failed(cause)
      open.clear()
    },
  }
}

/** The tables let the log run ahead for so long where nobody asks: what happens to one item meanwhile is written once, and commands have the processor to themselves. */
const PACE_MS = 250

/**
 * Tells the thread where the log ends, one message at a time and not at once: while it is busy, and for a little while after news, only the newest head is remembered.
 * Whoever wants to know something hurries it.
 */
const teller = (world: World, post: (message: ToThread) => void) => {
  let newest: Position = ''
  let told: Position = ''
  let isBusy = false
  let cancel: Cancel | undefined
  const tell = (): void => {
    cancel?.()
    cancel = undefined
    if (isBusy || newest <= told) return
    isBusy = true
    told = newest
    post({ type: 'follow', head: newest })
  }
  const tellSoon = (): void => {
    if (!isBusy && newest > told) cancel ??= world.timer(PACE_MS, tell)
  }
  return {
    follow: (head: Position): void => {
      if (head > newest) newest = head
      tellSoon()
    },
    hurry: tell,
    idle: (isWaitedFor: boolean): void => {
      isBusy = false
      if (isWaitedFor) tell()
      else tellSoon()
    },
    close: (): void => cancel?.(),
  }
}

const linkTo = (world: World, worker: Worker, exited: Promise<void>) => {
  let closing = false
  const post = (message: ToThread): void => worker.postMessage(message)
  const { ask, settle, end } = questions(post)
  const { follow, hurry, idle, close } = teller(world, post)
  const link: Link = {
    follow,
    hurry,
    list: (filter) => ask({ type: 'list', filter }) as Promise<ListText>,
    statistics: (filter) => ask({ type: 'statistics', filter }) as Promise<Statistics>,
    requests: (filter) => ask({ type: 'requests', filter }) as Promise<ListText>,
    usage: (filter) => ask({ type: 'usage', filter }) as Promise<UsageAnswer>,
    expiring: (filter) => ask({ type: 'expiring', filter }) as Promise<DuePage>,
    retired: (filter) => ask({ type: 'retired', filter }) as Promise<DuePage>,
    liveItems: () => ask({ type: 'liveItems' }) as Promise<LiveText>,
    close: async () => {
      closing = true
      close()
      post({ type: 'close' })
      await exited
    },
  }
  return { link, settle, end, idle, isClosing: () => closing }
}

/** Everything stands still, whatever the projection. */
const allStopped = (position: Position, why: string): TablesStatus => ({ position, stopped: Object.fromEntries(allProjections.map(({ name }) => [name, why])) })

/** MiB for what is thrown away soon: Node gives more than five times as much, and never takes it back. */
const YOUNG = { maxYoungGenerationSizeMb: 24 }

/** Opens the tables in a thread of their own. Rejects when the log cannot be read or the file cannot be used. */
export const openTables = ({ file, world = realWorld, onProgress, onLog, ...log }: ThreadOptions): Promise<Tables> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(THREAD, { workerData: { file, log } satisfies ThreadData, name: 'stint-tables', resourceLimits: YOUNG })
    const exited = new Promise<void>((ended) => worker.once('exit', () => ended()))
    const { link, settle, end, idle, isClosing } = linkTo(world, worker, exited)
    let face: Face | undefined
    let why = 'The thread of the tables has ended'

    const hear = (message: FromThread): void => {
      switch (message.type) {
        case 'opened':
          face = tablesFace(link, world, message.status)
          return resolve(face.tables)
        case 'refused':
          why = message.message
          return
        case 'moved':
          face?.moved(message.status)
          return onProgress?.({ position: message.status.position, events: message.events })
        case 'idle':
          return idle(face?.isWaitedFor() ?? false)
        case 'log':
          return onLog?.(message.text)
        case 'answer':
        case 'failed':
          return settle(message)
      }
    }
    worker.on('message', hear)
    worker.on('error', (cause) => {
      why = `The thread of the tables failed: ${cause instanceof Error ? cause.message : String(cause)}`
    })
    worker.once('exit', () => {
      end(new StoreFault('unavailable', why))
      if (face === undefined) return reject(new Error(why))
      if (isClosing()) return
      onLog?.(why)
      face.moved(allStopped(face.tables.status().position, why))
    })
  })

export interface InProcessOptions extends TablesOptions {
  /** Path, or `:memory:`. */
  readonly file: string
  readonly reader: TablesReader
  readonly projections?: readonly Projection[]
}

/** Opens the tables in this thread; following is done in slices between which others have their turn. Rejects as `openTables` does. */
export const tablesInProcess = async ({ file, reader, projections = allProjections, world = realWorld, onProgress, onLog }: InProcessOptions): Promise<Tables> => {
  const core = await openCore({
    file,
    reader,
    projections,
    world,
    ...(onLog === undefined ? {} : { onLog }),
    onMoved: (status, events) => {
      face.moved(status)
      onProgress?.({ position: status.position, events })
    },
  })
  const link: Link = {
    follow: core.follow,
    hurry: () => undefined,
    liveItems: async () => core.liveItems(),
    list: core.list,
    statistics: async (filter) => core.statistics(filter),
    requests: core.requests,
    usage: async (filter) => core.usage(filter),
    expiring: async (filter) => core.expiring(filter),
    retired: async (filter) => core.retired(filter),
    close: core.close,
  }
  const face = tablesFace(link, world, core.status())
  return face.tables
}

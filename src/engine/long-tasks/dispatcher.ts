// Sends each long task to its node until that has taken it, refused it for good, or the task has settled. What a node is sent twice it takes once, so nothing rests on an answer.
//
//   waiting ─▶ its node's line ─▶ a slot ─▶ attempt ─▶ taken · taken and settled · refused
//                  ▲                           │
//                  └─── backoff, node is up ───┘ anything else
import type { WorkItemId } from '../../domain/ids.ts'
import type { Existing, Waiting } from '../../domain/work-item/state.ts'
import type { Cancel, World } from '../../world.ts'
import { createSlots } from '../delivery/slots.ts'
import type { Live } from '../live.ts'
import type { Attempt, AttemptAt } from './attempt.ts'
import { createLine, type Line } from './line.ts'
import type { Messenger } from './messenger.ts'
import { registeredIn, type NodeBook } from './node-book.ts'
import { isGivenOut, type GivenOut, type NodeIndex } from './node-index.ts'

/** How far sending has got. */
export interface Sending {
  readonly attempts: number
  /** Milliseconds since 1970 UTC. */
  readonly lastFailedAt?: number | undefined
  /** A sentence. */
  readonly lastFailure?: string | undefined
  /** When it is sent again at the latest; undefined: now, or when its node is there. */
  readonly nextAt?: number | undefined
}

export interface Dispatcher {
  readonly changed: (workItem: WorkItemId, after: GivenOut) => void
  /** Sends from now on. */
  readonly begin: () => void
  /** The node is there, or is there anew: what was put off is sent at once. */
  readonly refresh: (node: string) => void
  readonly sendingOf: (workItem: WorkItemId, item: GivenOut) => Sending
  /** An attempt is being made now. */
  readonly isUnderWay: (workItem: WorkItemId, item: GivenOut) => boolean
  /** Attempts that did not get an operation to its node. */
  readonly failedAttempts: () => number
  readonly stop: () => void
  /** Resolves when nothing is under way. */
  readonly close: () => Promise<void>
}

/** Operations that are being sent at once, to one node and to all together. */
export const SENT_PER_NODE = 8
export const SENT_AT_ONCE = 64

interface Desk {
  readonly line: Line
  readonly underWay: Set<WorkItemId>
  /** Each has an operation under way, or waits for its turn to take one from the line. */
  workers: number
  timer?: { readonly at: number; readonly cancel: Cancel } | undefined
}

export interface DispatcherOptions {
  readonly world: World
  readonly live: Live
  readonly book: NodeBook
  readonly index: Pick<NodeIndex, 'waitingFor'>
  readonly attempt: AttemptAt
  readonly messenger: Pick<Messenger, 'tell'>
  readonly isDown: (node: string) => boolean
  /** Whether this server is the one that deals with it. */
  readonly isMine: (node: string) => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}

const isSendable = (item: Existing | undefined): item is GivenOut & Waiting => isGivenOut(item) && item.status === 'waiting' && item.will === 'normal'

export const createDispatcher = (options: DispatcherOptions): Dispatcher => {
  const { world, live, book, messenger, onTrouble } = options
  const desks = new Map<string, Desk>()
  const slots = createSlots({ perKey: SENT_PER_NODE, total: SENT_AT_ONCE })
  const stopped = new AbortController()
  const running = new Set<Promise<void>>()
  let hasBegun = false
  let failedAttempts = 0

  const deskOf = (name: string): Desk => {
    const desk = desks.get(name) ?? { line: createLine(world, (workItem) => isSendable(live.get(workItem)?.item)), underWay: new Set(), workers: 0 }
    desks.set(name, desk)
    return desk
  }

  const isOpen = (name: string): boolean => hasBegun && !stopped.signal.aborted && registeredIn(book, name) !== undefined && options.isMine(name) && !options.isDown(name)

  const workersMax = ({ line }: Desk): number => (line.isSlow() ? 1 : SENT_PER_NODE)

  /** What became of it meanwhile decides what is left to do: what is over here must not run there. */
  const conclude = (workItem: WorkItemId, { line }: Desk, tried: Attempt): void => {
    if (tried.type !== 'failed') line.succeeded()
    else if (stopped.signal.aborted) return
    else {
      failedAttempts += 1
      line.failed(workItem, tried)
    }
    const now = live.get(workItem)?.item
    if (now?.status === 'waiting') return
    const mayRun = tried.type === 'taken' || (tried.type === 'failed' && line.triedOf(workItem)?.mayBeTaken === true)
    if (isGivenOut(now) && now.status === 'settled' && mayRun) messenger.tell(workItem, now)
    line.forget(workItem)
  }

  /** False: nothing may be sent now. */
  const sendNext = async (name: string, desk: Desk): Promise<boolean> => {
    const node = registeredIn(book, name)
    const workItem = isOpen(name) && desk.workers <= workersMax(desk) ? desk.line.next() : undefined
    if (workItem === undefined || node === undefined) return false
    const item = live.get(workItem)?.item
    if (!isSendable(item)) return true
    desk.underWay.add(workItem)
    desk.line.begin(workItem)
    const tried = await options.attempt(workItem, item, name, node).finally(() => desk.underWay.delete(workItem))
    conclude(workItem, desk, tried)
    return true
  }

  const work = async (name: string, desk: Desk): Promise<void> => {
    for (let hasMore = true; hasMore;) {
      const release = await slots.take(name, stopped.signal)
      if (release === undefined) return
      hasMore = await sendNext(name, desk).finally(release)
    }
  }

  const startWorker = (name: string, desk: Desk): void => {
    desk.workers += 1
    const run: Promise<void> = work(name, desk)
      .catch((cause) => onTrouble(`Operations of the node ${name} could not be sent`, cause))
      .finally(() => {
        running.delete(run)
        desk.workers -= 1
        pump(name, desk)
        tidy(name, desk)
      })
    running.add(run)
  }

  const setTimer = (name: string, desk: Desk): void => {
    const ms = isOpen(name) ? desk.line.waitMs() : undefined
    const at = ms === undefined ? undefined : world.monotonic() + ms
    if (at === desk.timer?.at) return
    desk.timer?.cancel()
    desk.timer = undefined
    if (at === undefined || ms === undefined) return
    const wake = (): void => {
      desk.timer = undefined
      pump(name, desk)
    }
    desk.timer = { at, cancel: world.timer(ms, wake) }
  }

  const pump = (name: string, desk: Desk): void => {
    if (isOpen(name)) while (desk.workers < Math.min(workersMax(desk), desk.underWay.size + desk.line.ready())) startWorker(name, desk)
    setTimer(name, desk)
  }

  /** Names of nodes that nobody ever registers must not pile up. */
  const tidy = (name: string, desk: Desk): void => {
    if (desk.workers > 0 || options.index.waitingFor(name).size > 0) return
    desk.timer?.cancel()
    desks.delete(name)
  }

  return {
    changed: (workItem, after) => {
      const { node } = after.operation
      const desk = deskOf(node)
      if (after.status === 'waiting') {
        if (!isSendable(after)) desk.line.drop(workItem)
        else if (!desk.underWay.has(workItem)) desk.line.add(workItem)
        pump(node, desk)
        return
      }
      desk.line.drop(workItem)
      if (!desk.underWay.has(workItem)) {
        if (after.status === 'settled' && desk.line.triedOf(workItem)?.mayBeTaken === true) messenger.tell(workItem, after)
        desk.line.forget(workItem)
      }
      tidy(node, desk)
    },
    begin: () => {
      hasBegun = true
      for (const [name, desk] of desks) pump(name, desk)
    },
    refresh: (name) => {
      const desk = desks.get(name)
      if (desk === undefined) return
      desk.line.refresh()
      pump(name, desk)
    },
    sendingOf: (workItem, item) => {
      const line = desks.get(item.operation.node)?.line
      const { attempts = 0, lastFailedAt, lastFailure } = line?.triedOf(workItem) ?? {}
      const wait = line?.putOffMs(workItem)
      return { attempts, lastFailedAt, lastFailure, nextAt: wait === undefined ? undefined : world.now() + Math.ceil(wait) }
    },
    isUnderWay: (workItem, item) => desks.get(item.operation.node)?.underWay.has(workItem) === true,
    failedAttempts: () => failedAttempts,
    stop: () => {
      stopped.abort()
      for (const { timer } of desks.values()) timer?.cancel()
    },
    close: async () => {
      await Promise.allSettled(running)
    },
  }
}

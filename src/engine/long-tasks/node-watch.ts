// Looks at each registered node every few seconds by asking for its list, which tells both whether it answers and what it knows of. All of it is volatile.
//
//   registered, a start, a call without an answer ─▶ look ─▶ its list: up, synchronised ─▶ 5 s ──┐
//                                                     ▲ └─▶ anything else: down ─▶ 0.5 … 30 s ──┤
//                                                     └─────────────────────────────────────────┘
import { pauseMs } from '../../domain/policy/retry.ts'
import type { Backoff } from '../../domain/queue/config.ts'
import type { Cancel, World } from '../../world.ts'
import { createSlots } from '../delivery/slots.ts'
import { answeredText, listOf, type NodeList } from './node-answers.ts'
import { registeredIn, type NodeBook, type RegisteredNode } from './node-book.ts'
import type { NodeAnswer, NodeCalls } from './node-calls.ts'

/** What this server found when it last called the node. */
export interface NodeHealth {
  readonly state: 'unknown' | 'up' | 'down'
  /** When it became so, milliseconds since 1970 UTC. */
  readonly since?: number | undefined
  readonly lastAnsweredAt?: number | undefined
  /** A sentence; while it is down. */
  readonly lastFailure?: string | undefined
}

export interface NodeWatch {
  readonly healthOf: (node: string) => NodeHealth
  /** Looks at once: something about it may have changed. */
  readonly look: (node: string) => void
  /** It says of itself that it is there, so it is not taken for down any more, and looked at. */
  readonly registered: (node: string) => void
  /** It is looked at no more. */
  readonly forget: (node: string) => void
  readonly stop: () => void
  /** Resolves when no look is under way. */
  readonly close: () => Promise<void>
}

/** Between two looks at a node that answers. */
export const LOOK_EVERY_MS = 5_000
/** Nodes that are looked at at once: a start has all of them before it. */
const LOOKS_AT_ONCE = 64
/** A list that took long to go through is asked for less often, so that this costs a hundredth of the time at most. */
const TIMES_ITS_COST = 100
/** While it is down. */
const LOOK_AGAIN: Backoff = { minMs: 500, maxMs: 30_000, doublings: 6, jitter: 0.2 }

const UNKNOWN: NodeHealth = { state: 'unknown' }

interface Watched {
  health: NodeHealth
  failures: number
  cancel?: Cancel | undefined
  isLooking: boolean
  /** Something has changed while it was looked at. */
  isWanted: boolean
}

/** The list, or a sentence on why there is none. */
const listIn = (name: string, answer: NodeAnswer): NodeList | string => {
  if (answer.type !== 'answered') return answer.detail
  if (answer.status !== 200) return answeredText(answer.status, answer.json)
  const list = listOf(answer.json)
  if (list === undefined) return 'What it answered is no list of operations.'
  return list.node === name ? list : `The node ${list.node.slice(0, 200)} answers there.`
}

export const createNodeWatch = (options: {
  readonly world: World
  readonly book: NodeBook
  readonly calls: Pick<NodeCalls, 'list'>
  /** Asked before the list is: what is settled by it, when it has come. */
  readonly synchroniser: (name: string, node: RegisteredNode) => (list: NodeList) => Promise<void>
  /** It answers, and did not before. */
  readonly onUp: (name: string) => void
  /** Whether this server is the one that deals with it. */
  readonly isMine: (name: string) => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}): NodeWatch => {
  const { world, book, calls, onTrouble } = options
  const all = new Map<string, Watched>()
  const running = new Set<Promise<void>>()
  const slots = createSlots({ perKey: 1, total: LOOKS_AT_ONCE })
  const stopped = new AbortController()

  const watchedOf = (name: string): Watched => {
    const watched = all.get(name) ?? { health: UNKNOWN, failures: 0, isLooking: false, isWanted: false }
    all.set(name, watched)
    return watched
  }

  const isDown = (watched: Watched, lastFailure: string): void => {
    const { state, since, lastAnsweredAt } = watched.health
    watched.failures += 1
    watched.health = { state: 'down', since: state === 'down' ? since : world.now(), lastAnsweredAt, lastFailure }
  }

  /** Answers whether it came up. */
  const isUp = (watched: Watched): boolean => {
    const { state, since } = watched.health
    watched.failures = 0
    watched.health = { state: 'up', since: state === 'up' ? since : world.now(), lastAnsweredAt: world.now() }
    return state !== 'up'
  }

  /** Answers how long to wait until the next look. */
  const lookOnce = async (name: string, node: RegisteredNode, watched: Watched): Promise<number> => {
    const release = await slots.take(name, stopped.signal)
    if (release === undefined) return 0
    const synchronise = options.synchroniser(name, node)
    const list = listIn(name, await calls.list(node.facts, name).finally(release))
    // It has registered anew meanwhile: this was the answer of another.
    if (stopped.signal.aborted || registeredIn(book, name)?.revision !== node.revision) return 0
    if (typeof list === 'string') {
      isDown(watched, list)
      return pauseMs(LOOK_AGAIN, watched.failures, world.random())
    }
    const cameUp = isUp(watched)
    const began = world.monotonic()
    await synchronise(list).catch((cause) => onTrouble(`The list of the node ${name} could not be gone through`, cause))
    if (cameUp) options.onUp(name)
    return Math.max(LOOK_EVERY_MS, TIMES_ITS_COST * (world.monotonic() - began))
  }

  const look: NodeWatch['look'] = (name) => {
    const node = registeredIn(book, name)
    if (stopped.signal.aborted || node === undefined || !options.isMine(name)) return
    const watched = watchedOf(name)
    watched.cancel?.()
    watched.cancel = undefined
    if (watched.isLooking) {
      watched.isWanted = true
      return
    }
    watched.isLooking = true
    const run: Promise<void> = lookOnce(name, node, watched).then(
      (ms) => ended(name, watched, ms),
      (cause) => {
        onTrouble(`The node ${name} could not be looked at`, cause)
        ended(name, watched, LOOK_AGAIN.maxMs)
      },
    )
    running.add(run)
    void run.finally(() => running.delete(run))
  }

  const ended = (name: string, watched: Watched, ms: number): void => {
    watched.isLooking = false
    const isWanted = watched.isWanted || ms === 0
    watched.isWanted = false
    if (stopped.signal.aborted || all.get(name) !== watched) return
    if (isWanted) look(name)
    else watched.cancel = world.timer(ms, () => look(name))
  }

  return {
    healthOf: (name) => all.get(name)?.health ?? UNKNOWN,
    look,
    registered: (name) => {
      const watched = watchedOf(name)
      watched.failures = 0
      if (watched.health.state === 'down') watched.health = { ...UNKNOWN, since: world.now(), lastAnsweredAt: watched.health.lastAnsweredAt }
      look(name)
    },
    forget: (name) => {
      all.get(name)?.cancel?.()
      all.delete(name)
    },
    stop: () => {
      stopped.abort()
      for (const { cancel } of all.values()) cancel?.()
    },
    close: async () => {
      await Promise.all(running)
    },
  }
}

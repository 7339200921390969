// Long tasks (D) as the management side has them: operations that are given to implementation nodes, which are registered here, looked at, and told what is wanted. That an
// operation is taken once and has one end is the decider's doing; here is what brings the two sides together, and everything here can begin anew from the log.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../../domain/ids.ts'
import type { NodeFacts, NodeRejection } from '../../domain/node.ts'
import { timesOutAt } from '../../domain/policy/deadline.ts'
import { surfaceState, type Existing, type Settled, type WorkItem } from '../../domain/work-item/state.ts'
import type { AppendTooLarge, EventStore, StoreFault } from '../../store/port.ts'
import type { World } from '../../world.ts'
import type { createBook } from '../book.ts'
import type { Addressees } from '../delivery/addressee.ts'
import type { Lookup } from '../delivery/addresses.ts'
import type { Duties } from '../cluster/membership.ts'
import { contentDigest } from '../digest.ts'
import type { Context } from '../command.ts'
import type { NodeGate } from '../findings.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { createAttempts } from './attempt.ts'
import { createDispatcher, type Sending } from './dispatcher.ts'
import { createMessenger } from './messenger.ts'
import { createNodeBook, isRegistered, registeredIn, type NodeBook, type RegisteredNode } from './node-book.ts'
import { createNodeCalls, refusedAddress } from './node-calls.ts'
import { createNodeIndex, isGivenOut, nodeDuty, type GivenOut } from './node-index.ts'
import { createNodeWatch, type NodeHealth } from './node-watch.ts'
import { createSynchroniser } from './synchroniser.ts'

export type { Sending }

export interface NodeView {
  readonly name: string
  readonly facts: NodeFacts
  /** Whoever reports for it. */
  readonly subject: string
  readonly createdAt: number
  readonly updatedAt: number
  /** Volatile. */
  readonly health: NodeHealth
  /** Long tasks that it holds. */
  readonly running: number
  /** Long tasks that it has not taken yet. */
  readonly waiting: number
}

/** This server may not call there, or cannot sign what it would send. */
export interface AddressRefusal {
  readonly type: 'not-callable'
  readonly fact: 'url' | 'secretEnv'
  readonly detail: string
}

export type NodeRefusal = NodeRejection | AddressRefusal | StoreFault | AppendTooLarge

type LiveState = 'waiting' | 'running' | 'paused' | 'aborting' | 'lost'

export interface LongTaskFigures {
  /** Those that are not settled. */
  readonly states: Readonly<Record<LiveState, number>>
  /** Since this server started. */
  readonly settled: Readonly<Record<Settled['end'], number>>
  readonly nodes: Readonly<Record<NodeHealth['state'], number>>
  /** Attempts that did not get an operation to its node. */
  readonly failedAttempts: number
}

export interface LongTasks {
  /** A node that is registered now. */
  readonly node: (name: string) => NodeView | undefined
  /** By name. */
  readonly nodes: () => readonly NodeView[]
  /** What is in force already changes nothing, and still has the node looked at, and be sent what waits for it. */
  readonly register: (name: string, facts: NodeFacts, context: Context) => Promise<E.Either<NodeRefusal, { readonly view: NodeView; readonly isNew: boolean }>>
  /** Its long tasks stay as they are. */
  readonly remove: (name: string, context: Context) => Promise<E.Either<NodeRefusal, NodeView>>
  /** How far sending has got, of what its node has not taken. */
  readonly sendingOf: (workItem: WorkItemId, item: Existing) => Sending | undefined
  readonly figures: () => LongTaskFigures
}

export interface RunningLongTasks extends LongTasks {
  /** What a long task waits for beside its own state. */
  readonly gateOf: (item: Existing, workItem: WorkItemId) => NodeGate | undefined
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  readonly loadAll: (nodes: Iterable<string>) => Promise<E.Either<StoreFault, void>>
  readonly follow: NodeBook['follow']
  /** Which nodes are this server's to deal with may have changed. */
  readonly shifted: () => void
  /** Nodes are called from now on. */
  readonly begin: () => void
  readonly stop: () => void
  readonly close: () => Promise<void>
}

export interface LongTasksOptions extends Addressees {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  readonly world: World
  readonly duties: Duties
  readonly bookOptions: Omit<Parameters<typeof createBook>[1], 'onChange'>
  readonly userAgent: string
  readonly lookup: Lookup | undefined
  readonly onTrouble: (what: string, cause: unknown) => void
}

const sentence = (text: string): string => text.replace(/\.?$/, '.')

const gateAt = (node: RegisteredNode | undefined, name: string, health: NodeHealth, { attempts, lastFailure }: Sending): Pick<NodeGate, 'gate' | 'detail'> => {
  if (node === undefined) return { gate: 'node-unknown', detail: `No node ${name} is registered; it is sent as soon as one is.` }
  if (health.state === 'down')
    return { gate: 'node-down', detail: `Its node ${name} is down; it is sent as soon as that is over. ${sentence(health.lastFailure ?? 'It did not answer')}` }
  if (lastFailure === undefined) return { gate: 'sending', detail: `It is being sent to its node ${name}.` }
  return { gate: 'sending', detail: `Its node ${name} has not taken it in ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}. ${sentence(lastFailure)}` }
}

/** Live ones by state, and those that settled while this server ran. */
const createCounts = () => {
  const states: Record<LiveState, number> = { waiting: 0, running: 0, paused: 0, aborting: 0, lost: 0 }
  const settled: Record<Settled['end'], number> = { completed: 0, failed: 0, aborted: 0, cancelled: 0, timedOut: 0 }
  const add = (item: WorkItem, one: 1 | -1): void => {
    if (item.status === 'absent' || item.status === 'settled') return
    const state = surfaceState(item)
    if (state in states) states[state as LiveState] += one
  }
  return {
    states,
    settled,
    changed: (before: WorkItem, after: GivenOut): void => {
      add(before, -1)
      add(after, 1)
      if (after.status === 'settled' && before.status !== 'settled' && before.status !== 'absent') settled[after.end] += 1
    },
  }
}

export const createLongTasks = (options: LongTasksOptions): RunningLongTasks => {
  const { store, handler, live, world, duties, patterns, secretOf, onTrouble } = options
  const isMine = (node: string): boolean => duties.isMine(nodeDuty(node))
  let hasBegun = false
  const addressees = { patterns, secretOf }
  const index = createNodeIndex()
  const counts = createCounts()
  const book: NodeBook = createNodeBook({ ...options.bookOptions, onChange: () => undefined })
  const calls = createNodeCalls({ ...addressees, world, userAgent: options.userAgent, lookup: options.lookup })
  const onDoubt = (name: string): void => watch.look(name)
  const messenger = createMessenger({ live, book, calls, onDoubt })
  const watch = createNodeWatch({
    ...{ world, book, calls, isMine, onTrouble },
    synchroniser: createSynchroniser({ world, live, handler, index, messenger, onTrouble, isUnderWay: (workItem, item) => dispatcher.isUnderWay(workItem, item) }),
    onUp: (name) => dispatcher.refresh(name),
  })
  const attempt = createAttempts({ reader: store, world, handler, calls, onDoubt, onTrouble })
  const dispatcher = createDispatcher({ world, live, book, index, attempt, messenger, isMine, onTrouble, isDown: (name) => watch.healthOf(name).state === 'down' })

  const viewOf = (name: string, { facts, subject, createdAt, updatedAt }: Pick<RegisteredNode, 'facts' | 'subject' | 'createdAt' | 'updatedAt'>): NodeView => ({
    ...{ name, facts, subject, createdAt, updatedAt },
    health: watch.healthOf(name),
    running: index.heldBy(name).size,
    waiting: index.waitingFor(name).size,
  })

  const registered = (): readonly (readonly [string, RegisteredNode])[] => [...book.entries()].flatMap(([name, node]) => (isRegistered(node) ? [[name, node] as const] : []))

  const isThere = (name: string): void => {
    if (!hasBegun) return
    watch.registered(name)
    dispatcher.refresh(name)
  }

  return {
    node: (name) => {
      const node = registeredIn(book, name)
      return node && viewOf(name, node)
    },
    nodes: () =>
      registered()
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, node]) => viewOf(name, node)),
    register: async (name, facts, context) => {
      const refused = refusedAddress(facts, addressees)
      if (refused !== undefined) return E.left({ type: 'not-callable', ...refused })
      const isNew = registeredIn(book, name) === undefined
      const done = await book.execute(name, { type: 'RegisterNode', by: context.actor, subject: context.subject, facts, digest: contentDigest(facts) }, context)
      if (E.isLeft(done)) return done
      const { state } = done.right
      if (!isRegistered(state)) return E.left({ type: 'not-found' })
      isThere(name)
      return E.right({ view: viewOf(name, state), isNew })
    },
    remove: async (name, context) => {
      const done = await book.execute(name, { type: 'RemoveNode', by: context.actor }, context)
      if (E.isLeft(done)) return done
      const { state } = done.right
      if (state.status === 'absent') return E.left({ type: 'not-found' })
      watch.forget(name)
      return E.right(viewOf(name, state))
    },
    sendingOf: (workItem, item) => (isGivenOut(item) && item.status === 'waiting' ? dispatcher.sendingOf(workItem, item) : undefined),
    figures: () => {
      const nodes = { unknown: 0, up: 0, down: 0 }
      for (const [name] of registered()) nodes[watch.healthOf(name).state] += 1
      return { states: { ...counts.states }, settled: { ...counts.settled }, nodes, failedAttempts: dispatcher.failedAttempts() }
    },
    gateOf: (item, workItem) => {
      if (!isGivenOut(item) || item.status !== 'waiting' || item.will !== 'normal') return undefined
      const { node: name } = item.operation
      const { gate, detail } = gateAt(registeredIn(book, name), name, watch.healthOf(name), dispatcher.sendingOf(workItem, item))
      const until = timesOutAt(item)
      return { gate, until, detail: until === undefined ? detail : `${detail} It times out in ${Math.ceil(Math.max(0, until - world.now()) / 1_000)} s.` }
    },
    changed: (workItem, before, after) => {
      if (!isGivenOut(after)) return
      counts.changed(before, after)
      index.changed(workItem, after)
      dispatcher.changed(workItem, after)
      if (hasBegun && isMine(after.operation.node)) messenger.changed(workItem, before, after)
    },
    loadAll: book.loadAll,
    follow: async (name, events) => {
      const before = book.get(name).revision
      const followed = await book.follow(name, events)
      if (E.isLeft(followed) || book.get(name).revision === before) return followed
      if (isRegistered(book.get(name))) isThere(name)
      else watch.forget(name)
      return followed
    },
    shifted: () => {
      if (!hasBegun) return
      for (const [name] of registered()) {
        if (isMine(name)) watch.look(name)
        else watch.forget(name)
      }
      dispatcher.begin()
    },
    begin: () => {
      hasBegun = true
      for (const [name] of registered()) watch.look(name)
      dispatcher.begin()
    },
    stop: () => {
      dispatcher.stop()
      messenger.stop()
      watch.stop()
      calls.stop()
    },
    close: async () => {
      await Promise.all([dispatcher.close(), messenger.close(), watch.close()])
    },
  }
}

// What stands over the work items for each door: queues with their notifications (B), contracts with their outboxes (C), nodes with what is given out to them (D). Made together,
// since they ask each other.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../domain/ids.ts'
import type { RetryPolicy } from '../domain/work-item/commands.ts'
import { isOwing, type Existing, type WorkItem } from '../domain/work-item/state.ts'
import type { UrlPattern } from '../domain/policy/url-pattern.ts'
import type { Tables } from '../projections/tables.ts'
import { contractLine, queueLine } from '../domain/leader.ts'
import { contractOfStream } from '../domain/contract.ts'
import { nodeOfStream } from '../domain/node.ts'
import { queueKey, queueOfStream } from '../domain/queue/config.ts'
import type { EventStore, Position, RecordedEvent, StoreFault } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Leadership } from './cluster/leadership.ts'
import type { Duties } from './cluster/membership.ts'
import { createContracts } from './contracts/contracts.ts'
import type { RequestUsage } from './contracts/usage.ts'
import { createOutboxes } from './contracts/outbox.ts'
import { createDeliveries } from './delivery/deliveries.ts'
import type { Lookup } from './delivery/addresses.ts'
import type { Engine } from './engine.ts'
import type { Handler } from './handle.ts'
import type { Live } from './live.ts'
import { createLongTasks } from './long-tasks/long-tasks.ts'
import { createBulks } from './queues/bulk.ts'
import { createNotifiedTasks } from './queues/notified-tasks.ts'
import { createQueueBook, type QueueName } from './queues/queue-book.ts'
import { createQueues } from './queues/queues.ts'
import type { Recovered } from './recover.ts'

export interface DoorsOptions {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  /** What callers have at contracts. */
  readonly requestUsage: RequestUsage
  readonly tables: Tables
  readonly world: World
  readonly server: string
  /** Every queue and contract exists, with the defaults. */
  readonly isOpen: { readonly queues: () => boolean; readonly contracts: () => boolean }
  readonly patterns: readonly UrlPattern[]
  readonly userAgent: string
  readonly lookup: Lookup | undefined
  readonly secretOf: (name: string) => string | undefined
  readonly position: () => Position
  readonly onAppended: (position: Position, events: number) => void
  readonly isStopping: () => boolean
  readonly duties: Duties
  /** Over a shared log: which server gives out what waits. Where this server is the only one nobody is asked. */
  readonly leadership: Leadership | undefined
  /** Over a shared log: resolves when all that was appended before is known here; false: that will not be. */
  readonly untilKnown: (() => Promise<boolean>) | undefined
  readonly onTrouble: (what: string, cause: unknown) => void
}

export interface Doors {
  /** What the engine shows of them. */
  readonly face: Pick<
    Engine,
    'insertTask' | 'leaseTasks' | 'takeBack' | 'gateOf' | 'admits' | 'retryFor' | 'queues' | 'contracts' | 'longTasks' | 'notifications' | 'deliveries' | 'openEntriesOf'
  >
  readonly retryFor: (item: Existing) => RetryPolicy
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  /** Reads what the log says of queues, contracts and nodes, and goes on with what a stop left undone. */
  readonly recovered: (found: Recovered) => Promise<E.Either<StoreFault, void>>
  /** Takes in what may be another server's events of a queue, a contract or a node; undefined: the stream is of none of these. */
  readonly follow: (stream: string, events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>> | undefined
  /** Effects are carried out, listeners told and nodes called from now on, beginning with what is there. */
  readonly begin: () => void
  /** What is this server's to do may be other than before. */
  readonly shifted: () => void
  readonly stop: () => void
  /** Resolves when nothing of them gives commands any more. */
  readonly close: () => Promise<void>
}

const QUEUE_LINE = 'queue '
const CONTRACT_LINE = 'contract '
const NO_LEADER = E.left({ type: 'no-leader' } as const)

export const createDoors = (options: DoorsOptions): Doors => {
  const { store, handler, live, tables, world, server, isOpen, patterns, secretOf, position, onAppended, isStopping, duties, leadership, untilKnown, onTrouble } = options
  const leads = leadership?.leads
  let hasBegun = false
  const books = { store, world, server, onAppended }
  const book = createQueueBook({ ...books, onChange: (key) => refresh(key) })
  const deliveries = createDeliveries({ world, patterns, userAgent: options.userAgent, lookup: options.lookup })
  const parts = { store, handler, live, book, world, tables, deliveries, patterns, secretOf, isOpen: isOpen.queues, isStopping, position, duties, leads, untilKnown, onTrouble }
  const { tasks, notifications, refresh } = createNotifiedTasks(parts)
  const bookOptions = { ...books, onChange: () => undefined }
  const contracts = createContracts({
    store,
    handler,
    live,
    world,
    bookOptions,
    usage: options.requestUsage,
    addressees: { patterns, secretOf },
    isOpen: isOpen.contracts,
    isStopping,
    leads,
    untilKnown,
  })
  const outboxes = createOutboxes({ ...parts, tasks, contracts })
  const longTasks = createLongTasks({
    ...{ store, handler, live, world, duties, patterns, secretOf, onTrouble },
    bookOptions: books,
    userAgent: options.userAgent,
    lookup: options.lookup,
  })
  const bulks = createBulks({ reader: store, book, live, tables, handler, world, duties, onTrouble })
  const queues = createQueues({ book, tasks, bulks, notifications, position, isOpen: isOpen.queues })
  const retryFor = (item: Existing): RetryPolicy => (item.request === undefined ? tasks.retryFor(item) : contracts.retryFor(item))

  leadership?.onChange((line) => {
    if (!hasBegun || isStopping()) return
    // Those who wait here find out that they have to ask elsewhere, or are served here now.
    if (line.startsWith(QUEUE_LINE)) tasks.refresh(line.slice(QUEUE_LINE.length))
    else if (line.startsWith(CONTRACT_LINE)) contracts.refresh(line.slice(CONTRACT_LINE.length))
  })

  const followQueue = async (name: QueueName, events: readonly RecordedEvent[]): Promise<E.Either<StoreFault, void>> => {
    const followed = await book.follow(queueKey(name), events)
    if (hasBegun) void bulks.carryOn(name)
    return followed
  }

  return {
    face: {
      insertTask: tasks.insert,
      leaseTasks:
        leadership === undefined ? tasks.lease : async (request, context) => ((await leadership.lead(queueLine(request))) === 'here' ? tasks.lease(request, context) : NO_LEADER),
      takeBack: tasks.takeBack,
      gateOf: (item, workItem) => tasks.gateOf(item) ?? longTasks.gateOf(item, workItem),
      admits: tasks.admits,
      retryFor,
      queues,
      contracts:
        leadership === undefined
          ? contracts
          : { ...contracts, lease: async (name, call, context) => ((await leadership.lead(contractLine(name))) === 'here' ? contracts.lease(name, call, context) : NO_LEADER) },
      longTasks,
      notifications,
      deliveries,
      openEntriesOf: outboxes.openOf,
    },
    retryFor,
    changed: (workItem, before, after) => {
      tasks.changed(workItem, before, after)
      contracts.changed(workItem, before, after)
      longTasks.changed(workItem, before, after)
      if (hasBegun && isOwing(after)) outboxes.changed(workItem)
    },
    recovered: async ({ queues: names, contracts: known, nodes }) => {
      const loaded = await book.loadAll(names)
      if (E.isLeft(loaded)) return loaded
      for (const name of names) void bulks.carryOn(name)
      const configured = await contracts.loadAll(known)
      return E.isLeft(configured) ? configured : longTasks.loadAll(nodes)
    },
    follow: (stream, events) => {
      const queue = queueOfStream(stream)
      if (queue !== undefined) return followQueue(queue, events)
      const contract = contractOfStream(stream)
      if (contract !== undefined) return contracts.follow(contract, events)
      const node = nodeOfStream(stream)
      return node === undefined ? undefined : longTasks.follow(node, events)
    },
    begin: () => {
      hasBegun = true
      for (const [workItem, { item }] of live.entries()) if (isOwing(item)) outboxes.changed(workItem)
      for (const [key] of book.entries()) refresh(key)
      longTasks.begin()
    },
    shifted: () => {
      if (!hasBegun || isStopping()) return
      for (const [workItem, { item }] of live.entries()) if (isOwing(item)) outboxes.changed(workItem)
      for (const [, queue] of book.entries()) if (queue.status !== 'absent') void bulks.carryOn(queue.config)
      longTasks.shifted()
    },
    stop: () => {
      tasks.stop()
      contracts.stop()
      outboxes.stop()
      longTasks.stop()
      notifications.stop()
      void deliveries.close()
    },
    close: async () => {
      await bulks.close()
      await outboxes.close()
      await longTasks.close()
      await deliveries.close()
    },
  }
}

// The queues as the api sees them: what they are, how full they are, and what administrators may do to them as a whole.
import * as E from 'fp-ts/lib/Either.js'
import { queueKey, type QueueConfig } from '../../domain/queue/config.ts'
import type { BulkFilter, BulkKind } from '../../domain/queue/events.ts'
import type { Bulk, Queue } from '../../domain/queue/state.ts'
import type { Position, StoreFault } from '../../store/port.ts'
import type { Context } from '../command.ts'
import { configurationSteps, queueDigest, type FileError } from '../queue-files.ts'
import { uuidV5 } from '../envelope.ts'
import type { Bulks } from './bulk.ts'
import type { NotificationCentre } from './notifications.ts'
import type { QueueBook, QueueName, QueueRefusal } from './queue-book.ts'
import { openConfig, type TaskFigures, type TaskQueues } from './task-queues.ts'
import type { WebhookView } from './webhook.ts'

export interface QueueView {
  readonly key: string
  readonly config: QueueConfig
  /** `open` with nobody's file behind it too, on a server without queue files. */
  readonly status: 'open' | 'removed'
  /** A file, or somebody's deed, has written its settings down. */
  readonly isConfigured: boolean
  readonly paused?: { readonly by: string; readonly reason?: string | undefined; readonly at: number } | undefined
  readonly figures: TaskFigures
  readonly bulks: readonly Bulk[]
  readonly webhook?: WebhookView | undefined
}

/** What was done with the files: which queues changed, and what was not applied. */
export interface Applied {
  readonly changed: readonly string[]
  readonly warnings: readonly string[]
}

/** What is wrong with the queue files now: what was last good stays in force. */
export interface FileReport {
  readonly errors: readonly FileError[]
  /** Sentences on what was not applied, and on each webhook that is off. */
  readonly warnings: readonly string[]
}

export interface Queues {
  /** The config in force, or the last one of a removed queue; undefined: there is no such queue. */
  readonly configOf: (name: QueueName) => QueueConfig | undefined
  readonly figuresOf: (name: QueueName) => TaskFigures
  /** Keeps what whoever reads the files has to say about them, for those who look after the server. */
  readonly report: (files: FileReport) => void
  readonly files: () => FileReport
  /** Undefined: there is no such queue. */
  readonly get: (name: QueueName) => QueueView | undefined
  readonly list: () => readonly QueueView[]
  /** Brings the log up to what the files say (rules 29). */
  readonly apply: (configs: readonly QueueConfig[], when: 'start' | 'change', context: Context) => Promise<E.Either<StoreFault, Applied>>
  readonly pause: (name: QueueName, reason: string | undefined, context: Context) => Promise<E.Either<QueueRefusal, QueueView>>
  readonly resume: (name: QueueName, context: Context) => Promise<E.Either<QueueRefusal, QueueView>>
  /** Begins a purge or redrive of all that is there now; the id is the command's. */
  readonly startBulk: (name: QueueName, what: BulkKind, filter: BulkFilter, context: Context) => Promise<E.Either<QueueRefusal, Bulk>>
}

export const createQueues = (options: {
  readonly book: QueueBook
  readonly tasks: TaskQueues
  readonly bulks: Bulks
  readonly notifications: Pick<NotificationCentre, 'webhookOf' | 'warnings'>
  readonly position: () => Position
  readonly isOpen: () => boolean
}): Queues => {
  const { book, tasks, bulks, notifications, isOpen } = options

  const view = (name: QueueName, queue: Queue): QueueView | undefined => {
    const key = queueKey(name)
    const figures = tasks.figures(key)
    if (queue.status === 'absent') return isOpen() ? { key, config: openConfig(key), status: 'open', isConfigured: false, figures, bulks: [] } : undefined
    const { config, status, paused } = queue
    return { key, config, status, isConfigured: true, paused, figures, bulks: [...queue.bulks.values()], webhook: notifications.webhookOf(key) }
  }

  const viewAfter = (name: QueueName, done: E.Either<QueueRefusal, { readonly queue: Queue }>): E.Either<QueueRefusal, QueueView> => {
    if (E.isLeft(done)) return done
    const after = view(name, done.right.queue)
    return after === undefined ? E.left({ type: 'not-found' }) : E.right(after)
  }

  const apply: Queues['apply'] = async (configs, when, context) => {
    const changed: string[] = []
    const warnings: string[] = []
    for (const name of configs) {
      if (book.get(queueKey(name)).status !== 'absent') continue
      const loaded = await book.load(name)
      if (E.isLeft(loaded)) return loaded
      void bulks.carryOn(name)
    }
    const inLog = [...book.entries()].flatMap(([, queue]) => (queue.status === 'open' ? [queue.config] : []))
    for (const { app, queue, command } of configurationSteps(configs, inLog, { by: context.actor, when })) {
      const name = { app, queue }
      const done = await book.execute(name, command, { ...context, commandId: uuidV5(context.commandId, queueKey(name)) })
      if (E.isRight(done)) {
        if (done.right.events.length > 0) changed.push(queueKey(name))
      } else if (done.left instanceof Error) return E.left(done.left)
      else if ('type' in done.left && done.left.type === 'outdated-configuration')
        warnings.push(`${queueKey(name)}: its file says what was in force once and is no longer; it is not applied. Change the file to make it newer.`)
      else warnings.push(`${queueKey(name)}: ${'type' in done.left ? done.left.type : done.left.kind}`)
    }
    return E.right({ changed, warnings })
  }

  /** On an open server a queue that nobody configured gets its defaults written down before anything is done to it as a whole. */
  const settle = async (name: QueueName, context: Context): Promise<E.Either<QueueRefusal, unknown>> => {
    const key = queueKey(name)
    if (!isOpen() || book.get(key).status !== 'absent') return E.right(undefined)
    const config = openConfig(key)
    const command = { type: 'ConfigureQueue', by: context.actor, config, digest: queueDigest(config), when: 'change' } as const
    return book.execute(name, command, { ...context, commandId: uuidV5(context.commandId, 'configure') })
  }

  const execute = async (name: QueueName, command: Parameters<QueueBook['execute']>[1], context: Context): ReturnType<QueueBook['execute']> => {
    const settled = await settle(name, context)
    return E.isLeft(settled) ? settled : book.execute(name, command, context)
  }

  const list: Queues['list'] = () => {
    const names = new Set([...[...book.entries()].flatMap(([key, queue]) => (queue.status === 'absent' ? [] : [key])), ...(isOpen() ? tasks.keys() : [])])
    return [...names].flatMap((key) => {
      const { app, queue } = openConfig(key)
      return view({ app, queue }, book.get(key)) ?? []
    })
  }

  let files: FileReport = { errors: [], warnings: [] }

  return {
    configOf: (name) => tasks.configOf(queueKey(name)),
    figuresOf: (name) => tasks.figures(queueKey(name)),
    report: (report) => {
      files = report
    },
    files: () => ({ ...files, warnings: [...files.warnings, ...notifications.warnings()] }),
    get: (name) => view(name, book.get(queueKey(name))),
    list,
    apply,
    pause: async (name, reason, context) => viewAfter(name, await execute(name, { type: 'PauseQueue', by: context.actor, ...(reason === undefined ? {} : { reason }) }, context)),
    resume: async (name, context) => viewAfter(name, await execute(name, { type: 'ResumeQueue', by: context.actor }, context)),
    startBulk: async (name, what, filter, context) => {
      const id = context.commandId
      const started = await execute(name, { type: 'StartBulk', id, what, filter, upTo: options.position(), by: context.actor }, context)
      if (E.isLeft(started)) return started
      const bulk = started.right.queue.status === 'absent' ? undefined : started.right.queue.bulks.get(id)
      if (bulk === undefined) return E.left({ type: 'not-found' })
      void bulks.carryOn(name)
      return E.right(bulk)
    },
  }
}

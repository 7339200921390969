// Tells those who listen to a queue that work has come for which no worker waits: its webhook by POST, others by a call. Never what the work is, and never once a task:
// the first news opens a window, and at its end one message tells how much waits by then, if any does. Nothing of it is in the log.
import { queueKey, DEFAULT_DEBOUNCE_MS, type QueueConfig, type Webhook } from '../../domain/queue/config.ts'
import type { Tables } from '../../projections/tables.ts'
import type { Duties } from '../cluster/membership.ts'
import type { Position } from '../../store/port.ts'
import type { Cancel } from '../../world.ts'
import type { QueueName } from './queue-book.ts'
import type { TaskQueues } from './task-queues.ts'
import { createWebhook, type WebhookEnd, type WebhookOptions, type WebhookView } from './webhook.ts'

/** There is work in a queue. A hint: by the time it is read others may have taken it. */
export interface Ready extends QueueName {
  readonly waiting: number
  /** Since when the task that has waited longest could have been leased, to the second; undefined when the tables could not tell in time. */
  readonly oldestDueAt?: number | undefined
  readonly at: number
}

/** As it is sent. */
export const readyMessage = ({ app, queue, waiting, oldestDueAt, at }: Ready): object => ({
  type: 'queue.ready',
  app,
  queue,
  waiting,
  ...(oldestDueAt === undefined ? {} : { oldestDueAt: new Date(oldestDueAt).toISOString() }),
  at: new Date(at).toISOString(),
})

export interface Notifications {
  /** Calls `listener` when work has come, and soon if there is some now, until the answer is called. */
  readonly subscribe: (name: QueueName, listener: (ready: Ready) => void) => () => void
}

export interface NotificationCentre extends Notifications {
  readonly isListenedTo: (key: string) => boolean
  readonly onReady: (key: string) => void
  /** The queue's config may be another. */
  readonly refresh: (key: string) => void
  readonly webhookOf: (key: string) => WebhookView | undefined
  /** One sentence for each webhook that is off. */
  readonly warnings: () => readonly string[]
  readonly stop: () => void
}

/** How long a message waits until the tables can tell since when the oldest task waits. */
const TABLES_WAIT_MS = 250

interface Bell {
  readonly listeners: Set<(ready: Ready) => void>
  webhook?: WebhookEnd | undefined
  /** Of the window that is open. */
  cancel?: Cancel | undefined
}

const isSame = (a: Webhook, b: Webhook): boolean => a.url === b.url && a.secretEnv === b.secretEnv && a.debounceMs === b.debounceMs

export interface NotificationOptions extends WebhookOptions {
  readonly tasks: Pick<TaskQueues, 'configOf' | 'figures' | 'hasReady' | 'listeningChanged'>
  /** The config in force; undefined for a queue that was removed, or that nobody configured. */
  readonly configInForce: (key: string) => QueueConfig | undefined
  readonly tables: Tables
  readonly position: () => Position
  readonly duties: Duties
  readonly onTrouble: (what: string, cause: unknown) => void
}

export const createNotifications = (options: NotificationOptions): NotificationCentre => {
  const { world, tasks, tables } = options
  const bells = new Map<string, Bell>()
  let stopped = false

  const nameOf = (key: string): QueueName => {
    const [app = '', queue = ''] = key.split('/')
    return { app, queue }
  }

  const bellOf = (key: string): Bell => {
    const bell = bells.get(key) ?? { listeners: new Set() }
    bells.set(key, bell)
    return bell
  }

  const oldestDueAt = async (key: string): Promise<number | undefined> => {
    try {
      await tables.reached(options.position(), TABLES_WAIT_MS)
      const { items } = await tables.statistics({ kind: 'task', scope: key, now: world.now() })
      return items[0]?.oldestDueAt
    } catch (cause) {
      if (!stopped) options.onTrouble(`Since when tasks of ${key} wait cannot be told`, cause)
      return undefined
    }
  }

  const look = async (key: string): Promise<Ready> => {
    const oldest = await oldestDueAt(key)
    return { ...nameOf(key), waiting: tasks.figures(key).waiting, oldestDueAt: oldest, at: world.now() }
  }

  const ring = async (key: string, bell: Bell): Promise<void> => {
    const ready = await look(key)
    // While the tables were asked somebody may have taken it all.
    if (stopped || ready.waiting === 0) return
    for (const listener of bell.listeners) listener(ready)
    if (options.duties.isMine(`webhook ${key}`)) bell.webhook?.send(`queue ${key}`, JSON.stringify(readyMessage(ready)))
  }

  const isListenedTo = (key: string): boolean => {
    const bell = bells.get(key)
    return bell !== undefined && (bell.listeners.size > 0 || bell.webhook?.isOn() === true)
  }

  const onReady = (key: string): void => {
    const bell = bells.get(key)
    if (bell === undefined || bell.cancel !== undefined || stopped) return
    const debounceMs = tasks.configOf(key)?.stint.webhook?.debounceMs ?? DEFAULT_DEBOUNCE_MS
    bell.cancel = world.timer(debounceMs, () => {
      bell.cancel = undefined
      if (tasks.hasReady(key)) void ring(key, bell)
    })
  }

  /** Forgets a bell that nobody hears any more. */
  const tidy = (key: string, bell: Bell): void => {
    if (bell.listeners.size > 0 || bell.webhook !== undefined) return
    bell.cancel?.()
    bells.delete(key)
  }

  const refresh = (key: string): void => {
    const wanted = options.configInForce(key)?.stint.webhook
    const before = bells.get(key)?.webhook
    if (stopped || (wanted === undefined && before === undefined)) return
    if (wanted !== undefined && before !== undefined && isSame(wanted, before.config)) return
    before?.close()
    const bell = bellOf(key)
    bell.webhook = wanted === undefined ? undefined : createWebhook(wanted, options, () => onReady(key))
    tidy(key, bell)
  }

  return {
    subscribe: (name, listener) => {
      const key = queueKey(name)
      const bell = bellOf(key)
      // The same function may listen twice.
      const own = (ready: Ready): void => listener(ready)
      bell.listeners.add(own)
      tasks.listeningChanged(key)
      if (tasks.hasReady(key)) void look(key).then((ready) => bell.listeners.has(own) && ready.waiting > 0 && own(ready))
      return () => {
        if (!bell.listeners.delete(own)) return
        tidy(key, bell)
        tasks.listeningChanged(key)
      }
    },
    isListenedTo,
    onReady,
    refresh,
    webhookOf: (key) => bells.get(key)?.webhook?.view(),
    warnings: () =>
      [...bells].flatMap(([key, { webhook }]) => {
        const off = webhook?.view().off
        return off === undefined ? [] : [`${key}: its webhook is off. ${off}`]
      }),
    stop: () => {
      stopped = true
      for (const { cancel } of bells.values()) cancel?.()
    },
  }
}

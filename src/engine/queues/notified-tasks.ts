// The tasks of all queues, and those who are told that there are some: made together, because each asks the other.
import type { QueueBook } from './queue-book.ts'
import { openConfigOf } from './queue-book.ts'
import { createNotifications, type NotificationCentre, type NotificationOptions } from './notifications.ts'
import { createTaskQueues, type TaskQueues, type TaskQueuesOptions } from './task-queues.ts'

export interface NotifiedTasks {
  readonly tasks: TaskQueues
  readonly notifications: NotificationCentre
  /** The queue's config or pause changed. */
  readonly refresh: (key: string) => void
}

export const createNotifiedTasks = (
  options: Omit<TaskQueuesOptions, 'isListenedTo' | 'onReady'> & Omit<NotificationOptions, 'tasks' | 'configInForce'> & { readonly book: QueueBook },
): NotifiedTasks => {
  const tasks = createTaskQueues({ ...options, isListenedTo: (key) => notifications.isListenedTo(key), onReady: (key) => notifications.onReady(key) })
  const notifications = createNotifications({ ...options, tasks, configInForce: (key) => openConfigOf(options.book.get(key)) })
  const refresh = (key: string): void => {
    notifications.refresh(key)
    tasks.refresh(key)
  }
  return { tasks, notifications, refresh }
}

// Queues in each of their states, and one sample of each event, for the tests of this folder.
import { DEFAULT_STINT_SETTINGS, type QueueConfig } from '../../../src/domain/queue/config.ts'
import type { QueueEvent, QueueEventOfType, QueueEventType } from '../../../src/domain/queue/events.ts'
import { absentQueue, evolveQueue, type Queue } from '../../../src/domain/queue/state.ts'

export const BORN_AT = 1_800_000_000_000

export const CONFIG: QueueConfig = {
  app: 'shop',
  queue: 'orders',
  mode: 'pull',
  retryLimit: 5,
  users: ['packer@shop.example'],
  writers: ['web@partner.example'],
  storageLimitBytes: 1_288_490_188,
  stint: {
    ...DEFAULT_STINT_SETTINGS,
    rate: { perSecond: 20, burst: 50 },
    webhook: { url: 'https://shop.example/work', debounceMs: 500 },
  },
}
export const OTHER_CONFIG: QueueConfig = { ...CONFIG, retryLimit: 9 }

export const sampleQueueEvents: { readonly [Type in QueueEventType]: QueueEventOfType<Type> } = {
  QueueConfigured: { type: 'QueueConfigured', config: CONFIG, digest: 'first', by: 'files' },
  QueueRemoved: { type: 'QueueRemoved', digest: 'without', by: 'files' },
  QueuePaused: { type: 'QueuePaused', by: 'admin@shop.example', reason: 'stock-taking' },
  QueueResumed: { type: 'QueueResumed', by: 'admin@shop.example' },
  BulkStarted: {
    type: 'BulkStarted',
    id: 'bulk-1',
    what: 'purge',
    filter: { tag: 'eu', key: 'customer-7', code: 'broken', insertedBefore: BORN_AT },
    upTo: 'log.0000000000000042',
    by: 'admin@shop.example',
  },
  BulkFinished: { type: 'BulkFinished', id: 'bulk-1', done: 40, skipped: 2 },
}
const { QueueConfigured, QueueRemoved, QueuePaused, QueueResumed, BulkStarted, BulkFinished } = sampleQueueEvents
export const reconfigured: QueueEvent = { type: 'QueueConfigured', config: OTHER_CONFIG, digest: 'second', by: 'files' }

/** The queue after these facts, a second between them, from BORN_AT on. */
export const queueAfter = (...events: readonly QueueEvent[]): Queue =>
  events.reduce<Queue>((queue, event, revision) => evolveQueue(queue, event, { time: BORN_AT + revision * 1_000, revision }), absentQueue)

/** What happened to a queue in each state. */
export const LIVES = {
  absent: [],
  open: [QueueConfigured],
  'open, changed once': [QueueConfigured, reconfigured],
  paused: [QueueConfigured, QueuePaused],
  resumed: [QueueConfigured, QueuePaused, QueueResumed],
  'open, with a bulk under way': [QueueConfigured, BulkStarted],
  'open, with a bulk that is over': [QueueConfigured, BulkStarted, BulkFinished],
  removed: [QueueConfigured, QueueRemoved],
  'removed while paused': [QueueConfigured, QueuePaused, QueueRemoved],
  'open again': [QueueConfigured, QueueRemoved, reconfigured],
} as const satisfies Readonly<Record<string, readonly QueueEvent[]>>
export type LifeName = keyof typeof LIVES

// Queues (B): what they are set up to be, how full they are, and what administrators may do to a queue as a whole. Their settings come from files, not from here.
import * as t from 'io-ts'
import { pageQuery, reason, route } from './items.ts'
import { fields, instant, number, oneOf, text } from './schema.ts'

/** The owner of queues, as its directory of queue files is named. */
export const appName = text({ min: 1, max: 100, pattern: /^[a-z0-9.:-]+$/, description: 'the application that owns the queue' })
export const queueName = text({ min: 1, max: 100, pattern: /^[A-Za-z0-9-]+$/, description: 'the queue, as its `queue.yaml` names it' })
export const tag = text({ min: 1, max: 500, description: 'what belongs together in one lease' })
export const key = text({ min: 1, max: 200, description: 'tasks of one key are not worked on at the same time, unless the queue says so' })

export const inQueue = fields({ app: appName, queue: queueName })

const count = number({ min: 0, integer: true })
const seconds = number({ min: 0 })
const email = text({ max: 320 })

/** What the files say; durations in seconds. */
export const queueSettings = fields(
  {
    mode: oneOf('pull', 'push'),
    users: t.array(email),
    writers: t.array(email),
    deadLetter: t.boolean,
    defaultLeaseSeconds: seconds,
    maxWaitSeconds: seconds,
    keyConcurrency: count,
    backoff: fields({ minSeconds: seconds, maxSeconds: seconds, doublings: count, jitter: number({ min: 0, max: 1 }) }),
  },
  {
    retryLimit: count,
    storageLimitBytes: count,
    rate: fields({ perSecond: number({ min: 0 }), burst: count }),
    webhook: fields({ url: text({ max: 2_000 }), debounceSeconds: seconds }, { secretEnv: text({ max: 200, description: 'the variable of the server that holds its secret' }) }),
  },
)
export type QueueSettings = t.TypeOf<typeof queueSettings>

export const quantiles = fields({ count, p50: seconds, p90: seconds, p99: seconds, max: seconds })

/** What has ever happened to the tasks of the queue; tasks that are erased stay counted. */
export const queueTotals = fields({
  inserted: count,
  leased: count,
  completed: count,
  failed: number({ min: 0, integer: true, description: 'settled as failed; one that is tried again counts as retried, one whose attempts are used up as dead-lettered' }),
  retried: count,
  released: number({ min: 0, integer: true, description: 'leases that were given back' }),
  expired: number({ min: 0, integer: true, description: 'leases that ended by time' }),
  deadLettered: count,
  redriven: count,
  cancelled: count,
  aborted: count,
})
export type QueueTotals = t.TypeOf<typeof queueTotals>

/** Counted from the log, as of the position of the answer. */
export const queueStatistics = fields(
  {
    /** By state; a dead letter counts as failed. */
    states: t.record(t.string, t.number),
    deadLetters: count,
    insertedLastMinute: count,
    insertedLastHour: count,
    leasedLastMinute: count,
    leasedLastHour: count,
    completedLastMinute: count,
    completedLastHour: count,
    totals: queueTotals,
  },
  {
    /** Since when the task that has waited longest could have been leased; there when one waits that is due. */
    oldestDueAt: instant,
    /** How long tasks waited from being due to being leased. */
    waitSeconds: quantiles,
    /** How long completed tasks ran from lease to end. */
    runSeconds: quantiles,
  },
)
export type QueueStatistics = t.TypeOf<typeof queueStatistics>

const filterFields = { tag, key, insertedBefore: instant }
/** Which tasks a bulk is about: all fields must fit, none means every task. */
export const bulkFilter = fields({}, { ...filterFields, code: text({ min: 1, max: 100, description: 'only dead letters that ended with this code' }) })
export type BulkFilterBody = t.TypeOf<typeof bulkFilter>

export const bulk = fields(
  { id: text({ max: 60 }), what: oneOf('purge', 'redrive'), state: oneOf('running', 'finished'), filter: bulkFilter, by: email, startedAt: instant },
  { finishedAt: instant, done: count, skipped: number({ min: 0, integer: true, description: 'tasks that were meant and had changed before it was their turn' }) },
)
export type Bulk = t.TypeOf<typeof bulk>

/** How the calls of a queue's webhook go, as this server knows since its start. */
export const webhook = fields(
  {
    url: text({ max: 2_000 }),
    state: oneOf('on', 'off'),
    failures: number({ min: 0, integer: true, description: 'attempts that failed since the last one that succeeded' }),
  },
  {
    off: text({ max: 1_000, description: 'why it is off' }),
    lastAttemptAt: instant,
    lastStatus: number({ min: 0, integer: true, description: 'of the answer to the last attempt, if there was one' }),
    lastError: text({ max: 1_000, description: 'why the last attempt failed' }),
    nextAttemptAt: instant,
  },
)
export type WebhookShown = t.TypeOf<typeof webhook>

/** A queue as those see it who may look at it. */
export const queue = fields(
  {
    app: appName,
    queue: queueName,
    /** `removed`: no file names it any more; it takes no inserts and gives no leases. */
    state: oneOf('open', 'paused', 'removed'),
    settings: queueSettings,
    /** As of now, in memory: waiting tasks that are due, those whose time has not come, those that somebody holds, and lease calls that wait for work. */
    waiting: count,
    delayed: count,
    leased: count,
    waitingWorkers: count,
    /** Bytes of payload that live tasks of all queues of the app take together. */
    storedBytes: count,
    statistics: queueStatistics,
  },
  { paused: fields({ by: email, at: instant }, { reason }), bulks: t.array(bulk), webhook },
)
export type Queue = t.TypeOf<typeof queue>

/** Why a queue file is not in force: the last good one is. */
export const fileError = fields({ file: text({ max: 4_000 }), line: count, column: count, path: text({ max: 1_000 }), code: text({ max: 60 }), detail: text({ max: 4_000 }) })

export const listQueues = route({
  name: 'listQueues',
  method: 'GET',
  path: '/v1/queues',
  tag: 'queues',
  summary: 'List the queues that the caller may look at, by name; administrators also see which queue files are not in force',
  roles: 'known',
  query: fields({}, { app: appName, ...pageQuery }),
  answers: { 200: fields({ items: t.array(queue) }, { next: text({ max: 200 }), fileErrors: t.array(fileError), warnings: t.array(text({ max: 1_000 })) }) },
})

export const showQueue = route({
  name: 'showQueue',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}',
  tag: 'queues',
  summary: 'Show a queue: its settings as applied, how full it is, and its statistics',
  roles: 'known',
  params: inQueue,
  answers: { 200: queue },
  problems: ['not-found'],
})

/** There is work: a hint, never the work itself. */
export const queueReady = fields({ type: oneOf('queue.ready'), app: appName, queue: queueName, waiting: count, at: instant }, { oldestDueAt: instant })
export type QueueReady = t.TypeOf<typeof queueReady>

export const listenToQueue = route({
  name: 'listenToQueue',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/notifications',
  tag: 'queues',
  summary: 'Server-sent events `ready`: work has come for which no worker waits; for those who may lease from the queue',
  roles: 'known',
  params: inQueue,
  answers: { 200: queueReady },
  mediaType: 'text/event-stream',
  problems: ['not-found', 'overloaded'],
})

export const pauseQueue = route({
  name: 'pauseQueue',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/pause',
  tag: 'queues',
  summary: 'Give no more leases; inserts are taken, and holders may finish',
  roles: [],
  params: inQueue,
  body: fields({}, { reason }),
  answers: { 200: queue },
  headers: ['Idempotency-Key'],
  problems: ['not-found'],
})

export const resumeQueue = route({
  name: 'resumeQueue',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/resume',
  tag: 'queues',
  summary: 'Give leases again',
  roles: [],
  params: inQueue,
  body: fields({}),
  answers: { 200: queue },
  headers: ['Idempotency-Key'],
  problems: ['not-found'],
})

export const purgeQueue = route({
  name: 'purgeQueue',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/purge',
  tag: 'queues',
  summary: 'Cancel the tasks that wait now, all or those that the filter names; Location tells where to ask how far it is',
  roles: [],
  params: inQueue,
  body: fields({}, filterFields),
  answers: { 202: bulk },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'exists-with-other-content'],
})

export const redriveQueue = route({
  name: 'redriveQueue',
  method: 'POST',
  path: '/v1/queues/{app}/{queue}/redrive',
  tag: 'queues',
  summary: 'Give the dead letters of now another life, all or those that the filter names; Location tells where to ask how far it is',
  roles: [],
  params: inQueue,
  body: bulkFilter,
  answers: { 202: bulk },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'exists-with-other-content'],
})

export const showBulk = route({
  name: 'showBulk',
  method: 'GET',
  path: '/v1/queues/{app}/{queue}/bulk/{id}',
  tag: 'queues',
  summary: 'How far a purge or redrive is',
  roles: 'known',
  params: fields({ app: appName, queue: queueName, id: text({ min: 1, max: 60 }) }),
  answers: { 200: bulk },
  problems: ['not-found'],
})

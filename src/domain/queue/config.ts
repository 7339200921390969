// What a queue is set up to be: the facts of its entry in `queue.yaml`, and Stint's own settings from the file beside it. They enter the log as one value (rules 29).
import * as t from 'io-ts'

export const QueueMode = t.keyof({ pull: null, push: null })
/** `push` queues are listed and not served: Stint calls nobody with their tasks. */
export type QueueMode = t.TypeOf<typeof QueueMode>

export const Backoff = t.type({
  /** Pause before the first retry, in milliseconds. */
  minMs: t.number,
  /** No pause is longer, in milliseconds. */
  maxMs: t.number,
  /** How often the pause doubles; after that it grows by the same step each time. */
  doublings: t.number,
  /** 0 to 1: how far a pause is drawn to either side of its length, as a share of it. */
  jitter: t.number,
})
/** How long a failed task waits before its next attempt. */
export type Backoff = t.TypeOf<typeof Backoff>

export const Rate = t.type({
  /** Leases a second in the long run, more than 0. */
  perSecond: t.number,
  /** Leases that may be given at once after a rest, from 1. */
  burst: t.number,
})
/** How fast a queue gives out its tasks. */
export type Rate = t.TypeOf<typeof Rate>

export const Webhook = t.intersection([
  t.type({
    /** Told by POST that work has come; http or https. */
    url: t.string,
    /** At most one call in so many milliseconds. */
    debounceMs: t.number,
  }),
  t.partial({
    /** The variable of the server's environment that holds the secret with which calls are signed; the secret itself never enters the log. */
    secretEnv: t.string,
  }),
])
export type Webhook = t.TypeOf<typeof Webhook>

export const StintSettings = t.intersection([
  t.type({
    /** Whether a task out of attempts becomes a dead letter, to be redriven; otherwise it fails for good. */
    deadLetter: t.boolean,
    /** Length of a lease whose taker names none, in milliseconds. */
    defaultLeaseMs: t.number,
    /** How long a lease call may wait for work, at most, in milliseconds. */
    maxWaitMs: t.number,
    backoff: Backoff,
    /** Tasks of one key that may be leased at the same time; tasks without a key are not counted. */
    keyConcurrency: t.number,
  }),
  t.partial({
    /** None: as fast as the workers lease. */
    rate: Rate,
    /** None: workers ask, or listen to events. */
    webhook: Webhook,
  }),
])
/** What is Stint's alone, from `stint-queue.yaml`. */
export type StintSettings = t.TypeOf<typeof StintSettings>

export const QueueConfig = t.intersection([
  t.type({
    app: t.string,
    queue: t.string,
    mode: QueueMode,
    /** E-mails that may get, list, lease, update and delete; sorted, each once. */
    users: t.array(t.string),
    /** E-mails that may insert; sorted, each once. */
    writers: t.array(t.string),
    stint: StintSettings,
  }),
  t.partial({
    /** Leases that a task may have before it is given up, without those given back; none: no limit. */
    retryLimit: t.number,
    /** Bytes that the waiting tasks of all queues of the app may take together; none: no limit. */
    storageLimitBytes: t.number,
  }),
])
export type QueueConfig = t.TypeOf<typeof QueueConfig>

/** App Engine's doublings and ceiling, but from 1 s on (App Engine: 0.1 s), so that an outage of seconds does not use up all attempts. */
export const DEFAULT_BACKOFF: Backoff = { minMs: 1_000, maxMs: 3_600_000, doublings: 16, jitter: 0.2 }

/** Between two calls of a webhook, in milliseconds, when its file says nothing. */
export const DEFAULT_DEBOUNCE_MS = 1_000

/** What holds for a queue of which `stint-queue.yaml` says nothing: no rate, no webhook, and tasks of one key one after another. */
export const DEFAULT_STINT_SETTINGS: StintSettings = {
  deadLetter: true,
  defaultLeaseMs: 60_000,
  maxWaitMs: 60_000,
  backoff: DEFAULT_BACKOFF,
  keyConcurrency: 1,
}

/** The burst of a rate that names none: what flows in a second, at least one. */
export const defaultBurst = (perSecond: number): number => Math.max(1, Math.ceil(perSecond))

/** The queue that was asked for last, whose key is asked for many times over: a text that was made before needs no copying and no hashing. */
let last = { app: '', queue: '', key: '/' }

/** The name of a queue in the installation, and the key by which everything finds it. */
export const queueKey = ({ app, queue }: { readonly app: string; readonly queue: string }): string => {
  if (app !== last.app || queue !== last.queue) last = { app, queue, key: `${app}/${queue}` }
  return last.key
}

const STREAM_PREFIX = 'queue-'

/** The stream of what happens to a queue itself; its tasks have streams of their own. */
export const queueStream = (app: string, queue: string): string => STREAM_PREFIX + queueKey({ app, queue })

/** The queue whose stream this is; undefined for every other stream. */
export const queueOfStream = (stream: string): { readonly app: string; readonly queue: string } | undefined => {
  const [, app, queue] = /^queue-([^/]+)\/([^/]+)$/.exec(stream) ?? []
  return app === undefined || queue === undefined ? undefined : { app, queue }
}

// Long tasks, looked at, waited for and directed: thin, typed calls, and two that go on by themselves until a long task has ended.
import type { HistoryEvent } from '../wire/items.ts'
import { directLongTask, listLongTasks, longTaskHistory, longTaskWhy, showLongTask, type LongTaskShown } from '../wire/long-tasks.ts'
import type { QueryOf } from '../wire/route.ts'
import { NotCompleted, StintError } from './errors.ts'
import type { Http } from './http.ts'
import type { Ended, Given, Page, Why } from './jobs.ts'
import { createNews, type Listener, type News } from './long-task-news.ts'
import { createReachability, mayPass, type Reachability } from './reachability.ts'

/** Milliseconds between two looks at what no event tells of, at most: the stream has no seats left, say. */
const LOOK_EVERY_MS = 20_000
/** Milliseconds between two looks at what moves, at least. */
const LOOK_LEAST_MS = 250

export type LongTaskFilter = QueryOf<typeof listLongTasks>

export interface LongTasks {
  /** One page of the long-task table, newest first: 100 unless `limit` (1–1,000) says otherwise. */
  readonly list: (filter?: LongTaskFilter, options?: Ended) => Promise<Page<LongTaskShown>>
  /** All long tasks that fit, page after page. */
  readonly each: (filter?: LongTaskFilter, options?: Ended) => AsyncIterable<LongTaskShown>
  /** With the progress of now. */
  readonly show: (id: string, options?: Ended) => Promise<LongTaskShown>
  /** Every change of a long task, oldest first, a page at a time. */
  readonly history: (id: string, page?: QueryOf<typeof longTaskHistory>, options?: Ended) => Promise<Page<HistoryEvent>>
  /** What it waits for: its node that is down or unknown, say. */
  readonly why: (id: string, options?: Ended) => Promise<Why>
  /** Final: it is to stop; one that its node has not taken is cancelled. Throws `StintError` `settled`. */
  readonly abort: (id: string, reason?: string, options?: Ended) => Promise<Given>
  /** It is to wait: not sent while its node has not taken it, else at its next checkpoint. Its time runs on. Throws `StintError` `settled` or `aborting`. */
  readonly pause: (id: string, reason?: string, options?: Ended) => Promise<Given>
  readonly resume: (id: string, reason?: string, options?: Ended) => Promise<Given>
  /**
   * The long task now and whenever something about it has changed, progress included, until it is settled; looked at once in its interval of reports while it moves.
   * A server that is away is waited for.
   */
  readonly watch: (id: string, options?: Ended) => AsyncIterable<LongTaskShown>
  /**
   * Waits until it has settled, however long that takes and whatever becomes of the server meanwhile, and resolves with its result; throws `NotCompleted`, which carries the
   * outcome, `StintError` (`not-found`, `forbidden`, `erased`), `Closed`, or the signal's reason.
   */
  readonly result: (id: string, options?: Ended) => Promise<unknown>
}

async function* each(http: Http, filter: LongTaskFilter, { signal }: Ended): AsyncGenerator<LongTaskShown, void, undefined> {
  for (let after = filter.after; ;) {
    const page = await http.call(listLongTasks, { query: { ...filter, after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

/** One look, no older than what was heard of; repeated while the server is away. */
const look = async (http: Http, reachability: Reachability, listener: Listener, id: string, { signal = http.closed }: Ended): Promise<LongTaskShown> => {
  for (let repeat = 0; ; repeat += 1) {
    const position = listener.position()
    try {
      const shown = await http.call(showLongTask, { params: { id }, signal, attemptsMax: 1, ...(position === undefined ? {} : { headers: { 'Stint-Position': position } }) })
      reachability.reached()
      return shown
    } catch (failure) {
      signal.throwIfAborted()
      // The stream will find out too, and forget the place that this log does not have.
      const isOtherLog = failure instanceof StintError && failure.code === 'other-log'
      if (!isOtherLog && !mayPass(failure)) throw failure
      await reachability.pause(failure, repeat, signal)
    }
  }
}

/** What a reader can tell apart; `lastSeenAt` is news to nobody. */
const looksOf = ({ position, phase, progress, sending }: LongTaskShown): string => JSON.stringify([position, phase, progress, sending])

const isSettled = ({ settledAt }: LongTaskShown): boolean => settledAt !== undefined

/** What is parked or has ended tells by events alone. */
const pauseMs = ({ state, progressEverySeconds }: LongTaskShown): number =>
  state === 'paused' ? LOOK_EVERY_MS : Math.min(LOOK_EVERY_MS, Math.max(LOOK_LEAST_MS, progressEverySeconds * 1_000))

interface Looking {
  readonly http: Http
  readonly news: News
  readonly reachability: Reachability
}

async function* watch({ http, news, reachability }: Looking, id: string, options: Ended): AsyncGenerator<LongTaskShown, void, undefined> {
  const listener = news.listen(id)
  let before: string | undefined
  try {
    for (;;) {
      const shown = await look(http, reachability, listener, id, options)
      if (looksOf(shown) !== before) yield shown
      before = looksOf(shown)
      if (isSettled(shown)) return
      await listener.heard(pauseMs(shown), options.signal)
      options.signal?.throwIfAborted()
    }
  } finally {
    listener.end()
  }
}

const resultOf = ({ id, state, outcome }: LongTaskShown): unknown => {
  if (outcome !== undefined && 'completed' in outcome) return outcome.completed.result
  throw new NotCompleted(id, state, outcome ?? {})
}

const result = async ({ http, news, reachability }: Looking, id: string, options: Ended): Promise<unknown> => {
  const listener = news.listen(id)
  try {
    for (;;) {
      const shown = await look(http, reachability, listener, id, options)
      if (isSettled(shown)) return resultOf(shown)
      await listener.heard(LOOK_EVERY_MS, options.signal)
      options.signal?.throwIfAborted()
    }
  } finally {
    listener.end()
  }
}

export const createLongTasks = (http: Http): LongTasks => {
  const looking: Looking = { http, news: createNews(http), reachability: createReachability(http.world, { firstMs: 100, mostMs: 5_000 }) }
  const direct =
    (directive: 'abort' | 'pause' | 'resume') =>
    (id: string, reason?: string, { signal }: Ended = {}): Promise<Given> =>
      http.call(directLongTask, { params: { id }, body: { directive, ...(reason === undefined ? {} : { reason }) }, signal })
  return {
    list: (query = {}, { signal } = {}) => http.call(listLongTasks, { query, signal }),
    each: (filter = {}, options = {}) => each(http, filter, options),
    show: (id, { signal } = {}) => http.call(showLongTask, { params: { id }, signal }),
    history: (id, query = {}, { signal } = {}) => http.call(longTaskHistory, { params: { id }, query, signal }),
    why: (id, { signal } = {}) => http.call(longTaskWhy, { params: { id }, signal }),
    abort: direct('abort'),
    pause: direct('pause'),
    resume: direct('resume'),
    watch: (id, options = {}) => watch(looking, id, options),
    result: (id, options = {}) => result(looking, id, options),
  }
}

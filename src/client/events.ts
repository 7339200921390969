// The event stream of the server as an async iterable that outlives its connections: after a cut it goes on behind the last event it gave out.
import * as E from 'fp-ts/lib/Either.js'
import type { HistoryEvent } from '../wire/items.ts'
import type { QueryOf } from '../wire/route.ts'
import { watchEvents } from '../wire/service.ts'
import { pause, type Cancel } from '../world.ts'
import { backoffMs, type BackoffLimits } from './backoff.ts'
import { StintError, UnexpectedAnswer } from './errors.ts'
import type { CallOptions, Http } from './http.ts'
import { follow } from './signals.ts'
import { serverSentEvents, type ServerSentEvent } from './sse.ts'

/** The server sends a comment each 15 s; a connection that is silent for three of them is dead. */
const SILENCE_MS = 45_000
const BETWEEN: BackoffLimits = { firstMs: 100, mostMs: 5_000 }

export interface EventFilter {
  /** Only events behind this position; without it only new ones. */
  readonly after?: string
  /** Events of one work item, by its global ID: `job/<id>`. */
  readonly workItem?: string
  readonly kind?: 'job' | 'task' | 'request' | 'long-task'
  /** Event types, for instance `['Completed', 'Failed']`. */
  readonly types?: readonly string[]
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal
  /** Called whenever everything that had happened so far has been given out. */
  readonly onCaughtUp?: () => void
}

/** Whether waiting helps: a server that is away or busy comes back, a refusal stays. What else is thrown while reading is a cut. */
const mayPass = (failure: unknown): boolean => {
  if (failure instanceof StintError) return failure.status === 503 || failure.status === 429
  return !(failure instanceof UnexpectedAnswer)
}

/** What one connection brings, until it ends, is cut or falls silent. */
async function* connection(
  http: Http,
  given: Pick<CallOptions, 'headers'> & { readonly query: QueryOf<typeof watchEvents> },
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const over = new AbortController()
  const unlink = follow(over, signal)
  let cancel: Cancel | undefined
  const heard = (): void => {
    cancel?.()
    cancel = http.world.timer(SILENCE_MS, () => over.abort(new Error('the stream fell silent')))
  }
  try {
    const { response, end } = await http.open(watchEvents, { ...given, signal: over.signal })
    heard()
    try {
      if (response.body !== null) yield* serverSentEvents(response.body, heard)
    } finally {
      end()
    }
  } finally {
    cancel?.()
    unlink()
    over.abort()
  }
}

/** Every event from now (or `after`) on, for ever. Cuts are bridged; a refusal (403, 412, …) throws `StintError`; closing the client ends it. */
export async function* events(http: Http, { after, workItem, kind, types, signal, onCaughtUp }: EventFilter = {}): AsyncGenerator<HistoryEvent, void, undefined> {
  const over = new AbortController()
  const unlink = follow(over, signal, http.closed)
  let last = after
  try {
    for (let repeat = 0; ; repeat += 1) {
      if (over.signal.aborted) return
      try {
        const query = { workItem, kind, type: types?.join(','), after: last }
        for await (const { event, data, id } of connection(http, { query, headers: { 'Last-Event-ID': last } }, over.signal)) {
          repeat = 0
          last = id ?? last
          if (event === 'caughtUp') onCaughtUp?.()
          else yield eventOf(data)
        }
      } catch (failure) {
        if (over.signal.aborted) return
        if (!mayPass(failure)) throw failure
      }
      await pause(http.world, backoffMs(http.world, BETWEEN, repeat), over.signal)
    }
  } finally {
    unlink()
  }
}

const eventOf = (data: string): HistoryEvent => {
  const decoded = watchEvents.answers[200]?.decode(parsed(data))
  if (decoded === undefined || E.isLeft(decoded)) throw new UnexpectedAnswer(200, 'an event is not as declared')
  return decoded.right
}

const parsed = (data: string): unknown => {
  try {
    return JSON.parse(data) as unknown
  } catch {
    return undefined
  }
}

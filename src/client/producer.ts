// Puts tasks into a queue. Single puts travel together by themselves: what is put while a request is out goes with the next one, without a timer, so that a caller
// who writes one call per task gets the speed of batches. Every task carries an id from the start, so that sending it again after a lost answer does nothing twice.
import * as E from 'fp-ts/lib/Either.js'
import { insertTask, type Task } from '../wire/tasks.ts'
import { deferred } from './deferred.ts'
import { Closed, StintError, UnexpectedAnswer } from './errors.ts'
import type { Http } from './http.ts'
import { writtenTask, type NewTask, type TaskOptions } from './new-task.ts'
import { createReachability, mayPass } from './reachability.ts'

/** Tasks in one request, at most. */
const TOGETHER_MAX = 1_000
/** Characters in one request, at most; none takes more than three bytes, and a request may have 32 MiB. */
const CHARACTERS_MAX = 8 * 1024 * 1024
const REQUESTS_MAX = 1
const RETRY_SECONDS = 60
const FLUSH_SECONDS = 10

export interface ProducerOptions {
  /** The application that owns the queue. */
  readonly app: string
  readonly queue: string
  /** Requests out at the same time, at most (1). With 1, tasks stand in the queue in the order in which they were put. */
  readonly requestsMax?: number
  /** Seconds after which a put that Stint has not taken is given up (60): it rejects with what was wrong last. It may have been done all the same. */
  readonly retrySeconds?: number
  /** Seconds for which `close` tries to get through what was put (10). */
  readonly flushSeconds?: number
}

export interface PutOptions extends TaskOptions {
  /** Takes the put back if it has not been sent; if it has, the task may be there. */
  readonly signal?: AbortSignal | undefined
}

/** What became of one of many: the task, or why it is not there. */
export type Put = { readonly id: string; readonly task: Task; readonly error?: undefined } | { readonly id: string; readonly task?: undefined; readonly error: Error }

export interface Producer extends AsyncDisposable {
  /**
   * Resolves with the task when it is durable. Throws `StintError` when Stint refuses it (`exists-with-other-content`, `forbidden`, `invalid`, …), `Unreachable` when no answer
   * came for `retrySeconds`, `TypeError` for a payload that JSON cannot say, `Closed`, or the signal's reason.
   */
  readonly put: (payload?: unknown, options?: PutOptions) => Promise<Task>
  /** Many at once, any number; resolves when each of them is durable or refused, and never throws: one result for each, in their order. */
  readonly putMany: (tasks: readonly NewTask[]) => Promise<readonly Put[]>
  /** Takes no more puts, gets through what was put, and ends. Never rejects. */
  readonly close: () => Promise<void>
}

interface Waiting {
  readonly id: string
  readonly text: string
  /** Its place in the order of puts. */
  readonly number: number
  /** Monotonic time after which it is given up. */
  readonly until: number
  readonly settle: (answer: E.Either<Error, Task>) => void
}

export const createProducer = (http: Http, options: ProducerOptions, onClosed: () => void = () => undefined): Producer => {
  const { world } = http
  const { app, queue, requestsMax = REQUESTS_MAX, retrySeconds = RETRY_SECONDS, flushSeconds = FLUSH_SECONDS } = options
  const params = { app, queue }
  const reachability = createReachability(world, { firstMs: 100, mostMs: 5_000 })
  const ending = new AbortController()
  const idle = deferred()
  let waiting: Waiting[] = []
  let charactersMax = CHARACTERS_MAX
  let count = 0
  let requests = 0
  let misses = 0
  let isScheduled = false
  let isPausing = false
  let closing: Promise<void> | undefined

  /** The longest row from the front that fits into one request; one always does. */
  const takeUp = (): readonly Waiting[] => {
    let characters = 0
    const over = waiting.findIndex(({ text }, index) => (characters += text.length) > charactersMax && index > 0)
    const fitting = Math.min(TOGETHER_MAX, over === -1 ? waiting.length : over)
    return waiting.splice(0, fitting)
  }

  /** Something on the way takes less than Stint does: halving finds out how much. */
  const isTooMuch = (batch: readonly Waiting[], failure: Error): boolean => {
    if (batch.length === 1 || !((failure instanceof StintError || failure instanceof UnexpectedAnswer) && failure.status === 413)) return false
    charactersMax = Math.ceil(batch.reduce((sum, { text }) => sum + text.length, 0) / 2)
    return true
  }

  const again = (rest: readonly Waiting[], failure: Error): void => {
    const now = world.monotonic()
    const kept = rest.filter(({ until, settle }) => {
      if (now < until) return true
      settle(E.left(failure))
      return false
    })
    if (kept.length > 0) waiting = [...kept, ...waiting].sort((a, b) => a.number - b.number)
  }

  /** One request; the failure because of which some of it has to be sent again. */
  const request = async (batch: readonly Waiting[]): Promise<Error | undefined> => {
    try {
      const { items } = await http.sendMany(
        insertTask,
        batch.map(({ text }) => text),
        { params, attemptsMax: 1, signal: ending.signal },
      )
      reachability.reached()
      let failure: Error | undefined
      const rest = batch.filter(({ settle }, index) => {
        const answer: E.Either<StintError | UnexpectedAnswer, Task> = items[index] ?? E.left(new UnexpectedAnswer(200, 'an item was not answered'))
        if (E.isRight(answer) || !mayPass(answer.left)) {
          settle(answer)
          return false
        }
        failure = answer.left
        return true
      })
      if (failure !== undefined) again(rest, failure)
      return failure
    } catch (thrown) {
      const failure = thrown as Error
      if (mayPass(failure) || isTooMuch(batch, failure)) again(batch, failure)
      else for (const { settle } of batch) settle(E.left(failure))
      return mayPass(failure) ? failure : undefined
    }
  }

  const send = async (batch: readonly Waiting[]): Promise<void> => {
    requests += 1
    const failure = await request(batch)
    requests -= 1
    if (failure === undefined) misses = 0
    else if (!isPausing && waiting.length > 0) {
      isPausing = true
      await reachability.pause(failure, misses, ending.signal)
      isPausing = false
      misses += 1
    }
    flush()
  }

  const flush = (): void => {
    isScheduled = false
    while (waiting.length > 0 && requests < requestsMax && !isPausing && !ending.signal.aborted) void send(takeUp())
    if (closing !== undefined && waiting.length === 0 && requests === 0) idle.resolve()
  }

  const add = (task: Pick<Waiting, 'id' | 'text'>, settle: Waiting['settle']): Waiting => {
    const added: Waiting = { ...task, settle, number: (count += 1), until: world.monotonic() + retrySeconds * 1_000 }
    waiting.push(added)
    // Whatever else is put in the same turn goes along.
    if (!isScheduled) queueMicrotask(flush)
    isScheduled = true
    return added
  }

  const put: Producer['put'] = async (payload, { signal, ...options } = {}) => {
    if (closing !== undefined) throw new Closed('producer')
    signal?.throwIfAborted()
    const task = writtenTask(world, { ...options, payload })
    return new Promise((resolve, reject) => {
      const added = add(task, (answer) => {
        signal?.removeEventListener('abort', takeBack)
        if (E.isRight(answer)) resolve(answer.right)
        else reject(answer.left)
      })
      const takeBack = (): void => {
        waiting = waiting.filter((one) => one !== added)
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', takeBack, { once: true })
    })
  }

  const putOne = (task: NewTask): Promise<Put> =>
    new Promise((resolve) => {
      try {
        const written = writtenTask(world, task)
        add(written, (answer) => resolve(E.isRight(answer) ? { id: written.id, task: answer.right } : { id: written.id, error: answer.left }))
      } catch (thrown) {
        resolve({ id: task.id ?? '', error: thrown as Error })
      }
    })

  const shut = async (): Promise<void> => {
    queueMicrotask(flush)
    const cancel = world.timer(flushSeconds * 1_000, idle.resolve)
    await idle.promise
    cancel()
    ending.abort(new Closed('producer'))
    for (const { settle } of waiting.splice(0)) settle(E.left(new Closed('producer')))
    onClosed()
  }

  const close = (): Promise<void> => (closing ??= shut())

  return {
    put,
    putMany: async (tasks) => {
      if (closing !== undefined) return tasks.map(({ id = '' }) => ({ id, error: new Closed('producer') }))
      return Promise.all(tasks.map(putOne))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

// Single items that travel together by themselves: what is given while a request is out goes with the next one, without a timer, so that a caller who writes one call an
// item gets the speed of batches. Every item carries an id from the start, so that sending it again after a lost answer does nothing twice.
import * as E from 'fp-ts/lib/Either.js'
import type { World } from '../world.ts'
import type { ManyAnswer } from './answer.ts'
import { deferred } from './deferred.ts'
import { Closed, StintError, UnexpectedAnswer } from './errors.ts'
import type { CallOptions } from './http.ts'
import { createReachability, mayPass } from './reachability.ts'

/** Items in one request, at most. */
const TOGETHER_MAX = 1_000
/** Characters in one request, at most; none takes more than three bytes, and a request may have 32 MiB. */
const CHARACTERS_MAX = 8 * 1024 * 1024
/** Over a channel: while Stint stores what is in one message, it reads the next. More than two were no quicker. */
const REQUESTS_CHANNELLED = 2
const RETRY_SECONDS = 60
const FLUSH_SECONDS = 10

export interface SendingOptions {
  /**
   * Requests out at the same time, at most; with 1, items arrive in the order in which they were given. Unless it is given, 1 by HTTP and 2 over a channel, where the
   * order is kept too, but for items that Stint refused for the moment and that are sent again.
   */
  readonly requestsMax?: number
  /** Seconds after which what Stint has not taken is given up (60): it rejects with what was wrong last. It may have been done all the same. */
  readonly retrySeconds?: number
  /** Seconds for which `close` tries to get through what was given (10). */
  readonly flushSeconds?: number
}

export interface SenderSetting<Answer> extends SendingOptions {
  readonly world: World
  /** What the caller calls it, for what is given after it was closed. */
  readonly who: string
  /** One exchange in a single try: an answer for each text, in their order. */
  readonly send: (texts: readonly string[], options: CallOptions) => Promise<readonly ManyAnswer<Answer>[]>
  /** Exchanges travel over a channel, where two at the same time are quicker than one. */
  readonly isChannelled: () => boolean
  readonly onClosed: () => void
}

/** An item as it is sent, and sent again. */
export interface Written {
  readonly id: string
  /** The body as JSON. */
  readonly text: string
}

type Settle<Answer> = (answer: E.Either<Error, Answer>) => void

export interface Sender<Answer> {
  /** Sends it, and calls `settle` once it is durable, refused or given up. */
  readonly add: (item: Written, settle: Settle<Answer>) => void
  /** As `add`. `signal` takes it back if it has not been sent; if it has, it may have been taken. */
  readonly give: (item: Written, signal: AbortSignal | undefined) => Promise<Answer>
  readonly isClosed: () => boolean
  /** Takes no more, gets through what was given, and ends. Never rejects. */
  readonly close: () => Promise<void>
}

interface Waiting<Answer> extends Written {
  /** Its place in the order of what was given. */
  readonly number: number
  /** Monotonic time after which it is given up. */
  readonly until: number
  readonly settle: Settle<Answer>
}

export const createSender = <Answer>(setting: SenderSetting<Answer>): Sender<Answer> => {
  const { world, who, retrySeconds = RETRY_SECONDS, flushSeconds = FLUSH_SECONDS } = setting
  const reachability = createReachability(world, { firstMs: 100, mostMs: 5_000 })
  const ending = new AbortController()
  const idle = deferred()
  let waiting: Waiting<Answer>[] = []
  let charactersMax = CHARACTERS_MAX
  let count = 0
  let requests = 0
  let misses = 0
  let isScheduled = false
  let isPausing = false
  let closing: Promise<void> | undefined

  const requestsMax = (): number => setting.requestsMax ?? (setting.isChannelled() ? REQUESTS_CHANNELLED : 1)
  /** Where nothing is out, half of what there is goes first, so that the other half follows while that is dealt with. */
  const togetherMax = (): number =>
    requests === 0 && setting.requestsMax === undefined && setting.isChannelled() ? Math.min(TOGETHER_MAX, Math.ceil(waiting.length / 2)) : TOGETHER_MAX

  /** The longest row from the front that fits into one request; one always does. */
  const takeUp = (): readonly Waiting<Answer>[] => {
    let characters = 0
    const over = waiting.findIndex(({ text }, index) => (characters += text.length) > charactersMax && index > 0)
    const fitting = Math.min(togetherMax(), over === -1 ? waiting.length : over)
    return waiting.splice(0, fitting)
  }

  /** Something on the way takes less than Stint does: halving finds out how much. */
  const isTooMuch = (batch: readonly Waiting<Answer>[], failure: Error): boolean => {
    if (batch.length === 1 || !((failure instanceof StintError || failure instanceof UnexpectedAnswer) && failure.status === 413)) return false
    charactersMax = Math.ceil(batch.reduce((sum, { text }) => sum + text.length, 0) / 2)
    return true
  }

  const again = (rest: readonly Waiting<Answer>[], failure: Error): void => {
    const now = world.monotonic()
    const kept = rest.filter(({ until, settle }) => {
      if (now < until) return true
      settle(E.left(failure))
      return false
    })
    if (kept.length > 0) waiting = [...kept, ...waiting].sort((a, b) => a.number - b.number)
  }

  /** One request; the failure because of which some of it has to be sent again. */
  const request = async (batch: readonly Waiting<Answer>[]): Promise<Error | undefined> => {
    try {
      const items = await setting.send(
        batch.map(({ text }) => text),
        { attemptsMax: 1, signal: ending.signal },
      )
      reachability.reached()
      let failure: Error | undefined
      const rest = batch.filter(({ settle }, index) => {
        const answer: E.Either<StintError | UnexpectedAnswer, Answer> = items[index] ?? E.left(new UnexpectedAnswer(200, 'an item was not answered'))
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

  const send = async (batch: readonly Waiting<Answer>[]): Promise<void> => {
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
    while (waiting.length > 0 && requests < requestsMax() && !isPausing && !ending.signal.aborted) void send(takeUp())
    if (closing !== undefined && waiting.length === 0 && requests === 0) idle.resolve()
  }

  const add = (item: Written, settle: Settle<Answer>): Waiting<Answer> => {
    const added: Waiting<Answer> = { ...item, settle, number: (count += 1), until: world.monotonic() + retrySeconds * 1_000 }
    waiting.push(added)
    // Whatever else is given in the same turn goes along.
    if (!isScheduled) queueMicrotask(flush)
    isScheduled = true
    return added
  }

  const give: Sender<Answer>['give'] = (item, signal) =>
    new Promise((resolve, reject) => {
      const added = add(item, (answer) => {
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

  const shut = async (): Promise<void> => {
    queueMicrotask(flush)
    const cancel = world.timer(flushSeconds * 1_000, idle.resolve)
    await idle.promise
    cancel()
    ending.abort(new Closed(who))
    for (const { settle } of waiting.splice(0)) settle(E.left(new Closed(who)))
    setting.onClosed()
  }

  return {
    add: (item, settle) => void add(item, settle),
    give,
    isClosed: () => closing !== undefined,
    close: () => (closing ??= shut()),
  }
}

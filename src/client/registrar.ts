// Registers jobs: all that queued up while the last exchange was out travel together, and what Stint could not take is sent again until it can.
import * as E from 'fp-ts/lib/Either.js'
import { registerJob, type RegisterBody, type RegisteredJob } from '../wire/jobs.ts'
import { Closed, type StintError } from './errors.ts'
import type { Http } from './http.ts'
import { mayPass, type Reachability } from './reachability.ts'

/** Bodies in one exchange: each may carry 16 KiB of attributes, and a request 32 MiB. */
const TOGETHER_MAX = 500
const TIMEOUT_MS = 10_000

export interface RegistrarSetting {
  readonly http: Http
  readonly reachability: Reachability
  /** Aborts when nothing is to be registered any more. */
  readonly over: AbortSignal
}

interface Waiting {
  readonly body: RegisterBody
  /** False once nobody wants the answer: what has not been sent then never is. */
  readonly isWanted: () => boolean
  readonly onAnswer: (answer: E.Either<Error, RegisteredJob>) => void
  readonly onMiss: (failure: Error) => void
}

export interface Registrar {
  /** Calls `onAnswer` once, with the proxy, the refusal or `Closed`; before that `onMiss` for every exchange that has to be repeated. */
  readonly register: (waiting: Waiting) => void
}

export const createRegistrar = ({ http, reachability, over }: RegistrarSetting): Registrar => {
  let queue: Waiting[] = []
  let isBusy = false

  /** One exchange; what has to be sent again, and why. */
  const exchange = async (batch: readonly Waiting[]): Promise<{ readonly again: readonly Waiting[]; readonly failure?: Error }> => {
    const bodies = batch.map(({ body }) => body)
    let answers: Awaited<ReturnType<typeof http.callMany<{}, {}, RegisterBody, RegisteredJob>>>
    try {
      answers = await http.callMany(registerJob, bodies, { attemptsMax: 1, timeoutMs: TIMEOUT_MS, signal: over })
    } catch (thrown) {
      const failure = thrown as Error
      if (mayPass(failure)) return { again: batch, failure }
      for (const { onAnswer } of batch) onAnswer(E.left(failure))
      return { again: [] }
    }
    reachability.reached()
    const again: Waiting[] = []
    let failure: StintError | undefined
    for (const [index, waiting] of batch.entries()) {
      const answer = answers[index]
      if (answer === undefined) continue
      if (E.isLeft(answer) && mayPass(answer.left)) {
        again.push(waiting)
        failure = answer.left
      } else waiting.onAnswer(answer)
    }
    return { again, ...(failure === undefined ? {} : { failure }) }
  }

  const run = async (): Promise<void> => {
    isBusy = true
    for (let repeat = 0; queue.length > 0 && !over.aborted;) {
      const batch = queue.slice(0, TOGETHER_MAX)
      queue = queue.slice(TOGETHER_MAX)
      const { again, failure } = await exchange(batch)
      queue = [...again, ...queue]
      if (failure === undefined) {
        repeat = 0
        continue
      }
      for (const { onMiss } of again) onMiss(failure)
      await reachability.pause(failure, repeat, over)
      repeat += 1
    }
    isBusy = false
    if (over.aborted) leave()
  }

  const leave = (): void => {
    for (const { onAnswer } of queue.splice(0)) onAnswer(E.left(new Closed('job server')))
  }

  return {
    register: (waiting) => {
      queue.push(waiting)
      if (over.aborted) return leave()
      if (!isBusy) void run()
    },
  }
}

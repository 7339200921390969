// Puts tasks into a queue. Single puts travel together by themselves: see `sender.ts`.
import * as E from 'fp-ts/lib/Either.js'
import { insertTask, type Task } from '../wire/tasks.ts'
import { Closed } from './errors.ts'
import type { Http } from './http.ts'
import { writtenTask, type NewTask, type TaskOptions } from './new-task.ts'
import { createSender, type SendingOptions } from './sender.ts'

export interface ProducerOptions extends SendingOptions {
  /** The application that owns the queue. */
  readonly app: string
  readonly queue: string
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

export const createProducer = (http: Http, { app, queue, ...sending }: ProducerOptions, onClosed: () => void = () => undefined): Producer => {
  const { world } = http
  const params = { app, queue }
  const sender = createSender<Task>({
    ...sending,
    world,
    who: 'producer',
    isChannelled: http.isChannelled,
    send: async (texts, options) => (await http.sendMany(insertTask, texts, { params, ...options })).items,
    onClosed,
  })

  const put: Producer['put'] = async (payload, { signal, ...options } = {}) => {
    if (sender.isClosed()) throw new Closed('producer')
    signal?.throwIfAborted()
    return sender.give(writtenTask(world, { ...options, payload }), signal)
  }

  const putOne = (task: NewTask): Promise<Put> =>
    new Promise((resolve) => {
      try {
        const written = writtenTask(world, task)
        sender.add(written, (answer) => resolve(E.isRight(answer) ? { id: written.id, task: answer.right } : { id: written.id, error: answer.left }))
      } catch (thrown) {
        resolve({ id: task.id ?? '', error: thrown as Error })
      }
    })

  return {
    put,
    putMany: async (tasks) => {
      if (sender.isClosed()) return tasks.map(({ id = '' }) => ({ id, error: new Closed('producer') }))
      return Promise.all(tasks.map(putOne))
    },
    close: sender.close,
    [Symbol.asyncDispose]: sender.close,
  }
}

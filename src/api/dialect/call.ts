// What a handler of the v1beta2 Task Queue API may know of its call: the queue is found and the caller allowed by the time it is asked.
import * as E from 'fp-ts/lib/Either.js'
import type { Context } from '../../engine/command.ts'
import type { Engine } from '../../engine/engine.ts'
import type { QueueView } from '../../engine/queues/queues.ts'
import { taskId, type WorkItemId } from '../../wire/words.ts'
import type { World } from '../../world.ts'
import type { Principal } from '../principal.ts'
import type { TaskBody } from './body.ts'
import type { Mask } from './fields.ts'
import type { Values } from './parameters.ts'
import { fromEngine, type DialectError } from './refusal.ts'

export interface DialectCall {
  readonly engine: Engine
  readonly world: World
  readonly principal: Principal
  readonly context: Context
  readonly queue: QueueView
  /** The task that the path names; empty when the method is about none. */
  readonly task: string
  readonly values: Values
  /** What of the answer will be shown. */
  readonly mask: Mask
  readonly body: () => Promise<E.Either<DialectError, TaskBody>>
  /** Runs once when the answer is out or the client is gone: `isWritten` when all of it was handed over. */
  readonly onEnd: (run: (isWritten: boolean) => Promise<void> | undefined) => void
}

/** The resource that is answered; undefined: nothing. */
export type Handled = E.Either<DialectError, object | undefined>
export type Handle = (call: DialectCall) => Promise<Handled>

const NAME = /^[A-Za-z0-9_-]{1,500}$/

/** Whether a task can have this name; no task has another. */
export const isName = (task: string): boolean => NAME.test(task)

export const workItemOf = ({ queue: { config } }: DialectCall, task: string): WorkItemId => taskId(config.app, config.queue, task)

/** The payload, from the task's birth; a task that had none has no bytes. */
export const payloadOf = async ({ engine }: DialectCall, workItem: WorkItemId, task: string): Promise<E.Either<DialectError, Uint8Array | undefined>> => {
  const events = await engine.history(workItem, { from: 0, max: 1 })
  return E.isLeft(events) ? E.left(fromEngine(events.left, task)) : E.right(events.right[0]?.payload)
}

/** Whether a body's queueName, in its short or its long form, is the queue of the call. */
export const isQueueOf = ({ queue: { config } }: DialectCall, queueName: string): boolean => {
  const [, project, long] = /^projects\/([^/]+)\/taskqueues\/([^/]+)$/.exec(queueName) ?? []
  if (project === undefined) return queueName === config.queue
  return long === config.queue && appOf(project) === config.app
}

/** The application that a project names: `s~shop`, `b~shop` and `e~shop` are `shop`. */
export const appOf = (project: string): string => project.replace(/^[sbe]~/, '')

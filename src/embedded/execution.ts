// What a handler can know of its own execution.
import type { IncomingMessage } from 'node:http'

export interface HandlerExecution {
  /** The request's name in Stint: `request/<contract>/<caller>/<id>`. */
  readonly workItem: string
  /** From 1; more when an earlier execution was interrupted: what it has done outside by then, this one has to find out. */
  readonly attempt: number
  /** Aborts when an administrator aborts the request or the lease is lost: what the handler does from now on is not counted, and its reply is not sent. */
  readonly signal: AbortSignal
}

const executions = new WeakMap<IncomingMessage, HandlerExecution>()

/** The execution that a request is handled under; undefined where no `exactlyOnce` runs it, as for safe methods or without a key that is not required. */
export const executionOf = (req: IncomingMessage): HandlerExecution | undefined => executions.get(req)

/** Makes it known, also as `req.stint` for programs without types. */
export const beginExecution = (req: IncomingMessage, execution: HandlerExecution): void => {
  executions.set(req, execution)
  Object.defineProperty(req, 'stint', { configurable: true, enumerable: true, value: execution })
}

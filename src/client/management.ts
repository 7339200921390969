// The management side: gives operations to implementation nodes, and follows what becomes of each by a handle. Dispatches travel together by themselves (`sender.ts`), each
// under an id of its own from the start, so that one whose answer was lost is not carried out twice.
import { ARGS_BYTES_MAX, dispatchBody, dispatchOperation, type LongTaskShown } from '../wire/long-tasks.ts'
import type { World } from '../world.ts'
import { Closed } from './errors.ts'
import type { Http } from './http.ts'
import { uuidv7 } from './ids.ts'
import type { Ended, Given, Why } from './jobs.ts'
import { specOf } from './long-task-class.ts'
import type { LongTasks } from './long-tasks.ts'
import { createSender, type SendingOptions, type Written } from './sender.ts'
import { follow } from './signals.ts'
import { invalid, valid } from './validity.ts'

export type ManagementOptions = SendingOptions

export interface DispatchOptions {
  /** The implementation node that is to run it. One that is down or not registered yet is waited for, until the timeout. */
  readonly node: string
  /** Your name for it, 1–200 of `[A-Za-z0-9._~-]`: the same again, with the same content, is the same long task. A UUIDv7 if left out. */
  readonly id?: string | undefined
  /** From now on, 0.1 to a year; what its class says unless given. */
  readonly timeoutSeconds?: number | undefined
  /** Without progress; what its class says unless given. */
  readonly stalledAfterSeconds?: number | undefined
  /** Interval of its node's reports; what its class says unless given. */
  readonly progressEverySeconds?: number | undefined
  /** Takes the dispatch back if it has not been sent; if it has, the long task may be there. */
  readonly signal?: AbortSignal | undefined
}

/** An operation by its name, for a management side that does not have its class; its timing is what the node declared for it. */
export interface NamedOperation {
  readonly operation: string
  /** Anything JSON can say, 1 MiB at most. */
  readonly args?: unknown
}

/** What the operation's `run` returns, as far as JSON can say it. */
export type ResultOf<Operation> = Operation extends { readonly run: (...args: never[]) => infer Returned } ? Awaited<Returned> : unknown

/** A long task that was dispatched. */
export interface Dispatched<Result = unknown> {
  readonly id: string
  /** With the progress of now. */
  readonly show: (options?: Ended) => Promise<LongTaskShown>
  readonly why: (options?: Ended) => Promise<Why>
  /** Waits until it has settled, as `longTasks.result` does: resolves with the result, throws `NotCompleted` for every other end. */
  readonly result: (options?: Ended) => Promise<Result>
  /** Every state of it from now on, progress included, until it is settled. */
  readonly watch: (options?: Ended) => AsyncIterable<LongTaskShown>
  /** Final: it is to stop. Throws `StintError` `settled`. */
  readonly abort: (reason?: string, options?: Ended) => Promise<Given>
  readonly pause: (reason?: string, options?: Ended) => Promise<Given>
  readonly resume: (reason?: string, options?: Ended) => Promise<Given>
}

export interface Management extends AsyncDisposable {
  /**
   * Gives an operation to a node: `await management.dispatch(new CopyImage({ from, to }), { node: 'disk-1' })`. The arguments are the instance's `args`, as they are now.
   * Resolves when the long task is recorded; its node is called from then on. Throws `StintError` when Stint refuses it (`unknown-operation`, `exists-with-other-content`,
   * `invalid`, …), `Unreachable` when no answer came for `retrySeconds`, `TypeError` for what JSON cannot say, `Closed`, or the signal's reason.
   */
  readonly dispatch: <Operation extends object>(operation: Operation, options: DispatchOptions) => Promise<Dispatched<ResultOf<Operation>>>
  /** The handle of what was dispatched before, by its id; nothing is asked yet. */
  readonly dispatched: <Result = unknown>(id: string) => Dispatched<Result>
  /** Takes no more dispatches, gets through those that were made, and ends all waiting; the long tasks go on. Never rejects. */
  readonly close: () => Promise<void>
}

/** Objects that were not made by a class have none to say what they are. */
const isNamed = (operation: object): operation is NamedOperation => {
  const prototype: unknown = Object.getPrototypeOf(operation)
  return prototype === Object.prototype || prototype === null
}

const saidBy = (operation: object): Readonly<Record<string, unknown>> => {
  if (isNamed(operation)) return { operation: operation.operation }
  const { operation: name, timeoutSeconds, progressEverySeconds, stalledAfterSeconds } = specOf(operation)
  return { operation: name, timeoutSeconds, progressEverySeconds, stalledAfterSeconds }
}

/** The arguments as they are now, written once: what becomes of the caller's object does not matter. */
const argsText = (args: unknown): string | undefined => {
  if (args === undefined) return undefined
  const text = JSON.stringify(args) as string | undefined
  if (text === undefined) throw new TypeError(`Expected arguments that JSON can say, but they are a ${typeof args}.`)
  // No character takes more than three bytes: most arguments need not be counted.
  const bytes = text.length * 3 <= ARGS_BYTES_MAX ? 0 : new TextEncoder().encode(text).length
  if (bytes > ARGS_BYTES_MAX) throw invalid(`Expected arguments of at most ${ARGS_BYTES_MAX} bytes of JSON, but there are ${bytes}.`)
  return text
}

/** What a compiler would not let pass, for those who have none. */
const checked = (operation: unknown, options: unknown): void => {
  if (typeof operation === 'function') throw new TypeError(`Expected an instance, new ${operation.name}(args), but it is the class ${operation.name} itself.`)
  if (typeof operation !== 'object' || operation === null)
    throw new TypeError(`Expected an operation, an instance of its class or { operation, args }, but it is ${String(operation)}.`)
  if (typeof options !== 'object' || options === null) throw new TypeError(`Expected options with the node that is to run it, { node: 'disk-1' }, but they are ${String(options)}.`)
}

/** Throws `StintError` (`invalid`) on what the server would refuse as malformed, `TypeError` on what JSON cannot say. */
const writtenOperation = (world: World, operation: object, { signal: _signal, id = uuidv7(world), node, ...timing }: DispatchOptions): Written => {
  const given = Object.entries(timing).filter(([, value]) => value !== undefined)
  const said = Object.entries({ ...saidBy(operation), ...Object.fromEntries(given), id, node }).filter(([, value]) => value !== undefined)
  const text = JSON.stringify(valid(dispatchBody, Object.fromEntries(said)))
  const args = argsText((operation as { readonly args?: unknown }).args)
  return { id, text: args === undefined ? text : `${text.slice(0, -1)},"args":${args}}` }
}

export const createManagement = (http: Http, longTasks: LongTasks, options: ManagementOptions, onClosed: () => void = () => undefined): Management => {
  const ending = new AbortController()
  const sender = createSender<LongTaskShown>({
    ...options,
    world: http.world,
    who: 'management',
    isChannelled: http.isChannelled,
    send: async (texts, given) => (await http.sendMany(dispatchOperation, texts, { ...given })).items,
    onClosed: () => {
      ending.abort(new Closed('management'))
      onClosed()
    },
  })

  /** What lasts ends with the management. */
  const until = async <Value>({ signal }: Ended, wait: (options: Ended) => Promise<Value>): Promise<Value> => {
    const over = new AbortController()
    const unlink = follow(over, signal, ending.signal)
    try {
      return await wait({ signal: over.signal })
    } finally {
      unlink()
    }
  }

  async function* watch(id: string, { signal }: Ended): AsyncGenerator<LongTaskShown, void, undefined> {
    const over = new AbortController()
    const unlink = follow(over, signal, ending.signal)
    try {
      yield* longTasks.watch(id, { signal: over.signal })
    } finally {
      unlink()
    }
  }

  const dispatched = <Result>(id: string): Dispatched<Result> => ({
    id,
    show: (given) => longTasks.show(id, given),
    why: (given) => longTasks.why(id, given),
    result: (given = {}) => until(given, (linked) => longTasks.result(id, linked) as Promise<Result>),
    watch: (given = {}) => watch(id, given),
    abort: (reason, given) => longTasks.abort(id, reason, given),
    pause: (reason, given) => longTasks.pause(id, reason, given),
    resume: (reason, given) => longTasks.resume(id, reason, given),
  })

  return {
    dispatch: async (operation, given) => {
      if (sender.isClosed()) throw new Closed('management')
      checked(operation, given)
      given.signal?.throwIfAborted()
      return dispatched((await sender.give(writtenOperation(http.world, operation, given), given.signal)).id)
    },
    dispatched,
    close: sender.close,
    [Symbol.asyncDispose]: sender.close,
  }
}

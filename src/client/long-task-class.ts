// What the class of an operation says about itself: its name, whether it is long, and how it is timed. The management node reads it when it dispatches an instance,
// the implementation node when it is started with the class; both read the same declaration.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import type { Progress } from '../wire/items.ts'
import { operationName, timing } from '../wire/long-tasks.ts'
import { decode } from '../wire/schema.ts'
import { parseDuration, type Duration } from './duration.ts'
import type { Job } from './job.ts'

/** What marks a class as a long task: `static readonly longTask = { timeout: '15m', progressEvery: '2s' } satisfies LongTask`. */
export interface LongTask {
  /** From its dispatch on, whatever it is doing (an hour). Its management node keeps the time. */
  readonly timeout?: Duration
  /** Interval at which its node reports on it (2 s); after three of them without a word it is shown as lost. From 0.1 s to an hour. */
  readonly progressEvery?: Duration
  /** So long without progress, and it times out; none unless said. A pause does not count. */
  readonly stalledAfter?: Duration
  /**
   * What becomes of it when its node stops while it runs and starts again. `fail` (the default): it fails as `interrupted`. `resume`: it is run again from the start, as the
   * next attempt; what was known of the one before is in `context.before`.
   */
  readonly onRestart?: 'resume' | 'fail'
}

/** What was known of an earlier attempt when its node stopped. The last progress may be missing: not every step is recorded. */
export interface Before {
  readonly phase?: string
  readonly progress?: Progress
}

/** What `run` is given: as a job, and what an earlier attempt has said. */
export interface OperationContext extends Job {
  /** There when an earlier attempt broke off because the node stopped. */
  readonly before?: Before
}

/** An instance of a class of operations. */
export interface Operation<Args = unknown, Result = unknown> {
  /** What it was constructed with; sent as JSON. */
  readonly args?: Args
  /** What it returns is the result, as far as JSON can say it (1 MiB at most); what it throws makes it fail, with the error's own `code`, if it has one, and its message. */
  readonly run: (context: OperationContext) => Result | Promise<Result>
}

/** A class of operations. One without `longTask` is short: it is answered at once, and not reported on. */
export interface OperationClass {
  new (args: never): { readonly run: (context: OperationContext) => unknown }
  readonly name: string
  /** Its name where it is not that of the class, as when names are minified; 1 to 200 characters. */
  readonly operation?: string
  readonly longTask?: { readonly [Field in keyof LongTask]?: string }
  /** Checks the arguments before the operation is taken; what is wrong is refused with the path of each field. */
  readonly args?: t.Decoder<unknown, unknown>
}

/** What Stint is told of the class. */
export interface OperationSpec {
  readonly operation: string
  readonly long: boolean
  readonly timeoutSeconds?: number
  readonly progressEverySeconds?: number
  readonly stalledAfterSeconds?: number
}

type Constructor = abstract new (...args: never) => unknown

const DURATIONS = { timeout: 'timeoutSeconds', progressEvery: 'progressEverySeconds', stalledAfter: 'stalledAfterSeconds' } as const
const ON_RESTART: ReadonlySet<unknown> = new Set(['resume', 'fail'])
const FIELDS = [...Object.keys(DURATIONS), 'onRestart']

/** Said by `longTask(spec)`, which keeps it beside the class: a decorator can add no member that the compiler knows of. */
const marked = new WeakMap<object, LongTask>()

const wrong = (where: string, expected: string, found: unknown): TypeError => new TypeError(`Expected ${where} to be ${expected}, but it is ${JSON.stringify(found)}.`)

type Seconds = Pick<OperationSpec, (typeof DURATIONS)[keyof typeof DURATIONS]>

const secondsOf = (where: string, field: keyof typeof DURATIONS, given: unknown): Seconds => {
  const ms = typeof given === 'string' ? parseDuration(given) : undefined
  if (ms === undefined) throw wrong(`${where}.${field}`, 'a duration like "2s", "15m" or "1h30m"', given)
  const seconds = ms / 1_000
  const decoded = decode(timing[DURATIONS[field]], seconds)
  if (E.isLeft(decoded)) throw new TypeError(`${where}.${field}: ${decoded.left[0]?.detail ?? ''} It is ${seconds} s.`)
  return { [DURATIONS[field]]: seconds }
}

/** Its times in seconds. Throws `TypeError` for what is no declaration. */
const timingOf = (where: string, declared: LongTask): Seconds => {
  const strange = Object.keys(declared).find((field) => !FIELDS.includes(field))
  if (strange !== undefined) throw new TypeError(`Expected ${where} to have ${FIELDS.join(', ')} only, but it has ${strange}.`)
  const { onRestart } = declared
  if (onRestart !== undefined && !ON_RESTART.has(onRestart)) throw wrong(`${where}.onRestart`, '"resume" or "fail"', onRestart)
  const given = (Object.keys(DURATIONS) as (keyof typeof DURATIONS)[]).filter((field) => declared[field] !== undefined)
  return Object.assign({}, ...given.map((field) => secondsOf(where, field, declared[field]))) as Seconds
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** What the class says, or the nearest class above it that says anything. */
const declaredBy = (operationClass: object): unknown => {
  for (let each: object | null = operationClass; typeof each === 'function'; each = Object.getPrototypeOf(each) as object | null) {
    const mark = marked.get(each)
    if (mark !== undefined) return mark
    if (Object.hasOwn(each, 'longTask')) return (each as { readonly longTask?: unknown }).longTask
  }
  return undefined
}

const nameOf = (operationClass: { readonly operation?: unknown; readonly name?: unknown }): string => {
  const name = operationClass.operation ?? operationClass.name
  const decoded = decode(operationName, name)
  if (E.isLeft(decoded)) throw wrong('the class of an operation', 'named by 1 to 200 characters (give it a static `operation`, if it has no name of its own)', name)
  return decoded.right
}

const classOf = (classOrInstance: object): object => (typeof classOrInstance === 'function' ? classOrInstance : classOrInstance.constructor)

/**
 * Marks a class as a long task, as its static `longTask` would: `longTask({ timeout: '15m' })(CopyImage)`, or as a decorator, `@longTask({ timeout: '15m' })`, in code that is
 * compiled. What it says goes before a static `longTask` of the same class. Throws `TypeError` for a declaration that is none.
 */
export const longTask = (declared: LongTask): (<Class extends Constructor>(operationClass: Class, context?: unknown) => Class) => {
  if (!isObject(declared)) throw wrong('what longTask is given', 'an object', declared)
  timingOf('longTask', declared)
  return (operationClass) => {
    marked.set(operationClass, declared)
    return operationClass
  }
}

/** What the class (or that of the instance) declares as a long task; undefined: it is short. Throws `TypeError` for what is no declaration. */
export const longTaskOf = (classOrInstance: object): LongTask | undefined => {
  const operationClass = classOf(classOrInstance)
  const declared = declaredBy(operationClass)
  if (declared === undefined) return undefined
  const where = `${nameOf(operationClass)}.longTask`
  if (!isObject(declared)) throw wrong(where, 'an object', declared)
  timingOf(where, declared)
  return declared
}

/** What Stint is told of the class (or that of the instance). Throws `TypeError` for a class without a name and for a declaration that is none. */
export const specOf = (classOrInstance: object): OperationSpec => {
  const operationClass = classOf(classOrInstance)
  const operation = nameOf(operationClass)
  const declared = longTaskOf(operationClass)
  return declared === undefined ? { operation, long: false } : { operation, long: true, ...timingOf(`${operation}.longTask`, declared) }
}

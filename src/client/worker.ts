// A worker in a user's process: it leases tasks of one queue, runs a handler for each, and tells how they ended. It takes no more than it has places for, gives back
// what comes while it is busy, and keeps the leases of what takes long.
//
//   lease ─▶ busy? ─▶ handler ─▶ ending ─▶ complete (with the next lease request) · fail
//              │         │  ▲
//              ▼         ▼  │ abort, pause, resume; lease lost
//           release    lease keeper · reports
//
// Nothing on this way waits for a timer. What Stint does not answer is said again, until it is answered or the worker is closed.
import { leaseBody, type LeasedTask } from '../wire/tasks.ts'
import { pause } from '../world.ts'
import { createOutages, createTeller, type OnProblem } from './complaints.ts'
import { deferred } from './deferred.ts'
import { createEndings, type Ending, type Verb } from './endings.ts'
import { Closed, GiveBack, LeaseLost, type StintError } from './errors.ts'
import type { Http } from './http.ts'
import { createLeaseKeeper } from './lease-keeper.ts'
import { createLeaseRequests } from './lease-requests.ts'
import { createLoadMeter, isOverloaded, type Load } from './load.ts'
import { bare, completed, isBare, outcomeOf } from './outcomes.ts'
import { createReachability } from './reachability.ts'
import { createTaskReports, type PlainOutcome } from './task-reports.ts'
import { valid } from './validity.ts'
import { handedTask, holdTask, type HeldTask, type WorkerTask } from './worker-task.ts'

const WAIT_SECONDS = 30
const GRACE_SECONDS = 10
const FLUSH_SECONDS = 10
const REASON_MAX = 1_000
/** Endings that are not told yet; with more than this beside twice its places a worker takes up no more work. */
const UNTOLD_MAX = 1_000

export interface WorkerOptions {
  /** The application that owns the queue. */
  readonly app: string
  readonly queue: string
  /** Handlers that run at the same time, at most (1). No more tasks than that are held. */
  readonly concurrency?: number
  /** Asked before tasks are leased, and again before each is begun: true gives it back, so that another worker has it. Takes the place of `isOverloaded`, which it may ask too. */
  readonly isBusy?: (load: Load) => boolean | Promise<boolean>
  /** Seconds for which a task is held without a sign of life; as the queue says, unless given. Extended at half time for as long as the handler runs. */
  readonly leaseSeconds?: number
  /** Only tasks with this tag. */
  readonly tag?: string
  /** Tasks that are leased together have the tag of the oldest. */
  readonly sameTag?: boolean
  /** Name of this worker among those of its principal; made anew for each process unless given. */
  readonly worker?: string
  /** Seconds that Stint holds a question for work back, 60 at most (30). */
  readonly waitSeconds?: number
  /** Seconds that `close` gives running handlers before their tasks are given back (10). */
  readonly graceSeconds?: number
  /** Seconds for which `close` tries to get the last endings through (10). */
  readonly flushSeconds?: number
  /** Closes the worker when the process is told so: `['SIGTERM']`. Node only. The process then ends by itself, once nothing else keeps it. */
  readonly closeOn?: readonly string[]
  /** Hears of what went wrong without being thrown anywhere, with the task's id if it is that one's alone: leases that were lost, endings that were refused, Stint out of reach (once for each outage). A warning on the console unless given. */
  readonly onProblem?: OnProblem
}

export type TaskHandler<Payload, Result> = (task: WorkerTask<Payload>) => Result | Promise<Result>

/** Counts since the worker began. */
export interface WorkerFigures {
  readonly leased: number
  readonly completed: number
  readonly failed: number
  readonly aborted: number
  readonly givenBack: number
  /** Ended here, but no longer this worker's: not counted by Stint. */
  readonly refused: number
}

export interface Worker extends AsyncDisposable {
  /** Its name among the workers of its principal. */
  readonly worker: string
  readonly figures: () => WorkerFigures
  /** Takes up no more work; waits `graceSeconds` for what runs and gives the rest back; gets the last endings through; ends everything. Never rejects. */
  readonly close: (options?: { readonly graceSeconds?: number }) => Promise<void>
  /** Resolves when it has been closed. */
  readonly closed: Promise<void>
}

const textOf = (task: HeldTask, fields: object): string => JSON.stringify({ id: task.id, lease: task.lease, ...fields })

const endingOf = (task: HeldTask, outcome: PlainOutcome): Ending => {
  const said = (plain: PlainOutcome): string => textOf(task, 'completed' in plain ? plain.completed : { failed: plain.failed })
  return { task, verb: 'completed' in outcome ? 'complete' : 'fail', text: said(outcome), ...(isBare(outcome) ? {} : { bare: said(bare(outcome) as PlainOutcome) }) }
}

const COUNTED_AS = { complete: 'completed', fail: 'failed', release: 'givenBack' } as const satisfies Record<Verb, keyof WorkerFigures>

export const createWorker = <Payload, Result>(http: Http, options: WorkerOptions, handler: TaskHandler<Payload, Result>, onClosed: () => void = () => undefined): Worker => {
  const { world } = http
  const { app, queue, concurrency = 1, isBusy = isOverloaded, leaseSeconds, tag, sameTag, closeOn = [] } = options
  const worker = options.worker ?? world.uuid()
  const onProblem = createTeller({
    who: `worker ${worker} of ${app}/${queue}`,
    kind: 'task',
    meanwhile: 'Handlers run on; how they end is told when Stint is back.',
    onProblem: options.onProblem,
  })
  const asked = Object.entries({ leaseSeconds, worker, tag, sameTag }).filter(([, value]) => value !== undefined)
  const body = valid(leaseBody, Object.fromEntries(asked))
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new RangeError(`Expected concurrency to be a whole number from 1 on, but it is ${concurrency}.`)

  const ending = new AbortController()
  const over = ending.signal
  const reachability = createReachability(world, { firstMs: 100, mostMs: 5_000 })
  const meter = createLoadMeter(world)
  const counts = { leased: 0, completed: 0, failed: 0, aborted: 0, givenBack: 0, refused: 0 }
  /** Tasks that take a place: leased, and neither ended nor given back. */
  const held = new Set<HeldTask>()
  const closed = deferred()
  let running = 0
  let isFlushing = false
  let idle: (() => void) | undefined
  let closing: Promise<void> | undefined

  /** A predicate that fails keeps nobody from working. */
  const notBusy = (thrown: unknown): false => {
    onProblem(thrown as Error)
    return false
  }
  const busy = (): boolean | Promise<boolean> => {
    try {
      const answer = isBusy(meter.load(running, concurrency))
      return typeof answer === 'boolean' ? answer : answer.catch(notBusy)
    } catch (thrown) {
      return notBusy(thrown)
    }
  }

  const lost = (task: HeldTask, refusal: StintError): void => {
    if (!task.held.isEnded()) return task.held.stop(new LeaseLost(task.id, refusal.code, refusal.problem.state))
    task.held.settle()
    counts.refused += 1
    onProblem(refusal, task.id)
  }

  const shared = { http, queue: { app, queue }, reachability, over, onProblem, outage: createOutages(onProblem) }
  const requests = createLeaseRequests({
    ...shared,
    body,
    waitSeconds: options.waitSeconds ?? WAIT_SECONDS,
    places: () => (endings.size() > UNTOLD_MAX + 2 * concurrency ? 0 : concurrency - held.size),
    isBusy: busy,
    onLeased: (tasks, isLate) => takeUp(tasks, isLate),
  })
  const endings = createEndings({
    ...shared,
    companion: requests,
    onTold: ({ verb }) => {
      counts[COUNTED_AS[verb]] += 1
    },
    onRefused: ({ task }, refusal) => {
      counts.refused += 1
      onProblem(refusal, task.id)
    },
  })
  const reports = createTaskReports({
    ...shared,
    onEnding: (task, outcome) => tell(endingOf(task, outcome)),
    onTold: (task, outcome) => {
      counts['completed' in outcome ? 'completed' : 'failed' in outcome ? 'failed' : 'aborted'] += 1
      task.held.settle()
    },
    onLost: lost,
  })
  const keeper = createLeaseKeeper({ ...shared, tasks: held, onLost: lost })

  /** What ends in the same turn travels together. */
  const flush = (): void => {
    isFlushing = false
    endings.flush()
    requests.flush()
    if (held.size === 0) idle?.()
  }
  const changed = (): void => {
    if (!isFlushing) queueMicrotask(flush)
    isFlushing = true
  }
  const tell = (told: Ending): void => {
    endings.add(told)
    changed()
  }
  const leave = (task: HeldTask): void => {
    held.delete(task)
    changed()
  }

  const giveBack = (task: HeldTask, said: { readonly reason: string; readonly busy?: boolean; readonly delaySeconds?: number | undefined }): void => {
    if (task.isGivenBack) return
    task.isGivenBack = true
    const reason = said.reason.slice(0, REASON_MAX)
    tell({ task, verb: 'release', text: textOf(task, { ...said, reason }), bare: textOf(task, { reason }) })
    leave(task)
  }

  const ended = (task: HeldTask, outcome: Parameters<typeof task.held.end>[0]): void => {
    if (task.isGivenBack) return
    const stopped = task.held.stopReason()
    if (stopped instanceof LeaseLost && stopped.code !== 'settled') {
      counts.refused += 1
      onProblem(stopped, task.id)
    }
    task.held.end(outcome)
    leave(task)
  }

  const run = async (task: HeldTask): Promise<void> => {
    running += 1
    try {
      ended(task, completed(await handler(handedTask<Payload>(task, keeper.extend))))
    } catch (thrown) {
      if (thrown instanceof GiveBack && !task.isGivenBack && task.held.stopReason() === undefined) giveBack(task, { reason: thrown.message, delaySeconds: thrown.delaySeconds })
      else ended(task, outcomeOf(task.held, thrown))
    } finally {
      running -= 1
    }
  }

  const begin = async (tasks: readonly HeldTask[]): Promise<void> => {
    for (const task of tasks) {
      const answer = closing === undefined && busy()
      const isTooMuch = answer !== false && (answer === true || (await answer))
      if (closing !== undefined) giveBack(task, { reason: 'The worker was closed before it was begun.' })
      else if (isTooMuch) giveBack(task, { reason: 'The worker is busy.', busy: true })
      else void run(task)
    }
  }

  const takeUp = (tasks: readonly LeasedTask[], isLate: boolean): void => {
    counts.leased += tasks.length
    const taken = tasks.map((leased) => holdTask(leased, { world, isLate, onChange: reports.changed, onProblem }))
    for (const task of taken) held.add(task)
    keeper.added()
    void begin(taken)
  }

  /** Resolves when nothing is held any more, or `ms` milliseconds later. */
  const untilIdle = async (ms: number): Promise<void> => {
    if (held.size === 0 || ms <= 0) return
    const over = new AbortController()
    idle = () => over.abort()
    await pause(world, ms, over.signal)
  }

  const allTold = async (ms: number): Promise<void> => {
    const told = new AbortController()
    // What ends may be followed by what was leased along with it, and goes back.
    const everything = async (): Promise<void> => {
      while (endings.size() + reports.size() > 0 && !told.signal.aborted) {
        await reports.quiet()
        await endings.quiet()
      }
    }
    await Promise.race([everything(), pause(world, ms, told.signal)])
    told.abort()
    const untold = endings.size() + reports.size()
    if (untold > 0) onProblem(new Error(`Expected the endings of all tasks to reach Stint, but ${untold} did not before the worker was closed.`))
  }

  const shut = async (graceSeconds: number): Promise<void> => {
    await Promise.all([requests.stop(), untilIdle(graceSeconds * 1_000)])
    for (const task of held) {
      task.held.stop(new Closed('worker'))
      giveBack(task, { reason: 'The worker was closed.' })
    }
    await allTold((options.flushSeconds ?? FLUSH_SECONDS) * 1_000)
    ending.abort(new Closed('worker'))
    meter.close()
    for (const signal of closeOn) globalThis.process?.off(signal, closeNow)
    await Promise.all([endings.ended(), reports.ended(), keeper.ended()])
    onClosed()
    closed.resolve()
  }

  const close: Worker['close'] = ({ graceSeconds = options.graceSeconds ?? GRACE_SECONDS } = {}) => (closing ??= shut(graceSeconds))
  const closeNow = (): void => void close()
  for (const signal of closeOn) globalThis.process?.once(signal, closeNow)
  changed()

  return { worker, figures: () => ({ ...counts }), close, closed: closed.promise, [Symbol.asyncDispose]: () => close() }
}

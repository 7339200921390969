// A worker in a user's process: it leases tasks of one queue, or requests of one contract, runs a handler for each, and tells how they ended. It takes no more than it has
// places for, gives back what comes while it is busy, and keeps the leases of what takes long.
//
//   lease ─▶ busy? ─▶ handler ─▶ ending ─▶ complete (with the next lease request) · fail
//              │         │  ▲
//              ▼         ▼  │ abort, pause, resume; lease lost
//           release    lease keeper · reports
//
// What is leased ahead waits until a handler is free. Nothing on this way waits for a timer. What Stint does not answer is said again, until it is answered or the worker is closed.
import type { LeasedRequest } from '../wire/requests.ts'
import type { LeasedTask } from '../wire/tasks.ts'
import { pause } from '../world.ts'
import { createBeginnings } from './beginnings.ts'
import { closeOn } from './close-on.ts'
import { createBusy } from './busy.ts'
import { createOutages, createTeller, type OnProblem } from './complaints.ts'
import { deferred } from './deferred.ts'
import { createEndings, type Endings } from './endings.ts'
import { Closed, GiveBack, LeaseLost, type StintError } from './errors.ts'
import { holdItem, type HeldItem, type LeasedItem } from './held-item.ts'
import type { Http } from './http.ts'
import { createItemReports } from './item-reports.ts'
import { createLeaseKeeper } from './lease-keeper.ts'
import { createLeaseRequests, type LeaseRequests } from './lease-requests.ts'
import { createLoadMeter, isOverloaded, isOverloadedAhead, type Load } from './load.ts'
import { outcomeOf } from './outcomes.ts'
import { createReachability } from './reachability.ts'
import { handedRequest, requestSource, type WorkerRequest } from './request-source.ts'
import { handedTask, taskSource, type WorkerTask } from './task-source.ts'
import type { Ending, Verb, WorkSource } from './work-source.ts'

/** Below the minute after which most proxies cut a connection that is still. */
const WAIT_SECONDS = 50
const GRACE_SECONDS = 10
const FLUSH_SECONDS = 10
const REASON_MAX = 1_000
const PREFETCH_MAX = 10_000
/** Endings that are not told yet; with more than this beside twice its places a worker takes up no more work. */
const UNTOLD_MAX = 1_000

/** What a worker of a queue and one of a contract have in common. */
export interface WorkingOptions {
  /** Handlers that run at the same time, at most (1). No more than that is held. */
  readonly concurrency?: number
  /** Asked before anything is leased, and again before each is begun: true gives it back, so that another worker has it. Takes the place of `isOverloaded`, which it may ask too. */
  readonly isBusy?: (load: Load) => boolean | Promise<boolean>
  /** Seconds for which one is held without a sign of life; as the queue or the contract says, unless given. Extended at half time for as long as the handler runs. */
  readonly leaseSeconds?: number
  /** Name of this worker among those of its principal; made anew for each process unless given. */
  readonly worker?: string
  /** Seconds that Stint holds a question for work back, 60 at most (50). */
  readonly waitSeconds?: number
  /** Seconds that `close` gives running handlers before what they work on is given back (10). */
  readonly graceSeconds?: number
  /** Seconds for which `close` tries to get the last endings through (10). */
  readonly flushSeconds?: number
  /** Closes the worker when the process is told so: `['SIGTERM']`. Node only. The process then ends by itself, half a second later at the soonest and once nothing else keeps it. The same signal half a second later ends it at once. */
  readonly closeOn?: readonly string[]
  /** Hears of what went wrong without being thrown anywhere, with an id if it is that one's alone: leases that were lost, endings that were refused, Stint out of reach (once for each outage). A warning on the console unless given. */
  readonly onProblem?: OnProblem
}

export interface WorkerOptions extends WorkingOptions {
  /** The application that owns the queue. */
  readonly app: string
  readonly queue: string
  /** Only tasks with this tag. */
  readonly tag?: string
  /** Tasks that are leased together have the tag of the oldest. */
  readonly sameTag?: boolean
  /**
   * Tasks leased beyond those that run, so that a place that is freed is taken at once (0), 10,000 at most. They are asked for in two halves, one of which is on its way while the other is worked on. They wait
   * in this process under their leases: no other worker has them meanwhile, and if the process dies each has lost an attempt.
   */
  readonly prefetch?: number
}

export interface RequestWorkerOptions extends WorkingOptions {
  readonly contract: string
}

export type TaskHandler<Payload, Result> = (task: WorkerTask<Payload>) => Result | Promise<Result>
/** What it returns is the reply: see `HandlerReply`. */
export type RequestHandler<Body = unknown> = (request: WorkerRequest<Body>) => unknown

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

const COUNTED_AS = { complete: 'completed', fail: 'failed', release: 'givenBack' } as const satisfies Record<Verb, keyof WorkerFigures>

interface Working<Leased extends LeasedItem> {
  readonly http: Http
  readonly options: WorkingOptions
  readonly prefetch: number
  readonly worker: string
  /** Who has a problem, as the console shows it. */
  readonly who: string
  readonly kind: 'task' | 'request'
  readonly source: WorkSource<Leased>
  readonly handle: (item: HeldItem<Leased>, extend: (seconds: number) => Promise<void>) => unknown
  readonly onClosed: () => void
}

/** What is held at the same time, at most. */
const placesOf = (concurrency: number, prefetch: number): number => {
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new RangeError(`Expected concurrency to be a whole number from 1 on, but it is ${concurrency}.`)
  if (!Number.isInteger(prefetch) || prefetch < 0 || prefetch > PREFETCH_MAX)
    throw new RangeError(`Expected prefetch to be a whole number from 0 to ${PREFETCH_MAX}, but it is ${prefetch}.`)
  return concurrency + prefetch
}

const work = <Leased extends LeasedItem>({ http, options, prefetch, worker, who, kind, source, handle, onClosed }: Working<Leased>): Worker => {
  const { world } = http
  const { concurrency = 1, isBusy = prefetch === 0 ? isOverloaded : isOverloadedAhead } = options
  const onProblem = createTeller({
    who: `worker ${worker} of ${who}`,
    kind,
    meanwhile: 'Handlers run on; how they end is told when Stint is back.',
    onProblem: options.onProblem,
  })
  const placesMax = placesOf(concurrency, prefetch)

  const ending = new AbortController()
  const over = ending.signal
  const reachability = createReachability(world, { firstMs: 100, mostMs: 5_000 })
  const meter = createLoadMeter(world)
  const counts = { leased: 0, completed: 0, failed: 0, aborted: 0, givenBack: 0, refused: 0 }
  /** What takes a place: leased, and neither ended nor given back. */
  const held = new Set<HeldItem<Leased>>()
  const closed = deferred()
  let running = 0
  let isFlushing = false
  let idle: (() => void) | undefined
  let closing: Promise<void> | undefined

  const busy = createBusy(() => isBusy(meter.load(running, concurrency)), onProblem)

  const lost = (item: HeldItem, refusal: StintError): void => {
    if (!item.held.isEnded()) return item.held.stop(new LeaseLost(item.id, refusal.code, refusal.problem.state))
    item.held.settle()
    counts.refused += 1
    onProblem(refusal, item.id)
  }

  const shared = { world, source, reachability, over, onProblem, outage: createOutages(onProblem) }
  const requests: LeaseRequests<Leased> = createLeaseRequests({
    ...shared,
    waitSeconds: options.waitSeconds ?? WAIT_SECONDS,
    places: () => (endings.size() > UNTOLD_MAX + 2 * placesMax ? 0 : placesMax - held.size),
    // Halves, where there is work ahead: see `prefetch`.
    togetherMax: prefetch === 0 ? placesMax : Math.ceil(placesMax / 2),
    isBusy: busy.ask,
    onLeased: (items, isLate) => takeUp(items, isLate),
  })
  const endings: Endings = createEndings({
    ...shared,
    companion: requests,
    onTold: ({ verb }) => {
      counts[COUNTED_AS[verb]] += 1
    },
    onRefused: ({ item }, refusal) => {
      counts.refused += 1
      onProblem(refusal, item.id)
    },
  })
  const reports = createItemReports({
    ...shared,
    onEnding: (item, outcome) => tell(source.endingOf(item, outcome)),
    onTold: (item, outcome) => {
      counts['completed' in outcome ? 'completed' : 'failed' in outcome ? 'failed' : 'aborted'] += 1
      item.held.settle()
    },
    onLost: lost,
  })
  const keeper = createLeaseKeeper({
    ...shared,
    items: held,
    onLost: (item, refusal) => {
      // One that has ended since it was asked about learns the same when its end is told.
      if (!item.held.isEnded()) lost(item, refusal)
    },
  })

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
  const leave = (item: HeldItem<Leased>): void => {
    held.delete(item)
    changed()
  }

  const giveBack = (item: HeldItem<Leased>, said: { readonly reason: string; readonly busy?: boolean; readonly delaySeconds?: number | undefined }): void => {
    if (item.isGivenBack) return
    item.isGivenBack = true
    tell(source.release(item, { ...said, reason: said.reason.slice(0, REASON_MAX) }))
    leave(item)
  }

  const ended = (item: HeldItem<Leased>, outcome: Parameters<typeof item.held.end>[0]): void => {
    if (item.isGivenBack) return
    const stopped = item.held.stopReason()
    if (stopped instanceof LeaseLost && stopped.code !== 'settled') {
      counts.refused += 1
      onProblem(stopped, item.id)
    }
    item.held.end(outcome)
    leave(item)
  }

  const run = async (item: HeldItem<Leased>): Promise<void> => {
    running += 1
    item.isBegun = true
    try {
      const result = await handle(item, (seconds) => keeper.extend(item, seconds))
      ended(item, source.completed(item, result))
    } catch (thrown) {
      if (thrown instanceof GiveBack && !item.isGivenBack && item.held.stopReason() === undefined) giveBack(item, { reason: thrown.message, delaySeconds: thrown.delaySeconds })
      else ended(item, outcomeOf(item.held, thrown))
    } finally {
      running -= 1
      beginnings.flush()
    }
  }

  /** What was stopped before it was begun: told as aborted, or nobody's here any more. */
  const drop = (item: HeldItem<Leased>, stopped: unknown): void => {
    if (!(stopped instanceof LeaseLost)) return ended(item, outcomeOf(item.held, stopped))
    onProblem(stopped, item.id)
    item.isGivenBack = true
    item.held.settle()
    leave(item)
  }

  const beginnings = createBeginnings<Leased>({ isFree: () => running < concurrency, isClosing: () => closing !== undefined, isBusy: busy.ask, run, giveBack, drop })

  const takeUp = (items: readonly Leased[], isLate: boolean): void => {
    counts.leased += items.length
    const taken = items.map((leased) => holdItem(leased, { world, isLate, onChange: reports.changed, onProblem }))
    for (const item of taken) held.add(item)
    keeper.added()
    beginnings.add(taken)
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
    // What ends may be followed by what was leased along with it, heard or not, and goes back.
    const everything = async (): Promise<void> => {
      do {
        await reports.quiet()
        await endings.quiet()
        await requests.collect()
      } while (endings.size() + reports.size() > 0 && !told.signal.aborted)
    }
    await Promise.race([everything(), pause(world, ms, told.signal)])
    told.abort()
    const untold = endings.size() + reports.size()
    if (untold > 0) onProblem(new Error(`Expected all endings to reach Stint, but ${untold} did not before the worker was closed.`))
  }

  const shut = async (graceSeconds: number): Promise<void> => {
    await Promise.all([requests.stop(), untilIdle(graceSeconds * 1_000)])
    for (const item of held) {
      item.held.stop(new Closed('worker'))
      giveBack(item, { reason: 'The worker was closed.' })
    }
    await allTold((options.flushSeconds ?? FLUSH_SECONDS) * 1_000)
    ending.abort(new Closed('worker'))
    meter.close()
    deafen()
    await Promise.all([endings.ended(), reports.ended(), keeper.ended()])
    onClosed()
    closed.resolve()
  }

  const close: Worker['close'] = ({ graceSeconds = options.graceSeconds ?? GRACE_SECONDS } = {}) => {
    if (closing === undefined) {
      closing = shut(graceSeconds)
      busy.close()
      beginnings.flush()
    }
    return closing
  }
  const deafen = closeOn(options.closeOn ?? [], world, () => void close())
  changed()

  return { worker, figures: () => ({ ...counts }), close, closed: closed.promise, [Symbol.asyncDispose]: () => close() }
}

/** Begins to lease tasks of a queue and to run the handler for each. */
export const createWorker = <Payload, Result>(http: Http, options: WorkerOptions, handler: TaskHandler<Payload, Result>, onClosed: () => void = () => undefined): Worker => {
  const { app, queue, leaseSeconds, tag, sameTag, prefetch = 0, worker = http.world.uuid() } = options
  const source = taskSource(http, { app, queue, leaseSeconds, worker, tag, sameTag })
  const handle = (item: HeldItem<LeasedTask>, extend: (seconds: number) => Promise<void>): unknown => handler(handedTask<Payload>(item, extend))
  return work({ http, options, prefetch, worker, who: `${app}/${queue}`, kind: 'task', source, handle, onClosed })
}

/** Begins to lease requests of a contract and to run the handler for each. */
export const createRequestWorker = <Body>(http: Http, options: RequestWorkerOptions, handler: RequestHandler<Body>, onClosed: () => void = () => undefined): Worker => {
  const { contract, leaseSeconds, worker = http.world.uuid() } = options
  const source = requestSource(http, { contract, leaseSeconds, worker })
  const handle = (item: HeldItem<LeasedRequest>, extend: (seconds: number) => Promise<void>): unknown => handler(handedRequest<Body>(item, extend))
  // What is leased and not begun when the process dies counts as interrupted, so nothing is leased ahead.
  return work({ http, options, prefetch: 0, worker, who: `contract ${contract}`, kind: 'request', source, handle, onClosed })
}

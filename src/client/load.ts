// How much a worker's process has to do, as far as the platform tells, and when that is too much to take up more work.
import type { World } from '../world.ts'

export interface Load {
  /** Handlers that are running in this worker. */
  readonly running: number
  readonly concurrency: number
  /** How late the event loop comes to its turns, on average over the last half second or more, in milliseconds; undefined where the platform does not tell. */
  readonly eventLoopDelayMs: number | undefined
  /** Share of the heap's limit that is in use; undefined where the platform does not tell. */
  readonly memoryUsed: number | undefined
}

/** Beyond it extensions and answers come late, and other work of the process suffers. */
const EVENT_LOOP_DELAY_MS_MAX = 100
/** Beyond it the garbage collector has little time for anything else. */
const MEMORY_USED_MAX = 0.9

/** Whether a worker takes up no more work, unless it is given a predicate of its own. */
export const isOverloaded = (load: Load): boolean => load.running >= load.concurrency || isOverloadedAhead(load)

/** The same for a worker that leases ahead: that all its handlers run is no reason to lease no more. */
export const isOverloadedAhead = ({ eventLoopDelayMs = 0, memoryUsed = 0 }: Load): boolean => eventLoopDelayMs > EVENT_LOOP_DELAY_MS_MAX || memoryUsed > MEMORY_USED_MAX

export interface LoadMeter {
  readonly load: (running: number, concurrency: number) => Load
  /** Ends what measures. */
  readonly close: () => void
}

/** Measured anew after so long, and no more often: an average over less says little. */
const WINDOW_MS = 500
/** Between two samples of the event loop. */
const SAMPLE_MS = 20

/** Modules of Node, where they are: the client imports none, because it runs in browsers too. */
const node: { readonly getBuiltinModule?: typeof process.getBuiltinModule } | undefined = globalThis.process

interface Kept {
  readonly at: number
  readonly value: number | undefined
}

/** What is used of Node's histogram of event-loop delays; times in nanoseconds. */
interface DelayHistogram {
  readonly mean: number
  readonly enable: () => boolean
  readonly disable: () => boolean
  readonly reset: () => void
}

/** Measures nothing before it is asked for the first time. */
export const createLoadMeter = (world: World): LoadMeter => {
  let histogram: DelayHistogram | undefined
  let delay: Kept | undefined
  let memory: Kept | undefined

  const eachWindow = (kept: Kept | undefined, measure: () => number | undefined): Kept => {
    const now = world.monotonic()
    return kept !== undefined && now - kept.at < WINDOW_MS ? kept : { at: now, value: measure() }
  }

  const measureDelay = (): number | undefined => {
    if (histogram === undefined) {
      histogram = node?.getBuiltinModule?.('node:perf_hooks').monitorEventLoopDelay({ resolution: SAMPLE_MS })
      histogram?.enable()
      return histogram === undefined ? undefined : 0
    }
    const mean = histogram.mean / 1e6 - SAMPLE_MS
    histogram.reset()
    // Without a sample there is no mean.
    return Number.isNaN(mean) ? 0 : Math.max(0, mean)
  }

  const measureMemory = (): number | undefined => {
    const heap = node?.getBuiltinModule?.('node:v8').getHeapStatistics()
    return heap === undefined ? undefined : heap.used_heap_size / heap.heap_size_limit
  }

  return {
    load: (running, concurrency) => ({
      running,
      concurrency,
      get eventLoopDelayMs() {
        return (delay = eachWindow(delay, measureDelay)).value
      },
      get memoryUsed() {
        return (memory = eachWindow(memory, measureMemory)).value
      },
    }),
    close: () => histogram?.disable(),
  }
}

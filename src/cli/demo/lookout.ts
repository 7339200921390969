// Keeps an eye on all jobs: asks Stint for them again and again, remembers the last answer while Stint is away, and wakes those who wait for something to be so.
import { listJobs, type JobProxy } from '../../wire/jobs.ts'
import type { Stint } from '../../client/index.ts'
import { pause, type World } from '../../world.ts'
import { observe, type Pace } from '../item-pace.ts'

const LOOK_EVERY_MS = 200
const ANSWER_MS = 5_000
const JOBS_MAX = 1_000

export interface Lookout {
  readonly jobs: () => readonly JobProxy[]
  readonly job: (id: string) => JobProxy | undefined
  readonly paces: () => ReadonlyMap<string, Pace>
  /** Stint did not answer the last time. */
  readonly isBlind: () => boolean
  /** Calls after every look, whether or not Stint answered. */
  readonly onLook: (listener: () => void) => void
  /** Resolves when it is so; rejects, naming `what`, when it has not become so in time. */
  readonly until: (what: string, isSo: () => boolean, timeoutMs?: number) => Promise<void>
  readonly close: () => Promise<void>
}

/** Whatever a story waits for comes within seconds; a machine that is very slow gets this long. */
const PATIENCE_MS = 120_000

/** Looks until it is closed or `interrupted` aborts. */
export const createLookout = (stint: Stint, world: World, interrupted: AbortSignal): Lookout => {
  const over = new AbortController()
  interrupted.addEventListener('abort', () => over.abort(), { once: true })
  const listeners = new Set<() => void>()
  const paces = new Map<string, Pace>()
  let jobs: readonly JobProxy[] = []
  let isBlind = false

  const look = async (): Promise<void> => {
    try {
      const page = await stint.call(listJobs, { query: { limit: JOBS_MAX }, attemptsMax: 1, timeoutMs: ANSWER_MS, signal: over.signal })
      jobs = page.items
      for (const job of jobs) paces.set(job.id, observe(paces.get(job.id), job, world.monotonic()))
      isBlind = false
    } catch {
      // It is away, or answers again in a moment: the picture stays as it was.
      isBlind = true
    }
    for (const listener of [...listeners]) listener()
  }

  const run = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await look()
      await pause(world, LOOK_EVERY_MS, over.signal)
    }
  }
  const running = run()

  return {
    jobs: () => jobs,
    job: (id) => jobs.find((job) => job.id === id),
    paces: () => paces,
    isBlind: () => isBlind,
    onLook: (listener) => void listeners.add(listener),
    until: (what, isSo, timeoutMs = PATIENCE_MS) =>
      new Promise((resolve, reject) => {
        const end = (failure?: Error): void => {
          cancel()
          listeners.delete(check)
          over.signal.removeEventListener('abort', onOver)
          if (failure === undefined) resolve()
          else reject(failure)
        }
        const check = (): void => (isSo() ? end() : undefined)
        const onOver = (): void => end(new Error('The demo was ended.'))
        const cancel = world.timer(timeoutMs, () => end(new Error(`Expected ${what} within ${timeoutMs / 1_000} s, but it did not come to that.`)))
        over.signal.addEventListener('abort', onOver)
        listeners.add(check)
        check()
      }),
    close: async () => {
      over.abort()
      await running
    },
  }
}

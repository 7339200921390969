// Keeps an eye on all jobs: asks Stint for them again and again, remembers the last answer while Stint is away, and wakes those who wait for something to be so.
import { listJobs, type JobProxy } from '../../wire/jobs.ts'
import type { Stint } from '../../client/index.ts'
import type { World } from '../../world.ts'
import { observe, type Pace } from '../item-pace.ts'
import { createWatch, type Watch } from './watch.ts'

const ANSWER_MS = 5_000
const JOBS_MAX = 1_000

export interface Lookout extends Watch {
  readonly jobs: () => readonly JobProxy[]
  readonly job: (id: string) => JobProxy | undefined
  readonly paces: () => ReadonlyMap<string, Pace>
  /** Stint did not answer the last time. */
  readonly isBlind: () => boolean
}

/** Looks until it is closed or `interrupted` aborts. */
export const createLookout = (stint: Stint, world: World, interrupted: AbortSignal): Lookout => {
  const paces = new Map<string, Pace>()
  let jobs: readonly JobProxy[] = []
  let isBlind = false

  const look = async (signal: AbortSignal): Promise<void> => {
    try {
      const page = await stint.call(listJobs, { query: { limit: JOBS_MAX }, attemptsMax: 1, timeoutMs: ANSWER_MS, signal })
      jobs = page.items
      for (const job of jobs) paces.set(job.id, observe(paces.get(job.id), job, world.monotonic()))
      isBlind = false
    } catch {
      // It is away, or answers again in a moment: the picture stays as it was.
      isBlind = true
    }
  }

  return {
    ...createWatch(world, interrupted, look),
    jobs: () => jobs,
    job: (id) => jobs.find((job) => job.id === id),
    paces: () => paces,
    isBlind: () => isBlind,
  }
}

// Functions to run as jobs in tests: they say when they begin and end when they are told to, so that no test waits for time to pass.
import type { Job, Stint } from '../../src/client/index.ts'
import type { VirtualWorld } from './virtual-world.ts'

export interface Steered<Result> {
  readonly run: (job: Job) => Promise<Result>
  /** Resolves with the job once its function has begun. */
  readonly begun: Promise<Job>
  readonly finish: (result: Result) => void
  readonly fail: (error: Error) => void
}

/** A function that runs until the test ends it; its signal ends it too. */
export const steered = <Result = void>(): Steered<Result> => {
  let begin: (job: Job) => void = () => undefined
  const begun = new Promise<Job>((resolve) => (begin = resolve))
  let finish: (result: Result) => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  const end = new Promise<Result>((resolve, reject) => {
    finish = resolve
    fail = reject
  })
  end.catch(() => undefined)
  const run = (job: Job): Promise<Result> => {
    begin(job)
    return new Promise((resolve, reject) => {
      job.signal.addEventListener('abort', () => reject(job.signal.reason as Error), { once: true })
      end.then(resolve, reject)
    })
  }
  return { run, begun, finish, fail }
}

/** Resolves when the signal aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** Closes a client that lives in a virtual world, whose clock is moved on for as long as that takes. */
export const closeAll = async (client: Stint, world: VirtualWorld): Promise<void> => {
  let isClosed = false
  const closed = client.close().finally(() => {
    isClosed = true
  })
  while (!isClosed) {
    world.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await closed
}

// Operations that a test steers: each run waits until it is told how to end, and a run that nobody ends follows its signal.
import type { OperationClass, OperationContext, LongTask } from '../../src/client/long-task-class.ts'

export interface SteeredRun {
  readonly args: unknown
  readonly context: OperationContext
  readonly finish: (result?: unknown) => void
  readonly fail: (error: Error) => void
}

export interface SteeredClass {
  readonly operation: OperationClass
  /** Runs that have begun, in their order. */
  readonly runs: readonly SteeredRun[]
  /** Resolves when so many runs have begun, with the last of them. */
  readonly begun: (count?: number) => Promise<SteeredRun>
}

/** A class of this name. `follows`: what a run does with its signal: end with its reason (the default), or nothing. */
export const steeredClass = (
  name: string,
  longTask: LongTask | undefined,
  { follows = true, args }: { readonly follows?: boolean; readonly args?: OperationClass['args'] } = {},
): SteeredClass => {
  const runs: SteeredRun[] = []
  const waiting = new Set<() => void>()
  class Steered {
    static readonly operation = name
    readonly args: unknown
    constructor(given: unknown) {
      this.args = given
    }
    run(context: OperationContext): Promise<unknown> {
      return new Promise((resolve, reject) => {
        if (follows) context.signal.addEventListener('abort', () => reject(context.signal.reason as Error), { once: true })
        runs.push({ args: this.args, context, finish: resolve, fail: reject })
        for (const look of [...waiting]) look()
      })
    }
  }
  return {
    operation: Object.assign(Steered, longTask === undefined ? {} : { longTask }, args === undefined ? {} : { args }),
    runs,
    begun: (count = 1) =>
      new Promise((resolve) => {
        const look = (): void => {
          const run = runs[count - 1]
          if (run === undefined) return
          waiting.delete(look)
          resolve(run)
        }
        waiting.add(look)
        look()
      }),
  }
}

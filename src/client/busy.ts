// Asks a worker's predicate whether it is too busy for more work: at once where it answers at once. Nobody waits for an answer once the worker is closed.
import type { OnProblem } from './complaints.ts'

export interface Busy {
  readonly ask: () => boolean | Promise<boolean>
  /** Whoever waits for an answer is told to take up no more. */
  readonly close: () => void
}

/** A predicate that fails keeps nobody from working. */
export const createBusy = (isBusy: () => boolean | Promise<boolean>, onProblem: OnProblem): Busy => {
  const undecided = new Set<(isTooMuch: boolean) => void>()
  const notBusy = (thrown: unknown): false => {
    onProblem(thrown as Error)
    return false
  }
  const decided = (answer: Promise<boolean>): Promise<boolean> =>
    new Promise((resolve) => {
      const decide = (isTooMuch: boolean): void => {
        undecided.delete(decide)
        resolve(isTooMuch)
      }
      undecided.add(decide)
      answer.then(decide, (thrown) => decide(notBusy(thrown)))
    })
  return {
    ask: () => {
      try {
        const answer = isBusy()
        return typeof answer === 'boolean' ? answer : decided(answer)
      } catch (thrown) {
        return notBusy(thrown)
      }
    },
    close: () => {
      for (const decide of [...undecided]) decide(true)
    },
  }
}

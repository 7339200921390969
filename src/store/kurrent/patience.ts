// How long a trouble of the store is sat out before the caller is told, and how often it is tried meanwhile.
import { pause, type World } from '../../world.ts'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000

/** One attempt after another at the same thing. */
export interface Trying {
  /** Waits before the next attempt. False: the time is over, and the caller is to be told. Each wait is longer than the one before, up to a second. */
  readonly again: () => Promise<boolean>
}

/**
 * An election takes seconds, and whoever waits through one need not know of it. A store that is away for longer is another matter: once it has been away for
 * as long as one caller would wait, callers are told at their first failure, so that nobody waits in line for what is not there.
 */
export class Patience {
  readonly #world: World
  readonly #ms: number
  readonly #closing: AbortSignal
  #troubledSince: number | undefined
  #isHopeless: () => boolean = () => false

  /** `closing` ends every wait. */
  constructor(world: World, ms: number, closing: AbortSignal) {
    this.#world = world
    this.#ms = ms
    this.#closing = closing
  }

  /** Something was answered. */
  worked(): void {
    this.#troubledSince = undefined
  }

  /** Nobody is kept waiting while this holds. */
  noneWhile(isHopeless: () => boolean): void {
    this.#isHopeless = isHopeless
  }

  begin(): Trying {
    const startedAt = this.#world.monotonic()
    let next = FIRST_PAUSE_MS
    return {
      again: async () => {
        const now = this.#world.monotonic()
        this.#troubledSince ??= now
        if (this.#closing.aborted || this.#isHopeless() || now - startedAt >= this.#ms || now - this.#troubledSince >= this.#ms) return false
        // Some chance in it, so that servers that lost the store together do not come back in step.
        await pause(this.#world, next * (0.5 + this.#world.random() / 2), this.#closing)
        next = Math.min(LONGEST_PAUSE_MS, next * 2)
        return !this.#closing.aborted
      },
    }
  }
}

// What a contract of the middleware is set up to be, in the words of its option object and in those of the engine.
import type { ContractConfig } from '../domain/contract.ts'

export interface ContractSettings {
  /** Name of the contract, 1–100 of `[A-Za-z0-9._~-]`; ids of two contracts never meet. */
  readonly contract: string
  /**
   * `none-required`: kept for `retainSeconds`, then released by itself. `encouraged` (the default): the same, and clients are asked to release early.
   * `required`: kept until its caller releases it, however long that is.
   */
  readonly release?: 'none-required' | 'encouraged' | 'required'
  /** How long a reply is kept, in seconds. Default: 604,800 (a week); none under `required`. A duplicate that comes later is answered 410 and not run. */
  readonly retainSeconds?: number
  /** What becomes of a request whose execution broke off, by a crash for instance. `retry` (the default): its next duplicate runs it as the next attempt. `fail`: 409 `interrupted`. */
  readonly onInterrupted?: 'retry' | 'fail'
  /** A request that was interrupted, or whose reply was not kept, fails as `interrupted` when no duplicate came for it in this time. Default: 3,600. */
  readonly interruptedAfterSeconds?: number
  /** Executions that a request may have. Default: no limit. */
  readonly attemptsMax?: number
}

const RETAIN_SECONDS = 604_800
const INTERRUPTED_AFTER_SECONDS = 3_600
const LEASE_SECONDS = 60

/** What the engine is told; throws `TypeError` where the settings contradict each other. */
export const configOf = ({
  contract,
  release = 'encouraged',
  retainSeconds,
  onInterrupted = 'retry',
  interruptedAfterSeconds = INTERRUPTED_AFTER_SECONDS,
  attemptsMax,
}: ContractSettings): ContractConfig => {
  if (!/^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,100}$/.test(contract))
    throw new TypeError(`Expected a contract to be named by 1 to 100 of A-Z, a-z, 0-9, ".", "_", "~" and "-", but it is ${JSON.stringify(contract)}.`)
  if (release === 'required' && retainSeconds !== undefined) throw new TypeError('Expected no retainSeconds under release "required": only its caller releases a reply.')
  if (retainSeconds !== undefined && !(retainSeconds >= 1)) throw new TypeError(`Expected retainSeconds to be 1 at least, but it is ${retainSeconds}.`)
  return {
    callers: [],
    workers: [],
    release: { policy: release, ...(release === 'required' ? {} : { retainMs: Math.round((retainSeconds ?? RETAIN_SECONDS) * 1_000) }) },
    onInterrupted,
    leaseMs: LEASE_SECONDS * 1_000,
    interruptedAfterMs: Math.round(interruptedAfterSeconds * 1_000),
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
  }
}

// Whether the engine takes commands, and what stands in the way if it does not.
import type { Tables } from '../projections/tables.ts'
import type { Position } from '../store/port.ts'
import type { Check, Status } from './findings.ts'
import type { Lag } from './lag.ts'
import type { Live } from './live.ts'
import type { Queues } from './queues/queues.ts'
import type { StoreWatch } from './store-watch.ts'
import type { Sweeper } from './sweeper.ts'
import type { Watch } from './watch.ts'

/** Characters of what is wrong with the store. */
const DETAIL_MAX = 1_000

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** @param failure why the store takes no more, if so */
export const statusOf = (now: {
  readonly failure: unknown
  /** How the log is reached. */
  readonly storeWatch: StoreWatch
  /** What a shared log asks for beside; while one of these does not hold the server is not ready. */
  readonly shared: readonly Check[]
  readonly isStopping: boolean
  readonly lag: Lag
  readonly tables: Tables
  readonly queues: Queues
  readonly position: Position
  readonly live: Live
  readonly watch: Watch
  readonly sweeper: Sweeper
}): Status => {
  const mistakes = now.queues.files().errors.length
  const sweeper = now.sweeper.figures()
  const stopped = Object.entries(now.tables.status().stopped).map(([name, detail]) => `${name}: ${detail}`)
  const trouble = now.storeWatch.trouble()
  const wrong = now.failure === undefined ? trouble?.reason : textOf(now.failure)
  const owing = sweeper.isOwing ? ' What was erased may not be taken out of the store yet.' : ''
  const checks: readonly Check[] = [
    { name: 'store', ok: wrong === undefined, ...(wrong === undefined ? {} : { detail: wrong.slice(0, DETAIL_MAX) }) },
    ...now.storeWatch.checks(),
    ...now.shared,
    { name: 'running', ok: !now.isStopping },
    { name: 'tables', ok: stopped.length === 0, ...(stopped.length === 0 ? {} : { detail: stopped.join('; ') }) },
    { name: 'tables keep up', ok: !now.lag.isTooFar() },
    { name: 'retention', ok: sweeper.failing === undefined, ...(sweeper.failing === undefined ? {} : { detail: `${sweeper.failing}.${owing}` }) },
    {
      name: 'queue files',
      ok: mistakes === 0,
      ...(mistakes === 0 ? {} : { detail: `${mistakes} mistakes; what was last good is in force. GET /v1/queues names them to administrators.` }),
    },
  ]
  // Trouble that may pass is waited out with those who ask; it is none of theirs before it is refused.
  const isReady = now.failure === undefined && trouble?.isRefusing !== true && !now.isStopping && now.shared.every(({ ok }) => ok)
  const status = isReady ? (checks.every((check) => check.ok) ? 'ready' : 'degraded') : 'not-ready'
  const { live } = now
  const items = { liveItems: live.size(), heldItems: live.heldCount(), pendingRequests: live.pendingCount() }
  return { status, checks, position: now.position, ...items, waitingPolls: now.watch.size(), tablesBehindMs: now.lag.behindMs(), sweeper }
}

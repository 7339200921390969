// Requests as an engine meets them: accepted, replied to and released by one call each, for tests of what is kept of them.
import type * as E from 'fp-ts/lib/Either.js'
import { requestId, type WorkItemId } from '../../src/domain/ids.ts'
import type { Effect, Release } from '../../src/domain/work-item/events.ts'
import { isHeld } from '../../src/domain/work-item/state.ts'
import type { Done, Refusal } from '../../src/engine/command.ts'
import { contextOf, right, type TestEngine } from './engine.ts'

export const REQUIRED: Release = { policy: 'required' }
export const RETAIN_MS = 3_600_000
export const ENCOURAGED: Release = { policy: 'encouraged', retainMs: RETAIN_MS }

export interface GivenRequest {
  readonly contract?: string
  readonly caller?: string
  readonly release?: Release
  readonly bytes?: number
  /** Whoever waits for it gets it in the same append. */
  readonly leased?: boolean
}

/** Accepts it, or finds that it exists. */
export const tryAccept = (
  { engine, world }: TestEngine,
  id: string,
  { contract = 'orders', caller = 'anna', release = REQUIRED, bytes = 10, leased = true }: GivenRequest = {},
): Promise<E.Either<Refusal, Done>> =>
  engine.execute(
    requestId(contract, caller, id),
    {
      type: 'AcceptRequest',
      by: caller,
      request: { contract, caller, runs: 'workers', release, onInterrupted: 'retry', interruptedAfterMs: 3_600_000, bytes, dueAt: world.now() },
      mediaType: 'text/plain',
      digest: `print of ${id}`,
      ...(leased ? { leaseTo: { holder: { subject: 'worker', name: 'worker-1' }, token: 'tokenabc', termMs: 600_000 } } : {}),
    },
    contextOf(world, caller),
    new Uint8Array(bytes),
  )

export const accept = async (test: TestEngine, id: string, given?: GivenRequest): Promise<WorkItemId> => {
  right(await tryAccept(test, id, given))
  return requestId(given?.contract ?? 'orders', given?.caller ?? 'anna', id)
}

export const reply = async (
  { engine, world }: TestEngine,
  workItem: WorkItemId,
  { bytes = 5, effects }: { readonly bytes?: number; readonly effects?: readonly Effect[] } = {},
): Promise<Done> => {
  const item = engine.live(workItem)
  const lease = item !== undefined && isHeld(item) ? item.lease.token : ''
  const head = { status: 200, headers: [], bytes, kept: true }
  const command = { type: 'Reply', by: 'worker', lease, reply: head, digest: `reply of ${bytes}`, ...(effects === undefined ? {} : { effects }) } as const
  return right(await engine.execute(workItem, command, contextOf(world, 'worker'), new Uint8Array(bytes)))
}

export const release = async ({ engine, world }: TestEngine, workItem: WorkItemId): Promise<Done> =>
  right(await engine.execute(workItem, { type: 'ReleaseReply', by: 'anna', how: 'client' }, contextOf(world, 'anna')))

// Tasks of tests, put into the queue shop/mail and taken out of it as the api would do it.
import type * as E from 'fp-ts/lib/Either.js'
import { taskId, type WorkItemId } from '../../src/domain/ids.ts'
import { isHeld } from '../../src/domain/work-item/state.ts'
import { contentDigest } from '../../src/engine/digest.ts'
import type { CommandToDo, Done, LeasedItem, LeaseRequest, Refusal } from '../../src/engine/command.ts'
import { contextOf, right, type TestEngine } from './engine.ts'

export interface Put {
  readonly queue?: string
  readonly tag?: string
  readonly key?: string
  readonly priority?: number
  readonly dueInMs?: number
  readonly bytes?: number
}

export const idOf = (id: string, queue = 'mail'): WorkItemId => taskId('shop', queue, id)

export const tryPut = ({ engine, world }: TestEngine, id: string, { queue = 'mail', dueInMs = 0, bytes = 10, ...facts }: Put = {}): Promise<E.Either<Refusal, Done>> => {
  const task = { app: 'shop', queue, bytes, dueAt: world.now() + dueInMs, ...facts }
  const command = { type: 'InsertTask', by: 'producer', task, mediaType: 'text/plain', digest: contentDigest({ queue, bytes, ...facts }) } as const
  return engine.insertTask(idOf(id, queue), command, contextOf(world, 'producer'), new Uint8Array(bytes))
}

export const put = async (test: TestEngine, id: string, facts: Put = {}): Promise<Done> => right(await tryPut(test, id, facts))

/** `worker` empty: a caller that names none. */
export type Take = Partial<Omit<LeaseRequest, 'holder' | 'app'>> & { readonly worker?: string; readonly subject?: string }

export const tryTake = ({ engine, world }: TestEngine, { worker = 'w1', subject = 'workers', ...request }: Take = {}): Promise<E.Either<Refusal, readonly LeasedItem[]>> =>
  engine.leaseTasks({ app: 'shop', queue: 'mail', max: 1, termMs: 60_000, waitMs: 0, holder: { subject, name: worker }, ...request }, contextOf(world, subject))

/** Leased tasks by their names. */
export const take = async (test: TestEngine, request: Take = {}): Promise<readonly string[]> => namesOf(right(await tryTake(test, request)))

export const namesOf = (leased: readonly LeasedItem[]): readonly string[] => leased.map(({ workItem }) => workItem.split('/').at(-1) ?? '')

/** The lease that is current. */
export const leaseOf = ({ engine }: TestEngine, id: string, queue = 'mail'): string => {
  const item = engine.live(idOf(id, queue))
  if (item === undefined || !isHeld(item)) throw new Error(`Expected ${id} to be held, but it is ${item?.status ?? 'gone'}`)
  return item.lease.token
}

const under = (test: TestEngine, id: string, command: (lease: string) => CommandToDo, queue = 'mail', subject = 'workers'): Promise<E.Either<Refusal, Done>> =>
  test.engine.execute(idOf(id, queue), command(leaseOf(test, id, queue)), contextOf(test.world, subject))

const DONE = { completed: {} }

export const finish = async (test: TestEngine, id: string, queue = 'mail'): Promise<Done> =>
  right(await under(test, id, (lease) => ({ type: 'Report', by: 'workers', lease, outcome: DONE, digest: contentDigest(DONE), retry: { pauseMs: 0 } }), queue))

export const fail = async (test: TestEngine, id: string, code = 'broken'): Promise<Done> => {
  const item = test.engine.live(idOf(id))
  if (item === undefined) throw new Error(`Expected ${id} to be there`)
  const outcome = { failed: { code, message: 'It broke.' } }
  return right(await under(test, id, (lease) => ({ type: 'Report', by: 'workers', lease, outcome, digest: contentDigest(outcome), retry: test.engine.retryFor(item) })))
}

/** Given back, as a worker that is busy does. */
export const giveBack = async (test: TestEngine, id: string, { delayMs = 0, busy = true, subject = 'workers' } = {}): Promise<Done> =>
  right(await under(test, id, (lease) => ({ type: 'ReleaseLease', by: subject, lease, busy, delayMs }), 'mail', subject))

/** Nothing is claimed, waited for or timed any more. */
export const restingFigures = { waiters: 0, claims: 0 }

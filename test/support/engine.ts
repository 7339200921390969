// An engine over the memory store in a virtual world, with the commands that tests give again and again.
import * as E from 'fp-ts/lib/Either.js'
import { jobId, taskId, type WorkItemId } from '../../src/domain/ids.ts'
import type { Progress } from '../../src/domain/work-item/events.ts'
import { isHeld } from '../../src/domain/work-item/state.ts'
import { contentDigest } from '../../src/engine/digest.ts'
import type { CommandToDo, Context, Done, Refusal } from '../../src/engine/command.ts'
import { openEngine, type EngineOptions } from '../../src/engine/open.ts'
import type { OpenedEngine } from '../../src/engine/engine-face.ts'
import { tablesInProcess } from '../../src/projections/open.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { EventStore } from '../../src/store/port.ts'
import { virtualWorld, type VirtualWorld } from './virtual-world.ts'

export interface TestEngine {
  readonly engine: OpenedEngine
  readonly store: EventStore
  readonly world: VirtualWorld
  readonly troubles: string[]
}

export const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(`Expected a Right, but it is a Left: ${JSON.stringify(either.left)} ${either.left instanceof Error ? either.left.message : ''}`)
  return either.right
}

export const left = <L>(either: E.Either<L, unknown>): L => {
  if (E.isRight(either)) throw new Error(`Expected a Left, but it is a Right: ${JSON.stringify(either.right)}`)
  return either.left
}

/** Opens an engine; give a store to open another one over the same log, as after a restart. */
export const startEngine = async (
  given: Partial<Pick<EngineOptions, 'store' | 'settings' | 'secretOf' | 'lookup'>> & { readonly world?: VirtualWorld } = {},
): Promise<TestEngine> => {
  const world = given.world ?? virtualWorld()
  const store = given.store ?? memoryStore({ world })
  const tables = await tablesInProcess({ file: ':memory:', reader: store, world })
  const troubles: string[] = []
  const opened = await openEngine({ ...given, store, tables, world, onTrouble: (what) => troubles.push(what) })
  return { engine: right(opened), store, world, troubles }
}

/** Lets everything run that needs no more time: appends, folds, timers that have fired. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export const contextOf = (world: VirtualWorld, subject: string): Context => ({ subject, actor: `${subject}@example.com`, commandId: world.uuid() })

/** The silence after which the test job is lost, in milliseconds. */
export const SILENCE_MS = 15_000

const job = { service: 'index', server: 'server-1', label: 'books', reportEveryMs: 5_000, silenceMs: SILENCE_MS, lostAfterMs: 86_400_000 }

export const registerCommand = ({ instance = 'instance-1', subject = 'server', label = 'books' } = {}): CommandToDo => ({
  type: 'RegisterJob',
  by: subject,
  job: { ...job, label },
  digest: contentDigest({ ...job, label }),
  holder: { subject, name: 'server-1', instance },
  token: 'tokenabc',
})

export const register = async (
  { engine, world }: TestEngine,
  id = '1',
  given: { instance?: string; subject?: string; label?: string } = {},
): Promise<{ readonly workItem: WorkItemId; readonly lease: string; readonly done: Done }> => {
  const workItem = jobId(id)
  const done = right(await engine.execute(workItem, registerCommand(given), contextOf(world, given.subject ?? 'server')))
  return { workItem, lease: isHeld(done.item) ? done.item.lease.token : '', done }
}

export const report = (
  { engine, world }: TestEngine,
  workItem: WorkItemId,
  lease: string,
  said: { readonly progress?: Progress; readonly phase?: string; readonly state?: 'paused' | 'running'; readonly outcome?: Extract<CommandToDo, { type: 'Report' }>['outcome'] },
): Promise<E.Either<Refusal, Done>> =>
  engine.execute(
    workItem,
    { type: 'Report', by: 'server', lease, ...said, ...(said.outcome === undefined ? {} : { digest: contentDigest(said.outcome) }), retry: { pauseMs: 0 } },
    contextOf(world, 'server'),
  )

export const direct = ({ engine, world }: TestEngine, workItem: WorkItemId, directive: 'abort' | 'pause' | 'resume'): Promise<E.Either<Refusal, Done>> => {
  const context = contextOf(world, 'admin')
  return engine.execute(workItem, { type: 'GiveDirective', by: 'admin@example.com', directive, commandId: context.commandId }, context)
}

export const ask = ({ engine, world }: TestEngine, workItem: WorkItemId, lease: string): Promise<E.Either<Refusal, Done>> =>
  engine.execute(workItem, { type: 'AskDirective', by: 'server', lease }, contextOf(world, 'server'))

export const insert = async ({ engine, world }: TestEngine, id: string, { queue = 'mail', dueInMs = 0, payload = `{"task":"${id}"}` } = {}): Promise<Done> => {
  const task = { app: 'shop', queue, dueAt: world.now() + dueInMs }
  return right(
    await engine.execute(
      taskId('shop', queue, id),
      { type: 'InsertTask', by: 'producer', task, mediaType: 'application/json', digest: contentDigest({ queue, payload }) },
      contextOf(world, 'producer'),
      new TextEncoder().encode(payload),
    ),
  )
}

export const lease = async ({ engine, world }: TestEngine, { queue = 'mail', max = 1, termMs = 60_000, waitMs = 0, worker = 'worker-1' } = {}) =>
  right(await engine.leaseTasks({ app: 'shop', queue, max, termMs, waitMs, holder: { subject: 'worker', name: worker } }, contextOf(world, 'worker')))

// The management side in a test: an engine that may call this machine, nodes registered with it, operations given out, and the reports of nodes as the api would hand them in.
import type * as E from 'fp-ts/lib/Either.js'
import { longTaskId } from '../../src/domain/ids.ts'
import type { NodeFacts } from '../../src/domain/node.ts'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import type { Outcome, Progress } from '../../src/domain/work-item/events.ts'
import { surfaceState, type SurfaceState } from '../../src/domain/work-item/state.ts'
import { contentDigest } from '../../src/engine/digest.ts'
import type { Done, Refusal } from '../../src/engine/command.ts'
import { LOOK_EVERY_MS } from '../../src/engine/long-tasks/node-watch.ts'
import type { EventStore, RecordedEvent } from '../../src/store/port.ts'
import { contextOf, right, settle, startEngine, type TestEngine } from './engine.ts'
import { until } from './eventually.ts'
import type { FakeNode } from './fake-node.ts'
import { expectReplayEqual } from './replay.ts'

const opened: TestEngine[] = []

export const startManagement = async ({ settings, ...given }: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const test = await startEngine({ ...given, settings: { allowUrls: LOOPBACK_PATTERNS, ...settings } })
  opened.push(test)
  return test
}

/** Closes a management side of which the log lives on. */
export const stopManagement = async (test: TestEngine): Promise<void> => {
  opened.splice(opened.indexOf(test), 1)
  await test.engine.close()
}

/** Ends all, after it has shown that what is in memory is what the log says, and that no timer is left over. */
export const closeManagement = async (): Promise<void> => {
  for (const test of opened.splice(0)) {
    await settle()
    await expectReplayEqual(test.engine, test.store)
    await test.engine.close()
    if (test.world.pending().length > 0) throw new Error(`Expected no timer to be left, but there are some in ${test.world.pending().join(', ')} ms`)
  }
}

/** A store that outlives the engines over it, as a file does. */
export const lasting = (store: EventStore): EventStore => ({ ...store, close: () => Promise.resolve() })

export const factsOf = (node: Pick<FakeNode, 'url'>, facts: Partial<NodeFacts> = {}): NodeFacts => ({
  url: node.url(),
  instance: 'i1',
  operations: [
    { operation: 'CopyImage', long: true },
    { operation: 'Ping', long: false },
  ],
  ...facts,
})

/** Registers it and waits until it was found to be there. */
export const registerNode = async (test: TestEngine, node: FakeNode, facts: Partial<NodeFacts> = {}): Promise<void> => {
  right(await test.engine.longTasks.register(node.name, factsOf(node, facts), contextOf(test.world, node.name)))
  await until(() => healthOf(test, node.name) !== 'unknown')
}

export const healthOf = ({ engine }: TestEngine, name: string): string | undefined => engine.longTasks.node(name)?.health.state

export interface GiveOut {
  readonly node?: string
  readonly operation?: string
  readonly args?: unknown
  readonly timeoutMs?: number
  readonly stalledAfterMs?: number
  readonly progressEveryMs?: number
}

export const tryGiveOut = (
  { engine, world }: TestEngine,
  id: string,
  { node = 'n1', operation = 'CopyImage', args, timeoutMs = 600_000, progressEveryMs = 2_000, stalledAfterMs }: GiveOut = {},
): Promise<E.Either<Refusal, Done>> =>
  engine.execute(
    longTaskId(id),
    {
      type: 'DispatchOperation',
      by: 'manager',
      operation: { operation, node, lease: `1.${world.token(8)}`, timeoutMs, progressEveryMs, ...(stalledAfterMs === undefined ? {} : { stalledAfterMs }) },
      mediaType: 'application/json',
      digest: contentDigest({ operation, node, args, timeoutMs, progressEveryMs, stalledAfterMs }),
    },
    contextOf(world, 'manager'),
    args === undefined ? undefined : Buffer.from(JSON.stringify(args)),
  )

export const giveOut = async (test: TestEngine, id: string, how: GiveOut = {}): Promise<Done> => right(await tryGiveOut(test, id, how))

/** As everybody may see it; undefined once it is not at hand any more. */
export const stateOf = ({ engine }: TestEngine, id: string): SurfaceState | undefined => {
  const item = engine.live(longTaskId(id))
  return item && surfaceState(item)
}

export const untilState = (test: TestEngine, id: string, state: SurfaceState): Promise<void> => until(() => stateOf(test, id) === state)

/** Gives it out and waits until its node has it. */
export const giveAndTake = async (test: TestEngine, id: string, how: GiveOut = {}): Promise<void> => {
  await giveOut(test, id, how)
  await untilState(test, id, 'running')
}

export interface Said {
  readonly phase?: string
  readonly progress?: Progress
  readonly state?: 'paused' | 'running'
  readonly refuse?: { readonly directive: number; readonly reason: string }
  readonly outcome?: Outcome
  readonly lease?: string
}

/** A report of its node; with nothing said a sign of life. */
export const report = ({ engine, world }: TestEngine, id: string, { lease, ...said }: Said = {}, node = 'n1'): Promise<E.Either<Refusal, Done>> => {
  const item = engine.live(longTaskId(id))
  const digest = said.outcome === undefined ? {} : { digest: contentDigest(said.outcome) }
  const command = {
    type: 'Report',
    by: node,
    lease: lease ?? item?.operation?.lease ?? '',
    ...said,
    ...digest,
    retry: { pauseMs: 0 },
    takenBy: { subject: node, name: node },
  } as const
  return engine.execute(longTaskId(id), command, contextOf(world, node))
}

export const direct = ({ engine, world }: TestEngine, id: string, directive: 'abort' | 'pause' | 'resume', reason?: string): Promise<E.Either<Refusal, Done>> => {
  const context = contextOf(world, 'manager')
  return engine.execute(longTaskId(id), { type: 'GiveDirective', by: context.actor, directive, commandId: context.commandId, reason }, context)
}

const eventsOf = async ({ engine }: TestEngine, id: string): Promise<readonly RecordedEvent[]> => right(await engine.history(longTaskId(id), { from: 0, max: 1_000 }))

/** What has happened to it. */
export const historyOf = async (test: TestEngine, id: string): Promise<readonly string[]> => (await eventsOf(test, id)).map(({ type }) => type)

/** What the last event of this type says. */
export const lastOf = async (test: TestEngine, id: string, type: string): Promise<Record<string, unknown>> => {
  const found = (await eventsOf(test, id)).findLast((event) => event.type === type)
  return JSON.parse(found?.data ?? '{}') as Record<string, unknown>
}

/** Moves the clock on in steps in which every call to a node that falls due has its time to be answered. */
export const pass = async (test: TestEngine, ms: number, stepMs = LOOK_EVERY_MS / 2): Promise<void> => {
  for (let left = ms; left > 0; left -= stepMs) {
    test.world.advance(Math.min(stepMs, left))
    await settle()
    await settle()
  }
}

/** Moves the clock on in such steps until it is so. */
export const passUntil = async (test: TestEngine, isSo: () => boolean, stepMs = 500): Promise<void> => {
  while (!isSo()) await pass(test, stepMs, stepMs)
}

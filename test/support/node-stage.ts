// An implementation node in a virtual world, over real files and real HTTP, with a management node that is a stand-in.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorkItemEvent } from '../../src/domain/work-item/events.ts'
import { implementationNode, type ImplementationNode, type ImplementationNodeOptions } from '../../src/embedded/index.ts'
import { BETWEEN_MESSAGES_MS } from '../../src/embedded/node/reporter.ts'
import { LOG_FILE } from '../../src/settings.ts'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { right, settle } from './engine.ts'
import { startFakeManagement, type FakeManagement } from './fake-management.ts'
import { expectReplayEqual } from './replay.ts'
import { virtualWorld, type VirtualWorld } from './virtual-world.ts'

/** Milliseconds that the node rests after a message, and nothing else does: by that a test sees that its answer has been taken in. */
export const REST_MS = BETWEEN_MESSAGES_MS
const PASSING_MS = 300_000
const STEP_MS = 50

export interface NodeStage {
  readonly world: VirtualWorld
  readonly management: FakeManagement
  readonly directory: string
  /** What the node could not throw anywhere: `<id>: <message>`. */
  readonly problems: readonly string[]
  /** Starts the node (again) on the same directory and waits until it is registered. */
  readonly start: (given?: Partial<ImplementationNodeOptions>) => Promise<ImplementationNode>
  /** Starts it and does not wait. */
  readonly begin: (given?: Partial<ImplementationNodeOptions>) => Promise<ImplementationNode>
  /** Resolves when message number `count` has been answered, and the node rests. */
  readonly message: (count: number) => Promise<void>
  /** As `message`, and the rest is over. */
  readonly rested: (count: number) => Promise<void>
  /** Lets time pass until `wanted` holds, five minutes at most. */
  readonly passing: (wanted: () => boolean) => Promise<void>
  /** Types of the events of an operation in the node's own log. */
  readonly history: (node: ImplementationNode, id: string) => Promise<readonly WorkItemEvent['type'][]>
  /** Resolves when the node's own log has so many events of this type of the operation. */
  readonly logged: (node: ImplementationNode, id: string, type: WorkItemEvent['type'], count?: number) => Promise<void>
  readonly replayed: (node: ImplementationNode) => Promise<void>
}

const open: { readonly close: () => Promise<void> }[] = []

/** Closes what the tests have opened; call it in `afterEach`. */
export const closeStages = async (): Promise<void> => {
  for (const stage of open.splice(0)) await stage.close()
}

/** `secret`: what the management node signs its calls with. */
export const openStage = async (operations: ImplementationNodeOptions['operations'], { secret }: { readonly secret?: string } = {}): Promise<NodeStage> => {
  const world = virtualWorld()
  const management = await startFakeManagement({ world, ...(secret === undefined ? {} : { secret }) })
  const directory = mkdtempSync(join(tmpdir(), 'stint-node-'))
  const problems: string[] = []
  const nodes = new Set<ImplementationNode>()

  const begin: NodeStage['begin'] = async (given) => {
    const onProblem = (problem: Error, id?: string): void => void problems.push(id === undefined ? problem.message : `${id}: ${problem.message}`)
    const node = await implementationNode({ name: 'node-1', management: { url: management.url }, operations, directory, world, onProblem, ...given })
    nodes.add(node)
    return node
  }

  const message: NodeStage['message'] = async (count) => {
    await management.until(() => management.messages.length >= count)
    await world.until((pending) => pending.includes(REST_MS))
    await settle()
  }

  open.push({
    close: async () => {
      // What does not follow its signal is waited for, and time passes by this hand only.
      let areClosed = false
      const closed = Promise.all([...nodes].map((node) => node.close())).finally(() => (areClosed = true))
      while (!areClosed) {
        world.advance(STEP_MS)
        await settle()
      }
      await closed
      await management.close()
      rmSync(directory, { recursive: true, force: true })
    },
  })

  const history: NodeStage['history'] = async (node, id) =>
    right(await node.engine.history(`long-task/${id}`, { from: 0, max: 1_000 })).map(({ type }) => type as WorkItemEvent['type'])

  return {
    world,
    management,
    directory,
    problems,
    begin,
    passing: async (wanted) => {
      const until = world.monotonic() + PASSING_MS
      while (!wanted()) {
        if (world.monotonic() > until) throw new Error(`Expected it to happen within ${PASSING_MS} ms: ${String(wanted)}`)
        world.advance(STEP_MS)
        await settle()
      }
    },
    history,
    logged: async (node, id, type, count = 1) => {
      for (;;) {
        const change = node.engine.changed(`long-task/${id}`, 3_600_000)
        const types = await history(node, id)
        if (types.filter((each) => each === type).length < count) await change
        else {
          // The log is read past the engine, which may not have heard of its own append yet.
          while ((node.engine.live(`long-task/${id}`)?.revision ?? Number.POSITIVE_INFINITY) < types.length - 1) await settle()
          return settle()
        }
      }
    },
    start: async (given) => {
      const node = await begin(given)
      await node.registered()
      return node
    },
    message,
    rested: async (count) => {
      await message(count)
      world.advance(REST_MS)
      await settle()
    },
    replayed: async (node) => {
      const reader = openSqliteReader(join(directory, LOG_FILE))
      // What is in the log is known to the node a moment later.
      while (node.engine.position() !== right(await reader.head()()).position) await settle()
      await expectReplayEqual(node.engine, reader)
      reader.close()
    },
  }
}

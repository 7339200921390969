// A Stint and many implementation nodes in one process and one virtual world, over real HTTP: every message between them is counted, and time passes only when none is under way.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Fetch, type Stint } from '../../src/client/index.ts'
import type { OperationContext } from '../../src/client/long-task-class.ts'
import { implementationNode, type ImplementationNode } from '../../src/embedded/index.ts'
import { turns, until } from './eventually.ts'
import { startRealStint, type RealStint } from './real-stint.ts'
import { virtualWorld, type VirtualWorld } from './virtual-world.ts'

export interface Message {
  readonly node: string
  /** Monotonic, in the virtual world. */
  readonly at: number
  readonly items: readonly { readonly id: string }[]
}

export interface Fleet {
  readonly world: VirtualWorld
  readonly stint: RealStint
  readonly client: Stint
  /** What runs, by id of the long task. */
  readonly running: ReadonlyMap<string, OperationContext>
  /** Reports that nodes have sent. */
  readonly messages: readonly Message[]
  /** Lets time pass, in steps after each of which everything that was sent is answered. */
  readonly pass: (ms: number) => Promise<void>
  readonly close: () => Promise<void>
}

/** Shorter than the least pause between two messages of a node. */
const STEP_MS = 50
/** Of the event loop, in which what was answered leads to what is said next. */
const TURNS = 30

/** Starts them; an operation `Tick` is long, and runs until it is stopped. */
export const openFleet = async (nodes: readonly string[], progressEvery: '1s'): Promise<Fleet> => {
  const world = virtualWorld()
  const stint = await startRealStint({ world })
  const directory = mkdtempSync(join(tmpdir(), 'stint-fleet-'))
  const running = new Map<string, OperationContext>()
  const messages: Message[] = []
  let underWay = 0

  class Tick {
    static readonly longTask = { timeout: '1h', progressEvery } as const
    run(context: OperationContext): Promise<void> {
      running.set(context.id, context)
      return new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(context.signal.reason as Error), { once: true }))
    }
  }

  const counting =
    (node: string): Fetch =>
    async (input, init) => {
      underWay += 1
      if (input.endsWith('/reports')) messages.push({ node, at: world.monotonic(), items: (JSON.parse(String(init?.body)) as Pick<Message, 'items'>).items })
      try {
        const answer = await fetch(input, init)
        const body = await answer.arrayBuffer()
        return new Response(body, answer)
      } finally {
        underWay -= 1
      }
    }

  const quiet = async (): Promise<void> => {
    do {
      await until(() => underWay === 0)
      await turns(TURNS)
    } while (underWay > 0)
  }

  const start = (name: string): Promise<ImplementationNode> =>
    implementationNode({ name, management: { url: stint.url }, operations: [Tick], directory: join(directory, name), world, fetch: counting(name) })
  const fleet = await Promise.all(nodes.map(start))
  await Promise.all(fleet.map(({ registered }) => registered()))
  const client = connect({ url: stint.url, world })

  return {
    world,
    stint,
    client,
    running,
    messages,
    pass: async (ms) => {
      await quiet()
      for (let left = ms; left > 0; left -= STEP_MS) {
        world.advance(Math.min(STEP_MS, left))
        await quiet()
      }
    },
    close: async () => {
      await Promise.all(fleet.map((node) => node.close()))
      await client.close()
      await stint.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

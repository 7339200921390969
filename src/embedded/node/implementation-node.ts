// An implementation node in a user's process: it takes operations from its management node, runs them, and tells how they are doing until their end is acknowledged (spec D).
//
//   management ──▶ listener ─▶ list ─▶ runner ─▶ run() of the class
//        ▲                      │  ▲               │
//        │                      ▼  │ restart       ▼ says
//        └──── reporter ◀──── the node's own log and what is told of it
//
// What was taken is in the log before it is answered, so that a killed process leaves nothing behind that the next one does not find.
import type { AddressInfo } from 'node:net'
import { problem, type Problem } from '../../api/messages.ts'
import { createOutages, createTeller } from '../../client/complaints.ts'
import { connect } from '../../client/connect.ts'
import { Closed } from '../../client/errors.ts'
import { createReachability } from '../../client/reachability.ts'
import type { OpenedEngine } from '../../engine/engine-face.ts'
import type { Entity as ListedOperation, RegisterNodeBody } from '../../wire/nodes.ts'
import { pause, realWorld, type World } from '../../world.ts'
import { open, type Embedded } from '../open.ts'
import { declare, type Operations } from './declared.ts'
import { createList } from './list.ts'
import { createListener } from './listener.ts'
import { settingsOf, type ImplementationNodeOptions } from './options.ts'
import { createOwnLog } from './own-log.ts'
import { createRegistration } from './registration.ts'
import { createReporter } from './reporter.ts'
import { createRunner } from './runner.ts'

/** Pauses between two tries while the management node is away. */
const RETRY = { firstMs: 250, mostMs: 5_000 }
/** What runs and is told to stop is waited for so long: what it does after that happens beside a node that is closed. */
const STOP_MS = 2_000

export interface ImplementationNode extends AsyncDisposable {
  readonly name: string
  /** Where it is called. */
  readonly url: string
  /** Made anew for each process: tells the management node that it was restarted. */
  readonly instance: string
  /** Resolves when the management node knows it; rejects with `Closed` when it is closed before. It takes and runs operations without. */
  readonly registered: () => Promise<void>
  /** Its list as its management node may see it: what it was given and whose end is not acknowledged. */
  readonly operations: () => readonly ListedOperation[]
  /** Its own log, in which each operation is the work item `long-task/<id>`. */
  readonly engine: OpenedEngine
  /**
   * Takes nothing more, lets running operations go on for `drainSeconds`, stops those that still run (`Closed` is the reason of their signal) and lets go of its files.
   * Nothing ends by it: what runs or waits stays on the list, and at the next start is run again or fails, as its class says. Never rejects.
   */
  readonly close: (options?: { readonly drainSeconds?: number }) => Promise<void>
}

const addressOf = ({ address, family, port }: AddressInfo): string => `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`

const registrationOf = (operations: Operations, own: Omit<RegisterNodeBody, 'operations'>): RegisterNodeBody => ({
  ...own,
  operations: [...operations.values()].map(({ spec }) => ({ ...spec })),
})

interface Parts {
  readonly options: ImplementationNodeOptions
  readonly settings: ReturnType<typeof settingsOf>
  readonly operations: Operations
  readonly world: World
  readonly onProblem: ReturnType<typeof createTeller>
  readonly embedded: Embedded
  /** Aborts when the log is written no more. */
  readonly over: AbortController
  readonly hasFailed: () => boolean
}

const start = async ({ options, settings, operations, world, onProblem, embedded, over, hasFailed }: Parts): Promise<ImplementationNode> => {
  const { name } = settings
  const instance = world.uuid()
  const closing = new AbortController()
  const client = connect({ ...options.management, world, ...(options.fetch === undefined ? {} : { fetch: options.fetch }) })
  const log = createOwnLog({ engine: embedded.engine, world, node: name, instance, reportTo: client.url, over: over.signal })
  const runner = createRunner({ world, log, operations, runningMax: settings.runningMax, onProblem, over: over.signal })
  let onNews = (): void => undefined
  const list = createList({ world, node: name, log, operations, runner, onProblem, onNews: () => onNews(), closing: closing.signal, over: over.signal })
  over.signal.addEventListener('abort', runner.stop, { once: true })
  await list.restore()

  const refusal = (): Problem | undefined => (hasFailed() ? problem('store-unavailable') : undefined)
  const onTrouble = (what: string, cause: unknown): void => onProblem(new Error(`${what}.`, { cause }))
  const { secrets } = settings
  const listener = createListener({ world, node: name, instance, secrets, list, refusal, isClosing: () => closing.signal.aborted, onTrouble })
  const address = addressOf(await listener.listen(settings.port, settings.host))
  const url = (options.url ?? address).replace(/\/+$/, '')

  const reachability = createReachability(world, RETRY)
  const outage = createOutages(onProblem)
  const { secretEnv } = settings
  const body = registrationOf(operations, { id: name, url, instance, ...(secretEnv === undefined ? {} : { secretEnv }) })
  const registration = createRegistration({ http: client, body, reachability, outage: outage(), over: over.signal })
  const reporter = createReporter({ http: client, world, node: name, list, registration, reachability, outage: outage(), onProblem, over: over.signal })
  onNews = reporter.changed
  runner.open()

  /** Resolves when all that runs has ended and all ends are told, or `ms` milliseconds later. */
  const drained = async (ms: number): Promise<void> => {
    if (ms <= 0) return
    const done = new AbortController()
    const everything = async (): Promise<void> => {
      await runner.idle()
      await list.quiet()
      await reporter.told()
    }
    await Promise.race([everything(), pause(world, ms, done.signal)])
    done.abort()
  }

  const shut = async (drainMs: number): Promise<void> => {
    closing.abort(new Closed('implementation node'))
    runner.hold()
    await drained(drainMs)
    runner.stop()
    const stopped = new AbortController()
    await Promise.race([runner.idle(), pause(world, STOP_MS, stopped.signal)])
    stopped.abort()
    await list.quiet()
    over.abort(new Closed('implementation node'))
    await reporter.ended
    await listener.close(STOP_MS)
    await client.close()
    await embedded.close()
  }

  let closed: Promise<void> | undefined
  const close: ImplementationNode['close'] = ({ drainSeconds } = {}) => (closed ??= shut(drainSeconds === undefined ? settings.drainMs : drainSeconds * 1_000))
  return {
    name,
    url,
    instance,
    registered: async () => {
      await registration.standing()
      if (over.signal.aborted) throw new Closed('implementation node')
    },
    operations: () => list.shown(),
    engine: embedded.engine,
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

/**
 * Makes this process an implementation node: it registers with its management node, takes operations of the given classes, runs them and reports on them.
 * Resolves when it listens and has gone on with what an earlier process left; whether the management node can be reached is not waited for.
 * Rejects with `TypeError` or `RangeError` when the options or a class cannot be, and when another process has its directory or it cannot listen.
 */
export const implementationNode = async (options: ImplementationNodeOptions): Promise<ImplementationNode> => {
  const { world = realWorld, directory, allowAnyFileSystem = false } = options
  const settings = settingsOf(options)
  const operations = declare(options.operations)
  const over = new AbortController()
  let hasFailed = false
  const onProblem = createTeller({
    who: `implementation node ${settings.name}`,
    kind: 'operation',
    meanwhile: 'Operations run on; how they are doing is told when it is back.',
    onProblem: options.onProblem,
  })
  const embedded = await open({
    data: directory,
    allowAnyFileSystem,
    world,
    retention: { settledMs: settings.retainMs },
    onTrouble: (what, cause) => onProblem(new Error(`${what}.`, { cause })),
    onFatal: (cause) => {
      hasFailed = true
      over.abort(cause)
      if (options.onFatal !== undefined) return options.onFatal(cause)
      process.emitWarning(`The log of implementation node ${settings.name} cannot be written any more; start the process anew: ${cause.message}`, { type: 'StintWarning' })
    },
  })
  try {
    return await start({ options, settings, operations, world, onProblem, embedded, over, hasFailed: () => hasFailed })
  } catch (thrown) {
    over.abort(thrown)
    await embedded.close()
    throw thrown
  }
}

// A storm of requests: a real server that is killed with SIGKILL and started again while requests and their duplicates come in at random, to workers of a contract and to services
// that execute for themselves, which are killed too. What every caller was told, and what was done outside, is then held against the log.
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { withLog } from '../../src/offline/log.ts'
import { pause, realWorld } from '../../src/world.ts'
import { EFFECTS_FILE, TOLD_FILE } from '../recovery/programs/storm-execution.ts'
import { openLossyProxy, type LossyProxy } from './lossy-proxy.ts'
import { openPrograms, type Programs } from './programs.ts'
import { checkRequestHistory, logOf, type EffectSeen, type Exchange, type Verdict, type WorkerSaw } from './request-history.ts'
import { openCalls, type Calls } from './storm-calls.ts'
import { virtualWorld } from './virtual-world.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const CLI = join(ROOT, 'src', 'cli', 'main.ts')
const PROGRAMS = join(ROOT, 'test', 'recovery', 'programs')

const CONTRACT = 'storm'
/** Without auth everybody is this. */
const DIRECT_CALLER = 'local'
const SERVICE_CALLER = 'ann'
/** Shorter than the server lives between two kills, so that what nobody holds any more is given to somebody else. */
const LEASE_SECONDS = 0.5
/** Share of the answers that get lost. */
const LOST_SHARE = 0.05

/** `reply-before-commit`: the server acknowledges replies that are not durable · `answer-lost`: what was done is not heard of, again and again. */
export type Fault = 'none' | 'reply-before-commit' | 'answer-lost'
export const FAULTS: readonly Fault[] = ['none', 'reply-before-commit', 'answer-lost']

export interface StormOptions {
  /** Everything of the storm is in here; it need not exist. */
  readonly directory: string
  readonly requests: number
  readonly duplicates: number
  /** Any number but 0: the order of the calls, and which of them are duplicates of what. */
  readonly seed: number
  readonly inFlight: number
  readonly fault: Fault
  readonly workers: number
  readonly services: number
  /** Told after each call that has its reply. */
  readonly onReply?: (calls: number) => void
}

export interface Storm {
  /** Resolves when each call has its reply; rejects when a process ended by itself. */
  readonly done: Promise<void>
  /** Calls that have their reply. */
  readonly replies: () => number
  /** Calls that wait for one. */
  readonly pending: () => readonly string[]
  /** Requests of which a caller was given another reply than one before. */
  readonly contradicted: () => readonly string[]
  /** Kills the server and starts it again; resolves when it listens. */
  readonly killServer: () => Promise<void>
  /** Kills the next worker, or service, and starts another in its place; resolves when it is there. */
  readonly killWorker: () => Promise<void>
  readonly killService: () => Promise<void>
  readonly counts: () => { readonly serverKills: number; readonly otherKills: number; readonly cut: number; readonly answersLost: number }
  /** Stops everything: the server with SIGTERM, the others at once. Answers how the server ended. */
  readonly close: () => Promise<number | null>
  /** Holds what was seen against the log; after `close`. */
  readonly judge: () => Promise<Verdict>
}

const setUp = async (url: string): Promise<void> => {
  const answer = await fetch(`${url}/v1/contracts/${CONTRACT}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ release: 'none-required', retainSeconds: 86_400, onInterrupted: 'retry' }),
  })
  if (!answer.ok) throw new Error(`The contract was refused: ${await answer.text()}`)
}

/** The server under test. Whoever passes waits while it is away. */
const openServer = async ({ start, end }: Programs, directory: string, fault: Fault) => {
  const data = join(directory, 'data')
  const startAt = (port: number) =>
    start(
      fault === 'reply-before-commit'
        ? [join(PROGRAMS, 'hasty-server.ts'), data, String(port)]
        : [CLI, 'serve', '--port', String(port), '--data', data, '--config', directory, '--log-level', 'warn'],
    )
  // The first one leaves its compiled code when it ends; those that are killed leave none.
  const first = await startAt(0)
  const port = Number(/:(\d+)$/.exec(first.line)?.[1])
  await setUp(`http://127.0.0.1:${port}`)
  await end(first.child, 'SIGTERM')
  let { child } = await startAt(port)
  let passage = Promise.resolve()
  let kills = 0
  return {
    port,
    kills: () => kills,
    pass: (): Promise<void> => passage,
    kill: async (): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>()
      passage = promise
      kills += 1
      await end(child, 'SIGKILL')
      ;({ child } = await startAt(port))
      resolve()
    },
    stop: (): Promise<number | null> => end(child, 'SIGTERM'),
  }
}

/** Workers and services, each in its place; the next in turn is killed. */
const openCrew = ({ start, end }: Programs, url: string, { directory, workers, services }: StormOptions) => {
  const members = new Map<string, ChildProcess>()
  const urls: string[] = []
  let kills = 0
  let turn = 0

  const startWorker = async (place: number, life: number): Promise<void> => {
    const name = `worker-${place}`
    const { child } = await start([join(PROGRAMS, 'storm-request-worker.ts'), url, CONTRACT, `${name}.${life}`, String(LEASE_SECONDS), directory])
    members.set(name, child)
  }
  const startService = async (place: number, life: number): Promise<void> => {
    const name = `service-${place}`
    const { child, line } = await start([join(PROGRAMS, 'storm-service.ts'), url, CONTRACT, SERVICE_CALLER, `${name}.${life}`, directory])
    members.set(name, child)
    urls[place] = line.split(' ')[1] ?? ''
  }
  const replace = async (name: string, again: (life: number) => Promise<void>): Promise<void> => {
    const child = members.get(name)
    // It may still be on its way.
    if (child === undefined || !members.delete(name)) return
    kills += 1
    await end(child, 'SIGKILL')
    await again(kills)
  }

  return {
    ready: Promise.all([...Array.from({ length: workers }, (_, place) => startWorker(place, 0)), ...Array.from({ length: services }, (_, place) => startService(place, 0))]),
    kills: () => kills,
    serviceUrl: (): string => urls[(turn += 1) % services] ?? '',
    killWorker: (): Promise<void> => {
      const place = kills % workers
      return replace(`worker-${place}`, (life) => startWorker(place, life))
    },
    killService: (): Promise<void> => {
      const place = kills % services
      return replace(`service-${place}`, (life) => startService(place, life))
    },
  }
}

const linesOf = (file: string): readonly string[] => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [])

const effectsIn = (directory: string): readonly EffectSeen[] =>
  linesOf(join(directory, EFFECTS_FILE)).map((line) => {
    const [workItem = '', lease] = line.split(' ')
    return { workItem, lease: Number(lease) }
  })

const toldIn = (directory: string): readonly WorkerSaw[] =>
  linesOf(join(directory, TOLD_FILE)).map((line) => {
    const [workItem = '', lease, told, position = ''] = line.split(' ')
    return { workItem, lease: Number(lease), told: told as WorkerSaw['told'], position }
  })

const judge = (directory: string, calls: readonly Exchange[]): Promise<Verdict> =>
  withLog(join(directory, 'data'), (reader) => checkRequestHistory({ log: logOf(reader), calls, workers: toldIn(directory), effects: effectsIn(directory), isAtRest: true }))

/** Starts a server, workers and services, and begins to call. */
export const openStorm = async (options: StormOptions): Promise<Storm> => {
  const { directory, fault, seed } = options
  mkdirSync(directory, { recursive: true })
  const programs = openPrograms(directory)
  const server = await openServer(programs, directory, fault)
  const direct = `http://127.0.0.1:${server.port}`
  const { random } = virtualWorld({ seed })
  const proxy: LossyProxy | undefined = fault === 'answer-lost' ? await openLossyProxy({ port: () => server.port, share: LOST_SHARE, random }) : undefined
  const url = proxy?.url ?? direct
  const crew = openCrew(programs, url, options)
  await crew.ready

  const calls: Calls = openCalls({
    ...options,
    random: virtualWorld({ seed }).random,
    // Every second request goes to a service.
    targetOf: (number) =>
      number % 2 === 0
        ? { workItem: `request/${CONTRACT}/${DIRECT_CALLER}/r-${number}`, url: `${url}/v1/contracts/${CONTRACT}/requests/r-${number}` }
        : { workItem: `request/${CONTRACT}/${SERVICE_CALLER}/r-${number}`, url: `${crew.serviceUrl()}/r-${number}` },
    pass: server.pass,
  })

  return {
    done: Promise.race([calls.done, programs.failed]),
    replies: calls.replies,
    pending: calls.pending,
    contradicted: calls.contradicted,
    killServer: server.kill,
    killWorker: crew.killWorker,
    killService: crew.killService,
    counts: () => ({ serverKills: server.kills(), otherKills: crew.kills(), cut: calls.cut(), answersLost: proxy?.lost() ?? 0 }),
    close: async () => {
      // What a worker has heard last is in its file a moment later.
      await pause(realWorld, 0)
      const code = await server.stop()
      await programs.close()
      await proxy?.close()
      return code
    },
    judge: () => judge(directory, calls.exchanges()),
  }
}

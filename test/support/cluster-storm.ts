// A storm over a cluster: tasks are put and worked through any of its servers while these are killed with SIGKILL, alone or all at once, and started again, at once or later.
// How far it has come is read from the log itself, over a connection that no server knows of.
import { connect } from '../../src/client/index.ts'
import { compareWithRebuilt } from '../../src/projections/rebuild.ts'
import { openKurrentStore, type KurrentStore } from '../../src/store/kurrent/store.ts'
import type { Position } from '../../src/store/port.ts'
import { realWorld } from '../../src/world.ts'
import type { Cluster, ClusterServer } from './cluster.ts'
import { right } from './engine.ts'
import { virtualWorld } from './virtual-world.ts'
import { auditTasks, openCrew, type Audit, type Queue } from './task-storm.ts'

export interface ClusterStormOptions extends Queue {
  readonly cluster: Cluster
  readonly tasks: number
  readonly workers: number
  readonly concurrency: number
  readonly leaseSeconds: number
  /** Times at which servers are killed, spread evenly over what is done. */
  readonly kills: number
  /** Workers that are killed beside. */
  readonly workerKills: number
  readonly random: () => number
  readonly say?: (line: string) => void
}

export interface Appends {
  readonly stored: number
  readonly conflicts: number
}

export interface ClusterStorm {
  readonly seconds: number
  /** How long nothing was completed at the longest, and how many were completed by then. */
  readonly longestPause: { readonly ms: number; readonly at: number }
  readonly killed: number
  readonly workersKilled: number
  /** Endings that came too late and were refused. */
  readonly stale: number
  /** Of the lives of servers that could be asked before they were killed or ended. */
  readonly appends: Appends
}

/** Of all kills, those of all servers at once. */
const ALL_AT_ONCE = 0.15
/** Of the others, those after which the server comes again at once. */
const AT_ONCE = 0.5
const ASK_MS = 5_000
/** Told when it is over. */
const LONG_PAUSE_MS = 5_000
/** Tasks put in one go; what a kill left in doubt is put again under the same ids. */
const TOGETHER = 2_000

/** Chance that a seed gives again; the first numbers of a small seed are small themselves. */
export const chanceOf = (seed: number): (() => number) => {
  const { random } = virtualWorld({ seed })
  for (let passed = 0; passed < 10; passed += 1) random()
  return random
}

/** What a server has appended in this life; nothing if it does not say. */
export const appendsOf = async ({ url }: ClusterServer): Promise<Appends> => {
  const text = await fetch(`${url()}/metrics`, { signal: AbortSignal.timeout(ASK_MS) }).then(
    (answer) => answer.text(),
    () => '',
  )
  const of = (outcome: string): number => Number(new RegExp(`^stint_log_appends_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { stored: of('stored'), conflicts: of('conflict') }
}

/** Puts tasks `t-0` to `t-N`, at one server after another, until each is known to be there. */
export const putTasks = async ({ servers }: Cluster, queue: Queue, tasks: number, prefix = 't'): Promise<void> => {
  let turn = 0
  for (let put = 0; put < tasks; put += TOGETHER) {
    let left = Array.from({ length: Math.min(TOGETHER, tasks - put) }, (_, n) => ({ id: `${prefix}-${put + n}`, payload: { n: put + n } }))
    while (left.length > 0) {
      const stint = connect({ url: servers[(turn += 1) % servers.length]?.url() ?? '' })
      const done = await stint.producer({ ...queue, retrySeconds: 5 }).putMany(left)
      await stint.close()
      const missing = new Set(done.filter(({ error }) => error !== undefined).map(({ id }) => id))
      left = left.filter(({ id }) => missing.has(id))
    }
  }
}

/** Kills servers and lets them come again, at given numbers of completed tasks. */
const killer = ({ cluster, tasks, kills, random, say = () => undefined }: ClusterStormOptions) => {
  const every = tasks / (kills + 1)
  let killed = 0
  let rounds = 0
  const appends = { stored: 0, conflicts: 0 }
  let work: Promise<unknown> = Promise.resolve()
  /** Servers that are dead, with the number of completed tasks at which they come again. */
  const dead = new Map<ClusterServer, number>()

  const note = async (server: ClusterServer): Promise<void> => {
    const { stored, conflicts } = await appendsOf(server)
    appends.stored += stored
    appends.conflicts += conflicts
  }
  const killOne = async (server: ClusterServer): Promise<void> => {
    await note(server)
    await server.kill()
    killed += 1
  }
  const round = async (completed: number): Promise<void> => {
    const up = cluster.up()
    if (up.length === 0) return
    if (random() < ALL_AT_ONCE) {
      say(`${completed} done: all killed`)
      await Promise.all(up.map(killOne))
      await Promise.all(up.map(({ start }) => start()))
      return
    }
    const victim = up[Math.floor(random() * up.length)] as ClusterServer
    const isLast = up.length === 1
    const isBack = isLast || random() < AT_ONCE
    say(`${completed} done: ${victim.name} killed${isBack ? '' : ', and left dead'}`)
    await killOne(victim)
    if (isBack) await victim.start()
    else dead.set(victim, completed + every * (0.3 + random()))
  }
  return {
    /** So many tasks are completed now. */
    at: (completed: number): void => {
      for (const [server, again] of dead) {
        if (completed < again) continue
        dead.delete(server)
        work = work.then(server.start).then(() => say(`${server.name} is back`))
      }
      if (rounds >= kills || completed < every * (rounds + 1)) return
      rounds += 1
      work = work.then(() => round(completed))
    },
    settled: async (): Promise<void> => {
      await work
      await Promise.all([...dead.keys()].map(({ start }) => start()))
      await Promise.all(cluster.up().map(note))
    },
    killed: () => killed,
    appends,
  }
}

/** Counts completions as the log gets them, after a position or from its beginning; resolves at the last one. */
export const watchCompletions = async (store: KurrentStore, { app, queue }: Queue, tasks: number, onCompleted: (count: number) => void, after?: Position): Promise<void> => {
  const prefix = `workItem-task/${app}/${queue}/`
  const completed = new Set<string>()
  for await (const said of store.subscribe({ ...(after === undefined ? {} : { after }), signal: new AbortController().signal })) {
    if (said.type !== 'event' || said.event.type !== 'Completed' || !said.event.stream.startsWith(prefix)) continue
    completed.add(said.event.stream)
    onCompleted(completed.size)
    if (completed.size === tasks) return
  }
}

/** Resolves when every task is completed and every server is up. */
export const stormOver = async (options: ClusterStormOptions): Promise<ClusterStorm> => {
  const { cluster, app, queue, tasks, workerKills, say = () => undefined } = options
  const store = await openKurrentStore({ connectionString: cluster.connectionString })
  const crew = openCrew({ ...options, urls: cluster.servers.map(({ url }) => url()) })
  const kill = killer(options)
  try {
    await crew.ready
    const began = realWorld.monotonic()
    let lastAt = Infinity
    let longestPause = { ms: 0, at: 0 }
    const done = watchCompletions(store, { app, queue }, tasks, (count) => {
      const now = realWorld.monotonic()
      if (now - lastAt > LONG_PAUSE_MS) say(`${count - 1} done: nothing more for ${((now - lastAt) / 1_000).toFixed(1)} s`)
      if (now - lastAt > longestPause.ms) longestPause = { ms: now - lastAt, at: count - 1 }
      lastAt = now
      kill.at(count)
      if (crew.killed() < workerKills && count >= (tasks / (workerKills + 1)) * (crew.killed() + 0.5)) crew.replaceOne()
    })
    await Promise.all([putTasks(cluster, { app, queue }, tasks), done])
    const seconds = (realWorld.monotonic() - began) / 1_000
    await kill.settled()
    return { seconds, longestPause, killed: kill.killed(), workersKilled: crew.killed(), stale: crew.stale(), appends: kill.appends }
  } finally {
    await crew.close()
    await store.close()
  }
}

export interface Judgement extends Audit {
  /** What is wrong with the tables of a server: how they differ from a replay, or that they have not come to the end. */
  readonly differences: readonly string[]
  /** Of the whole log. */
  readonly events: number
}

const CAUGHT_UP_SECONDS = 60

/** Waits until a server's tables have come to a position, by asking it for a list as of then. */
export const caughtUp = async ({ url }: ClusterServer, position: Position): Promise<void> => {
  const until = realWorld.monotonic() + CAUGHT_UP_SECONDS * 1_000
  for (;;) {
    const answer = await fetch(`${url()}/v1/jobs?limit=1`, { headers: { 'Stint-Position': position } })
    await answer.arrayBuffer()
    if (answer.ok) return
    if (realWorld.monotonic() > until) throw new Error(`${url()} did not come to the end of the log: ${answer.status}`)
  }
}

/** Reads the log, lets every server catch up and stop, and holds the tables of each against a replay. */
export const judge = async (cluster: Cluster, queue: Queue): Promise<Judgement> => {
  const store = await openKurrentStore({ connectionString: cluster.connectionString })
  try {
    const { position } = right(await store.head()())
    await Promise.all(cluster.up().map((server) => caughtUp(server, position)))
    await Promise.all(cluster.up().map(({ stop }) => stop()))
    const audit = await auditTasks(store, queue)
    const differences: string[] = []
    let events = 0
    for (const { name, tablesFile } of cluster.servers) {
      const compared = await compareWithRebuilt({ reader: store, keptFile: tablesFile, world: realWorld })
      events = Math.max(events, compared.events)
      if (compared.position < position) differences.push(`${name} has come to ${compared.position} of ${position}`)
      for (const { table, key } of compared.differences) differences.push(`${name}: ${table} ${key}`)
    }
    return { ...audit, differences, events }
  } finally {
    await store.close()
  }
}

/** Whether everything went as it must. */
export const isSound = (tasks: number, { tasks: found, completedOnce, wrong, differences }: Judgement): boolean =>
  found === tasks && completedOnce === tasks && wrong.length === 0 && differences.length === 0

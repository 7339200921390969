// A storm of tasks: worker processes that are killed with SIGKILL and replaced, or frozen until others have their tasks, while a queue is worked through; and what the
// log says afterwards of every single task.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { HistoryEvent, Stint, Task } from '../../src/client/index.ts'
import { withLog } from '../../src/offline/log.ts'
import type { EventReader, Position } from '../../src/store/port.ts'
import { right } from './engine.ts'

/** Of each worker, whether it can be stopped with a task in its hands. */
const TRIED_EACH = 3
const PROGRAM = join(import.meta.dirname, '..', 'recovery', 'programs', 'storm-worker.ts')

export interface Queue {
  readonly app: string
  readonly queue: string
}

export interface CrewOptions extends Queue {
  /** Of servers over one log; the workers are spread over them. */
  readonly urls: readonly string[]
  readonly workers: number
  readonly concurrency: number
  /** What each worker leases ahead (0). */
  readonly prefetch?: number
  readonly leaseSeconds: number
}

export interface Crew {
  /** Resolves when every worker works. */
  readonly ready: Promise<unknown>
  /** Kills the next worker in turn that is not frozen with SIGKILL and starts another in its place. */
  readonly replaceOne: () => void
  /** Stops the next worker in turn that holds tasks, and lets it go on when the lease of one of them has ended: what it says of that task is stale by then. */
  readonly freezeOne: (admin: Stint) => Promise<void>
  readonly killed: () => number
  readonly frozen: () => number
  /** Tasks that ended in a worker when they were somebody else's, or done by somebody else: refused, not counted. */
  readonly stale: () => number
  /** Ends all of them with SIGTERM; they give back or finish what they hold. */
  readonly close: () => Promise<void>
}

interface Member {
  readonly name: string
  readonly child: ChildProcess
  readonly output: Interface
  readonly working: Promise<unknown>
  readonly ended: Promise<unknown>
  isFrozen: boolean
}

/** The next event of a task that is one of these. */
const first = async (admin: Stint, { workItem, position }: Task, types: readonly string[]): Promise<HistoryEvent | undefined> => {
  for await (const event of admin.events({ workItem, after: position, types })) return event
  return undefined
}

export const openCrew = ({ urls, app, queue, workers, concurrency, prefetch = 0, leaseSeconds }: CrewOptions): Crew => {
  const members: Member[] = []
  let turn = 0
  let killed = 0
  let frozen = 0
  let stale = 0

  const start = (place: number, life: number): void => {
    const name = `worker-${place}.${life}`
    const child = spawn(process.execPath, [PROGRAM, urls[place % urls.length] ?? '', app, queue, name, String(concurrency), String(leaseSeconds), String(prefetch)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const output = createInterface({ input: child.stdout })
    output.on('line', (line) => (stale += line === 'stale' ? 1 : 0))
    members[place] = { name, child, output, working: once(output, 'line'), ended: once(child, 'close'), isFrozen: false }
  }
  for (let place = 0; place < workers; place += 1) start(place, 1)

  const next = (): { readonly place: number; readonly member: Member } => {
    for (;;) {
      const place = (turn += 1) % workers
      const member = members[place]
      if (member !== undefined && !member.isFrozen) return { place, member }
    }
  }

  const endAll = (): void => {
    for (const { child } of members) child.kill('SIGKILL')
  }
  process.once('exit', endAll)

  return {
    ready: Promise.all(members.map(({ working }) => working)),
    replaceOne: () => {
      const { place, member } = next()
      member.child.kill('SIGKILL')
      killed += 1
      start(place, killed + 1)
    },
    freezeOne: async (admin) => {
      // One that is stopped may have told of all that it held just before: then the next is tried.
      for (let tried = 0; tried < TRIED_EACH * workers; tried += 1) {
        const { member } = next()
        member.child.kill('SIGSTOP')
        member.isFrozen = true
        const { items } = await admin.tasks.list({ app, queue }, { state: 'running', limit: 1_000 })
        // Of what a worker holds it tells of the youngest last.
        const held = items.findLast(({ holder }) => holder?.name === member.name)
        const ending = held === undefined ? undefined : await first(admin, held, ['LeaseExpired', 'Completed'])
        frozen += ending?.type === 'LeaseExpired' ? 1 : 0
        const said = once(member.output, 'line')
        member.child.kill('SIGCONT')
        // It is not killed before it has told of the task that it has lost.
        if (ending?.type === 'LeaseExpired') await said
        member.isFrozen = false
        if (ending?.type === 'LeaseExpired') return
      }
    },
    killed: () => killed,
    frozen: () => frozen,
    stale: () => stale,
    close: async () => {
      for (const { child } of members) child.kill('SIGTERM')
      await Promise.all(members.map(({ ended }) => ended))
      process.off('exit', endAll)
    },
  }
}

/** What the log says of the tasks of a queue. */
export interface Audit {
  readonly tasks: number
  readonly leases: number
  readonly expired: number
  readonly givenBack: number
  /** Tasks that were completed once, by the holder of the lease that was current then, and nothing else settled them. */
  readonly completedOnce: number
  /** Those of which that is not so. */
  readonly wrong: readonly string[]
}

interface Life {
  /** The lease that is current, undefined while nobody holds it. */
  lease: number | undefined
  endings: number
  isWrong: boolean
}

const PAGE = 10_000

/** Reads a log from its first event; the tasks are those of one queue, or of all queues of an app. */
export const auditTasks = async (reader: EventReader, { app, queue }: Pick<Queue, 'app'> & Partial<Queue>): Promise<Audit> => {
  const lives = new Map<string, Life>()
  const counts = { leases: 0, expired: 0, givenBack: 0 }
  const prefix = `workItem-task/${app}/${queue === undefined ? '' : `${queue}/`}`

  const take = (stream: string, type: string, data: string): void => {
    const { lease } = JSON.parse(data) as { readonly lease?: number }
    const life = lives.get(stream) ?? { lease: undefined, endings: 0, isWrong: false }
    lives.set(stream, life)
    if (type === 'Leased') {
      // A second holder while there is a first.
      life.isWrong ||= life.lease !== undefined || life.endings > 0
      life.lease = lease
      counts.leases += 1
    } else if (type === 'LeaseExpired' || type === 'LeaseReleased') {
      life.isWrong ||= life.lease !== lease
      life.lease = undefined
      counts[type === 'LeaseExpired' ? 'expired' : 'givenBack'] += 1
    } else if (type === 'Completed') {
      life.isWrong ||= life.lease !== lease
      life.lease = undefined
      life.endings += 1
    } else if (type !== 'TaskInserted' && type !== 'LeaseExtended') life.isWrong = true
  }

  for (let after: Position | undefined; ;) {
    const page = right(await reader.readAll({ ...(after === undefined ? {} : { after }), max: PAGE })())
    for (const { stream, type, data: said } of page) if (stream.startsWith(prefix)) take(stream, type, said)
    after = page.at(-1)?.position ?? after
    if (page.length < PAGE) break
  }
  const wrong = [...lives].filter(([, { endings, isWrong }]) => isWrong || endings !== 1).map(([stream]) => stream)
  return { ...counts, tasks: lives.size, completedOnce: lives.size - wrong.length, wrong }
}

/** Reads a data directory from its first event. */
export const auditLog = (data: string, queue: Queue): Promise<Audit> => withLog(data, (reader) => auditTasks(reader, queue))

// Who plays in the act of the task queues: an application outside and the workers of one inside, each a process of its own on loopback; and what the story does to them.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Order } from './archive.ts'
import { listeningAt } from './cast.ts'
import { programOf, type Child, type Nursery } from './children.ts'
import { messageOf, type Message } from './talk.ts'
import { readTaskLedger, type Told } from './task-ledger.ts'
import type { Mood, WorkerFigure } from './worker-board.ts'

export const WORKER_NAMES = ['worker-1', 'worker-2', 'worker-3', 'worker-4'] as const

export interface QueueCastSetting {
  readonly nursery: Nursery
  readonly stintUrl: string
  readonly publisherToken: string
  readonly workerToken: string
  /** Directory for all that the processes write. */
  readonly directory: string
  /** What each worker takes on in a second. */
  readonly bytesPerSecond: number
}

/** What somebody was told who may not lease. */
export interface Refusal {
  readonly status: number
  readonly code?: string
  readonly detail: string
}

export interface PublisherSeat {
  readonly url: string
  readonly child: Child
  /** Puts tasks into the queue; answers their ids. Those with a higher priority go first. Throws when one was refused. */
  readonly order: (files: readonly Order[], priority?: number) => Promise<readonly string[]>
  /** Tries to lease a task. */
  readonly tryToLease: () => Promise<Refusal>
}

export interface WorkerSeat {
  readonly name: string
  readonly child: Child
  readonly figure: () => WorkerFigure
  readonly setBusy: (isBusy: boolean) => void
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  readonly suspend: () => void
  readonly resume: () => void
  /** What Stint told it. */
  readonly told: () => readonly Told[]
}

export interface QueueCast {
  readonly publisher: PublisherSeat
  readonly workers: readonly WorkerSeat[]
  /** The archive: where the workers write. */
  readonly into: string
  /** Ends all of them in order. */
  readonly close: () => Promise<void>
}

const postTo = async <Answer>(url: string, body: unknown): Promise<Answer> => {
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`Expected ${url} to take the request, but the answer was ${response.status}: ${await response.text()}`)
  return (await response.json()) as Answer
}

const seatPublisher = async ({ nursery, stintUrl, publisherToken }: QueueCastSetting): Promise<PublisherSeat> => {
  const child = nursery.start('publisher', programOf('publisher'), ['--stint', stintUrl], { STINT_TOKEN: publisherToken })
  const url = await listeningAt(child)
  return {
    url,
    child,
    order: async (files, priority) => (await postTo<{ readonly ids: readonly string[] }>(`${url}/orders`, { files, priority })).ids,
    tryToLease: () => postTo<Refusal>(`${url}/lease`, {}),
  }
}

type Figures = Extract<Message, { readonly type: 'figures' }>

const seatWorker = (setting: QueueCastSetting, into: string, name: string): WorkerSeat => {
  const { nursery, stintUrl, workerToken, directory, bytesPerSecond } = setting
  const busy = join(directory, `${name}.busy`)
  const ledger = join(directory, `told-${name}.jsonl`)
  const options = { name, stint: stintUrl, into, ledger, busy, 'bytes-per-second': String(bytesPerSecond) }
  const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])
  const child = nursery.start(name, programOf('archive-worker'), args, { STINT_TOKEN: workerToken })
  let figures: Figures = { type: 'figures', inHand: 0, completed: 0, givenBack: 0, isBusy: false }
  let isSuspended = false
  child.hear((line) => {
    const message = messageOf(line)
    if (message?.type === 'figures') figures = message
  })

  const mood = (): Mood => {
    if (child.hasEnded()) return 'killed'
    if (isSuspended) return 'stands still'
    if (figures.isBusy) return 'busy'
    return figures.inHand > 0 ? 'at work' : 'idle'
  }
  return {
    name,
    child,
    figure: () => ({ name, pid: child.pid, mood: mood(), inHand: figures.inHand, completed: figures.completed, givenBack: figures.givenBack }),
    setBusy: (isBusy) => (isBusy ? writeFileSync(busy, '') : rmSync(busy, { force: true })),
    kill: () => child.end('SIGKILL'),
    suspend: () => {
      isSuspended = true
      child.suspend()
    },
    resume: () => {
      isSuspended = false
      child.resume()
    },
    told: () => readTaskLedger(ledger),
  }
}

export const assembleQueueCast = async (setting: QueueCastSetting): Promise<QueueCast> => {
  const into = join(setting.directory, 'archive')
  mkdirSync(into)
  const workers = WORKER_NAMES.map((name) => seatWorker(setting, into, name))
  const publisher = await seatPublisher(setting)
  return {
    publisher,
    workers,
    into,
    close: async () => {
      await Promise.all([publisher, ...workers].map(({ child }) => child.end('SIGTERM')))
    },
  }
}

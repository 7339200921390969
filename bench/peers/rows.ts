// What is compared: the loads, the rows that each of them gives, and what Stint is to reach in them.
import type { Aim } from '../row.ts'
import { numberText } from '../row.ts'

const thousands = (count: number): string => count.toLocaleString('en-US')

/** Jobs that wait when a queue is drained. The longest is measured on demand: it takes minutes to fill. */
export const DEPTHS = [1_000, 10_000, 100_000] as const
export const MILLION = 1_000_000
const ALL_DEPTHS = [...DEPTHS, MILLION] as const
/** The length at which memory is looked at. */
export const MEMORY_DEPTH = 100_000
export const DRAINED = 20_000
export const WAITING_WORKERS = 1_000

/** Each load has a server and a client of its own. */
export type LoadName = 'enqueue' | 'drain' | 'together' | 'pick-up' | 'requests' | `depth-${(typeof ALL_DEPTHS)[number]}` | 'idle' | 'idle-many'

/** What `--rows` knows, and which loads that is. */
export const GROUPS = {
  enqueue: ['enqueue'],
  drain: ['drain'],
  together: ['together'],
  'pick-up': ['pick-up'],
  requests: ['requests'],
  depth: DEPTHS.map((depth) => `depth-${depth}` as const),
  million: [`depth-${MILLION}`],
  idle: ['idle', 'idle-many'],
} as const satisfies Readonly<Record<string, readonly LoadName[]>>

export type GroupName = keyof typeof GROUPS

export const groupNames = Object.keys(GROUPS) as readonly GroupName[]
/** All but the long one. */
export const usualGroups = groupNames.filter((name) => name !== 'million')

/** The length of a load of depth; undefined for the others. */
export const depthOf = (load: LoadName): number | undefined => (load.startsWith('depth-') ? Number(load.slice('depth-'.length)) : undefined)

/** Queues that every system has, if it has queues. */
export const QUEUES = ['warm-up', 'work', 'work-2', 'work-3', 'work-4', 'work-5'] as const

/** Names of rows, the same in every run. */
export const ROW = {
  one: 'Enqueue, 1 caller',
  many: 'Enqueue, 64 callers',
  batches: 'Enqueue in batches of 100, 4 callers',
  drain: `Drain ${thousands(DRAINED)} jobs with 32 handlers`,
  together: 'Producer with 64 callers and worker with 32 handlers together',
  pickUp50: 'Pick-up of a new job, 50 a second, p50',
  pickUp99: 'Pick-up of a new job, 50 a second, p99',
  requests: 'Request, handler and reply, 64 callers',
  again: 'The same requests again, stored replies, 64 callers',
  depth: (depth: number): string => `Drain with ${thousands(depth)} jobs queued`,
  memory: (depth: number): string => `Memory of the server with ${thousands(depth)} jobs queued`,
  idle: 'CPU of the server while a worker waits',
  idleMany: `CPU of the server while ${thousands(WAITING_WORKERS)} workers wait`,
} as const

/** What an aim may look at: middles of the same run, undefined where there are none. */
export interface Reached {
  readonly stint: (row: string) => number | undefined
  /** The best of the durable peers. */
  readonly best: (row: string) => number | undefined
  /** Requests a second of the bare skeleton. */
  readonly skeleton: number | undefined
}

export interface RowKind {
  readonly row: string
  readonly load: LoadName
  /** Of the plot's file. */
  readonly slug: string
  readonly isLessBetter: boolean
  readonly aim?: (reached: Reached) => Aim
}

const OF_BEST = 1.1
const OF_SKELETON = 0.85
const FLAT = 0.75
const MEMORY_MIB = 150
const KIB_OF_MIB = 1_024

const firstAim = ({ best, skeleton }: Reached): Aim => {
  const least = Math.max(OF_BEST * (best(ROW.one) ?? 0), OF_SKELETON * (skeleton ?? 0))
  return { least, words: `≥ ${numberText(Math.round(least))}: ${OF_BEST} × the best durable peer, ${OF_SKELETON * 100} % of the bare skeleton` }
}

const flatAim = ({ stint }: Reached): Aim => ({ least: FLAT * (stint(ROW.depth(DEPTHS[0])) ?? 0), words: `≥ ${FLAT} × with ${thousands(DEPTHS[0])}` })

/** A kibibyte for each job beyond those that are counted in the base. */
const memoryAim = (depth: number): Aim => ({
  most: MEMORY_MIB + (depth - MEMORY_DEPTH) / KIB_OF_MIB,
  ...(depth === MEMORY_DEPTH ? {} : { words: `≤ ${MEMORY_MIB} MiB and 1 KiB for each beyond ${thousands(MEMORY_DEPTH)}` }),
})

const kind = (row: string, load: LoadName, slug: string, aim?: RowKind['aim'], isLessBetter = false): RowKind => ({
  row,
  load,
  slug,
  isLessBetter,
  ...(aim === undefined ? {} : { aim }),
})
const least = (bound: number) => (): Aim => ({ least: bound })
const most = (bound: number) => (): Aim => ({ most: bound })

export const rowKinds: readonly RowKind[] = [
  kind(ROW.one, 'enqueue', 'enqueue-1', firstAim),
  kind(ROW.many, 'enqueue', 'enqueue-64', least(40_000)),
  kind(ROW.batches, 'enqueue', 'enqueue-batches', least(62_000)),
  kind(ROW.drain, 'drain', 'drain', least(55_000)),
  kind(ROW.together, 'together', 'together', least(18_000)),
  kind(ROW.pickUp50, 'pick-up', 'pick-up-p50', most(1.2), true),
  kind(ROW.pickUp99, 'pick-up', 'pick-up-p99', most(3.5), true),
  kind(ROW.requests, 'requests', 'requests', least(12_000)),
  kind(ROW.again, 'requests', 'requests-again', least(60_000)),
  ...ALL_DEPTHS.map((depth) => kind(ROW.depth(depth), `depth-${depth}`, `depth-${depth}`, depth === DEPTHS[0] ? undefined : flatAim)),
  ...[MEMORY_DEPTH, MILLION].map((depth) => kind(ROW.memory(depth), `depth-${depth as typeof MILLION}`, `memory-${depth}`, () => memoryAim(depth), true)),
  kind(ROW.idle, 'idle', 'idle', undefined, true),
  kind(ROW.idleMany, 'idle-many', 'idle-many', most(0.5), true),
]

export const kindOf = (row: string): RowKind | undefined => rowKinds.find((each) => each.row === row)

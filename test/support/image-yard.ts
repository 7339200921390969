// A Stint and three implementation nodes as processes, which work on real disk images. Each of them can be killed and started again; everything between the second node and Stint
// goes over lines on which anything can happen. What each node did is written down beside Stint, and held against the table and the nodes' own logs in the end.
import * as E from 'fp-ts/lib/Either.js'
import type { ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { connect, type HistoryEvent, type LongTaskShown, type Management, type Stint } from '../../src/client/index.ts'
import { withLog } from '../../src/offline/log.ts'
import { verifyData, type Verified } from '../../src/offline/verify.ts'
import type { EventReader, Position, RecordedEvent } from '../../src/store/port.ts'
import { realWorld } from '../../src/world.ts'
import { openBadLine, type BadLine, type Condition } from './bad-line.ts'
import { right } from './engine.ts'
import { watchEvents, type EventWatch } from './event-watch.ts'
import { openPrograms, type Programs } from './programs.ts'
import { NODE_LOG, readRuns, type Run } from './runs.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const CLI = join(ROOT, 'src', 'cli', 'main.ts')
const NODE = join(ROOT, 'test', 'capabilities', 'programs', 'image-node.ts')

export const NODES = ['disk-1', 'disk-2', 'disk-3'] as const
/** The one behind lines. */
const CUT_OFF = 'disk-2'

export interface Seat {
  readonly name: string
  /** Its images are there. */
  readonly directory: string
  /** Resolves when its new process listens and has gone on with what the one before left. */
  readonly start: () => Promise<void>
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  readonly stop: () => Promise<number | null>
  /** What it did, by long task. */
  readonly runs: () => ReadonlyMap<string, readonly Run[]>
  /** The first run, before or to come, that fits. */
  readonly ran: (fits: (run: Run) => boolean) => Promise<Run>
  /** The lines between it and Stint; none unless it is the one behind them. */
  readonly become: (condition: Condition) => void
  /** From Stint to it, and from it to Stint. */
  readonly lines: readonly BadLine[]
}

export interface Yard {
  readonly data: string
  readonly stint: Stint
  readonly management: Management
  readonly events: EventWatch
  readonly seat: (name: (typeof NODES)[number]) => Seat
  readonly killStint: () => Promise<void>
  readonly startStint: () => Promise<void>
  /** Rejects when a process has ended without having been told to. */
  readonly failed: Promise<never>
  /** Ends the nodes in order, holds the table against what they did, and ends Stint. */
  readonly judge: () => Promise<Judgement>
  readonly close: () => Promise<void>
}

export interface Judgement {
  /** Every long task, with its history. */
  readonly tasks: readonly { readonly shown: LongTaskShown; readonly history: readonly HistoryEvent[] }[]
  /** In which what the table says is not what its node did, as sentences. */
  readonly differences: readonly string[]
  /** Runs that nodes have begun. */
  readonly begun: number
  /** Chain and tables of Stint and of each node, by name. */
  readonly verified: ReadonlyMap<string, Verified>
  /** How the processes ended. */
  readonly codes: readonly (number | null)[]
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })

const runOf = (line: string): Run | undefined => {
  const said = line.startsWith('{') ? (JSON.parse(line) as Run & { readonly type?: string }) : undefined
  return said?.type === 'run' ? said : undefined
}

const openSeat = async ({ start, end }: Programs, name: string, directory: string, stintPort: number): Promise<Seat> => {
  const port = await freePort()
  const lines = name === CUT_OFF ? await Promise.all([openBadLine(() => port), openBadLine(() => stintPort)]) : []
  const [toNode, toStint] = lines
  const command = [NODE, '--name', name, '--directory', directory, '--port', String(port), '--stint', toStint?.url ?? `http://127.0.0.1:${stintPort}`]
  const runs: Run[] = []
  const waiting = new Set<() => void>()
  let child: ChildProcess | undefined
  const hear = (line: string): void => {
    const run = runOf(line)
    if (run === undefined) return
    runs.push(run)
    for (const look of [...waiting]) look()
  }
  const ended = (signal: NodeJS.Signals): Promise<number | null> => (child === undefined ? Promise.resolve(null) : end(child, signal))
  return {
    name,
    directory,
    lines,
    start: async () => {
      ;({ child } = await start(toNode === undefined ? command : [...command, '--url', toNode.url], hear))
    },
    kill: async () => void (await ended('SIGKILL')),
    stop: () => ended('SIGTERM'),
    runs: () => readRuns(directory),
    ran: (fits) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = runs.find(fits)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
    become: (condition) => {
      for (const line of lines) line.become(condition)
    },
  }
}

/** How it ended, in one form for table, history and log. */
const endOf = (type: string, data: Readonly<Record<string, unknown>>): unknown => {
  if (type === 'Completed') return { completed: data['result'] }
  if (type === 'Failed') return { failed: data['code'] }
  return type === 'Aborted' || type === 'Cancelled' ? 'aborted' : undefined
}

/** The end of each operation by the node's own log, by long task. */
const endsIn = async (reader: EventReader): Promise<ReadonlyMap<string, unknown>> => {
  const ends = new Map<string, unknown>()
  for (let after: Position | undefined; ;) {
    const events: readonly RecordedEvent[] = right(await reader.readAll({ max: 1_000, ...(after === undefined ? {} : { after }) })())
    for (const { stream, type, data } of events) {
      const end = endOf(type, JSON.parse(data ?? '{}') as Record<string, unknown>)
      const id = /long-task\/(.+)$/.exec(decodeURIComponent(stream))?.[1]
      if (end !== undefined && id !== undefined) ends.set(id, end)
    }
    after = events.at(-1)?.position
    if (events.length < 1_000) return ends
  }
}

const endOfRun = ({ what, result }: Run): unknown => (what === 'completed' ? { completed: result } : what === 'aborted' ? 'aborted' : { failed: what })

interface Side {
  readonly shown: LongTaskShown
  readonly history: readonly HistoryEvent[]
  /** By the node's own log. */
  readonly atNode: unknown
  readonly runs: readonly Run[]
}

/** Why what the table says of a long task is not what its node did; undefined: it is. */
const difference = ({ shown, history, atNode, runs }: Side): string | undefined => {
  const data = (type: string): Readonly<Record<string, unknown>> | undefined =>
    history.findLast((event) => event.type === type)?.data as Readonly<Record<string, unknown>> | undefined
  const settled = history.filter(({ type }) => ['Completed', 'Failed', 'Aborted', 'Cancelled', 'TimedOut'].includes(type))
  const [settling] = settled
  if (settling === undefined || settled.length !== 1) return `it settled ${settled.length} times`
  const last = runs.at(-1)
  const ran = last === undefined ? undefined : endOfRun(last)
  if (settling.type === 'TimedOut') {
    const late = data('LateResultRecorded')?.['outcome'] as Readonly<Record<string, { readonly result?: unknown }>> | undefined
    const told = late === undefined ? undefined : 'completed' in late ? { completed: late['completed']?.result } : 'aborted' in late ? 'aborted' : late
    return shown.state === 'timedOut' && isDeepStrictEqual(told, ran) ? undefined : `it timed out, its node ended with ${JSON.stringify(ran)}, and ${JSON.stringify(told)} is kept`
  }
  const end = endOf(settling.type, settling.data as Readonly<Record<string, unknown>>)
  if (runs.length === 0) return settling.type === 'Failed' ? undefined : `it ended with ${JSON.stringify(end)}, but its node never ran it`
  if (!isDeepStrictEqual(end, atNode)) return `the table has ${JSON.stringify(end)}, and the log of its node ${JSON.stringify(atNode)}`
  // What broke off with its process could not write down how it ended.
  if (isDeepStrictEqual(end, { failed: 'interrupted' })) return last?.what === 'began' ? undefined : `it was interrupted, but its run ended with ${JSON.stringify(ran)}`
  return isDeepStrictEqual(end, ran) ? undefined : `the table has ${JSON.stringify(end)}, and its run ended with ${JSON.stringify(ran)}`
}

const judgeTasks = async ({ stint }: Pick<Yard, 'stint'>, seats: readonly Seat[]) => {
  const ends = new Map<string, ReadonlyMap<string, unknown>>()
  const runs = new Map<string, ReadonlyMap<string, readonly Run[]>>()
  for (const { name, directory, runs: read } of seats) {
    ends.set(name, await withLog(join(directory, NODE_LOG), endsIn))
    runs.set(name, read())
  }
  const tasks: Judgement['tasks'][number][] = []
  const differences: string[] = []
  for await (const { id } of stint.longTasks.each()) {
    // With its arguments.
    const shown = await stint.longTasks.show(id)
    const { items: history } = await stint.longTasks.history(shown.id, { limit: 1_000 })
    tasks.push({ shown, history })
    const found = difference({ shown, history, atNode: ends.get(shown.node)?.get(shown.id), runs: runs.get(shown.node)?.get(shown.id) ?? [] })
    if (found !== undefined) differences.push(`${shown.id}: ${found}`)
  }
  const known = new Set(tasks.map(({ shown }) => shown.id))
  const all = [...runs.values()].flatMap((byTask) => [...byTask])
  differences.push(...all.filter(([id]) => !known.has(id)).map(([id]) => `${id}: its node ran it, and the table does not have it`))
  return { tasks, differences, begun: all.flatMap(([, of]) => of).filter(({ what }) => what === 'began').length }
}

/** Starts everybody; all is below `directory`. */
export const openYard = async (directory: string): Promise<Yard> => {
  const programs = openPrograms(directory)
  const data = join(directory, 'data')
  const port = await freePort()
  let child: ChildProcess
  const startStint = async (): Promise<void> => {
    ;({ child } = await programs.start([CLI, 'serve', '--port', String(port), '--data', data, '--config', directory, '--log-level', 'warn']))
  }
  await startStint()
  const stint = connect({ url: `http://127.0.0.1:${port}` })
  const events = await watchEvents(stint)
  const seats = await Promise.all(NODES.map((name) => openSeat(programs, name, join(directory, name), port)))
  await Promise.all(seats.map(({ start }) => start()))

  return {
    data,
    stint,
    management: stint.management(),
    events,
    seat: (name) => seats[NODES.indexOf(name)] as Seat,
    killStint: async () => void (await programs.end(child, 'SIGKILL')),
    startStint,
    failed: programs.failed,
    judge: async () => {
      const codes = await Promise.all(seats.map(({ stop }) => stop()))
      const judged = await judgeTasks({ stint }, seats)
      await events.close()
      await stint.close()
      codes.push(await programs.end(child, 'SIGTERM'))
      const places = [['stint', data] as const, ...seats.map((seat) => [seat.name, join(seat.directory, NODE_LOG)] as const)]
      const verified = await Promise.all(places.map(async ([name, place]) => [name, await verifyData(place, { world: realWorld })] as const))
      return { ...judged, verified: new Map(verified), codes }
    },
    close: async () => {
      await programs.close()
      await Promise.all(seats.flatMap(({ lines }) => lines.map((line) => line.close())))
      await stint.close()
    },
  }
}

/** Whether chain and tables of a data directory are as they must be. */
export const isSound = ({ chain, tables }: Verified): boolean => E.isRight(chain) && tables !== undefined && E.isRight(tables) && tables.right.equal

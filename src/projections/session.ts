// One opening of the tables file and all that hangs on it: lanes, positions, what has stopped, prepared questions. And how it is taken on, slice by slice.
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault, type Position } from '../store/port.ts'
import type { World } from '../world.ts'
import { lanesOf, mergeLevel, stepLane, type Lane } from './lane.ts'
import type { Projection, TablesReader } from './projection.ts'
import { askRequests, type RequestQuestions } from './request-lists.ts'
import { askRetired } from './retired.ts'
import { positionAt } from './sequence.ts'
import { askStatistics } from './statistics.ts'
import { openTablesFile, type TablesFile } from './tables-file.ts'
import type { TablesStatus } from './tables.ts'
import { askWorkItems, type WorkItemQuestions } from './work-item-lists.ts'

export interface SessionOptions {
  /** Path, or `:memory:`. */
  readonly file: string
  readonly reader: TablesReader
  readonly projections: readonly Projection[]
  readonly world: World
  /** Told in a sentence what an operator should know: made anew, stopped, tried again. */
  readonly onLog: (text: string) => void
  /** Told after each batch, and whenever a projection stops. */
  readonly onMoved: (status: TablesStatus, events: number) => void
  /** Nothing beyond is folded. */
  readonly upTo?: Position | undefined
}

export interface Session {
  readonly tables: TablesFile
  /** The foremost first. */
  lanes: readonly Lane[]
  /** How far each projection has come, by name. */
  readonly positions: Map<string, Position>
  readonly stopped: Map<string, string>
  /** Events of the next slice. */
  slice: number
  readonly workItems: WorkItemQuestions | undefined
  readonly statistics: ReturnType<typeof askStatistics> | undefined
  readonly requests: RequestQuestions | undefined
  readonly retired: ReturnType<typeof askRetired> | undefined
}

/** Questions are answered between slices; one that took longer is followed by a smaller one. */
const SLICE_MS = 20
const EVENTS_A_SLICE_MAX = 2_000
const EVENTS_A_SLICE_MIN = 250

/** Lets timers, messages and other requests have their turn. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const openSession = async (options: SessionOptions, isDamaged = false): Promise<Session> => {
  const { file, reader, projections, onLog } = options
  const tables = await openTablesFile({ file, reader, projections, onLog, isDamaged })
  const has = (name: string): boolean => projections.some((projection) => projection.name === name)
  return {
    tables,
    lanes: lanesOf(tables.members, reader),
    positions: new Map(tables.members.map(({ projection, position }) => [projection.name, position])),
    stopped: new Map(),
    slice: EVENTS_A_SLICE_MAX / 2,
    workItems: has('work-items') ? askWorkItems(tables.db, tables.incarnation, turn) : undefined,
    statistics: has('statistics') ? askStatistics(tables.db) : undefined,
    requests: has('requests') ? askRequests(tables.db) : undefined,
    retired: has('retired') ? askRetired(tables.db) : undefined,
  }
}

export const zeroOf = ({ tables }: Session): Position => positionAt(tables.incarnation, 0)

export const positionOf = (session: Session, name: string): Position => session.positions.get(name) ?? zeroOf(session)

/** The position is that of the first projection, by rank, that has not stopped. */
export const statusOf = (session: Session, projections: readonly Projection[]): TablesStatus => {
  const leading = projections.find(({ name }) => !session.stopped.has(name)) ?? projections[0]
  return { position: leading === undefined ? zeroOf(session) : positionOf(session, leading.name), stopped: Object.fromEntries(session.stopped) }
}

const stop = (session: Session, { projections, onLog, onMoved }: SessionOptions, name: string, why: string): void => {
  session.stopped.set(name, why)
  onLog(`The tables of ${name} have stopped. ${why}`)
  onMoved(statusOf(session, projections), 0)
}

/** Position of the next lane ahead: a lane goes as far as that, and then they are one. */
const aheadOf = (session: Session, lane: Lane): Position | undefined => session.lanes.findLast((other) => other.position > lane.position)?.position

/** Takes a lane one slice on; answers how many events that were. Throws StoreFault and what SQLite says of the file. */
const takeOn = async (session: Session, options: SessionOptions, lane: Lane, wanted: Position): Promise<number> => {
  const { world, reader, projections } = options
  const began = world.monotonic()
  const stepped = await stepLane({ file: session.tables, reader, lane, max: session.slice, limit: aheadOf(session, lane) ?? options.upTo ?? wanted })
  if (E.isLeft(stepped)) {
    const failure = stepped.left
    if (failure instanceof StoreFault && failure.kind !== 'damaged') throw failure
    const why = failure instanceof StoreFault ? failure.message : failure.detail
    const fallen = lane.members
    lane.members = []
    for (const { projection } of fallen) {
      session.tables.stoppedBy(projection.name, why)
      stop(session, options, projection.name, why)
    }
    return 0
  }
  const { events, stopped } = stepped.right
  for (const { projection } of lane.members) session.positions.set(projection.name, lane.position)
  for (const { member, why } of stopped) stop(session, options, member.projection.name, why)
  const took = world.monotonic() - began
  if (took > SLICE_MS) session.slice = Math.max(EVENTS_A_SLICE_MIN, Math.floor(session.slice / 2))
  else if (events === session.slice && took < SLICE_MS / 2) session.slice = Math.min(EVENTS_A_SLICE_MAX, session.slice * 2)
  if (events > 0) options.onMoved(statusOf(session, projections), events)
  return events
}

/** One round: every lane that has something before it goes one slice on, not beyond `wanted`: what the log shows after that may not be durable yet. False when none did. */
export const round = async (session: Session, options: SessionOptions, wanted: Position, isClosing: () => boolean): Promise<boolean> => {
  let moved = false
  for (const lane of session.lanes) {
    if (isClosing()) return false
    if (lane.position >= (aheadOf(session, lane) ?? wanted)) continue
    const events = await takeOn(session, options, lane, wanted)
    moved ||= events > 0
    await turn()
  }
  session.lanes = mergeLevel(session.lanes.filter((lane) => lane.members.length > 0))
  return moved
}

/** Whether a lane is still short of where the log is said to reach. */
export const isBehind = (session: Session, wanted: Position): boolean => session.lanes.some((lane) => lane.position < wanted)

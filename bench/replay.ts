// How fast a log becomes state again: `npx node bench/replay.ts [--events N] [--live N] [--directory DIR] [--json FILE]`.
// Makes a log of jobs through the store's own append, then folds it in memory and into the tabular file, and takes the live items from that file as a start does.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as E from 'fp-ts/lib/Either.js'
import { jobId, streamOf } from '../src/domain/ids.ts'
import { encodeEvent } from '../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../src/domain/work-item/events.ts'
import { foldLive } from '../src/projections/fold.ts'
import { openTables } from '../src/projections/open.ts'
import type { EventStore } from '../src/store/port.ts'
import { openSqliteStore, type SqliteStore } from '../src/store/sqlite/store.ts'
import { realWorld as world } from '../src/world.ts'

interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: string
  /** Of the last minute, when the measurement ended. */
  readonly load: number
}

const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits))
const figure = (what: string, value: number, unit: string, digits = 0): Figure => ({ what, value: rounded(value, digits), unit, load: rounded(loadavg()[0] ?? 0, 2) })

/** Jobs that run side by side while the log is made. */
const SIDE_BY_SIDE = 200
const EVENTS_OF_A_JOB = 10
const APPENDS_IN_FLIGHT = 5_000
const SERVICES = ['index', 'thumbnails', 'reports', 'mail']
const HOLDER = { subject: 'job-servers', name: 'server-1', instance: '0190a1b2-0000-7000-8000-000000000001' }
const META = JSON.stringify({ actor: 'servers@example.org', server: 'stint', commandId: world.uuid(), correlationId: world.uuid(), causationId: world.uuid() })

/** The life of a job, one append after another: registered and leased, a phase, progress, completed. */
const lifeOf = (number: number, start: number): readonly (readonly WorkItemEvent[])[] => {
  const registered: WorkItemEvent = {
    type: 'JobRegistered',
    service: SERVICES[number % SERVICES.length] ?? '',
    server: `server-${number % 3}`,
    label: `order-${number}`,
    attributes: { tenant: `tenant-${number % 50}`, files: 12 },
    by: 'job-servers',
    digest: '0'.repeat(64),
    reportEveryMs: 5_000,
    silenceMs: 15_000,
    lostAfterMs: 86_400_000,
  }
  const leased: WorkItemEvent = { type: 'Leased', lease: 1, token: '1.abcdefgh', holder: HOLDER, termMs: 15_000, until: start + 30_000 }
  const progress = Array.from({ length: EVENTS_OF_A_JOB - 4 }, (_, step): readonly WorkItemEvent[] => [
    { type: 'ProgressReported', progress: { fraction: (step + 1) / 10, done: step + 1, total: 10, unit: 'files', message: 'indexing' } },
  ])
  return [
    [registered, leased],
    [{ type: 'PhaseEntered', phase: 'index' }],
    ...progress,
    [{ type: 'Completed', result: { documents: 12, words: 34_567 }, lease: 1, digest: '1'.repeat(64) }],
  ]
}

const makeLog = async (store: EventStore, events: number, live: number): Promise<number> => {
  const running: { readonly stream: string; readonly left: (readonly WorkItemEvent[])[] }[] = []
  const began = world.now()
  let [jobs, made, turn] = [0, 0, 0]
  let inFlight: Promise<unknown>[] = []
  const next = (): readonly [string, readonly WorkItemEvent[]] => {
    const isEnding = made >= events - live * 2
    if (running.length < SIDE_BY_SIDE || isEnding) {
      // UUIDv7-like: ordered by time, as the ids that the server makes.
      const left = [...lifeOf(jobs, began + made)]
      const stream = streamOf(jobId(`0190a1b2-${String(jobs).padStart(12, '0')}`))
      jobs += 1
      running.push({ stream, left })
      return [stream, left.shift() ?? []]
    }
    turn = (turn + 7) % running.length
    const job = running[turn]
    const said = job?.left.shift() ?? []
    if (job?.left.length === 0) running.splice(turn, 1)
    return [job?.stream ?? '', said]
  }
  while (made < events) {
    const [stream, said] = next()
    const appended = store.append(
      stream,
      'any',
      said.map((event) => ({ id: world.uuid(), ...encodeEvent(event), time: began + made, meta: META })),
    )()
    inFlight.push(appended)
    made += said.length
    if (inFlight.length < APPENDS_IN_FLIGHT) continue
    for (const answer of (await Promise.all(inFlight)) as E.Either<unknown, unknown>[]) if (E.isLeft(answer)) throw new Error(JSON.stringify(answer.left))
    inFlight = []
  }
  await Promise.all(inFlight)
  return made
}

const measure = async (store: SqliteStore, directory: string, made: number): Promise<readonly Figure[]> => {
  const figures: Figure[] = []
  const perSecond = (began: number): number => (made / (world.monotonic() - began)) * 1_000
  let began = world.monotonic()
  const folded = await foldLive(store)
  if (E.isLeft(folded)) throw new Error(JSON.stringify(folded.left))
  figures.push(figure(`fold in memory of ${folded.right.events} events to ${folded.right.live.size} live items, ${folded.right.settled} settled`, perSecond(began), 'events/s'))

  const head = await store.head()()
  if (E.isLeft(head)) throw head.left
  const options = { file: join(directory, 'tables.db'), storeFile: store.file, world, onLog: console.error }
  const tables = await openTables(options)
  began = world.monotonic()
  tables.follow(head.right.position)
  if (!(await tables.reached(head.right.position, 3_600_000))) throw new Error(JSON.stringify(tables.status()))
  figures.push(figure('fold into the tabular file', perSecond(began), 'events/s'))
  await tables.close()
  figures.push(figure('tabular file', statSync(options.file).size / made, 'bytes/event'), figure('log', statSync(store.file).size / made, 'bytes/event'))

  began = world.monotonic()
  const again = await openTables(options)
  figures.push(figure('open the tables again', world.monotonic() - began, 'ms'))
  began = world.monotonic()
  const { items } = await again.liveItems()
  figures.push(figure(`hand ${items.length} live items over`, world.monotonic() - began, 'ms'))
  began = world.monotonic()
  await again.list({ kind: 'job', scope: 'index', state: 'running', order: 'newest', limit: 100 })
  figures.push(figure('list 100 running jobs of a service', world.monotonic() - began, 'ms', 1))
  began = world.monotonic()
  await again.list({ kind: 'job', label: 'no such label', order: 'newest', limit: 100 })
  figures.push(figure('find no job by its label', world.monotonic() - began, 'ms', 1))
  await again.close()
  return figures
}

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    live: { type: 'string', default: '10000' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
  },
})
const directory = mkdtempSync(join(values.directory, 'stint-bench-replay-'))

try {
  const store = await openSqliteStore({ directory, world })
  const began = world.monotonic()
  const made = await makeLog(store, Number(values.events), Number(values.live))
  const figures = [figure(`make a log of ${made} events`, (made / (world.monotonic() - began)) * 1_000, 'events/s'), ...(await measure(store, directory, made))]
  await store.close()
  const width = Math.max(...figures.map(({ what }) => what.length))
  for (const { what, value, unit, load } of figures) console.log(`${what.padEnd(width)} ${String(value).padStart(9)} ${unit.padEnd(12)} load ${load}`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ node: process.version, sqlite: process.versions['sqlite'], figures }, undefined, 2)}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

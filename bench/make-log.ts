// A log to measure on: lives of jobs side by side as they happen, made through the store's own append, with so many jobs still running at its end.
import * as E from 'fp-ts/lib/Either.js'
import { jobId, streamOf } from '../src/domain/ids.ts'
import { encodeEvent } from '../src/domain/work-item/codec.ts'
import type { WorkItemEvent } from '../src/domain/work-item/events.ts'
import type { EventStore } from '../src/store/port.ts'
import { realWorld as world } from '../src/world.ts'

/** Jobs that run side by side while the log is made. */
const SIDE_BY_SIDE = 200
const EVENTS_OF_A_JOB = 10
const EVENTS_OF_A_BIRTH = 2
const APPENDS_IN_FLIGHT = 5_000
/** Long enough that no server which opens this log finds a job silent while it is measured. */
const SILENCE_MS = 3_600_000
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
    reportEveryMs: SILENCE_MS / 3,
    silenceMs: SILENCE_MS,
    lostAfterMs: 86_400_000,
  }
  const leased: WorkItemEvent = { type: 'Leased', lease: 1, token: '1.abcdefgh', holder: HOLDER, termMs: SILENCE_MS, until: start + 2 * SILENCE_MS }
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

/** What is left to append of the jobs that run; the next of it on demand. */
const lives = (began: number) => {
  const running: { readonly stream: string; readonly left: (readonly WorkItemEvent[])[] }[] = []
  let [jobs, turn] = [0, 0]
  const begin = (at: number): readonly [string, readonly WorkItemEvent[]] => {
    const left = [...lifeOf(jobs, began + at)]
    // Like a UUIDv7: ordered by time, as the ids that a server makes.
    const stream = streamOf(jobId(`0190a1b2-${String(jobs).padStart(12, '0')}`))
    jobs += 1
    running.push({ stream, left })
    return [stream, left.shift() ?? []]
  }
  return (at: number, isEnding: boolean): readonly [string, readonly WorkItemEvent[]] => {
    if (running.length < SIDE_BY_SIDE || isEnding) return begin(at)
    turn = (turn + 7) % running.length
    const job = running[turn]
    const said = job?.left.shift() ?? []
    if (job?.left.length === 0) running.splice(turn, 1)
    return [job?.stream ?? '', said]
  }
}

const allAppended = async (appends: readonly Promise<E.Either<unknown, unknown>>[]): Promise<void> => {
  for (const answer of await Promise.all(appends)) if (E.isLeft(answer)) throw new Error(`An append failed: ${JSON.stringify(answer.left)}`)
}

/** Appends so many events (or one more), a millisecond apart up to now; so many jobs, and some that ran side by side, still run at the end. Answers how many it made. */
export const makeLog = async (store: EventStore, events: number, live: number, appendsInFlight = APPENDS_IN_FLIGHT): Promise<number> => {
  const began = world.now() - events
  const next = lives(began)
  let made = 0
  let inFlight: Promise<E.Either<unknown, unknown>>[] = []
  while (made < events) {
    const [stream, said] = next(made, made >= events - live * EVENTS_OF_A_BIRTH)
    const time = began + made
    inFlight.push(
      store.append(
        stream,
        'any',
        said.map((event) => ({ id: world.uuid(), ...encodeEvent(event), time, meta: META })),
      )(),
    )
    made += said.length
    if (inFlight.length < appendsInFlight) continue
    await allAppended(inFlight)
    inFlight = []
  }
  await allAppended(inFlight)
  return made
}

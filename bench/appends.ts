// How fast the embedded store takes events, beside what the disk allows: `node bench/appends.ts`.
// Callers each wait for their answer before they ask again; a stream is a work item with a time-ordered id and a life of five events, unless it says otherwise.
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { v7 } from 'uuid'
import type { EventStore, EventToAppend } from '../src/store/port.ts'
import { openSqliteReader } from '../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../src/store/sqlite/store.ts'
import { verifyChain } from '../src/store/verify.ts'
import { realWorld as world } from '../src/world.ts'
import { runAlone, say } from './alone.ts'
import { FDATASYNC, fdatasyncRow, fdatasyncs, SCRIPT, scriptRow } from './floor.ts'
import { quantile, rounded, rowOf, type About, type Effort, type Row } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const LIFE = 5
const SECONDS = 3
const QUICK_SECONDS = 0.5
const FLOOR_SECONDS = 2

const DATA = { by: 'producer@example.org', digest: '0'.repeat(64), note: 'an event of about 300 bytes' }

const eventOf = (number: number): EventToAppend => ({
  id: world.uuid(),
  type: 'ProgressReported',
  v: 1,
  time: world.now(),
  data: JSON.stringify({ ...DATA, number }),
  meta: JSON.stringify({ actor: 'worker', server: 's1', commandId: world.uuid() }),
})

/** Made before the clock starts: what is measured is the store, not the making of events. */
const EVENTS = Array.from({ length: 10_000 }, (_, number) => [eventOf(number)])

/** More streams than any machine fills in a second. */
const STREAMS_PER_SECOND = 40_000

interface Appends {
  readonly perSecond: number
  readonly more: NonNullable<Row['more']>
}

const appends = async (store: EventStore, callers: number, seconds: number, streamId: () => string = v7): Promise<Appends> => {
  const waits: number[] = []
  const streams = Array.from({ length: Math.ceil(STREAMS_PER_SECOND * seconds) + callers }, () => `workItem-task/shop/orders/${streamId()}`)
  let taken = 0
  const began = world.monotonic()
  const until = began + seconds * 1_000
  const caller = async (): Promise<void> => {
    let stream = ''
    for (let turn = 0; world.monotonic() < until; turn += 1) {
      const revision = turn % LIFE
      if (revision === 0) stream = streams[taken++] ?? ''
      const asked = world.monotonic()
      const appended = await store.append(stream, revision === 0 ? 'noStream' : revision - 1, EVENTS[turn % EVENTS.length] ?? [])()
      if (E.isLeft(appended)) throw new Error(`An append failed: ${JSON.stringify(appended.left)}`)
      waits.push(world.monotonic() - asked)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const perSecond = (waits.length / (world.monotonic() - began)) * 1_000
  const at = (q: number): number => rounded(quantile(waits, q), 2)
  return { perSecond, more: { 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'worst ms': at(1) } }
}

const reading = async (file: string): Promise<readonly Row[]> => {
  const reader = openSqliteReader(file)
  const limit = 'One thread that copies rows out of SQLite; the chain adds two SHA-256 for each event.'
  let began = world.monotonic()
  let events = 0
  for (let after: string | undefined; ;) {
    const page = await reader.readAll(after === undefined ? { max: 5_000 } : { after, max: 5_000 })()
    if (E.isLeft(page)) throw page.left
    if (page.right.length === 0) break
    events += page.right.length
    after = page.right.at(-1)?.position
  }
  const perSecond = (): number => (events / (world.monotonic() - began)) * 1_000
  const readAll = rowOf('Read the log from its start', perSecond(), 'events/s', { limit, against: SCRIPT, more: { events } })
  began = world.monotonic()
  const verified = await verifyChain(reader)()
  if (E.isLeft(verified)) throw new Error(`The chain does not hold at ${verified.left.position}: ${verified.left.problem}`)
  const verify = rowOf('Verify the digest chain', perSecond(), 'events/s', { limit, against: SCRIPT, more: { events } })
  reader.close()
  return [readAll, verify]
}

const LIMIT_ALONE = 'The disk: one fdatasync for each append.'
const LIMIT_MANY = 'The engine’s thread: waiting for the disk, inserting and hashing.'

const appending = async (store: EventStore, floor: number, seconds: number): Promise<readonly Row[]> => {
  const against = (perSecond: number): Readonly<Record<string, number>> => ({ '× fdatasync': rounded(perSecond / floor, 1) })
  const row = (what: string, { perSecond, more }: Appends, rest: Pick<About, 'aim' | 'limit'>): Row =>
    rowOf(what, perSecond, 'appends/s', { ...rest, against: FDATASYNC, more: { ...against(perSecond), ...more } })
  const aim = { least: Math.min(50_000, 20 * floor), words: '≥ 50,000 or ≥ 20 × fdatasync' }
  return [
    row('Appends, 1 in flight', await appends(store, 1, seconds), { limit: LIMIT_ALONE }),
    row('Appends, 64 in flight', await appends(store, 64, seconds), { aim, limit: LIMIT_MANY }),
    row('Appends, 512 in flight', await appends(store, 512, seconds), { limit: LIMIT_MANY }),
    row('Appends, 64 in flight, random ids', await appends(store, 64, seconds, world.uuid), {
      limit: 'As above, and the index of streams, whose pages are no longer the last ones only.',
    }),
  ]
}

export const measureAppends = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS
  const { directory, remove } = temporaryDirectory()
  try {
    say('fdatasync alone')
    const floor = fdatasyncs(join(directory, 'floor'), Math.min(seconds, FLOOR_SECONDS))
    const floors = [fdatasyncRow(floor), scriptRow(Math.min(seconds, 1))]
    const store = await openSqliteStore({ directory, world })
    await appends(store, 64, Math.min(seconds, 1))
    say('appends')
    const rows = await appending(store, floor, seconds)
    await store.close()
    say('reading')
    return [...floors, ...rows, ...(await reading(store.file))]
  } finally {
    remove()
  }
}

if (import.meta.main) await runAlone(measureAppends)

// How fast the embedded store takes events, beside what the disk allows: `npx node bench/appends.ts [--seconds N] [--directory DIR] [--json FILE]`.
// Callers each wait for their answer before they ask again; a stream is a work item with a time-ordered id and a life of five events, unless it says otherwise.
import { closeSync, fdatasyncSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as E from 'fp-ts/lib/Either.js'
import { v7 } from 'uuid'
import type { EventStore, EventToAppend } from '../src/store/port.ts'
import { openSqliteReader } from '../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../src/store/sqlite/store.ts'
import { verifyChain } from '../src/store/verify.ts'
import { realWorld as world } from '../src/world.ts'

const LIFE = 5

interface Figure {
  readonly what: string
  readonly perSecond: number
  /** Milliseconds from asking to the answer. */
  readonly p50?: number
  readonly p99?: number
  readonly worst?: number
  /** Of the last minute, when the measurement ended. */
  readonly load: number
}

const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits))
const load = (): number => rounded(loadavg()[0] ?? 0, 2)

const fdatasyncs = (file: string, seconds: number): Figure => {
  const descriptor = openSync(file, 'w')
  const block = Buffer.alloc(4_096, 1)
  const began = world.monotonic()
  let count = 0
  while (world.monotonic() - began < seconds * 1_000) {
    writeSync(descriptor, block)
    fdatasyncSync(descriptor)
    count += 1
  }
  const perSecond = rounded((count / (world.monotonic() - began)) * 1_000)
  closeSync(descriptor)
  rmSync(file)
  return { what: '4 KiB append + fdatasync', perSecond, load: load() }
}

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

interface Load {
  readonly what: string
  readonly callers: number
  readonly streamId: () => string
}

/** More streams than any machine fills in a second. */
const STREAMS_PER_SECOND = 40_000

const appends = async (store: EventStore, { what, callers, streamId }: Load, seconds: number): Promise<Figure> => {
  const waits: number[] = []
  const streams = Array.from({ length: STREAMS_PER_SECOND * seconds + callers }, () => `workItem-task/shop/orders/${streamId()}`)
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
  const took = world.monotonic() - began
  const sorted = Float64Array.from(waits).toSorted()
  const at = (share: number): number => rounded(sorted[Math.floor((sorted.length - 1) * share)] ?? 0, 2)
  return { what, perSecond: rounded((waits.length / took) * 1_000), p50: at(0.5), p99: at(0.99), worst: at(1), load: load() }
}

const reading = async (file: string): Promise<readonly Figure[]> => {
  const reader = openSqliteReader(file)
  let began = world.monotonic()
  let events = 0
  for (let after: string | undefined; ;) {
    const page = await reader.readAll(after === undefined ? { max: 5_000 } : { after, max: 5_000 })()
    if (E.isLeft(page)) throw page.left
    if (page.right.length === 0) break
    events += page.right.length
    after = page.right.at(-1)?.position
  }
  const readAll = { what: `readAll of ${events} events`, perSecond: rounded((events / (world.monotonic() - began)) * 1_000), load: load() }
  began = world.monotonic()
  const verified = await verifyChain(reader)()
  if (E.isLeft(verified)) throw new Error(`The chain does not hold at ${verified.left.position}: ${verified.left.problem}`)
  const verify = { what: `verifyChain of ${events} events`, perSecond: rounded((events / (world.monotonic() - began)) * 1_000), load: load() }
  reader.close()
  return [readAll, verify]
}

const table = (figures: readonly Figure[]): string => {
  const cell = (value: number | undefined): string => (value === undefined ? '' : String(value)).padStart(9)
  const width = Math.max(...figures.map((figure) => figure.what.length))
  const rows = figures.map(({ what, perSecond, p50, p99, worst, load: busy }) => `${what.padEnd(width)} ${cell(perSecond)} ${cell(p50)} ${cell(p99)} ${cell(worst)} ${cell(busy)}`)
  return [`${''.padEnd(width)} ${'per s'.padStart(9)} ${'p50 ms'.padStart(9)} ${'p99 ms'.padStart(9)} ${'worst ms'.padStart(9)} ${'load'.padStart(9)}`, ...rows].join('\n')
}

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '3' }, directory: { type: 'string', default: tmpdir() }, json: { type: 'string' } } })
const seconds = Number(values.seconds)
const directory = await mkdtemp(join(values.directory, 'stint-bench-appends-'))

try {
  const floor = fdatasyncs(join(directory, 'floor'), Math.min(seconds, 2))
  const store = await openSqliteStore({ directory, world })
  await appends(store, { what: 'warm-up', callers: 64, streamId: v7 }, Math.min(seconds, 1))
  const loads: readonly Load[] = [
    { what: 'appends, 1 in flight', callers: 1, streamId: v7 },
    { what: 'appends, 64 in flight', callers: 64, streamId: v7 },
    { what: 'appends, 512 in flight', callers: 512, streamId: v7 },
    { what: 'appends, 64 in flight, random stream ids', callers: 64, streamId: world.uuid },
  ]
  const figures: Figure[] = [floor]
  for (const each of loads) figures.push(await appends(store, each, seconds))
  await store.close()
  figures.push(...(await reading(store.file)))
  const ratio = rounded((figures.find((figure) => figure.what === 'appends, 64 in flight')?.perSecond ?? 0) / floor.perSecond, 1)
  console.log(`${table(figures)}\n\n64 in flight is ${ratio} times the fdatasync rate.`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ node: process.version, sqlite: process.versions['sqlite'], ratio, figures }, undefined, 2)}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

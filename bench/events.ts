// What the event stream carries: `node bench/events.ts`. Events a second to one reader and to fifty that read from the past, and how soon a new event is with all who follow.
import { connect, type Socket } from 'node:net'
import { runAlone, say } from './alone.ts'
import { expecting, httpClient, type Client } from './calls.ts'
import { FDATASYNC, machineRows, SCRIPT } from './floor.ts'
import { quantile, rounded, rowOf, type Effort, type Row } from './row.ts'
import { startServer, temporaryDirectory, type ServerProcess } from './server-process.ts'

const EVENTS = 100_000
const EVENTS_OF_EACH_OF_MANY = 10_000
const QUICK_SHARE = 0.05
const MANY = 50
const REPORTS = 300
const ITEMS_A_REQUEST = 1_000
/** A registration is two events: registered and leased. */
const EVENTS_OF_A_JOB = 2

interface Reader {
  /** Resolves when so many events have come since the connection was opened. */
  readonly have: (events: number) => Promise<void>
  readonly close: () => void
}

const END_OF_EVENT = Buffer.from('\n\n')
const EVENT = Buffer.from('\ndata: {"id":')

/** Counts events without parsing them: the reader must not be what is measured. */
const readEvents = (url: string, after: string): Promise<Reader> => {
  const { hostname, port } = new URL(url)
  let count = 0
  let rest: Buffer = Buffer.alloc(0)
  let waiting: { readonly events: number; readonly done: () => void } | undefined
  const take = (part: Buffer): void => {
    const all = rest.length === 0 ? part : Buffer.concat([rest, part])
    const end = all.lastIndexOf(END_OF_EVENT)
    if (end === -1) {
      rest = all
      return
    }
    for (let at = all.indexOf(EVENT); at !== -1 && at < end; at = all.indexOf(EVENT, at + EVENT.length)) count += 1
    rest = all.subarray(end)
    if (waiting !== undefined && count >= waiting.events) waiting.done()
  }
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true })
    const reader: Reader = {
      have: (events) => (count >= events ? Promise.resolve() : new Promise((done) => (waiting = { events, done }))),
      close: () => socket.destroy(),
    }
    socket.once('connect', () => socket.write(`GET /v1/events?after=${after} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAccept: text/event-stream\r\n\r\n`))
    socket.once('data', (head: Buffer) => (head.includes('HTTP/1.1 200') ? resolve(reader) : reject(new Error(head.toString()))))
    socket.on('data', take)
    socket.once('error', reject)
  })
}

const readersOf = (url: string, count: number, after: string): Promise<readonly Reader[]> => Promise.all(Array.from({ length: count }, () => readEvents(url, after)))

const closeAll = (readers: readonly Reader[]): void => {
  for (const reader of readers) reader.close()
}

/** Registers jobs until the log has so many events more; answers the position at which it has all but `last` of them. */
const fill = async ({ call }: Client, events: number, last: number): Promise<string> => {
  let position = ''
  for (let made = 0; made < events; made += ITEMS_A_REQUEST * EVENTS_OF_A_JOB) {
    const items = Array.from({ length: ITEMS_A_REQUEST }, (_, index) => ({
      id: `job-${made}-${index}`,
      service: 'bench',
      server: 'bench-1',
      instance: 'bench',
      reportEverySeconds: 600,
    }))
    if (made <= events - last) position = (await expecting(200, call('GET', '/healthz'))).header('stint-position') ?? ''
    await expecting(200, call('POST', '/v1/jobs', { items }))
  }
  return position
}

const fromThePast = async (url: string, count: number, after: string, events: number): Promise<Row> => {
  const began = performance.now()
  const readers = await readersOf(url, count, after)
  await Promise.all(readers.map((reader) => reader.have(events)))
  const perSecond = (count * events) / ((performance.now() - began) / 1_000)
  closeAll(readers)
  const each = count === 1 ? '' : ', all together'
  return rowOf(`Past events to ${count} reader${count === 1 ? '' : 's'}${each}`, perSecond, 'events/s', {
    limit: 'The server’s main thread: each reader reads the log and has its events encoded for itself.',
    against: SCRIPT,
    more: { 'events each': events },
  })
}

const live = async (server: ServerProcess, client: Client, count: number, reports: number): Promise<Row> => {
  const head = (await expecting(200, client.call('GET', '/healthz'))).header('stint-position') ?? ''
  const readers = await readersOf(server.url, count, head)
  const registered = await expecting(201, client.call('POST', '/v1/jobs', { service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 }))
  const { id, lease } = JSON.parse(registered.body) as { id: string; lease: string }
  const took: number[] = []
  for (let report = 1; report <= reports; report += 1) {
    const began = performance.now()
    const answered = expecting(200, client.call('POST', `/v1/jobs/${id}/reports`, { lease, phase: `phase-${report}` }))
    await Promise.all([answered, ...readers.map((reader) => reader.have(EVENTS_OF_A_JOB + report))])
    took.push(performance.now() - began)
  }
  closeAll(readers)
  return rowOf(`New event with ${count === 1 ? 'a reader' : `all of ${count} readers`}, from the command on`, quantile(took, 0.5), 'ms', {
    limit: 'The commit, then one read of the log and one write for each reader.',
    against: FDATASYNC,
    more: { 'p99 ms': rounded(quantile(took, 0.99), 2), events: reports },
  })
}

export const measureEvents = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const share = isQuick ? QUICK_SHARE : 1
  const ofEach = Math.max(EVENTS_OF_EACH_OF_MANY * share, ITEMS_A_REQUEST * EVENTS_OF_A_JOB)
  const floors = machineRows(isQuick ? 0.2 : 1)
  const { directory, remove } = temporaryDirectory()
  const server = await startServer(directory)
  try {
    const client = httpClient(server.url, 1)
    const events = Math.max(EVENTS * share, ofEach * 2)
    say(`making ${events} events`)
    const position = await fill(client, events, ofEach)
    say('past events')
    const rows = [...floors, await fromThePast(server.url, 1, 'start', events), await fromThePast(server.url, MANY, position, ofEach)]
    say('new events')
    rows.push(await live(server, client, 1, REPORTS * share), await live(server, client, MANY, REPORTS * share))
    client.close()
    return rows
  } finally {
    await server.stop('SIGKILL')
    remove()
  }
}

if (import.meta.main) await runAlone(measureEvents)

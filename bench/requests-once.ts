// What it costs that a request is carried out once: `node bench/requests-once.ts`. Request, handler and reply, and the same requests again: through the SDK, with a worker in a process
// of its own, and through the middleware in an express app. That every handler ran once is looked at too. The floors are fetch, the disk, and the same route without Stint.
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { runAlone, say } from './alone.ts'
import { closedLoop, expecting, httpClient, type Measured } from './calls.ts'
import { bareFetch, FDATASYNC, floorOf, floorRows, type Floor } from './floor.ts'
import { askingWith, MANY, type Ask } from './loads.ts'
import { onServer } from './queue-client.ts'
import { rounded, rowOf, type About, type Effort, type Row } from './row.ts'
import { CONTRACT, cpuMicros, startServer, temporaryDirectory, type ServerProcess } from './server-process.ts'

const SECONDS = 3
const QUICK_SECONDS = 0.5
const WORKER = fileURLToPath(new URL('once-worker.ts', import.meta.url))
const APP = fileURLToPath(new URL('once-app.ts', import.meta.url))
const REQUESTS_AIM = { least: 12_000 }
const REPLIES_AIM = { least: 60_000 }

type Processes = Readonly<Record<string, ServerProcess>>

interface Cost extends Measured {
  /** CPU time of each process for each call. */
  readonly micros: Readonly<Record<string, number>>
}

const costOf = async (processes: Processes, callers: number, seconds: number, call: () => Promise<unknown>): Promise<Cost> => {
  const all = [...Object.entries(processes), ['caller', { pid: process.pid }] as const]
  const before = all.map(([, { pid }]) => cpuMicros(pid))
  const measured = await closedLoop(callers, seconds, call)
  const micros = Object.fromEntries(all.map(([name, { pid }], at) => [`${name} CPU µs each`, rounded((cpuMicros(pid) - (before[at] ?? 0)) / Math.max(1, measured.count))]))
  return { ...measured, micros }
}

interface Costs {
  readonly alone: Cost
  readonly many: Cost
  readonly again: Cost
}

const costsOf = async (processes: Processes, seconds: number, ask: Ask): Promise<Costs> => {
  const { fresh, again, prove } = askingWith(ask)
  await closedLoop(MANY, Math.min(2, seconds * 2), fresh)
  await closedLoop(1, Math.min(1, seconds), fresh)
  const alone = await costOf(processes, 1, seconds, fresh)
  const many = await costOf(processes, MANY, seconds, fresh)
  await closedLoop(MANY, Math.min(1, seconds), again)
  const costs = { alone, many, again: await costOf(processes, MANY, seconds, again) }
  await prove()
  return costs
}

const rowsOf = (
  way: string,
  { alone, many, again }: Costs,
  beside: (cost: Cost) => Readonly<Record<string, number>>,
  against: string,
  about: Readonly<Record<keyof Costs, Pick<About, 'aim' | 'limit'>>>,
): readonly Row[] => {
  const latencies = ({ p50, p99 }: Measured) => ({ 'p50 ms': rounded(p50, 2), 'p99 ms': rounded(p99, 2) })
  const rate = (what: string, unit: string, cost: Cost, rest: Pick<About, 'aim' | 'limit'>): Row =>
    rowOf(`${what} ${way}, ${MANY} callers`, cost.perSecond, unit, { ...rest, against, more: { ...latencies(cost), ...beside(cost), ...cost.micros } })
  return [
    rowOf(`Request and reply ${way}, 1 caller, p50`, alone.p50, 'ms', { ...about.alone, against: FDATASYNC, more: { 'p99 ms': rounded(alone.p99, 2), ...alone.micros } }),
    rate('Request and reply', 'requests/s', many, about.many),
    rate('Stored reply', 'replies/s', again, about.again),
  ]
}

const throughSdk = (seconds: number, floor: Floor): Promise<readonly Row[]> =>
  onServer(async (stint, server) => {
    const worker = await startServer('', { program: WORKER, args: [server.url] })
    // What is released is no reply for a duplicate any more.
    const requester = stint.requester({ contract: CONTRACT, release: 'manual' })
    const ask: Ask = async (id, body, isAgain) => {
      await using reply = await requester.call(body, { id })
      if (reply.status !== 200 || reply.replayed !== isAgain) throw new Error(`${id} was answered ${reply.status}, replayed: ${reply.replayed}`)
      return reply.text()
    }
    try {
      const costs = await costsOf({ server, worker }, seconds, ask)
      return rowsOf('through the SDK', costs, ({ perSecond }) => ({ 'of bare fetch': rounded(perSecond / floor.fetch.perSecond, 2) }), bareFetch(MANY), {
        alone: { limit: 'Two commits, one after the other, and the exchanges of caller and worker, who wake one another.' },
        many: {
          aim: REQUESTS_AIM,
          limit: 'The server’s main thread: three commands for each request, whose calls, leases and replies travel together.',
        },
        again: { aim: REPLIES_AIM, limit: 'One exchange has all 64 callers in it: caller and server wait for one another.' },
      })
    } finally {
      await worker.stop('SIGKILL')
    }
  })

/** Asks an app over bare sockets, and counts what it costs the app and the server behind it. */
const askApp = async <Result>(store: string | undefined, behind: Processes, measure: (processes: Processes, ask: Ask) => Promise<Result>): Promise<Result> => {
  const app = await startServer('', { program: APP, args: store === undefined ? [] : [store] })
  const client = httpClient(app.url, MANY)
  const ask: Ask = async (id, body, isAgain) => {
    const { body: reply, header } = await expecting(201, client.call('POST', '/requests', body, { 'Idempotency-Key': `"${id}"` }))
    if ((header('idempotency-replayed') === 'true') !== isAgain) throw new Error(`Expected ${id} to be replayed: ${isAgain}`)
    return reply
  }
  try {
    return await measure({ app, ...behind }, ask)
  } finally {
    client.close()
    await app.stop('SIGKILL')
  }
}

const BARE_ROUTE = `The same express route without exactlyOnce, ${MANY} callers`

/** The same route without the middleware. */
const bareRoute = (seconds: number): Promise<Cost> =>
  askApp(undefined, {}, async (processes, ask) => {
    const { fresh } = askingWith(ask)
    await closedLoop(MANY, Math.min(1, seconds), fresh)
    return costOf(processes, MANY, seconds, fresh)
  })

const onFile = async (seconds: number): Promise<Costs> => {
  const { directory, remove } = temporaryDirectory()
  try {
    return await askApp(join(directory, 'once'), {}, (processes, ask) => costsOf(processes, seconds, ask))
  } finally {
    remove()
  }
}

const throughMiddleware = async (seconds: number, fdatasyncs: number): Promise<readonly Row[]> => {
  const bare = await bareRoute(seconds)
  const ofBare = ({ perSecond }: Cost) => ({ 'of the bare route': rounded(perSecond / bare.perSecond, 2) })
  say('middleware on a file')
  const embedded = await onFile(seconds)
  say('middleware with a server')
  const shared = await onServer((_, server) => askApp(server.url, { server }, (processes, ask) => costsOf(processes, seconds, ask)))
  return [
    rowOf(BARE_ROUTE, bare.perSecond, 'requests/s', {
      limit: 'Express and its JSON.',
      more: { 'p50 ms': rounded(bare.p50, 2), 'p99 ms': rounded(bare.p99, 2), ...bare.micros },
    }),
    ...rowsOf('through the middleware on a file', embedded, (cost) => ({ ...ofBare(cost), '× fdatasync': rounded(cost.perSecond / fdatasyncs, 1) }), BARE_ROUTE, {
      alone: { limit: 'Two commits, one after the other.' },
      many: { aim: REQUESTS_AIM, limit: 'The app’s main thread: half of it is the middleware and the engine, a sixth HTTP.' },
      again: {
        aim: REPLIES_AIM,
        limit: 'The app’s main thread: HTTP is more than a third of it, and a fourth is the middleware, which reads, compares and holds. Nothing is read from the disk.',
      },
    }),
    ...rowsOf('through the middleware with a server', shared, ofBare, BARE_ROUTE, {
      alone: { limit: 'Two commits, one after the other, and two exchanges with the server.' },
      many: { limit: 'The app’s main thread and the server’s: two exchanges for each request, none of which travel together.' },
      again: { limit: 'The app’s main thread: an exchange with the server for each reply.' },
    }),
  ]
}

export const measureRequestsOnce = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS
  say('floors')
  const floor = await floorOf(seconds, MANY)
  say('SDK')
  const sdk = await throughSdk(seconds, floor)
  say('the route without the middleware')
  return [...floorRows(floor), ...sdk, ...(await throughMiddleware(seconds, floor.fdatasyncs))]
}

if (import.meta.main) await runAlone(measureRequestsOnce)

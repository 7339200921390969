// Restate, the one peer that is spoken to over HTTP: jobs are one-way sends to a service in the client, whose handlers wait at a gate of 32, as Restate has no queue with so many workers.
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { createServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pause } from '../../loads.ts'
import type { Adapter, Address, Connection, Handler } from '../adapter.ts'
import { freePorts, LOOPBACK, startDaemon } from '../daemon.ts'
import { moduleDirectory, moduleOf, moduleVersion } from '../installation.ts'

interface Input {
  readonly id: string
}

/** What is used of the package. */
interface Exports {
  readonly service: (definition: { readonly name: string; readonly handlers: Readonly<Record<string, (context: unknown, input: Input) => Promise<unknown>>> }) => object
  readonly createEndpointHandler: (options: {
    readonly services: readonly object[]
    readonly logger: () => void
  }) => (request: Http2ServerRequest, response: Http2ServerResponse) => void
}

const REGISTER_EVERY_MS = 250
const REGISTER_TRIES = 60
/** When so many are answered, the leaders of all partitions are there. */
const PINGS = 64

type Headers = Readonly<Record<string, string>>
type Post = (path: string, body: unknown, headers?: Headers) => Promise<unknown>

/** JSON over kept connections. */
const poster = (base: string): Post => {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 })
  return (path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body)
      const own = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)), accept: 'application/json' }
      const asked = request(new URL(path, base), { method: 'POST', agent, headers: { ...own, ...headers } }, (answer) => {
        const said: Buffer[] = []
        answer.on('data', (part: Buffer) => said.push(part))
        answer.once('error', reject)
        answer.once('end', () => {
          const all = Buffer.concat(said).toString()
          if ((answer.statusCode ?? 500) >= 300) reject(new Error(`${path} was answered ${answer.statusCode}: ${all.slice(0, 200)}`))
          else resolve(all === '' ? undefined : JSON.parse(all))
        })
      })
      asked.once('error', reject)
      asked.end(text)
    })
}

/** Lets so many through at a time. */
const openGate = () => {
  let free = 0
  const waiting: (() => void)[] = []
  return {
    set: (places: number): void => {
      free = places
      for (; free > 0 && waiting.length > 0; free -= 1) waiting.shift()?.()
    },
    enter: (): Promise<void> | undefined => {
      if (free === 0) return new Promise((resolve) => waiting.push(resolve))
      free -= 1
      return undefined
    },
    leave: (): void => {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    },
  }
}

const connectTo = async ({ ingress = '', admin = '' }: Address): Promise<Connection> => {
  const restate = await moduleOf<Exports>('@restatedev/restate-sdk')
  const gate = openGate()
  let run: Handler = () => undefined
  const work = async (_: unknown, { id }: Input): Promise<unknown> => {
    await gate.enter()
    try {
      return run(id)
    } finally {
      gate.leave()
    }
  }
  const service = restate.service({ name: 'bench', handlers: { ping: async () => 1, work } })
  const server = createServer(restate.createEndpointHandler({ services: [service], logger: () => undefined }))
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const [post, postAdmin] = [poster(ingress), poster(admin)]
  const uri = `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`
  for (let tried = 1; ; tried += 1) {
    try {
      await postAdmin('/deployments', { uri, force: true })
      break
    } catch (cause) {
      if (tried === REGISTER_TRIES) throw cause
      await pause(REGISTER_EVERY_MS)
    }
  }
  await Promise.all(Array.from({ length: PINGS }, () => post('/bench/ping', {})))
  const put: Connection['put'] = (job) => post('/bench/work/send', job, { 'idempotency-key': job.id })
  const startWorker: Connection['startWorker'] = async (handler, concurrency) => {
    run = handler
    gate.set(concurrency)
  }
  return {
    use: () => undefined,
    put,
    putMany: (jobs) => Promise.all(jobs.map(put)),
    startWorker,
    stopWorker: async () => gate.set(0),
    pending: async () => {
      const answer = await postAdmin('/query', { query: "SELECT count(*) AS pending FROM sys_invocation_status WHERE status <> 'completed'" })
      return (answer as { readonly rows: readonly { readonly pending: number }[] }).rows[0]?.pending ?? Number.NaN
    },
    serveRequests: async (handler, concurrency) => {
      await startWorker(handler, concurrency)
      return (id, payload) => post('/bench/work', { id, payload }, { 'idempotency-key': id })
    },
  }
}

const platformPackage = (): string => `@restatedev/restate-server-${process.platform}-${process.arch}`

const serve: Adapter['serve'] = async (directory) => {
  const [ingress = 0, admin = 0, node = 0] = await freePorts(3)
  const env = {
    RESTATE_DISABLE_TELEMETRY: 'true',
    RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT: '2',
    RESTATE_ADMIN__DISABLE_WEB_UI: 'true',
    RESTATE_LOG_FILTER: 'error',
    RESTATE_LOG_DISABLE_ANSI_CODES: 'true',
    RESTATE_INGRESS__BIND_ADDRESS: `${LOOPBACK}:${ingress}`,
    RESTATE_ADMIN__BIND_ADDRESS: `${LOOPBACK}:${admin}`,
    RESTATE_BIND_ADDRESS: `${LOOPBACK}:${node}`,
    RESTATE_ADVERTISED_ADDRESS: `http://${LOOPBACK}:${node}/`,
  }
  const program = join(moduleDirectory(platformPackage()), 'bin', 'restate-server')
  const args = ['--base-dir', join(directory, 'restate'), '--node-name', 'bench']
  const daemon = await startDaemon(program, args, { directory, log: 'restate.log', port: ingress, signal: 'SIGKILL', env })
  await daemon.listensOn(admin)
  return { address: { ingress: `http://${LOOPBACK}:${ingress}`, admin: `http://${LOOPBACK}:${admin}` }, pids: [daemon.pid], stop: daemon.stop }
}

export const restate: Adapter = {
  about: {
    label: 'Restate',
    isDurable: true,
    settings:
      'one node, its log synced before it is acknowledged (defaults); concurrent-invocations-limit 2 in each of its 24 partitions, so that what waits stays in the server; a service over HTTP/2 in the client, with a gate of 32; a batch is 100 sends at the same time; idempotency key = our id',
    cannot: { 'idle-many': 'no worker waits: it calls services' },
  },
  needs: [],
  versions: () => `restate-server ${moduleVersion('@restatedev/restate-server')}, restate-sdk ${moduleVersion('@restatedev/restate-sdk')}`,
  serve,
  connect: connectTo,
}

// Stint as its users have it: compiled, as it is published, the server by `stint serve` and the client through the SDK.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as sdk from '../../../src/client/index.ts'
import { pause, PREFETCH } from '../../loads.ts'
import { versions } from '../../machine.ts'
import { configOf, CONTRACT, makeQueues, startServer } from '../../server-process.ts'
import type { Adapter, Connection } from '../adapter.ts'
import { QUEUES } from '../rows.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const OUT = join(ROOT, 'bench', 'out', 'stint')
const DIST = join(OUT, 'dist')
const LOOK_EVERY_MS = 20
const MAX_LIVE_ITEMS = 2_000_000

/** Compiles beside the other output of the bench, so that what `npm run build` made stays as it is. */
const build = async (): Promise<void> => {
  mkdirSync(OUT, { recursive: true })
  // The program reads its version there.
  copyFileSync(join(ROOT, 'package.json'), join(OUT, 'package.json'))
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  execFileSync(tsc, ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', DIST, '--declaration', 'false'], { stdio: 'inherit' })
}

const connectTo = async (url: string): Promise<Connection> => {
  const { connect } = (await import(pathToFileURL(join(DIST, 'client', 'index.js')).href)) as typeof sdk
  const stint = connect({ url })
  const onProblem = (problem: unknown): void => console.error(problem)
  let name = { app: 'bench', queue: '' }
  let producer = stint.producer({ ...name, queue: QUEUES[0] })
  let worker: sdk.Worker | undefined
  return {
    use: async (queue) => {
      await producer.close()
      name = { ...name, queue }
      producer = stint.producer(name)
    },
    put: ({ id, payload }) => producer.put(payload, { id }),
    putMany: async (jobs) => {
      const refused = (await producer.putMany(jobs)).find(({ error }) => error !== undefined)
      if (refused !== undefined) throw new Error('A task was refused', { cause: refused.error })
    },
    startWorker: async (handler, concurrency) => {
      worker = stint.worker({ ...name, concurrency, prefetch: PREFETCH, onProblem }, ({ id }) => handler(id))
    },
    stopWorker: async () => worker?.close({ graceSeconds: 0 }),
    pending: async () => {
      const { waiting, delayed, leased } = await stint.queues.show(name)
      return waiting + delayed + leased
    },
    serveRequests: async (handler, concurrency) => {
      stint.requestWorker({ contract: CONTRACT, concurrency, onProblem }, ({ id }) => ({ body: handler(id) }))
      // What is released is no reply for a duplicate any more.
      const requester = stint.requester({ contract: CONTRACT, release: 'manual' })
      return async (id, payload) => {
        await using reply = await requester.call(payload, { id })
        if (reply.status !== 200) throw new Error(`${id} was answered ${reply.status}`)
        return reply.text()
      }
    },
    startManyWorkers: async (count) => {
      for (let started = 0; started < count; started += 1) stint.worker({ ...name, isBusy: () => false, onProblem }, () => undefined)
      for (let waiting = 0; waiting < count; await pause(LOOK_EVERY_MS)) waiting = (await stint.queues.show(name)).waitingWorkers ?? 0
    },
  }
}

export const stint: Adapter = {
  about: {
    label: 'Stint',
    isDurable: true,
    settings: `SQLite with synchronous=FULL: on the disk before it is acknowledged (default); --max-live-items ${MAX_LIVE_ITEMS}; compiled, as it is published; worker concurrency 32, prefetch ${PREFETCH}; task id = job id`,
  },
  needs: [],
  versions: () => `Stint ${versions().stint}`,
  prepare: build,
  serve: async (directory) => {
    makeQueues(directory, QUEUES)
    const args = ['serve', '--port', '0', '--data', directory, '--config', configOf(directory), '--max-live-items', String(MAX_LIVE_ITEMS)]
    const server = await startServer(directory, { program: join(DIST, 'cli', 'main.js'), args })
    return { address: { url: server.url }, pids: [server.pid], stop: () => server.stop('SIGKILL') }
  },
  connect: ({ url = '' }) => connectTo(url),
}

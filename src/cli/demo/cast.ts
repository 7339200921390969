// Who plays in the act of the job proxies: a load balancer and three job servers, each a process of its own on loopback; and what the story does to them.
import { join } from 'node:path'
import { programOf, type Child, type Nursery } from './children.ts'
import { readLedger, type Acknowledged } from './ledger.ts'
import { messageOf } from './talk.ts'

export const SERVERS = ['server-1', 'server-2', 'server-3'] as const

export interface CastSetting {
  readonly nursery: Nursery
  /** Address of Stint. */
  readonly stintUrl: string
  /** Who the job servers are to Stint. */
  readonly token: string
  /** Directory for all that the processes write. */
  readonly directory: string
  /** The job servers index what is below it. */
  readonly root: string
  readonly bytesPerSecond: number
  readonly reportEverySeconds: number
}

/** What a job server has done since it began. */
export interface Done {
  readonly files: number
  readonly bytes: number
}

export interface JobServerSeat {
  readonly name: string
  readonly url: string
  readonly child: () => Child
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** A new process of the same name at the same address; resolves when it takes requests. */
  readonly restart: () => Promise<void>
  /** Resolves when the wish to abort the job has arrived there. */
  readonly heardAbort: (job: string) => Promise<void>
  readonly done: () => Promise<Done>
}

export interface Cast {
  readonly balancer: { readonly url: string; readonly child: Child }
  readonly servers: readonly JobServerSeat[]
  /** What Stint has acknowledged to the job servers up to now. */
  readonly acknowledged: () => readonly Acknowledged[]
  /** Ends all of them in order. */
  readonly close: () => Promise<void>
}

export const listeningAt = (child: Child): Promise<string> =>
  child.until((line) => {
    const message = messageOf(line)
    return message?.type === 'listening' ? message.url : undefined
  })

const portOf = (url: string): string => new URL(url).port

const seatJobServer = async (setting: CastSetting, name: string): Promise<JobServerSeat> => {
  const { nursery, stintUrl, token, directory, root, bytesPerSecond, reportEverySeconds } = setting
  const start = (port: string): Child => {
    const options = { name, stint: stintUrl, root, into: join(directory, 'index'), ledger: ledgerOf(directory, name), port }
    const pace = { 'bytes-per-second': String(bytesPerSecond), 'report-every-seconds': String(reportEverySeconds) }
    return nursery.start(
      name,
      programOf('job-server'),
      Object.entries({ ...options, ...pace }).flatMap(([option, value]) => [`--${option}`, value]),
      { STINT_TOKEN: token },
    )
  }
  let child = start('0')
  const url = await listeningAt(child)
  return {
    name,
    url,
    child: () => child,
    kill: () => child.end('SIGKILL'),
    restart: async () => {
      child = start(portOf(url))
      await listeningAt(child)
    },
    heardAbort: async (job) => {
      await child.until((line) => {
        const message = messageOf(line)
        return message?.type === 'aborting' && message.job === job ? true : undefined
      })
    },
    done: async () => (await (await fetch(`${url}/done`)).json()) as Done,
  }
}

const ledgerOf = (directory: string, server: string): string => join(directory, `acknowledged-${server}.jsonl`)

/** Starts everybody. */
export const assemble = async (setting: CastSetting): Promise<Cast> => {
  const servers = await Promise.all(SERVERS.map((name) => seatJobServer(setting, name)))
  const balancer = setting.nursery.start(
    'load balancer',
    programOf('load-balancer'),
    servers.map((server) => server.url),
  )
  return {
    servers,
    balancer: { url: await listeningAt(balancer), child: balancer },
    acknowledged: () => servers.flatMap(({ name }) => readLedger(ledgerOf(setting.directory, name))),
    close: async () => {
      await Promise.all([balancer, ...servers.map(({ child }) => child())].map((child) => child.end('SIGTERM')))
    },
  }
}

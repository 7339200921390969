// Who plays: Stint, a load balancer and three job servers, each a process of its own on loopback; and what the story does to them.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programOf, type Child, type Nursery } from './children.ts'
import { readLedger, type Acknowledged } from './ledger.ts'
import { messageOf } from './talk.ts'

export const SERVERS = ['server-1', 'server-2', 'server-3'] as const

export interface CastSetting {
  readonly nursery: Nursery
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
  readonly stint: {
    readonly url: string
    readonly data: string
    readonly child: () => Child
    readonly kill: () => Promise<void>
    readonly restart: () => Promise<void>
    readonly stop: () => Promise<void>
  }
  readonly balancer: { readonly url: string; readonly child: Child }
  readonly servers: readonly JobServerSeat[]
  /** What Stint has acknowledged to the job servers up to now. */
  readonly acknowledged: () => readonly Acknowledged[]
}

/** The command line of Stint, in the room above. */
export const COMMAND_LINE = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))

const addressIn = (line: string): string | undefined => /https?:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]

const listeningAt = (child: Child): Promise<string> =>
  child.until((line) => {
    const message = messageOf(line)
    return message?.type === 'listening' ? message.url : undefined
  })

const portOf = (url: string): string => new URL(url).port

const seatStint = async ({ nursery, directory }: CastSetting): Promise<Cast['stint']> => {
  const data = join(directory, 'stint-data')
  const start = (port: string): Child => nursery.start('stint', COMMAND_LINE, ['serve', '--port', port, '--data', data])
  let child = start('0')
  const url = await child.until(addressIn)
  return {
    url,
    data,
    child: () => child,
    kill: () => child.end('SIGKILL'),
    restart: async () => {
      child = start(portOf(url))
      await child.until(addressIn)
    },
    stop: () => child.end('SIGTERM'),
  }
}

const seatJobServer = async (setting: CastSetting, name: string, stintUrl: string): Promise<JobServerSeat> => {
  const { nursery, directory, root, bytesPerSecond, reportEverySeconds } = setting
  const start = (port: string): Child => {
    const options = { name, stint: stintUrl, root, into: join(directory, 'index'), ledger: ledgerOf(directory, name), port }
    const pace = { 'bytes-per-second': String(bytesPerSecond), 'report-every-seconds': String(reportEverySeconds) }
    return nursery.start(
      name,
      programOf('job-server'),
      Object.entries({ ...options, ...pace }).flatMap(([option, value]) => [`--${option}`, value]),
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

/** Starts everybody; Stint first, as it tells the others where it is. */
export const assemble = async (setting: CastSetting): Promise<Cast> => {
  const stint = await seatStint(setting)
  const servers = await Promise.all(SERVERS.map((name) => seatJobServer(setting, name, stint.url)))
  const balancer = setting.nursery.start(
    'load balancer',
    programOf('load-balancer'),
    servers.map((server) => server.url),
  )
  return {
    stint,
    servers,
    balancer: { url: await listeningAt(balancer), child: balancer },
    acknowledged: () => servers.flatMap(({ name }) => readLedger(ledgerOf(setting.directory, name))),
  }
}

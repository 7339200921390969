// What a system must offer to be measured: see README.md. An adapter is used in two processes: the bench starts the system's server, and a client of its own puts jobs and works on them.
import type { Job } from '../loads.ts'
import type { LoadName } from './rows.ts'

/** What a system needs beside the npm packages of this folder. */
export type Need = 'postgres' | 'redis'

export interface About {
  /** As it stands in tables and plots. */
  readonly label: string
  /** Whether every acknowledged job is on the disk. Only durable systems are compared with. */
  readonly isDurable: boolean
  /** Settings that differ from its defaults or that decide about durability, in words. */
  readonly settings: string
  /** Loads that it cannot carry, each with the reason. */
  readonly cannot?: Readonly<Partial<Record<LoadName, string>>>
}

/** How a client finds the server: plain values, as they are sent from process to process. */
export type Address = Readonly<Record<string, string>>

export interface Served {
  readonly address: Address
  /** Processes whose CPU time and memory are the server's, their children included. */
  readonly pids: readonly number[]
  /** Resolves when no process of it is left. Nothing has to be kept: its directory is removed. */
  readonly stop: () => Promise<void>
}

/** Runs a job or a request; what it returns is the result or the reply. */
export type Handler = (id: string) => unknown

/** Sends a request and resolves with its reply, a value or its JSON text. The same id again is the same request. */
export type AskPeer = (id: string, payload: unknown) => Promise<unknown>

/** The client's side. The process ends when it was measured, so nothing has to be closed. */
export interface Connection {
  /** All calls from now on are about this queue, which is empty. */
  readonly use: (queue: string) => unknown
  /** Resolves when the job is kept, as durably as the settings make it; its id is the idempotency key. */
  readonly put: (job: Job) => Promise<unknown>
  /** A hundred jobs, in the way that the system has for many. */
  readonly putMany: (jobs: readonly Job[]) => Promise<unknown>
  /** Starts one worker with so many handlers at the same time. */
  readonly startWorker: (handler: Handler, concurrency: number) => Promise<unknown>
  /** The worker takes no more. Another may be started afterwards, for another queue. */
  readonly stopWorker: () => Promise<unknown>
  /** How many jobs of the queue are not durably done. */
  readonly pending: () => Promise<number>
  /** Gives the planner of a database fresh statistics, as it makes them by itself after a while. Called when a queue was filled. */
  readonly refreshStatistics?: () => Promise<unknown>
  /** Has requests handled by this process, and answers how to ask. Left out where there are no replies. */
  readonly serveRequests?: (handler: Handler, concurrency: number) => Promise<AskPeer>
  /** Starts so many workers and resolves when they wait for work. Left out where one process cannot have many. */
  readonly startManyWorkers?: (count: number) => Promise<unknown>
}

export interface Adapter {
  readonly about: About
  readonly needs: readonly Need[]
  /** Of the system and what it runs on, in words. */
  readonly versions: () => string
  /** Once, before anything is measured. */
  readonly prepare?: () => Promise<void>
  /** Starts a server with nothing in it, on loopback only and with its files in this directory. */
  readonly serve: (directory: string) => Promise<Served>
  readonly connect: (address: Address) => Promise<Connection>
}

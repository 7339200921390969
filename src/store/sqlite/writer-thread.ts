// The writer's thread as seen from the engine's: started, spoken to by messages, and given up on the first sign that it cannot be trusted.
import { Worker } from 'node:worker_threads'
import type { Batch, FromWriter, Outcome, ToWriter } from './batch.ts'
import { newBell, ring, type Bell } from './bell.ts'
import type { LogWriterSettings } from './log-writer.ts'
import { StoreOpenError } from './open-error.ts'
import type { Identity } from './schema.ts'

export interface WriterListener {
  readonly outcome: (outcome: Outcome) => void
  /** The thread cannot be trusted any more: an error with an unknown outcome, or it is gone. May be told more than once. */
  readonly fatal: (cause: Error) => void
}

export interface WriterThread {
  readonly identity: Identity
  /** One batch at a time; the answer goes to `listen`. */
  readonly send: (batch: Batch) => void
  readonly listen: (listener: WriterListener) => void
  /** Copies the write-ahead log into the file, lets go of it and ends the thread. Resolves also when the thread is already gone. */
  readonly close: () => Promise<void>
}

/** What the thread is started with. */
export interface WriterData {
  readonly settings: LogWriterSettings
  readonly bell: Bell
}

/** Compiled code lies beside compiled code. */
const WRITER = new URL(import.meta.url.endsWith('.ts') ? './writer.ts' : './writer.js', import.meta.url)

/** MiB for what is thrown away soon, which is nearly everything there: Node gives more than five times as much, and never takes it back. */
const YOUNG = { maxYoungGenerationSizeMb: 24 }

/** Starts the thread and resolves when the file is open for writing; rejects with StoreOpenError. */
export const startWriter = (settings: LogWriterSettings): Promise<WriterThread> =>
  new Promise((resolve, reject) => {
    const bell = newBell()
    const data: WriterData = { settings, bell }
    const worker = new Worker(WRITER, { workerData: data, name: 'stint-writer', resourceLimits: YOUNG })
    const exited = new Promise<void>((ended) => worker.once('exit', () => ended()))
    let listener: WriterListener | undefined
    let closing = false

    const post = (message: ToWriter, transfer: ArrayBuffer[] = []): void => {
      worker.postMessage(message, transfer)
      ring(bell)
    }
    const fail = (cause: Error): void => {
      if (listener === undefined) reject(new StoreOpenError('io', `The writer did not start: ${cause.message}`, { cause }))
      else listener.fatal(cause)
    }
    const threadFor = (identity: Identity): WriterThread => ({
      identity,
      send: (batch) => post({ kind: 'batch', batch }, [batch.payloads.buffer]),
      listen: (heard) => {
        listener = heard
      },
      close: async () => {
        closing = true
        post({ kind: 'close' })
        await exited
      },
    })

    worker.on('message', (message: FromWriter) => {
      switch (message.kind) {
        case 'ready':
          resolve(threadFor(message.identity))
          return
        case 'notOpened':
          closing = true
          void exited.then(() => reject(new StoreOpenError(message.problem, message.message)))
          return
        case 'outcome':
          listener?.outcome(message.outcome)
          return
        case 'fatal':
          fail(new Error(message.message))
          return
        case 'closed':
          return
      }
    })
    worker.on('error', (error) => fail(error instanceof Error ? error : new Error(String(error))))
    worker.on('messageerror', fail)
    worker.on('exit', (code) => {
      if (!closing) fail(new Error(`The writer's thread ended with code ${code}`))
    })
  })

// The thread that copies the write-ahead log, as seen from the engine's: started when it is first needed.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export interface CheckpointThread {
  /** Resolves when what was written before is copied, as far as readers and the disk let it, or the thread has ended: the next call starts another, unless it is closed. Rejects when the copying failed. */
  readonly copy: () => Promise<void>
  /** Waits for what is under way. */
  readonly close: () => Promise<void>
}

/** What the thread is started with. */
export interface CheckpointData {
  readonly file: string
}

export type FromCheckpointer = { readonly kind: 'copied' } | { readonly kind: 'failed'; readonly message: string }

/** Compiled code lies beside compiled code. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './checkpoint-worker.ts' : './checkpoint-worker.js', import.meta.url)

/** MiB: it keeps nothing. */
const YOUNG = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 }

type Answer = FromCheckpointer | { readonly kind: 'ended' }

/** One `copy` at a time. */
export const checkpointThread = (file: string): CheckpointThread => {
  let worker: Worker | undefined
  let underWay: Promise<void> = Promise.resolve()
  let answered = (_answer: Answer): void => undefined
  let isClosing = false

  const start = (): Worker => {
    const started = new Worker(WORKER, { workerData: { file } satisfies CheckpointData, name: 'stint-checkpoint', resourceLimits: YOUNG })
    started.on('message', (message: FromCheckpointer) => answered(message))
    // Its end follows, whatever the error was, and whether it was asked for something or not.
    started.on('error', () => undefined)
    started.on('exit', () => {
      if (worker === started) worker = undefined
      answered({ kind: 'ended' })
    })
    return started
  }

  const ask = (asked: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      // Asked for nothing, it keeps nobody from ending.
      asked.ref()
      answered = (answer) => {
        if (!isClosing) asked.unref()
        if (answer.kind === 'failed') reject(new Error(answer.message))
        else resolve()
      }
      asked.postMessage('copy')
    })

  return {
    copy: () => {
      if (isClosing) return Promise.resolve()
      worker ??= start()
      return (underWay = ask(worker))
    },
    close: async () => {
      isClosing = true
      await underWay.catch(() => undefined)
      const ending = worker
      if (ending === undefined) return
      const gone = once(ending, 'exit')
      ending.ref()
      ending.postMessage('close')
      await gone
    },
  }
}

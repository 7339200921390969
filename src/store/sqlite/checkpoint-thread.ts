// The thread that copies the write-ahead log, as seen from the engine's: started when it is first needed.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export interface CheckpointThread {
  /** Resolves when what was written before is copied, as far as readers and the disk let it, or the thread has ended: the next call starts another. Rejects when the copying failed. */
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

const started = (file: string): Worker => {
  const worker = new Worker(WORKER, { workerData: { file } satisfies CheckpointData, name: 'stint-checkpoint', resourceLimits: YOUNG })
  // Asked for nothing, it keeps nobody from ending.
  worker.unref()
  return worker
}

type Answer = FromCheckpointer | { readonly kind: 'ended' }

const answerOf = (worker: Worker): Promise<Answer> =>
  new Promise((resolve) => {
    const ended = (): void => resolve({ kind: 'ended' })
    worker.once('error', ended)
    worker.once('exit', ended)
    worker.once('message', (message: FromCheckpointer) => {
      worker.off('error', ended)
      worker.off('exit', ended)
      resolve(message)
    })
    worker.postMessage('copy')
  })

/** One `copy` at a time. */
export const checkpointThread = (file: string): CheckpointThread => {
  let worker: Worker | undefined
  let underWay: Promise<void> = Promise.resolve()
  const ask = async (asked: Worker): Promise<void> => {
    asked.ref()
    const answer = await answerOf(asked)
    asked.unref()
    if (answer.kind === 'failed') throw new Error(answer.message)
    if (answer.kind === 'ended' && worker === asked) worker = undefined
  }
  return {
    copy: () => {
      worker ??= started(file)
      return (underWay = ask(worker))
    },
    close: async () => {
      await underWay.catch(() => undefined)
      const ending = worker
      if (ending === undefined) return
      const gone = once(ending, 'exit')
      ending.ref()
      ending.postMessage('close')
      await gone
      worker = undefined
    },
  }
}

// The writer's thread: takes batches, answers each after its commit, and falls silent for good after an error whose outcome is unknown (rules 9).
import { parentPort, workerData } from 'node:worker_threads'
import type { FromWriter, ToWriter } from './batch.ts'
import { describeError } from './errors.ts'
import { openLogWriter, type LogWriter, type LogWriterSettings } from './log-writer.ts'
import { StoreOpenError } from './open-error.ts'

const port = parentPort
if (port === null) throw new Error('The writer runs in a worker thread')

const tell = (message: FromWriter): void => port.postMessage(message)

const serve = (writer: LogWriter): void => {
  let failed = false
  const guarded = (run: () => void): void => {
    if (failed) return
    try {
      run()
    } catch (error) {
      failed = true
      tell({ kind: 'fatal', message: describeError(error) })
    }
  }
  port.on('message', (message: ToWriter) => {
    switch (message.kind) {
      case 'batch':
        guarded(() => tell({ kind: 'outcome', outcome: writer.commit(message.batch) }))
        guarded(writer.checkpoint)
        return
      case 'close':
        guarded(writer.close)
        tell({ kind: 'closed' })
        port.close()
        return
    }
  })
  tell({ kind: 'ready', identity: writer.identity })
}

try {
  serve(openLogWriter(workerData as LogWriterSettings))
} catch (error) {
  tell({ kind: 'notOpened', problem: error instanceof StoreOpenError ? error.problem : 'io', message: describeError(error) })
  port.close()
}

// The writer's thread: takes batches, answers each after its commit, and falls silent for good after an error whose outcome is unknown (rules 9).
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import type { FromWriter, ToWriter } from './batch.ts'
import { awaitRing, type Bell } from './bell.ts'
import { describeError } from './errors.ts'
import { openLogWriter, type LogWriter, type LogWriterSettings } from './log-writer.ts'
import { StoreOpenError } from './open-error.ts'
import type { WriterData } from './writer-thread.ts'

const port = parentPort
if (port === null) throw new Error('The writer runs in a worker thread')

const tell = (message: FromWriter): void => port.postMessage(message)

/** The messages in their order, without end: sleeps while there is none. */
function* messages(from: MessagePort, bell: Bell): Generator<ToWriter, never> {
  for (let heard = 0; ; heard = awaitRing(bell, heard)) {
    for (let got = receiveMessageOnPort(from); got !== undefined; got = receiveMessageOnPort(from)) yield got.message as ToWriter
  }
}

const serve = (writer: LogWriter, bell: Bell): void => {
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
  tell({ kind: 'ready', identity: writer.identity })
  for (const message of messages(port, bell)) {
    switch (message.kind) {
      case 'batch':
        guarded(() => tell({ kind: 'outcome', outcome: writer.commit(message.batch) }))
        guarded(writer.checkpoint)
        break
      case 'close':
        guarded(writer.close)
        tell({ kind: 'closed' })
        return
    }
  }
}

/** The writer, or undefined once it is told why there is none. */
const opened = (settings: LogWriterSettings): LogWriter | undefined => {
  try {
    return openLogWriter(settings)
  } catch (error) {
    tell({ kind: 'notOpened', problem: error instanceof StoreOpenError ? error.problem : 'io', message: describeError(error) })
    return undefined
  }
}

const { settings, bell } = workerData as WriterData
const writer = opened(settings)
if (writer !== undefined) serve(writer, bell)

// The thread of the tables: composes the core with the real world and a connection of its own to the log, and answers messages. Started by open.ts.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { openKurrentStore } from '../store/kurrent/store.ts'
import { openSqliteReader } from '../store/sqlite/log-reader.ts'
import { realWorld } from '../world.ts'
import { projections } from './index.ts'
import type { FromThread, LogPlace, Question, ThreadData, ToThread } from './messages.ts'
import type { TablesReader } from './projection.ts'
import { openCore, type Core } from './runner.ts'

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const valueFor = (core: Core, question: Question) => {
  switch (question.type) {
    case 'list':
      return core.list(question.filter)
    case 'statistics':
      return core.statistics(question.filter)
    case 'requests':
      return core.requests(question.filter)
    case 'usage':
      return core.usage(question.filter)
    case 'expiring':
      return core.expiring(question.filter)
    case 'retired':
      return core.retired(question.filter)
    case 'liveItems':
      return core.liveItems()
  }
}

interface OwnReader {
  readonly reader: TablesReader
  readonly close: () => Promise<void>
}

/** A thread has its own copy of every module, so what it asks of an EventStoreDB shares neither connection nor anything kept with what the engine asks. */
const openReader = async (log: LogPlace): Promise<OwnReader> => {
  if ('connectionString' in log) {
    const store = await openKurrentStore(log)
    return { reader: store, close: store.close }
  }
  const reader = openSqliteReader(log.storeFile)
  return { reader, close: async () => reader.close() }
}

const serve = async (port: MessagePort, { file, log }: ThreadData): Promise<void> => {
  const say = (message: FromThread): void => port.postMessage(message)
  const { reader, close } = await openReader(log)
  const core = await openCore({
    file,
    reader,
    projections,
    world: realWorld,
    onLog: (text) => say({ type: 'log', text }),
    onMoved: (status, events) => say({ type: 'moved', status, events }),
  }).catch(async (cause: unknown) => {
    // A connection to the log would keep the thread, and whoever waits for its end.
    await close()
    throw cause
  })

  const answer = async (number: number, question: Question): Promise<void> => {
    try {
      say({ type: 'answer', number, value: await valueFor(core, question) })
    } catch (cause) {
      say({ type: 'failed', number, message: messageOf(cause) })
    }
  }

  const hear = async (message: ToThread): Promise<void> => {
    switch (message.type) {
      case 'question':
        return answer(message.number, message.question)
      case 'follow':
        core.follow(message.head)
        await core.idle()
        return say({ type: 'idle' })
      case 'close':
        await core.close()
        await close()
        return port.close()
    }
  }
  port.on('message', (message: ToThread) => void hear(message))
  say({ type: 'opened', status: core.status() })
}

if (parentPort === null) throw new Error('This file is started as a worker thread')
const port = parentPort
serve(port, workerData as ThreadData).catch((cause: unknown) => {
  port.postMessage({ type: 'refused', message: messageOf(cause) } satisfies FromThread)
  port.close()
})

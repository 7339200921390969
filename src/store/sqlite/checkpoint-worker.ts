// The thread that copies the write-ahead log into the file, over a connection of its own: beside the commits, which it does not hold up.
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { CheckpointData, FromCheckpointer } from './checkpoint-thread.ts'
import { describeError, isBusy, isFull } from './errors.ts'

const port = parentPort
if (port === null) throw new Error('This file is started as a worker thread')

const { file } = workerData as CheckpointData
const db = new DatabaseSync(file)
// As the one that writes: what is copied is synced before the write-ahead log may begin anew.
db.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA cache_size = -256; PRAGMA wal_autocheckpoint = 0')
const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')

const copied = (): FromCheckpointer => {
  try {
    copy.get()
    return { kind: 'copied' }
  } catch (cause) {
    // A full disk, or somebody else who copies: the next time.
    return isFull(cause) || isBusy(cause) ? { kind: 'copied' } : { kind: 'failed', message: describeError(cause) }
  }
}

port.on('message', (asked: 'copy' | 'close') => {
  if (asked === 'copy') return port.postMessage(copied())
  db.close()
  port.close()
})

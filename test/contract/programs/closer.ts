// A process that opens a log, writes until its write-ahead log is being copied, and closes it at that moment, again and again; it prints one line when all is closed and
// every thread has ended, and then has nothing more to do: closer.ts DIRECTORY TIMES.
import type { Worker } from 'node:worker_threads'
import { openSqliteReader } from '../../../src/store/sqlite/log-reader.ts'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { right, sample } from '../samples.ts'

const [directory = '', times = '1'] = process.argv.slice(2)
let running = 0
let started = 0
process.on('worker', (worker: Worker) => {
  running += 1
  started += 1
  worker.on('exit', () => (running -= 1))
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

for (let time = 0; time < Number(times); time += 1) {
  const store = await openSqliteStore({ directory, checkpointPages: 16 })
  store.onFatal((cause) => {
    throw cause
  })
  // Somebody reads meanwhile, so that not all can be copied.
  const reader = time % 2 === 0 ? openSqliteReader(store.file) : undefined
  for (const before = started; started === before;) right(await store.append('a', 'any', [sample(time, { payload: Buffer.alloc(20_000) })])())
  for (let turns = 0; turns < time % 7; turns += 1) await turn()
  const underWay = Array.from({ length: time % 3 }, () => store.append('b', 'any', [sample(time, { payload: Buffer.alloc(300_000) })])())
  await store.close()
  for (const answer of await Promise.all(underWay)) right(answer)
  if (running > 0) throw new Error(`${running} threads run on after time ${time}`)
  reader?.close()
}
process.stdout.write('closed\n')

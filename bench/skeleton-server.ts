// The least that an answer costs that is durable first: node:http, a thread that writes, and a commit of one row in SQLite with synchronous=FULL: `node bench/skeleton-server.ts DIRECTORY`.
// No rules, no decoding, no batching: what Stint does beyond it is what it costs.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const serve = (directory: string): void => {
  const writer = new Worker(new URL(import.meta.url), { workerData: join(directory, 'skeleton.db') })
  const waiting: ServerResponse[] = []
  writer.on('message', () => waiting.shift()?.writeHead(201, { 'Content-Type': 'application/json', 'Content-Length': 2 }).end('{}'))
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.once('end', () => {
      waiting.push(response)
      writer.postMessage(Buffer.concat(parts).toString())
    })
  })
  writer.once('online', () => server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}`)))
}

const write = (file: string): void => {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE event (id INTEGER PRIMARY KEY, data TEXT)')
  const insert = database.prepare('INSERT INTO event (data) VALUES (?)')
  parentPort?.on('message', (data: string) => {
    insert.run(data)
    parentPort?.postMessage(undefined)
  })
}

if (isMainThread) serve(process.argv[2] ?? '.')
else write(String(workerData))

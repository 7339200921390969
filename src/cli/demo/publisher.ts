// The application outside, as a process of its own: a small web service that passes on what its users want archived. Its token lets it put tasks into one queue of
// somebody else, and nothing more.
//   node publisher.ts --stint URL        (token: STINT_TOKEN)
//   POST /orders { files: [{ path, bytes }], priority? } → { ids }      POST /lease → what it is told when it tries to lease
import express from 'express'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { parseArgs } from 'node:util'
import { connect, StintError } from '../../client/index.ts'
import { leaseTasks } from '../../wire/tasks.ts'
import { ARCHIVE } from './archive-queue.ts'
import type { Order } from './archive.ts'
import { listening } from './talk.ts'

const { values: given } = parseArgs({ options: { stint: { type: 'string', default: 'http://127.0.0.1:7070' } } })

const stint = connect({ url: given.stint })
const files = stint.producer(ARCHIVE)

const app = express()
app.use(express.json({ limit: '1mb' }))

app.post('/orders', async (request, response) => {
  const { files: orders, priority } = request.body as { readonly files: readonly Order[]; readonly priority?: number }
  const put = await files.putMany(orders.map((payload) => ({ payload, priority, tag: extname(payload.path).slice(1) || 'none' })))
  const refused = put.find(({ error }) => error !== undefined)
  if (refused === undefined) response.status(201).json({ ids: put.map(({ id }) => id) })
  else response.status(502).json({ detail: refused.error?.message })
})

app.post('/lease', async (_request, response) => {
  try {
    const { items } = await stint.call(leaseTasks, { params: ARCHIVE, body: { max: 1 } })
    response.json({ status: 200, detail: `${items.length} leased` })
  } catch (failure) {
    if (!(failure instanceof StintError)) throw failure
    response.json({ status: failure.status, code: failure.code, detail: failure.message })
  }
})

const server = createServer(app)
server.listen(0, '127.0.0.1', () => listening(server))

process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
  void stint.close().finally(() => process.exit(0))
})

// An express app with one route: `node bench/once-app.ts [STORE]`. With a directory or the address of a server the route keeps an exactly-once contract there; without, it is what that is measured against.
import express from 'express'
import type { AddressInfo } from 'node:net'
import { exactlyOnce } from '../src/embedded/express.ts'
import { CONTRACT } from './server-process.ts'

const store = process.argv[2]
const once = store === undefined ? undefined : exactlyOnce({ store, contract: CONTRACT, caller: () => 'bench' })
let runs = 0
const app = express()
app.post('/requests', ...(once === undefined ? [] : [once]), express.json(), (req, res) => {
  const { n } = req.body as { n: number }
  runs += 1
  res.status(201).json({ ok: true, n, runs })
})
await once?.ready()
const server = app.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}`))
// An engine of this process is let go of as it should be.
process.once('SIGTERM', () => {
  server.closeAllConnections()
  server.close(() => void once?.close())
})

// An app with one route behind `exactlyOnce`, to be killed at the worst moments: `exactly-once-app.ts STORE EFFECTS`. It appends a line to the file EFFECTS for each run of its handler.
import express from 'express'
import { appendFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { exactlyOnce, executionOf } from '../../../src/embedded/express.ts'

const [store = '', effects = ''] = process.argv.slice(2)
const payments = exactlyOnce({ store, contract: 'payments', release: 'none-required', caller: (req) => req.get('x-user') ?? 'ann' })
await payments.ready()

const die = (): void => void process.kill(process.pid, 'SIGKILL')

const app = express()
// Beneath the middleware, so that it sees the reply on its way out, after it is durable.
app.use((req, res, next) => {
  if (req.get('x-die') === 'before-sending') Object.assign(res, { writeHead: die })
  next()
})
app.post('/payments', payments, express.json(), (req, res) => {
  const attempt = executionOf(req)?.attempt ?? 0
  const { amount } = req.body as { amount: number }
  appendFileSync(effects, `${req.get('idempotency-key')} ${attempt}\n`)
  if (req.get('x-die') === 'before-reply' && attempt === 1) die()
  res.status(201).cookie('paid', String(amount)).set('X-Attempt', String(attempt)).json({ paid: amount, by: process.pid })
})

const server = app.listen(0, '127.0.0.1', () => process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`))
process.once('SIGTERM', () => server.close(() => void payments.close()))

// A payment that is made once, however often its request is sent: one line in front of the route.
import express from 'express'
// In your own project: import { exactlyOnce, executionOf } from 'stint/express'
import { exactlyOnce, executionOf } from '../../src/embedded/express.ts'

/** Stands for the bank; a real one is asked under a reference of its own, so that a second attempt finds what the first has done. */
const charge = async (_reference: string, amount: number) => ({ charged: amount })

const once = exactlyOnce({
  store: process.env['STINT_STORE'] ?? './stint-data', // a directory of this process, or the address of a Stint server that several share
  contract: 'payments',
  release: 'none-required',
  retainSeconds: 7 * 86_400,
  caller: (req) => req.get('x-user') ?? 'anonymous', // who is signed in: a stable name, never a token
})

const app = express()
app.post('/payments', once, express.json(), async (req, res) => {
  const { amount } = req.body as { amount: number }
  const execution = executionOf(req) // workItem, attempt, signal
  res.status(201).json(await charge(execution?.workItem ?? '', amount))
})

await once.ready()
const server = app.listen(Number(process.env['PORT'] ?? 8080), '127.0.0.1', () => console.log('listening', server.address(), 'pid', process.pid))
process.once('SIGTERM', () => server.close(() => void once.close()))

// A request worker as a process: it has each payment charged by a card network over HTTP, which a test holds back, answers and counts.
//   node pay-worker.ts --name NAME --stint URL --network URL
import { parseArgs } from 'node:util'
import { connect } from '../../../src/client/index.ts'
import { tell } from '../../../src/cli/demo/talk.ts'

interface Payment {
  readonly amount: number
}

const { values: given } = parseArgs({ options: { name: { type: 'string', default: 'till' }, stint: { type: 'string' }, network: { type: 'string', default: '' } } })

const stint = connect({ ...(given.stint === undefined ? {} : { url: given.stint }) })
const till = stint.requestWorker<Payment>(
  {
    contract: 'pay',
    worker: given.name,
    concurrency: 16,
    // What runs is waited for on the network, so nothing here says how busy the machine is.
    isBusy: () => false,
    closeOn: ['SIGTERM'],
    onProblem: (problem, request) => tell({ type: 'problem', detail: problem.message, job: request }),
  },
  async ({ id, caller, attempt, body: { amount }, signal }) => {
    const headers = { 'Idempotency-Key': `${caller}/${id}`, 'X-Attempt': String(attempt) }
    const charged = await fetch(given.network, { method: 'POST', headers, body: JSON.stringify({ amount }), signal })
    if (!charged.ok) throw new Error(`The card network answered ${charged.status}.`)
    return {
      status: 201,
      headers: { Location: `/receipts/${id}` },
      body: { paid: amount, by: given.name, attempt },
      effects: [{ task: { app: 'shop', queue: 'receipts', payload: { id, amount } } }],
    }
  },
)
await till.closed
await stint.close()

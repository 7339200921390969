// A till, as a process of its own: a worker of the contract that charges cards. Its card network is a file outside of Stint, to which each charge adds a line.
//   node till.ts --name NAME --stint URL --charges FILE        (token: STINT_TOKEN)
import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { connect } from '../../client/index.ts'
import { CHARGE, type Charged, type Charge } from './charges.ts'
import { tell } from './talk.ts'

const { values: given } = parseArgs({
  options: {
    name: { type: 'string', default: 'till' },
    stint: { type: 'string', default: 'http://127.0.0.1:7070' },
    charges: { type: 'string', default: 'charges.jsonl' },
  },
})

const CONCURRENCY = 4

const stint = connect({ url: given.stint })
const worker = stint.requestWorker<Charge>(
  {
    contract: CHARGE,
    worker: given.name,
    concurrency: CONCURRENCY,
    closeOn: ['SIGTERM'],
    onProblem: (problem, request) => tell({ type: 'problem', detail: problem.message, job: request }),
  },
  ({ id, attempt, body: { cents } }) => {
    // The effect that nobody can take back.
    appendFileSync(given.charges, `${JSON.stringify({ id, cents, by: given.name, attempt } satisfies Charged)}\n`)
    return { status: 201, headers: { Location: `/receipts/${id}` }, body: { receipt: id, cents, by: given.name } }
  },
)

await worker.closed
await stint.close()

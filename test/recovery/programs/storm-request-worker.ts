// A worker of a contract in a storm: `node storm-request-worker.ts URL CONTRACT NAME LEASE_SECONDS DIRECTORY`. It leases, executes and replies until it is killed.
import { realWorld } from '../../../src/world.ts'
import { openExecutions, sayUntilAnswered } from './storm-execution.ts'

const [url = '', contract = '', name = '', leaseSeconds = '', directory = ''] = process.argv.slice(2)
const LOOPS = 2
const ITEMS_MAX = 16

const execute = openExecutions(url, directory)

interface Leased {
  readonly id: string
  readonly caller: string
  readonly lease: string
}

const loop = async (): Promise<never> => {
  for (;;) {
    // Said again under the same name it is given what the answer that it did not hear has leased.
    const asked = { max: ITEMS_MAX, leaseSeconds: Number(leaseSeconds), worker: name, requestId: realWorld.token(12) }
    const answer = await sayUntilAnswered(`${url}/v1/contracts/${contract}/lease`, asked, { Prefer: 'wait=5' })
    if (answer.status !== 200) throw new Error(`A lease call was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    await Promise.all((answer.body as { readonly items: readonly Leased[] }).items.map(({ id, caller, lease }) => execute({ contract, caller, id, lease })))
  }
}

process.stdout.write('working\n')
await Promise.all(Array.from({ length: LOOPS }, loop))

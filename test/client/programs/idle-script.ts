// A script as people write them: it connects, makes its calls and never closes anything. `node idle-script.ts URL [wait]`: with `wait` its last call waits for a task.
import { connect, routes } from '../../../src/client/index.ts'

const [, , url = '', last] = process.argv
const stint = connect({ url })
for (let call = 0; call < 50; call += 1) await stint.call(routes.listJobs)
process.stdout.write('done\n')
if (last === 'wait') {
  const { items } = await stint.call(routes.leaseTasks, { params: { app: 'shop', queue: 'mail' }, body: { worker: 'w' }, headers: { Prefer: 'wait=60' }, timeoutMs: 60_000 })
  process.stdout.write(`got ${items[0]?.id}\n`)
}

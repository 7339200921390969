// The double as a process of its own, as a server is: `node program.ts [NODES]`. Says where it is, and ends when its input does, so that it never outlives whoever started it.
import { startDouble } from './double.ts'

const double = await startDouble({ nodes: Number(process.argv[2] ?? '1') })
process.stdout.write(`serving ${double.connectionString}\n`)
for await (const _bytes of process.stdin);
await double.close()

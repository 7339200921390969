// The double of EventStoreDB as a host of its own: `node store.ts PORT`, on every address of its container. It keeps its log in memory, so it outlives the servers over it and not itself.
import { startDouble } from '../../support/kurrent-double/double.ts'

const double = await startDouble({ listen: { host: '0.0.0.0', port: Number(process.argv[2]) } })
process.once('SIGTERM', () => void double.close().then(() => process.exit(0)))
process.stdout.write('listening\n')

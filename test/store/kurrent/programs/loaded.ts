// Says how much of the EventStoreDB client is loaded by importing the store, and whether opening one loads it.
import { createRequire } from 'node:module'
import { openKurrentStore } from '../../../../src/store/kurrent/store.ts'

const { cache } = createRequire(import.meta.url)
const loaded = (): number => Object.keys(cache).filter((name) => name.includes('@eventstore') || name.includes('@grpc')).length

const before = loaded()
await openKurrentStore({ connectionString: 'esdb://127.0.0.1:1?tls=false', patienceMs: 1 }).catch(() => undefined)
process.stdout.write(JSON.stringify({ before, after: loaded() > 10 }))

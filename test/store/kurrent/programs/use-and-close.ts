// Uses a store over the EventStoreDB at argv[2] in every way that keeps something open, and closes it. What is left open keeps the process alive.
import { openKurrentStore } from '../../../../src/store/kurrent/store.ts'
import { StoreOpenError } from '../../../../src/store/sqlite/open-error.ts'
import { sample } from '../../../contract/samples.ts'

const [, , connectionString = '', patienceMs = '10000'] = process.argv
try {
  const store = await openKurrentStore({ connectionString, prefixes: 'all', patienceMs: Number(patienceMs) })
  await store.append('a', 'any', [sample(1), sample(2)])()
  const heard: string[] = []
  for await (const item of store.subscribe({ signal: new AbortController().signal })) {
    heard.push(item.type)
    if (item.type === 'caughtUp') break
  }
  await store.close()
  process.stdout.write(JSON.stringify({ heard }))
} catch (error) {
  process.stdout.write(JSON.stringify({ problem: error instanceof StoreOpenError ? error.problem : String(error) }))
}

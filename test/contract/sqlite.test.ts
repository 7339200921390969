// The SQLite store keeps the contract.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { exercise } from './event-store.ts'

const directories: string[] = []

exercise('sqlite', async (options) => {
  const directory = await mkdtemp(join(tmpdir(), 'stint-contract-'))
  directories.push(directory)
  return openSqliteStore({ directory, ...options })
})

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
})

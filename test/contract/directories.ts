// Directories that a test file makes and that are gone when it ends.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

/** Call it at the top of a test file; each call of what it returns makes a new directory. */
export const directories = (): (() => string) => {
  const made: string[] = []
  afterAll(() => {
    for (const directory of made) rmSync(directory, { recursive: true, force: true })
  })
  return () => {
    const directory = mkdtempSync(join(tmpdir(), 'stint-store-'))
    made.push(directory)
    return directory
  }
}

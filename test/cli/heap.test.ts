// What a server lets V8 take: a young generation that stays within its bounds.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const MIB = 1024 * 1024

/** MiB of the young generation after many turns, of whose objects half outlive several collections, in a process of its own. */
const youngAfterWork = (begin: string): Promise<number> => {
  const program = `
    import { getHeapSpaceStatistics } from 'node:v8'
    ${begin}
    const kept = []
    for (let turn = 0; turn < 300; turn += 1) {
      for (let made = 0; made < 10_000; made += 1) kept[(turn * 10_000 + made) % 50_000] = { turn, made: [made, made] }
      await new Promise((done) => setImmediate(done))
    }
    console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size)
  `
  return new Promise((resolve, reject) =>
    execFile(process.execPath, ['--input-type=module-typescript', '--eval', program], { cwd: root }, (error, out) =>
      error === null ? resolve(Number(out) / MIB) : reject(new Error('The program failed', { cause: error })),
    ),
  )
}

describe('the heap of a server', () => {
  it('keeps a small young generation, that yet grows to what a busy server needs', async () => {
    const size = await youngAfterWork(`import { boundHeap } from './src/cli/heap.ts'; boundHeap()`)
    expect(size).toBeLessThanOrEqual(32)
    expect(size).toBeGreaterThanOrEqual(16)
  })
})

// What a command has written reaches who reads it, however slowly, before the process ends.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { writtenOut } from '../../src/cli/written-out.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint } = processes('cli-written-out')

it('waits for a reader that takes its time', async () => {
  const slow = new PassThrough({ highWaterMark: 4 })
  slow.write('more than it holds')
  let isOut = false
  const out = writtenOut(slow).then(() => (isOut = true))
  await nextTurn()
  expect(isOut).toBe(false)
  slow.resume()
  await out
})

it('is lost by no command that listens to signals', async () => {
  const { url } = await serve(['--data', ':memory:'])
  const lines = Array.from({ length: 12_000 }, (_, n) => JSON.stringify({ id: `task-${n}`, payload: { n } }))
  const file = join(folder, 'lines.jsonl')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const put = spawn(process.execPath, ['src/cli/main.ts', 'tasks', 'put', '-q', 'a/q', '--lines', file, '-o', 'jsonl', '--url', url], { stdio: ['ignore', 'pipe', 'ignore'] })
  // Read only once all is done, and a little later: another command takes that long.
  for (let waiting = 0; waiting < lines.length;) waiting = (JSON.parse((await stint(['queues', 'show', 'a/q', '--url', url, '-o', 'json'])).out) as { waiting: number }).waiting
  await stint(['queues', 'show', 'a/q', '--url', url])
  const written = await text(put.stdout)
  expect(written.split('\n').filter((line) => line !== '')).toHaveLength(lines.length)
})

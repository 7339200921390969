// Fills the figures of docs/reliability.md: runs the command that stands in each marker and keeps what its tests said, with what it ran on. `npx node bench/figures.ts [TEXT]`,
// with a text only those commands that have it.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const page = join(root, 'docs', 'reliability.md')
const MARKED = /<!-- figures: (?<command>npx (?:vitest run|node)(?: [^\s>]+)+) -->\n[^]*?<!-- end of figures -->/g

const run = (command: string): Promise<{ readonly passed: boolean; readonly out: string; readonly err: string }> =>
  new Promise((resolve) => {
    const [program = '', ...args] = command.split(' ')
    // One reporter: the JSON report of the whole suite stays as it is.
    execFile(
      program,
      args[0] === 'vitest' ? [...args, '--reporter=default'] : args,
      { cwd: root, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 64 * 1024 * 1024 },
      (error, out, err) => resolve({ passed: error === null, out, err }),
    )
  })

/** What vitest says about itself. */
const NOISE = /^\s*(?:RUN|[✓❯↓×]|Test Files|Start at|std(?:out|err) \|)/

/** What tests wrote themselves, and the lines that count and time them. */
const saidIn = (out: string): readonly string[] =>
  out
    .split('\n')
    .filter((line) => line.trim() !== '' && !NOISE.test(line))
    .map((line) => line.trim().replaceAll(/\s{2,}/g, ' '))

const [, , wanted = ''] = process.argv
let text = readFileSync(page, 'utf8')
for (const [marked, command = ''] of text.matchAll(MARKED)) {
  if (!command.includes(wanted)) continue
  console.error(command)
  const { passed, out, err } = await run(command)
  if (!passed) throw new Error(`${command} did not pass:\n${out}\n${err}`)
  const on = `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform} ${process.arch}, ${availableParallelism()} cores`
  const figures = ['```text', `$ ${command}`, ...saidIn(out), on, '```'].join('\n')
  text = text.replace(marked, () => `<!-- figures: ${command} -->\n\n${figures}\n\n<!-- end of figures -->`)
  writeFileSync(page, text)
}

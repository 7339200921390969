// Fills the figures of docs/reliability.md: runs the command that stands in each marker and keeps what its tests said, with what it ran on. `npx node bench/figures.ts`.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const page = join(root, 'docs', 'reliability.md')
const MARKED = /<!-- figures: (?<command>npx vitest run \S+) -->\n[^]*?<!-- end of figures -->/g

const run = (command: string): Promise<{ readonly passed: boolean; readonly written: string }> =>
  new Promise((resolve) => {
    const [program = '', ...args] = command.split(' ')
    // Its own report, so that the one of the whole suite stays as it is.
    const report = ['--reporter=default', '--reporter=json', `--outputFile=${join(tmpdir(), 'stint-figures.json')}`]
    execFile(program, [...args, ...report], { cwd: root, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) =>
      resolve({ passed: error === null, written: `${out}\n${err}` }),
    )
  })

/** What tests wrote themselves, and the line that counts them. */
const saidIn = (written: string): readonly string[] => {
  const said: string[] = []
  let isTests = false
  for (const line of written.split('\n').map((each) => each.trimEnd())) {
    if (/^std(?:out|err) \| /.test(line)) isTests = true
    else if (line === '') isTests = false
    else if (isTests || /^\s+(?:Tests|Duration)\s/.test(line)) said.push(line.trim().replaceAll(/\s{2,}/g, ' '))
  }
  return said
}

let text = readFileSync(page, 'utf8')
for (const [marked, command = ''] of text.matchAll(MARKED)) {
  console.error(command)
  const { passed, written } = await run(command)
  if (!passed) throw new Error(`${command} did not pass:\n${written}`)
  const on = `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform} ${process.arch}, ${availableParallelism()} cores`
  const figures = ['```text', `$ ${command}`, ...saidIn(written), on, '```'].join('\n')
  text = text.replace(marked, () => `<!-- figures: ${command} -->\n\n${figures}\n\n<!-- end of figures -->`)
  writeFileSync(page, text)
}

// Runs the bench: `npm run bench [-- --only appends,polls] [--rounds N] [--quick] [--no-page]`. The parts run one after another, each in a process of its own, each when the machine is quiet;
// the figures go to the terminal and, unless they are quick ones, to docs/performance.md with what they were measured on.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machine, versions, watchOthers, whenQuiet } from './machine.ts'
import { writePage } from './page.ts'
import { isPart, partNames, parts, type PartName } from './parts.ts'
import { merged, middleOf, readResults, type PartResult } from './results.ts'
import { isMet, load, rounded, tableOf, type Row } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const HELP = `npm run bench [-- OPTIONS]

  --only PARTS   some of ${partNames.join(', ')}; separated by commas
  --rounds N     measure each part N times and keep the middle of each figure (1)
  --quick        a fraction of the work: shows that the bench works; writes no page
  --no-page      leave docs/performance.md as it is

One part alone: node bench/PART.ts [--quick] [--json FILE]. TMPDIR says which disk is measured.`

/** A machine that others use too may never be quiet, and then its load is told beside the figures. */
const QUIET_WAIT_MS = 5_000
/** From which on figures of a small machine are worth little. */
const DISTURBED_CORES = 0.4
const DOCS = new URL('../docs/', import.meta.url)

class Usage extends Error {}

const optionsOf = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: partNames.join(',') },
      rounds: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      'no-page': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const wanted = values.only.split(',')
  const unknown = wanted.filter((name) => !isPart(name))
  if (unknown.length > 0) throw new Usage(`There is no part ${unknown.join(', ')}.`)
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Usage('--rounds takes a number from 1 on.')
  return { names: partNames.filter((name) => wanted.includes(name)), rounds, isQuick: values.quick, hasPage: !values['no-page'] && !values.quick, isHelp: values.help }
}

const runPart = async (name: PartName, isQuick: boolean, json: string): Promise<readonly Row[]> => {
  const program = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [program, '--json', json, ...(isQuick ? ['--quick'] : [])], { stdio: 'inherit' })
  const end = (): boolean => child.kill()
  process.once('exit', end)
  const [code] = (await once(child, 'exit')) as [number | null]
  process.off('exit', end)
  if (code !== 0) throw new Error(`The part ${name} failed.`)
  return JSON.parse(readFileSync(json, 'utf8')) as readonly Row[]
}

const measure = async (name: PartName, rounds: number, isQuick: boolean, directory: string): Promise<PartResult> => {
  const measured: (readonly Row[])[] = []
  const others: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    await whenQuiet(QUIET_WAIT_MS)
    const began = performance.now()
    console.error(`${name}: ${parts[name].title.toLowerCase()}${rounds === 1 ? '' : `, round ${round} of ${rounds}`} (load ${load()})`)
    const othersSince = watchOthers()
    measured.push(await runPart(name, isQuick, join(directory, `${name}.json`)))
    others.push(othersSince())
    console.error(`  ${rounded((performance.now() - began) / 1_000, 0)} s, others used ${others.at(-1)} cores`)
  }
  const result: PartResult = {
    part: name,
    measuredAt: new Date().toISOString(),
    machine: machine(),
    versions: versions(),
    settings: { rounds, quick: isQuick },
    others,
    rows: middleOf(measured),
  }
  console.log(`\n${tableOf(result.rows)}\n`)
  return result
}

const main = async (): Promise<void> => {
  const { names, rounds, isQuick, hasPage, isHelp } = optionsOf()
  if (isHelp) return console.log(HELP)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  const { directory, remove } = temporaryDirectory()
  const results: PartResult[] = []
  const failed: PartName[] = []
  for (const name of names) {
    try {
      results.push(await measure(name, rounds, isQuick, directory))
    } catch (cause) {
      // The others are worth having without it.
      console.error(cause)
      failed.push(name)
    }
  }
  remove()
  const missed = results.flatMap(({ rows }) => rows.filter((row) => isMet(row) === false))
  console.log(missed.length === 0 ? 'Every aim of what was measured is met.' : `Not met: ${missed.map(({ row }) => row).join('; ')}.`)
  if (failed.length > 0) {
    console.log(`Failed: ${failed.join(', ')}.`)
    process.exitCode = 1
  }
  const disturbed = results.filter(({ others }) => Math.max(...others) > DISTURBED_CORES)
  if (disturbed.length > 0) console.log(`Others used more than ${DISTURBED_CORES} cores meanwhile, so measure again: --only ${disturbed.map(({ part }) => part).join(',')}`)
  if (!hasPage || results.length === 0) return
  writePage(DOCS, merged(readResults(new URL('performance/results.json', DOCS)), results, partNames))
  console.log('Written: docs/performance.md')
}

try {
  await main()
} catch (cause) {
  const isUsage = cause instanceof Usage || (cause instanceof TypeError && 'code' in cause && String(cause.code).startsWith('ERR_PARSE_ARGS'))
  console.error(isUsage ? `${cause.message}\n\n${HELP}` : cause)
  process.exitCode = isUsage ? 2 : 1
}

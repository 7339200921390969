// Runs the bench: `npm run bench [-- --only appends,polls] [--rounds N] [--quick] [--no-page]`. The parts run one after another, each in a process of its own, each when the machine is quiet;
// the figures go to the terminal and, unless they are quick ones, to docs/performance.md with what they were measured on.
import { parseArgs } from 'node:util'
import { disturbedText, measurePart } from './measure.ts'
import { writePage } from './page.ts'
import { partNames, type PartName } from './parts.ts'
import { merged, readResults, type PartResult } from './results.ts'
import { isMet } from './row.ts'
import { temporaryDirectory } from './server-process.ts'
import { countIn, namesIn, runProgram } from './usage.ts'

const HELP = `npm run bench [-- OPTIONS]

  --only PARTS   some of ${partNames.join(', ')}; separated by commas
  --rounds N     measure each part N times and keep the middle of each figure (1)
  --quick        a fraction of the work: shows that the bench works; writes no page
  --no-page      leave docs/performance.md as it is

One part alone: node bench/PART.ts [--quick] [--json FILE]. TMPDIR says which disk is measured.
The part cluster runs over a double, or over the EventStoreDB that STINT_BENCH_STORE=esdb://… names.
Beside its peers: npm run bench:peers. Has a row fallen since? npm run bench:check.`

const DOCS = new URL('../docs/', import.meta.url)

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
  return {
    names: namesIn('part', values.only, partNames),
    rounds: countIn('--rounds', values.rounds),
    isQuick: values.quick,
    hasPage: !values['no-page'] && !values.quick,
    isHelp: values.help,
  }
}

const main = async (): Promise<void> => {
  const { names, rounds, isQuick, hasPage, isHelp } = optionsOf()
  if (isHelp) return console.log(HELP)
  const { directory, remove } = temporaryDirectory()
  const results: PartResult[] = []
  const failed: PartName[] = []
  for (const name of names) {
    try {
      results.push(await measurePart(name, rounds, isQuick, directory))
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
  const disturbed = disturbedText(results)
  if (disturbed !== undefined) console.log(disturbed)
  if (!hasPage || results.length === 0) return
  writePage(DOCS, merged(readResults(new URL('performance/results.json', DOCS)), results, partNames))
  console.log('Written: docs/performance.md')
}

await runProgram(HELP, main)

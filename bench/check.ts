// Says which rows of the bench have fallen since they were kept: `npm run bench:check [-- --only PARTS] [--rounds N]`. Ratios to the floor of the same run are compared with those in docs/performance/results.json,
// so that it can be asked on another machine too. A row that seems to have fallen is measured once more before it is said to have.
import { parseArgs } from 'node:util'
import { betterOf, comparedPart, comparedText, TOLERANCE, type Compared } from './comparison.ts'
import { disturbedText, measurePart } from './measure.ts'
import { partNames, type PartName } from './parts.ts'
import { readResults, type PartResult } from './results.ts'
import { temporaryDirectory } from './server-process.ts'
import { countIn, namesIn, runProgram } from './usage.ts'

const HELP = `npm run bench:check [-- OPTIONS]

  --only PARTS   some of ${partNames.join(', ')}; separated by commas
  --rounds N     measure each part N times and take the middle of each figure (1)

Compares each row’s ratio to its floor with the one that docs/performance/results.json keeps. Exit code 1: a row fell by more than ${TOLERANCE * 100} %, or a part failed.
What is not kept yet, or was kept without its floor, cannot be compared and is told; npm run bench keeps it.`

const KEPT = new URL('../docs/performance/results.json', import.meta.url)

const fallen = (compared: readonly Compared[]): boolean => compared.some(({ verdict }) => verdict === 'fell')

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: partNames.join(',') },
      rounds: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return console.log(HELP)
  const names = namesIn('part', values.only, partNames)
  const rounds = countIn('--rounds', values.rounds)
  const kept = readResults(KEPT)
  const { directory, remove } = temporaryDirectory()
  const results: PartResult[] = []
  const compared: Compared[] = []
  const failed: PartName[] = []
  const compare = async (name: PartName): Promise<readonly Compared[]> => {
    const result = await measurePart(name, rounds, false, directory)
    results.push(result)
    return comparedPart(
      kept.parts.find(({ part }) => part === name),
      result,
    )
  }
  for (const name of names) {
    try {
      const first = await compare(name)
      if (fallen(first)) console.error(`${name}: once more, as something seems to have fallen`)
      compared.push(...(fallen(first) ? betterOf(first, await compare(name)) : first))
    } catch (cause) {
      // The others are worth comparing without it.
      console.error(cause)
      failed.push(name)
    }
  }
  remove()
  for (const line of comparedText(compared, 'incomparable', 'rose', 'fell')) console.log(line)
  const [count, holding] = [compared.filter(({ change }) => change !== undefined).length, compared.filter(({ verdict }) => verdict === 'holds' || verdict === 'rose').length]
  console.log(`${holding} of ${count} rows that can be compared hold within ${TOLERANCE * 100} %.`)
  if (failed.length > 0) console.log(`Failed: ${failed.join(', ')}.`)
  const disturbed = disturbedText(results)
  if (disturbed !== undefined) console.log(disturbed)
  if (failed.length > 0 || fallen(compared)) process.exitCode = 1
}

await runProgram(HELP, main)

// Measures one part of the bench, in a process of its own and when the machine is quiet, as often as there are rounds.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { machine, versions, watchOthers, whenQuiet } from './machine.ts'
import { parts, type PartName } from './parts.ts'
import { middleOf, type PartResult } from './results.ts'
import { load, rounded, tableOf, type Row } from './row.ts'

/** A machine that others use too may never be quiet, and then its load is told beside the figures. */
const QUIET_WAIT_MS = 5_000

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

/** Measures so many rounds and prints the middle of them. Throws when the part fails. */
export const measurePart = async (name: PartName, rounds: number, isQuick: boolean, directory: string): Promise<PartResult> => {
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

/** From which on figures of a small machine are worth little. */
export const DISTURBED_CORES = 0.4

/** The parts during which others used so much of the machine that they should be measured again, in words; nothing if there are none. */
export const disturbedText = (results: readonly PartResult[]): string | undefined => {
  const disturbed = results.filter(({ others }) => Math.max(...others) > DISTURBED_CORES)
  return disturbed.length === 0 ? undefined : `Others used more than ${DISTURBED_CORES} cores meanwhile, so measure again: --only ${disturbed.map(({ part }) => part).join(',')}`
}

// Runs the comparison: `npm run bench:peers`, options below. Round by round, load by load, system by system in another order each round: a fresh server with nothing in it and a fresh client for each.
import { fork } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { floorOf, floorRows, scriptRow, skeletonOf, skeletonRow } from '../floor.ts'
import { machine, versions, whenQuiet } from '../machine.ts'
import { DISTURBED_CORES } from '../measure.ts'
import { load, numberText, rounded, tableOf, type Row } from '../row.ts'
import { temporaryDirectory } from '../server-process.ts'
import { countIn, namesIn, runProgram } from '../usage.ts'
import type { Asked, Told } from './client.ts'
import { installModules, installPackages, missingOf, missingText } from './installation.ts'
import { writePeersPage } from './page.ts'
import { GROUPS, groupNames, MILLION, usualGroups, type LoadName } from './rows.ts'
import { mergedStandings, readStandings, writeStandings, type Cell, type KeptSystem, type Run, type Standings } from './standings.ts'
import { adapterOf, OURS, systemNames, type SystemName } from './systems.ts'

const HELP = `npm run bench:peers [-- OPTIONS]

  --only SYSTEMS  some of ${systemNames.join(', ')}; separated by commas (all)
  --rows GROUPS   some of ${groupNames.join(', ')} (all but million)
  --rounds N      measure everything N times and keep the middle of each figure (3; with --quick 1)
  --quick         a fraction of the work: shows that the comparison works; writes no page
  --no-page       leave docs/performance.md as it is
  --json FILE     where all cells go (docs/performance/peers.json; with --quick or --no-page bench/out/peers.json)
  --install       install what is missing of PostgreSQL and Redis with apt-get, with sudo unless you are root
  --help

Installs the peers’ npm packages into bench/peers/node_modules. Servers listen on loopback only, keep their files in a directory under TMPDIR that is removed, and are ended by their process id.
All of it takes half an hour a round. What is measured replaces what was kept of the same systems and rows.`

const DOCS = new URL('../../docs/', import.meta.url)
const KEPT = new URL('performance/peers.json', DOCS)
const OUT = new URL('../out/', import.meta.url)
const CLIENT = fileURLToPath(new URL('client.ts', import.meta.url))
const CELL_MS_MAX = 300_000
const LONG_CELL_MS_MAX = 900_000
const QUIET_MS = 5_000
const QUICK_QUIET_MS = 500

const optionsOf = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rows: { type: 'string', default: usualGroups.join(',') },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'no-page': { type: 'boolean', default: false },
      json: { type: 'string' },
      install: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const hasPage = !values.quick && !values['no-page']
  return {
    names: namesIn('system', values.only ?? systemNames.join(','), systemNames),
    isChosen: values.only !== undefined,
    loads: namesIn('group of rows', values.rows, groupNames).flatMap((group): readonly LoadName[] => GROUPS[group]),
    rounds: countIn('--rounds', values.rounds ?? (values.quick ? '1' : '3')),
    isQuick: values.quick,
    hasPage,
    json: values.json ?? (hasPage ? KEPT : new URL('peers.json', OUT)),
    install: values.install,
    isHelp: values.help,
  }
}

const causeText = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Those that can be measured here. Tells what is missing for the others; undefined when one of them was asked for by name. */
const readyOf = (names: readonly SystemName[], isChosen: boolean, install: boolean): readonly SystemName[] | undefined => {
  if (names.some((name) => name !== OURS)) installModules()
  const needs = [...new Set(names.flatMap((name) => adapterOf(name).needs))]
  if (install && missingOf(needs).length > 0) {
    try {
      installPackages(missingOf(needs))
    } catch (cause) {
      console.error(causeText(cause))
    }
  }
  const missing = missingOf(needs)
  if (missing.length === 0) return names
  const ready = names.filter((name) => missingOf(adapterOf(name).needs).length === 0)
  const without = names.filter((name) => !ready.includes(name)).join(', ')
  console.error(`${missingText(missing)}\n${isChosen ? 'Cannot be measured' : 'Left out'}: ${without}.`)
  return isChosen ? undefined : ready
}

/** Asks a client of its own for the rows of one load; never rejects. */
const askClient = (asked: Asked): Promise<Told> =>
  new Promise((resolve) => {
    // What peers still call is theirs to say.
    const client = fork(CLIENT, { execArgv: ['--disable-warning=DeprecationWarning'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const kill = (): boolean => client.kill('SIGKILL')
    process.once('exit', kill)
    const limit = asked.load === `depth-${MILLION}` ? LONG_CELL_MS_MAX : CELL_MS_MAX
    const late = setTimeout(kill, limit)
    let told: Told | undefined
    client.once('message', (message) => (told = message as Told))
    client.once('exit', (code) => {
      clearTimeout(late)
      process.off('exit', kill)
      resolve(told ?? { error: code === null ? `nothing was told within ${limit / 1_000} s` : `the client ended with ${code}` })
    })
    client.send(asked)
  })

/** Starts a server with nothing in it, has it measured, and throws it away; never rejects. */
const measureCell = async (directory: string, system: SystemName, name: LoadName, isQuick: boolean): Promise<Told> => {
  mkdirSync(directory)
  // A server may run as another user.
  chmodSync(directory, 0o755)
  try {
    const served = await adapterOf(system).serve(directory)
    const told = await askClient({ system, load: name, address: served.address, pids: served.pids, isQuick })
    await served.stop()
    return told
  } catch (cause) {
    return { error: causeText(cause) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const floors = async (isQuick: boolean): Promise<readonly Row[]> => {
  const seconds = isQuick ? 0.5 : 2
  return [skeletonRow(await skeletonOf(seconds)), ...floorRows(await floorOf(seconds)), scriptRow(Math.min(1, seconds))]
}

const said = (told: Told): string => ('error' in told ? `FAILED: ${told.error}` : told.rows.map(({ row, value, unit }) => `${row} ${numberText(value)} ${unit}`).join('; '))

interface Plan {
  readonly run: string
  readonly names: readonly SystemName[]
  readonly loads: readonly LoadName[]
  readonly rounds: number
  readonly isQuick: boolean
  /** Where servers have their directories. */
  readonly directory: string
}

/** Measures everything and gives each cell as soon as it is there. */
async function* measuredCells({ run, names, loads, rounds, isQuick, directory }: Plan): AsyncGenerator<Cell> {
  const cellOf = (round: number, system: Cell['system'], name: Cell['load'], told: Told): Cell => ({
    run,
    round,
    system,
    load: name,
    measuredAt: new Date().toISOString(),
    ...('error' in told ? { rows: [], error: told.error } : told),
  })
  for (let round = 1; round <= rounds; round += 1) {
    await whenQuiet(isQuick ? QUICK_QUIET_MS : QUIET_MS)
    const bare = { rows: await floors(isQuick) }
    console.error(`round ${round} of ${rounds}, floors: ${said(bare)}`)
    yield cellOf(round, 'floor', 'floor', bare)
    for (const name of loads) {
      for (const turn of names.keys()) {
        const system = names[(turn + round) % names.length] ?? OURS
        if (adapterOf(system).about.cannot?.[name] !== undefined) continue
        await whenQuiet(isQuick ? QUICK_QUIET_MS : QUIET_MS)
        const began = performance.now()
        const told = await measureCell(join(directory, `${system}-${name}-${round}`), system, name, isQuick)
        console.error(`round ${round}, ${name}, ${system}, ${rounded((performance.now() - began) / 1_000, 0)} s, load ${load()}: ${said(told)}`)
        yield cellOf(round, system, name, told)
      }
    }
  }
}

const keptSystem = (name: SystemName): KeptSystem => {
  const { about, versions: versionsSaid } = adapterOf(name)
  return { ...about, versions: versionsSaid() }
}

const main = async (): Promise<void> => {
  const { names: asked, isChosen, loads, rounds, isQuick, hasPage, json, install, isHelp } = optionsOf()
  if (isHelp) return console.log(HELP)
  const names = readyOf(asked, isChosen, install)
  if (names === undefined) {
    process.exitCode = 1
    return
  }
  for (const name of names) await adapterOf(name).prepare?.()
  const { fileSystem } = machine()
  if (fileSystem === 'tmpfs') console.error('TMPDIR is in memory, so that nothing here is durable: set it to a directory on a disk.')
  const { directory, remove } = temporaryDirectory()
  chmodSync(directory, 0o755)
  const run: Run = { run: new Date().toISOString(), machine: machine(), versions: versions(), settings: { rounds, quick: isQuick } }
  const cells: Cell[] = []
  const now = (): Standings => ({ runs: [run], systems: Object.fromEntries(names.map((name) => [name, keptSystem(name)])), cells })
  mkdirSync(OUT, { recursive: true })
  for await (const cell of measuredCells({ run: run.run, names, loads, rounds, isQuick, directory })) {
    cells.push(cell)
    // Kept as it goes, since a run is long and may be ended.
    writeStandings(new URL('peers-now.json', OUT), now())
  }
  remove()
  const standings = hasPage ? mergedStandings(readStandings(KEPT), now()) : now()
  writeStandings(json, standings)
  for (const name of names) console.log(`\n${adapterOf(name).about.label}\n${tableOf(cells.filter(({ system }) => system === name).flatMap(({ rows }) => rows))}`)
  const failed = cells.filter(({ error }) => error !== undefined)
  for (const { system, load: name, round, error } of failed) console.log(`Failed: ${system}, ${name}, round ${round}: ${error}`)
  const rows = cells.flatMap((cell) => cell.rows)
  const disturbed = rows.filter(({ more }) => Number(more?.['others cores'] ?? 0) > DISTURBED_CORES).length
  if (disturbed > 0) console.log(`Others used more than ${DISTURBED_CORES} cores beside ${disturbed} of ${rows.length} figures: measure again on a quiet machine.`)
  if (hasPage) writePeersPage(DOCS, standings)
  console.log(`Written: ${hasPage ? 'docs/performance.md and ' : ''}${String(json).replace('file://', '')}`)
  if (failed.some(({ system }) => system === OURS)) process.exitCode = 1
}

await runProgram(HELP, main)

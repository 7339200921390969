// What the comparison with peers says of fixed cells: middles, the best durable peer, ratios within rounds, and the section of the page.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { SKELETON_ROW } from '../../bench/floor.ts'
import { writeBetween } from '../../bench/page.ts'
import { plotsOf, sectionOf } from '../../bench/peers/page.ts'
import { kindOf, ROW, type RowKind } from '../../bench/peers/rows.ts'
import {
  aimOf,
  bestPeer,
  mergedStandings,
  middle,
  NOTHING,
  ratioTo,
  readStandings,
  writeStandings,
  type Cell,
  type KeptSystem,
  type Standings,
} from '../../bench/peers/standings.ts'

const directory = mkdtempSync(join(tmpdir(), 'stint-standings-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const RUN = '2026-11-29T13:00:00.000Z'
const system = (label: string, isDurable = true, cannot: KeptSystem['cannot'] = {}): KeptSystem => ({ label, isDurable, settings: 'as it comes', cannot, versions: `${label} 1.0` })
const cell = (round: number, name: Cell['system'], load: Cell['load'], row: string, value: number, unit: string, run = RUN): Cell => ({
  run,
  round,
  system: name,
  load,
  measuredAt: run,
  rows: [{ row, value, unit, load: 0.5, more: { 'others cores': 0.02 } }],
})
const enqueued = (round: number, name: Cell['system'], value: number, run = RUN): Cell => cell(round, name, 'enqueue', ROW.one, value, 'jobs/s', run)
const pickedUp = (round: number, name: Cell['system'], value: number): Cell => cell(round, name, 'pick-up', ROW.pickUp50, value, 'ms')
const runOf = (run: string): Standings['runs'][number] => ({
  run,
  machine: { cpu: 'cpu', cores: 2, memoryGiB: 24, kernel: 'Linux', fileSystem: 'ext4' },
  versions: { node: 'v24', sqlite: '3', stint: '0.1.0' },
  settings: { rounds: 3, quick: false },
})

const standings: Standings = {
  runs: [runOf(RUN)],
  systems: {
    stint: system('Stint'),
    'graphile-worker': system('graphile-worker', true, { requests: 'a finished job is deleted' }),
    'bullmq-always': system('BullMQ (always)'),
    'bullmq-everysec': system('BullMQ (everysec)', false),
  },
  cells: [
    ...[1, 2, 3].flatMap((round) => [
      cell(round, 'floor', 'floor', SKELETON_ROW, 2_000, 'requests/s'),
      // The machine is half as fast in the second round.
      enqueued(round, 'stint', round === 2 ? 1_000 : 2_100),
      enqueued(round, 'bullmq-always', round === 2 ? 500 : 1_000),
      enqueued(round, 'bullmq-everysec', 5_000),
      enqueued(round, 'graphile-worker', 800),
      pickedUp(round, 'stint', 2),
      pickedUp(round, 'bullmq-always', 3),
      pickedUp(round, 'bullmq-everysec', 1),
    ]),
    { ...enqueued(3, 'graphile-worker', 0), load: 'drain', rows: [], error: 'nothing was told within 300 s' },
  ],
}
const kind = (row: string): RowKind => kindOf(row) as RowKind

describe('standings', () => {
  it('take the middle of the rounds, and between which values they lay', () => {
    expect(middle(standings, 'stint', ROW.one)).toMatchObject({ value: 2_100, lowest: 1_000, highest: 2_100 })
    expect(middle(standings, 'graphile-worker', ROW.pickUp50)).toBeUndefined()
  })
  it('compare with the best peer that is durable, whether more or less is better', () => {
    expect(bestPeer(standings, kind(ROW.one))).toMatchObject({ system: 'bullmq-always', row: { value: 1_000 } })
    expect(bestPeer(standings, kind(ROW.pickUp50))).toMatchObject({ system: 'bullmq-always', row: { value: 3 } })
    expect(bestPeer(standings, kind(ROW.together))).toBeUndefined()
  })
  it('take ratios within rounds, so that a round on a slower machine counts as the others do', () => {
    expect(ratioTo(standings, kind(ROW.one), 'bullmq-always')).toEqual({ middle: 2.1, lowest: 2, highest: 2.1 })
    expect(ratioTo(standings, kind(ROW.pickUp50), 'bullmq-always')).toMatchObject({ middle: 1.5 })
  })
  it('take no ratio between runs', () => {
    const later = mergedStandings(standings, { ...NOTHING, cells: [enqueued(1, 'stint', 9_000, '2026-12-01T00:00:00.000Z')] })
    expect(middle(later, 'stint', ROW.one)?.value).toBe(9_000)
    expect(ratioTo(later, kind(ROW.one), 'bullmq-always')).toBeUndefined()
  })
  it('aim at the better of the best durable peer and the bare skeleton', () => {
    expect(aimOf(standings, kind(ROW.one), SKELETON_ROW)).toMatchObject({ least: 1_700 })
    const faster = { ...standings, cells: standings.cells.map((each) => (each.system === 'bullmq-always' ? enqueued(each.round, 'bullmq-always', 2_000) : each)) }
    expect(aimOf(faster, kind(ROW.one), SKELETON_ROW)?.least).toBeCloseTo(2_200)
  })
  it('replace what is measured again, and forget the run that nothing is left of', () => {
    const run = '2026-12-01T00:00:00.000Z'
    const again: Standings = { runs: [runOf(run)], systems: { stint: system('Stint') }, cells: standings.cells.map((each) => ({ ...each, run })) }
    expect(mergedStandings(standings, again).runs.map((each) => each.run)).toEqual([run])
    const part: Standings = { ...again, cells: [enqueued(1, 'stint', 2_500, run)] }
    const both = mergedStandings(standings, part)
    expect(both.runs.map((each) => each.run)).toEqual([RUN, run])
    expect(both.cells.filter((each) => each.system === 'stint' && each.load === 'enqueue')).toEqual(part.cells)
    expect(Object.keys(both.systems)).toHaveLength(4)
  })
  it('are read as they were written', () => {
    const file = pathToFileURL(join(directory, 'peers.json'))
    expect(readStandings(file)).toEqual(NOTHING)
    writeStandings(file, standings)
    expect(readStandings(file)).toEqual(standings)
    expect(readFileSync(file, 'utf8').split('\n').length).toBeGreaterThan(standings.cells.length)
  })
})

describe('the section of the page', () => {
  const section = sectionOf(standings)
  it('holds each row against its aim and the best durable peer', () => {
    expect(section).toContain(
      '| Enqueue, 1 caller | **2,100** jobs/s (1,000 – 2,100) | ≥ 1,700: 1.1 × the best durable peer, 85 % of the bare skeleton | met | **1,000** jobs/s (500 – 1,000), BullMQ (always) | 2.1 × (2 – 2.1) | load 0.5, others 0.02 |',
    )
    expect(section).toContain('| Pick-up of a new job, 50 a second, p50 | **2** ms | ≤ 1.2 | **not met** |')
  })
  it('shows every system, and says why something is missing', () => {
    expect(section).toContain('| | Stint | graphile-worker | BullMQ (always) | BullMQ (everysec) (not durable) |')
    expect(section).toContain('- graphile-worker, requests: a finished job is deleted.')
    expect(section).toContain('- graphile-worker, drain: nothing was told within 300 s.')
    expect(section).toContain('- BullMQ (always): BullMQ (always) 1.0. as it comes.')
  })
  it('shows a plot of each row in which there is something to compare', () => {
    expect(section).toContain('(performance/peers-enqueue-1.svg)')
    expect(section).not.toContain('peers-drain.svg')
    const plots = plotsOf(standings)
    expect(plots.get('peers-drain.svg')).toBeUndefined()
    expect(plots.get('peers-enqueue-1.svg')).toContain('BullMQ (everysec), not durable')
  })
  it('goes between its markers and leaves what is around them', () => {
    expect(writeBetween('before <b> old <e> after', '<b>', '<e>', 'new')).toBe('before <b>\n\nnew\n\n<e> after')
    expect(() => writeBetween('before <e> <b>', '<b>', '<e>', 'new')).toThrow('has lost its markers')
  })
})

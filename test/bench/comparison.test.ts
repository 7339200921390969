// What `npm run bench:check` says of fixed results: ratios to floors are what counts, and sizes as they are.
import { describe, expect, it } from 'vitest'
import { betterOf, comparedPart, comparedText } from '../../bench/comparison.ts'
import type { PartResult } from '../../bench/results.ts'
import type { Row } from '../../bench/row.ts'

const FLOOR = 'the disk'
const row = (name: string, value: number, unit: string, against?: string): Row => ({ row: name, value, unit, load: 0.5, ...(against === undefined ? {} : { against }) })
const result = (...rows: readonly Row[]): PartResult => ({
  part: 'tasks',
  measuredAt: '2026-11-29T13:35:00.000Z',
  machine: { cpu: 'cpu', cores: 2, memoryGiB: 24, kernel: 'Linux', fileSystem: 'ext4' },
  versions: { node: 'v24', sqlite: '3', stint: '0.1.0' },
  settings: { rounds: 1, quick: false },
  others: [0],
  rows,
})
const floor = (value: number): Row => row(FLOOR, value, 'appends/s')
const MEMORY = row('Memory', 100, 'MiB')
const kept = result(floor(4_000), row('Insert', 2_000, 'tasks/s', FLOOR), row('Pick-up', 2, 'ms', FLOOR), MEMORY)
const changeOf = (compared: ReturnType<typeof comparedPart>, name: string) => compared.find((each) => each.row === name)

describe('a row that is compared with its kept one', () => {
  it('holds on a machine of half the speed, since its floor is half as fast too', () => {
    const compared = comparedPart(kept, result(floor(2_000), row('Insert', 1_000, 'tasks/s', FLOOR), row('Pick-up', 4, 'ms', FLOOR)))
    expect(changeOf(compared, 'Insert')).toMatchObject({ verdict: 'holds', change: 1, against: FLOOR })
    expect(changeOf(compared, 'Pick-up')).toMatchObject({ verdict: 'holds', change: 1 })
  })
  it('fell when it lost more than a fifth against its floor, though its figure is as it was', () => {
    const compared = comparedPart(kept, result(floor(6_000), row('Insert', 2_000, 'tasks/s', FLOOR)))
    expect(changeOf(compared, 'Insert')).toMatchObject({ verdict: 'fell' })
    expect(comparedText(compared, 'fell')).toEqual(['tasks: Insert fell (−33 % against “the disk”).'])
  })
  it('may lose a fifth', () => {
    expect(changeOf(comparedPart(kept, result(floor(4_000), row('Insert', 1_601, 'tasks/s', FLOOR))), 'Insert')?.verdict).toBe('holds')
    expect(changeOf(comparedPart(kept, result(floor(4_000), row('Insert', 1_599, 'tasks/s', FLOOR))), 'Insert')?.verdict).toBe('fell')
  })
  it('fell when it takes longer, where less is better', () => {
    const compared = comparedPart(kept, result(floor(4_000), row('Pick-up', 3, 'ms', FLOOR)))
    expect(changeOf(compared, 'Pick-up')?.verdict).toBe('fell')
  })
  it('rose when it gained more than a quarter', () => {
    expect(changeOf(comparedPart(kept, result(floor(4_000), row('Insert', 2_600, 'tasks/s', FLOOR))), 'Insert')?.verdict).toBe('rose')
  })
  it('is taken as it is when it is a size', () => {
    const compared = comparedPart(kept, result(floor(1_000), row('Memory', 130, 'MiB')))
    expect(comparedText(compared, 'fell')).toEqual(['tasks: Memory fell (−23 %).'])
    expect(changeOf(comparedPart(kept, result(floor(1_000), row('Memory', 110, 'MiB'))), 'Memory')?.verdict).toBe('holds')
  })
  it('is not compared in the noise of what costs nearly nothing', () => {
    const was = result(floor(4_000), row('Idle', 0.05, '% of a core', FLOOR))
    expect(changeOf(comparedPart(was, result(floor(4_000), row('Idle', 0.2, '% of a core', FLOOR))), 'Idle')?.verdict).toBe('holds')
    expect(changeOf(comparedPart(was, result(floor(4_000), row('Idle', 2, '% of a core', FLOOR))), 'Idle')?.verdict).toBe('fell')
  })
})

describe('what cannot be compared', () => {
  it('is told with its reason', () => {
    const now = result(floor(4_000), row('Insert', 2_000, 'tasks/s', 'fetch'), row('Drain', 9_000, 'tasks/s', FLOOR), row('Pick-up', 3, 'µs of CPU', FLOOR), MEMORY)
    expect(comparedText(comparedPart(kept, now), 'incomparable')).toEqual([
      'tasks: Insert cannot be compared: its floor was not measured.',
      'tasks: Drain cannot be compared: it was not kept.',
      'tasks: Pick-up cannot be compared: it was not kept.',
    ])
    const fetched = result(row('fetch', 9_000, 'calls/s'), row('Insert', 2_000, 'tasks/s', 'fetch'), row('Pick-up', 2, 'ms', FLOOR))
    expect(comparedText(comparedPart(kept, fetched), 'incomparable')[0]).toBe('tasks: Insert cannot be compared: its floor was not kept.')
    expect(comparedText(comparedPart(undefined, now), 'incomparable')).toEqual(['tasks: tasks cannot be compared: the part was not kept.'])
  })
  it('includes rows that are not measured any more', () => {
    expect(comparedText(comparedPart(kept, result(floor(4_000), row('Insert', 2_000, 'tasks/s', FLOOR))), 'incomparable')).toEqual([
      'tasks: Pick-up cannot be compared: it is not measured any more.',
      'tasks: Memory cannot be compared: it is not measured any more.',
    ])
  })
  it('leaves out the floors themselves', () => {
    expect(comparedPart(kept, result(floor(1_000), row('Insert', 500, 'tasks/s', FLOOR), row('Pick-up', 8, 'ms', FLOOR), MEMORY)).map((each) => each.row)).toEqual([
      'Insert',
      'Pick-up',
      'Memory',
    ])
  })
})

describe('a row that was measured twice', () => {
  it('counts by the better of the two', () => {
    const measured = (value: number) => comparedPart(kept, result(floor(4_000), row('Insert', value, 'tasks/s', FLOOR)))
    expect(changeOf(betterOf(measured(1_000), measured(1_900)), 'Insert')).toMatchObject({ verdict: 'holds', change: 0.95 })
    expect(changeOf(betterOf(measured(1_500), measured(1_000)), 'Insert')).toMatchObject({ verdict: 'fell', change: 0.75 })
  })
})

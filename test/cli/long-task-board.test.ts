// The board of `long-tasks watch`: pure, so every size, node and state can be looked at.
import { describe, expect, it } from 'vitest'
import type { BoardView } from '../../src/cli/item-board.ts'
import { observe, type Pace } from '../../src/cli/item-pace.ts'
import { longTaskBoard, shares } from '../../src/cli/long-task-board.ts'
import { paintFor, widthOf } from '../../src/cli/terminal/text.ts'
import { states } from '../../src/wire/items.ts'
import type { LongTaskShown } from '../../src/wire/long-tasks.ts'
import type { NodeShown } from '../../src/wire/nodes.ts'

const NOW = Date.UTC(2026, 0, 1, 12)
const MIB = 1024 * 1024
const at = (seconds: number): string => new Date(NOW + seconds * 1_000).toISOString()

const task = (given: Partial<LongTaskShown> = {}): LongTaskShown => ({
  id: 'copy-1',
  workItem: `long-task/${given.id ?? 'copy-1'}`,
  kind: 'long-task',
  state: 'running',
  attempt: 1,
  directive: 'normal',
  createdAt: at(-60),
  updatedAt: at(-1),
  position: 'p.0000000000000001',
  operation: 'CopyImage',
  node: 'disk-1',
  timeoutSeconds: 900,
  timeoutAt: at(840),
  progressEverySeconds: 2,
  ...given,
})

const node = (id: string, given: Partial<NodeShown> = {}): NodeShown => ({
  id,
  url: 'http://127.0.0.1:1',
  operations: [],
  health: 'up',
  running: 0,
  waiting: 0,
  createdAt: at(-600),
  updatedAt: at(-600),
  ...given,
})

const drawn = (view: Partial<BoardView>, columns = 140, rows = 40): readonly string[] =>
  longTaskBoard({ kind: 'long-task', items: [], paces: new Map(), now: NOW, ...view }, { columns, rows }, paintFor(false))

/** The pace after a second in which so many MiB were done. */
const paceOf = (mib: number): Pace =>
  observe(observe(undefined, task({ progress: { done: 0, total: 100 * MIB } }), 0), task({ progress: { done: mib * MIB, total: 100 * MIB } }), 1_000)

describe('the board of long tasks', () => {
  it('shows under each node what it does, with bar, rate and time left, and what it gets done in all', () => {
    const progress = { done: 25 * MIB, total: 100 * MIB, unit: 'bytes' }
    const items = [task({ phase: 'hashing', progress }), task({ id: 'copy-2', progress }), task({ id: 'copy-3', node: 'disk-2', state: 'waiting' })]
    const paces = new Map([
      ['copy-1', paceOf(5)],
      ['copy-2', paceOf(2.5)],
    ])
    const lines = drawn({ items, paces, nodes: [node('disk-1'), node('disk-2', { health: 'down', healthSince: at(-12) })] })
    expect(lines[0]).toBe('disk-1  ✓ up  2 running  7.5 MiB/s')
    expect(lines[1]).toMatch(/^ {2}▶ {2}copy-1 {2}CopyImage {2}running {2}[█▏▎▍▌▋▊▉░]+ {2}25% {2}25\.0\/100\.0 MiB {2}5\.0 MiB\/s {2}15s left {2}hashing$/)
    expect(lines[2]).toMatch(/^ {2}▶ {2}copy-2 {2}CopyImage {2}running {2}[█▏▎▍▌▋▊▉░]+ {2}25% {2}25\.0\/100\.0 MiB {2}2\.5 MiB\/s {2}30s left/)
    expect(lines[3]).toBe('disk-2  ✗ down for 12s  1 waiting')
    expect(lines[4]).toMatch(/^ {2}· {2}copy-3 {2}CopyImage {2}waiting/)
    expect(lines[5]).toBe('3 long tasks on 2 nodes: 1 waiting, 2 running')
  })

  it('tells a node that has nothing to do, one that nobody registered, and nothing of health to whoever may not look', () => {
    const items = [task({ node: 'nowhere' })]
    expect(drawn({ items, nodes: [node('disk-1', { health: 'unknown' })] }).filter((line) => !line.startsWith(' '))).toEqual([
      'disk-1  ? unknown  nothing to do',
      'nowhere  not registered  1 running',
      '1 long task on 2 nodes: 1 running',
    ])
    expect(drawn({ items })[0]).toBe('nowhere  1 running')
    expect(drawn({})).toEqual(['0 long tasks'])
  })

  it('puts what moves before what waits before what has settled, and says why something failed', () => {
    const items = [
      task({ id: 'ended', state: 'failed', settledAt: at(-5), outcome: { failed: { code: 'disk-full', message: 'no space' } } }),
      task({ id: 'late', state: 'timedOut', settledAt: at(-2), updatedAt: at(-2), outcome: { timedOut: { cause: 'total' } } }),
      task({ id: 'waits', state: 'waiting', createdAt: at(-900) }),
      task({ id: 'silent', state: 'lost', holder: { name: 'disk-1', lastSeenAt: at(-20) } }),
    ]
    const lines = drawn({ items })
    expect(lines.slice(1, 5).map((line) => line.trim().split(/ +/)[1])).toEqual(['silent', 'waits', 'ended', 'late'])
    expect(lines[1]).toContain('silent for 20s')
    expect(lines[3]).toMatch(/in 55s {2}disk-full: no space$/)
  })

  it('has a symbol for every state', () => {
    for (const state of states) expect(drawn({ items: [task({ state })] })[1]).toMatch(new RegExp(`^ {2}\\S {2}copy-1 .* ${state}`))
  })

  it('never fills a line or the screen, whatever the size and however many nodes there are', () => {
    for (const count of [1, 3, 50]) {
      const nodes = Array.from({ length: count }, (_each, index) => node(`a-node-with-東京-${index}`))
      const items = Array.from({ length: 200 }, (_each, index) =>
        task({ id: `copy-${index}`, node: `a-node-with-東京-${index % count}`, phase: 'a phase of some length', progress: { done: index, total: 200, unit: 'files' } }),
      )
      for (const [columns, rows] of [
        [21, 3],
        [40, 8],
        [80, 24],
        [200, 60],
      ] as const) {
        const lines = drawn({ items, nodes }, columns, rows)
        expect(lines.length).toBeLessThan(rows)
        for (const line of lines) expect([columns, line, widthOf(line) < columns]).toEqual([columns, line, true])
      }
    }
  })

  it('shares the lines among the nodes, what lives first, and says how many it does not show', () => {
    const of = (name: string, count: number, state: LongTaskShown['state']) =>
      Array.from({ length: count }, (_each, index) => task({ id: `${name}-${state}-${index}`, node: name, state }))
    const items = [...of('busy', 20, 'running'), ...of('calm', 1, 'running'), ...of('calm', 9, 'completed'), ...of('done', 9, 'completed')]
    const lines = drawn({ items }, 100, 13)
    expect(lines).toHaveLength(11)
    expect(lines.filter((line) => !line.startsWith(' '))).toEqual([
      'busy  20 running  14 not shown',
      'calm  1 running, 9 completed  9 not shown',
      'done  9 completed  9 not shown',
      '39 long tasks on 3 nodes: 21 running, 18 completed',
    ])
  })

  it('leaves out nodes with nothing to tell where there is no line for them', () => {
    const nodes = Array.from({ length: 9 }, (_each, index) => node(`disk-${index}`))
    const items = [task({ node: 'disk-7' }), task({ id: 'copy-2', node: 'disk-3', state: 'completed' })]
    expect(drawn({ items, nodes, more: true, trouble: 'the server does not answer' }, 120, 6)).toEqual([
      'disk-0  ✓ up  nothing to do',
      'disk-3  ✓ up  1 completed  1 not shown',
      'disk-7  ✓ up  1 running  1 not shown',
      '2 newest long tasks on 9 nodes: 1 running, 1 completed · 6 nodes not shown · the server does not answer',
    ])
  })
})

describe('shares', () => {
  it('give everybody as much as the others, as far as it wants', () => {
    expect(shares([5, 1, 5], 7)).toEqual([3, 1, 3])
    expect(shares([5, 0, 5], 3)).toEqual([2, 0, 1])
    expect(shares([1, 2], 10)).toEqual([1, 2])
    expect(shares([1, 2], -1)).toEqual([0, 0])
    expect(shares([], 3)).toEqual([])
  })
})

// The board of `jobs watch` and `tasks watch`, and the pace that it shows: pure, so every size and state can be looked at.
import { describe, expect, it } from 'vitest'
import { boardLines, boardOrder, type BoardView } from '../../src/cli/item-board.ts'
import { observe, rateOf, remainingMs, type Pace } from '../../src/cli/item-pace.ts'
import { paintFor, widthOf } from '../../src/cli/terminal/text.ts'
import type { JobProxy } from '../../src/wire/jobs.ts'
import { states } from '../../src/wire/items.ts'
import type { Task } from '../../src/wire/tasks.ts'

const NOW = Date.UTC(2026, 0, 1, 12)
const at = (seconds: number): string => new Date(NOW + seconds * 1_000).toISOString()

const job = (given: Partial<JobProxy> = {}): JobProxy => ({
  id: 'j1',
  workItem: 'job/j1',
  kind: 'job',
  state: 'running',
  attempt: 1,
  directive: 'normal',
  createdAt: at(-60),
  updatedAt: at(-1),
  position: 'p.0000000000000001',
  service: 'index',
  server: 'one',
  ...given,
})

const paced = (steps: readonly (readonly [ms: number, done: number])[], total: number): Pace | undefined =>
  steps.reduce<Pace | undefined>((pace, [ms, done]) => observe(pace, job({ progress: { done, total } }), ms), undefined)

const drawn = (view: Partial<BoardView>, columns = 120, rows = 30): readonly string[] =>
  boardLines({ items: [], paces: new Map(), now: NOW, ...view }, { columns, rows }, paintFor(false))

describe('the pace of a job', () => {
  it('is what was done in the last seconds', () => {
    const pace = paced(
      [
        [0, 0],
        [1_000, 10],
        [2_000, 20],
      ],
      100,
    )
    expect(rateOf(pace)).toBe(10)
    expect(remainingMs(pace, job({ progress: { done: 20, total: 100 } }), NOW)).toBeCloseTo(8_000)
  })
  it('forgets what was long ago', () => {
    const steps = Array.from({ length: 60 }, (_each, second) => [second * 1_000, second < 30 ? 0 : (second - 30) * 5] as const)
    expect(rateOf(paced(steps, 1_000))).toBeCloseTo(5)
  })
  it('is not known from one look, nor from two at once', () => {
    expect(rateOf(paced([[0, 5]], 10))).toBeUndefined()
    expect(
      rateOf(
        paced(
          [
            [0, 5],
            [100, 9],
          ],
          10,
        ),
      ),
    ).toBeUndefined()
  })
  it('begins anew with an attempt, and when the job went back', () => {
    const before = paced(
      [
        [0, 0],
        [1_000, 50],
      ],
      100,
    )
    expect(observe(before, job({ attempt: 2, progress: { done: 51, total: 100 } }), 2_000).samples).toHaveLength(1)
    expect(observe(before, job({ progress: { done: 3, total: 100 } }), 2_000).samples).toHaveLength(1)
  })
  it('falls back on what the service expects', () => {
    expect(remainingMs(undefined, job({ expectedSeconds: 90 }), NOW)).toBe(30_000)
    expect(remainingMs(undefined, job({ expectedSeconds: 30 }), NOW)).toBeUndefined()
    expect(remainingMs(undefined, job({ state: 'completed', expectedSeconds: 90 }), NOW)).toBeUndefined()
  })
})

describe('the board', () => {
  it('shows what a job does in one line', () => {
    const running = job({ label: 'node_modules/a', phase: 'merge', progress: { done: 25, total: 100, unit: 'files' } })
    const pace = observe(observe(undefined, job({ progress: { done: 5, total: 100, unit: 'files' } }), 0), running, 1_000)
    const [line = ''] = drawn({ items: [running], paces: new Map([['j1', pace]]) })
    expect(line).toMatch(/^▶ {2}node_modules\/a {2}index@one {2}running {2}[█▏▎▍▌▋▊▉░]+ {2}25% {2}25\/100 files {2}20 files\/s {2}3\.8s left {2}merge$/)
  })
  it('calls a job by its id where it has no label', () => expect(drawn({ items: [job()] })[0]).toContain('j1'))
  it('says how long a lost one has been silent, and how long a settled one took', () => {
    expect(drawn({ items: [job({ state: 'lost', holder: { name: 'one', lastSeenAt: at(-20) } })] })[0]).toContain('silent for 20s')
    expect(drawn({ items: [job({ state: 'completed', settledAt: at(-30) })] })[0]).toContain('in 30s')
  })
  it('has a symbol for every state', () => {
    for (const state of states) expect(drawn({ items: [job({ state })] })[0]).toMatch(new RegExp(`^\\S  j1 .* ${state}`))
  })
  it('never fills a line or the screen, whatever the size', () => {
    const jobs = Array.from({ length: 40 }, (_each, index) =>
      job({ id: `j${index}`, label: `a label with 東京 ${index}`, phase: 'a phase of some length', progress: { done: index, total: 40, unit: 'files' } }),
    )
    for (const [columns, rows] of [
      [21, 3],
      [40, 8],
      [80, 24],
      [200, 60],
    ] as const) {
      const lines = drawn({ items: jobs }, columns, rows)
      expect(lines.length).toBeLessThan(rows)
      for (const line of lines) expect([columns, line, widthOf(line) < columns]).toEqual([columns, line, true])
    }
  })
  it('keeps name and percentage where space is short', () => expect(drawn({ items: [job({ label: 'short', progress: { fraction: 0.5 } })] }, 24)[0]).toMatch(/short.*50%/))
  it('ends with a line that sums up, and says what it does not show', () => {
    const jobs = [job({ id: 'a' }), job({ id: 'b' }), job({ id: 'c', state: 'lost' }), job({ id: 'd', state: 'completed' })]
    expect(drawn({ items: jobs }, 120, 5).at(-1)).toBe('4 jobs: 2 running, 1 lost, 1 completed · 2 not shown')
    expect(drawn({}).at(-1)).toBe('0 jobs')
    expect(drawn({ items: [job()], more: true, trouble: 'the server does not answer' }).at(-1)).toBe('1 newest job: 1 running · the server does not answer')
  })
  it('puts what runs first, in the order of its beginning, then what settled last', () => {
    const jobs = [
      job({ id: 'done-early', state: 'completed', updatedAt: at(-30) }),
      job({ id: 'young', createdAt: at(-5) }),
      job({ id: 'done-late', state: 'failed', updatedAt: at(-3) }),
      job({ id: 'old', state: 'lost', createdAt: at(-50) }),
    ]
    expect(boardOrder(jobs).map(({ id }) => id)).toEqual(['old', 'young', 'done-late', 'done-early'])
  })
  it('frees labels of what steers a terminal', () => expect(drawn({ items: [job({ label: '\u001b[2J\nrude' })] })[0]).toMatch(/^▶ {2} ?rude/))
  it('shows tasks with their holder or their tag, and the counts of the whole queue', () => {
    const task = (given: Partial<Task>): Task => ({
      id: 'order-7',
      workItem: 'task/shop/mails/order-7',
      kind: 'task',
      state: 'waiting',
      attempt: 0,
      directive: 'normal',
      createdAt: at(-60),
      updatedAt: at(-1),
      position: 'p.0000000000000001',
      app: 'shop',
      queue: 'mails',
      ...given,
    })
    const items = [task({ tag: 'newsletter' }), task({ id: 'order-8', state: 'running', tag: 'newsletter', holder: { name: 'worker-1' } })]
    const lines = drawn({ kind: 'task', items, counts: { waiting: 12_000, running: 1 }, more: true })
    expect(lines[0]).toMatch(/order-7 +newsletter +waiting/)
    expect(lines[1]).toMatch(/order-8 +worker-1 +running/)
    expect(lines.at(-1)).toBe('12,001 tasks: 12,000 waiting, 1 running')
  })
})

// The table of `queues watch` and the texts of `queues show`: pure, so every size and state can be looked at.
import { describe, expect, it } from 'vitest'
import { bulkText, figuresText, mistakeText, queueColumns, queueLines } from '../../src/cli/queue-text.ts'
import { queueBoard } from '../../src/cli/queue-watch.ts'
import { tableLines } from '../../src/cli/terminal/table.ts'
import { paintFor, widthOf } from '../../src/cli/terminal/text.ts'
import { NO_TOTALS } from '../../src/projections/totals.ts'
import type { Queue, QueueSettings, QueueStatistics } from '../../src/wire/queues.ts'

const NOW = Date.UTC(2026, 0, 1, 12)
const at = (seconds: number): string => new Date(NOW + seconds * 1_000).toISOString()
const plainly = paintFor(false)

const statistics = (given: Partial<QueueStatistics> = {}): QueueStatistics => ({
  states: {},
  deadLetters: 0,
  insertedLastMinute: 0,
  insertedLastHour: 0,
  leasedLastMinute: 0,
  leasedLastHour: 0,
  completedLastMinute: 0,
  completedLastHour: 0,
  totals: NO_TOTALS,
  ...given,
})

const settings: QueueSettings = {
  mode: 'pull',
  users: [],
  writers: ['ann@shop.example'],
  deadLetter: true,
  defaultLeaseSeconds: 60,
  maxWaitSeconds: 60,
  keyConcurrency: 1,
  backoff: { minSeconds: 1, maxSeconds: 3_600, doublings: 16, jitter: 0.2 },
}

const queue = (given: Partial<Queue> = {}): Queue => ({
  app: 'shop',
  queue: 'mails',
  state: 'open',
  settings,
  waiting: 0,
  delayed: 0,
  leased: 0,
  waitingWorkers: 0,
  storedBytes: 0,
  statistics: statistics(),
  ...given,
})

const fieldsOf = (given: Partial<Queue>): Readonly<Record<string, string | undefined>> => Object.fromEntries(queueLines(queue(given), NOW))

describe('the table of queues', () => {
  it('leaves no figure out, and shows an age only where a task is due', () => {
    const [, idle, busy] = tableLines(
      queueColumns(NOW),
      [queue(), queue({ queue: 'busy', waiting: 12_000, statistics: statistics({ oldestDueAt: at(-200), deadLetters: 3, insertedLastMinute: 40, completedLastMinute: 7 }) })],
      plainly,
    )
    expect(idle).toMatch(/^shop\/mails +open +0 +0 +0 +0 +0 +0 +0$/)
    expect(busy).toMatch(/^shop\/busy +open +12,000 +0 +0 +0 +3 +3m +40 +7$/)
  })

  it('keeps the busiest where there is little room, and says how many are missing', () => {
    const queues = Array.from({ length: 30 }, (_each, index) => queue({ queue: `q-${index}`, waiting: index }))
    for (const [columns, rows] of [
      [120, 12],
      [40, 8],
      [10, 2],
    ] as const) {
      const lines = queueBoard({ queues, now: NOW }, { columns, rows }, plainly)
      for (const line of lines) expect(widthOf(line)).toBeLessThan(Math.max(21, columns))
      expect(lines.join('\n')).toContain('q-29')
    }
    expect(queueBoard({ queues, now: NOW }, { columns: 120, rows: 12 }, plainly).at(-1)).toBe('30 queues: 435 waiting, 0 leased · 22 not shown')
    expect(queueBoard({ queues: [], now: NOW, trouble: 'the server does not answer' }, { columns: 80, rows: 24 }, plainly)).toEqual([
      '0 queues: 0 waiting, 0 leased · the server does not answer',
    ])
  })

  it('sums a queue up in a line', () => {
    expect(figuresText(queue({ state: 'paused', waiting: 3, delayed: 1, leased: 2, waitingWorkers: 1, statistics: statistics({ deadLetters: 2 }) }))).toBe(
      'paused: 3 waiting, 1 delayed, 2 leased, 1 worker waiting, 2 dead letters',
    )
  })
})

describe('the fields of a queue', () => {
  it('tell settings in words, and what there is none of', () => {
    expect(fieldsOf({})).toMatchObject({
      users: 'nobody',
      writers: 'ann@shop.example',
      'retry limit': 'none',
      'after that': 'a dead letter, to be redriven',
      backoff: '1.0s to 1h, doubled 16 times, jitter 20%',
      rate: 'no limit',
      'storage limit': 'none',
    })
    expect(fieldsOf({ settings: { ...settings, mode: 'push', deadLetter: false, storageLimitBytes: 1_610_612_736 } })).toMatchObject({
      state: 'open, push: not served',
      'after that': 'failed for good',
      'storage limit': '1.5 GiB',
    })
  })

  it('tell how long tasks waited and ran', () => {
    const waitSeconds = { count: 1_200, p50: 0.02, p90: 0.4, p99: 2, max: 90 }
    expect(fieldsOf({ statistics: statistics({ waitSeconds, states: { completed: 1_200, waiting: 3 } }) })).toMatchObject({
      waited: 'p50 20ms, p90 400ms, p99 2.0s, max 1m 30s (of 1,200)',
      tasks: '1,200 completed, 3 waiting',
    })
  })

  it('tell what has ever happened, and nothing of what never did', () => {
    const totals = { ...NO_TOTALS, inserted: 1_203, leased: 1_210, completed: 1_200, released: 9, deadLettered: 1 }
    expect(fieldsOf({ statistics: statistics({ totals }) })).toMatchObject({ ever: '1,203 inserted, 1,210 leased, 1,200 completed, 9 given back, 1 dead-lettered' })
    expect(fieldsOf({})).not.toHaveProperty('ever', expect.anything())
  })

  it('tell of each bulk how far it is, and of a mistake where it stands', () => {
    const begun = { id: 'b1', what: 'purge', state: 'running', filter: {}, by: 'ann@shop.example', startedAt: at(-60) } as const
    expect(bulkText(begun, NOW)).toBe('purge b1 by ann@shop.example, begun 60s ago, under way')
    expect(bulkText({ ...begun, state: 'finished', done: 1_200, skipped: 1 }, NOW)).toBe('purge b1 by ann@shop.example, begun 60s ago, over: 1,200 done, 1 skipped')
    expect(mistakeText({ file: 'queue.yaml', line: 3, column: 5, path: '/queue/0', code: 'type', detail: 'Expected a list.' })).toBe(
      'queue.yaml:3:5: type: /queue/0: Expected a list.',
    )
    expect(mistakeText({ file: 'queue.yaml', line: 1, column: 1, path: '', code: 'encoding', detail: 'Expected UTF-8.' })).toBe('queue.yaml:1:1: encoding: Expected UTF-8.')
  })
})

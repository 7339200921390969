// What the act of the task queues draws: the queue and its workers, on terminals of any size.
import { describe, expect, it } from 'vitest'
import { workerBoardLines, type WorkerFigure } from '../../../src/cli/demo/worker-board.ts'
import { paintFor, widthOf } from '../../../src/cli/terminal/text.ts'

const QUEUE = { name: 'archive/files', put: 100, completed: 50, waiting: 1_200, delayed: 1, leased: 8, deadLetters: 1 }
const worker = (name: string, mood: WorkerFigure['mood'], completed: number, givenBack = 0): WorkerFigure => ({ name, pid: 7, mood, inHand: 4, completed, givenBack })
const WORKERS = [worker('worker-1', 'at work', 30), worker('worker-2', 'killed', 20), worker('worker-3', 'busy', 0, 2)]
const lines = (columns: number, rows = 20) => workerBoardLines(QUEUE, WORKERS, { columns, rows }, paintFor(false))

describe('the board of workers', () => {
  it('shows the queue, each worker with its share, and what is in the queue', () => {
    expect(lines(80)).toEqual([
      '▤  archive/files           █████████▌░░░░░░░░░  50 of 100 done',
      '▶  worker-1       at work  █████▋░░░░░░░░░░░░░  30 done, 4 in hand',
      '✗  worker-2       killed   ███▊░░░░░░░░░░░░░░░  20 done, 0 in hand',
      '‖  worker-3       busy     ░░░░░░░░░░░░░░░░░░░  0 done, 4 in hand, 2 given back',
      '1,200 waiting, 8 leased, 1 to be tried again, 1 dead letter',
    ])
  })
  it.each([20, 40, 60, 80, 200])('fits on %i columns', (columns) => {
    for (const line of lines(columns)) expect(widthOf(line)).toBeLessThan(columns)
  })
  it('fits on few rows', () => expect(lines(80, 3)).toHaveLength(2))
})

// What an implementation node of the tests writes down of each run of an operation, beside Stint: what its word and the table are held against.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Names below the directory of a node. */
export const RUNS = 'runs.jsonl'
export const NODE_LOG = '.stint'

export interface Run {
  readonly id: string
  readonly operation: string
  readonly attempt: number
  readonly what: 'began' | 'completed' | 'aborted' | 'failed'
  readonly result?: unknown
}

/** By operation, in order. */
export const readRuns = (directory: string): ReadonlyMap<string, readonly Run[]> => {
  const file = join(directory, RUNS)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  return Map.groupBy(
    lines.map((line) => JSON.parse(line) as Run),
    ({ id }) => id,
  )
}

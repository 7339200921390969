// What the demo shows in the end, on a terminal of the least usual size.
import { describe, expect, it } from 'vitest'
import { jobTable } from '../../../src/cli/demo/evidence.ts'
import { paintFor, widthOf } from '../../../src/cli/terminal/text.ts'
import type { JobProxy } from '../../../src/wire/jobs.ts'

const job = (label: string, outcome: JobProxy['outcome'], attempt = 1): JobProxy => ({
  id: label,
  workItem: `job/${label}`,
  kind: 'job',
  state: outcome !== undefined && 'aborted' in outcome ? 'aborted' : 'completed',
  attempt,
  directive: 'normal',
  createdAt: '2026-01-01T12:00:00.000Z',
  updatedAt: '2026-01-01T12:00:07.000Z',
  settledAt: '2026-01-01T12:00:07.000Z',
  position: 'p.0000000000000001',
  service: 'indexer',
  server: 'server-1',
  label,
  ...(outcome === undefined ? {} : { outcome }),
})

const result = { files: 1_234, bytes: 5_000_000, words: 399_861, distinctWords: 9_000, filesTakenOver: 120, answers: [] }

describe('the table of all jobs', () => {
  const lines = jobTable(
    [
      job('node/include/openssl/archs/linux64-s390x', { completed: { result } }, 2),
      job('fp-ts', { aborted: { reason: 'the demo wants to see it stop', partial: { files: 27, bytes: 70_000, words: 16_390 } } }),
    ],
    paintFor(false),
    79,
  )

  it('fits on 80 columns, with the end of each path', () => {
    for (const line of lines) expect(widthOf(line)).toBeLessThan(80)
    expect(lines[1]).toMatch(/^…\/linux64-s390x .* 120 files kept$/)
  })
  it('shows what an aborted job had done', () => expect(lines[2]).toMatch(/^fp-ts .*aborted +27 +16,390 +7\.0s +partial result$/))
})

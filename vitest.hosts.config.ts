// The long run on hosts of their own, apart from `npm test`: real containers, minutes of load, a report of its own for .ci/run.
import { defineConfig } from 'vitest/config'
import { skipReasons } from './vitest.config.ts'

export default defineConfig({
  test: {
    include: ['test/hosts/**/*.hosts.ts'],
    pool: 'forks',
    // They wait more than they work: both files at a time, even where two processors would give one worker.
    maxWorkers: 2,
    teardownTimeout: 10_000,
    reporters: ['default', skipReasons, ['json', { outputFile: 'hosts-report.json' }]],
  },
})

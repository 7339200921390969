// The long run on hosts of their own, apart from `npm test`: real containers, minutes of load, a report of its own for .ci/run.
import { defineConfig } from 'vitest/config'
import { skipReasons } from './vitest.config.ts'

export default defineConfig({
  test: {
    include: ['test/hosts/**/*.hosts.ts'],
    pool: 'forks',
    // What has failed once would fail the rest, each after minutes.
    bail: 1,
    teardownTimeout: 10_000,
    reporters: ['default', skipReasons, ['json', { outputFile: 'hosts-report.json' }]],
  },
})

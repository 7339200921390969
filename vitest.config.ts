// How the tests run: real files, processes and sockets, so generous limits; a report for people and one for .ci/run.
import { defineConfig } from 'vitest/config'
import type { Reporter } from 'vitest/node'

/** The JSON report leaves out why a test was skipped (`ctx.skip(reason)`); this carries the reason over into its `meta`. */
export const skipReasons: Reporter = {
  onTestCaseResult: (test) => {
    const result = test.result()
    if (result.state === 'skipped' && result.note !== undefined) Object.assign(test.meta(), { skipReason: result.note })
  },
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Two at a time even on two cores, where the default is one: most of a test's time is waiting for processes.
    maxWorkers: 2,
    testTimeout: 90_000,
    hookTimeout: 90_000,
    teardownTimeout: 10_000,
    reporters: ['default', skipReasons, ['json', { outputFile: 'test-report.json' }]],
  },
})

// Reads reports of the test runner, each with the exit code of its run, and prints each skipped test with its reason, what failed, and the line `N passed, N failed` last:
// `node count.mjs REPORT CODE [REPORT CODE …]`. Plain JavaScript for any Node >= 20: it must work even when the install has failed.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const given = process.argv.slice(2)
const runs = given.flatMap((report, index) => (index % 2 === 0 ? [{ report, code: given[index + 1] }] : []))
const count = { passed: 0, failed: 0, skipped: 0 }

for (const { report, code } of runs) {
  const files = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')).testResults : []
  const tests = files.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: relative('.', file.name) })))
  const having = (...states) => tests.filter((test) => states.includes(test.status))

  for (const test of having('failed')) console.log(`FAILED  ${test.file}: ${test.fullName}`)
  for (const test of having('skipped', 'pending', 'todo')) console.log(`SKIPPED ${test.file}: ${test.fullName} (${test.meta?.skipReason ?? 'no reason given'})`)

  // A file that breaks before its first test, or after its last, has no failed test to show for it.
  const broken = files.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'))
  for (const file of broken) console.log(`FAILED  ${relative('.', file.name)}: the file itself. ${file.message}`)

  let failed = having('failed').length + broken.length
  if (failed === 0 && code !== '0') {
    failed = 1
    console.log(`FAILED  the run that writes ${report} as a whole, with exit code ${code}: its output above says why.`)
  }
  count.passed += having('passed').length
  count.skipped += having('skipped', 'pending', 'todo').length
  count.failed += failed
}

if (count.failed === 0 && count.passed === 0) {
  count.failed = 1
  console.log('FAILED  the run as a whole: no test has passed.')
}
console.log(`${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`)
process.exitCode = count.failed === 0 ? 0 : 1

// Reads the test runner's report and prints each skipped test with its reason, what failed, and the line `N passed, N failed` last.
// Plain JavaScript for any Node >= 20: it must work even when the install has failed.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [reportFile, status] = process.argv.slice(2)
const files = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')).testResults : []
const tests = files.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: relative('.', file.name) })))
const having = (...states) => tests.filter((test) => states.includes(test.status))

for (const test of having('failed')) console.log(`FAILED  ${test.file}: ${test.fullName}`)
for (const test of having('skipped', 'pending', 'todo')) console.log(`SKIPPED ${test.file}: ${test.fullName} (${test.meta?.skipReason ?? 'no reason given'})`)

// A file that breaks before its first test, or after its last, has no failed test to show for it.
const broken = files.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'))
for (const file of broken) console.log(`FAILED  ${relative('.', file.name)}: the file itself. ${file.message}`)

const passed = having('passed').length
const skipped = having('skipped', 'pending', 'todo').length
let failed = having('failed').length + broken.length
if (failed === 0 && (status !== '0' || passed === 0)) {
  failed = 1
  console.log(`FAILED  the run as a whole, with exit code ${status}: its output above says why.`)
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed === 0 ? 0 : 1

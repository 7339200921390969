// Runs one part of the bench as a program of its own: `node bench/PART.ts [--quick] [--json FILE] [--store esdb://…]`. The bench itself runs the parts this way too, so that the memory of one does not touch the next.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { tableOf, type Effort, type Row } from './row.ts'

/** Says on the error output what is going on, as nothing is to be seen of it otherwise. */
export const say = (what: string): void => console.error(`  ${what}`)

/** Measures, and prints the rows or writes them to the file. A signal ends it with everything that it started. */
export const runAlone = async (measure: (effort: Effort) => Promise<readonly Row[]>): Promise<void> => {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, json: { type: 'string' }, store: { type: 'string' } } })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  // In the environment too, where nobody else reads its password, and the bench finds it for a part that it starts.
  const store = values.store ?? process.env['STINT_BENCH_STORE']
  const rows = await measure({ isQuick: values.quick, ...(store === undefined ? {} : { store }) })
  if (values.json === undefined) console.log(tableOf(rows))
  else writeFileSync(values.json, JSON.stringify(rows))
}

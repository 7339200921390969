// The client of one cell, a process of its own: it is told by the bench what to measure, tells the rows, and ends. What it holds ends with it, and its server is thrown away.
import type { Row } from '../row.ts'
import type { Address } from './adapter.ts'
import { measureLoad } from './measurements.ts'
import type { LoadName } from './rows.ts'
import { adapterOf, type SystemName } from './systems.ts'

/** What the bench asks for. */
export interface Asked {
  readonly system: SystemName
  readonly load: LoadName
  readonly address: Address
  readonly pids: readonly number[]
  readonly isQuick: boolean
}

/** What the client tells. */
export type Told = { readonly rows: readonly Row[] } | { readonly error: string }

const tell = (told: Told): void => void process.send?.(told, () => process.exit(0))

const causesOf = (thrown: unknown): string => (thrown instanceof Error ? `${thrown.message}${thrown.cause === undefined ? '' : `: ${causesOf(thrown.cause)}`}` : String(thrown))

process.once('message', (asked) => {
  const { system, load, address, pids, isQuick } = asked as Asked
  const measure = async (): Promise<readonly Row[]> => measureLoad(load, { system: await adapterOf(system).connect(address), pids, isQuick })
  measure().then(
    (rows) => tell({ rows }),
    (cause: unknown) => {
      console.error(cause)
      tell({ error: causesOf(cause) })
    },
  )
})
// Whoever started it is gone.
process.once('disconnect', () => process.exit(1))

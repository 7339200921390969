// The charges of the third act: what is asked for, and the record of the card network, which knows nothing of Stint.
import { existsSync, readFileSync } from 'node:fs'

/** The contract under which cards are charged. */
export const CHARGE = 'charge'

export interface Charge {
  readonly cents: number
}

/** One line of the card network's record. */
export interface Charged extends Charge {
  readonly id: string
  readonly by: string
  readonly attempt: number
}

export const readCharges = (file: string): readonly Charged[] => {
  if (!existsSync(file)) return []
  // The last line may be on its way.
  const complete = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return complete.map((line) => JSON.parse(line) as Charged)
}

/** What was asked for and not charged once, as it was asked. */
export const notChargedOnce = (asked: ReadonlyMap<string, Charge>, charges: readonly Charged[]): readonly string[] => {
  const byId = Map.groupBy(charges, ({ id }) => id)
  const wrong = [...asked].filter(([id, { cents }]) => byId.get(id)?.length !== 1 || byId.get(id)?.[0]?.cents !== cents).map(([id]) => id)
  return [...wrong, ...[...byId.keys()].filter((id) => !asked.has(id))]
}

// An item to which nothing has happened since its birth: the birth says what it is, so its state is not kept beside it.
import { evolve } from '../domain/work-item/evolve.ts'
import { absent, type Existing } from '../domain/work-item/state.ts'
import type { Birth, ItemRow } from './tables.ts'

export const isAsBorn = ({ revision }: Existing): boolean => revision === 0

/** The state that a birth leaves. `at`: when it was recorded, milliseconds since 1970 UTC. */
export const asBorn = (birth: Birth, at: number): Existing => evolve(absent, birth, { time: at, revision: 0 }) as Existing

/** A row as tables keep it: with its state, or with the time at which its birth was recorded (milliseconds since 1970 UTC). */
export type StoredRow = Omit<ItemRow, 'item'> & ({ readonly item: Existing } | { readonly item?: undefined; readonly at: number })

export const itemOf = (row: StoredRow): Existing => (row.item === undefined ? asBorn(row.birth, row.at) : row.item)

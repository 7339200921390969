// Counts what became of a store's appends. Over a shared log those that met another's are the price of deciding at several places.
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault, type AppendFailure, type Appended, type EventStore } from '../store/port.ts'

export interface AppendFigures {
  readonly stored: number
  /** The stream was not where it was taken to be: decided again, or refused. */
  readonly conflicts: number
  /** Too large, or a fault of the store. */
  readonly failed: number
}

export const countAppends = (store: EventStore): { readonly store: EventStore; readonly figures: () => AppendFigures } => {
  let [stored, conflicts, failed] = [0, 0, 0]
  const count = (appended: E.Either<AppendFailure, Appended>): E.Either<AppendFailure, Appended> => {
    if (E.isRight(appended)) stored += 1
    else if (!(appended.left instanceof StoreFault) && appended.left.kind === 'conflict') conflicts += 1
    else failed += 1
    return appended
  }
  const append: EventStore['append'] = (stream, expected, events) => {
    const run = store.append(stream, expected, events)
    return () => run().then(count)
  }
  return { store: { ...store, append }, figures: () => ({ stored, conflicts, failed }) }
}

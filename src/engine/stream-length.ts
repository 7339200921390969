// How many events a stream has. The store reads streams forward only, so the end is found by doubling and halving.
import * as E from 'fp-ts/lib/Either.js'
import type { EventReader, StoreFault } from '../store/port.ts'

/** The revision after the stream's last event; 0 for a stream that has none. */
export const lengthOf = async (reader: EventReader, stream: string): Promise<E.Either<StoreFault, number>> => {
  // Of events below `some` it is known that they are there, of one at `none` that it is not.
  let [some, none, step] = [0, Infinity, 1]
  while (some < none) {
    const at = none === Infinity ? some + step - 1 : Math.floor((some + none) / 2)
    const found = await reader.readStream(stream, { from: at, max: 1 })()
    if (E.isLeft(found)) return found
    if (found.right.length === 0) none = at
    else some = at + 1
    step *= 2
  }
  return E.right(some)
}

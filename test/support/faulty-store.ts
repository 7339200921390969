// A memory store as one server has it: its appends can be failed, or stored without the answer, and it dies with its server while the log lives on.
import * as E from 'fp-ts/lib/Either.js'
import * as TE from 'fp-ts/lib/TaskEither.js'
import { StoreFault, type AppendFailure, type Appended, type EventStore } from '../../src/store/port.ts'

/** `overloaded`: nothing is stored, and the store goes on · `not stored`, `stored`: nobody is told which, and the store takes no more (rules 9). */
export type Fault = 'overloaded' | 'not stored' | 'stored'

export interface FaultyStore extends EventStore {
  /** The append after so many others fails in this way. */
  readonly failAfter: (appends: number, fault: Fault) => void
  /** No fault is to come any more. */
  readonly heal: () => void
  readonly isDead: () => boolean
  /** Nothing that this server still sends arrives. */
  readonly die: () => void
}

const gone = (): StoreFault => new StoreFault('unavailable', 'the store of this server is gone')

export const faultyStore = (log: EventStore): FaultyStore => {
  let coming: { left: number; readonly fault: Fault } | undefined
  let isDead = false
  const next = (): Fault | 'dead' | undefined => {
    if (isDead) return 'dead'
    if (coming === undefined || (coming.left -= 1) >= 0) return undefined
    const { fault } = coming
    coming = undefined
    if (fault !== 'overloaded') isDead = true
    return fault
  }
  const append: EventStore['append'] = (stream, expected, events) => async (): Promise<E.Either<AppendFailure, Appended>> => {
    const fault = next()
    if (fault === undefined) return log.append(stream, expected, events)()
    if (fault === 'dead') return E.left(gone())
    if (fault === 'overloaded') return E.left(new StoreFault('overloaded', 'as the test wants it'))
    if (fault === 'stored') {
      const appended = await log.append(stream, expected, events)()
      // What was refused for its revision is told so: only a commit has an unknown outcome.
      if (E.isLeft(appended)) return appended
    }
    return E.left(new StoreFault('unknown-outcome', 'as the test wants it'))
  }
  return {
    ...log,
    append,
    erase: (...erasure) => (isDead ? TE.left(gone()) : log.erase(...erasure)),
    prune: (options) => (isDead ? TE.left(gone()) : log.prune(options)),
    failAfter: (left, fault) => {
      coming = { left, fault }
    },
    heal: () => {
      coming = undefined
    },
    isDead: () => isDead,
    die: () => {
      isDead = true
    },
    close: async () => {},
  }
}

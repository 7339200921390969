// The shape that every aggregate has: a command meets a state and becomes events or a refusal.
import * as E from 'fp-ts/lib/Either.js'

export type Decision<Event, Refusal> = E.Either<Refusal, readonly Event[]>

/** The command is granted and these facts follow; none means that nothing new has happened. */
export const accept = <Event>(...events: readonly Event[]): E.Either<never, readonly Event[]> => E.right(events)

/** The command is refused, with the facts that explain it. */
export const reject = <Refusal>(refusal: Refusal): E.Either<Refusal, never> => E.left(refusal)

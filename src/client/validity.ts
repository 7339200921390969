// Checks what a service author hands over with the codecs of the wire, so that a mistake shows at the line that made it, whether or not Stint can be reached.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { problems } from '../wire/problems.ts'
import { decode } from '../wire/schema.ts'
import { StintError } from './errors.ts'

const problem = { status: problems.invalid.status, code: 'invalid', title: problems.invalid.title }

/** The refusal with which the server would answer, for a mistake that a sentence says best. */
export const invalid = (detail: string): StintError => new StintError({ ...problem, detail })

/** Whether the server would take it. */
export const isValid = <A>(codec: t.Type<A, unknown, unknown>, value: unknown): value is A => E.isRight(decode(codec, value))

/** The value, or the `StintError` (`invalid`) that the server would answer with. */
export const valid = <A>(codec: t.Type<A, unknown, unknown>, value: unknown): A => {
  const decoded = decode(codec, value)
  if (E.isRight(decoded)) return decoded.right
  throw new StintError({ ...problem, errors: decoded.left })
}

// Bearer tokens as an aggregate of one stream: who was given one, with which roles, and that it was taken away. Secrets never come here, only their digests.
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'

/** The one stream that holds them. */
export const TOKENS_STREAM = 'tokens'

export const tokenEvents = {
  TokenAdded: t.intersection([
    t.type({ type: t.literal('TokenAdded'), id: t.string, name: t.string, email: t.string, roles: t.array(t.string), /** SHA-256 of the secret, base64url. */ digest: t.string }),
    t.partial({ expiresAt: t.number }),
  ]),
  TokenRevoked: t.type({ type: t.literal('TokenRevoked'), id: t.string }),
} as const

export type TokenEvent = t.TypeOf<(typeof tokenEvents)[keyof typeof tokenEvents]>

export interface Token {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly roles: readonly string[]
  readonly digest: string
  readonly createdAt: number
  readonly expiresAt?: number | undefined
  readonly revokedAt?: number | undefined
}

export type TokenBook = ReadonlyMap<string, Token>

/** The book after one more fact; revoking twice keeps the first time. */
export const evolveTokens = (book: TokenBook, event: TokenEvent, time: number): TokenBook => {
  switch (event.type) {
    case 'TokenAdded':
      return new Map(book).set(event.id, {
        id: event.id,
        name: event.name,
        email: event.email,
        roles: event.roles,
        digest: event.digest,
        createdAt: time,
        expiresAt: event.expiresAt,
      })
    case 'TokenRevoked': {
      const token = book.get(event.id)
      return token === undefined || token.revokedAt !== undefined ? book : new Map(book).set(event.id, { ...token, revokedAt: time })
    }
  }
}

/** Whether the token opens anything at this time. */
export const isValid = (token: Token, now: number): boolean => token.revokedAt === undefined && (token.expiresAt === undefined || now < token.expiresAt)

/** Who holds it may do everything, making and revoking tokens too. */
const isAdministrators = ({ roles }: Token): boolean => roles.includes('admin')

export type RevokeRejection = { readonly type: 'not-found' } | { readonly type: 'not-possible'; readonly detail: string }

export interface Revoke {
  readonly id: string
  readonly now: number
  /** Nobody but the holder of a token can be an administrator: then the last valid one of an administrator stays. */
  readonly keepsAdministrator: boolean
}

/** What revoking a token comes to; nothing new where it was revoked before. */
export const decideRevoke = (book: TokenBook, { id, now, keepsAdministrator }: Revoke): E.Either<RevokeRejection, readonly TokenEvent[]> => {
  const token = book.get(id)
  if (token === undefined) return E.left({ type: 'not-found' })
  if (token.revokedAt !== undefined) return E.right([])
  const opens = (each: Token): boolean => isAdministrators(each) && isValid(each, now)
  const isLast = opens(token) && ![...book.values()].some((other) => other.id !== id && opens(other))
  if (keepsAdministrator && isLast)
    return E.left({ type: 'not-possible', detail: 'This is the last valid token of an administrator: without it nobody could make another. Make one first, then revoke this.' })
  return E.right([{ type: 'TokenRevoked', id }])
}

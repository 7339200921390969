// When a token may be revoked: always, but for the last one that lets an administrator in where nothing else does.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { decideRevoke, evolveTokens, type TokenBook, type TokenEvent } from '../../src/domain/tokens.ts'

const NOW = 1_000

const added = (id: string, role: string, expiresAt?: number): TokenEvent => ({
  type: 'TokenAdded',
  id,
  name: id,
  email: `${id}@example.com`,
  roles: [role],
  digest: `digest of ${id}`,
  ...(expiresAt === undefined ? {} : { expiresAt }),
})
const revoked = (id: string): TokenEvent => ({ type: 'TokenRevoked', id })
const bookOf = (...events: readonly TokenEvent[]): TokenBook => {
  let book: TokenBook = new Map()
  for (const event of events) book = evolveTokens(book, event, 0)
  return book
}
const decide = (book: TokenBook, id: string, keepsAdministrator = true) => decideRevoke(book, { id, now: NOW, keepsAdministrator })

const REVOKED = E.right([{ type: 'TokenRevoked', id: 'ann' }])
const KEPT = E.left({ type: 'not-possible', detail: expect.stringContaining('last valid token of an administrator') as unknown })

describe('when a token is to be revoked', () => {
  it('keeps the last one of an administrator', () => {
    expect(decide(bookOf(added('ann', 'admin'), added('bob', 'viewer')), 'ann')).toEqual(KEPT)
  })

  it('revokes it where there is another way in', () => {
    expect(decide(bookOf(added('ann', 'admin')), 'ann', false)).toEqual(REVOKED)
  })

  it('revokes one of two', () => {
    expect(decide(bookOf(added('ann', 'admin'), added('bob', 'admin')), 'ann')).toEqual(REVOKED)
  })

  it('does not count those that are revoked or have expired', () => {
    expect(decide(bookOf(added('ann', 'admin'), added('bob', 'admin'), revoked('bob')), 'ann')).toEqual(KEPT)
    expect(decide(bookOf(added('ann', 'admin'), added('bob', 'admin', NOW)), 'ann')).toEqual(KEPT)
    expect(decide(bookOf(added('ann', 'admin'), added('bob', 'admin', NOW + 1)), 'ann')).toEqual(REVOKED)
  })

  it('revokes what opens nothing any more, and those of others', () => {
    expect(decide(bookOf(added('ann', 'admin', NOW)), 'ann')).toEqual(REVOKED)
    expect(decide(bookOf(added('ann', 'viewer')), 'ann')).toEqual(REVOKED)
  })

  it('says nothing new of one that was revoked before, and finds none that does not exist', () => {
    expect(decide(bookOf(added('ann', 'admin'), revoked('ann')), 'ann')).toEqual(E.right([]))
    expect(decide(bookOf(), 'ann')).toEqual(E.left({ type: 'not-found' }))
  })
})

// Bearer tokens over HTTP: made, listed and revoked by administrators; a secret is shown once, by the call that made it.
import * as E from 'fp-ts/lib/Either.js'
import type { TokenEntry } from '../engine/tokens.ts'
import type * as wire from '../wire/service.ts'
import type { Role } from '../wire/route.ts'
import { ok, type Handle } from './call.ts'
import { knownRoles } from './principal.ts'
import { fromRefusal } from './problem.ts'
import type { AuthSettings } from './settings.ts'
import { instantOf } from './views.ts'

const rolesOf = (entry: TokenEntry): Role[] => [...knownRoles(entry.roles)]

const tokenView = (entry: TokenEntry) => ({
  id: entry.id,
  name: entry.name,
  email: entry.email,
  roles: rolesOf(entry),
  createdAt: instantOf(entry.createdAt),
  expiresAt: entry.expiresAt === undefined ? undefined : instantOf(entry.expiresAt),
  revokedAt: entry.revokedAt === undefined ? undefined : instantOf(entry.revokedAt),
})

export const addToken: Handle<typeof wire.addToken> = async ({ body }, call) => {
  const { name, email, roles, expiresSeconds } = body
  const added = await call.engine.tokens.add({ name, email, roles, expiresMs: expiresSeconds === undefined ? undefined : expiresSeconds * 1_000 }, call.context)
  if (E.isLeft(added)) return E.left(fromRefusal(added.left))
  const { revokedAt: _never, ...view } = tokenView(added.right)
  return E.right({ status: 201, body: { ...view, token: added.right.token } })
}

export const listTokens: Handle<typeof wire.listTokens> = (_input, call) => ok({ items: call.engine.tokens.list().map(tokenView) })

/** Without auth everybody is an administrator, and an issuer of JWTs makes some: only where tokens alone open does the last one stay. */
export const createRevokeToken =
  ({ tokens, jwt }: AuthSettings): Handle<typeof wire.revokeToken> =>
  async ({ params }, call) => {
    const revoked = await call.engine.tokens.revoke(params.id, call.context, { keepsAdministrator: tokens && jwt === undefined })
    return E.isLeft(revoked) ? E.left(fromRefusal(revoked.left)) : ok(tokenView(revoked.right))
  }

export const whoAmI: Handle<typeof wire.whoAmI> = (_input, call) => {
  const { subject, email, roles } = call.principal
  return ok({ subject, email, roles: [...roles] })
}

// Who is calling: from the bearer token or, where no auth is configured, simply this machine (rules 30, surface 19).
import type { IncomingHttpHeaders } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import type { Tokens } from '../engine/tokens.ts'
import type { World } from '../world.ts'
import { jwtVerifier } from './jwt.ts'
import { allRoles, knownRoles, rolesButAdmin, type Principal } from './principal.ts'
import { problem, type Problem } from './problem.ts'
import { isAuthConfigured, isLoopback, type ApiSettings } from './settings.ts'

/** The principal behind a request; undefined when it carries no credential at all. */
export type Authenticate = (headers: IncomingHttpHeaders) => E.Either<Problem, Principal | undefined> | Promise<E.Either<Problem, Principal | undefined>>

const local: Principal = { subject: 'local', email: 'local', roles: allRoles, isLocal: true }

const unauthenticated = (detail: string): E.Either<Problem, never> => E.left({ code: 'unauthenticated', detail, headers: { 'WWW-Authenticate': 'Bearer' } })

const EMAIL = /^[^\s@]{1,100}@[^\s@]{1,200}$/

/** `name:port`, `[::1]:port` or `name` without its port. */
const hostName = (host: string): string => host.replace(/:\d{1,5}$/, '')

const authenticateLocally = (hosts: readonly string[]): Authenticate => {
  const known = E.right(local)
  return (headers) => {
    const host = hostName(headers.host ?? 'localhost')
    if (!isLoopback(host) && !hosts.includes(host))
      return E.left(problem('forbidden', 'Without auth this server answers only requests to a loopback host. Set `hosts`, or configure auth.'))
    const as = headers['stint-as']
    if (as === undefined) return known
    if (typeof as !== 'string' || !EMAIL.test(as))
      return E.left({ code: 'invalid', errors: [{ path: '/headers/stint-as', code: 'pattern', detail: 'Expected an e-mail address.' }] })
    return E.right({ subject: as, email: as, roles: rolesButAdmin })
  }
}

/** Makes the check that every request passes first. */
export const createAuthenticate = (settings: ApiSettings, tokens: Tokens, world: World): Authenticate => {
  if (!isAuthConfigured(settings.auth)) return authenticateLocally(settings.hosts)
  const verifyJwt = settings.auth.jwt === undefined ? undefined : jwtVerifier(settings.auth.jwt, world)
  const none = E.right(undefined)
  return (headers) => {
    if (headers['stint-as'] !== undefined) return E.left(problem('forbidden', '`Stint-As` is for servers without auth.'))
    const { authorization } = headers
    if (authorization === undefined) return none
    const [, token] = /^Bearer +([\w.~+/=-]{1,8000})$/i.exec(authorization) ?? []
    if (token === undefined) return unauthenticated('Expected `Authorization: Bearer TOKEN`.')
    if (token.startsWith('stint_')) {
      const entry = settings.auth.tokens ? tokens.authenticate(token) : undefined
      return entry === undefined
        ? unauthenticated('The token is unknown, revoked or expired.')
        : E.right({ subject: entry.email, email: entry.email, roles: knownRoles(entry.roles) })
    }
    return verifyJwt === undefined ? unauthenticated('The token is unknown, revoked or expired.') : verifyJwt(token)
  }
}

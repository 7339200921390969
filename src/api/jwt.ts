// JWTs of an issuer, checked against the keys it publishes. A token that passed is remembered for a minute, because a check costs more than all the rest of a poll.
import * as E from 'fp-ts/lib/Either.js'
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload } from 'jose'
import type { World } from '../world.ts'
import { knownRoles, type Principal } from './principal.ts'
import { problem, type Problem } from './problem.ts'
import type { JwtSettings } from './settings.ts'

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA']
const TOLERANCE_SECONDS = 60
const REMEMBERED_MS = 60_000
const REMEMBERED_MAX = 10_000

interface Remembered {
  readonly principal: Principal
  /** Wall clock. */
  readonly until: number
}

const textsOf = (claim: unknown): readonly string[] => {
  if (typeof claim === 'string') return claim.split(/[\s,]+/)
  return Array.isArray(claim) ? claim.filter((entry) => typeof entry === 'string') : []
}

const principalOf = (claims: JWTPayload): Principal | undefined => {
  const { sub, email } = claims
  if (sub === undefined || sub === '') return undefined
  return { subject: sub, email: typeof email === 'string' ? email : sub, roles: knownRoles(textsOf(claims['stint_roles'] ?? claims['roles'])) }
}

const refused = (detail: string): E.Either<Problem, never> => E.left({ code: 'unauthenticated', detail, headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } })

/** Errors that speak of the keys, not of the token. */
const isAboutKeys = (cause: unknown): boolean =>
  !(cause instanceof errors.JOSEError) || cause instanceof errors.JWKSTimeout || cause instanceof errors.JWKSInvalid || cause.code === 'ERR_JOSE_GENERIC'

/** Makes the check. Roles are read from `stint_roles` or `roles`, the subject from `sub`, the e-mail from `email`. */
export const jwtVerifier = ({ keysUrl, issuer, audience }: JwtSettings, world: World): ((token: string) => Promise<E.Either<Problem, Principal>>) => {
  const keys = createRemoteJWKSet(new URL(keysUrl))
  const remembered = new Map<string, Remembered>()

  const remember = (token: string, principal: Principal, expiresAt: number): void => {
    if (remembered.size >= REMEMBERED_MAX) remembered.clear()
    remembered.set(token, { principal, until: Math.min(world.now() + REMEMBERED_MS, expiresAt + TOLERANCE_SECONDS * 1_000) })
  }

  return async (token) => {
    const known = remembered.get(token)
    if (known !== undefined && known.until > world.now()) return E.right(known.principal)
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: TOLERANCE_SECONDS,
        requiredClaims: ['sub', 'exp'],
        currentDate: new Date(world.now()),
      })
      const principal = principalOf(payload)
      if (principal === undefined) return refused('The token names no subject.')
      remember(token, principal, (payload.exp ?? 0) * 1_000)
      return E.right(principal)
    } catch (cause) {
      if (isAboutKeys(cause)) return E.left(problem('keys-unavailable'))
      return refused(cause instanceof errors.JWTExpired ? 'The token has expired.' : 'The token is not valid here.')
    }
  }
}

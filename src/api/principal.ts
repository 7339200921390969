// Whoever is behind a request, whatever the credential was.
import { roles, type Role } from '../wire/route.ts'

export interface Principal {
  /** Stable; never the credential, so that a rotated token is the same caller (rules 1). */
  readonly subject: string
  readonly email: string
  readonly roles: ReadonlySet<Role>
  /** Whoever calls a server without auth and does not say to be somebody else: passes every access list (rules 30). */
  readonly isLocal?: boolean
}

const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text)

/** The roles that this version knows; others give no right. */
export const knownRoles = (names: readonly string[]): ReadonlySet<Role> => new Set(names.filter(isRole))

export const allRoles: ReadonlySet<Role> = new Set(roles)

/** Of whoever acts as somebody on a server without auth: administrators pass what the lists forbid, and those are to be tried out (rules 30). */
export const rolesButAdmin: ReadonlySet<Role> = new Set(roles.filter((role) => role !== 'admin'))

/** An administrator has every role. */
export const hasRole = (principal: Principal, wanted: readonly Role[]): boolean => principal.roles.has('admin') || wanted.some((role) => principal.roles.has(role))

/** Who comes without a credential, or with one that opens nothing. */
export const NOBODY: Principal = { subject: 'nobody', email: 'nobody', roles: new Set() }

// Who may see which work item: the rule of the item's own GET, by which lists and event streams are filtered too (rules 30).
import type { Role } from '../wire/route.ts'
import type { Kind } from '../wire/words.ts'
import { hasRole, type Principal } from './principal.ts'

/** Sees all items of the kind, whoever made them. */
export const seesAll = (principal: Principal, kind: Kind): boolean => {
  switch (kind) {
    case 'job':
      return hasRole(principal, ['viewer'])
    case 'task':
      return hasRole(principal, ['viewer', 'worker'])
  }
}

/** Who made an item of this kind sees it, as long as the role with which it was made is still theirs. */
const MAKER: Readonly<Record<Kind, readonly Role[]>> = { job: ['jobServer'], task: ['producer'] }

/** `by` is the subject that made the item. */
export const maySee = (principal: Principal, kind: Kind, by: string): boolean => seesAll(principal, kind) || (by === principal.subject && hasRole(principal, MAKER[kind]))

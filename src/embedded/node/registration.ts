// Says to the management node where this node is and what it can do: at its start, and again whenever the management node does not know it (any more).
import type { Http } from '../../client/http.ts'
import type { Outage } from '../../client/complaints.ts'
import { StintError } from '../../client/errors.ts'
import type { Reachability } from '../../client/reachability.ts'
import { registerNode, showNode, type NodeShown, type RegisterNodeBody } from '../../wire/nodes.ts'

const TIMEOUT_MS = 10_000

export interface Registration {
  /** Resolves when the management node knows this node, or nothing is to be told any more. */
  readonly standing: () => Promise<void>
  /** The management node does not know this node: it is registered again. */
  readonly forgotten: () => unknown
  /** Asks whether the management node knows this node; registers it again when it does not, or has another of its name that is down. Throws what came in the way of an answer. */
  readonly confirm: () => Promise<boolean>
}

export interface RegistrationSetting {
  readonly http: Pick<Http, 'call'>
  readonly body: RegisterNodeBody
  readonly reachability: Reachability
  readonly outage: Outage
  /** Aborts when nothing is told any more. */
  readonly over: AbortSignal
}

/** What puts it right, for whoever reads only what the node says. */
const remedyFor = ({ code, problem: { errors = [] } }: StintError, { url }: RegisterNodeBody): string => {
  if (code === 'unauthenticated') return 'Give the node a token with the role node: `management.token`, or STINT_TOKEN in its environment. '
  if (code === 'not-found') return 'Is `management.url`, or STINT_URL, the address of a Stint server? '
  if (errors.some(({ path }) => path === '/url')) return `Its server has to be started with --allow-urls (STINT_ALLOW_URLS, allowUrls) and a pattern for ${url}. `
  return ''
}

const notRegistered = (failure: unknown, body: RegisterNodeBody): Error => {
  if (!(failure instanceof StintError)) return failure as Error
  const told = new StintError(failure.problem, failure.retryAfterMs)
  told.message = `It is not registered. ${failure.message} ${remedyFor(failure, body)}It tries again until it is.`
  return told
}

/** Two processes of one name: the later one is called. Not taken back from one that lives, or the two would take it from each other for ever. */
const otherOf = ({ instance, url }: NodeShown, { id, instance: own }: RegisterNodeBody): Error | undefined =>
  instance === undefined || instance === own
    ? undefined
    : new Error(`Another process has registered as ${id}, at ${url}, and is called in place of this one. Each node needs a name (and a directory) of its own.`)

export const isUnknown = (thrown: unknown): boolean => thrown instanceof StintError && thrown.code === 'not-found'

export const createRegistration = ({ http, body, reachability, outage, over }: RegistrationSetting): Registration => {
  let registering: Promise<void> | undefined
  let isStanding = false

  /** What is refused may be put right on the other side, so that it is tried until it works. */
  const register = async (): Promise<void> => {
    for (let repeat = 0; !over.aborted; repeat += 1) {
      try {
        await http.call(registerNode, { body, attemptsMax: 1, timeoutMs: TIMEOUT_MS, signal: over })
        reachability.reached()
        outage.over()
        isStanding = true
        return
      } catch (failure) {
        if (over.aborted) return
        outage.met(notRegistered(failure, body))
        await reachability.pause(failure, repeat, over)
      }
    }
  }

  const standing = (): Promise<void> => {
    if (isStanding) return Promise.resolve()
    registering ??= register().finally(() => {
      registering = undefined
    })
    return registering
  }

  const forgotten = (): false => {
    isStanding = false
    return false
  }

  return {
    standing,
    forgotten,
    confirm: async () => {
      try {
        const shown = await http.call(showNode, { params: { node: body.id }, attemptsMax: 1, timeoutMs: TIMEOUT_MS, signal: over })
        reachability.reached()
        const other = otherOf(shown, body)
        if (other === undefined) outage.over()
        else if (shown.health === 'down') return forgotten()
        else outage.met(other)
        return true
      } catch (failure) {
        if (!isUnknown(failure)) throw failure
        return forgotten()
      }
    },
  }
}

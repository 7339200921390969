// Says to the management node where this node is and what it can do: at its start, and again whenever the management node does not know it (any more).
import type { Http } from '../../client/http.ts'
import type { OnProblem, Outage } from '../../client/complaints.ts'
import { StintError } from '../../client/errors.ts'
import type { Reachability } from '../../client/reachability.ts'
import { registerNode, showNode, type NodeShown, type RegisterNodeBody } from '../../wire/nodes.ts'

const TIMEOUT_MS = 10_000

export interface Registration {
  /** Resolves when the management node knows this node, or nothing is to be told any more. */
  readonly standing: () => Promise<void>
  /** The management node does not know this node: it is registered again. */
  readonly forgotten: () => void
  /** Asks whether the management node knows this node; registers it again when it does not, and complains when another process has taken its name. Throws what came in the way of an answer. */
  readonly confirm: () => Promise<boolean>
}

export interface RegistrationSetting {
  readonly http: Pick<Http, 'call'>
  readonly body: RegisterNodeBody
  readonly reachability: Reachability
  readonly outage: Outage
  readonly onProblem: OnProblem
  /** Aborts when nothing is told any more. */
  readonly over: AbortSignal
}

export const isUnknown = (thrown: unknown): boolean => thrown instanceof StintError && thrown.code === 'not-found'

export const createRegistration = ({ http, body, reachability, outage, onProblem, over }: RegistrationSetting): Registration => {
  let registering: Promise<void> | undefined
  let isStanding = false
  let successor: string | undefined

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
        outage.met(failure as Error)
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

  const forgotten = (): void => {
    isStanding = false
  }

  /** Taking the name back would have the two take it from each other for ever: a person has to say which of them it is. */
  const compare = ({ instance, url }: Pick<NodeShown, 'instance' | 'url'>): void => {
    if (instance === body.instance || instance === successor) return
    successor = instance
    onProblem(
      new Error(
        `Another process has registered as the node ${body.id}, at ${url}: it is given the operations, and this one gets none any more. Each node needs a name of its own.`,
      ),
    )
  }

  return {
    standing,
    forgotten,
    confirm: async () => {
      try {
        const known = await http.call(showNode, { params: { node: body.id }, attemptsMax: 1, timeoutMs: TIMEOUT_MS, signal: over })
        reachability.reached()
        compare(known)
        return true
      } catch (failure) {
        if (!isUnknown(failure)) throw failure
        forgotten()
        return false
      }
    },
  }
}

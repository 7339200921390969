// Long tasks and nodes as they are shown.
import type { Engine } from '../engine/engine.ts'
import type { LongTaskShown } from '../wire/long-tasks.ts'
import type { DeclaredOperation, NodeShown } from '../wire/nodes.ts'
import { commonView, instantIf, instantOf, type Shown } from './views.ts'

const secondsIf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

type Sending = NonNullable<ReturnType<Engine['longTasks']['sendingOf']>>

/** What is not in the item: how far sending it has got, and, for those who may have them, its arguments. */
export interface Beside {
  readonly sending?: Sending | undefined
  readonly args?: unknown
}

const sendingView = ({ attempts, lastFailedAt, lastFailure, nextAt }: Sending): LongTaskShown['sending'] => ({
  attempts,
  lastFailedAt: instantIf(lastFailedAt),
  lastFailure,
  nextAt: instantIf(nextAt),
})

export const longTaskView = (shown: Shown, { sending, args }: Beside = {}): LongTaskShown => {
  const { item } = shown
  const { operation } = item
  if (operation === undefined) throw new Error(`${shown.workItem} is no long task`)
  const { timeoutMs = 0, progressEveryMs, stalledAfterMs } = operation
  return {
    ...commonView(shown),
    operation: operation.operation,
    node: operation.node,
    timeoutSeconds: timeoutMs / 1_000,
    timeoutAt: instantOf(item.createdAt + timeoutMs),
    progressEverySeconds: progressEveryMs / 1_000,
    stalledAfterSeconds: secondsIf(stalledAfterMs),
    args,
    sending: sending && sendingView(sending),
  }
}

type NodeView = NonNullable<ReturnType<Engine['longTasks']['node']>>

const operationView = ({ operation, long, timeoutMs, progressEveryMs, stalledAfterMs }: NodeView['facts']['operations'][number]): DeclaredOperation => ({
  operation,
  long,
  timeoutSeconds: secondsIf(timeoutMs),
  progressEverySeconds: secondsIf(progressEveryMs),
  stalledAfterSeconds: secondsIf(stalledAfterMs),
})

export const nodeView = ({ name, facts, health, running, waiting, createdAt, updatedAt }: NodeView): NodeShown => ({
  id: name,
  url: facts.url,
  operations: facts.operations.map(operationView),
  health: health.state,
  running,
  waiting,
  createdAt: instantOf(createdAt),
  updatedAt: instantOf(updatedAt),
  instance: facts.instance,
  secretEnv: facts.secretEnv,
  healthSince: instantIf(health.since),
  lastAnsweredAt: instantIf(health.lastAnsweredAt),
  lastFailure: health.lastFailure?.slice(0, 1_000),
})

// Long tasks as they are shown.
import type { LongTaskShown } from '../wire/long-tasks.ts'
import { commonView, instantOf, type Shown } from './views.ts'

/** A long task as everybody may see it. */
export const longTaskView = (shown: Shown): LongTaskShown => {
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
    stalledAfterSeconds: stalledAfterMs === undefined ? undefined : stalledAfterMs / 1_000,
  }
}

// The domain's words that the surface speaks: the only part of the domain that servers and clients of the surface need, and so the only part they get.
export { jobId, parseWorkItemId, taskId, workItemOf } from '../domain/ids.ts'
export type { Kind, ParsedWorkItemId, WorkItemId } from '../domain/ids.ts'
export { whyNotRunning } from '../domain/policy/why.ts'
export { isHeld, surfaceState } from '../domain/work-item/state.ts'
export type { Existing, Held, Receipt as GivenReceipt } from '../domain/work-item/state.ts'
export type { Outcome as SaidOutcome } from '../domain/work-item/events.ts'

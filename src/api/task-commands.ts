// What the handlers of tasks share: the task's global name, and a command on it with what became of the task.
import * as E from 'fp-ts/lib/Either.js'
import type { CommandToDo, Done } from '../engine/command.ts'
import type { AnswerOf } from '../wire/route.ts'
import type * as wire from '../wire/tasks.ts'
import { surfaceState, taskId, type WorkItemId } from '../wire/words.ts'
import { execute, ok, type Call, type Handled } from './call.ts'
import { isLate } from './items.ts'
import { leaseView, receiptView } from './views.ts'

export const msOf = (seconds: number): number => Math.round(seconds * 1_000)

export const inQueue = (params: { readonly app: string; readonly queue: string }, body: { readonly id: string }): WorkItemId => taskId(params.app, params.queue, body.id)

/** What became of a task. */
export const endingView = (id: string, { item, recorded }: Done, digest?: string): AnswerOf<typeof wire.completeTask> => ({
  id,
  state: surfaceState(item),
  recorded,
  late: isLate(item, digest) ? true : undefined,
  leaseUntil: leaseView(item)?.leaseUntil,
})

/** Keeps a lease, or gives it back, and tells what the administrator wants, as a report does. */
export const extending = async (call: Call, workItem: WorkItemId, id: string, command: CommandToDo): Promise<Handled<AnswerOf<typeof wire.extendTask>>> => {
  const done = await execute(call, workItem, command)
  if (E.isLeft(done)) return done
  const { will, receipt } = done.right.item
  return ok({ ...endingView(id, done.right), directive: will, receipt: receipt === undefined ? undefined : receiptView(receipt) })
}

/** Carries out a command on a task and tells what became of it. */
export const concerning = async (call: Call, workItem: WorkItemId, id: string, command: CommandToDo, digest?: string): Promise<Handled<AnswerOf<typeof wire.completeTask>>> => {
  const done = await execute(call, workItem, command)
  return E.isLeft(done) ? done : ok(endingView(id, done.right, digest))
}

interface Release {
  readonly lease: string
  readonly reason?: string | undefined
  readonly busy?: boolean | undefined
  readonly delaySeconds?: number | undefined
}

/** Keeps a lease for so long from now on; one of no time is given back (rules 21). */
export const extendCommand = (by: string, { lease, leaseSeconds }: { readonly lease: string; readonly leaseSeconds: number }): CommandToDo =>
  leaseSeconds === 0 ? releaseCommand(by, { lease, busy: true }) : { type: 'ExtendLease', by, lease, termMs: msOf(leaseSeconds) }

/** Gives a lease back: at once, or after a delay. */
export const releaseCommand = (by: string, { lease, reason, busy = false, delaySeconds = 0 }: Release): CommandToDo => ({
  type: 'ReleaseLease',
  by,
  lease,
  busy,
  delayMs: msOf(delaySeconds),
  reason,
})

// A task as the v1beta2 Task Queue API shows it, and the timestamp by which it knows a lease.
import { isHeld, type Existing, type Held } from '../../wire/words.ts'
import { encodePayload } from './payload.ts'

export interface TaskResource {
  readonly kind: 'taskqueues#task'
  readonly id: string
  readonly queueName: string
  readonly payloadBase64: string
  readonly enqueueTimestamp: string
  readonly leaseTimestamp: string
  readonly retry_count: number
  readonly tag?: string | undefined
}

/** Microseconds of a millisecond: the room in which leases of the same end are told apart. */
const MICROSECONDS = 1_000

/** Microseconds since 1970 at which the lease ends, its last three digits those of the lease's number: no two leases of a task have the same. */
export const leaseTimestampOf = ({ until, number }: Held['lease']): number => until * MICROSECONDS + (number % MICROSECONDS)

/** Of a task that nobody holds: from when it may be leased. */
const timestampOf = (item: Existing): number => (isHeld(item) ? leaseTimestampOf(item.lease) : (item.task?.dueAt ?? item.updatedAt) * MICROSECONDS)

/** How often the task has been leased: give-backs count here, unlike in the attempts that the limit is held against. */
const leasesOf = (item: Existing): number => (isHeld(item) ? item.lease.number : (item.ended?.number ?? 0))

/** @param queueName long or short, as the method has it · @param payload undefined: it is not shown */
export const taskResource = (id: string, queueName: string, item: Existing, payload: Uint8Array | undefined): TaskResource => ({
  kind: 'taskqueues#task',
  id,
  queueName,
  payloadBase64: encodePayload(payload),
  enqueueTimestamp: String(item.createdAt * MICROSECONDS),
  leaseTimestamp: String(timestampOf(item)),
  retry_count: leasesOf(item),
  tag: item.task?.tag,
})

/** A task as it was born, whoever may have leased it since: its producer is not told of leases. */
export const bornTask = (
  id: string,
  queueName: string,
  born: { readonly createdAt: number; readonly dueAt: number; readonly tag: string | undefined },
  payload: Uint8Array,
): TaskResource => ({
  kind: 'taskqueues#task',
  id,
  queueName,
  payloadBase64: encodePayload(payload),
  enqueueTimestamp: String(born.createdAt * MICROSECONDS),
  leaseTimestamp: String(born.dueAt * MICROSECONDS),
  retry_count: 0,
  tag: born.tag,
})

/** Still in the queue, as far as this API goes: a dead letter has left it, as a task that is out of leases always did here. */
export const isInQueue = (item: Existing): boolean => item.status !== 'settled' && item.status !== 'deadLetter'

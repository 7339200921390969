// The grammar of `queue.yaml`, App Engine's own: what a pull queue needs is taken, what only push queues need is checked and left.
import type { QueueMode } from '../domain/queue/config.ts'
import { childrenOf, faultOf, list, mapping, notice, readDocument, refuse, scalar, type Read, type ReadDocument, type Spot } from './queue-files-document.ts'
import { age, choice, decimal, integer, ratePerSecond, storage, text } from './queue-files-forms.ts'

/** Queues in one file, and entries in one access list, at most. */
export const QUEUES_MAX = 1_000
export const ACL_ENTRIES_MAX = 1_000
const EMAIL_LENGTH_MAX = 320
const COUNT_MAX = 1_000_000_000

export interface QueueEntry {
  readonly name: string
  readonly mode: QueueMode
  readonly retryLimit?: number | undefined
  /** Sorted, each once. */
  readonly users: readonly string[]
  readonly writers: readonly string[]
}

export interface QueueYaml {
  readonly storageLimitBytes?: number | undefined
  readonly entries: readonly QueueEntry[]
}

const queueName = text(/^[A-Za-z0-9-]{1,100}$/, 'a name of 1 to 100 letters, digits and hyphens')

/** `[module.]version` of App Engine. */
const target = text(/^(?:(?!-)[a-z\d-]{1,63}\.)?(?!-)[a-z\d-]{1,100}$/, 'a version, or a module and a version: lower-case letters, digits and hyphens')

const count = integer({ min: 0, max: COUNT_MAX })
const pause = decimal({ min: 0, max: COUNT_MAX })

const child = (spot: Spot, key: string): Spot => childrenOf(spot).find((each) => each.key === key)?.spot ?? spot

const retryFields = mapping({}, { task_retry_limit: count, task_age_limit: age, min_backoff_seconds: pause, max_backoff_seconds: pause, max_doublings: count })

const retryParameters: Read<{ readonly task_retry_limit?: number | undefined }> = (spot) => {
  const fields = retryFields(spot)
  if (fields === undefined) return undefined
  const { min_backoff_seconds: min, max_backoff_seconds: max } = fields
  if (min !== undefined && max !== undefined && min > max)
    return refuse(child(spot, 'min_backoff_seconds'), 'range', `Expected at most max_backoff_seconds, which is ${max}, but it is ${min}.`)
  return fields
}

/** Any text: whoever it does not name exactly is not meant. */
const email = scalar((value) => (value.length <= EMAIL_LENGTH_MAX ? value : faultOf('length', `at most ${EMAIL_LENGTH_MAX} characters`, value)))

const aclFields = mapping({}, { user_email: email, writer_email: email })

const aclEntry: Read<{ readonly user_email?: string | undefined; readonly writer_email?: string | undefined }> = (spot) => {
  const entry = aclFields(spot)
  if (entry === undefined) return undefined
  if ((entry.user_email === undefined) === (entry.writer_email === undefined))
    return refuse(spot, 'choice', 'Expected either user_email or writer_email; who needs both rights is listed twice.')
  const named = entry.user_email ?? entry.writer_email ?? ''
  if (!/^[^\s@*]+@[^\s@*]+$/.test(named)) notice(spot, `The entry names nobody: ${JSON.stringify(named)} is no e-mail address, and there are no patterns.`)
  return entry
}

const entryFields = mapping(
  { name: queueName },
  {
    mode: choice('pull', 'push'),
    rate: ratePerSecond({ mayRest: true, max: COUNT_MAX }),
    bucket_size: count,
    max_concurrent_requests: count,
    target,
    retry_parameters: retryParameters,
    acl: list(aclEntry, ACL_ENTRIES_MAX),
  },
)

const PUSH_ONLY: ReadonlySet<string> = new Set(['rate', 'bucket_size', 'max_concurrent_requests', 'target'])

const sayWhatHasNoEffect = (spot: Spot, mode: QueueMode): void => {
  if (mode === 'push') return notice(spot, 'The queue is listed and not served: its mode is push, and Stint serves pull queues.')
  for (const { key, spot: field } of childrenOf(spot)) {
    if (PUSH_ONLY.has(key)) notice(field, `${key} has no effect: it is for push queues. Stint's own settings stand in stint-queue.yaml.`)
    if (key !== 'retry_parameters') continue
    for (const { key: parameter, spot: value } of childrenOf(field))
      if (parameter !== 'task_retry_limit')
        notice(value, `${parameter} has no effect: of a pull queue only task_retry_limit counts. How long a failed task waits is said in stint-queue.yaml.`)
  }
}

const sorted = (emails: readonly (string | undefined)[]): readonly string[] => [...new Set(emails.filter((each) => each !== undefined))].sort()

const entry: Read<QueueEntry> = (spot) => {
  const fields = entryFields(spot)
  if (fields === undefined) return undefined
  const { name, mode = 'push', retry_parameters: retry, acl = [] } = fields
  sayWhatHasNoEffect(spot, mode)
  return {
    name,
    mode,
    ...(retry?.task_retry_limit === undefined ? {} : { retryLimit: retry.task_retry_limit }),
    users: sorted(acl.map((each) => each.user_email)),
    writers: sorted(acl.map((each) => each.writer_email)),
  }
}

/** Says of each name that stands there again; looks at the document, so that an entry that is wrong in other ways is counted too. */
const eachNameOnce = (spot: Spot): void => {
  const items: readonly unknown[] = spot.node !== null && 'items' in spot.node ? spot.node.items : []
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    const at: Spot = { ...spot, node: item as Spot['node'], path: `${spot.path}/${index}` }
    const name = childrenOf(at).find(({ key }) => key === 'name')?.spot
    const value = name?.node !== null && name !== undefined && 'value' in name.node ? String(name.node.value) : ''
    if (name !== undefined && value !== '' && seen.has(value)) refuse(name, 'duplicate', `Expected each queue once, but ${JSON.stringify(value.slice(0, 100))} stands here again.`)
    seen.add(value)
  }
}

const entries = list(entry, QUEUES_MAX)

const queues: Read<readonly QueueEntry[]> = (spot) => {
  const read = entries(spot)
  eachNameOnce(spot)
  return read
}

const file = mapping({ queue: queues }, { total_storage_limit: storage })

/** Reads the text of a `queue.yaml`; `path` stands in its errors. */
export const readQueueYaml = (path: string, content: string): ReadDocument<QueueYaml> => {
  const { value, errors, notices } = readDocument(path, content, file)
  if (value === undefined) return { errors, notices }
  const { queue, total_storage_limit: storageLimitBytes } = value
  return { value: { entries: queue, ...(storageLimitBytes === undefined ? {} : { storageLimitBytes }) }, errors, notices }
}

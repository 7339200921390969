// Work-item IDs, readable and unique in the installation, and the names of the streams that carry them (rules 1).
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'

export const Kind = t.keyof({ job: null, task: null, request: null, 'long-task': null })
/** The door through which a work item came in. */
export type Kind = t.TypeOf<typeof Kind>

/** `job/<id>` · `task/<app>/<queue>/<id>` · `request/<contract>/<caller>/<id>` · `long-task/<id>`, each segment percent-encoded. */
export type WorkItemId = string

/** Bytes of a work-item ID, at most. */
export const WORK_ITEM_ID_BYTES_MAX = 1_000

const SEGMENTS: Readonly<Record<Kind, number>> = { job: 1, task: 3, request: 3, 'long-task': 1 }

/** Percent-encodes what is not `[A-Za-z0-9._~-]`; a segment that is safe already, as nearly all are, costs one test. */
const segment = (text: string): string =>
  /^[A-Za-z0-9._~-]+$/.test(text) ? text : encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

export const jobId = (id: string): WorkItemId => `job/${segment(id)}`
export const longTaskId = (id: string): WorkItemId => `long-task/${segment(id)}`
export const taskId = (app: string, queue: string, id: string): WorkItemId => `task/${segment(app)}/${segment(queue)}/${segment(id)}`

/** A request of one caller: two callers may use the same id and never meet. */
export const requestId = (contract: string, caller: string, id: string): WorkItemId => `request/${segment(contract)}/${segment(caller)}/${segment(id)}`

export interface ParsedWorkItemId {
  readonly kind: Kind
  /** What stands between kind and id: nothing for a job or a long task, `<app>/<queue>` for a task, `<contract>/<caller>` for a request. */
  readonly scope: string
  /** The caller's name for it in its collection, decoded. */
  readonly id: string
}

const decodedSegment = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** The caller's name for a work item in its collection, out of an ID that is sound: to take all of it apart would cost more than most of what is done with it. */
export const nameIn = (workItem: WorkItemId): string => {
  const name = workItem.slice(workItem.lastIndexOf('/') + 1)
  return name.includes('%') ? (decodedSegment(name) ?? name) : name
}

/** Takes a work-item ID apart; Left with a sentence when it is none. */
export const parseWorkItemId = (text: string): E.Either<string, ParsedWorkItemId> => {
  const [kind = '', ...segments] = text.split('/')
  if (!Kind.is(kind)) return E.left(`Expected a work-item ID to begin with one of ${Object.keys(SEGMENTS).join(', ')}, but it begins with "${kind.slice(0, 40)}"`)
  if (segments.length !== SEGMENTS[kind] || segments.includes('')) return E.left(`Expected ${SEGMENTS[kind]} segments after "${kind}/"`)
  if (text.length > WORK_ITEM_ID_BYTES_MAX) return E.left(`Expected at most ${WORK_ITEM_ID_BYTES_MAX} bytes`)
  const decoded = segments.map(decodedSegment)
  // One way to write each: two spellings of an ID would be two streams for one work item.
  if (decoded.some((part, index) => part === undefined || segment(part) !== segments[index]))
    return E.left('Expected segments percent-encoded as `[A-Za-z0-9._~-]` and upper-case %XX of UTF-8')
  return E.right({ kind, scope: segments.slice(0, -1).join('/'), id: decoded[decoded.length - 1] ?? '' })
}

/** The queue of a task; undefined for what is no task. */
export const queueOfTask = (workItem: WorkItemId): { readonly app: string; readonly queue: string } | undefined => {
  const [kind, app, queue] = workItem.split('/')
  const names = kind === 'task' && app !== undefined && queue !== undefined ? [decodedSegment(app), decodedSegment(queue)] : []
  return names[0] === undefined || names[1] === undefined ? undefined : { app: names[0], queue: names[1] }
}

/** Contract and caller of a request, and its id; undefined for what is no request. */
export const contractOfRequest = (workItem: WorkItemId): { readonly contract: string; readonly caller: string; readonly id: string } | undefined => {
  const [kind, ...segments] = workItem.split('/')
  const [contract, caller, id] = kind === 'request' ? segments.map(decodedSegment) : []
  return contract === undefined || caller === undefined || id === undefined ? undefined : { contract, caller, id }
}

/** The kind of a work item whose ID is sound. */
export const kindOf = (workItem: WorkItemId): Kind => {
  const kind = workItem.slice(0, workItem.indexOf('/'))
  return Kind.is(kind) ? kind : 'task'
}

const STREAM_PREFIX = 'workItem-'

export const streamOf = (workItem: WorkItemId): string => STREAM_PREFIX + workItem

/** The work item whose stream this is; undefined for the streams of queues, tokens and audit. */
export const workItemOf = (stream: string): WorkItemId | undefined => (stream.startsWith(STREAM_PREFIX) ? stream.slice(STREAM_PREFIX.length) : undefined)

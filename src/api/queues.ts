// Queues over HTTP: looked at by those on their list and by administrators, who also pause, resume, purge and redrive them.
import * as E from 'fp-ts/lib/Either.js'
import type { ScopeStatistics } from '../projections/tables.ts'
import type * as wire from '../wire/queues.ts'
import { ok, type Call, type Handle, type Handled } from './call.ts'
import { limitOf } from './items.ts'
import { mayDo, queueFor } from './permission.ts'
import { fromRefusal, invalid, problem, type Problem } from './problem.ts'
import { bulkView, queueView, type QueueView } from './queue-views.ts'

interface QueueName {
  readonly app: string
  readonly queue: string
}

/** How long a look may wait until the tables show what the caller has just been told. */
const TABLES_WAIT_MS = 250

const keyOf = ({ app, queue }: QueueName): string => `${app}/${queue}`

/** Statistics of one queue, or of all. */
const statisticsOf = async (call: Call, scope?: string): Promise<{ readonly of: (key: string) => ScopeStatistics | undefined; readonly position: string }> => {
  await call.engine.tables.reached(call.engine.position(), TABLES_WAIT_MS)
  const { items, position } = await call.engine.tables.statistics({ kind: 'task', scope, now: call.engine.now() })
  const byScope = new Map(items.map((item) => [item.scope, item]))
  return { of: (key) => byScope.get(key), position }
}

const shown = async (call: Call, view: QueueView): Promise<Handled<wire.Queue>> => {
  const { of, position } = await statisticsOf(call, view.key)
  return E.right({ status: 200, body: queueView(view, of(view.key), call.engine.now()), position })
}

/** The queue as it is now, if the caller may do this with it. */
const found = (call: Call, name: QueueName, deed: 'look' | 'manage'): E.Either<Problem, QueueView> => {
  const allowed = queueFor(call, name, deed)
  if (E.isLeft(allowed)) return allowed
  const view = call.engine.queues.get(name)
  return view === undefined ? E.left(problem('not-found')) : E.right(view)
}

/** Opaque to callers: the queue that ended the page before. */
const readCursor = (after: string): string => Buffer.from(after, 'base64url').toString('utf8')
const cursorOf = (key: string): string => Buffer.from(key).toString('base64url')

export const listQueues: Handle<typeof wire.listQueues> = async ({ query }, call) => {
  const after = query.after === undefined ? undefined : readCursor(query.after)
  if (after !== undefined && !after.includes('/')) return E.left(invalid([{ path: '/query/after', code: 'pattern', detail: 'Expected `next` of the page before.' }]))
  const limit = limitOf(query)
  const visible = call.engine.queues
    .list()
    .filter(({ key, config }) => (query.app === undefined || config.app === query.app) && (after === undefined || key > after) && mayDo(config, call.principal, 'look'))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
  const views = visible.slice(0, limit)
  const { of, position } = await statisticsOf(call)
  const now = call.engine.now()
  const last = views.at(-1)
  const next = visible.length > views.length && last !== undefined ? cursorOf(last.key) : undefined
  const { errors, warnings } = call.engine.queues.files()
  const isAdmin = call.principal.isLocal === true || call.principal.roles.has('admin')
  return E.right({
    status: 200,
    position,
    body: {
      items: views.map((view) => queueView(view, of(view.key), now)),
      next,
      fileErrors: isAdmin && errors.length > 0 ? errors.map((error) => ({ ...error })) : undefined,
      warnings: isAdmin && warnings.length > 0 ? [...warnings] : undefined,
    },
  })
}

export const showQueue: Handle<typeof wire.showQueue> = async ({ params }, call) => {
  const view = found(call, params, 'look')
  return E.isLeft(view) ? view : shown(call, view.right)
}

export const pauseQueue: Handle<typeof wire.pauseQueue> = async ({ params, body }, call) => {
  const allowed = found(call, params, 'manage')
  if (E.isLeft(allowed)) return allowed
  const paused = await call.engine.queues.pause(params, body.reason, call.context)
  return E.isLeft(paused) ? E.left(fromRefusal(paused.left)) : shown(call, paused.right)
}

export const resumeQueue: Handle<typeof wire.resumeQueue> = async ({ params }, call) => {
  const allowed = found(call, params, 'manage')
  if (E.isLeft(allowed)) return allowed
  const resumed = await call.engine.queues.resume(params, call.context)
  return E.isLeft(resumed) ? E.left(fromRefusal(resumed.left)) : shown(call, resumed.right)
}

const startBulk = async (call: Call, name: QueueName, what: 'purge' | 'redrive', filter: wire.BulkFilterBody): Promise<Handled<wire.Bulk>> => {
  const allowed = found(call, name, 'manage')
  if (E.isLeft(allowed)) return allowed
  const { tag, key, code, insertedBefore } = filter
  const before = insertedBefore === undefined ? undefined : Date.parse(insertedBefore)
  if (before !== undefined && Number.isNaN(before)) return E.left(invalid([{ path: '/insertedBefore', code: 'pattern', detail: 'Expected a time that there is.' }]))
  const given = {
    ...(tag === undefined ? {} : { tag }),
    ...(key === undefined ? {} : { key }),
    ...(code === undefined ? {} : { code }),
    ...(before === undefined ? {} : { insertedBefore: before }),
  }
  const started = await call.engine.queues.startBulk(name, what, given, call.context)
  if (E.isLeft(started)) return E.left(fromRefusal(started.left))
  const bulk = started.right
  return E.right({ status: 202, body: bulkView(bulk), headers: { Location: `/v1/queues/${encodeURIComponent(name.app)}/${name.queue}/bulk/${bulk.id}` } })
}

export const purgeQueue: Handle<typeof wire.purgeQueue> = ({ params, body }, call) => startBulk(call, params, 'purge', body)

export const redriveQueue: Handle<typeof wire.redriveQueue> = ({ params, body }, call) => startBulk(call, params, 'redrive', body)

export const showBulk: Handle<typeof wire.showBulk> = ({ params }, call) => {
  const view = found(call, params, 'look')
  if (E.isLeft(view)) return view
  const bulk = view.right.bulks.find(({ id }) => id === params.id)
  return bulk === undefined ? E.left(problem('not-found', `${keyOf(params)} knows of no such bulk; the last hundred that are over are kept.`)) : ok(bulkView(bulk))
}

// The resources of the v1beta2 Task Queue API as data: field masks are held against them, and the discovery document shows them.

export interface Scalar {
  readonly type: 'string' | 'integer' | 'boolean'
  /** `int64` travels as text, because JSON numbers do not hold it. */
  readonly format?: 'int32' | 'int64'
  readonly description: string
}

export interface Structure {
  readonly type: 'object'
  readonly description: string
  readonly properties: Properties
}

export interface List {
  readonly type: 'array'
  readonly description: string
  readonly items: { readonly $ref: SchemaName } | { readonly type: 'string' }
}

export type Property = Scalar | Structure | List
export type Properties = Readonly<Record<string, Property>>

export type SchemaName = 'Task' | 'TaskQueue' | 'Tasks' | 'Tasks2'

export interface Schema {
  readonly id: SchemaName
  readonly type: 'object'
  readonly properties: Properties
}

const text = (description: string): Scalar => ({ type: 'string', description })
const int32 = (description: string): Scalar => ({ type: 'integer', format: 'int32', description })
const int64 = (description: string): Scalar => ({ type: 'string', format: 'int64', description })
const emails = (description: string): List => ({ type: 'array', description, items: { type: 'string' } })
const structure = (description: string, properties: Properties): Structure => ({ type: 'object', description, properties })
const tasks = (description: string): List => ({ type: 'array', description, items: { $ref: 'Task' } })

export const schemas: Readonly<Record<SchemaName, Schema>> = {
  Task: {
    id: 'Task',
    type: 'object',
    properties: {
      kind: text('`taskqueues#task`.'),
      id: text('The name of the task, unique in its queue; made by the server unless the insert names it.'),
      queueName: text('The queue of the task: its name, in answers of tasks.lease `projects/PROJECT/taskqueues/QUEUE`.'),
      payloadBase64: text('The payload in URL-safe base64; empty in the answers of tasks.list.'),
      enqueueTimestamp: int64('When the task was inserted, in microseconds since 1970.'),
      leaseTimestamp: int64('When the lease ends, in microseconds since 1970; for a task that nobody holds, from when it may be leased. A holder shows it to prove its lease.'),
      retry_count: int32('How often the task has been leased.'),
      tag: text('What tasks.lease may group by; tasks without a tag form a group of their own.'),
    },
  },
  TaskQueue: {
    id: 'TaskQueue',
    type: 'object',
    properties: {
      kind: text('`taskqueues#taskqueue`.'),
      id: text('The name of the queue.'),
      maxLeases: int32('How often a task is leased before it is given up; 0: no limit.'),
      stats: structure('Figures of the queue; there when getStats asks for them.', {
        totalTasks: int32('Tasks in the queue, leased ones included.'),
        oldestTask: int64('When the oldest task in the queue was inserted, in seconds since 1970; 0: there is none.'),
        leasedLastMinute: int64('Leases given in the last minute.'),
        leasedLastHour: int64('Leases given in the last hour.'),
      }),
      acl: structure('Who may use the queue; a list without entries is left out.', {
        adminEmails: emails('Nobody: queues are looked after through the native surface.'),
        consumerEmails: emails('Who may get, list, lease, update and delete tasks.'),
        producerEmails: emails('Who may insert tasks.'),
      }),
    },
  },
  Tasks: { id: 'Tasks', type: 'object', properties: { kind: text('`taskqueues#tasks`.'), items: tasks('The tasks that were leased; left out when there are none.') } },
  Tasks2: { id: 'Tasks2', type: 'object', properties: { kind: text('`taskqueues#tasks`.'), items: tasks('The tasks of the queue, 100 at most; left out when there are none.') } },
}

/** What can be selected inside a property; undefined: it has no parts. */
export const partsOf = (property: Property): Properties | undefined => {
  if (property.type === 'object') return property.properties
  return property.type === 'array' && '$ref' in property.items ? schemas[property.items.$ref].properties : undefined
}

// A server and three of its callers, each with the client under test, and the calls that tests make again and again.
import { taskId } from '../../src/domain/ids.ts'
import { right } from '../support/engine.ts'
import type { Answered, Client, ClientUnderTest, Params } from './clients.ts'
import { base64, openStage, OTHER_WORKER, PRODUCER, WORKER, type Stage } from './stage.ts'

/** A task as clients see it. */
export interface Task {
  readonly id: string
  readonly queueName: string
  readonly leaseTimestamp: string
  readonly retry_count: number
  readonly payloadBase64: string
}

interface Cast {
  readonly stage: Stage
  readonly producer: Client
  readonly worker: Client
  readonly other: Client
}

export const createScene = ({ connect }: ClientUnderTest) => {
  let cast: Cast | undefined
  const on = (): Cast => {
    if (cast === undefined) throw new Error('The scene is not set')
    return cast
  }

  const inMail = (more: Params = {}): Params => ({ project: 'shop', taskqueue: 'mail', ...more })
  const bodyOf = ({ id, leaseTimestamp }: Task): object => ({ kind: 'taskqueues#task', id, queueName: 'mail', leaseTimestamp })
  const insert = (resource: object, more: Params = {}): Promise<Answered> => on().producer.call('tasks.insert', { ...inMail(more), resource })
  const leaseAs = (client: Client, more: Params = {}): Promise<Answered> => client.call('tasks.lease', inMail({ numTasks: 1, leaseSecs: 60, ...more }))
  const lease = (more: Params = {}): Promise<Answered> => leaseAs(on().worker, more)
  const as = async (email: string): Promise<Client> => connect(on().stage.url, await on().stage.token(email))

  return {
    get stage(): Stage {
      return on().stage
    },
    get producer(): Client {
      return on().producer
    },
    get worker(): Client {
      return on().worker
    },
    get other(): Client {
      return on().other
    },
    /** Opens a server of its own, with nothing in its queues. */
    set: async (): Promise<void> => {
      const stage = await openStage()
      const [producer, worker, other] = await Promise.all([PRODUCER, WORKER, OTHER_WORKER].map(async (email) => connect(stage.url, await stage.token(email))))
      if (producer === undefined || worker === undefined || other === undefined) throw new Error('A client is missing')
      cast = { stage, producer, worker, other }
    },
    connect,
    as,
    inMail,
    bodyOf,
    insert,
    put: async (id: string, more: object = {}): Promise<Task> => (await insert({ id, payloadBase64: base64(id), ...more })).data as Task,
    leaseAs,
    lease,
    leaseOne: async (more: Params = {}): Promise<Task> => (await lease(more)).data.items[0] as Task,
    ids: ({ data }: Answered): readonly string[] => (data.items ?? []).map((task: Task) => task.id),
    get: (task: string): Promise<Answered> => on().worker.call('tasks.get', inMail({ task })),
    list: async (): Promise<readonly Task[]> => (await on().worker.call('tasks.list', inMail())).data.items ?? [],
    remove: (task: string, client = on().worker): Promise<Answered> => client.call('tasks.delete', inMail({ task })),
    update: (task: Task, newLeaseSeconds: unknown, client = on().worker): Promise<Answered> =>
      client.call('tasks.update', inMail({ task: task.id, newLeaseSeconds, resource: bodyOf(task) })),
    patch: (task: Task, newLeaseSeconds: unknown, resource: object = { queueName: 'mail' }): Promise<Answered> =>
      on().worker.call('tasks.patch', inMail({ task: task.id, newLeaseSeconds, resource })),
    nowUs: (): number => on().stage.world.now() * 1_000,
    /** Resolves when the tables have seen all that was recorded. */
    settle: async (): Promise<void> => {
      await on().stage.engine.reached(on().stage.engine.position(), 1_000, 'tables')
    },
    /** How a settled task ended, else what it is. */
    endOf: async (id: string): Promise<string> => {
      const { item } = right(await on().stage.engine.read(taskId('shop', 'mail', id)))
      return item.status === 'settled' ? item.end : item.status
    },
  }
}

export type Scene = ReturnType<typeof createScene>

// What a server says of every task and queue of an app, as of a place in the log, so that servers can be compared with each other.
import { pause, realWorld } from '../../src/world.ts'

export interface Asked {
  readonly url: string
  readonly token: string
  /** What is answered reflects the log up to here at least. */
  readonly position: string
  readonly app: string
  readonly queues: readonly string[]
  /** Shown one by one, from what the server has in memory; the lists come from its tables. */
  readonly shown: readonly string[]
}

const AGAIN_MS = 250
/** For tables to come as far as the log. */
const TRIES = 240

type Json = Readonly<Record<string, unknown>>

/** Of a queue: what happened in the last minute is another answer a minute later. */
const lasting = ({ statistics, ...queue }: Json): unknown => ({
  ...queue,
  statistics: Object.fromEntries(Object.entries(statistics as Json).filter(([name]) => !/Last(?:Minute|Hour)$/.test(name))),
})

export const everyAnswer = async ({ url, token, position, app, queues, shown }: Asked): Promise<Json> => {
  const get = async (path: string): Promise<Json> => {
    for (let tried = 1; ; tried += 1) {
      const answer = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}`, 'Stint-Position': position } })
      const body = (await answer.json()) as Json
      if (answer.ok) return body
      if (answer.status !== 503 || tried === TRIES) throw new Error(`${url}${path} was answered ${answer.status}: ${JSON.stringify(body)}`)
      await pause(realWorld, AGAIN_MS)
    }
  }
  const tasksOf = async (queue: string): Promise<readonly unknown[]> => {
    const items: unknown[] = []
    for (let after = ''; ;) {
      const page = await get(`/v1/queues/${app}/${queue}/tasks?limit=1000${after}`)
      items.push(...(page['items'] as readonly unknown[]))
      if (page['next'] === undefined) return items
      after = `&after=${encodeURIComponent(String(page['next']))}`
    }
  }
  // It waits for the tables, which a look at a queue does for a moment only.
  const statistics = (await get('/v1/statistics'))['items']
  const ofQueue = async (queue: string): Promise<Json> => ({
    queue: lasting(await get(`/v1/queues/${app}/${queue}`)),
    tasks: await tasksOf(queue),
    shown: await Promise.all(shown.map((id) => get(`/v1/queues/${app}/${queue}/tasks/${id}`))),
  })
  const ofQueues: [string, Json][] = []
  for (const queue of queues) ofQueues.push([queue, await ofQueue(queue)])
  return { statistics, ...Object.fromEntries(ofQueues) }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Where two of them differ, as `/one/tasks/7/state: "completed", "running"`. */
export const differences = (one: unknown, other: unknown, path = ''): readonly string[] => {
  if (Object.is(one, other)) return []
  if (!isObject(one) || !isObject(other)) return [`${path}: ${JSON.stringify(one)}, ${JSON.stringify(other)}`]
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...names].flatMap((name) => differences((one as Json)[name], (other as Json)[name], `${path}/${name}`))
}

// A management node as an implementation node sees it: real HTTP, the routes of the wire, a table of long tasks with as many rules as a node can notice, and a network that does
// what a test wants. It writes down every message.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as E from 'fp-ts/lib/Either.js'
import { canonicalJson } from '../../src/engine/digest.ts'
import { askedForList } from '../../src/domain/node.ts'
import { parseSecrets, webhookHeaders } from '../../src/engine/delivery/signature.ts'
import type { ReportAnswer, State } from '../../src/wire/items.ts'
import { reportLongTasks, type SentOperation } from '../../src/wire/long-tasks.ts'
import { listOperations, registerNode, takeOperation, type Entity, type RegisterNodeBody } from '../../src/wire/nodes.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import type { BodyOf } from '../../src/wire/route.ts'
import { decode } from '../../src/wire/schema.ts'
import { realWorld, type World } from '../../src/world.ts'
import { right } from './engine.ts'

export type ReportedItem = BodyOf<typeof reportLongTasks>

export interface Message {
  readonly items: readonly ReportedItem[]
  /** Monotonic, on the clock of the test. */
  readonly at: number
}

/** `answer`: as it should be. `lose`: done, and the connection is cut in place of the answer. `refuse`: cut before anything is done. A number: this status, and nothing else. */
export type Fate = 'answer' | 'lose' | 'refuse' | number

export interface NodeAnswer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
  readonly body: any
}

interface LongTask {
  readonly lease: string
  state: State
  outcome?: string
  receipt?: NonNullable<ReportAnswer['receipt']>
}

export interface FakeManagement {
  readonly url: string
  readonly registrations: readonly RegisterNodeBody[]
  readonly messages: readonly Message[]
  /** All that was told of one operation, in order. */
  readonly told: (id: string) => readonly ReportedItem[]
  readonly stateOf: (id: string) => State | undefined
  /** Messages that were out at the same time, at most. */
  readonly togetherMax: () => number
  /** Resolves as soon as `wanted` holds; looked at after each request. */
  readonly until: (wanted: () => boolean) => Promise<void>
  /** What becomes of each message of reports from now on. */
  readonly treat: (decide: (items: readonly ReportedItem[]) => Fate) => void
  /** A long task that the node is taken to have, without having been sent it by this. */
  readonly know: (id: string, lease: string) => void
  /** The administrator's wish, told with the answers from now on; its number. */
  readonly wish: (id: string, directive: 'pause' | 'resume' | 'abort', reason?: string) => number
  /** It has settled here without the node. */
  readonly settle: (id: string, state: State) => void
  /** It is not known here any more. */
  readonly forget: (id: string) => void
  /** Reports on it are refused so, until that is taken back. */
  readonly refuse: (id: string, code: ProblemCode | undefined, when?: (item: ReportedItem) => boolean) => void
  /** The node is not known here until it registers (again); it is said once for a message, or for each item of it. */
  readonly forgetNode: (how?: 'at once' | 'item by item') => void
  /** Sends an operation to the node, as it was registered last, or at this address. */
  readonly send: (sent: Partial<SentOperation> & Pick<SentOperation, 'id' | 'operation'>, options?: CallOptions) => Promise<NodeAnswer>
  readonly list: (options?: CallOptions) => Promise<NodeAnswer & { readonly items: readonly Entity[] }>
  readonly direct: (
    id: string,
    body: { readonly number: number; readonly directive: string; readonly reason?: string; readonly lease?: string },
    options?: CallOptions,
  ) => Promise<NodeAnswer>
  readonly call: (method: string, path: string, body?: string, options?: CallOptions) => Promise<NodeAnswer>
  /** Refuses connections, and cuts those that are open. */
  readonly down: () => Promise<void>
  readonly up: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface CallOptions {
  /** For whom a question for the list is signed; the node that registered last unless said. */
  readonly node?: string
  /** What the call is signed with; that of the management node unless said; `null`: nothing. */
  readonly secret?: string | null
  /** Seconds since 1970 at which it says that it is sent. */
  readonly seconds?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Where the node listens, if that is not where it says that it is. */
  readonly at?: string
  readonly signal?: AbortSignal
}

const SETTLED: ReadonlySet<string> = new Set(['completed', 'failed', 'aborted', 'cancelled', 'timedOut'])

const problemOf = (code: ProblemCode, more: object = {}) => ({ type: `/problems/${code}`, title: problems[code].title, code, ...more, status: problems[code].status })

const readText = async (req: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const WILL = { pause: 'pause', resume: 'normal', abort: 'abort' } as const

/** What the table makes of one report, as the rules of a work item would. */
const reported = (task: LongTask | undefined, item: ReportedItem): { readonly status: number } => {
  if (task === undefined) return problemOf('not-found', { id: item.id })
  if (task.lease !== item.lease) return problemOf('stale-lease', { id: item.id, state: task.state })
  const digest = item.outcome === undefined ? undefined : canonicalJson(item.outcome)
  const { receipt } = task
  const answer = (late?: true) => ({
    ...{ id: item.id, directive: receipt === undefined ? 'normal' : WILL[receipt.directive], state: task.state, recorded: true, status: 200 },
    ...(receipt === undefined ? {} : { receipt }),
    ...(late === undefined ? {} : { late }),
  })
  if (SETTLED.has(task.state)) {
    if (digest === undefined || (task.outcome !== undefined && task.outcome !== digest)) return problemOf('settled', { id: item.id, state: task.state })
    const isLate = task.outcome === undefined
    task.outcome = digest
    return answer(isLate ? true : undefined)
  }
  if (item.refuse !== undefined && receipt?.number === item.refuse.directive) task.receipt = { ...receipt, resolution: 'refused', resolutionReason: item.refuse.reason }
  task.state = item.state ?? (task.state === 'waiting' ? 'running' : task.state)
  if (item.outcome !== undefined && digest !== undefined) {
    task.outcome = digest
    task.state = 'completed' in item.outcome ? 'completed' : 'failed' in item.outcome ? 'failed' : 'aborted'
  }
  return answer()
}

/** Starts it on a free port of loopback. `secret`: what its calls are signed with. */
export const startFakeManagement = async ({ world = realWorld, secret }: { readonly world?: World; readonly secret?: string } = {}): Promise<FakeManagement> => {
  const tasks = new Map<string, LongTask>()
  const registrations: RegisterNodeBody[] = []
  const messages: Message[] = []
  const waiting = new Set<() => void>()
  const refusals = new Map<string, (item: ReportedItem) => ProblemCode | undefined>()
  let decide: (items: readonly ReportedItem[]) => Fate = () => 'answer'
  let isNodeKnown = false
  let saysItByItem = false
  let out = 0
  let togetherMax = 0
  let port = 0

  const look = (): void => {
    for (const check of [...waiting]) check()
  }
  const reply = (res: ServerResponse, status: number, body: object): void => {
    const text = JSON.stringify(body)
    res.writeHead(status, { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text)
  }
  const shown = (body: RegisterNodeBody) => ({ ...body, health: 'up', running: 0, waiting: 0, createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z' })

  const register = (res: ServerResponse, text: string): void => {
    const body = decode(registerNode.body ?? never(), JSON.parse(text))
    if (E.isLeft(body)) return reply(res, 400, problemOf('invalid', { errors: body.left }))
    registrations.push(body.right)
    isNodeKnown = true
    reply(res, registrations.length === 1 ? 201 : 200, shown(body.right))
  }

  const takeReports = (req: IncomingMessage, res: ServerResponse, text: string): void => {
    const { items } = JSON.parse(text) as { readonly items: readonly ReportedItem[] }
    const fate = decide(items)
    if (fate === 'refuse') return void req.socket.destroy()
    if (typeof fate === 'number') return void res.writeHead(fate).end()
    if (!isNodeKnown && !saysItByItem) return reply(res, 404, problemOf('not-found', { detail: 'There is no such node.' }))
    messages.push({ items, at: world.monotonic() })
    const answers = items.map((item) => {
      const sound = decode(reportLongTasks.body ?? never(), item)
      const refusal = refusals.get(item.id)?.(item)
      if (refusal !== undefined) return problemOf(refusal, { id: item.id })
      return E.isLeft(sound) ? problemOf('invalid', { id: item.id, errors: sound.left }) : reported(isNodeKnown ? tasks.get(item.id) : undefined, item)
    })
    if (fate === 'lose') req.socket.destroy()
    else reply(res, 200, { items: answers })
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    out += 1
    togetherMax = Math.max(togetherMax, out)
    res.once('close', () => (out -= 1))
    const text = await readText(req)
    const path = req.url ?? ''
    if (req.method === 'POST' && path === '/v1/nodes') register(res, text)
    else if (req.method === 'POST' && /^\/v1\/nodes\/[^/]+\/reports$/.test(path)) takeReports(req, res, text)
    else if (req.method === 'GET' && /^\/v1\/nodes\/[^/]+$/.test(path)) {
      const last = registrations.at(-1)
      if (isNodeKnown && last !== undefined) reply(res, 200, shown(last))
      else reply(res, 404, problemOf('not-found'))
    } else reply(res, 404, problemOf('not-found'))
    look()
  }

  const server = createServer((req, res) => void serve(req, res).catch(() => req.socket.destroy()))
  const up = (): Promise<void> =>
    new Promise((resolve) => {
      server.listen(port, '127.0.0.1', () => {
        port = (server.address() as AddressInfo).port
        resolve()
      })
    })
  const down = (): Promise<void> =>
    new Promise((resolve) => {
      if (!server.listening) return resolve()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await up()

  const call: FakeManagement['call'] = async (method, path, body, { headers = {}, signal, seconds = Math.floor(world.now() / 1_000), ...options } = {}) => {
    const given = options.secret === undefined ? secret : (options.secret ?? undefined)
    const signed =
      given === undefined ? {} : webhookHeaders(realWorld.uuid(), seconds, body ?? askedForList(options.node ?? registrations.at(-1)?.id ?? ''), right(parseSecrets(given)))
    const response = await fetch(`${options.at ?? registrations.at(-1)?.url ?? ''}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...signed, ...headers },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
  }

  return {
    url: `http://127.0.0.1:${port}`,
    registrations,
    messages,
    told: (id) => messages.flatMap(({ items }) => items.filter((item) => item.id === id)),
    stateOf: (id) => tasks.get(id)?.state,
    togetherMax: () => togetherMax,
    until: (wanted) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!wanted()) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    treat: (next) => {
      decide = next
    },
    know: (id, lease) => void tasks.set(id, { lease, state: 'waiting' }),
    wish: (id, directive, reason) => {
      const task = tasks.get(id) ?? never()
      const number = (task.receipt?.number ?? 0) + 1
      task.receipt = { number, directive, by: 'ann@example.com', givenAt: new Date(world.now()).toISOString(), ...(reason === undefined ? {} : { reason }) }
      return number
    },
    settle: (id, state) => {
      const task = tasks.get(id) ?? never()
      task.state = state
    },
    forget: (id) => void tasks.delete(id),
    refuse: (id, code, when = () => true) => {
      if (code === undefined) refusals.delete(id)
      else refusals.set(id, (item) => (when(item) ? code : undefined))
    },
    forgetNode: (how = 'at once') => {
      isNodeKnown = false
      saysItByItem = how === 'item by item'
    },
    send: async ({ id, lease = `1.${id}`, ...sent }, options) => {
      if (!tasks.has(id)) tasks.set(id, { lease, state: 'waiting' })
      const answer = await call('POST', '/v1/node/operations', JSON.stringify({ id, node: registrations.at(-1)?.id, lease, progressEverySeconds: 2, ...sent }), options)
      const codec = takeOperation.answers[answer.status]
      if (codec !== undefined) right(decode(codec, answer.body))
      return answer
    },
    list: async (options) => {
      const answer = await call('GET', '/v1/node/operations', undefined, options)
      const codec = listOperations.answers[answer.status]
      return { ...answer, items: codec === undefined ? [] : right(decode(codec, answer.body)).items }
    },
    direct: (id, { lease = `1.${id}`, ...body }, options) => call('POST', `/v1/node/operations/${id}/directives`, JSON.stringify({ lease, ...body }), options),
    call,
    down,
    up,
    close: down,
  }
}

const never = (): never => {
  throw new Error('Expected what was asked for to be there')
}

// A management side for tests of what speaks to it: a whole Stint with implementation nodes that do what the test says. The work items are the engine's own; dispatch, lists and
// nodes are answered here, as the wire declares them.
import * as E from 'fp-ts/lib/Either.js'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { longTaskView } from '../../src/api/long-task-views.ts'
import { fromRefusal, invalid, problem, problemDocument, statusOf, type Problem } from '../../src/api/problem.ts'
import { contentDigest } from '../../src/engine/digest.ts'
import type { CommandToDo, Done } from '../../src/engine/command.ts'
import type { ReportBody } from '../../src/wire/items.ts'
import { dispatchBody, PROGRESS_EVERY_SECONDS, TIMEOUT_SECONDS, type DispatchBody, type LongTaskShown } from '../../src/wire/long-tasks.ts'
import type { NodeShown } from '../../src/wire/nodes.ts'
import { decode } from '../../src/wire/schema.ts'
import { longTaskId } from '../../src/wire/words.ts'
import { realWorld } from '../../src/world.ts'
import { right } from './engine.ts'
import { startRealStint, type RealStint } from './real-stint.ts'

export interface StageNode {
  readonly name: string
  /** Takes what was dispatched to it. */
  readonly take: (id: string) => Promise<void>
  /** Reports on what it has taken. */
  readonly report: (id: string, said: Omit<ReportBody, 'lease'>) => Promise<void>
  /** What the server found when it last called. */
  readonly found: (health: 'up' | 'down', lastFailure?: string) => void
}

export interface LongTaskStage {
  readonly url: string
  readonly stint: RealStint
  /** Registers a node that knows these operations. */
  readonly node: (name: string, operations?: readonly string[]) => StageNode
  readonly close: () => Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: unknown
}
type Answered = E.Either<Problem, Answer>

const SUBJECT = 'local'
const ok = (body: unknown, status = 200): Answered => E.right({ status, body })

const parsed = (text: string): unknown => (text === '' ? {} : (JSON.parse(text) as unknown))

const textOf = async (req: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

export const startLongTaskStage = async (): Promise<LongTaskStage> => {
  const stint = await startRealStint()
  const nodes = new Map<string, NodeShown>()
  /** By id, in the order of their births, with the arguments. */
  const dispatched = new Map<string, unknown>()
  const leases = new Map<string, string>()
  const context = () => ({ subject: SUBJECT, actor: SUBJECT, commandId: realWorld.uuid() })
  const execute = (id: string, command: CommandToDo, payload?: Uint8Array): Promise<E.Either<unknown, Done>> => stint.engine().execute(longTaskId(id), command, context(), payload)

  const shown = async (id: string): Promise<E.Either<Problem, LongTaskShown>> => {
    const row = await stint.engine().read(longTaskId(id))
    if (E.isLeft(row)) return E.left(fromRefusal(row.left))
    return E.right(longTaskView({ ...row.right, presence: stint.engine().presence(longTaskId(id)) }))
  }

  const dispatch = async (body: DispatchBody): Promise<Answered> => {
    const { id = realWorld.uuid(), operation, node, args, timeoutSeconds = TIMEOUT_SECONDS, progressEverySeconds = PROGRESS_EVERY_SECONDS, stalledAfterSeconds } = body
    const known = nodes.get(node)?.operations.map((declared) => declared.operation)
    if (known !== undefined && !known.includes(operation)) return E.left(problem('unknown-operation', `${node} knows ${known.join(', ')}, but not ${operation}.`))
    const facts = { operation, node, progressEveryMs: progressEverySeconds * 1_000, timeoutMs: timeoutSeconds * 1_000 }
    const stalled = stalledAfterSeconds === undefined ? {} : { stalledAfterMs: stalledAfterSeconds * 1_000 }
    const lease = `1.${realWorld.token(8)}`
    const done = await execute(
      id,
      {
        type: 'DispatchOperation',
        by: SUBJECT,
        operation: { ...facts, ...stalled, lease },
        mediaType: 'application/json',
        digest: contentDigest({ ...facts, ...stalled, args }),
      },
      Buffer.from(JSON.stringify(args ?? null)),
    )
    if (E.isLeft(done)) return E.left(fromRefusal(done.left as Parameters<typeof fromRefusal>[0]))
    const isNew = done.right.before.status === 'absent'
    if (isNew) {
      dispatched.set(id, args)
      leases.set(id, lease)
    }
    const view = await shown(id)
    return E.isLeft(view) ? view : ok(view.right, isNew ? 201 : 200)
  }

  const dispatchOne = async (body: unknown): Promise<Answered> => {
    const decoded = decode(dispatchBody, body)
    return E.isLeft(decoded) ? E.left(invalid(decoded.left)) : dispatch(decoded.right)
  }

  const dispatchMany = async (items: readonly unknown[]): Promise<Answered> => {
    const answers = await Promise.all(items.map(dispatchOne))
    return ok({
      items: answers.map((answer) =>
        E.isLeft(answer) ? { status: statusOf(answer.left), problem: problemDocument(answer.left) } : { ...(answer.right.body as object), status: answer.right.status },
      ),
    })
  }

  const list = async (query: URLSearchParams): Promise<Answered> => {
    const all = (await Promise.all([...dispatched.keys()].toReversed().map(shown))).flatMap((one) => (E.isLeft(one) ? [] : [one.right]))
    const fits = (task: LongTaskShown): boolean => (['node', 'operation', 'state'] as const).every((name) => query.get(name) === null || query.get(name) === task[name])
    const [from, limit] = [Number(query.get('after') ?? 0), Number(query.get('limit') ?? 100)]
    const found = all.filter(fits)
    return ok({ items: found.slice(from, from + limit), ...(found.length > from + limit ? { next: String(from + limit) } : {}) })
  }

  const nodeShown = async (node: NodeShown): Promise<NodeShown> => {
    const tasks = (await Promise.all([...dispatched.keys()].map(shown))).flatMap((one) => (E.isLeft(one) || one.right.node !== node.id ? [] : [one.right]))
    const waiting = tasks.filter(({ state }) => state === 'waiting').length
    return { ...node, waiting, running: tasks.filter(({ settledAt }) => settledAt === undefined).length - waiting }
  }

  const byName = async (method: string, name: string): Promise<Answered> => {
    const node = nodes.get(name)
    if (node === undefined) return E.left(problem('not-found'))
    if (method === 'DELETE') nodes.delete(name)
    return ok(await nodeShown(node))
  }

  /** What is answered here; undefined for all else. */
  const answer = async (method: string, path: string, query: URLSearchParams, text: string): Promise<Answered | undefined> => {
    const [collection, name, ...more] = path.replace(/^\/v1\//, '').split('/')
    if (more.length > 0) return undefined
    if (collection === 'nodes' && name !== undefined) return byName(method, decodeURIComponent(name))
    if (collection === 'nodes') return ok({ items: await Promise.all([...nodes.values()].map(nodeShown)) })
    if (collection !== 'long-tasks') return undefined
    if (method === 'POST') {
      const body = parsed(text) as { readonly items?: readonly unknown[] }
      return body.items === undefined ? dispatchOne(body) : dispatchMany(body.items)
    }
    if (name === undefined) return list(query)
    const found = await shown(name)
    return E.isLeft(found) ? found : ok({ ...found.right, args: dispatched.get(name) })
  }

  const forward = (req: IncomingMessage, res: ServerResponse, text: string): void => {
    const path = (req.url ?? '').replace(/^\/v1\/long-tasks\/([^/?]+)\//, '/v1/work-items/long-task%2F$1/')
    const { host: _host, 'content-length': _length, ...headers } = req.headers
    const upstream = httpRequest(stint.url + path, { method: req.method, headers, agent: false }, (found) => {
      res.writeHead(found.statusCode ?? 502, found.headers)
      res.flushHeaders()
      found.pipe(res)
    })
    upstream.once('error', () => req.socket.destroy())
    res.once('close', () => upstream.destroy())
    upstream.end(text)
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const text = await textOf(req)
    const { pathname, searchParams } = new URL(req.url ?? '', stint.url)
    const found = await answer(req.method ?? '', pathname, searchParams, text)
    if (found === undefined) return forward(req, res, text)
    const position = stint.engine().position()
    if (E.isRight(found)) res.writeHead(found.right.status, { 'Content-Type': 'application/json', 'Stint-Position': position }).end(JSON.stringify(found.right.body))
    else res.writeHead(statusOf(found.left), { 'Content-Type': 'application/problem+json' }).end(JSON.stringify(problemDocument(found.left, req.url)))
  }

  const server = createServer((req, res) => void serve(req, res).catch(() => req.socket.destroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const node: LongTaskStage['node'] = (name, operations = ['CopyImage']) => {
    const at = new Date(realWorld.now()).toISOString()
    const declared = operations.map((operation) => ({ operation, long: true, timeoutSeconds: 900, progressEverySeconds: 2 }))
    const facts = { id: name, url: `http://127.0.0.1:9/${name}`, operations: declared, instance: 'one' }
    nodes.set(name, { ...facts, health: 'up', running: 0, waiting: 0, createdAt: at, updatedAt: at, healthSince: at, lastAnsweredAt: at })
    const holder = { subject: SUBJECT, name, instance: 'one' }
    return {
      name,
      take: async (id) => void right(await execute(id, { type: 'TakeOperation', holder })),
      report: async (id, { phase, progress, state, refuse, outcome }) => {
        const digest = outcome === undefined ? undefined : contentDigest(outcome)
        const said = { phase, progress, state, refuse, outcome, digest }
        right(await execute(id, { type: 'Report', by: SUBJECT, lease: leases.get(id) ?? '', takenBy: holder, retry: { pauseMs: 0 }, ...said }))
      },
      found: (health, lastFailure) => {
        const known = nodes.get(name)
        if (known !== undefined) nodes.set(name, { ...known, health, healthSince: new Date(realWorld.now()).toISOString(), ...(lastFailure === undefined ? {} : { lastFailure }) })
      },
    }
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stint,
    node,
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      await stint.close()
    },
  }
}

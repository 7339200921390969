// A small implementation node over real HTTP, as good or bad as a test wants it: it keeps its list in memory, answers as it is told, and remembers what it was asked.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Given {
  readonly id: string
  readonly lease: string
  readonly operation: string
  readonly progressEverySeconds: number
  readonly args?: unknown
  readonly timeoutAt?: string
}

export interface Told {
  readonly id: string
  readonly lease: string
  readonly number: number
  readonly directive: string
  readonly reason?: string
}

/**
 * How an operation is answered. `take`: 202, and on the list · `lose`: on the list, but the connection is cut before the answer · `cut`: nothing of either ·
 * `hang`: no answer at all, until `release` · anything else: this status and body.
 */
export type Taking = 'take' | 'lose' | 'cut' | 'hang' | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }

export interface FakeNode {
  readonly name: string
  readonly url: () => string
  /** Everything that was asked, the oldest first. */
  readonly asked: readonly Asked[]
  /** Operations that came, each time that they came. */
  readonly given: readonly Given[]
  /** Directives that came. */
  readonly told: readonly Told[]
  /** How often the list was asked for. */
  readonly lists: () => number
  /** Its list. */
  readonly operations: Map<string, { readonly lease: string; readonly operation: string; state: string }>
  /** How the next operations are answered, one each; the last one holds for all after it. */
  readonly take: (...takings: readonly Taking[]) => void
  /** How its list is answered; `undefined`: as it is. */
  readonly answerLists: (status: number | undefined, body?: unknown) => void
  /** Answers what hangs, as if it had been taken. */
  readonly release: () => void
  /** Nobody listens at its port any more, and connections are cut. */
  readonly goDown: () => Promise<void>
  /** Listens again at the same port, with the list that it had. */
  readonly comeUp: () => Promise<void>
}

const json = (res: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void =>
  void res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body ?? {}))

const textOf = async (req: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const nodes: { readonly close: () => Promise<void> }[] = []

/** Closes all that the tests have started; call it in `afterEach`. */
export const closeNodes = async (): Promise<void> => {
  await Promise.all(nodes.splice(0).map((node) => node.close()))
}

export const startNode = async (name = 'n1'): Promise<FakeNode> => {
  const asked: Asked[] = []
  const given: Given[] = []
  const told: Told[] = []
  const hanging: (() => void)[] = []
  const operations: FakeNode['operations'] = new Map()
  let takings: readonly Taking[] = ['take']
  let listed: { readonly status: number; readonly body: unknown } | undefined
  let lists = 0
  let port = 0

  const put = ({ id, lease, operation }: Given): void => void operations.set(id, { lease, operation, state: 'running' })

  const onOperation = (operation: Given, res: ServerResponse): void => {
    given.push(operation)
    const [taking = 'take'] = takings
    if (takings.length > 1) takings = takings.slice(1)
    const taken = (): void => {
      put(operation)
      json(res, 202, { id: operation.id })
    }
    if (taking === 'take') taken()
    else if (taking === 'hang') hanging.push(taken)
    else if (typeof taking === 'object') json(res, taking.status, taking.body, taking.headers)
    else {
      if (taking === 'lose') put(operation)
      res.destroy()
    }
  }

  const onDirective = (id: string, body: Omit<Told, 'id'>, res: ServerResponse): void => {
    told.push({ id, ...body })
    if (operations.has(id)) json(res, 200, { id, directive: body.directive === 'resume' ? 'normal' : body.directive })
    else json(res, 404, { type: '/problems/not-found', title: 'There is no such thing.', status: 404, code: 'not-found' })
  }

  const onList = (res: ServerResponse): void => {
    lists += 1
    const items = [...operations].map(([id, { lease, operation, state }]) => ({ id, lease, operation, state, attempt: 1 }))
    if (listed === undefined) json(res, 200, { node: name, instance: 'fake', items })
    else json(res, listed.status, listed.body)
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const text = await textOf(req)
    const path = req.url ?? ''
    asked.push({ method: req.method ?? '', path, headers: req.headers, text })
    const [, id] = /^\/v1\/node\/operations\/([^/]+)\/directives$/.exec(path) ?? []
    if (id !== undefined) onDirective(decodeURIComponent(id), JSON.parse(text) as Omit<Told, 'id'>, res)
    else if (req.method === 'POST' && path === '/v1/node/operations') onOperation(JSON.parse(text) as Given, res)
    else if (req.method === 'GET' && path === '/v1/node/operations') onList(res)
    else json(res, 404, {})
  }

  let server: Server | undefined
  const comeUp = async (): Promise<void> => {
    server = createServer((req, res) => void serve(req, res).catch(() => res.destroy()))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    ;({ port } = server.address() as AddressInfo)
  }
  const goDown = async (): Promise<void> => {
    if (server?.listening !== true) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }

  await comeUp()
  nodes.push({ close: goDown })
  return {
    name,
    url: () => `http://127.0.0.1:${port}`,
    ...{ asked, given, told, operations, goDown, comeUp },
    lists: () => lists,
    take: (...next) => {
      takings = [...next]
    },
    answerLists: (status, body) => {
      listed = status === undefined ? undefined : { status, body }
    },
    release: () => {
      for (const answer of hanging.splice(0)) answer()
    },
  }
}

// A server over a real engine and a memory store, asked over real HTTP in a virtual world. What it answers is held to its own routes, in every test.
import { once } from 'node:events'
import { connect } from 'node:net'
import * as E from 'fp-ts/lib/Either.js'
import pino from 'pino'
import { createServer, type ApiServer } from '../../src/api/server.ts'
import type { ApiSettings } from '../../src/api/settings.ts'
import { problems } from '../../src/wire/problems.ts'
import type { Role, Route } from '../../src/wire/route.ts'
import { routeList } from '../../src/wire/routes.ts'
import { decode } from '../../src/wire/schema.ts'
import { right, startEngine, type TestEngine } from './engine.ts'

export type AnyRoute = Route<unknown, unknown, unknown, unknown>
export const allRoutes = routeList as unknown as readonly AnyRoute[]

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed, if it is JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
  readonly body: any
  readonly text: string
}

export interface Ask {
  /** Sent as JSON, unless it is text already. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly token?: string | undefined
  readonly signal?: AbortSignal
}

export interface TestApi extends TestEngine {
  readonly url: string
  readonly port: number
  readonly server: ApiServer
  /** What was logged as an error: defects, above all. */
  readonly errors: readonly string[]
  /** What was logged as a warning. */
  readonly warnings: readonly string[]
  readonly ask: (method: string, path: string, ask?: Ask) => Promise<Answer>
  readonly get: (path: string, ask?: Ask) => Promise<Answer>
  readonly post: (path: string, body: unknown, ask?: Ask) => Promise<Answer>
  /** Sends bytes as they are and gives back all that is answered until the server closes the connection. */
  readonly raw: (bytes: string | Buffer) => Promise<string>
  /** A new token for a principal. */
  readonly tokenFor: (email: string, ...roles: readonly Role[]) => Promise<string>
  readonly close: () => Promise<void>
}

const fits = (template: string, path: string): boolean => {
  const wanted = template.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, index) => (part.startsWith('{') ? given[index] !== '' : part === given[index]))
}

/** The route that serves this request, as the server should find it. */
export const routeOf = (method: string, path: string): AnyRoute | undefined => {
  const [bare = ''] = path.split('?')
  return allRoutes.find((route) => route.method === method && fits(route.path, bare))
}

const describeErrors = (decoded: E.Either<readonly { path: string; detail: string }[], unknown>): string =>
  E.isLeft(decoded) ? decoded.left.map(({ path, detail }) => `${path} ${detail}`).join('; ') : ''

const checkItem = (route: AnyRoute, item: { readonly status: number; readonly code?: string }): void => {
  if (item.status >= 400) return checkProblem(item.status, item)
  const { status, ...answer } = item
  const codec = route.answers[status]
  const wrong = codec === undefined ? `status ${status} is not declared` : describeErrors(decode(codec, answer))
  if (wrong !== '') throw new Error(`${route.name} answered an item with ${status}, but ${wrong}`)
}

const checkProblem = (status: number, body: { readonly status?: number; readonly code?: string; readonly type?: string }): void => {
  const known = problems[body.code as keyof typeof problems]
  if (known?.status !== status || body.status !== status || body.type !== `/problems/${body.code}`) throw new Error(`A refusal that is none: ${status} ${JSON.stringify(body)}`)
}

/** Throws when an answer is not what the surface promises of every answer. */
export const checkAnswer = (method: string, path: string, answer: Answer): void => {
  const { status, headers, body } = answer
  for (const name of ['stint-position', 'stint-request-id']) if (headers.get(name) === null) throw new Error(`${method} ${path} answered without ${name}`)
  if (status >= 400 && method !== 'HEAD' && headers.get('content-type')?.startsWith('application/problem+json') === true) return checkProblem(status, body)
  const route = routeOf(method, path)
  if (route === undefined || status === 304 || route.mediaType !== 'application/json') return
  if (route.many && status === 200 && Array.isArray(body?.items)) {
    for (const item of body.items) checkItem(route, item)
    return
  }
  const codec = route.answers[status]
  const wrong = codec === undefined ? 'this status is not declared' : describeErrors(decode(codec, body))
  if (wrong !== '') throw new Error(`${route.name} answered ${status}, but ${wrong}: ${answer.text.slice(0, 500)}`)
}

const parseIfJson = (text: string, type: string | null): unknown => (type !== null && /json/.test(type) && text !== '' ? JSON.parse(text) : undefined)

const rawTo =
  (port: number) =>
  async (bytes: string | Buffer): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (text += chunk))
    // A server that has refused may close while bytes are still under way.
    socket.on('error', () => socket.destroy())
    socket.write(bytes)
    await once(socket, 'close')
    return text
  }

const opened: TestApi[] = []

/** Closes whatever the tests have started; call it in `afterEach`. */
export const closeAll = async (): Promise<void> => {
  await Promise.all(opened.splice(0).map((api) => api.close()))
}

export interface Given {
  readonly engine?: TestEngine
  readonly settings?: Partial<ApiSettings>
}

/** Starts a server on a free port of loopback. */
export const startApi = async ({ engine: given, settings = {} }: Given = {}): Promise<TestApi> => {
  const test = given ?? (await startEngine())
  const errors: string[] = []
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void ((JSON.parse(line) as { readonly level: number }).level >= 50 ? errors : warnings).push(line) })
  const server = createServer({ engine: test.engine, world: test.world, log, settings: { version: '0.0.0-test', ...settings } })
  const { port } = await server.listen(0, '127.0.0.1')
  const url = `http://127.0.0.1:${port}`

  const ask: TestApi['ask'] = async (method, path, { body, headers = {}, token, signal } = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    const answer: Answer = { status: response.status, headers: response.headers, text, body: parseIfJson(text, response.headers.get('content-type')) }
    checkAnswer(method, path, answer)
    return answer
  }

  const api: TestApi = {
    ...test,
    url,
    port,
    server,
    errors,
    warnings,
    ask,
    get: (path, more) => ask('GET', path, more),
    post: (path, body, more) => ask('POST', path, { ...more, body }),
    raw: rawTo(port),
    tokenFor: async (email, ...roles) => {
      const added = await test.engine.tokens.add({ name: email, email, roles }, { subject: 'test', actor: 'test', commandId: test.world.uuid() })
      return right(added).token
    },
    close: async () => {
      await server.close({ graceMs: 1_000 })
      await test.engine.close()
    },
  }
  opened.push(api)
  return api
}

// An express app on a real port behind the middleware, and a client that sees every byte. At each moment when something becomes durable it looks whether
// a byte of a reply has already left the server: that is what must never be.
import express, { type Express, type RequestHandler } from 'express'
import { expect } from 'vitest'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { contractMiddleware, type ContractMiddleware } from '../../src/embedded/middleware.ts'
import type { MiddlewareOptions } from '../../src/embedded/options.ts'
import { memoryContracts, type MemoryContracts, type MemoryOptions } from './memory-contracts.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly trailers: NodeJS.Dict<string>
  readonly body: Buffer
  readonly text: string
  /** The connection broke before the reply was complete. */
  readonly isBroken: boolean
}

export interface Ask {
  readonly method?: string
  readonly path?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  /** What is no string and no bytes goes as JSON. */
  readonly body?: unknown
}

export interface ContractApp extends AsyncDisposable {
  readonly app: Express
  readonly server: Server
  readonly port: number
  readonly store: MemoryContracts
  readonly once: ContractMiddleware
  /** Bytes that went out before what they tell of was durable. Empty, or something is broken. */
  readonly leaks: string[]
  readonly ask: (ask?: Ask) => Promise<Answer>
  /** A connection that has sent a whole request and can be cut. */
  readonly send: (ask?: Ask) => Promise<Socket>
  /** What the app said when nobody else could be told. */
  readonly troubles: string[]
}

const payloadOf = (body: unknown): Buffer => {
  if (body === undefined) return Buffer.alloc(0)
  if (typeof body === 'string') return Buffer.from(body)
  return body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(JSON.stringify(body))
}

const headersOf = ({ key, headers, body }: Ask): Record<string, string> => {
  const isJson = typeof body === 'object' && !(body instanceof Uint8Array)
  return { Connection: 'close', ...(key === undefined ? {} : { 'Idempotency-Key': key }), ...(isJson ? { 'Content-Type': 'application/json' } : {}), ...headers }
}

const collect = async (response: IncomingMessage): Promise<Answer> => {
  const chunks: Buffer[] = []
  let isBroken = false
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer)
  } catch {
    isBroken = true
  }
  const { statusCode = 0, headers, rawHeaders, trailers } = response
  const body = Buffer.concat(chunks)
  return { status: statusCode, headers, rawHeaders, trailers, body, text: body.toString(), isBroken }
}

export const askPort = (port: number, ask: Ask = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { method = 'POST', path = '/orders' } = ask
    const payload = payloadOf(ask.body)
    const sent = httpRequest({
      port,
      host: '127.0.0.1',
      method,
      path,
      agent: false,
      headers: { ...headersOf(ask), ...(payload.length > 0 ? { 'Content-Length': payload.length } : {}) },
    })
    sent.on('response', (response) => void collect(response).then(resolve, reject))
    sent.on('error', (error) => reject(error))
    sent.end(payload)
  })

export interface AppOptions extends MiddlewareOptions, MemoryOptions {
  readonly before?: readonly RequestHandler[]
  readonly after?: readonly RequestHandler[]
  readonly handler?: RequestHandler
  readonly path?: string
  /** The rest of the app, after the route. */
  readonly rest?: (app: Express, once: ContractMiddleware) => void
  /** Stands between the middleware and its store. */
  readonly wrap?: (store: MemoryContracts) => MemoryContracts
}

export const startContractApp = async ({
  before = [],
  after = [],
  handler = (_req, res) => void res.json({ done: true }),
  path = '/orders',
  ...options
}: AppOptions = {}): Promise<ContractApp> => {
  const leaks: string[] = []
  const troubles: string[] = []
  const open = new Set<Socket>()
  /** Bytes that a connection may have written: what was let go so far. */
  const look = (line: string): void => {
    if (line.startsWith('passed')) return
    for (const socket of open) if (socket.bytesWritten > 0) leaks.push(`${socket.bytesWritten} bytes before "${line}"`)
  }
  const store = memoryContracts({ ...options, onDurable: look })
  const middleware = contractMiddleware(async () => options.wrap?.(store) ?? store, { onTrouble: (what) => troubles.push(what), ...options })
  const app = express()
  app.set('env', 'test')
  if (before.length > 0) app.use(...before)
  options.rest?.(app, middleware)
  app.all(path, middleware, ...after, handler)
  const server = createServer(app)
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    app,
    server,
    port,
    store,
    once: middleware,
    leaks,
    troubles,
    ask: (ask) => askPort(port, ask),
    send: async (ask = {}) => {
      const payload = payloadOf(ask.body)
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      const lines = Object.entries({ Host: '127.0.0.1', ...headersOf(ask), 'Content-Length': String(payload.length) }).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`${ask.method ?? 'POST'} ${ask.path ?? '/orders'} HTTP/1.1\r\n${lines.join('')}\r\n`)
      socket.write(payload)
      return socket
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const ONE_SENDING = new Set(['date', 'idempotency-replayed', 'connection', 'keep-alive', 'transfer-encoding'])

/** All that a client can tell two replies apart by, but what belongs to one sending. */
const seen = ({ status, rawHeaders, body }: Answer): unknown => {
  const headers = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1]]] : []))
  return { status, headers: headers.filter(([name]) => !ONE_SENDING.has(name ?? '')).toSorted(([a], [b]) => ((a ?? '') < (b ?? '') ? -1 : 1)), body: body.toString('base64') }
}

/** Asks twice: the second must be the first again, the handler must have run once, and nothing may have leaked. */
export const askTwice = async (app: ContractApp, ask: Ask = {}): Promise<Answer> => {
  const first = await app.ask({ key: 'a', ...ask })
  const again = await app.ask({ key: 'a', ...ask })
  expect(again.headers['idempotency-replayed']).toBe('true')
  expect(seen(again)).toEqual(seen(first))
  expect(app.leaks).toEqual([])
  return first
}

/** What a handler answers, asked twice. */
export const answerTwice = async (handler: RequestHandler, ask?: Ask, options: AppOptions = {}): Promise<Answer> => {
  await using app = await startContractApp({ ...options, handler })
  return await askTwice(app, ask)
}

/** A handler that counts its runs and tells the number of each. */
export const counted = (): { runs: number; handler: NonNullable<AppOptions['handler']> } => {
  const state = {
    runs: 0,
    handler: ((_req, res) => {
      state.runs += 1
      res.status(201).set('X-Order', String(state.runs)).json({ order: state.runs })
    }) as NonNullable<AppOptions['handler']>,
  }
  return state
}

// A reverse proxy between a client and a Stint that writes down every request and can be told to lose, delay or refuse some: the network as it is on a bad day.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { CHANNEL_PATH } from '../../src/wire/channel.ts'

export interface Seen {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Parsed JSON, if it was any. */
  readonly body: unknown
}

/**
 * `pass`: forward. `cut`: close the connection without forwarding. `lose-answer`: forward, then close the connection in place of the answer.
 * `hang`: take it and never answer. A number: answer with this status and nothing of Stint's; 503 as Stint itself would.
 */
export type Fate = 'pass' | 'cut' | 'lose-answer' | 'hang' | number

export interface Gateway {
  readonly url: string
  readonly seen: readonly Seen[]
  /** Decides what becomes of each request from now on. */
  readonly treat: (decide: (request: Seen) => Fate) => void
  /** Resolves with the first request, past or coming, that fits. */
  readonly until: (fits: (request: Seen) => boolean) => Promise<Seen>
  /** Refuses connections and cuts those that are open. */
  readonly down: () => Promise<void>
  /** Listens again at the same address. */
  readonly up: () => Promise<void>
  /** Connections that are open now. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

const STOPPING = JSON.stringify({ type: '/problems/stopping', title: 'The server is stopping.', status: 503, code: 'stopping' })

const readBody = async (req: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    // Empty, or of another type: it is forwarded all the same.
    return undefined
  }
}

export const startGateway = async (target: string): Promise<Gateway> => {
  const seen: Seen[] = []
  const waiting = new Set<() => void>()
  const sockets = new Set<Socket>()
  let decide: (request: Seen) => Fate = () => 'pass'

  const forward = (req: IncomingMessage, res: ServerResponse, body: Buffer, isLost: boolean): void => {
    const { host: _host, ...headers } = req.headers
    const upstream = httpRequest(target + (req.url ?? ''), { method: req.method, headers, agent: false }, (answer) => {
      if (isLost) {
        answer.resume()
        answer.once('end', () => req.socket.destroy())
        return
      }
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      res.flushHeaders()
      answer.pipe(res)
      answer.once('error', () => res.destroy())
    })
    upstream.once('error', () => req.socket.destroy())
    res.once('close', () => upstream.destroy())
    upstream.end(body)
  }

  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    // It treats requests one by one, and so lets none of the connections pass that carry many.
    if (req.url === CHANNEL_PATH) return void res.writeHead(404).end()
    const body = await readBody(req)
    const request: Seen = { method: req.method ?? '', path: req.url ?? '', headers: req.headers, body: parsed(body) }
    seen.push(request)
    const fate = decide(request)
    for (const look of [...waiting]) look()
    if (fate === 'pass' || fate === 'lose-answer') return forward(req, res, body, fate === 'lose-answer')
    if (fate === 'cut') req.socket.destroy()
    if (typeof fate !== 'number') return
    if (fate === 503) res.writeHead(fate, { 'Content-Type': 'application/problem+json', 'Retry-After': '0' }).end(STOPPING)
    else res.writeHead(fate).end()
  }

  const server = createServer((req, res) => void serve(req, res).catch(() => req.socket.destroy()))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  let port = 0
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

  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    treat: (next) => {
      decide = next
    },
    until: (fits) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = seen.find(fits)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
    down,
    up,
    connections: () => sockets.size,
    close: down,
  }
}

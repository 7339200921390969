// A small load balancer as a process of its own: a reverse proxy that lets its servers take turns and passes over one that is dead.
//   node load-balancer.ts URL URL …
import { createServer, request as send, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { listening } from './talk.ts'

/** Requests are kept whole until they are passed on, so that another server can be tried; larger ones are refused. */
const BODY_BYTES_MAX = 1024 * 1024

const readBody = async (incoming: IncomingMessage): Promise<Buffer | undefined> => {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > BODY_BYTES_MAX) return undefined
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

const HOP_BY_HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length'])

const endToEnd = (headers: IncomingMessage['headers']): IncomingMessage['headers'] => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)))

/** Nothing of the request was taken: another server may be asked without doing anything twice. */
const isRefusedConnection = (cause: unknown): boolean => (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED'

const passOn = (target: string, incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse): Promise<void> =>
  new Promise((resolve, reject) => {
    const headers = { ...endToEnd(incoming.headers), 'content-length': body.length }
    // A connection for each request: one that is kept may be closed by its server just when it is used again.
    const onward = send(new URL(incoming.url ?? '/', target), { method: incoming.method, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, { ...endToEnd(answer.headers), 'x-served-by': target })
      answer.pipe(outgoing)
      answer.once('error', reject)
      answer.once('end', resolve)
    })
    onward.once('error', reject)
    onward.end(body)
  })

const refuse = (outgoing: ServerResponse, status: number, detail: string): void => {
  if (outgoing.headersSent) return void outgoing.destroy()
  outgoing.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${detail}\n`)
}

/** The proxy, not listening yet. `targets` are the servers' addresses, in the order of their turns. */
export const createLoadBalancer = (targets: readonly string[]): Server => {
  let turn = 0

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await readBody(incoming)
    if (body === undefined) return refuse(outgoing, 413, `Expected at most ${BODY_BYTES_MAX} bytes.`)
    for (let tried = 0; tried < targets.length; tried += 1) {
      const target = targets[turn % targets.length] ?? ''
      turn += 1
      try {
        return await passOn(target, incoming, body, outgoing)
      } catch (cause) {
        if (!isRefusedConnection(cause)) return refuse(outgoing, 502, `${target} broke off.`)
      }
    }
    refuse(outgoing, 503, 'No server answers.')
  }

  return createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
}

if (import.meta.main) {
  const server = createLoadBalancer(process.argv.slice(2))
  server.listen(0, '127.0.0.1', () => listening(server))
  process.once('SIGTERM', () => process.exit(0))
}

// A receiver of messages on loopback, as good or bad as a test wants it: real sockets, and promises for what has come.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What to answer: a status, a status with headers, or whatever the function does with the answer. */
export type Behaviour = number | readonly [status: number, headers: Readonly<Record<string, string>>] | ((res: ServerResponse) => void)

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly received: readonly Received[]
  /** Requests that have come and are not answered yet. */
  readonly open: () => number
  /** Resolves when so many requests have come. */
  readonly until: (count: number) => Promise<Received>
  /** How the next requests are answered, one each; the last one holds for all after it. */
  readonly answer: (...behaviours: readonly Behaviour[]) => void
  readonly close: () => Promise<void>
}

const behave = (behaviour: Behaviour, res: ServerResponse): void => {
  if (typeof behaviour === 'function') return behaviour(res)
  const [status, headers] = typeof behaviour === 'number' ? [behaviour, {}] : behaviour
  res.writeHead(status, headers).end()
}

const receivers: Receiver[] = []

/** Closes all that the tests have started; call it in `afterEach`. */
export const closeReceivers = async (): Promise<void> => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))
}

/** Answers 204 until it is told otherwise. */
export const startReceiver = async (): Promise<Receiver> => {
  const received: Received[] = []
  const waiting = new Set<() => void>()
  let behaviours: Behaviour[] = [204]
  let open = 0
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    open += 1
    res.once('close', () => (open -= 1))
    req.on('data', (chunk: Buffer) => void chunks.push(chunk))
    req.once('end', () => {
      received.push({ method: req.method ?? '', path: req.url ?? '', headers: req.headers, body: Buffer.concat(chunks).toString('utf8') })
      const [next = 204] = behaviours
      if (behaviours.length > 1) behaviours = behaviours.slice(1)
      behave(next, res)
      for (const look of waiting) look()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}`,
    port,
    received,
    open: () => open,
    until: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          const last = received[count - 1]
          if (last === undefined) return
          waiting.delete(look)
          resolve(last)
        }
        waiting.add(look)
        look()
      }),
    answer: (...next) => {
      behaviours = [...next]
    },
    close: async () => {
      if (!server.listening) return
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  receivers.push(receiver)
  return receiver
}

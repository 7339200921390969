// Somebody who opens channels and answers on them whatever a test wants, and every request by itself with an empty list.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export interface OddCall {
  readonly id: number
  readonly method?: string
  readonly path?: string
  readonly cancel?: true
}

export interface OddServer {
  readonly url: string
  /** Requests that came by themselves. */
  readonly requests: () => number
  /** What came over channels. */
  readonly calls: readonly OddCall[]
  readonly channels: () => number
  readonly close: () => Promise<void>
}

/** @param answer what is done with a call that came over a channel */
export const startOddServer = async (answer: (call: OddCall, channel: WebSocket) => void, protocol: string | false = 'stint.v1'): Promise<OddServer> => {
  let requests = 0
  const calls: OddCall[] = []
  const server = createServer((req, res) => {
    requests += 1
    req.resume()
    res.writeHead(200, { 'Content-Type': 'application/json', 'Stint-Position': 'a.1' }).end('{"items":[]}')
  })
  const channels = new WebSocketServer({ server, handleProtocols: () => protocol })
  channels.on('connection', (channel) => {
    channel.on('error', () => channel.terminate())
    channel.on('message', (data: Buffer) => {
      const call = JSON.parse(data.toString().split('\n', 1)[0] ?? '') as OddCall
      calls.push(call)
      answer(call, channel)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    calls,
    channels: () => channels.clients.size,
    close: () =>
      new Promise((resolve) => {
        for (const channel of channels.clients) channel.terminate()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** An empty list, as an answer over a channel. */
export const emptyList = (id: number, ...headers: readonly string[]): string =>
  `${JSON.stringify({ id, status: 200, headers: ['Content-Type', 'application/json', 'Stint-Position', 'a.1', ...headers] })}\n{"items":[]}`

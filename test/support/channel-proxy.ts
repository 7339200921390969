// A reverse proxy that knows requests and channels apart: it counts both, and can refuse channels, hang in opening them, cut them, or stop forwarding without a word.
import { Agent, createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** `reset`: the connection is cut without an answer. A number: it is answered with this status. */
export type Upgrading = 'pass' | 'hang' | 'reset' | number

export interface ChannelProxy {
  readonly url: string
  /** Requests that came by themselves, as method and path. */
  readonly requests: readonly string[]
  /** How often somebody wanted to open a channel. */
  readonly upgrades: () => number
  /** Connections of channels that are open, or about to be. */
  readonly channels: () => number
  /** What becomes of who wants to open one from now on. */
  readonly treatUpgrades: (upgrading: Upgrading) => void
  /** Stops forwarding over the channels that are open; nobody is told. */
  readonly freeze: () => void
  readonly cut: () => void
  readonly close: () => Promise<void>
}

/** In front of a server on loopback. */
export const startChannelProxy = async (target: string): Promise<ChannelProxy> => {
  const port = Number(new URL(target).port)
  const agent = new Agent({ keepAlive: true })
  const requests: string[] = []
  const near = new Set<Duplex>()
  const far = new Set<Socket>()
  let upgrades = 0
  let upgrading: Upgrading = 'pass'

  const forward = (req: IncomingMessage, res: ServerResponse): void => {
    requests.push(`${req.method} ${req.url}`)
    const upstream = httpRequest({ port, host: '127.0.0.1', method: req.method, path: req.url, headers: req.headers, agent }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    upstream.once('error', () => req.socket.destroy())
    res.once('close', () => upstream.destroy())
    req.pipe(upstream)
  }

  const tunnel = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const upstream = connect(port, '127.0.0.1')
    far.add(upstream)
    upstream.setNoDelay(true)
    const lines = [`GET ${req.url} HTTP/1.1`]
    for (let at = 0; at < req.rawHeaders.length; at += 2) lines.push(`${req.rawHeaders[at]}: ${req.rawHeaders[at + 1]}`)
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`)
    upstream.write(head)
    upstream.pipe(socket).pipe(upstream)
    for (const one of [upstream, socket]) {
      one.on('error', () => one.destroy())
      one.once('close', () => {
        far.delete(upstream)
        upstream.destroy()
        socket.destroy()
      })
    }
  }

  const server = createServer(forward)
  server.on('upgrade', (req, socket: Duplex, head: Buffer) => {
    upgrades += 1
    near.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => near.delete(socket))
    if (upgrading === 'pass') tunnel(req, socket, head)
    else if (upgrading === 'reset') socket.destroy()
    else if (upgrading !== 'hang') socket.end(`HTTP/1.1 ${upgrading} No\r\nContent-Length: 0\r\nLocation: ${target}\r\nConnection: close\r\n\r\n`)
    // It ends when its caller leaves.
    else socket.resume().once('end', () => socket.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const cut = (): void => {
    for (const socket of [...near, ...far]) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    upgrades: () => upgrades,
    channels: () => near.size,
    treatUpgrades: (next) => {
      upgrading = next
    },
    freeze: () => {
      for (const socket of [...near, ...far]) {
        socket.unpipe()
        socket.removeAllListeners('data')
        // What comes is taken, and goes nowhere.
        socket.once('end', () => socket.end()).resume()
      }
    },
    cut,
    close: () =>
      new Promise((resolve) => {
        agent.destroy()
        cut()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

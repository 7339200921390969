// The way to one node of the double: a proxy whose connections can be cut, stopped and refused, as a network or a stopped process would.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export interface Front {
  readonly port: number
  readonly connections: () => number
  /** Cuts every connection. */
  readonly cut: () => void
  /** Nothing goes through any more, and nobody is told: as a process that is stopped. New connections are taken and left unanswered. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Cuts every connection and refuses new ones, as a process that is gone. */
  readonly shut: () => Promise<void>
  readonly reopen: () => Promise<void>
}

const HOST = '127.0.0.1'

const listen = (server: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })

export interface FrontAddress {
  /** 127.0.0.1 */
  readonly host?: string
  /** A free one. */
  readonly port?: number
}

/** Opens it before what listens behind it. */
export const openFront = async (behind: () => number, onGone: () => void, { host = HOST, port: asked = 0 }: FrontAddress = {}): Promise<Front> => {
  const open = new Set<Socket>()
  let isFrozen = false

  const serve = (near: Socket): void => {
    const far = connect(behind(), HOST)
    const cut = (): void => {
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      socket.on('error', cut)
      socket.on('close', () => {
        const wasOpen = open.delete(near)
        cut()
        if (wasOpen) onGone()
      })
    }
    open.add(near)
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => near.write(bytes))
    if (isFrozen) near.pause()
    if (isFrozen) far.pause()
    near.on('thaw', () => {
      near.resume()
      far.resume()
    })
    near.on('freeze', () => {
      near.pause()
      far.pause()
    })
  }
  let server = createServer(serve)
  await listen(server, asked, host)
  const { port } = server.address() as AddressInfo
  const cut = (): void => {
    for (const socket of open) socket.destroy()
  }
  const tell = (what: 'freeze' | 'thaw'): void => {
    isFrozen = what === 'freeze'
    for (const socket of open) socket.emit(what)
  }

  return {
    port,
    connections: () => open.size,
    cut,
    freeze: () => tell('freeze'),
    thaw: () => tell('thaw'),
    shut: () =>
      new Promise((resolve) => {
        if (!server.listening) return resolve()
        server.close(() => resolve())
        cut()
      }),
    reopen: async () => {
      isFrozen = false
      server = createServer(serve)
      await listen(server, port, host)
    },
  }
}

// A proxy that loses answers: what it takes has arrived and has been done, and now and then nobody hears of it.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface LossyProxy {
  readonly url: string
  /** Answers of which nothing, or only the first half, went through. */
  readonly lost: () => number
  readonly close: () => Promise<void>
}

export interface LossyProxyOptions {
  /** Where the server is. */
  readonly port: () => number
  /** Share of the answers that are lost, 0 to 1. */
  readonly share: number
  readonly random: () => number
}

/** Opens it on a free port of the loopback. While the server is away its connections are cut, as the server's own would be. */
export const openLossyProxy = async ({ port, share, random }: LossyProxyOptions): Promise<LossyProxy> => {
  const open = new Set<Socket>()
  let lost = 0

  const proxy = createServer((near) => {
    const far = connect(port(), '127.0.0.1')
    const cut = (): void => {
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) {
      open.add(socket)
      socket.setNoDelay(true)
      // Whatever breaks on one side is a cut for the other.
      socket.on('error', cut)
      socket.on('close', () => {
        open.delete(socket)
        cut()
      })
    }
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => {
      if (random() >= share) return void near.write(bytes)
      lost += 1
      if (random() < 0.5) return cut()
      near.write(bytes.subarray(0, bytes.byteLength / 2), cut)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    lost: () => lost,
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}

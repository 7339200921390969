// A line between two programs on which everything can happen that happens to TCP: bytes that are late, that vanish while both ends believe in their connection, resets, answers
// that never come back of what was done.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { pause, realWorld } from '../../src/world.ts'

/**
 * `good`: everything passes. `slow`: each piece is late. `half-open`: connections are taken and stay open, and nothing passes in either direction. `resetting`: connections are
 * reset, those that are open and each new one. `deaf`: what is asked passes, of answers nothing does: the connection is reset in their place.
 */
export type Condition = 'good' | 'slow' | 'half-open' | 'resetting' | 'deaf'

export interface BadLine {
  readonly url: string
  /** From now on. Connections on which something was lost are reset when it becomes another one. */
  readonly become: (condition: Condition) => void
  /** Pieces that did not pass, and connections that were reset, while the line was so. */
  readonly harm: (condition: Condition) => number
  /** Resolves when so many have come to harm since this line was opened. */
  readonly harmed: (condition: Condition, count: number) => Promise<void>
  readonly close: () => Promise<void>
}

const LATE_MS = 300

interface Pair {
  readonly near: Socket
  readonly far: Socket
  /** Bytes have vanished: what came after them would be taken for something else. */
  isTorn: boolean
}

/** Opens a line on a free port of the loopback to whatever listens at `port()` then. */
export const openBadLine = async (port: () => number): Promise<BadLine> => {
  const pairs = new Set<Pair>()
  const harm = new Map<Condition, number>()
  const waiting = new Set<() => void>()
  let condition: Condition = 'good'

  const hurt = (): void => {
    harm.set(condition, (harm.get(condition) ?? 0) + 1)
    for (const look of [...waiting]) look()
  }
  const reset = ({ near, far }: Pair): void => {
    near.resetAndDestroy()
    far.resetAndDestroy()
  }

  /** One piece on its way, behind those before it. */
  const carry = async (pair: Pair, to: Socket, bytes: Buffer, isAnswer: boolean): Promise<void> => {
    if (pair.isTorn) return hurt()
    switch (condition) {
      case 'good':
        return void to.write(bytes)
      case 'slow':
        hurt()
        await pause(realWorld, LATE_MS)
        return void to.write(bytes)
      case 'half-open':
        pair.isTorn = true
        return hurt()
      case 'resetting':
        hurt()
        return reset(pair)
      case 'deaf':
        if (!isAnswer) return void to.write(bytes)
        hurt()
        return reset(pair)
    }
  }

  const server = createServer((near) => {
    const pair: Pair = { near, far: connect(port(), '127.0.0.1'), isTorn: false }
    const { far } = pair
    pairs.add(pair)
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      let before: Promise<void> = Promise.resolve()
      from.setNoDelay(true)
      from.on('data', (bytes) => {
        before = before.then(() => carry(pair, to, bytes, from === far))
      })
      from.on('error', () => from.destroy())
      from.on('close', () => {
        pairs.delete(pair)
        // Nobody hears on a line without a sound that the other end is gone.
        if (condition !== 'half-open') void before.then(() => to.destroy())
      })
    }
    if (condition === 'resetting') {
      hurt()
      reset(pair)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    become: (next) => {
      condition = next
      for (const pair of pairs) if (pair.isTorn || next === 'resetting') reset(pair)
      if (next === 'resetting') hurt()
    },
    harm: (of) => harm.get(of) ?? 0,
    harmed: (of, count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if ((harm.get(of) ?? 0) < count) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const pair of pairs) reset(pair)
      }),
  }
}

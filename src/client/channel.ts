// One connection for many calls: after the first few, calls travel over a channel of Stint (a WebSocket), where each costs a fraction of an exchange over HTTP. Whatever the
// channel cannot carry, and everything while there is none, goes by HTTP: a caller notices nothing but the speed.
//
//   call ─▶ is it open? ── yes ─▶ message ─▶ answer
//              │ no, too large
//              ▼
//            HTTP          and it is opened meanwhile, after a rest if it could not be or broke off
import type * as ws from 'ws'
import { CHANNEL_PATH, CHANNEL_PROTOCOL } from '../wire/channel.ts'
import type { World } from '../world.ts'
import { backoffMs, type BackoffLimits } from './backoff.ts'
import { createOpenChannel, type Connection, type OpenChannel } from './open-channel.ts'
import { goesStraight, type Transport } from './transport.ts'

/** Calls after which it is worth a connection of its own: a command line makes one or two. */
const CALLS_BEFORE = 3
const OPEN_MS = 5_000
const BETWEEN: BackoffLimits = { firstMs: 500, mostMs: 60_000 }
/** Payloads of an answer have 32 MiB at most; as JSON they take more, and rarely several times as much. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024

export interface ChannelOptions {
  /** The server's address, without a slash at its end. */
  readonly url: string
  /** What holds for every call: `Authorization`, `Stint-As`. */
  readonly headers: Readonly<Record<string, string>>
  readonly world: World
  /** For everything else. */
  readonly under: Transport
}

export interface Channel {
  readonly transport: Transport
  readonly isOpen: () => boolean
  /** Leaves no connection; takes no longer than a second. */
  readonly close: () => Promise<void>
}

/** A channel that is about to be opened. */
interface Opening {
  readonly since: number
  socket?: ws.WebSocket
}

export const createChannel = ({ url, headers, world, under }: ChannelOptions): Channel => {
  let open: OpenChannel | undefined
  let opening: Opening | undefined
  let isClosed = false
  let calls = 0
  let misses = 0
  let restUntil = -Infinity

  const rest = (): void => {
    open = undefined
    opening = undefined
    restUntil = world.monotonic() + backoffMs(world, BETWEEN, misses)
    misses += 1
  }

  /** It could not be opened, or not in time. */
  const giveUp = (mine: Opening): void => {
    if (opening === mine) rest()
    mine.socket?.terminate()
  }

  const opened = (mine: Opening, socket: ws.WebSocket, connection: Connection): void => {
    if (opening !== mine || socket.protocol !== CHANNEL_PROTOCOL) return giveUp(mine)
    const began = world.monotonic()
    opening = undefined
    open = createOpenChannel(socket, connection, world, url, () => {
      // One that has served for a while has shown that it can be opened.
      if (world.monotonic() - began > BETWEEN.mostMs) misses = 0
      rest()
    })
  }

  const begin = async (mine: Opening): Promise<void> => {
    const [{ WebSocket }, isStraight] = await Promise.all([import('ws'), goesStraight()])
    if (opening !== mine || !isStraight) return giveUp(mine)
    let connection: Connection | undefined
    const socket = new WebSocket(url.replace(/^http/, 'ws') + CHANNEL_PATH, [CHANNEL_PROTOCOL], {
      headers,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: ANSWER_BYTES_MAX,
      finishRequest: (request) => {
        request.once('socket', (its) => {
          connection = its
          // Nobody waits for it, so it keeps no process alive.
          its.unref()
        })
        request.end()
      },
    })
    mine.socket = socket
    socket.once('open', () => opened(mine, socket, connection as Connection))
    // What was refused or broke off; told by `close` too once it was open.
    socket.on('error', () => giveUp(mine))
  }

  const openIfNeeded = (): void => {
    // No timer looks after it, which would keep the process alive too.
    if (opening !== undefined && world.monotonic() - opening.since >= OPEN_MS) giveUp(opening)
    if (calls <= CALLS_BEFORE || open !== undefined || opening !== undefined || isClosed || world.monotonic() < restUntil) return
    const mine: Opening = { since: world.monotonic() }
    opening = mine
    begin(mine).catch(() => giveUp(mine))
  }

  return {
    isOpen: () => open?.isSound() === true,
    transport: async (input, init) => {
      if (open?.isSound() === true && input.startsWith(`${url}/v1/`)) {
        init.signal?.throwIfAborted()
        const asked = open.ask(input.slice(url.length), init)
        if (asked !== undefined) return asked
      }
      calls += 1
      openIfNeeded()
      return under(input, init)
    },
    close: async () => {
      isClosed = true
      if (opening !== undefined) giveUp(opening)
      await open?.close()
    },
  }
}

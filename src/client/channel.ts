// One connection for many calls: after the first few, calls travel over a channel of Stint (a WebSocket), where each costs a fraction of an exchange over HTTP. Whatever the
// channel cannot carry, and everything while there is none, goes by HTTP: a caller notices nothing but the speed.
//
//   call ─▶ is it open? ── yes ─▶ message ─▶ answer
//              │ no, too large
//              ▼
//            HTTP          and it is opened meanwhile, after a rest if it could not be or broke off
import type * as ws from 'ws'
import { CHANNEL_MESSAGE_BYTES_MAX, CHANNEL_PATH, CHANNEL_PROTOCOL, messageOf, type AnswerHead, type PartHead } from '../wire/channel.ts'
import type { Cancel, World } from '../world.ts'
import { backoffMs, type BackoffLimits } from './backoff.ts'
import type { Answered, Sent, Transport } from './transport.ts'

/** Calls after which it is worth a connection of its own: a command line makes one or two. */
const CALLS_BEFORE = 3
/** Characters of a body that go along, at most: each takes up to three bytes. */
const CHARACTERS_MAX = Math.floor((CHANNEL_MESSAGE_BYTES_MAX - 64 * 1024) / 3)
const OPEN_MS = 5_000
const BETWEEN: BackoffLimits = { firstMs: 500, mostMs: 60_000 }
/** An answer carries up to 32 MiB, in JSON some more. */
const ANSWER_BYTES_MAX = 96 * 1024 * 1024
/** A channel on which nothing was heard for so long is asked for a sign of life when an answer is missed, and has so long to give one. */
const SILENT_MS = 5_000
const LINE_BREAK = 10

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
  readonly close: () => void
}

interface Waiting {
  readonly hear: ((text: string) => void) | undefined
  readonly tell: (answer: Answered) => void
  readonly fail: (failure: Error) => void
}

/** What is used of a socket: whether it keeps the process alive, and what is written in one piece. */
interface Socket {
  readonly ref: () => unknown
  readonly unref: () => unknown
  readonly cork: () => void
  readonly uncork: () => void
}

const headersOf = (flat: AnswerHead['headers']): Headers => {
  const headers = new Headers()
  for (let at = 0; at + 1 < flat.length; at += 2) headers.append(flat[at] as string, flat[at + 1] as string)
  return headers
}

/** A head, and the body after its line break. */
const readMessage = (message: Buffer): { readonly head: AnswerHead | PartHead; readonly body: Buffer } => {
  const at = message.indexOf(LINE_BREAK)
  return { head: JSON.parse(message.toString('utf8', 0, at)) as AnswerHead | PartHead, body: message.subarray(at + 1) }
}

const answerOf = ({ status, headers }: AnswerHead, body: Buffer, url: string): Answered => ({
  status,
  url,
  type: 'basic',
  headers: headersOf(headers),
  text: () => Promise.resolve(body.toString('utf8')),
  arrayBuffer: () => Promise.resolve(body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength) as ArrayBuffer),
})

/** One channel that is open, until it is gone. */
const overSocket = (socket: ws.WebSocket, connection: Socket, world: World, url: string, onGone: () => void) => {
  const waiting = new Map<number, Waiting>()
  let ids = 0
  let heardAt = world.monotonic()
  let isCorked = false
  let probe: Cancel | undefined
  connection.unref()

  const heard = (): void => {
    heardAt = world.monotonic()
    probe?.()
    probe = undefined
  }

  const settle = (id: number): Waiting | undefined => {
    const found = waiting.get(id)
    if (found !== undefined && waiting.delete(id) && waiting.size === 0) connection.unref()
    return found
  }

  const gone = (failure: Error): void => {
    probe?.()
    const all = [...waiting.values()]
    waiting.clear()
    onGone()
    for (const { fail } of all) fail(failure)
  }

  /** What is sent in the same turn of the loop goes out in one piece. */
  const send = (message: string | Uint8Array): void => {
    if (!isCorked) {
      isCorked = true
      connection.cork()
      queueMicrotask(() => {
        isCorked = false
        connection.uncork()
      })
    }
    socket.send(message)
  }

  /** Nobody heard an answer in time: a machine that has died closes no connection. */
  const suspect = (): void => {
    if (probe !== undefined || world.monotonic() - heardAt < SILENT_MS) return
    socket.ping()
    probe = world.timer(SILENT_MS, () => socket.terminate())
  }

  socket.on('message', (data: Buffer) => {
    heard()
    const { head, body } = readMessage(data)
    if ('part' in head) waiting.get(head.id)?.hear?.(body.toString('utf8'))
    else settle(head.id)?.tell(answerOf(head, body, url))
  })
  socket.on('ping', heard)
  socket.on('pong', heard)
  socket.once('close', (code) => gone(new Error(`The channel was closed (${code}).`)))

  return {
    /** While it may be dead nothing is given to it. */
    isSound: () => probe === undefined && socket.readyState === 1,
    ask: (path: string, init: Sent): Promise<Answered> =>
      new Promise((resolve, reject) => {
        const { method = 'GET', headers, body, signal, onPart } = init
        const id = (ids += 1)
        const takeBack = (): void => {
          reject(signal?.reason as Error)
          if (settle(id) === undefined) return
          if (socket.readyState === 1) send(messageOf({ id, cancel: true }))
          suspect()
        }
        const end = (run: () => void) => {
          signal?.removeEventListener('abort', takeBack)
          run()
        }
        if (waiting.size === 0) connection.ref()
        waiting.set(id, { hear: onPart, tell: (answer) => end(() => resolve(answer)), fail: (failure) => end(() => reject(failure)) })
        signal?.addEventListener('abort', takeBack, { once: true })
        const head = { id, method, path, headers: ((headers ?? []) as [string, string][]).flat(), ...(onPart === undefined ? {} : { parts: true as const }) }
        if (body === undefined || body === null || typeof body === 'string') send(messageOf(head, body ?? ''))
        else send(Buffer.concat([Buffer.from(messageOf(head)), body as Uint8Array]))
      }),
    close: () => socket.close(1_000),
  }
}

type Open = ReturnType<typeof overSocket>

export const createChannel = ({ url, headers, world, under }: ChannelOptions): Channel => {
  let open: Open | undefined
  let isOpening = false
  let isClosed = false
  let calls = 0
  let misses = 0
  let restUntil = -Infinity

  const rest = (): void => {
    open = undefined
    isOpening = false
    restUntil = world.monotonic() + backoffMs(world, BETWEEN, misses)
    misses += 1
  }

  const connected = (socket: ws.WebSocket, connection: Socket): void => {
    isOpening = false
    if (isClosed || socket.protocol !== CHANNEL_PROTOCOL) {
      socket.terminate()
      rest()
      return
    }
    const began = world.monotonic()
    open = overSocket(socket, connection, world, url, () => {
      // One that has served for a while has shown that it can be opened.
      if (world.monotonic() - began > BETWEEN.mostMs) misses = 0
      rest()
    })
  }

  const begin = async (): Promise<void> => {
    isOpening = true
    try {
      const { WebSocket } = await import('ws')
      const socket = new WebSocket(url.replace(/^http/, 'ws') + CHANNEL_PATH, [CHANNEL_PROTOCOL], {
        headers,
        handshakeTimeout: OPEN_MS,
        perMessageDeflate: false,
        skipUTF8Validation: true,
        maxPayload: ANSWER_BYTES_MAX,
      })
      let connection: Socket | undefined
      socket.once('upgrade', (response) => {
        connection = response.socket
      })
      socket.once('open', () => connected(socket, connection as Socket))
      // What was refused or broke off; told by `close` too once it was open.
      socket.on('error', () => {
        if (open === undefined) rest()
      })
    } catch {
      rest()
    }
  }

  const carries = (input: string, body: unknown): boolean => {
    if (!input.startsWith(`${url}/`)) return false
    if (typeof body === 'string') return body.length <= CHARACTERS_MAX
    return body === undefined || body === null || (body instanceof Uint8Array && body.byteLength <= CHARACTERS_MAX)
  }

  return {
    isOpen: () => open?.isSound() === true,
    transport: async (input, init) => {
      if (open?.isSound() === true && carries(input, init.body)) {
        init.signal?.throwIfAborted()
        return open.ask(input.slice(url.length), init)
      }
      calls += 1
      if (calls > CALLS_BEFORE && open === undefined && !isOpening && !isClosed && world.monotonic() >= restUntil) void begin()
      return under(input, init)
    },
    close: () => {
      isClosed = true
      open?.close()
    },
  }
}

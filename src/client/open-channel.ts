// One channel that is open, until it is gone: gives each answer to the call that it belongs to, and finds out when nobody is at the other end any more.
import type * as ws from 'ws'
import { CHANNEL_BODIES_BYTES_MAX, CHANNEL_CALLS_MAX, CHANNEL_HEAD_BYTES_MAX, CHANNEL_MESSAGE_BYTES_MAX, messageOf, type AnswerHead, type PartHead } from '../wire/channel.ts'
import { pause, type Cancel, type World } from '../world.ts'
import { RELEASE_HEADER } from './reply.ts'
import type { Answered, Sent } from './transport.ts'

/** Of a channel's calls and of the bytes of their bodies only so many are given to it: the server counts some for a little longer. */
const CALLS_MOST = CHANNEL_CALLS_MAX / 2
const BODIES_BYTES_MOST = CHANNEL_BODIES_BYTES_MAX / 2
const BODY_BYTES_MAX = CHANNEL_MESSAGE_BYTES_MAX - CHANNEL_HEAD_BYTES_MAX - 1
/** A channel on which nothing was heard for so long is asked for a sign of life when an answer is missed, and has so long to give one. */
const SILENT_MS = 5_000
/** How long the goodbye of a channel may take. */
const CLOSE_MS = 1_000
const NORMAL = 1_000
const LINE_BREAK = 10

/** What is used of a socket: whether it keeps the process alive, and what is written in one piece. */
export interface Connection {
  readonly ref: () => unknown
  readonly unref: () => unknown
  readonly cork: () => void
  readonly uncork: () => void
}

export interface OpenChannel {
  /** While it may be dead, or is to be left, nothing is given to it. */
  readonly isSound: () => boolean
  /** The answer; undefined: the channel cannot carry the call, or not now. */
  readonly ask: (path: string, init: Sent) => Promise<Answered> | undefined
  /** Resolves when it is gone, within a second. */
  readonly close: () => Promise<void>
}

interface Waiting {
  readonly bytes: number
  readonly hear: Sent['onPart']
  readonly tell: (answer: Answered) => void
  readonly fail: (failure: Error) => void
}

export const bytesOf = (body: unknown): number | undefined => {
  if (body === undefined || body === null) return 0
  if (typeof body === 'string') return body.length > BODY_BYTES_MAX ? undefined : Buffer.byteLength(body)
  return body instanceof Uint8Array ? body.byteLength : undefined
}

const headersOf = (flat: AnswerHead['headers']): Headers => {
  const headers = new Headers()
  for (let at = 0; at + 1 < flat.length; at += 2) headers.append(flat[at] as string, flat[at + 1] as string)
  return headers
}

/** A head, and the body after its line break; throws when it is none. */
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

/** From a reply of somebody else that Stint gives on nothing follows for the server. */
const isOfStint = ({ headers }: Answered): boolean => headers.get('content-type') === 'application/problem+json' && !headers.has(RELEASE_HEADER)

/** The next call had better go elsewhere: the server stops, or cannot do at the moment what another may. By HTTP whatever stands before them chooses anew. */
const sendsAway = (answer: Answered, body: Buffer): boolean =>
  answer.headers.get('connection') === 'close' || (answer.status === 503 && isOfStint(answer) && !body.includes('"code":"overloaded"'))

/** Sends what is said in the same turn of the loop in one piece. */
const corking = (socket: ws.WebSocket, connection: Connection): ((message: string | Uint8Array) => void) => {
  let isCorked = false
  return (message) => {
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
}

/** Whether the other end still lives: asked when an answer is missed, for a machine that has died closes no connection. */
const createPulse = (socket: ws.WebSocket, world: World, isWaitedFor: () => boolean) => {
  let heardAt = world.monotonic()
  let askedAt: number | undefined
  let cancel: Cancel | undefined
  const stop = (): void => {
    cancel?.()
    cancel = undefined
  }
  const heard = (): void => {
    heardAt = world.monotonic()
    askedAt = undefined
    stop()
  }
  for (const sign of ['message', 'ping', 'pong']) socket.on(sign, heard)
  return {
    /** Without a timer, which would keep the process alive, it is found dead by the next call. */
    stop,
    isDoubtful: (): boolean => {
      if (askedAt !== undefined && world.monotonic() - askedAt >= SILENT_MS) socket.terminate()
      return askedAt !== undefined
    },
    doubt: (): void => {
      if (askedAt !== undefined || world.monotonic() - heardAt < SILENT_MS || socket.readyState !== socket.OPEN) return
      askedAt = world.monotonic()
      socket.ping()
      if (isWaitedFor()) cancel = world.timer(SILENT_MS, () => socket.terminate())
    },
  }
}

/** Speaks over a socket that is open. */
export const createOpenChannel = (socket: ws.WebSocket, connection: Connection, world: World, url: string, onGone: () => void): OpenChannel => {
  const waiting = new Map<number, Waiting>()
  const send = corking(socket, connection)
  const pulse = createPulse(socket, world, () => waiting.size > 0)
  let ids = 0
  let bodiesBytes = 0
  let isLeft = false
  connection.unref()

  const settle = (id: number): Waiting | undefined => {
    const found = waiting.get(id)
    if (found === undefined) return undefined
    waiting.delete(id)
    bodiesBytes -= found.bytes
    if (waiting.size > 0) return found
    connection.unref()
    pulse.stop()
    if (isLeft) socket.close(NORMAL)
    return found
  }

  const hear = (data: Buffer): void => {
    try {
      const { head, body } = readMessage(data)
      if ('part' in head) return waiting.get(head.id)?.hear?.(body.toString('utf8'))
      const answer = answerOf(head, body, url)
      if (sendsAway(answer, body)) isLeft = true
      settle(head.id)?.tell(answer)
    } catch {
      // Whoever speaks there is no Stint.
      socket.terminate()
    }
  }

  socket.on('message', hear)
  socket.once('close', (code) => {
    pulse.stop()
    const all = [...waiting.values()]
    waiting.clear()
    onGone()
    for (const { fail } of all) fail(new Error(`The channel was closed (${code}).`))
  })

  const begin = (head: string, bytes: number, { body, signal, onPart }: Sent): Promise<Answered> =>
    new Promise((resolve, reject) => {
      const id = ids
      const takeBack = (): void => {
        if (settle(id) === undefined) return
        reject(signal?.reason as Error)
        if (socket.readyState === socket.OPEN) send(messageOf({ id, cancel: true }))
        pulse.doubt()
      }
      const end = (run: () => void): void => {
        signal?.removeEventListener('abort', takeBack)
        run()
      }
      if (waiting.size === 0) connection.ref()
      bodiesBytes += bytes
      waiting.set(id, { bytes, hear: onPart, tell: (answer) => end(() => resolve(answer)), fail: (failure) => end(() => reject(failure)) })
      signal?.addEventListener('abort', takeBack, { once: true })
      send(body instanceof Uint8Array ? Buffer.concat([Buffer.from(head), body]) : head + ((body as string | null | undefined) ?? ''))
    })

  return {
    isSound: () => !pulse.isDoubtful() && !isLeft && socket.readyState === socket.OPEN,
    ask: (path, init) => {
      const bytes = bytesOf(init.body)
      if (bytes === undefined || bytes > BODY_BYTES_MAX || waiting.size >= CALLS_MOST || bodiesBytes + bytes > BODIES_BYTES_MOST) return undefined
      const parts = init.onPart === undefined ? undefined : true
      const head = messageOf({ id: (ids += 1), method: init.method ?? 'GET', path, headers: ((init.headers ?? []) as [string, string][]).flat(), parts })
      return Buffer.byteLength(head) > CHANNEL_HEAD_BYTES_MAX ? undefined : begin(head, bytes, init)
    },
    close: async () => {
      if (socket.readyState === socket.CLOSED) return
      // What is awaited keeps the process alive.
      connection.ref()
      const over = new AbortController()
      socket.once('close', () => over.abort())
      socket.close(NORMAL)
      await pause(world, CLOSE_MS, over.signal)
      socket.terminate()
    },
  }
}

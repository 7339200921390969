// One channel that is open: takes its calls, sends their answers as they come, and holds no more for its peer than is fair.
//
// A channel is not read while its answers pile up, and is cut when they pile up all the same or when nothing is heard any more: a peer that reads nothing holds up nobody and fills no memory.
import type { IncomingMessage } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import type { WebSocket } from 'ws'
import { CHANNEL_BODIES_BYTES_MAX, CHANNEL_CALLS_MAX, CHANNEL_PATH, messageOf, type AnswerHead, type Parts } from '../wire/channel.ts'
import { problemReply } from './answer.ts'
import { callFrom, headersOf, messageFrom, Way, type CallMessage, type Message } from './channel-call.ts'
import type { Outgoing } from './exchange.ts'
import { generalHeaders, requestIdOf, type Host, type Made } from './endpoint.ts'
import { problem, type Problem } from './problem.ts'

/** Bytes of answers that may wait to be sent; beyond, the channel is not read. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024
/** Beyond, it is cut: the answers to what had been read by then are more than its peer reads. One answer alone may be larger. */
const UNSENT_BYTES_MOST = 128 * 1024 * 1024
/** Between two signs of life of a channel; one that shows none until the next is cut. */
const PING_MS = 30_000
/** A message that is none of a channel's (RFC 6455). */
const PROTOCOL_ERROR = 1_002

/** Answers a call, whatever it asks for. */
export type Serve = (call: CallMessage, way: Way) => Promise<Made>

/** Counts what is under way. */
export interface Turnstile {
  readonly enter: () => () => void
}

export interface Peering {
  readonly host: Host
  readonly serve: Serve
  readonly turnstile: Turnstile
}

/** Of the request that opened the channel, what holds for every call. */
const KEPT = ['authorization', 'stint-as', 'host'] as const

const keptHeaders = ({ headers }: IncomingMessage): readonly string[] =>
  KEPT.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [name, value] : []
  })

/** Pings, and cuts a channel that has shown no sign of life since the last ping. */
const tendTo = (channel: WebSocket, { world }: Host): { readonly isAlive: () => void } => {
  let isAlive = true
  const alive = (): void => {
    isAlive = true
  }
  const tend = (): void => {
    if (!isAlive) return channel.terminate()
    isAlive = false
    if (channel.readyState === channel.OPEN) channel.ping()
    cancel = world.timer(PING_MS, tend)
  }
  let cancel = world.timer(PING_MS, tend)
  for (const sign of ['ping', 'pong', 'message']) channel.on(sign, alive)
  channel.once('close', () => cancel())
  return { isAlive: alive }
}

/** Sends what is answered in the same turn of the loop in one piece. */
const corking = (socket: IncomingMessage['socket']): (() => void) => {
  let isCorked = false
  return () => {
    if (isCorked) return
    isCorked = true
    socket.cork()
    process.nextTick(() => {
      isCorked = false
      socket.uncork()
    })
  }
}

/** What goes out as the body of an answer. */
const bodyOf = ({ method }: { readonly method: string }, { status, body }: Made['reply']): string | Uint8Array =>
  body === undefined || method === 'HEAD' || status === 204 || status === 304 ? '' : body

/** Serves the calls of a channel until it is closed. */
export const serveChannel = (channel: WebSocket, opening: IncomingMessage, { host, serve, turnstile }: Peering): void => {
  const kept = headersOf(keptHeaders(opening))
  const cork = corking(opening.socket)
  const { isAlive } = tendTo(channel, host)
  /** Whose answers are waited for. */
  const open = new Map<number, Way>()
  /** What is being served or sent; of what was cancelled too, until its endpoint has ended. */
  let calls = 0
  let bodiesBytes = 0

  const sendOut = (message: string | Buffer, whenOut: (isSent: boolean) => void): void => {
    if (channel.bufferedAmount > UNSENT_BYTES_MOST) return channel.terminate()
    cork()
    channel.send(message, { binary: typeof message !== 'string' }, (failure?: Error | null) => {
      const isSent = failure === undefined || failure === null
      if (isSent) isAlive()
      whenOut(isSent)
      if (channel.isPaused && channel.bufferedAmount <= UNSENT_BYTES_MAX) channel.resume()
    })
    if (channel.bufferedAmount > UNSENT_BYTES_MAX) channel.pause()
  }

  const send = (id: number, { reply, general }: Made, way: Way, body = bodyOf({ method: '' }, reply)): void => {
    if (way.closed) return
    const head: AnswerHead = { id, status: reply.status, headers: [...reply.headers, ...general] }
    const message = typeof body === 'string' ? messageOf(head, body) : Buffer.concat([Buffer.from(messageOf(head)), body])
    sendOut(message, (isSent) => {
      if (open.get(id) === way) open.delete(id)
      way.end(isSent)
    })
  }

  /** Items of one call that are done: told together at the end of this turn of the loop, and before the answer. */
  const partsOf = (id: number): { readonly part: NonNullable<Outgoing['part']>; readonly tell: () => void } => {
    let done: (readonly [number, object])[] = []
    const tell = (): void => {
      if (done.length > 0 && open.has(id)) sendOut(messageOf({ id, part: true }, JSON.stringify(done satisfies Parts)), () => undefined)
      done = []
    }
    return {
      tell,
      part: (index, item) => {
        if (done.length === 0) process.nextTick(tell)
        done.push([index, item])
      },
    }
  }

  const refuse = (id: number, refusal: Problem, way: Way): void => {
    const requestId = requestIdOf({ headers: {} }, host.world)
    send(id, { reply: problemReply(refusal, CHANNEL_PATH), general: generalHeaders(host.engine.position(), requestId, host.isStopping()), requestId }, way)
  }

  /** Both ends of a call, of its serving and of the way back of its answer: only then nothing is held for it any more. */
  const counted = (bytes: number): (() => void) => {
    let ends = 0
    calls += 1
    bodiesBytes += bytes
    return () => {
      ends += 1
      if (ends < 2) return
      calls -= 1
      bodiesBytes -= bytes
    }
  }

  const begin = (message: Message): void => {
    const { head, content } = message
    const told = head.parts === true ? partsOf(head.id) : undefined
    const way = new Way(told?.part)
    way.once('close', turnstile.enter())
    open.set(head.id, way)
    const call = callFrom(message, kept)
    if (E.isLeft(call)) return refuse(head.id, call.left, way)
    if (calls >= CHANNEL_CALLS_MAX) return refuse(head.id, problem('overloaded', `This channel has ${CHANNEL_CALLS_MAX} calls under way.`), way)
    if (bodiesBytes + content.length > CHANNEL_BODIES_BYTES_MAX)
      return refuse(head.id, problem('overloaded', `The calls of this channel have ${CHANNEL_BODIES_BYTES_MAX} bytes of bodies under way.`), way)
    const end = counted(content.length)
    way.once('close', end)
    void serve(call.right, way)
      .then((made) => {
        told?.tell()
        send(head.id, made, way, bodyOf(call.right, made.reply))
      })
      .finally(end)
  }

  channel.on('message', (data: Buffer) => {
    // What comes after the channel was left cannot be answered.
    if (channel.readyState !== channel.OPEN) return
    const message = messageFrom(data)
    if (message === undefined) return channel.close(PROTOCOL_ERROR, 'Expected a head in JSON with a whole number as its id.')
    const { id, cancel } = message.head
    if (cancel === true) {
      open.get(id)?.end(false)
      open.delete(id)
    } else if (open.has(id)) channel.close(PROTOCOL_ERROR, 'A call with this id is under way.')
    else begin(message)
  })
  channel.on('error', (cause) => host.log.debug({ err: cause }, 'a channel broke off'))
  channel.once('close', () => {
    for (const way of [...open.values()]) way.end(false)
    open.clear()
  })
}

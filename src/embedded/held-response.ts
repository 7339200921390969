// A response that is held back. To the handler, and to all middleware between it and us, it is the response it always is: headers are sent when they are written, what was
// ended has ended, a stream can be piped into it. To the client not one byte goes out until the reply is durable.
//
//   held ──end──▶ ended ──(durable)──▶ open          the whole reply is sent at once
//     │ more than fits
//     └──▶ passing ──(durable)──▶ flowing ──end──▶ closing ──(durable)──▶ open
//
// What is open passes everything on to what was there before us. Methods are replaced on the response itself, as compression, sessions and on-headers do it, so
// middleware before us stays beneath (it sees each sending) and middleware after us above (it works on the reply that is kept).
import { createHash, type Hash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Reply, ReplyHead, UnkeptReply } from './contract-store.ts'
import { livingSocket } from './living-socket.ts'
import { methodsOf } from './methods.ts'
import { ownHeaders, resetHeaders, setHeaders, standingHeaders } from './reply-headers.ts'
import { applyHead, bytesOf, chunkOf, failure, type Callback } from './response-arguments.ts'

export interface HeldEvents {
  /** The handler has replied, and nothing of it has been sent. */
  readonly onReply: (reply: Reply) => void
  /** The body is longer than what is kept; what follows waits in memory for `letThrough` or `answer`. */
  readonly onPass: (head: ReplyHead & { readonly bytes: number }) => void
  /** After `letThrough`: the handler is through, and the last bytes wait for `close`. */
  readonly onPassed: (reply: UnkeptReply) => void
  /** Somebody ended the connection or the response on purpose. */
  readonly onKill: () => void
  /** The client has left. The handler goes on. */
  readonly onGone: () => void
}

export interface HeldResponse {
  /** Sends what was held, with these headers beside the handler's own. */
  readonly send: (extra: ReplyHead['headers']) => void
  /** Sends something else instead; what the handler still says is dropped. */
  readonly answer: (reply: Reply) => void
  readonly letThrough: (extra: ReplyHead['headers']) => void
  /** Lets the last bytes of what flowed go. */
  readonly close: () => void
  /** Cuts the connection, so that what was sent cannot be taken for the whole. */
  readonly cut: () => void
  /** Holds nothing any more: the response is again what it was. */
  readonly letGo: () => void
}

type State = 'held' | 'ended' | 'passing' | 'flowing' | 'closing' | 'open' | 'dropped'
/** What express and others look at beneath the public face of a response. */
type Inner = ServerResponse & { _header: string | null }

const HELD_HEAD = 'held'
const plain = ServerResponse.prototype

const hasNoBody = (req: IncomingMessage, status: number): boolean => req.method === 'HEAD' || status === 204 || status === 304

export const holdResponse = (
  req: IncomingMessage,
  response: ServerResponse,
  { bytesMax, omit, events }: { readonly bytesMax: number; readonly omit: ReadonlySet<string>; readonly events: HeldEvents },
): HeldResponse => {
  const res = response as Inner
  const standing = standingHeaders(res)
  const realSocket = req.socket
  let state: State = 'held'
  /** The client has left. */
  let isGone = res.destroyed
  /** It was said to be closed while it was held, and those who listen do not know yet. */
  let owesClose = false
  const chunks: Buffer[] = []
  let size = 0
  let hash: Hash | undefined
  let trailers: unknown[] | undefined
  const endCallbacks: Callback[] = []
  const drains = new EventEmitter()

  const isOver = (): boolean => state === 'open'
  const hasEnded = (): boolean => state === 'ended' || state === 'closing'

  /** False: the handler has ended, so there is nothing left to break off, and its reply is still to be sent. */
  const kill = (): boolean => {
    if (hasEnded()) return false
    if (state !== 'held' && state !== 'passing' && state !== 'flowing') return true
    release('open')
    // Nothing that is written from here on may reach the client.
    realSocket.destroy()
    tellClosed()
    events.onKill()
    return true
  }
  const living = livingSocket(realSocket, kill)

  // ---- what is replaced, and how it comes back ----
  const { replace, beneath, restore } = methodsOf(res, isOver)
  const shadow = (name: string, get: () => unknown, set: (value: unknown) => void = () => undefined): void => {
    Object.defineProperty(res, name, { configurable: true, enumerable: false, get, set })
  }

  /** What `writableEnded` stands on. */
  const setEnded = (finished: boolean): void => void Object.assign(res, { finished })

  /** The genuine response again, with no head and no end so far. */
  const bare = (): void => {
    res._header = null
    setEnded(false)
  }

  const release = (next: 'open' | 'dropped'): void => {
    if (state !== 'flowing' && state !== 'closing') bare()
    if (state === 'closing') setEnded(false)
    state = next
    for (const name of ['socket', 'connection', 'closed', 'writableFinished', 'writableNeedDrain']) delete (res as unknown as Record<string, unknown>)[name]
    Object.defineProperty(res, 'destroyed', { configurable: true, enumerable: true, writable: true, value: isGone })
    if (req.socket === living.socket) req.socket = realSocket
    delete (req as unknown as Record<string, unknown>)['destroy']
    if (next === 'open') restore()
    // What nobody read of the request must not stay in the way of the next one on this connection.
    if (req.readableFlowing === null) req.resume()
  }

  const tellClosed = (): void => {
    if (!owesClose) return
    owesClose = false
    process.nextTick(() => {
      living.closed()
      res.emit('close')
      if (!req.destroyed) req.destroy()
    })
  }
  /** Nobody is there to finish for; whoever waits for the end of the response is told that it is over. */
  const afterwards = (): void => {
    if (!isGone) return
    Object.defineProperty(res, 'writableFinished', { configurable: true, value: true })
    for (const done of endCallbacks.splice(0)) process.nextTick(done)
    tellClosed()
  }
  res.on('finish', () => living.closed())

  // ---- the head ----
  const writeHead = (args: unknown[]): ServerResponse => {
    const status = Number(args[0])
    // Node's own refusals, in its own words.
    if (res._header !== null || !(status >= 100 && status <= 999)) return plain.writeHead.call(res, status)
    res.statusCode = Math.trunc(status)
    applyHead(res, typeof args[1] === 'string' ? args[2] : (args[2] ?? args[1]))
    res._header = HELD_HEAD
    return res
  }
  const implicitHead = (): void => {
    if (res._header === null) res.writeHead(res.statusCode)
    if (res._header === null) writeHead([res.statusCode])
  }
  const headNow = (): ReplyHead => ({ status: res.statusCode, headers: ownHeaders(res, standing, omit, req.method === 'HEAD') })

  /** Calls what writes heads beneath us; only the trailers of this one sending are named. */
  const sendHead = (extra: ReplyHead['headers'], length: number | undefined): void => {
    const status = res.statusCode
    // A reason phrase is not kept, so it is the standard one from the first sending on.
    res.statusMessage = ''
    if (length !== undefined && req.method !== 'HEAD') {
      // Node takes a removal for the wish never to have it, so what is not there is not removed.
      if (res.hasHeader('transfer-encoding')) res.removeHeader('transfer-encoding')
      if (trailers !== undefined || status === 204 || status === 304) res.removeHeader('content-length')
      else res.setHeader('Content-Length', length)
    }
    setHeaders(res, extra)
    beneath('writeHead', status)
    if (trailers !== undefined) beneath('addTrailers', ...trailers)
  }

  // ---- the body ----
  const wrongWrite = (done: Callback | undefined): false => {
    const error = failure('ERR_STREAM_WRITE_AFTER_END', 'write after end')
    process.nextTick(() => {
      done?.(error)
      res.emit('error', error)
    })
    return false
  }
  const overflow = (): void => {
    if (state !== 'held' || size <= bytesMax) return
    state = 'passing'
    events.onPass({ ...headNow(), bytes: size })
  }
  const count = (bytes: Buffer): void => {
    size += bytes.length
    hash?.update(bytes)
  }
  const through = (bytes: Buffer, done?: Callback): boolean => {
    if (!isGone) return beneath('write', bytes, done) !== false
    if (done !== undefined) process.nextTick(done)
    return true
  }

  const write = (args: unknown[]): boolean => {
    const { chunk, encoding, done } = chunkOf(args)
    const bytes = bytesOf(chunk, encoding)
    if (state === 'dropped') return done === undefined || process.nextTick(done) === undefined
    if (hasEnded()) return wrongWrite(done)
    implicitHead()
    if (hasNoBody(req, res.statusCode)) return done === undefined || process.nextTick(done) === undefined
    count(bytes)
    if (state === 'flowing') return through(bytes, done)
    chunks.push(bytes)
    if (done !== undefined) process.nextTick(done)
    overflow()
    return state === 'held'
  }

  const end = (args: unknown[]): ServerResponse => {
    const { chunk, encoding, done } = chunkOf(args)
    const isEmpty = chunk === undefined || chunk === null
    if (state === 'dropped') {
      if (done !== undefined) process.nextTick(done)
      return res
    }
    if (hasEnded()) {
      if (!isEmpty) wrongWrite(done)
      else if (done !== undefined) endCallbacks.push(done)
      return res
    }
    if (!isEmpty) write([chunk, encoding])
    implicitHead()
    if (done !== undefined) endCallbacks.push(done)
    setEnded(true)
    if (state === 'held') {
      state = 'ended'
      events.onReply({ ...headNow(), body: Buffer.concat(chunks) })
    } else if (state === 'flowing') finishPass()
    return res
  }

  const finishPass = (): void => {
    state = 'closing'
    setEnded(true)
    events.onPassed({ status: res.statusCode, headers: ownHeaders(res, standing, omit, req.method === 'HEAD'), digest: hash?.digest('base64url') ?? '', bytes: size })
  }

  const endBeneath = (...body: Buffer[]): void => {
    // As node does it with a callback that is given to `end`; compression takes none.
    beneath('once', 'finish', () => {
      for (const done of endCallbacks.splice(0)) done()
    })
    beneath('end', ...body)
    afterwards()
  }

  // ---- in place of the response's own ----
  replace('writeHead', writeHead)
  replace('write', write)
  replace('end', end)
  replace('flushHeaders', implicitHead)
  replace('addTrailers', (args) => void (trailers = args))
  for (const name of ['cork', 'uncork']) replace(name, () => undefined)
  for (const name of ['writeContinue', 'writeProcessing', 'writeEarlyHints', 'writeInformation'])
    replace(name, (args) => {
      // It would tell of a reply that does not exist yet.
      const done = args.find((arg) => typeof arg === 'function') as Callback | undefined
      if (done !== undefined) process.nextTick(done)
    })
  replace('destroy', (args) => {
    return kill() ? beneath('destroy', ...args) : res
  })
  replace('emit', (args) => {
    if (args[0] !== 'close' || state === 'dropped') return beneath('emit', ...args)
    isGone = true
    owesClose = true
    events.onGone()
    if (state === 'flowing') drains.emit('drain')
    return false
  })
  for (const name of ['on', 'once', 'addListener', 'prependListener', 'off', 'removeListener'])
    replace(name, (args) => {
      if (args[0] !== 'drain') return beneath(name, ...args)
      ;(drains as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args)
      return res
    })
  // Of pipelined requests node gives the connection to the next response when the one before is through, which may be while it is held.
  const assign = (value: unknown): void => void Reflect.set(plain, 'socket', value, res)
  shadow('socket', () => living.socket, assign)
  shadow('connection', () => living.socket, assign)
  shadow('destroyed', () => false)
  shadow('closed', () => false)
  shadow('writableFinished', () => false)
  shadow('writableNeedDrain', () => state === 'passing')
  req.socket = living.socket
  const destroyRequest = req.destroy.bind(req)
  req.destroy = (error) => {
    // Node says so when the client has left, and the whole request has arrived: there is nothing to break off.
    if (req.complete && (error as { readonly code?: unknown } | undefined)?.code === 'ECONNRESET') return req
    // And what has been read to its end is put away.
    if (!(req.complete && req.readableEnded) && !kill()) return req
    return destroyRequest(error)
  }

  return {
    send: (extra) => {
      release('open')
      sendHead(extra, size)
      endBeneath(...(hasNoBody(req, res.statusCode) ? [] : [Buffer.concat(chunks.splice(0))]))
    },
    answer: ({ status, headers, body }) => {
      release('dropped')
      resetHeaders(res, standing)
      Object.assign(res, { _removedTE: false, _removedContLen: false, _removedConnection: false, sendDate: true })
      res.statusCode = status
      setHeaders(res, headers)
      trailers = undefined
      sendHead([], body.length)
      endBeneath(...(hasNoBody(req, status) ? [] : [Buffer.from(body)]))
      drains.emit('drain')
    },
    letThrough: (extra) => {
      const isEnded = res.writableEnded
      bare()
      state = 'flowing'
      hash = createHash('sha256')
      sendHead(extra, undefined)
      beneath('on', 'drain', () => drains.emit('drain'))
      let hasRoom = true
      for (const bytes of chunks.splice(0)) {
        hash.update(bytes)
        hasRoom = through(bytes)
      }
      if (isEnded) finishPass()
      else if (hasRoom) drains.emit('drain')
    },
    close: () => {
      release('open')
      endBeneath()
    },
    cut: () => {
      release('open')
      beneath('destroy')
    },
    letGo: () => {
      release('open')
      tellClosed()
    },
  }
}

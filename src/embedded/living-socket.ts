// The connection as a handler sees it while its reply is held back: open, whether the client is still there or not. Many things look at the socket to learn
// whether a response is over (on-finished, and through it `res.sendFile` and the body parsers); a client that has left must not end the work for them.
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

export interface LivingSocket {
  readonly socket: Socket
  /** Tells those who listen to it that the connection is over. */
  readonly closed: () => void
}

const ENDINGS: ReadonlySet<string | symbol> = new Set(['close', 'end', 'error', 'finish'])
const LISTENING = new Set(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener', 'off', 'removeListener'])
const KILLING = new Set(['destroy', 'destroySoon', 'resetAndDestroy', 'end'])
const ALIVE: Readonly<Record<string, unknown>> = { writable: true, readable: true, destroyed: false, closed: false, writableEnded: false, writableFinished: false, errored: null }

type Method = (...args: unknown[]) => unknown

/** `onKill` is asked when somebody who has this socket ends the connection, which is a decision and no client that left; false: it is not to be ended. */
export const livingSocket = (real: Socket, onKill: () => boolean): LivingSocket => {
  const endings = new EventEmitter()
  // An error that nobody listens to must not throw here: node listens to it on the real socket.
  endings.on('error', () => undefined)

  const methodOf = (name: string, method: Method): Method => {
    if (KILLING.has(name))
      return (...args) => {
        if (onKill()) method.apply(real, args)
        return socket
      }
    if (LISTENING.has(name))
      return (...args) => {
        const [event] = args
        if (!ENDINGS.has(event as string | symbol)) return method.apply(real, args)
        ;(endings as unknown as Record<string, Method>)[name]?.(...args)
        return socket
      }
    return method.bind(real)
  }

  const socket: Socket = new Proxy(real, {
    get: (target, name) => {
      if (typeof name === 'string' && name in ALIVE) return ALIVE[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' && typeof name === 'string' ? methodOf(name, value as Method) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })
  return { socket, closed: () => void endings.emit('close', false) }
}

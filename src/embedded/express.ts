// `exactlyOnce`: one line in front of a route, and each request to it runs once, whatever becomes of the client, the connection or this process.
import { resolve } from 'node:path'
import { connect } from '../client/connect.ts'
import { realWorld, type World } from '../world.ts'
import { configOf, type ContractSettings } from './contract-settings.ts'
import type { ContractStore } from './contract-store.ts'
import { contractMiddleware, type ContractMiddleware } from './middleware.ts'
import { loadFailure } from './node-needed.ts'
import type { Embedded } from './open.ts'
import type { MiddlewareOptions } from './options.ts'
import { agreeOnContract, serverContract } from './server-contract.ts'

export { executionOf, type HandlerExecution } from './execution.ts'
export type { ContractMiddleware } from './middleware.ts'
export type { Problem } from './problems.ts'
export type { Reply } from './contract-store.ts'

export interface ExactlyOnceOptions extends ContractSettings, MiddlewareOptions {
  /**
   * Where requests and replies are kept: a directory, which this process alone then has (`./stint-data`); the address of a Stint server, which several processes
   * share (`http://127.0.0.1:7070`); or an engine that was opened with `open` of `stint/embedded`.
   */
  readonly store: string | Embedded
  /** Bearer token for a server; else the environment's STINT_TOKEN. */
  readonly token?: string
  readonly world?: World
}

export interface ExactlyOnce extends ContractMiddleware, AsyncDisposable {
  /** Resolves when the store is open; rejects with what is wrong. Without waiting for it, requests wait, and are answered 503 when it cannot be opened. */
  readonly ready: () => Promise<void>
  /** Lets go of the store if this opened it. Close the HTTP server first. Calling it again does nothing more. */
  readonly close: () => Promise<void>
}

interface Opened {
  readonly store: ContractStore
  readonly close: () => Promise<void>
}

/** Engines of this process by directory, as only one may have it: routes with the same directory share it. */
const engines = new Map<string, { opening: Promise<Embedded>; users: number }>()

/** Apps that use a server need no engine, and load none. */
const openEngineAt = async (data: string): Promise<Embedded> => {
  const { open } = await import('./open.ts').catch((cause: unknown) => {
    throw loadFailure(cause)
  })
  return open({ data })
}

const shared = async (data: string): Promise<{ readonly embedded: Embedded; readonly close: () => Promise<void> }> => {
  const path = resolve(data)
  const known = engines.get(path) ?? { opening: openEngineAt(path), users: 0 }
  engines.set(path, known)
  known.users += 1
  const leave = async (): Promise<void> => {
    known.users -= 1
    if (known.users > 0) return
    engines.delete(path)
    await (await known.opening).close()
  }
  try {
    return { embedded: await known.opening, close: leave }
  } catch (cause) {
    if (engines.get(path) === known) engines.delete(path)
    throw cause
  }
}

const openStore = async (options: ExactlyOnceOptions): Promise<Opened> => {
  const { store, token, world = realWorld, onTrouble = (what) => process.emitWarning(what, { type: 'StintWarning' }) } = options
  if (typeof store !== 'string') {
    const contract = await store.contract(options)
    return { store: contract, close: contract.close }
  }
  if (/^https?:\/\//.test(store)) {
    const stint = connect({ url: store, token, world })
    const contract = serverContract({ stint, world, contract: options.contract })
    await agreeOnContract(stint, options, onTrouble)
    const close = async (): Promise<void> => {
      await contract.close()
      await stint.close()
    }
    return { store: contract, close }
  }
  const { embedded, close } = await shared(store)
  return { store: await embedded.contract(options), close }
}

/**
 * Express middleware that makes the route behind it keep an exactly-once contract: a request with an `Idempotency-Key` runs once, its reply is durable before it is sent,
 * and a duplicate gets the same reply again. Throws `TypeError` when the options contradict each other.
 */
export const exactlyOnce = (options: ExactlyOnceOptions): ExactlyOnce => {
  configOf(options)
  if (options.release === 'required' && options.interactions === undefined)
    throw new TypeError('exactlyOnce: release "required" needs `interactions`, or nobody could ever release a reply')
  let opening: Promise<Opened> | undefined
  let closed: Promise<void> | undefined
  const opened = (): Promise<Opened> => {
    if (closed !== undefined) return Promise.reject(new Error('exactlyOnce is closed'))
    if (opening === undefined) {
      const now = openStore(options)
      opening = now
      // The next request tries anew: a server may have come up since.
      now.catch(() => {
        if (opening === now) opening = undefined
      })
    }
    return opening
  }
  void opened().catch(() => undefined)
  const close = (): Promise<void> => {
    const last = opening
    closed ??= last === undefined ? Promise.resolve() : last.then((one) => one.close())
    return closed
  }
  const middleware = contractMiddleware(async () => (await opened()).store, options)
  return Object.assign(middleware, { ready: async () => void (await opened()), close, [Symbol.asyncDispose]: close })
}

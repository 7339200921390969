// What can be told to an implementation node, and what is wrong with it.
import { parseSecrets } from '../../engine/delivery/signature.ts'
import * as E from 'fp-ts/lib/Either.js'
import { isLoopback } from '../../api/messages.ts'
import type { OnProblem } from '../../client/complaints.ts'
import type { Fetch } from '../../client/http.ts'
import type { OperationClass } from '../../client/long-task-class.ts'
import { nodeName } from '../../wire/long-tasks.ts'
import { decode } from '../../wire/schema.ts'
import type { World } from '../../world.ts'

export interface ImplementationNodeOptions {
  /** This node among those of its management node; the same after a restart. 1 to 200 of `[A-Za-z0-9._~-]`. */
  readonly name: string
  /** The Stint server that gives it operations and is told of them. Left out, as for `connect`: STINT_URL and STINT_TOKEN of the environment. */
  readonly management?: { readonly url?: string | undefined; readonly token?: string | undefined } | undefined
  /** The classes that it can run. */
  readonly operations: readonly OperationClass[]
  /** Directory of its own log, made if it is not there. One process at a time has it. */
  readonly directory: string
  /** Where it listens: a free port of 127.0.0.1 unless said. Beyond loopback it needs a `secret`. */
  readonly listen?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** Where its management node reaches it, if that is another address than the one it listens on. */
  readonly url?: string | undefined
  /** What its management node signs its calls with: `whsec_` and 24 to 64 bytes in base64; several while it is being changed. Without it the node answers on loopback only, whoever calls. */
  readonly secret?: string | readonly string[] | undefined
  /** Variable of the management node's environment that holds the same secret (`STINT_NODE_SECRET`). */
  readonly secretEnv?: string | undefined
  /** Long operations that run at the same time, at most; no limit unless said. The others wait, and are reported as waiting. */
  readonly maxRunning?: number | undefined
  /** Seconds for which `close` lets running operations go on (0). */
  readonly drainSeconds?: number | undefined
  /** Seconds for which it keeps what has ended and is acknowledged, to know an operation that is sent again late (86,400). */
  readonly retainSeconds?: number | undefined
  /**
   * Hears of what went wrong without being thrown anywhere, with the id of the operation if it is that one's alone: the management node out of reach (once an outage), reports that were refused.
   * Unless given, it is written by `console.warn`. What it throws is dropped.
   */
  readonly onProblem?: OnProblem | undefined
  /** Its log can be written no more: it answers and tells nothing from then on, until the process starts anew. Unless given, a process warning. */
  readonly onFatal?: ((cause: Error) => void) | undefined
  /** Also where locks and syncs cannot be relied upon, as on network file systems. */
  readonly allowAnyFileSystem?: boolean | undefined
  readonly world?: World | undefined
  readonly fetch?: Fetch | undefined
}

const HOST = '127.0.0.1'
const SECRET_ENV = 'STINT_NODE_SECRET'
const RETAIN_SECONDS = 86_400
const ANYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]'])

const atLeast = (name: string, value: number, least: number): number => {
  if (!(value >= least)) throw new RangeError(`Expected ${name} to be ${least} at least, but it is ${value}.`)
  return value
}

/** What a compiler would not let pass, for those who have none. */
const checked = (options: ImplementationNodeOptions): void => {
  const { operations, directory, management, url } = options as { readonly [Option in keyof ImplementationNodeOptions]: unknown }
  if (!Array.isArray(operations)) throw new TypeError('Expected `operations` to be a list of classes, [CopyImage, HashImage].')
  const strange: unknown = operations.find((each) => typeof each !== 'function')
  if (strange !== undefined || operations.includes(undefined)) throw new TypeError(`Expected each of \`operations\` to be a class, but one is ${shownOf(strange)}.`)
  if (typeof directory !== 'string' || directory === '') throw new TypeError('Expected `directory`, where this node keeps its own log; the same after a restart.')
  if (management !== undefined && (typeof management !== 'object' || management === null))
    throw new TypeError(`Expected \`management\` to be { url, token }, but it is ${JSON.stringify(management)}.`)
  if (url !== undefined && !(typeof url === 'string' && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)))
    throw new TypeError(`Expected \`url\` to begin with http:// or https://, but it is ${JSON.stringify(url)}.`)
}

const shownOf = (value: unknown): string =>
  typeof value === 'object' && value !== null && value.constructor !== Object ? `an instance of ${value.constructor?.name ?? 'none'}` : JSON.stringify(value)

/** The options with what holds for those that were left out. Throws `TypeError` and `RangeError` for those that cannot be. */
export const settingsOf = (given: ImplementationNodeOptions) => {
  const { name, listen = {}, secret = [], ...options } = given
  const named = decode(nodeName, name)
  if (E.isLeft(named)) throw new TypeError(`Expected the name of a node, but it is ${JSON.stringify(name)}: ${named.left[0]?.detail ?? ''}`)
  checked(given)
  const { host = HOST, port = 0 } = listen
  const secrets = typeof secret === 'string' ? [secret] : secret
  const parsed = secrets.length === 0 ? undefined : parseSecrets(secrets.join(' '))
  if (parsed !== undefined && E.isLeft(parsed)) throw new TypeError(`secret: ${parsed.left}`)
  if (secrets.length === 0 && !isLoopback(host))
    throw new TypeError(`Refusing to listen on ${host} without a secret: whoever reaches it could run operations. Give a secret, or listen on ${HOST}.`)
  if (ANYWHERE.has(host) && options.url === undefined) throw new TypeError(`Expected a url, since nobody can be told to call ${host}.`)
  const { maxRunning = Number.POSITIVE_INFINITY, drainSeconds = 0, retainSeconds = RETAIN_SECONDS } = options
  return {
    name,
    host,
    port,
    secrets,
    secretEnv: secrets.length === 0 ? undefined : (options.secretEnv ?? SECRET_ENV),
    runningMax: atLeast('maxRunning', maxRunning, 1),
    drainMs: atLeast('drainSeconds', drainSeconds, 0) * 1_000,
    retainMs: atLeast('retainSeconds', retainSeconds, 0) * 1_000,
  }
}

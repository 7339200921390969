// What a handler may know of the call it serves beside its decoded input, and what it gives back.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import { parse as bytesOf, v7 } from 'uuid'
import type { CommandToDo, Context, Done } from '../engine/command.ts'
import type { Engine } from '../engine/engine.ts'
import { uuidV5 } from '../engine/envelope.ts'
import type { AnswerOf, BodyOf, ParamsOf, QueryOf, Route } from '../wire/route.ts'
import type { WorkItemId } from '../wire/words.ts'
import type { World } from '../world.ts'
import { readBytes } from './body.ts'
import type { Incoming, Outgoing } from './exchange.ts'
import { createGathering, type Gathering } from './gathering.ts'
import type { Principal } from './principal.ts'
import { fromRefusal, type Problem } from './problem.ts'

export interface Input<R> {
  readonly params: ParamsOf<R>
  readonly query: QueryOf<R>
  readonly body: BodyOf<R>
}

export interface Answer<Body> {
  readonly status: number
  /** Sent as JSON. */
  readonly body?: Body | undefined
  /** Somebody else's answer, given on: its headers and bytes. */
  readonly given?: { readonly headers: readonly (readonly [string, string])[]; readonly body: Uint8Array } | undefined
  /** Sent as it is, in the media type of the route. */
  readonly text?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What the answer reflects, if it is not the head of the log. */
  readonly position?: string | undefined
  /** Writes the body itself and ends it; the headers are out when it is called. */
  readonly stream?: ((res: ServerResponse) => Promise<void>) | undefined
}

export type Handled<Body> = E.Either<Problem, Answer<Body>>
/** Serves what stands beside the items of a request that carries many: begun when they are begun, so that the appends of both share a commit. */
export type HandleBeside = (
  input: Omit<Input<Route<unknown, unknown, unknown, unknown>>, 'body'> & { readonly body: unknown; /** Settles when the items are done. */ readonly items: Promise<unknown> },
  call: Call,
) => Promise<object>
export type Handle<R> = (input: Input<R>, call: Call) => Handled<AnswerOf<R>> | Promise<Handled<AnswerOf<R>>>

export interface Call {
  readonly engine: Engine
  readonly world: World
  readonly principal: Principal
  readonly headers: IncomingHttpHeaders
  /** On whose behalf and under which command id. */
  readonly context: Context
  /** The caller gave the command its id, by an Idempotency-Key. */
  readonly isNamed: boolean
  /** How long the caller would wait, at most 60 s; undefined when it did not ask to. */
  readonly waitMs: number | undefined
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal
  readonly isStopping: () => boolean
  /** Whether the credential would still be let in: for answers that last, since a token can be revoked or expire meanwhile. */
  readonly isStillAllowed: () => Promise<boolean>
  /** The client has closed the connection: nobody will read the answer. */
  readonly isGone: () => boolean
  /** Runs once when the answer is out or the client is gone: `isWritten` when all of it was handed over. */
  readonly onEnd: (run: (isWritten: boolean) => void) => void
  /** The body as it came, at most `limit` bytes, with its media type: for routes that take any. */
  readonly bytes: (limit: number) => Promise<E.Either<Problem, RawBody>>
  /** The Idempotency-Key without its quotes. */
  readonly key: string | undefined
  /** What it shares with the other items of its exchange; undefined for a call that is no item, and for items that are answered one by one. */
  readonly gathering: Gathering | undefined
  /** The same call for one of its many items, under a command id of its own. */
  readonly forItem: (index: number) => Call
}

export interface RawBody {
  readonly bytes: Buffer
  readonly mediaType: string
}

/** Waits that long polls have under way in this server, so that a stop can end them. */
export type Waits = Set<AbortController>

/** How long a position that is named is waited for (surface 12). */
export const POSITION_WAIT_MS = 5_000

const WAIT_SECONDS_MAX = 60
const WAIT = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?/i
/** Nobody reads it; the reason that a signal makes for itself comes with its stack, anew for each call. */
const CLOSED = new Error('The call is over.')
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Namespace of command ids that come from an Idempotency-Key (rules 5). */
const COMMANDS = '5c7a3a4e-4f0e-4d5b-8f63-6f6a1f4b3e57'

/** UUIDv5 of subject and key. A header cannot hold a line break, so none of both can be taken for the other. */
export const commandIdOf = (subject: string, key: string): string => uuidV5(COMMANDS, `${subject}\n${key}`)

/** A new id that sorts by time. */
export const newId = (world: World): string => v7({ msecs: world.now(), random: bytesOf(world.uuid()) })

export interface Caller {
  readonly engine: Engine
  readonly world: World
  readonly principal: Principal
  readonly req: Incoming
  readonly res: Outgoing
  /** The Idempotency-Key without its quotes. */
  readonly key: string | undefined
  readonly takesPrefer: boolean
  readonly waits: Waits
  readonly isStopping: () => boolean
  readonly isStillAllowed: () => Promise<boolean>
}

/** What all items of one exchange have together, made when it is asked for. */
interface Shared {
  signal?: AbortSignal
  gathering?: Gathering
}

/** One call; what few handlers ask for is made when it is asked for. */
class CallOfRequest implements Call {
  readonly engine: Engine
  readonly world: World
  readonly principal: Principal
  readonly headers: IncomingHttpHeaders
  readonly isStopping: () => boolean
  readonly isStillAllowed: () => Promise<boolean>
  readonly #caller: Caller
  readonly #item: number | undefined
  readonly #shared: Shared
  #context: Context | undefined
  #bytes: Promise<E.Either<Problem, Buffer>> | undefined

  constructor(caller: Caller, shared: Shared, item?: number) {
    this.engine = caller.engine
    this.world = caller.world
    this.principal = caller.principal
    this.headers = caller.req.headers
    this.isStopping = caller.isStopping
    this.isStillAllowed = caller.isStillAllowed
    this.#caller = caller
    this.#shared = shared
    this.#item = item
  }

  get isNamed(): boolean {
    return this.#caller.key !== undefined
  }

  get key(): string | undefined {
    return this.#caller.key
  }

  async bytes(limit: number): Promise<E.Either<Problem, RawBody>> {
    const { req } = this.#caller
    // A call over a shared log may be decided once more.
    const read = await (this.#bytes ??= readBytes(req, limit))
    return E.isLeft(read) ? read : E.right({ bytes: read.right, mediaType: req.headers['content-type'] ?? 'application/octet-stream' })
  }

  get context(): Context {
    return (this.#context ??= this.#makeContext())
  }

  #makeContext(): Context {
    const { subject, email } = this.principal
    const { key } = this.#caller
    // A line break, which no header can hold, so that no key of another request is the key of an item of this one.
    const name = this.#item === undefined ? key : `${key}\n${this.#item}`
    const { traceparent } = this.headers
    return {
      subject,
      actor: email,
      commandId: key === undefined || name === undefined ? this.world.uuid() : commandIdOf(subject, name),
      ...(typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
    }
  }

  get waitMs(): number | undefined {
    const { prefer } = this.headers
    if (!this.#caller.takesPrefer || prefer === undefined) return undefined
    const [, seconds] = WAIT.exec(typeof prefer === 'string' ? prefer : prefer.join(',')) ?? []
    return seconds === undefined ? undefined : Math.min(Number(seconds), WAIT_SECONDS_MAX) * 1_000
  }

  get signal(): AbortSignal {
    return (this.#shared.signal ??= this.#makeSignal())
  }

  #makeSignal(): AbortSignal {
    const { waits, res, isStopping } = this.#caller
    const controller = new AbortController()
    if (isStopping() || res.destroyed) controller.abort()
    waits.add(controller)
    res.once('close', () => {
      waits.delete(controller)
      controller.abort(CLOSED)
    })
    return controller.signal
  }

  get gathering(): Gathering | undefined {
    return this.#item === undefined || this.#caller.res.part !== undefined ? undefined : (this.#shared.gathering ??= createGathering(this.world, this.signal))
  }

  isGone(): boolean {
    return this.#caller.res.destroyed
  }

  onEnd(run: (isWritten: boolean) => void): void {
    const { res } = this.#caller
    if (res.closed) run(res.writableFinished)
    else res.once('close', () => run(res.writableFinished))
  }

  forItem(index: number): Call {
    return new CallOfRequest(this.#caller, this.#shared, index)
  }
}

export const createCall = (caller: Caller): Call => new CallOfRequest(caller, {})

/** To whom was let in when its call began and is not any more. */
export const noLongerLetIn: Problem = { code: 'unauthenticated', detail: 'The token was revoked or has expired meanwhile.', headers: { 'WWW-Authenticate': 'Bearer' } }

/** The engine's answer to a command, its refusals in the words of the surface. */
export const execute = async (call: Call, workItem: WorkItemId, command: CommandToDo, payload?: Uint8Array): Promise<E.Either<Problem, Done>> => {
  const done = await call.engine.execute(workItem, command, call.context, payload)
  return E.isLeft(done) ? E.left(fromRefusal(done.left)) : done
}

export const ok = <Body>(body: Body, headers?: Readonly<Record<string, string>>): E.Either<never, Answer<Body>> => E.right({ status: 200, body, headers })

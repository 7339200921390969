// The tokens that the log knows, resident and checked without I/O; adding and revoking append to their one stream.
import { hash, timingSafeEqual } from 'node:crypto'
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { decideRevoke, evolveTokens, isValid, TOKENS_STREAM, tokenEvents, type Token, type TokenBook, type TokenEvent } from '../domain/tokens.ts'
import { StoreFault, type EventStore, type Position, type RecordedEvent } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Context, Refusal } from './command.ts'
import { encodeMeta, uuidV5 } from './envelope.ts'

/** A token as it is kept: never its secret. */
export interface TokenEntry {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly roles: readonly string[]
  readonly createdAt: number
  readonly expiresAt?: number | undefined
  readonly revokedAt?: number | undefined
}

export interface Tokens {
  readonly size: () => number
  readonly list: () => readonly TokenEntry[]
  /** Makes a token; the secret `stint_<id>_<secret>` is returned here and nowhere else. */
  readonly add: (
    token: { readonly name: string; readonly email: string; readonly roles: readonly string[]; readonly expiresMs?: number | undefined },
    context: Context,
  ) => Promise<E.Either<Refusal, TokenEntry & { readonly token: string }>>
  /** With `keepsAdministrator` the last valid token of an administrator is not revoked: no other way in is left. */
  readonly revoke: (id: string, context: Context, rule: { readonly keepsAdministrator: boolean }) => Promise<E.Either<Refusal, TokenEntry>>
  /** The token that this secret belongs to, if it is neither revoked nor expired. */
  readonly authenticate: (token: string) => TokenEntry | undefined
}

const SECRET_LENGTH = 43
const TOKEN = /^stint_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/
const STREAM_PAGE = 1_000
/** Decisions tried before a change gives up; where nobody else writes the first always succeeds. */
const ATTEMPTS_MAX = 5

export interface FollowingTokens extends Tokens {
  /** Takes in events of their stream, in order, that may be another server's; those that are known are passed over. */
  readonly follow: (events: readonly RecordedEvent[]) => Promise<E.Either<StoreFault, void>>
}

const digestOf = (secret: string): string => hash('sha256', secret, 'base64url')

const entryOf = ({ digest: _digest, ...entry }: Token): TokenEntry => entry

const decodeToken = (type: string, data: string): E.Either<StoreFault, TokenEvent> => {
  const codec: t.Decoder<unknown, TokenEvent> | undefined = Object.hasOwn(tokenEvents, type) ? tokenEvents[type as keyof typeof tokenEvents] : undefined
  const decoded = codec?.decode({ type, ...(JSON.parse(data) as object) })
  return decoded !== undefined && E.isRight(decoded)
    ? decoded
    : E.left(new StoreFault('damaged', `The event ${type} in the stream ${TOKENS_STREAM} cannot be read by this version of Stint`))
}

/** Loads all tokens; Left when the store fails or holds an event that this version does not know. */
export const openTokens = async (options: {
  readonly store: EventStore
  readonly world: World
  readonly server: string
  readonly onAppended: (position: Position, events: number) => void
}): Promise<E.Either<StoreFault, FollowingTokens>> => {
  const { store, world, server } = options
  let book: TokenBook = new Map()
  /** Of the last event that the book holds. */
  let revision = -1

  const takeIn = (recorded: RecordedEvent): E.Either<StoreFault, void> => {
    const decoded = decodeToken(recorded.type, recorded.data)
    if (E.isLeft(decoded)) return decoded
    book = evolveTokens(book, decoded.right, recorded.time)
    revision = recorded.revision
    return E.right(undefined)
  }

  /** Reads what the stream has beyond the book. */
  const catchUp = async (): Promise<E.Either<StoreFault, void>> => {
    for (;;) {
      const page = await store.readStream(TOKENS_STREAM, { from: revision + 1, max: STREAM_PAGE })()
      if (E.isLeft(page)) return page
      for (const recorded of page.right) {
        // Meanwhile it may have been followed.
        const taken = recorded.revision > revision ? takeIn(recorded) : E.right(undefined)
        if (E.isLeft(taken)) return taken
      }
      if (page.right.length < STREAM_PAGE) return E.right(undefined)
    }
  }
  const read = await catchUp()
  if (E.isLeft(read)) return read

  /** Appends at the head of what is known, so that whatever was decided holds; another server may have been first. */
  const record = async (event: TokenEvent, context: Context): Promise<E.Either<StoreFault, 'recorded' | 'overtaken'>> => {
    const { type, ...data } = event
    const time = world.now()
    const at = revision
    const appended = await store.append(TOKENS_STREAM, at === -1 ? 'noStream' : at, [
      { id: uuidV5(context.commandId, type), type, v: 1, time, data: JSON.stringify(data), meta: encodeMeta(context, server) },
    ])()
    if (E.isRight(appended)) {
      // A server that follows the log may have met its own event already.
      if (revision === at) book = evolveTokens(book, event, time)
      revision = Math.max(revision, appended.right.revision)
      options.onAppended(appended.right.position, 1)
      return E.right('recorded')
    }
    if (appended.left instanceof StoreFault) return E.left(appended.left)
    if (appended.left.kind !== 'conflict') return E.left(new StoreFault('unavailable', 'The token could not be recorded'))
    const known = await catchUp()
    return E.isLeft(known) ? known : E.right('overtaken')
  }

  const recordAll = async (decide: () => E.Either<Refusal, readonly TokenEvent[]>, context: Context): Promise<E.Either<Refusal, void>> => {
    for (let tried = 1; tried <= ATTEMPTS_MAX; tried += 1) {
      const decided = decide()
      if (E.isLeft(decided)) return decided
      const [event] = decided.right
      if (event === undefined) return E.right(undefined)
      const recorded = await record(event, context)
      if (E.isLeft(recorded)) return recorded
      if (recorded.right === 'recorded') return E.right(undefined)
    }
    return E.left(new StoreFault('overloaded', `The tokens are still in conflict after ${ATTEMPTS_MAX} attempts`))
  }

  /** One after the other, because each is decided on what the one before it left: two administrators who revoke each other at once shall not both succeed. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <Done>(run: () => Promise<Done>): Promise<Done> => {
    const done = turn.then(run)
    turn = done.catch(() => undefined)
    return done
  }

  return E.right({
    size: () => book.size,
    list: () => [...book.values()].map(entryOf),
    follow: async (events) => {
      for (const recorded of events) {
        if (recorded.revision <= revision) continue
        const taken = recorded.revision === revision + 1 ? takeIn(recorded) : await catchUp()
        if (E.isLeft(taken)) return taken
      }
      return E.right(undefined)
    },
    add: async ({ name, email, roles, expiresMs }, context) => {
      const id = world.uuid().replaceAll('-', '').slice(0, 12)
      const secret = world.token(SECRET_LENGTH)
      const expiry = expiresMs === undefined ? {} : { expiresAt: world.now() + expiresMs }
      const event: TokenEvent = { type: 'TokenAdded', id, name, email, roles: [...roles], digest: digestOf(secret), ...expiry }
      const recorded = await inTurn(() => recordAll(() => E.right([event]), context))
      if (E.isLeft(recorded)) return recorded
      const token = book.get(id)
      return token === undefined ? E.left({ type: 'not-found' }) : E.right({ ...entryOf(token), token: `stint_${id}_${secret}` })
    },
    revoke: (id, context, { keepsAdministrator }) =>
      inTurn(async () => {
        const recorded = await recordAll(() => decideRevoke(book, { id, now: world.now(), keepsAdministrator }), context)
        if (E.isLeft(recorded)) return recorded
        const token = book.get(id)
        return token === undefined ? E.left({ type: 'not-found' }) : E.right(entryOf(token))
      }),
    authenticate: (text) => {
      const [, id, secret] = TOKEN.exec(text) ?? []
      const token = id === undefined ? undefined : book.get(id)
      // The comparison runs for unknown ids too, so that its time tells nothing.
      const same = timingSafeEqual(Buffer.from(digestOf(secret ?? '')), Buffer.from(token?.digest ?? digestOf('no such token')))
      return token !== undefined && same && isValid(token, world.now()) ? entryOf(token) : undefined
    },
  })
}

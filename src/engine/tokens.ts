// The tokens that the log knows, resident and checked without I/O; adding and revoking append to their one stream.
import { hash, timingSafeEqual } from 'node:crypto'
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { decideRevoke, evolveTokens, isValid, TOKENS_STREAM, tokenEvents, type Token, type TokenBook, type TokenEvent } from '../domain/tokens.ts'
import { StoreFault, type EventStore, type Position } from '../store/port.ts'
import type { World } from '../world.ts'
import type { Context, TokenEntry, Tokens } from './engine.ts'
import { encodeMeta, uuidV5 } from './envelope.ts'

const SECRET_LENGTH = 43
const TOKEN = /^stint_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/
const STREAM_PAGE = 1_000

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
}): Promise<E.Either<StoreFault, Tokens>> => {
  const { store, world, server } = options
  let book: TokenBook = new Map()
  for (let from = 0; ; from += STREAM_PAGE) {
    const page = await store.readStream(TOKENS_STREAM, { from, max: STREAM_PAGE })()
    if (E.isLeft(page)) return page
    for (const recorded of page.right) {
      const decoded = decodeToken(recorded.type, recorded.data)
      if (E.isLeft(decoded)) return decoded
      book = evolveTokens(book, decoded.right, recorded.time)
    }
    if (page.right.length < STREAM_PAGE) break
  }

  const record = async (event: TokenEvent, context: Context) => {
    const { type, ...data } = event
    const time = world.now()
    const appended = await store.append(TOKENS_STREAM, 'any', [
      { id: uuidV5(context.commandId, type), type, v: 1, time, data: JSON.stringify(data), meta: encodeMeta(context, server) },
    ])()
    if (E.isLeft(appended)) return appended.left instanceof StoreFault ? E.left(appended.left) : E.left(new StoreFault('unavailable', 'The token could not be recorded'))
    book = evolveTokens(book, event, time)
    options.onAppended(appended.right.position, 1)
    return E.right(undefined)
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
    add: async ({ name, email, roles, expiresMs }, context) => {
      const id = world.uuid().replaceAll('-', '').slice(0, 12)
      const secret = world.token(SECRET_LENGTH)
      const expiry = expiresMs === undefined ? {} : { expiresAt: world.now() + expiresMs }
      const recorded = await record({ type: 'TokenAdded', id, name, email, roles: [...roles], digest: digestOf(secret), ...expiry }, context)
      if (E.isLeft(recorded)) return recorded
      const token = book.get(id)
      return token === undefined ? E.left({ type: 'not-found' }) : E.right({ ...entryOf(token), token: `stint_${id}_${secret}` })
    },
    revoke: (id, context, { keepsAdministrator }) =>
      inTurn(async () => {
        const decided = decideRevoke(book, { id, now: world.now(), keepsAdministrator })
        if (E.isLeft(decided)) return decided
        for (const event of decided.right) {
          const recorded = await record(event, context)
          if (E.isLeft(recorded)) return recorded
        }
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

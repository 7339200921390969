// The packages that stand beside it in most apps, as they are published: compression, express-session and helmet, before and after it.
import compression from 'compression'
import session, { MemoryStore } from 'express-session'
import helmet from 'helmet'
import type { RequestHandler } from 'express'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { answerTwice, askTwice, startContractApp, type Answer } from '../support/contract-app.ts'

const TEXT = 'abcdefgh'.repeat(1_000)
const GZIP = { 'Accept-Encoding': 'gzip' }
const compressing = compression({ threshold: 0 })

const namesOf = (headers: readonly (readonly [string, string])[] = []): readonly string[] => headers.map(([name]) => name.toLowerCase())
const unzipped = ({ body, headers }: Answer): string => (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString()

declare module 'express-session' {
  interface SessionData {
    orders: number
  }
}

/** Sessions that are looked into, with what stands at the moment at which they are saved. */
const sessions = () => {
  const store = new MemoryStore()
  const handler = session({ secret: 'keyboard cat', resave: false, saveUninitialized: false, store })
  const all = (): Promise<readonly { readonly orders?: number }[]> =>
    new Promise((resolve, reject) => store.all((failure, found) => (failure ? reject(failure as Error) : resolve(Object.values(found ?? {})))))
  return { handler, all }
}

/** Counts the orders of a session. */
const ordering: RequestHandler = (req, res) => {
  req.session.orders = (req.session.orders ?? 0) + 1
  res.status(201).json({ orders: req.session.orders })
}

describe('compression', () => {
  it('before it packs each sending for the client that asks, and what is kept is plain', async () => {
    await using app = await startContractApp({ before: [compressing], handler: (_req, res) => void res.json({ text: TEXT }) })
    const [first, again, plain] = [await app.ask({ key: 'a', headers: GZIP }), await app.ask({ key: 'a', headers: GZIP }), await app.ask({ key: 'a' })]
    expect([first, again, plain].map(({ headers }) => headers['content-encoding'])).toEqual(['gzip', 'gzip', undefined])
    expect(new Set([first, again, plain].map(unzipped))).toEqual(new Set([JSON.stringify({ text: TEXT })]))
    expect([again, plain].map(({ headers }) => headers['idempotency-replayed'])).toEqual(['true', 'true'])
    expect(namesOf(app.store.entry('a')?.reply?.headers)).not.toContain('content-encoding')
    expect(app.leaks).toEqual([])
  })

  it('before it packs a reply that is made piece by piece', async () => {
    const pieces = Array.from({ length: 100 }, () => TEXT)
    await using app = await startContractApp({ before: [compressing], handler: (_req, res) => void Readable.from(pieces).pipe(res.type('text/plain')) })
    const [first, again] = [await app.ask({ key: 'a', headers: GZIP }), await app.ask({ key: 'a', headers: GZIP })]
    expect([first, again].map((answer) => [answer.headers['content-encoding'], unzipped(answer) === pieces.join('')])).toEqual([
      ['gzip', true],
      ['gzip', true],
    ])
    expect(app.leaks).toEqual([])
  })

  it('before it packs a reply that is over the limit, to its end, and tells the handler when that is through', async () => {
    const pieces = Array.from({ length: 10 }, () => TEXT)
    const ended = Promise.withResolvers<void>()
    await using app = await startContractApp({
      before: [compressing],
      replyBytesMax: 20_000,
      handler: (_req, res) => {
        res.type('text/plain')
        for (const piece of pieces) res.write(piece)
        res.end(() => ended.resolve())
      },
    })
    const first = await app.ask({ key: 'a', headers: GZIP })
    expect([first.headers['content-encoding'], first.isBroken, unzipped(first) === pieces.join('')]).toEqual(['gzip', false, true])
    await ended.promise
    expect((await app.ask({ key: 'a', headers: GZIP })).status).toBe(409)
    expect([app.leaks, app.troubles]).toEqual([[], []])
  })

  it('before it waits for room as its client reads, with `flush` as the handler asks for it', async () => {
    await using app = await startContractApp({
      before: [compressing],
      handler: (_req, res) => {
        res.type('text/plain').write(TEXT)
        ;(res as unknown as { flush: () => void }).flush()
        res.end(TEXT)
      },
    })
    expect(unzipped(await app.ask({ key: 'a', headers: GZIP }))).toBe(TEXT + TEXT)
    expect(unzipped(await app.ask({ key: 'a', headers: GZIP }))).toBe(TEXT + TEXT)
    expect(app.leaks).toEqual([])
  })

  it('after it is part of the reply that is kept: every duplicate has the encoding of the first', async () => {
    const first = await answerTwice((_req, res) => void res.json({ text: TEXT }), { headers: GZIP }, { after: [compressing] })
    expect([first.headers['content-encoding'], unzipped(first)]).toEqual(['gzip', JSON.stringify({ text: TEXT })])
  })

  it('on both sides packs once', async () => {
    const first = await answerTwice((_req, res) => void res.json({ text: TEXT }), { headers: GZIP }, { before: [compressing], after: [compressing] })
    expect(unzipped(first)).toBe(JSON.stringify({ text: TEXT }))
  })

  it('has nothing to pack in a reply without a body, or to HEAD', async () => {
    await using app = await startContractApp({ before: [compressing], handler: (_req, res) => void res.status(204).end() })
    expect((await askTwice(app, { headers: GZIP })).status).toBe(204)
    await using head = await startContractApp({ before: [compressing], methods: ['HEAD'], handler: (_req, res) => void res.json({ text: TEXT }) })
    const [first, again] = [await head.ask({ method: 'HEAD', key: 'a', headers: GZIP }), await head.ask({ method: 'HEAD', key: 'a', headers: GZIP })]
    expect([first.status, first.body.length, again.status, again.body.length, again.headers['idempotency-replayed']]).toEqual([200, 0, 200, 0, 'true'])
  })
})

describe('express-session', () => {
  it('before it is saved once the handler has changed it, before the reply goes out; a duplicate changes nothing', async () => {
    const { handler, all } = sessions()
    await using app = await startContractApp({ before: [handler], caller: (req) => req.get('x-user') ?? 'ann', handler: ordering })
    const first = await app.ask({ key: 'a' })
    const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    expect([first.text, cookie.startsWith('connect.sid=')]).toEqual(['{"orders":1}', true])
    expect(await all()).toMatchObject([{ orders: 1 }])
    const again = await app.ask({ key: 'a', headers: { Cookie: cookie } })
    expect([again.text, again.headers['idempotency-replayed']]).toEqual(['{"orders":1}', 'true'])
    expect((await app.ask({ key: 'b', headers: { Cookie: cookie } })).text).toBe('{"orders":2}')
    expect(await all()).toMatchObject([{ orders: 2 }])
    // A session is between the app and one client: it stands in no reply.
    expect(namesOf(app.store.entry('a')?.reply?.headers)).not.toContain('set-cookie')
    expect(app.leaks).toEqual([])
  })

  it('after it is saved by the execution alone, and its cookie is kept with the reply', async () => {
    const { handler, all } = sessions()
    await using app = await startContractApp({ after: [handler], handler: ordering })
    const first = await askTwice(app)
    expect(first.headers['set-cookie']?.[0]).toMatch(/^connect\.sid=/)
    expect(await all()).toMatchObject([{ orders: 1 }])
  })

  it('that cannot be saved does not run anything twice', async () => {
    const store = new MemoryStore()
    store.set = (_id, _session, callback) => callback?.(new Error('no room'))
    const failing = session({ secret: 'keyboard cat', resave: false, saveUninitialized: false, store })
    for (const options of [{ before: [failing] }, { after: [failing] }]) {
      let runs = 0
      await using app = await startContractApp({
        ...options,
        handler: (req, res) => {
          runs += 1
          req.session.orders = runs
          res.json({ runs })
        },
      })
      await app.ask({ key: 'a' }).catch(() => undefined)
      await app.ask({ key: 'a' }).catch(() => undefined)
      expect([runs, app.leaks]).toEqual([1, []])
    }
  })
})

describe('helmet', () => {
  const POLICY = 'content-security-policy'

  it('before it sets its headers on each sending and on refusals, and none of them is kept', async () => {
    await using app = await startContractApp({ before: [helmet()] })
    const answers = [await app.ask({ key: 'a' }), await app.ask({ key: 'a' }), await app.ask({ key: 'a', body: { other: 1 } }), await app.ask()]
    expect(answers.map(({ status, headers }) => [status, headers[POLICY] === undefined, headers['x-powered-by']])).toEqual(
      [200, 200, 422, 400].map((status) => [status, false, undefined]),
    )
    expect(namesOf(app.store.entry('a')?.reply?.headers)).not.toContain(POLICY)
  })

  it('after it is part of the reply that is kept; but what it takes away, which express sets each time, is there again in a replay', async () => {
    await using app = await startContractApp({ after: [helmet()] })
    const [first, again] = [await app.ask({ key: 'a' }), await app.ask({ key: 'a' })]
    expect([again.headers[POLICY], again.headers['idempotency-replayed']]).toEqual([first.headers[POLICY], 'true'])
    expect([first.headers['x-powered-by'], again.headers['x-powered-by']]).toEqual([undefined, 'Express'])
  })

  it('does not undo what the handler says otherwise', async () => {
    const first = await answerTwice((_req, res) => void res.set('X-Frame-Options', 'DENY').json({}), {}, { before: [helmet()] })
    expect(first.headers['x-frame-options']).toBe('DENY')
  })
})

describe('all of them together', () => {
  it('give the same reply to both, packed, under fresh headers, with one session', async () => {
    const { handler, all } = sessions()
    await using app = await startContractApp({ before: [helmet(), compressing, handler], caller: () => 'ann', handler: ordering })
    const first = await app.ask({ key: 'a', headers: GZIP })
    const again = await app.ask({ key: 'a', headers: GZIP })
    expect([first, again].map((answer) => [answer.status, unzipped(answer), answer.headers['x-frame-options']])).toEqual([
      [201, '{"orders":1}', 'SAMEORIGIN'],
      [201, '{"orders":1}', 'SAMEORIGIN'],
    ])
    expect(await all()).toHaveLength(1)
    expect(app.leaks).toEqual([])
  })
})

// Many calls of a contract in one exchange: each is decided and answered as PUT and GET …/reply decide and answer it, byte for byte, and none waits for another.
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'
import { settle } from '../support/engine.ts'
import { call, contract, done, eventsOf, lease, PAY, reply, REQUESTS } from '../support/pay-contract.ts'

afterEach(closeAll)

const GATHERED_MS = 2
const WAIT = { Prefer: 'wait=30' }
const json = (id: string, body: unknown = { amount: 5 }) => ({ id, call: { text: JSON.stringify(body), mediaType: 'application/json' } })
const many = (api: TestApi, items: readonly object[], headers: Record<string, string> = {}, token?: string) => api.post(`${PAY}/calls`, { items }, { headers, token })
const told = ({ body }: Answer) =>
  body.items.map(({ id, status, code, state }: Record<string, unknown>) => [id, status, ...(code === undefined ? [] : [code]), ...(state === undefined ? [] : [state])])

/** Begins an exchange and resolves when `waiting` of its items wait. */
const held = async (api: TestApi, items: readonly object[], waiting = items.length, token?: string): Promise<{ readonly answer: Promise<Answer> }> => {
  const answer = many(api, items, WAIT, token)
  answer.catch(() => undefined)
  await api.world.until((pending) => pending.filter((ms) => ms === 30_000).length >= waiting)
  return { answer }
}

const leasedAll = async (api: TestApi, max = 100): Promise<ReadonlyMap<string, string>> =>
  new Map((await lease(api, { max })).map(({ id, lease: token }: { id: string; lease: string }) => [id, token]))

/** Headers that belong to the sending and not to the reply. */
const OF_SENDING: ReadonlySet<string> = new Set(['cache-control', 'connection', 'content-length', 'date', 'keep-alive', 'stint-position', 'stint-request-id', 'vary'])
const ofReply = (headers: Headers): readonly (readonly [string, string])[] =>
  [...headers].filter(([name]) => !OF_SENDING.has(name) && !/^(?:x-content-type-options|content-security-policy|referrer-policy|cross-origin-resource-policy)$/.test(name))

const asHeaders = (said: Readonly<Record<string, string | readonly string[]>>): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(said)) for (const each of [value].flat()) headers.append(name, each)
  return headers
}

const bytesOf = ({ text, bodyBase64 }: { text?: string; bodyBase64?: string }): Buffer => (bodyBase64 === undefined ? Buffer.from(text ?? '') : Buffer.from(bodyBase64, 'base64'))

describe('many calls in one exchange', () => {
  it('are each given the reply that GET gives: status, headers, policy, expiry and bytes', async () => {
    const api = await startApi()
    const replies = {
      json: { status: 201, headers: { Location: '/p/1', 'Set-Cookie': ['a=1', 'b=2'] }, body: { paid: 'grün' } },
      binary: { status: 200, bodyBase64: Buffer.from([0, 255, 1, 254]).toString('base64'), mediaType: 'image/x-tiny' },
      marked: { status: 500, bodyBase64: Buffer.from('\ufeffno \u0000 "text"').toString('base64'), mediaType: 'text/plain; charset=utf-8' },
      nothing: { status: 204 },
    }
    const ids = Object.keys(replies)
    const { answer } = await held(
      api,
      ids.map((id) => json(id)),
    )
    const leases = await leasedAll(api)
    await Promise.all(Object.entries(replies).map(([id, given]) => reply(api, id, leases.get(id) ?? '', { reply: given })))
    const { items } = (await answer).body
    for (const [index, id] of ids.entries()) {
      const alone = await fetch(`${api.url}${REQUESTS}/${id}/reply`)
      const { status, reply: given } = items[index]
      expect([id, status, given.status]).toEqual([id, 200, alone.status])
      expect(bytesOf(given)).toEqual(Buffer.from(await alone.arrayBuffer()))
      expect(ofReply(asHeaders(given.headers))).toEqual(ofReply(alone.headers).filter(([name]) => name !== 'idempotency-replayed'))
    }
    expect(items.map(({ reply: given }: { reply: object }) => 'bodyBase64' in given)).toEqual([false, true, false, false])
    const again = (await many(api, [{ id: 'json' }, json('json')])).body.items
    for (const { reply: given } of again) expect(given).toEqual({ ...items[0].reply, headers: { ...items[0].reply.headers, 'Idempotency-Replayed': 'true' } })
  })

  it('are answered at once when one of them cannot be understood, wherever it stands', async () => {
    const api = await startApi()
    const bad = { id: 'bad', call: { mediaType: 'grün' } }
    for (const [index, items] of [
      [bad, json('a'), json('b')],
      [json('a'), bad, json('b')],
      [json('a'), json('b'), bad],
    ].entries()) {
      const { answer } = await held(api, items, 2)
      await settle()
      api.world.advance(GATHERED_MS)
      const among = told(await answer)
      expect(among.filter(([id]: [string]) => id === 'bad')).toEqual([['bad', 400, 'invalid']])
      expect(among.filter(([id]: [string]) => id !== 'bad').map(([id, status]: [string, number]) => [id, status])).toEqual(['a', 'b'].map((id) => [id, index === 0 ? 202 : 409]))
    }
  })

  it('are the same requests as those that PUT makes of the same bytes', async () => {
    const api = await startApi()
    const bytes = Buffer.from([0, 255, 1, 254])
    await call(api, 'a', '{"amount":5,"to":"x"}')
    await fetch(`${api.url}${REQUESTS}/raw`, { method: 'PUT', headers: { 'Content-Type': 'image/x-tiny' }, body: bytes })
    await fetch(`${api.url}${REQUESTS}/untyped`, { method: 'PUT', body: bytes })
    await fetch(`${api.url}${REQUESTS}/empty`, { method: 'PUT' })
    const raw = { bodyBase64: bytes.toString('base64') }
    expect(
      told(
        await many(api, [
          { id: 'a', call: { text: '{ "to": "x", "amount": 5 }', mediaType: 'application/json' } },
          { id: 'a', call: { text: '{"amount":5,"to":"x"}' } },
          { id: 'a', call: { text: '{"amount":5,"to":"x"}', mediaType: 'text/plain' } },
          { id: 'raw', call: { ...raw, mediaType: 'image/x-tiny' } },
          { id: 'raw', call: raw },
          { id: 'untyped', call: raw },
          { id: 'empty', call: {} },
          { id: 'empty', call: { text: ' ' } },
        ]),
      ),
    ).toEqual([
      ['a', 409, 'pending', 'waiting'],
      ['a', 409, 'pending', 'waiting'],
      ['a', 422, 'fingerprint-mismatch'],
      ['raw', 409, 'pending', 'waiting'],
      ['raw', 422, 'fingerprint-mismatch'],
      ['untyped', 409, 'pending', 'waiting'],
      ['empty', 409, 'pending', 'waiting'],
      ['empty', 422, 'fingerprint-mismatch'],
    ])
  })

  it('reach the worker byte for byte, and one without a media type as PUT would have it', async () => {
    const api = await startApi()
    const text = '{"account":12345678901234567890}'
    await many(api, [
      { id: 'a', call: { text, mediaType: 'application/json' } },
      { id: 'b', call: { bodyBase64: Buffer.from([0, 255]).toString('base64') } },
    ])
    await fetch(`${api.url}${REQUESTS}/c`, { method: 'PUT', body: Buffer.from([0, 255]) })
    const [a, b, c] = await lease(api, { max: 3 })
    expect([a.id, Buffer.from(a.bodyBase64, 'base64').toString()]).toEqual(['a', text])
    expect([b.id, b.mediaType, b.bodyBase64]).toEqual(['b', c.mediaType, c.bodyBase64])
  })

  it('may be one, without the list: it is answered by itself, and waits as PUT does', async () => {
    const api = await startApi()
    const one = (item: object, headers: Record<string, string> = {}) => api.post(`${PAY}/calls`, item, { headers })
    expect(await one(json('a'))).toMatchObject({ status: 202, body: { id: 'a', state: 'waiting' } })
    const answer = one({ id: 'a' }, WAIT)
    await api.world.until((pending) => pending.includes(30_000))
    await reply(api, 'a', (await leasedAll(api)).get('a') ?? '')
    expect(await answer).toMatchObject({ status: 200, body: { id: 'a', reply: { status: 201, text: '{"paid":true}' } } })
    expect((await one(json('a', { amount: 6 }))).status).toBe(422)
  })

  it('twice under one id run once, and both are answered', async () => {
    const api = await startApi()
    const { answer } = await held(api, [json('a'), json('a')])
    await reply(api, 'a', (await leasedAll(api)).get('a') ?? '')
    expect(told(await answer)).toEqual([
      ['a', 200],
      ['a', 200],
    ])
    expect((await answer).body.items.filter(({ reply: given }: { reply: { headers: object } }) => 'Idempotency-Replayed' in given.headers)).toHaveLength(1)
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('of which one is wrong are done but for that one, which is told the same as alone', async () => {
    const api = await startApi()
    await done(api, 'used')
    const large = 'x'.repeat(1024 * 1024 + 1)
    const answer = await many(api, [
      json('good'),
      json('used', { amount: 6 }),
      { id: 'none' },
      { id: 'both', call: { text: '1', bodyBase64: 'MQ==' } },
      { id: 'typed', call: { text: '1', mediaType: 'täxt' } },
      { id: 'called-back', call: { text: '1', callback: 'http://elsewhere.example/' } },
      { id: 'large', call: { text: large } },
      { id: 'a/b', call: {} },
    ])
    expect(told(answer)).toEqual([
      ['good', 202, 'waiting'],
      ['used', 422, 'fingerprint-mismatch'],
      ['none', 404, 'not-found'],
      ['both', 400, 'invalid'],
      ['typed', 400, 'invalid'],
      ['called-back', 400, 'invalid'],
      ['large', 413, 'too-large'],
      ['a/b', 400, 'invalid'],
    ])
    const paths = answer.body.items.flatMap(({ errors = [] }: { errors?: { path: string }[] }) => errors.map(({ path }) => path))
    expect(paths).toEqual(['/call/bodyBase64', '/call/mediaType', '/call/callback', '/id'])
    const alone = await call(api, 'large', large, { 'Content-Type': 'text/plain' })
    const { id: _id, ...item } = answer.body.items[6]
    expect({ ...item, instance: alone.body.instance }).toEqual(alone.body)
    expect(await leasedAll(api)).toHaveProperty('size', 1)
  })

  it('of which one is over the quota take the others, and say what to release and when to come again', async () => {
    const api = await startApi()
    await contract(api, { release: 'required', quota: { requests: 2 } })
    await done(api, 'kept')
    const { items } = (await many(api, [json('a'), json('b'), json('kept')])).body
    expect(items.map(({ status }: { status: number }) => status).toSorted()).toEqual([200, 202, 429])
    const refused = items.find(({ status }: { status: number }) => status === 429)
    expect(refused).toMatchObject({ code: 'over-quota', retryAfter: 10, oldest: [{ id: 'kept' }], callers: `${PAY}/callers` })
  })

  it('are counted as duplicates and noted for audit one by one', async () => {
    const api = await startApi()
    await done(api, 'a')
    await many(api, [json('a'), { id: 'a' }, json('a', { amount: 6 })])
    const page = await api.get('/metrics')
    expect(page.text).toMatch(/^stint_requests_replayed_total 1$/m)
    expect(page.text).toMatch(/^stint_requests_mismatched_total 1$/m)
    await settle()
    expect((await api.get('/v1/audit?code=fingerprint-mismatch')).body.items).toMatchObject([{ route: 'callRequests', target: 'request/pay/local/a' }])
  })
})

describe('an exchange of many calls that waits', () => {
  it('is held back while none of them has an answer, and then tells what is known of all', async () => {
    const api = await startApi()
    const { answer } = await held(api, [json('a'), json('b'), json('c')])
    const leases = await leasedAll(api, 2)
    await reply(api, 'b', leases.get('b') ?? '')
    await api.world.until((pending) => pending.includes(GATHERED_MS))
    api.world.advance(GATHERED_MS)
    expect(told(await answer)).toEqual([
      ['a', 202, 'running'],
      ['b', 200],
      ['c', 202, 'waiting'],
    ])
  })

  it('gives together what is there together, and does not wait once all are answered', async () => {
    const api = await startApi()
    await many(api, [json('a'), json('b'), json('c')])
    const { answer } = await held(api, [{ id: 'a' }, { id: 'b' }, { id: 'c' }])
    const leases = await leasedAll(api)
    await Promise.all(['a', 'b'].map((id) => reply(api, id, leases.get(id) ?? '')))
    await reply(api, 'c', leases.get('c') ?? '')
    expect(told(await answer)).toEqual(['a', 'b', 'c'].map((id) => [id, 200]))
  })

  it('does not hold back what is known from the start', async () => {
    const api = await startApi()
    await done(api, 'stored')
    await call(api, 'taken')
    const answer = many(api, [json('stored'), json('taken', { amount: 6 }), json('new')], WAIT)
    await api.world.until((pending) => pending.includes(GATHERED_MS))
    api.world.advance(GATHERED_MS)
    expect(told(await answer)).toEqual([
      ['stored', 200],
      ['taken', 422, 'fingerprint-mismatch'],
      ['new', 202, 'waiting'],
    ])
  })

  it('says that all are pending when its time is over, and at once without a wait', async () => {
    const api = await startApi()
    await call(api, 'old')
    const { answer } = await held(api, [json('a'), { id: 'old' }])
    api.world.advance(30_000)
    const pending = [
      ['a', 202, 'waiting'],
      ['old', 409, 'pending', 'waiting'],
    ]
    expect(told(await answer)).toEqual(pending)
    expect(told(await many(api, [json('b'), { id: 'old' }]))).toEqual([['b', 202, 'waiting'], pending[1]])
  })

  it('ends when its client goes, and the requests go on', async () => {
    const api = await startApi()
    const gone = new AbortController()
    const answer = api.post(`${PAY}/calls`, { items: [json('a'), json('b')] }, { headers: WAIT, signal: gone.signal }).catch(() => undefined)
    await api.world.until((pending) => pending.filter((ms) => ms === 30_000).length === 2)
    gone.abort()
    await answer
    await api.world.until((pending) => !pending.includes(30_000))
    const leases = await leasedAll(api)
    for (const id of ['a', 'b']) expect((await reply(api, id, leases.get(id) ?? '')).status).toBe(200)
  })

  it('gives as many bytes of replies as one answer may have, and the rest when it is asked again', async () => {
    const api = await startApi()
    const ids = Array.from({ length: 10 }, (_, index) => `r${index}`)
    await many(
      api,
      ids.map((id) => json(id)),
    )
    const leases = await leasedAll(api)
    const text = 'x'.repeat(1024 * 1024)
    for (const id of ids) await reply(api, id, leases.get(id) ?? '', { reply: { status: 200, body: text, mediaType: 'text/plain' } })
    const first = await many(
      api,
      ids.map((id) => ({ id })),
    )
    expect(told(first)).toEqual(ids.map((id, index) => (index < 8 ? [id, 200] : [id, 409, 'pending', 'completed'])))
    const rest = await many(
      api,
      ids.slice(8).map((id) => json(id)),
    )
    expect(rest.body.items.map(({ reply: given }: { reply: { text: string } }) => given.text === text)).toEqual([true, true])
  })
})

describe('the right to call many', () => {
  const closed = async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    const admin = await api.tokenFor('admin@example.com', 'admin')
    const ann = await api.tokenFor('ann@example.com')
    const bob = await api.tokenFor('bob@example.com')
    const lists = (callers: readonly string[]) => api.ask('PUT', PAY, { body: { callers, workers: ['bob@example.com'] }, token: admin })
    await lists(['ann@example.com'])
    const answered = async (ids: readonly string[]): Promise<void> => {
      const { items } = (await api.post(`${PAY}/lease`, { max: 10 }, { token: bob })).body
      for (const { id, lease: token, caller } of items)
        if (ids.includes(id)) await api.post(`${REQUESTS}/${id}/reply`, { lease: token, caller, reply: { status: 200, body: 'secret' } }, { token: bob })
    }
    return { api, admin, ann, bob, lists, answered }
  }

  it('is asked of each item: strangers and workers call nothing, and see nothing of what others called', async () => {
    const { api, ann, bob, admin, answered } = await closed()
    await many(api, [json('a')], {}, ann)
    await answered(['a'])
    const stranger = await api.tokenFor('stranger@example.com')
    for (const [who, token, status] of [
      ['a stranger', stranger, 403],
      ['a worker', bob, 403],
      ['an administrator', admin, 403],
    ] as const) {
      const answer = await many(api, [json('a'), { id: 'a' }], {}, token)
      expect([who, answer.body.items[0].status, answer.body.items[1].status >= 400, answer.text.includes('secret')]).toEqual([who, status, true, false])
    }
    expect(told(await many(api, [json('a'), { id: 'a' }, { id: 'b' }], {}, ann))).toEqual([
      ['a', 200],
      ['a', 200],
      ['b', 404, 'not-found'],
    ])
    expect((await api.post(`${PAY}/calls`, { items: [json('a')] })).status).toBe(401)
    const elsewhere = await api.ask('PUT', '/v1/contracts/none/requests/a', { body: 1, token: ann })
    expect(told(await api.post('/v1/contracts/none/calls', { items: [json('a')] }, { token: ann }))).toEqual([['a', elsewhere.status, elsewhere.body.code]])
  })

  it('is asked again after a wait: who may call no more is given no reply', async () => {
    const { api, ann, lists, answered } = await closed()
    await many(api, [json('a'), json('b')], {}, ann)
    const { answer } = await held(api, [{ id: 'a' }, json('b')], 2, ann)
    await lists([])
    await answered(['a', 'b'])
    expect((await answer).body.items.map(({ status, code }: Record<string, unknown>) => [status, code])).toEqual([
      [403, 'forbidden'],
      [403, 'forbidden'],
    ])
    expect((await answer).text).not.toContain('secret')
  })

  it('ends with the token, also during a wait', async () => {
    const { api, ann, admin, answered } = await closed()
    const { answer } = await held(api, [json('a'), json('b')], 2, ann)
    const { items } = (await api.get('/v1/tokens', { token: admin })).body
    await api.ask('DELETE', `/v1/tokens/${items.find(({ email }: { email: string }) => email === 'ann@example.com').id}`, { token: admin })
    await answered(['a', 'b'])
    expect((await answer).body.items.map(({ status, code }: Record<string, unknown>) => [status, code])).toEqual([
      [401, 'unauthenticated'],
      [401, 'unauthenticated'],
    ])
    expect((await answer).text).not.toContain('secret')
  })
})

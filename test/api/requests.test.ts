// Exactly-once requests over HTTP: accepted once, worked off under a lease, replied to once, and the same reply for every duplicate until it is released.
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi, type Answer } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { call, contract, done, eventsOf, lease, PAY, reply, REQUESTS } from '../support/pay-contract.ts'
import { virtualWorld } from '../support/virtual-world.ts'

afterEach(closeAll)

const seen = ({ status, text, headers }: Answer) => ({ status, text, location: headers.get('location'), cookies: headers.getSetCookie(), type: headers.get('content-type') })

describe('a call', () => {
  it('is accepted, and its caller told where to ask', async () => {
    const api = await startApi()
    const answer = await call(api, 'a')
    expect(answer.status).toBe(202)
    expect(answer.body).toMatchObject({ id: 'a', workItem: 'request/pay/local/a', kind: 'request', state: 'waiting', caller: 'local', contract: 'pay', bytes: 12 })
    expect(answer.headers.get('location')).toBe(`${REQUESTS}/a`)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('stint-release')).toBeNull()
  })

  it('that waits is given the reply itself, with what Stint has to say about it', async () => {
    const api = await startApi()
    const waiting = call(api, 'a', { amount: 5 }, { Prefer: 'wait=30' })
    await settle()
    const [leased] = await lease(api)
    expect(leased).toMatchObject({ id: 'a', caller: 'local', attempt: 1, mediaType: 'application/json', body: { amount: 5 } })
    await reply(api, 'a', leased.lease)
    const answer = await waiting
    expect(seen(answer)).toEqual({ status: 201, text: '{"paid":true}', location: '/p/1', cookies: ['a=1', 'b=2'], type: 'application/json' })
    expect(answer.headers.get('stint-work-item')).toBe('request/pay/local/a')
    expect(answer.headers.get('stint-release')).toMatch(/^encouraged; expires="\d{4}-.*Z"; uri="\/v1\/contracts\/pay\/requests\/a\/interaction"$/)
    expect(answer.headers.get('idempotency-replayed')).toBeNull()
  })

  it('may be of any type, and its worker gets the bytes', async () => {
    const api = await startApi()
    const bytes = Buffer.from([0, 255, 1, 254])
    const response = await fetch(`${api.url}${REQUESTS}/raw`, { method: 'PUT', headers: { 'Content-Type': 'image/x-tiny' }, body: bytes })
    expect(response.status).toBe(202)
    await response.text()
    expect(await lease(api)).toMatchObject([{ id: 'raw', mediaType: 'image/x-tiny', bodyBase64: bytes.toString('base64') }])
  })

  it.each([['x'.repeat(201)], ['text/plain; title=\xe9'], ['']])('with the media type %j is refused, so that no worker has to be given it', async (type) => {
    const api = await startApi()
    const sent = httpRequest(`${api.url}${REQUESTS}/a`, { method: 'PUT', headers: { 'Content-Type': type } }).end('x')
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect([response.statusCode, await json(response)]).toMatchObject([400, { code: 'invalid', errors: [{ path: '/headers/content-type' }] }])
    expect(await lease(api)).toEqual([])
  })

  it('is answered with nothing that only Stint can say, though its worker passes it on from elsewhere', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [leased] = await lease(api)
    const foreign = ['Idempotency-Replayed', 'Stint-Release', 'Stint-Work-Item', 'Stint-Position', 'Stint-Request-Id', 'Stint-Kept', 'Preference-Applied']
    await reply(api, 'a', leased.lease, { reply: { status: 200, headers: { ...Object.fromEntries(foreign.map((name) => [name, 'foreign'])), 'X-Own': 'own' } } })
    const { headers } = await call(api, 'a')
    expect([headers.get('x-own'), headers.get('idempotency-replayed')]).toEqual(['own', 'true'])
    expect([...headers].filter(([, value]) => value.includes('foreign'))).toEqual([])
  })

  it('in JSON that cannot be read without losing some of it goes to its worker byte for byte', async () => {
    const api = await startApi()
    const text = '{"account":12345678901234567890,"limit":1e400}'
    await call(api, 'a', text, { 'Content-Type': 'application/json' })
    const [{ body, bodyBase64 }] = await lease(api)
    expect([body, Buffer.from(bodyBase64, 'base64').toString()]).toEqual([undefined, text])
    expect((await call(api, 'a', text.replace('890', '891'), { 'Content-Type': 'application/json' })).status).toBe(422)
  })

  it('by Idempotency-Key is the call under that id, quoted or bare', async () => {
    const api = await startApi()
    const post = (key: string | undefined) => api.post(REQUESTS, { amount: 5 }, { headers: key === undefined ? {} : { 'Idempotency-Key': key } })
    expect((await post('"k-1"')).body.id).toBe('k-1')
    expect([(await post('k-1')).status, (await call(api, 'k-1')).status]).toEqual([409, 409])
    expect((await post(undefined)).body.errors).toMatchObject([{ path: '/headers/idempotency-key', code: 'required' }])
    expect((await post('not/an/id')).body.errors).toMatchObject([{ path: '/headers/idempotency-key', code: 'pattern' }])
  })

  it('larger than 1 MiB is refused and nothing of it is stored', async () => {
    const api = await startApi()
    const answer = await call(api, 'large', 'x'.repeat(1024 * 1024 + 1), { 'Content-Type': 'text/plain' })
    expect([answer.status, answer.body.code]).toEqual([413, 'too-large'])
    expect((await api.get(`${REQUESTS}/large`)).status).toBe(404)
    expect((await call(api, 'large', 'x'.repeat(1024 * 1024), { 'Content-Type': 'text/plain' })).status).toBe(202)
  })
})

describe('a duplicate', () => {
  it('of a pending request is cancelled, and the first goes on', async () => {
    const api = await startApi()
    await call(api, 'a')
    for (const state of ['waiting', 'running']) {
      const answer = await call(api, 'a', { amount: 5 })
      expect([answer.status, answer.body.code, answer.body.state]).toEqual([409, 'pending', state])
      expect([answer.headers.get('location'), answer.headers.get('retry-after')]).toEqual([`${REQUESTS}/a`, '1'])
      if (state === 'waiting') expect(await lease(api)).toHaveLength(1)
    }
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased'])
  })

  it('of a pending request is told to come again when the lease of a silent holder ends', async () => {
    const api = await startApi()
    await call(api, 'a')
    await lease(api, { leaseSeconds: 120 })
    const retryAfter = async (): Promise<string | null> => (await call(api, 'a')).headers.get('retry-after')
    const told: unknown[] = []
    for (const seconds of [0, 70, 15, 20]) {
      api.world.advance(seconds * 1_000)
      told.push(await retryAfter())
    }
    expect(told).toEqual(['1', '1', '30', '15'])
    const why = (await api.get(`${REQUESTS}/a/why`)).body
    expect(why).toMatchObject({ gate: 'running', detail: expect.stringContaining('its lease ends in 15 s') })
    expect(Date.parse(why.until)).toBe(api.world.now() + 15_000)
  })

  it('of a pending request that waits is given the reply of the first', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [leased] = await lease(api)
    const waiting = call(api, 'a', { amount: 5 }, { Prefer: 'wait=30' })
    await settle()
    await reply(api, 'a', leased.lease)
    const answer = await waiting
    expect([answer.status, answer.text, answer.headers.get('idempotency-replayed')]).toEqual([201, '{"paid":true}', 'true'])
  })

  it('of a request that was replied to is given the same again, byte for byte, also after a restart', async () => {
    const world = virtualWorld()
    const store = memoryStore({ world })
    const api = await startApi({ engine: await startEngine({ store, world }) })
    await done(api, 'a')
    const first = await call(api, 'a')
    expect(first.headers.get('idempotency-replayed')).toBe('true')
    const later = await startApi({ engine: await startEngine({ store, world }) })
    const again = await call(later, 'a')
    expect(seen(again)).toEqual(seen(first))
    expect(seen(again)).toEqual({ status: 201, text: '{"paid":true}', location: '/p/1', cookies: ['a=1', 'b=2'], type: 'application/json' })
    expect(again.headers.get('stint-release')).toBe(first.headers.get('stint-release'))
    expect(await eventsOf(later, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('is the same however its JSON is written, and another when it says something else', async () => {
    const api = await startApi()
    await done(api, 'a')
    expect((await call(api, 'a', '{ "amount" : 5 }')).status).toBe(201)
    for (const other of ['{"amount":6}', '[5]', 'no json']) {
      const answer = await call(api, 'a', other)
      expect([answer.status, answer.body.code]).toEqual([422, 'fingerprint-mismatch'])
      expect(answer.body.detail).toMatch(/came at \d{4}-/)
    }
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('is the same whether and how its type says that it is JSON, and other content under the same type, whatever its parameters', async () => {
    const api = await startApi()
    const put = async (id: string, body: string, type?: string): Promise<number> => {
      const answer = await fetch(`${api.url}${REQUESTS}/${id}`, { method: 'PUT', headers: type === undefined ? {} : { 'Content-Type': type }, body: Buffer.from(body) })
      await answer.text()
      return answer.status
    }
    expect(await put('a', '{"amount":5}', 'application/json')).toBe(202)
    for (const type of ['application/json; charset=utf-8', 'application/vnd.pay+json', undefined]) expect([type, await put('a', '{ "amount": 5 }', type)]).toEqual([type, 409])
    for (const type of ['application/x-www-form-urlencoded', 'text/plain']) expect([type, await put('a', '{"amount":5}', type)]).toEqual([type, 422])
    expect(await put('b', 'a=1', 'Text/Plain')).toBe(202)
    expect([await put('b', 'a=1', 'text/plain; charset=utf-8'), await put('b', 'a = 1', 'text/plain'), await put('b', 'a=1')]).toEqual([409, 422, 422])
  })

  it('of a request that was settled without a reply is told so, the same each time', async () => {
    const api = await startApi()
    await contract(api, { onInterrupted: 'fail' })
    await call(api, 'a')
    const [leased] = await lease(api)
    await api.post(`${REQUESTS}/a/fail`, { lease: leased.lease, failed: { code: 'no-bank', message: 'The bank is closed.' } })
    for (let time = 0; time < 2; time += 1) {
      const answer = await call(api, 'a')
      expect([answer.status, answer.body.code, answer.body.state, answer.headers.get('idempotency-replayed')]).toEqual([409, 'interrupted', 'failed', 'true'])
      expect(answer.body.detail).toBe('The bank is closed. (no-bank)')
    }
    expect((await api.get(`${REQUESTS}/a/why`)).body).toMatchObject({ detail: 'It has settled: failed, no-bank: The bank is closed.', failure: { code: 'no-bank' } })
    await call(api, 'b')
    await api.post(`${REQUESTS}/b/directives`, { directive: 'abort', reason: 'not needed' })
    expect((await call(api, 'b')).body).toMatchObject({ code: 'cancelled', state: 'cancelled' })
  })
})

describe('an execution', () => {
  it('whose lease ended is followed by another, and the reply of the first is refused', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [first] = await lease(api, { leaseSeconds: 10 })
    api.world.advance(40_000)
    await settle()
    const [second] = await lease(api, { worker: 'w2' })
    expect(second).toMatchObject({ id: 'a', attempt: 2 })
    expect((await reply(api, 'a', first.lease)).body.code).toBe('stale-lease')
    expect((await reply(api, 'a', second.lease)).body).toMatchObject({ state: 'completed', recorded: true })
    expect((await reply(api, 'a', first.lease)).body.code).toBe('settled')
  })

  it('that ends by time fails as interrupted where the contract says so', async () => {
    const api = await startApi()
    await contract(api, { onInterrupted: 'fail', leaseSeconds: 10 })
    await call(api, 'a')
    await lease(api)
    api.world.advance(40_000)
    await settle()
    expect((await call(api, 'a')).body).toMatchObject({ code: 'interrupted', state: 'failed' })
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'LeaseExpired', 'Failed'])
  })

  it('replies once: said again it is a repeat, said otherwise it comes too late', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [{ lease: token }] = await lease(api)
    const told = { id: 'a', state: 'completed', recorded: true, expiresAt: new Date(api.world.now() + 7 * 86_400_000).toISOString() }
    expect((await reply(api, 'a', token)).body).toEqual(told)
    expect((await reply(api, 'a', token)).body).toEqual(told)
    const other = await reply(api, 'a', token, { reply: { status: 500 } })
    expect(other.body).toEqual({ id: 'a', state: 'completed', recorded: true, late: true })
    expect((await reply(api, 'a', token, { reply: { status: 404 } })).body.code).toBe('settled')
    expect((await call(api, 'a')).status).toBe(201)
  })

  it('replies with text as text, where its type says that it is no JSON', async () => {
    const api = await startApi()
    for (const [id, said, type, text] of [
      ['a', { mediaType: 'text/plain', body: 'paid' }, 'text/plain', 'paid'],
      ['b', { headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<p>ü</p>' }, 'text/html; charset=utf-8', '<p>ü</p>'],
      ['c', { body: 'paid' }, 'application/json', '"paid"'],
      ['d', { mediaType: 'application/problem+json', body: 'paid' }, 'application/problem+json', '"paid"'],
    ] as const) {
      await call(api, id)
      const [leased] = await lease(api)
      await api.post(`${REQUESTS}/${id}/reply`, { lease: leased.lease, reply: { status: 200, ...said } })
      const answer = await call(api, id)
      expect([id, answer.headers.get('content-type'), answer.text]).toEqual([id, type, text])
    }
  })

  it('may be given back, extended, and failed to be tried again', async () => {
    const api = await startApi()
    await call(api, 'a')
    const [first] = await lease(api)
    expect((await api.post(`${REQUESTS}/a/extend`, { lease: first.lease, leaseSeconds: 600 })).body.state).toBe('running')
    expect((await api.post(`${REQUESTS}/a/release`, { lease: first.lease, reason: 'busy' })).body.state).toBe('waiting')
    const [second] = await lease(api)
    expect(second.attempt).toBe(1)
    expect((await api.post(`${REQUESTS}/a/fail`, { lease: second.lease, failed: { code: 'x', message: 'y' } })).body.state).toBe('waiting')
    api.world.advance(1_000)
    expect(await lease(api)).toMatchObject([{ id: 'a', attempt: 2 }])
  })

  it('goes straight to a worker that waits', async () => {
    const api = await startApi()
    const waiting = api.post(`${PAY}/lease`, { worker: 'w1' }, { headers: { Prefer: 'wait=30' } })
    await settle()
    const answer = await call(api, 'a')
    expect(answer.body.state).toBe('running')
    expect((await waiting).body.items).toMatchObject([{ id: 'a' }])
  })
})

describe('a release', () => {
  it('by its caller is final, idempotent, and never means a second execution', async () => {
    const api = await startApi()
    await call(api, 'a')
    const release = () => api.ask('DELETE', `${REQUESTS}/a/interaction`)
    expect((await release()).body.code).toBe('pending')
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    expect((await api.get(`${REQUESTS}/a`)).body).toMatchObject({ expiresAt: expect.any(String), interaction: `${REQUESTS}/a/interaction` })
    expect((await release()).body).toMatchObject({ id: 'a', released: { how: 'client' } })
    const shown = (await api.get(`${REQUESTS}/a`)).body
    expect([shown.released.how, shown.expiresAt, shown.interaction]).toEqual(['client', undefined, undefined])
    expect((await release()).status).toBe(200)
    for (const body of [{ amount: 5 }, { amount: 6 }]) expect([410, 422]).toContain((await call(api, 'a', body)).status)
    expect((await call(api, 'a')).body.code).toBe('released')
    expect(await lease(api)).toEqual([])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed', 'ReplyReleased'])
  })

  it('comes by itself when the published time is over', async () => {
    const api = await startApi()
    await contract(api, { release: 'none-required', retainSeconds: 60 })
    await done(api, 'a')
    api.world.advance(59_000)
    expect((await call(api, 'a')).status).toBe(201)
    api.world.advance(1_000)
    expect((await call(api, 'a')).body.code).toBe('released')
    expect((await api.get(`${REQUESTS}/a`)).body).toMatchObject({ state: 'completed', released: { how: 'time' } })
  })

  it('never comes by time where it is required', async () => {
    const api = await startApi()
    await contract(api, { release: 'required' })
    await done(api, 'a')
    api.world.advance(10 * 365 * 86_400_000)
    const answer = await call(api, 'a')
    expect([answer.status, answer.headers.get('stint-release')]).toEqual([201, `required; uri="${REQUESTS}/a/interaction"`])
  })

  it('of a contract that contradicts itself is refused by its field', async () => {
    const api = await startApi()
    const answer = await contract(api, { release: 'required', retainSeconds: 60 })
    expect(answer.body.errors).toMatchObject([{ path: '/retainSeconds' }])
  })
})

describe('a lease call', () => {
  it('that is repeated under its name is given the same requests, under the same leases', async () => {
    const api = await startApi()
    for (const id of ['a', 'b']) await call(api, id)
    const [first] = await lease(api, { worker: 'w1', requestId: 'r1' })
    const [again] = await lease(api, { worker: 'w1', requestId: 'r1' })
    expect([again.id, again.lease]).toEqual([first.id, first.lease])
    expect(await lease(api, { worker: 'w1', requestId: 'r2' })).toMatchObject([{ id: 'b' }])
  })
})

describe('a quota', () => {
  it('refuses what is new, answers duplicates, and is free again with the first release', async () => {
    const api = await startApi()
    await contract(api, { release: 'required', quota: { requests: 2 } })
    await done(api, 'a')
    await call(api, 'b')
    const refused = await call(api, 'c')
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([429, 'over-quota', '10'])
    expect((await api.get(`${REQUESTS}/c`)).status).toBe(404)
    expect((await call(api, 'a')).status).toBe(201)
    expect((await call(api, 'b')).body.code).toBe('pending')
    expect((await api.get(`${PAY}/callers`)).body.items).toMatchObject([{ caller: 'local', pending: 1, unreleased: 1, oldest: { workItem: 'request/pay/local/a' } }])
    await api.ask('DELETE', `${REQUESTS}/a/interaction`)
    expect((await call(api, 'c')).status).toBe(202)
  })
})

describe('a contract that is set up anew', () => {
  it('holds for requests to come, not for those that were accepted', async () => {
    const api = await startApi()
    await contract(api, { release: 'none-required', retainSeconds: 60 })
    await call(api, 'a')
    await contract(api, { release: 'required' })
    await call(api, 'b')
    for (const { id, lease: token } of await lease(api, { max: 2 })) await reply(api, id, token)
    expect((await call(api, 'a')).headers.get('stint-release')).toMatch(/^none-required; expires=/)
    expect((await call(api, 'b')).headers.get('stint-release')).toMatch(/^required; uri=/)
    api.world.advance(60_000)
    expect([(await call(api, 'a')).status, (await call(api, 'b')).status]).toEqual([410, 201])
  })
})

describe('what is refused about requests', () => {
  it('is on record: another request under an id, and a release by force', async () => {
    const api = await startApi()
    await contract(api, { callers: ['ann@example.com'] })
    const asAnn = { 'Stint-As': 'ann@example.com' }
    await call(api, 'a', { amount: 5 }, asAnn)
    expect((await call(api, 'a', { amount: 6 }, asAnn)).status).toBe(422)
    const [leased] = await lease(api)
    await reply(api, 'a', leased.lease)
    expect((await api.ask('DELETE', `${REQUESTS}/a/interaction?caller=ann@example.com`)).body).toMatchObject({ released: { how: 'force' } })
    expect((await call(api, 'a', { amount: 5 }, asAnn)).status).toBe(410)
    await settle()
    const { items } = (await api.get('/v1/audit')).body
    expect(items).toMatchObject([
      { code: 'released-by-force', target: 'request/pay/ann%40example.com/a' },
      { code: 'fingerprint-mismatch', subject: 'ann@example.com' },
    ])
  })
})

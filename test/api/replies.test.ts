// Replies to several requests in one exchange: each by itself as if it came alone, and the next lease beside them.
import { afterEach, describe, expect, it } from 'vitest'
import { REPLY_BYTES_MAX } from '../../src/wire/requests.ts'
import { connect, StintError } from '../../src/client/index.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { call, contract, eventsOf, lease, PAY, reply, REQUESTS } from '../support/pay-contract.ts'
import { configure, queueConfig } from '../support/queues.ts'

afterEach(closeAll)

const REPLIES = `${PAY}/replies`
const PAID = { status: 201, headers: { Location: '/p/1', 'Set-Cookie': ['a=1', 'b=2'] }, body: { paid: true } }

interface Leased {
  readonly id: string
  readonly lease: string
}

const said = ({ id, lease }: Leased, more: object = {}): object => ({ id, lease, reply: PAID, ...more })
const answers = (body: { readonly items: readonly { readonly id?: string; readonly status: number; readonly code?: string; readonly state?: string }[] }) =>
  body.items.map(({ id, status, code, state }) => [id, status, code ?? state])

/** Calls these and leases them, in their order. */
const leased = async (api: TestApi, ...ids: readonly string[]): Promise<readonly Leased[]> => {
  for (const id of ids) await call(api, id)
  return lease(api, { max: ids.length, worker: 'w1' })
}
const first = ([one]: readonly Leased[]): Leased => {
  if (one === undefined) throw new Error('Expected a leased request')
  return one
}

describe('replies in one exchange', () => {
  it('are each stored with its effects, and what is wrong with one is answered in its place', async () => {
    const api = await startApi()
    const [a, b, c, d] = (await leased(api, 'a', 'b', 'c', 'd')) as readonly [Leased, Leased, Leased, Leased]
    const task = (id: string) => ({ task: { app: 'shop', queue: 'mail', id, payload: 1 } })
    const told = await api.post(REPLIES, {
      items: [
        said(a, { effects: [task('of-a')] }),
        said({ ...b, lease: a.lease }, { caller: 'local', effects: [task('of-b')] }),
        said(c, { reply: { status: 200, body: 'x'.repeat(REPLY_BYTES_MAX) } }),
        { id: 'd', lease: d.lease, reply: { status: 99 } },
        said(d, { reply: { status: 402, body: 'no money', mediaType: 'text/plain' }, effects: [task('of-d')] }),
        said({ id: 'none', lease: '1.none' }),
      ],
    })
    expect(answers(told.body)).toEqual([
      ['a', 200, 'completed'],
      ['b', 409, 'stale-lease'],
      ['c', 400, 'invalid'],
      ['d', 400, 'invalid'],
      ['d', 200, 'completed'],
      ['none', 409, 'stale-lease'],
    ])
    expect([told.body.items[2].errors, told.body.items[3].errors]).toMatchObject([[{ path: '/reply/body', code: 'length' }], [{ path: '/reply/status', code: 'range' }]])
    await settle()
    expect([(await call(api, 'a')).status, (await call(api, 'd')).text, (await call(api, 'b')).body.code, (await call(api, 'c')).body.code]).toEqual([
      201,
      'no money',
      'pending',
      'pending',
    ])
    expect((await api.post('/v1/queues/shop/mail/tasks/lease', { max: 10 })).body.items).toMatchObject([{ id: 'of-a' }, { id: 'of-d' }])
    expect(api.errors).toEqual([])
  })

  it('that are repeated are answered as the first time, whichever way they come, and stored once', async () => {
    const api = await startApi()
    await contract(api, { release: 'none-required', retainSeconds: 60 })
    const [a, b] = (await leased(api, 'a', 'b')) as readonly [Leased, Leased]
    const body = { items: [said(a), said(b)] }
    const told = (await api.post(REPLIES, body)).body
    const { status: _status, ...alone } = told.items[0]
    expect(told.items[0]).toEqual({ id: 'a', status: 200, state: 'completed', recorded: true, expiresAt: new Date(api.world.now() + 60_000).toISOString() })
    expect((await api.post(REPLIES, body)).body).toEqual(told)
    expect((await reply(api, 'a', a.lease)).body).toEqual(alone)
    expect((await api.post(REPLIES, said(a))).body).toEqual(alone)
    const others = await api.post(REPLIES, { items: [said(a, { reply: { status: 500 } }), said(b, { effects: [{ directive: { workItem: 'job/none', directive: 'abort' } }] })] })
    expect(others.body.items).toMatchObject([{ late: true }, { late: true }])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed', 'LateResultRecorded'])
  })

  it('may be to requests of the same id of two callers', async () => {
    const api = await startApi()
    await contract(api, { callers: ['ann@example.com', 'bob@example.com'], workers: ['wendy@example.com'] })
    const as = (email: string) => ({ headers: { 'Stint-As': email } })
    for (const caller of ['ann@example.com', 'bob@example.com']) await api.ask('PUT', `${REQUESTS}/a`, { body: { caller }, ...as(caller) })
    const { items } = (await api.post(`${PAY}/lease`, { max: 2 }, as('wendy@example.com'))).body as { items: readonly (Leased & { readonly caller: string })[] }
    const replies = items.map((one) => said(one, { caller: one.caller, reply: { status: 200, body: one.caller } }))
    expect(answers((await api.post(REPLIES, { items: replies }, as('wendy@example.com'))).body)).toEqual([
      ['a', 200, 'completed'],
      ['a', 200, 'completed'],
    ])
    for (const caller of ['ann@example.com', 'bob@example.com']) expect((await api.ask('PUT', `${REQUESTS}/a`, { body: { caller }, ...as(caller) })).body).toBe(caller)
  })

  it('are authorised one by one: the worker for the contract, and for each of the effects', async () => {
    const api = await startApi({ engine: await startEngine({ settings: { openQueues: false } }), settings: { auth: { tokens: true } } })
    await configure(api, queueConfig('shop', 'mail', { writers: ['wendy@example.com'] }))
    await configure(api, queueConfig('shop', 'money', { writers: ['till@example.com'] }))
    const [admin, caller, wendy, stranger] = await Promise.all([
      api.tokenFor('adam@example.com', 'admin'),
      api.tokenFor('ann@example.com', 'requester'),
      api.tokenFor('wendy@example.com', 'worker'),
      api.tokenFor('sam@example.com', 'worker'),
    ])
    await api.ask('PUT', PAY, { body: { callers: ['ann@example.com'], workers: ['wendy@example.com'] }, token: admin })
    for (const id of ['a', 'b', 'c', 'd']) await api.ask('PUT', `${REQUESTS}/${id}`, { body: 1, token: caller })
    const { items } = (await api.post(`${PAY}/lease`, { max: 3 }, { token: wendy })).body
    const into = (queue: string) => ({ effects: [{ task: { app: 'shop', queue, payload: 1 } }] })
    const body = {
      items: [said(items[0], into('mail')), said(items[1], into('money')), said(items[2], { effects: [{ directive: { workItem: 'job/none', directive: 'abort' } }] })],
    }
    const foreign = await api.post(REPLIES, { ...body, lease: { max: 1 } }, { token: stranger })
    expect(answers(foreign.body).map(([, status, code]) => [status, code])).toEqual([
      [403, 'forbidden'],
      [403, 'forbidden'],
      [403, 'forbidden'],
    ])
    expect(foreign.body.leased).toMatchObject({ items: [], problem: { code: 'forbidden', status: 403 } })
    expect(answers((await api.post(REPLIES, body, { token: wendy })).body)).toEqual([
      ['a', 200, 'completed'],
      ['b', 403, 'forbidden'],
      ['c', 403, 'forbidden'],
    ])
    expect((await api.post(REPLIES, body)).status).toBe(401)
  })
})

describe('a reply whose effects are nowhere to be carried out', () => {
  it('is told as a failure by a worker, and the handler does not run again', async () => {
    const api = await startApi({ engine: await startEngine({ settings: { openQueues: false } }) })
    await call(api, 'a')
    const client = connect({ url: api.url })
    const problems: string[] = []
    let runs = 0
    const onProblem = (problem: Error): void => void problems.push(problem instanceof StintError ? problem.code : problem.name)
    const worker = client.requestWorker({ contract: 'pay', graceSeconds: 0, isBusy: () => false, onProblem }, () => {
      runs += 1
      return { body: 1, effects: [{ task: { app: 'no', queue: 'where', payload: 1 } }] }
    })
    while (worker.figures().failed + worker.figures().refused === 0) await new Promise((resolve) => setImmediate(resolve))
    await worker.close()
    await client.close()
    expect([runs, problems, worker.figures()]).toMatchObject([1, ['not-found'], { failed: 1, refused: 0 }])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Failed'])
  })
})

describe('the next lease beside replies', () => {
  it('that meets a defect while the replies are stored is the misfortune of its call alone', async () => {
    const { engine, ...rest } = await startEngine()
    let isDefective = false
    const contracts: typeof engine.contracts = {
      ...engine.contracts,
      lease: (...asked) => (isDefective ? Promise.reject(new Error('a defect')) : engine.contracts.lease(...asked)),
      reply: async (...asked) => {
        await settle()
        return engine.contracts.reply(...asked)
      },
    }
    const api = await startApi({ engine: { ...rest, engine: { ...engine, contracts } } })
    const one = first(await leased(api, 'a'))
    isDefective = true
    // Nobody hears of a promise that is rejected while nobody waits for it but the process, which then ends.
    const unheard: unknown[] = []
    const note = (cause: unknown): void => void unheard.push(cause)
    process.on('unhandledRejection', note)
    const told = await api.post(REPLIES, { items: [said(one)], lease: {} })
    await settle()
    process.off('unhandledRejection', note)
    expect([told.status, unheard]).toEqual([500, []])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('comes along, although a reply is refused', async () => {
    const api = await startApi()
    const [a, b] = (await leased(api, 'a', 'b')) as readonly [Leased, Leased]
    for (const id of ['c', 'd', 'e']) await call(api, id, { amount: id })
    const told = await api.post(REPLIES, { items: [said(a), said({ ...b, lease: '1.none' })], lease: { max: 2, worker: 'w1', leaseSeconds: 5 } })
    expect(answers(told.body)).toEqual([
      ['a', 200, 'completed'],
      ['b', 409, 'stale-lease'],
    ])
    expect(told.body.leased.items).toMatchObject([
      { id: 'c', body: { amount: 'c' }, attempt: 1, holder: { name: 'w1' } },
      { id: 'd', body: { amount: 'd' } },
    ])
    const until = told.body.leased.items.map(({ leaseUntil }: { leaseUntil: string }) => Date.parse(leaseUntil) - api.world.now())
    expect(until).toEqual([5_000, 5_000])
    const next = await api.post(REPLIES, { items: told.body.leased.items.map((one: Leased) => said(one)), lease: {} })
    expect([answers(next.body).map(([, status]) => status), next.body.leased.items]).toMatchObject([[200, 200], [{ id: 'e' }]])
  })

  it('does not wait, and brings nothing when nothing was asked', async () => {
    const api = await startApi()
    const one = first(await leased(api, 'a'))
    const told = await api.post(REPLIES, { items: [said(one)], lease: { max: 5 } }, { headers: { Prefer: 'wait=30' } })
    expect(told.body.leased).toEqual({ items: [] })
    expect((await api.post(REPLIES, { items: [said(one)] })).body).not.toHaveProperty('leased')
  })

  it('that is repeated with the replies brings the same again', async () => {
    const api = await startApi()
    const one = first(await leased(api, 'a'))
    for (const id of ['b', 'c', 'd']) await call(api, id)
    const body = { items: [said(one)], lease: { max: 2, worker: 'w1', requestId: 'r1' } }
    const told = (await api.post(REPLIES, body)).body
    const again = (await api.post(REPLIES, body)).body
    expect(again).toEqual(told)
    expect(again.leased.items.map(({ id }: Leased) => id)).toEqual(['b', 'c'])
    expect(await eventsOf(api, 'b')).toEqual(['RequestAccepted', 'Leased'])
  })

  it('is refused with all of them when it cannot be read', async () => {
    const api = await startApi()
    const one = first(await leased(api, 'a'))
    const bad = await api.post(REPLIES, { items: [said(one)], lease: { max: 0, tag: 'a' } })
    expect([bad.status, bad.body.errors.map(({ path, code }: { path: string; code: string }) => `${path} ${code}`)]).toEqual([400, ['/lease/max range', '/lease/tag unknown']])
    expect(await eventsOf(api, 'a')).toEqual(['RequestAccepted', 'Leased'])
  })
})

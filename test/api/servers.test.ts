// Several servers behind their own HTTP: any of them takes any call, and passes on what another gives out.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DEFAULT_CONTRACT } from '../../src/domain/contract.ts'
import { DEFAULT_STINT_SETTINGS, type QueueConfig } from '../../src/domain/queue/config.ts'
import { contractLine } from '../../src/domain/leader.ts'
import { SERVER_GRACE_MS, SERVER_TERM_MS } from '../../src/engine/cluster/membership.ts'
import type { ApiSettings } from '../../src/api/settings.ts'
import { closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'
import { contextOf, insert, right, settle } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { createServers, expectEqualServers, leaderOf, type Servers, type TestServer } from '../support/servers.ts'

interface Served extends TestApi {
  readonly at: TestServer
}

let servers: Servers
beforeEach(() => {
  servers = createServers()
})
afterEach(async () => {
  await closeAll()
  await servers.close()
})

const start = async (settings: Partial<ApiSettings> = {}, engine: Parameters<Servers['start']>[1] = {}): Promise<readonly [Served, Served, Served]> => {
  const all: Served[] = []
  for (const name of ['a', 'b', 'c']) {
    const at = await servers.start(name, { url: '', ...engine })
    const api = await startApi({ engine: at, settings })
    right(await at.engine.announce(api.url))
    all.push({ ...api, at })
  }
  await settle()
  return all as unknown as readonly [Served, Served, Served]
}

/** Whoever gives out the tasks of the queue, and the two others. */
const roles = async (all: readonly Served[]): Promise<{ readonly leader: Served; readonly one: Served; readonly two: Served }> => {
  const led = await leaderOf(servers, (all[0] as Served).at)
  await settle()
  const leader = all.find(({ at }) => at === led)
  const [one, two] = all.filter((each) => each !== leader)
  if (leader === undefined || one === undefined || two === undefined) throw new Error('Expected one of three to lead')
  return { leader, one, two }
}

const TASKS = '/v1/queues/shop/mail/tasks'
const idsIn = ({ body }: Answer): readonly string[] => (body.items as readonly { readonly id: string }[]).map(({ id }) => id)

describe('a lease call', () => {
  it('is answered by any server as by the one that leads', async () => {
    const { leader, one, two } = await roles(await start())
    expect((await one.post(TASKS, { id: '1', payload: 'x' })).status).toBe(201)
    const leased = await two.post(`${TASKS}/lease`, { max: 5, worker: 'w' })
    expect([leased.status, idsIn(leased)]).toEqual([200, ['1']])
    const { lease } = leased.body.items[0] as { readonly lease: string }
    const completed = await one.post(`${TASKS}/complete`, { id: '1', lease })
    expect(completed.body).toMatchObject({ id: '1', state: 'completed' })
    const read = await leader.get(`${TASKS}/1`, { headers: { 'Stint-Position': completed.headers.get('stint-position') ?? '' } })
    expect(read.body).toMatchObject({ state: 'completed' })
    expect([leader, one, two].flatMap(({ errors }) => errors)).toEqual([])
    await expectEqualServers(servers)
  })

  it('finds what its caller has inserted elsewhere just before', async () => {
    const { leader, one } = await roles(await start())
    leader.at.connection.hold()
    await one.post(TASKS, { id: '1', payload: 'x' })
    const leasing = one.post(`${TASKS}/lease`, { worker: 'w' })
    await settle()
    leader.at.connection.resume()
    expect(idsIn(await leasing)).toEqual(['1'])
  })

  it('finds what its caller has seen, whichever server it asks next', async () => {
    const { leader, one, two } = await roles(await start())
    for (const { at } of [leader, two]) at.connection.hold()
    const put = await one.post(TASKS, { id: '1', payload: 'x' })
    const headers = { 'Stint-Position': put.headers.get('stint-position') ?? '' }
    const leasing = two.post(`${TASKS}/lease`, { worker: 'w' }, { headers })
    await settle()
    for (const { at } of [leader, two]) at.connection.resume()
    expect(idsIn(await leasing)).toEqual(['1'])
  })

  it('waits at the server that leads, and ends there when its caller is gone', async () => {
    const { leader, one, two } = await roles(await start())
    const waiters = () => leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters
    const leaving = new AbortController()
    const left = one.post(`${TASKS}/lease`, { worker: 'w' }, { headers: { Prefer: 'wait=60' }, signal: leaving.signal }).catch(() => 'gone')
    await until(() => waiters() === 1)
    leaving.abort()
    expect(await left).toBe('gone')
    await until(() => waiters() === 0)
    const waiting = one.post(`${TASKS}/lease`, { worker: 'w' }, { headers: { Prefer: 'wait=60' } })
    await until(() => waiters() === 1)
    await two.post(TASKS, { id: '1', payload: 'x' })
    const answer = await waiting
    expect([answer.headers.get('preference-applied'), idsIn(answer)]).toEqual(['wait=60', ['1']])
  })

  it('that is repeated through another server gets what the first got', async () => {
    const { one, two } = await roles(await start())
    await one.post(TASKS, { items: ['1', '2'].map((id) => ({ id, payload: 'x' })) })
    const first = await one.post(`${TASKS}/lease`, { worker: 'w', requestId: 'r1' })
    const again = await two.post(`${TASKS}/lease`, { worker: 'w', requestId: 'r1' })
    expect(again.body.items).toEqual(first.body.items)
  })

  it('beside completions is passed on with them', async () => {
    const { one, two } = await roles(await start())
    await one.post(TASKS, { items: ['1', '2'].map((id) => ({ id, payload: 'x' })) })
    const [first] = (await two.post(`${TASKS}/lease`, { worker: 'w' })).body.items as readonly { readonly id: string; readonly lease: string }[]
    const answer = await one.post(`${TASKS}/complete`, { items: [{ id: first?.id, lease: first?.lease }], lease: { worker: 'w' } })
    expect(answer.body).toMatchObject({ items: [{ id: '1', state: 'completed', status: 200 }], leased: { items: [{ id: '2' }] } })
  })

  it('of the Task Queue API is passed on too', async () => {
    const { one, two } = await roles(await start())
    await one.post(TASKS, { id: '1', payload: 'x' })
    const path = '/taskqueue/v1beta2/projects/shop/taskqueues/mail/tasks/lease?numTasks=3&leaseSecs=30'
    const response = await fetch(two.url + path, { method: 'POST' })
    expect(await response.json()).toMatchObject({ kind: 'taskqueues#tasks', items: [{ id: '1' }] })
  })

  it('of a contract is passed on, and the reply taken anywhere', async () => {
    const [a, b, c] = await start()
    const context = contextOf(servers.world, 'admin')
    right(await a.engine.contracts.configure('pay', { ...DEFAULT_CONTRACT, callers: [], workers: [] }, context))
    expect((await b.ask('PUT', '/v1/contracts/pay/requests/r1', { body: { amount: 7 } })).status).toBe(202)
    const leading = await c.engine.leaderOf(contractLine('pay'))
    const [one, two] = [a, b, c].filter(({ at }) => at.name !== (leading === 'here' ? 'c' : leading?.server)) as [Served, Served]
    const leased = await one.post('/v1/contracts/pay/lease', { worker: 'w' })
    expect(idsIn(leased)).toEqual(['r1'])
    const { lease } = leased.body.items[0] as { readonly lease: string }
    two.at.connection.hold()
    const replying = two.post('/v1/contracts/pay/requests/r1/reply', { lease, reply: { status: 200, body: { paid: true } } })
    await settle()
    two.at.connection.resume()
    expect((await replying).status).toBe(200)
  })

  it('of a contract beside replies is passed on with them, and replies alone are taken anywhere', async () => {
    const [a, b, c] = await start()
    right(await a.engine.contracts.configure('pay', { ...DEFAULT_CONTRACT, callers: [], workers: [] }, contextOf(servers.world, 'admin')))
    for (const id of ['r1', 'r2', 'r3']) await b.ask('PUT', `/v1/contracts/pay/requests/${id}`, { body: { amount: 7 } })
    const leading = await c.engine.leaderOf(contractLine('pay'))
    const [one, two] = [a, b, c].filter(({ at }) => at.name !== (leading === 'here' ? 'c' : leading?.server)) as [Served, Served]
    const said = ({ id, lease }: { readonly id: string; readonly lease: string }) => ({ id, lease, reply: { status: 200 } })
    const leased = await one.post('/v1/contracts/pay/lease', { worker: 'w', max: 2 })
    const [first, second] = leased.body.items.map(said)
    const answer = await two.post('/v1/contracts/pay/replies', { items: [first], lease: { worker: 'w' } })
    expect(answer.body).toMatchObject({ items: [{ id: 'r1', state: 'completed', status: 200 }], leased: { items: [{ id: 'r3' }] } })
    const alone = await one.post('/v1/contracts/pay/replies', { items: [second] }, { headers: { 'Stint-Forwarded': '1' } })
    expect(alone.body).toEqual({ items: [expect.objectContaining({ id: 'r2', state: 'completed', status: 200 })] })
  })
})

describe('a call that was passed on', () => {
  it('is not passed on again: nobody leads then, and it may be repeated', async () => {
    const { one } = await roles(await start())
    const refused = await one.post(`${TASKS}/lease`, { worker: 'w' }, { headers: { 'Stint-Forwarded': '1' } })
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([503, 'no-leader', '1'])
  })

  it('goes to the server that leads, whatever host its request line names', async () => {
    const { one } = await roles(await start())
    const met: string[] = []
    const stranger = createServer((req, res) => {
      met.push(req.url ?? '')
      res.end('{}')
    })
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as AddressInfo
    await one.post(TASKS, { id: '1', payload: 'x' })
    const body = JSON.stringify({ worker: 'w' })
    const head = `Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
    const text = await one.raw(`POST http://127.0.0.1:${port}${TASKS}/lease HTTP/1.1\r\n${head}${body}`)
    await new Promise((resolve) => stranger.close(resolve))
    expect(met).toEqual([])
    expect(text).toContain('"id":"1"')
  })

  it('is told that nobody leads when the leader cannot be reached, and when it is gone while the call waits', async () => {
    const { leader, one } = await roles(await start())
    const waiting = one.post(`${TASKS}/lease`, { worker: 'w' }, { headers: { Prefer: 'wait=60' } })
    await until(() => leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters === 1)
    // The machine is gone: nothing closes the connection.
    leader.at.connection.cut()
    await servers.pass(SERVER_TERM_MS + SERVER_GRACE_MS + 1_000)
    expect((await waiting).body.code).toBe('no-leader')
    await insert(one.at, '1')
    await settle()
    expect(idsIn(await one.post(`${TASKS}/lease`, { worker: 'w' }))).toEqual(['1'])
  })

  it('is told who cannot be reached where a server says the wrong address, and the operator once, until it is right', async () => {
    const { leader, one } = await roles(await start())
    right(await leader.engine.announce('http://127.0.0.1:9'))
    await settle()
    for (const attempt of [1, 2]) {
      const refused = await one.post(`${TASKS}/lease`, { worker: `w${attempt}` })
      expect(refused.body).toMatchObject({ code: 'no-leader', detail: expect.stringMatching(/^[abc] gives it out, and cannot be reached/) })
    }
    expect(one.warnings.map((line) => JSON.parse(line) as unknown)).toEqual([expect.objectContaining({ url: 'http://127.0.0.1:9', msg: expect.stringContaining('--advertise') })])
    right(await leader.engine.announce(leader.url))
    await settle()
    expect((await one.post(`${TASKS}/lease`, { worker: 'w' })).status).toBe(200)
  })

  it('is answered at once when the server that passed it on stops', async () => {
    const { leader, one } = await roles(await start())
    const waiting = one.post(`${TASKS}/lease`, { worker: 'w' }, { headers: { Prefer: 'wait=60' } })
    await until(() => leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters === 1)
    await one.server.close({ graceMs: 5_000 })
    expect((await waiting).body.code).toBe('stopping')
    await until(() => leader.engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters === 0)
  })

  it('is authorised where it ends as where it began, by the caller’s own token', async () => {
    const { leader, one, two } = await roles(await start({ auth: { tokens: true } }, { openQueues: false }))
    const config: QueueConfig = { app: 'shop', queue: 'mail', mode: 'pull', users: ['worker@example.com'], writers: ['maker@example.com'], stint: DEFAULT_STINT_SETTINGS }
    right(await leader.engine.queues.apply([config], 'change', contextOf(servers.world, 'admin')))
    const worker = await two.tokenFor('worker@example.com', 'worker')
    const stranger = await two.tokenFor('stranger@example.com', 'worker')
    const maker = await leader.tokenFor('maker@example.com', 'producer')
    await settle()
    expect((await one.post(TASKS, { id: '1', payload: 'x' }, { token: maker })).status).toBe(201)
    const answers = [
      await one.post(`${TASKS}/lease`, {}, { token: stranger }),
      await one.post(`${TASKS}/lease`, {}),
      await one.post(`${TASKS}/lease`, { worker: 'w' }, { token: worker }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([403, 401, 200])
    expect(leader.engine.live('task/shop/mail/1')).toMatchObject({ status: 'running', lease: { holder: { subject: 'worker@example.com' } } })
  })
})

describe('a refusal by a server that lags', () => {
  it('is decided once more on what the log has: tokens, queues, leases', async () => {
    const [a, b] = await start({ auth: { tokens: true } })
    await settle()
    b.at.connection.hold()
    const config: QueueConfig = { app: 'shop', queue: 'mail', mode: 'pull', users: ['anna@example.com'], writers: ['anna@example.com'], stint: DEFAULT_STINT_SETTINGS }
    right(await a.engine.queues.apply([config], 'change', contextOf(servers.world, 'admin')))
    const token = await a.tokenFor('anna@example.com', 'producer')
    const inserting = b.post(TASKS, { id: '1', payload: 'x' }, { token })
    await settle()
    b.at.connection.resume()
    expect((await inserting).status).toBe(201)
    expect(b.errors).toEqual([])
  })

  it('stays what it is when the log has nothing new', async () => {
    const [a] = await start({ auth: { tokens: true } })
    expect((await a.get(`${TASKS}/1`, { token: 'stint_0123456789ab_nothing' })).status).toBe(401)
    const token = await a.tokenFor('admin@example.com', 'admin')
    await settle()
    expect((await a.get(`${TASKS}/1`, { token })).status).toBe(404)
  })
})

// Several servers over one log, each asked over a channel: what another gives out is passed on as from HTTP, for the caller who asked.
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ApiSettings } from '../../src/api/settings.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { contextOf, right, settle } from '../support/engine.ts'
import { until } from '../support/eventually.ts'
import { cutChannels, openRawChannel, type ChannelAnswer } from '../support/raw-channel.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { createServers, leaderOf, type Servers, type TestServer } from '../support/servers.ts'

let servers: Servers
beforeEach(() => {
  servers = createServers()
})
afterEach(async () => {
  cutChannels()
  await closeAll()
  await servers.close()
})

interface Served extends TestApi {
  readonly at: TestServer
}

/** Whoever gives out the tasks of the queue, and another. */
const start = async (settings: Partial<ApiSettings> = {}): Promise<{ readonly leader: Served; readonly other: Served }> => {
  const all: Served[] = []
  for (const name of ['a', 'b']) {
    const at = await servers.start(name, { url: '' })
    const api = await startApi({ engine: at, settings })
    right(await at.engine.announce(api.url))
    all.push({ ...api, at })
  }
  await settle()
  const led = await leaderOf(servers, (all[0] as Served).at)
  await settle()
  const leader = all.find(({ at }) => at === led)
  const other = all.find(({ at }) => at !== led)
  if (leader === undefined || other === undefined) throw new Error('Expected one of two to lead')
  return { leader, other }
}

const TASKS = '/v1/queues/shop/mail/tasks'
const itemsIn = ({ body }: ChannelAnswer): readonly object[] => (JSON.parse(body.toString()) as { items: object[] }).items
const waiters = ({ engine }: Served): number => engine.queues.figuresOf({ app: 'shop', queue: 'mail' }).waiters

it('a lease call over a channel is answered as by the server that leads', async () => {
  const { leader, other } = await start()
  const channel = await openRawChannel(other.port)
  await channel.ask('POST', TASKS, { body: '{"id":"1","payload":"Zo\u00eb"}' })
  const leased = await channel.ask('POST', `${TASKS}/lease`, { headers: ['Stint-Request-Id', 'r1'], body: '{"worker":"w"}' })
  expect([leased.status, leased.headers.get('stint-request-id'), itemsIn(leased)]).toEqual([200, 'r1', [expect.objectContaining({ id: '1', payload: 'Zo\u00eb' })]])
  expect([...leader.errors, ...other.errors, ...leader.warnings, ...other.warnings]).toEqual([])
})

it('nobody passes for a server over a channel', async () => {
  const { other } = await start()
  const channel = await openRawChannel(other.port)
  await channel.ask('POST', TASKS, { body: '{"id":"1"}' })
  expect((await other.post(`${TASKS}/lease`, {}, { headers: { 'Stint-Forwarded': '1' } })).status).toBe(503)
  const leased = await channel.ask('POST', `${TASKS}/lease`, { headers: ['Stint-Forwarded', '1'], body: '{}' })
  expect([leased.status, itemsIn(leased)]).toEqual([200, [expect.objectContaining({ id: '1' })]])
})

it('a lease call over a channel waits at the server that leads, and ends there when it is cancelled or cut', async () => {
  const { leader, other } = await start()
  const channel = await openRawChannel(other.port)
  const poll = { headers: ['Prefer', 'wait=60'], body: '{"worker":"w"}' }
  const { id } = channel.begin('POST', `${TASKS}/lease`, poll)
  await until(() => waiters(leader) === 1)
  channel.cancel(id)
  await until(() => waiters(leader) === 0)
  const { answer } = channel.begin('POST', `${TASKS}/lease`, poll)
  await until(() => waiters(leader) === 1)
  await leader.post(TASKS, { id: '1' })
  expect(itemsIn(await answer)).toMatchObject([{ id: '1' }])
  channel.begin('POST', `${TASKS}/lease`, poll)
  await until(() => waiters(leader) === 1)
  channel.socket.terminate()
  await until(() => waiters(leader) === 0)
})

it('a call over a channel is passed on for the caller whom it names, not for the one who opened the channel', async () => {
  const { leader, other } = await start({ auth: { tokens: true } })
  await configure(leader, queueConfig('shop', 'mail', { users: ['worker@example.com'], writers: ['producer@example.com'] }))
  const tokenFor = async (email: string): Promise<string> => right(await leader.engine.tokens.add({ name: email, email, roles: [] }, contextOf(leader.world, 'test'))).token
  const [worker, producer] = [await tokenFor('worker@example.com'), await tokenFor('producer@example.com')]
  await settle()
  const as = (token: string): readonly string[] => ['Authorization', `Bearer ${token}`]
  const opener = await openRawChannel(other.port, { Authorization: `Bearer ${worker}` })
  expect((await opener.ask('POST', TASKS, { headers: as(producer), body: '{"id":"1"}' })).status).toBe(201)
  expect((await opener.ask('POST', `${TASKS}/lease`, { headers: as(producer), body: '{}' })).status).toBe(403)
  const producers = await openRawChannel(other.port, { Authorization: `Bearer ${producer}` })
  expect((await producers.ask('POST', `${TASKS}/lease`, { body: '{}' })).status).toBe(403)
  const leased = await producers.ask('POST', `${TASKS}/lease`, { headers: as(worker), body: '{}' })
  expect([leased.status, itemsIn(leased)]).toEqual([200, [expect.objectContaining({ id: '1' })]])
})

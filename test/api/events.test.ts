// The event stream: followed, filtered, resumed, kept from those who may not see it, and ended by a stop.
import { afterEach, describe, expect, it } from 'vitest'
import { right, settle } from '../support/engine.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { readStream, type Reader } from '../support/sse.ts'

afterEach(closeAll)

const watch = (api: TestApi, query = '', headers: Record<string, string> = {}): Promise<Reader> => readStream(`${api.url}/v1/events${query}`, headers)

const register = (api: TestApi, id: string, token?: string) => api.post('/v1/jobs', { id, service: 'index', server: 's1' }, { token })
const typesIn = (text: string): string[] => [...text.matchAll(/"type":"(\w+)"/g)].map((match) => match[1] ?? '')
const idsIn = (text: string): string[] => [...text.matchAll(/^id: (.+)$/gm)].map((match) => match[1] ?? '')

describe('when a reader loses its right', () => {
  const tokensOn = { settings: { auth: { tokens: true } } }
  const begin = async (api: TestApi, token: string) => {
    const reader = await watch(api, '?after=start', { Authorization: `Bearer ${token}` })
    await reader.until('event: caughtUp')
    return reader
  }

  it('is shown nothing more of what happens, within a second of the revocation', async () => {
    const api = await startApi(tokensOn)
    const servers = await api.tokenFor('server@example.com', 'jobServer')
    const token = await api.tokenFor('viewer@example.com', 'viewer')
    const admin = await api.tokenFor('admin@example.com', 'admin')
    await register(api, 'a', servers)
    const reader = await begin(api, token)
    const { body } = await api.get('/v1/tokens', { token: admin })
    const { id } = body.items.find((entry: { email: string }) => entry.email === 'viewer@example.com')
    await api.ask('DELETE', `/v1/tokens/${id}`, { token: admin })
    api.world.advance(1_000)
    await register(api, 'b', servers)
    await reader.ended
    expect(reader.text()).toContain('"job/a"')
    expect(reader.text()).not.toContain('"job/b"')
  })

  it('is let go with the next comment after its token has expired, though nothing happens', async () => {
    const api = await startApi(tokensOn)
    const given = { name: 'short', email: 'viewer@example.com', roles: ['viewer'], expiresMs: 10_000 }
    const { token } = right(await api.engine.tokens.add(given, { subject: 'test', actor: 'test', commandId: api.world.uuid() }))
    const reader = await begin(api, token)
    api.world.advance(15_000)
    await reader.ended
    expect(reader.text()).toContain('event: caughtUp')
  })
})

describe('what was erased', () => {
  it('is shown without its data, and the stream goes on behind it', async () => {
    const api = await startApi()
    const { lease } = (await register(api, 'a')).body
    await api.post('/v1/jobs/a/reports', { lease, outcome: { completed: { result: 'a secret' } } })
    expect((await api.post('/v1/work-items/job%2Fa/erase', { reason: 'asked' })).status).toBe(200)
    await register(api, 'b')
    const reader = await watch(api, '?after=start')
    const text = await reader.until('event: caughtUp')
    expect(typesIn(text)).toEqual(['JobRegistered', 'Leased', 'Completed', 'Erased', 'JobRegistered', 'Leased'])
    expect(text.match(/"data":null/g)).toHaveLength(3)
    expect(text).not.toContain('a secret')
    expect(api.errors).toEqual([])
  })
})

describe('when a place beyond the end of the log is named', () => {
  it('waits for it, and then says that it is behind', async () => {
    const api = await startApi()
    const { body } = await register(api, 'a')
    const beyond = body.position.replace(/\d{16}$/, '9999999999999999')
    const answer = api.get(`/v1/events?after=${beyond}`)
    await api.world.until((pending) => pending.includes(5_000))
    api.world.advance(5_000)
    expect(await answer).toMatchObject({ status: 503, body: { code: 'behind' } })
  })
})

describe('when the log is watched', () => {
  it('sends what is there, says that it has caught up, and goes on', async () => {
    const api = await startApi()
    await register(api, 'a')
    const reader = await watch(api, '?after=start')
    expect(reader.response.headers['content-type']).toBe('text/event-stream')
    const first = await reader.until('event: caughtUp')
    expect(typesIn(first)).toEqual(['JobRegistered', 'Leased'])
    expect(first).not.toMatch(/"token"/)
    await register(api, 'b')
    const more = await reader.until(/"job\/b"[\s\S]*event: caughtUp/)
    expect(typesIn(more)).toEqual(['JobRegistered', 'Leased', 'JobRegistered', 'Leased'])
    expect(idsIn(more)).toEqual(idsIn(more).toSorted())
  })

  it('begins with what comes next when no place is named', async () => {
    const api = await startApi()
    await register(api, 'a')
    const reader = await watch(api)
    await reader.until('event: caughtUp')
    await register(api, 'b')
    expect(await reader.until('"job/b"')).not.toContain('"job/a"')
  })

  it('resumes after the last event that was read, without gap and without repeat', async () => {
    const api = await startApi()
    for (const id of ['a', 'b', 'c']) await register(api, id)
    const all = await watch(api, '?after=start')
    const text = await all.until('event: caughtUp')
    const ids = idsIn(text)
    all.close()
    for (const [index, id] of ids.slice(0, -1).entries()) {
      const reader = await watch(api, '?after=start', { 'Last-Event-ID': id })
      const rest = await reader.until('event: caughtUp')
      expect(idsIn(rest).slice(0, -1)).toEqual(ids.slice(index + 1, -1))
      reader.close()
    }
  })

  it('keeps to the filters', async () => {
    const api = await startApi()
    await register(api, 'a')
    await register(api, 'b')
    await api.post('/v1/queues/shop/mail/tasks', { id: 't', payload: 1 })
    const of = async (query: string) => {
      const reader = await watch(api, `?after=start&${query}`)
      const text = await reader.until('event: caughtUp')
      reader.close()
      return [...text.matchAll(/"workItem":"([^"]+)"/g)].map((match) => match[1])
    }
    expect(await of('workItem=job%2Fb')).toEqual(['job/b', 'job/b'])
    expect(await of('kind=task')).toEqual(['task/shop/mail/t'])
    expect(await of('type=Leased')).toEqual(['job/a', 'job/b'])
    expect(await of('type=TaskInserted,JobRegistered')).toEqual(['job/a', 'job/b', 'task/shop/mail/t'])
  })

  it('refuses types that there are not, and names those that there are', async () => {
    const api = await startApi()
    const refused = await api.get('/v1/events?type=Leased,Leasd')
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ path: '/query/type', code: 'choice' }] } })
    expect(refused.body.errors[0].detail).toMatch(/"Leasd" is none\. There are JobRegistered, .*\bLeased, .*LateResultRecorded/)
    expect((await api.get('/v1/events?type=')).status).toBe(400)
    const reader = await watch(api, '?after=start&type=Leased,%20Completed')
    await reader.until('event: caughtUp')
    reader.close()
  })

  it('shows every 15 seconds that the connection lives', async () => {
    const api = await startApi()
    const reader = await watch(api)
    await reader.until('event: caughtUp')
    api.world.advance(15_000)
    await reader.until(/\n:\n\n/)
    api.world.advance(15_000)
    await reader.until(/\n:\n\n:\n\n/)
  })

  it('refuses a place in another log, and a work item that is none', async () => {
    const api = await startApi()
    for (const [path, headers, status] of [
      ['/v1/events?after=abcdefgh.0000000000000001', {}, 412],
      ['/v1/events', { 'Last-Event-ID': 'nonsense' }, 412],
      ['/v1/events?workItem=job', {}, 400],
      ['/v1/events', { Accept: 'application/json' }, 406],
    ] as const) {
      expect((await api.get(path, { headers })).status).toBe(status)
    }
  })
})

describe('when a reader may not see everything', () => {
  it('gets the events of its own items only, and never those of other streams', async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    const ann = await api.tokenFor('ann@example.com', 'jobServer')
    const bob = await api.tokenFor('bob@example.com', 'jobServer')
    const viewer = await api.tokenFor('vera@example.com', 'viewer')
    const made = await register(api, 'a', ann)
    await register(api, 'b', bob)
    await api.post('/v1/jobs/a/reports', { lease: made.body.lease, outcome: { completed: {} } }, { token: ann })
    const read = async (token: string) => {
      const reader = await watch(api, '?after=start', { Authorization: `Bearer ${token}` })
      const text = await reader.until('event: caughtUp')
      reader.close()
      return text
    }
    expect(new Set((await read(ann)).match(/"job\/\w"/g))).toEqual(new Set(['"job/a"']))
    expect(new Set((await read(bob)).match(/"job\/\w"/g))).toEqual(new Set(['"job/b"']))
    const all = await read(viewer)
    expect(new Set(all.match(/"job\/\w"/g))).toEqual(new Set(['"job/a"', '"job/b"']))
    expect(all).not.toMatch(/TokenAdded|digest":"[\w-]+","expires/)
  })
})

describe('when readers are many, slow or gone', () => {
  it('refuses those over the limit until one has left', async () => {
    const api = await startApi({ settings: { eventClientsMax: 2 } })
    const first = await watch(api)
    await watch(api)
    const refused = await api.get('/v1/events')
    expect([refused.status, refused.body.code]).toEqual([503, 'overloaded'])
    expect((await api.get('/metrics')).text).toContain('stint_event_clients 2')
    const timers = api.world.pending().length
    first.close()
    await api.world.until((pending) => pending.length < timers)
    expect((await watch(api)).response.statusCode).toBe(200)
  })

  it('lets one that reads nothing wait without holding up another, and drops it after a minute', async () => {
    const api = await startApi()
    const slow = await watch(api)
    slow.response.pause()
    const quick = await watch(api)
    await quick.until('event: caughtUp')
    const attributes = { text: 'x'.repeat(15_000) }
    const items = (batch: number) => Array.from({ length: 200 }, (_, index) => ({ id: `${batch}-${index}`, service: 'index', server: 's1', attributes }))
    // More than the buffers of both ends of a loopback connection hold.
    for (let batch = 0; batch < 5; batch++) await api.post('/v1/jobs', { items: items(batch) })
    await quick.until('"job/4-199"')
    await api.world.until((pending) => pending.includes(60_000))
    api.world.advance(60_000)
    slow.response.resume()
    await slow.ended
    expect(slow.text()).not.toContain('"job/4-199"')
  })

  it('ends all streams when the server stops', async () => {
    const api = await startApi()
    const reader = await watch(api)
    await reader.until('event: caughtUp')
    await api.server.close({ graceMs: 5_000 })
    await reader.ended
    await settle()
    expect(reader.response.complete).toBe(true)
  })
})

// Every call gives over a channel what it gives over HTTP: the same status and the same bytes, asked of two servers to which the same things have happened.
import { request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi } from '../support/api.ts'
import { cutChannels, openRawChannel, type ChannelAnswer } from '../support/raw-channel.ts'

afterEach(async () => {
  cutChannels()
  await closeAll()
})

interface Asked {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

const json = { 'Content-Type': 'application/json' }
const get = (path: string, headers?: Readonly<Record<string, string>>): Asked => ({ method: 'GET', path, ...(headers === undefined ? {} : { headers }) })
const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Asked => ({
  method: 'POST',
  path,
  headers: { ...json, ...headers },
  body: JSON.stringify(body),
})

/** The path goes out as it is: no client of HTTP puts it right. */
const overHttp = (port: number, { method, path, headers, body }: Asked): Promise<ChannelAnswer> =>
  new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, path, headers: { ...headers, ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }) } })
    sent.once('error', reject)
    sent.once('response', (answer) => {
      buffer(answer).then((read) => resolve({ status: answer.statusCode ?? 0, headers: new Map(Object.entries(answer.headers) as [string, string][]), body: read }), reject)
    })
    sent.end(body)
  })

/** Of the transport, not of the answer. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'date',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'cache-control',
  'x-content-type-options',
  'content-security-policy',
  'referrer-policy',
  'cross-origin-resource-policy',
])

const seen = ({ status, headers, body }: ChannelAnswer) => ({
  status,
  body: body.toString('latin1'),
  headers: Object.fromEntries([...headers].filter(([name]) => !NOT_CARRIED.has(name))),
})

/** Asks two servers of the same past the same, one over HTTP and one over a channel, and expects the same answers; these are the statuses. */
const expectSame = async (asked: readonly (Asked | ((last: ChannelAnswer) => Asked))[]): Promise<readonly number[]> => {
  const [one, two] = [await startApi(), await startApi()]
  const channel = await openRawChannel(two.port)
  const statuses: number[] = []
  let last: ChannelAnswer = { status: 0, headers: new Map(), body: Buffer.alloc(0) }
  for (const [index, each] of asked.entries()) {
    const ask = typeof each === 'function' ? each(last) : each
    const headers = { 'Stint-Request-Id': `call-${index}`, ...ask.headers }
    last = await overHttp(one.port, { ...ask, headers })
    const http = seen(last)
    const carried = seen(await channel.ask(ask.method, ask.path, { headers: Object.entries(headers).flat(), ...(ask.body === undefined ? {} : { body: ask.body }) }))
    expect({ ask, ...carried }).toEqual({ ask, ...http })
    statuses.push(http.status)
  }
  expect([...one.errors, ...two.errors]).toEqual([])
  return statuses
}

const leaseIn = (body: Buffer): string => (JSON.parse(body.toString()) as { items: { lease: string }[] }).items[0]?.lease ?? ''

const TASKS = '/v1/queues/shop/mail/tasks'

describe('over a channel as over HTTP', () => {
  it('tasks are inserted, shown, leased and completed', async () => {
    const statuses = await expectSame([
      post(TASKS, { id: 'a', payload: { text: 'Zoë ☂' } }),
      post(TASKS, { id: 'a', payload: { text: 'Zoë ☂' } }),
      post(TASKS, { id: 'a', payload: 'other' }),
      post(TASKS, { items: [{ id: 'b', payload: 1 }, { id: 'not an id' }, { id: 'c', payloadBase64: 'AAH/' }] }),
      get(`${TASKS}/a?payload=true`),
      get(`${TASKS}/c?payload=true`),
      get(`${TASKS}/a`, { 'If-None-Match': '"1"' }),
      get(`${TASKS}?state=waiting&limit=2`),
      post(`${TASKS}/lease`, { max: 2, worker: 'w' }),
      post(`${TASKS}/complete`, { id: 'a', lease: 'stale' }),
      get(`${TASKS}/a/history`),
      get(`${TASKS}/a/why`),
      { method: 'DELETE', path: `${TASKS}/c` },
    ])
    expect(statuses).toEqual([201, 200, 409, 200, 200, 200, 200, 200, 200, 409, 200, 200, 200])
  })

  it('what has not changed is not sent again', async () => {
    const again = (etag: (last: string) => string) => (last: ChannelAnswer) => get('/v1/jobs/j', { 'If-None-Match': etag(last.headers.get('etag') ?? '') })
    const asked = [post('/v1/jobs', { id: 'j', service: 'index', server: 's' }), get('/v1/jobs/j'), again((etag) => etag), again((etag) => `"x", ${etag}`), again(() => '"x"')]
    expect(await expectSame(asked)).toEqual([201, 200, 304, 304, 200])
  })

  it('a command that is repeated with its key is answered as at first', async () => {
    const key = { 'Idempotency-Key': '"k1"' }
    expect(
      await expectSame([
        post(TASKS, { payload: 1 }, key),
        post(TASKS, { payload: 1 }, key),
        post(TASKS, { payload: 2 }, key),
        post(TASKS, { payload: 2 }, { 'Idempotency-Key': '' }),
      ]),
    ).toEqual([201, 200, 409, 400])
  })

  it('bodies that cannot be understood are refused', async () => {
    const raw = (body: string | Buffer, headers: Readonly<Record<string, string>> = json): Asked => ({ method: 'POST', path: TASKS, headers, body })
    expect(
      await expectSame([
        raw('{"id":'),
        raw(''),
        raw('{"id":"a","surplus":{}}'),
        raw(Buffer.from([0x22, 0xff, 0x22])),
        raw('[]'),
        raw('{"payload":1,"surplus":1}'),
        raw('{"payload":1}', { 'Content-Type': 'text/plain' }),
        raw('{"payload":1}', { ...json, 'Content-Encoding': 'gzip' }),
        raw('{"payload":1}', { 'Content-Type': 'application/json; charset="utf-8"' }),
        raw('{"payload":"\u2028\n"}'),
      ]),
    ).toEqual([400, 400, 400, 400, 400, 400, 415, 415, 201, 400])
  })

  it('what is nowhere, and what is not done there, is refused', async () => {
    expect(
      await expectSame([
        get('/v1/nothing'),
        get('/v1/jobs/'),
        get('/v1/'),
        get('/v1//jobs'),
        get('/v1/jobs/j/'),
        get('/v1/jobs//why'),
        get('/v1/channel'),
        { method: 'PATCH', path: '/v1/jobs' },
        { method: 'DELETE', path: '/v1/jobs/j' },
        { method: 'OPTIONS', path: '/v1/jobs/j' },
        { method: 'OPTIONS', path: '/v1/nothing' },
        { method: 'OPTIONS', path: '/v1/jobs/%zz' },
        { method: 'TRACE', path: '/v1/jobs/j' },
        { method: 'PROPFIND', path: '/v1/nothing' },
        { method: 'HEAD', path: '/v1/jobs' },
        { method: 'HEAD', path: '/v1/jobs/j' },
        { method: 'HEAD', path: '/v1/nothing' },
      ]),
    ).toEqual([404, 404, 404, 404, 404, 404, 404, 405, 405, 204, 404, 204, 405, 404, 200, 404, 404])
  })

  it('paths are taken apart and decoded in the same way', async () => {
    const ids = [
      'a%2Fb',
      '%25',
      '%2525',
      'a%20b',
      'a+b',
      '%C3%A4',
      '%E2%98%82',
      '.',
      '..',
      '...',
      '%2e%2E',
      'a;b',
      'a,b',
      'a:b',
      '@',
      '$&',
      "(')!*",
      '%00',
      'a%0Ab',
      '%3F',
      '%23x',
      '~',
      'a%2',
      '%',
      '%zz',
      '%E2%98',
      '%ff',
      'x'.repeat(300),
    ]
    const paths = ids.flatMap((id) => [
      get(`/v1/jobs/${id}`),
      get(`/v1/work-items/${id}`),
      get(`/v1/work-items/job%2F${id}/history`),
      get(`/v1/queues/${id}/mail/tasks/${id}`),
      get(`/v1/nothing/${id}`),
    ])
    const statuses = await expectSame([post('/v1/jobs', { id: 'j~.1', service: 'index', server: 's' }), get('/v1/jobs/j~%2E1'), get('/v1/work-items/job%2Fj~.1'), ...paths])
    expect([statuses.slice(0, 3), new Set(statuses.slice(3))]).toEqual([[201, 200, 200], new Set([400, 404])])
  })

  it('query parameters are read in the same way', async () => {
    const queries = [
      'limit=1',
      'limit=0',
      'limit=1&limit=2',
      'limit=%31',
      'surplus=1',
      '',
      '?',
      'state=%zz',
      'limit=1;',
      '&&',
      'limit',
      'limit=1#x',
      'service=a%26b',
      'service=a+b',
      'label=%C3%A4',
    ]
    const statuses = await expectSame(queries.map((query) => get(`/v1/jobs?${query}`)))
    expect(new Set(statuses)).toEqual(new Set([200, 400]))
  })

  it('an answer is made in what is accepted, or not at all', async () => {
    const accept = (value: string): Asked => get('/v1/jobs', { Accept: value })
    const values = ['application/json', 'application/*', '*/*;q=0.1', 'text/html', 'text/html, */*', 'application/problem+json', 'application/json;q=0', 'nonsense', '']
    expect(await expectSame(values.map(accept))).toEqual([200, 200, 200, 406, 200, 406, 200, 406, 200])
  })

  it('bytes of any type are given to a contract, and a reply of any comes back', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    const replies = { status: 418, headers: { 'X-Said': 'tea', 'Content-Type': 'image/x-pot' }, bodyBase64: Buffer.from(bytes.toReversed()).toString('base64') }
    const put = { method: 'PUT', path: '/v1/contracts/pay/requests/r', headers: { 'Content-Type': 'image/png' }, body: bytes }
    expect(
      await expectSame([
        { method: 'PUT', path: '/v1/contracts/pay', headers: json, body: '{"callers":["*"],"workers":["*"]}' },
        put,
        put,
        { ...put, body: 'other' },
        { ...put, headers: { 'Content-Type': 'image/gif' } },
        post('/v1/contracts/pay/lease', {}),
        ({ body }) => post('/v1/contracts/pay/requests/r/reply', { lease: leaseIn(body), reply: replies }),
        put,
        get('/v1/contracts/pay/requests/r/reply'),
      ]),
    ).toEqual([201, 202, 409, 422, 422, 200, 200, 418, 418])
  })

  it('who asks as somebody is taken for somebody', async () => {
    expect(
      await expectSame([get('/v1/jobs', { 'Stint-As': 'ann@example.com' }), get('/v1/tokens', { 'Stint-As': 'ann@example.com' }), get('/v1/jobs', { 'Stint-As': 'nobody' })]),
    ).toEqual([200, 403, 400])
  })

  it('a page of another name is let in nowhere', async () => {
    expect(await expectSame([get('/v1/jobs', { Host: 'evil.example.com' }), get('/v1/jobs', { Host: 'localhost:1' })])).toEqual([403, 200])
  })
})

// Bytes that no client of ours would send, over bare sockets: what is not HTTP, what is too large, what never ends, and what is told apart only by its headers.
import { connect } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi, type TestApi } from '../support/api.ts'

afterEach(closeAll)

const HEAD = 'Host: localhost\r\nConnection: close\r\n'
const post = (body: string | Buffer, headers = 'Content-Type: application/json\r\n', length?: number): Buffer =>
  Buffer.concat([Buffer.from(`POST /v1/jobs HTTP/1.1\r\n${HEAD}${headers}Content-Length: ${length ?? Buffer.byteLength(body)}\r\n\r\n`), Buffer.from(body)])

const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
const bodyOf = (text: string): { code?: string; errors?: readonly { path: string; code: string }[] } => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as never

const refusal = async (api: TestApi, bytes: string | Buffer): Promise<readonly [number, string | undefined]> => {
  const text = await api.raw(bytes)
  expect(text).toMatch(/content-type: application\/problem\+json/i)
  return [statusOf(text), bodyOf(text).code]
}

describe('what is not HTTP', () => {
  it.each([
    ['noise', 'hello\r\n\r\n'],
    ['no such method', 'BREW /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a line break in a header', 'GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX: a\nb\r\n\r\n'],
    ['two lengths', `POST /v1/jobs HTTP/1.1\r\n${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x`],
    ['a length and chunks', `POST /v1/jobs HTTP/1.1\r\n${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a chunk that is none', `POST /v1/jobs HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n`],
  ])('%s is not valid', async (_what, bytes) => {
    const api = await startApi()
    expect(await refusal(api, bytes)).toEqual([400, 'invalid'])
  })

  it('headers without end are too large', async () => {
    const api = await startApi()
    expect(await refusal(api, `GET /v1/jobs HTTP/1.1\r\n${HEAD}X: ${'a'.repeat(20_000)}\r\n\r\n`)).toEqual([431, 'headers-too-large'])
    expect(await refusal(api, `GET /v1/jobs?${'a'.repeat(20_000)} HTTP/1.1\r\n${HEAD}\r\n`)).toEqual([431, 'headers-too-large'])
  })
})

describe('bodies', () => {
  it.each([
    ['of broken UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 'json'],
    ['of overlong UTF-8', Buffer.from([0x22, 0xc0, 0x80, 0x22]), 'json'],
    ['of UTF-16', Buffer.from('{"a":1}', 'utf16le'), 'json'],
    ['with a byte order mark', Buffer.from('\ufeff{}'), 'json'],
    ['with two values', '{} {}', 'json'],
    ['with a comment', '{/* */}', 'json'],
    ['with NaN', '{"expectedSeconds":NaN}', 'json'],
    ['with brackets hidden in text, for another reason than depth', `{"a":"${'['.repeat(100)}"}`, 'required'],
    ['with 64 levels', `${'['.repeat(64)}${']'.repeat(64)}`, 'type'],
    ['of more parts than memory has room for', `[${'{},'.repeat(1_000_000)}{}]`, 'length'],
    ['with more fields than memory has room for', `{${'"a":1,'.repeat(1_000_000)}"b":1}`, 'length'],
    ['with 65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'depth'],
    ['with quotes that do not close', '{"a":"\\"[[[[', 'json'],
  ])('%s are not valid', async (_what, body, code) => {
    const api = await startApi()
    const text = await api.raw(post(body))
    expect([statusOf(text), bodyOf(text).errors?.[0]?.code]).toEqual([400, code])
  })

  it('are measured in bytes where bytes are what is limited', async () => {
    const api = await startApi()
    const job = (letters: string) => ({ service: 'index', server: 's1', attributes: { letters } })
    expect((await api.post('/v1/jobs', job('e'.repeat(16_000)))).status).toBe(201)
    const answer = await api.post('/v1/jobs', job('é'.repeat(16_000)))
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: '/attributes', code: 'length' }] } })
  })

  it('are told in plain words what they should have been', async () => {
    const api = await startApi()
    expect((await api.post('/v1/jobs', [])).body.detail).toBe('Expected an object.')
    expect((await api.post('/v1/jobs/j/reports', { lease: 'x', progress: 1 })).body.detail).toBe('Expected an object.')
  })

  it('whose length is too large are refused before they are sent', async () => {
    const api = await startApi()
    const text = await api.raw(post('{', undefined, 10_000_000_000).subarray(0, -1).toString())
    expect([statusOf(text), bodyOf(text).code]).toEqual([413, 'too-large'])
  })

  it('that grow too large in chunks are refused on the way', async () => {
    const api = await startApi({ settings: { manyBytesMax: 1_000 } })
    const chunk = `200\r\n${' '.repeat(0x200)}\r\n`
    const text = await api.raw(`POST /v1/jobs HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}0\r\n\r\n`)
    expect([statusOf(text), bodyOf(text).code]).toEqual([413, 'too-large'])
  })

  it('without a length or a type are not there, or not understood', async () => {
    const api = await startApi()
    expect(await refusal(api, `POST /v1/jobs HTTP/1.1\r\n${HEAD}\r\n`)).toEqual([400, 'invalid'])
    expect(await refusal(api, post('{}', ''))).toEqual([415, 'unsupported-media-type'])
  })

  it('that are cut off leave no trace', async () => {
    const api = await startApi()
    const socket = connect(api.port, '127.0.0.1')
    socket.write(post('{"id":"cut","service":"index","server":"s1"', undefined, 100))
    await once(socket, 'connect')
    socket.destroy()
    await once(socket, 'close')
    expect((await api.get('/v1/jobs/cut')).status).toBe(404)
    expect(api.errors).toEqual([])
  })
})

describe('one connection', () => {
  it('carries requests one after another, and answers them in order', async () => {
    const api = await startApi()
    const get = (path: string, last = false) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${last ? 'Connection: close\r\n' : ''}\r\n`
    const text = await api.raw(get('/healthz') + get('/v1/jobs/none') + get('/v1/me', true))
    expect([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => match[1])).toEqual(['200', '404', '200'])
  })

  it('can ask in absolute form, but for nothing that is not here', async () => {
    const api = await startApi()
    expect(statusOf(await api.raw(`GET http://localhost/healthz HTTP/1.1\r\n${HEAD}\r\n`))).toBe(200)
    expect(statusOf(await api.raw(`OPTIONS * HTTP/1.1\r\n${HEAD}\r\n`))).toBe(404)
    expect(statusOf(await api.raw(`GET /v1/jobs/../../etc/passwd HTTP/1.1\r\n${HEAD}\r\n`))).toBe(404)
  })
})

describe('every answer', () => {
  it('tells a browser to make nothing of it', async () => {
    const api = await startApi()
    for (const path of ['/healthz', '/v1/jobs', '/v1/nothing', '/metrics', '/openapi.json']) {
      const { headers } = await api.get(path)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('cache-control')).toMatch(/no-store|no-cache/)
      expect(headers.get('x-powered-by')).toBeNull()
    }
  })

  it('shows nothing of what was sent as markup or as a header', async () => {
    const api = await startApi()
    const answer = await api.get('/v1/jobs/%3Cscript%3E%0d%0aSet-Cookie:a=b')
    expect([answer.status, answer.headers.get('set-cookie'), answer.headers.get('content-type')]).toEqual([400, null, 'application/problem+json'])
  })
})

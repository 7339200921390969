// For every route the requests that are wrong in one way, made from its own codecs, and the refusal with status, code and place that each must meet.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import type { RouteName } from '../../src/wire/routes.ts'
import { startEngine } from '../support/engine.ts'
import { allRoutes, closeAll, startApi, type AnyRoute, type TestApi } from '../support/api.ts'
import { make, malformedRequests, pathOf, validRequests, type Made, type Request } from '../support/requests.ts'

let api: TestApi
let made: Made

beforeAll(async () => {
  api = await startApi({ engine: await startEngine({ settings: { allowUrls: LOOPBACK_PATTERNS } }) })
  made = await make(api, 'm1')
})
afterAll(closeAll)

const requestFor = (route: AnyRoute): Request => validRequests[route.name as RouteName](made)

const send = (route: AnyRoute, request: Request, more: { body?: unknown; headers?: Record<string, string>; method?: string } = {}) =>
  api.ask(more.method ?? route.method, pathOf(route, request), { body: request.body, ...more, headers: { ...request.headers, ...more.headers } })

const withBody = allRoutes.filter((route) => route.body !== undefined)

describe.each(allRoutes.map((route) => [route.name, route] as const))('%s', (_name, route) => {
  it('names the field that is wrong, and why', async () => {
    const cases = malformedRequests(route, requestFor(route))
    expect(cases.length).toBeGreaterThan(0)
    const surprises: string[] = []
    for (const { what, request, path, code } of cases) {
      const { status, body } = await send(route, request)
      const found = (body?.errors ?? []) as readonly { path: string; code: string }[]
      if (status !== 400 || body.code !== 'invalid' || !found.some((error) => error.path === path && error.code === code)) {
        surprises.push(`${what}: expected 400 ${path} ${code}, but it is ${status} ${JSON.stringify(found)}`)
      }
    }
    expect(surprises).toEqual([])
  })

  it('refuses other methods and other media types', async () => {
    const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !allRoutes.some((other) => other.path === route.path && other.method === method))
    const path = pathOf(route, requestFor(route))
    for (const method of others) {
      const answer = await api.ask(method, path)
      // A path can also be that of another route with a parameter in this place.
      if (answer.status === 405) expect(answer.headers.get('allow')?.split(', ')).toContain(route.method)
      else expect(answer.body.code).toMatch(/not-found|invalid/)
    }
    // What is somebody else's answer, given on, may be of any type.
    if (route.mediaType === '*/*') return
    const refused = await send(route, requestFor(route), { headers: { Accept: 'text/csv' } })
    expect([refused.status, refused.body.code]).toEqual([406, 'not-acceptable'])
  })
})

describe.each(withBody.map((route) => [route.name, route] as const))('the body of %s', (_name, route) => {
  it.each([
    ['is not there', '', 'required', ''],
    ['is no JSON', '{"a":', 'json', ''],
    ['is a list', '[]', 'type', ''],
    ['is null', 'null', 'type', ''],
    ['is a text', '"x"', 'type', ''],
    ['nests too deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`, 'depth', ''],
    ['nests without end', '['.repeat(500_000), 'depth', ''],
    ['has a prototype', '{"__proto__":{"admin":true}}', 'name', '/__proto__'],
    ['has an escaped prototype', '{"\\u005f_proto__":{"admin":true}}', 'name', '/__proto__'],
    ['has a prototype further down', '{"a":[{"__proto__":{}}]}', 'name', '/a/0/__proto__'],
  ])('when it %s is refused', async (_what, text, code, path) => {
    const answer = await send(route, requestFor(route), { body: text, headers: { 'Content-Type': 'application/json' } })
    expect(answer.status).toBe(400)
    expect(answer.body.errors).toContainEqual(expect.objectContaining({ path, code }))
  })

  it('is taken in JSON and UTF-8 only', async () => {
    const text = JSON.stringify(requestFor(route).body)
    for (const type of [
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'application/json; charset=latin1',
      'application/json; version=2',
      'application/jsonp',
    ]) {
      const answer = await send(route, requestFor(route), { body: text, headers: { 'Content-Type': type } })
      expect([type, answer.status, answer.body.code]).toEqual([type, 415, 'unsupported-media-type'])
    }
    const zipped = await send(route, requestFor(route), { body: text, headers: { 'Content-Encoding': 'gzip' } })
    expect(zipped.status).toBe(415)
  })

  it('has a limit', async () => {
    const limit = route.many || route.carriesContent ? 32 * 1024 * 1024 : 1024 * 1024
    const answer = await send(route, requestFor(route), { body: ' '.repeat(limit + 1) })
    expect([answer.status, answer.body.code]).toEqual([413, 'too-large'])
    expect(answer.body.detail).toContain(String(limit))
  })
})

describe.each(allRoutes.filter((route) => route.many).map((route) => [route.name, route] as const))('many for %s', (_name, route) => {
  it('is refused as a whole only if the envelope is wrong', async () => {
    for (const [body, path, code] of [
      [{ items: 'x' }, '/items', 'type'],
      [{ items: {} }, '/items', 'type'],
      [{ items: Array.from({ length: 1_001 }, () => ({})) }, '/items', 'length'],
      [{ items: [], more: 1 }, '/more', 'unknown'],
    ] as const) {
      const answer = await send(route, requestFor(route), { body })
      expect(answer.status).toBe(400)
      expect(answer.body.errors).toEqual([expect.objectContaining({ path, code })])
    }
    expect((await send(route, requestFor(route), { body: { items: [] } })).body).toEqual({ items: [] })
  })

  it('refuses each item by itself, in its place', async () => {
    const answer = await send(route, requestFor(route), { body: { items: [{ id: 'a', unknown: 1 }, 7, { id: 'not there', lease: '9.x' }] } })
    expect(answer.status).toBe(200)
    expect(answer.body.items.map((item: { status: number }) => item.status)).toEqual([400, 400, 400])
    expect(answer.body.items[0]).toMatchObject({ id: 'a', code: 'invalid', errors: expect.arrayContaining([expect.objectContaining({ path: '/unknown' })]) })
    expect(answer.body.items[1]).toMatchObject({ code: 'invalid', errors: expect.arrayContaining([expect.objectContaining({ path: '' })]) })
  })
})

describe('keys of commands', () => {
  it.each(allRoutes.filter((route) => route.headers.includes('Idempotency-Key')).map((route) => [route.name, route] as const))(
    'of %s have 1 to 255 characters',
    async (_name, route) => {
      for (const key of ['k'.repeat(256), '""', '"open']) {
        const answer = await send(route, requestFor(route), { headers: { 'Idempotency-Key': key } })
        expect([key, answer.status]).toEqual([key, 400])
        expect(answer.body.errors[0].path).toBe('/headers/idempotency-key')
      }
    },
  )
})

describe('paths', () => {
  it('that nothing is at are not found', async () => {
    for (const path of ['/', '/v1', '/v1/', '/v1/nothing', '/v1/jobs/', '/V1/jobs', '/v1/jobs/a/b', '/v1/jobs/a/reports/b', '//v1/jobs', '/v1/queues/a', '/v1/queues/a/b/c']) {
      const answer = await api.get(path)
      expect([path, answer.status, answer.body.code]).toEqual([path, 404, 'not-found'])
    }
  })

  it('that are not percent-encoded UTF-8 are not valid', async () => {
    for (const path of ['/v1/jobs/%zz', '/v1/jobs/%', '/v1/work-items/%ff', '/v1/jobs/%c0%af/directive']) {
      const answer = await api.get(path)
      expect([path, answer.status, answer.body.code]).toEqual([path, 400, 'invalid'])
    }
  })

  it('of work items that are none are not valid', async () => {
    for (const id of ['job', 'job/', 'job/a/b', 'task/a/b', 'request/a/b', 'long-task/a/b', 'x', '%2e%2e']) {
      const answer = await api.get(`/v1/work-items/${encodeURIComponent(id)}`)
      expect([id, answer.status, answer.body.errors?.[0]?.path]).toEqual([id, 400, '/params/workItem'])
    }
  })

  it('answer OPTIONS with their methods and HEAD without a body', async () => {
    const options = await api.ask('OPTIONS', '/v1/jobs')
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'POST, GET, HEAD, OPTIONS'])
    const head = await api.ask('HEAD', `/v1/jobs/${made.job}`)
    expect([head.status, head.text]).toEqual([200, ''])
    expect(head.headers.get('etag')).toMatch(/^W\//)
    expect((await api.ask('HEAD', '/v1/jobs/none')).status).toBe(404)
    expect((await api.ask('HEAD', '/v1/events')).status).toBe(200)
  })
})

it('none of this was a defect', () => expect(api.errors).toEqual([]))

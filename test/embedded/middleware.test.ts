// The exactly-once middleware in front of real express handlers, with a real client: what is run once, what is given again, what is refused.
import { describe, expect, it } from 'vitest'
import { executionOf } from '../../src/embedded/execution.ts'
import { counted, startContractApp } from '../support/contract-app.ts'
import { memoryContracts } from '../support/memory-contracts.ts'

describe('a request with a key', () => {
  it('runs once, and its reply is given again to each duplicate', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler })
    const first = await app.ask({ key: 'a', body: { item: 1 } })
    const again = await app.ask({ key: 'a', body: { item: 1 } })
    expect([first.status, first.text, first.headers['x-order']]).toEqual([201, '{"order":1}', '1'])
    expect([again.status, again.text, again.headers['x-order'], again.headers['content-type']]).toEqual([201, '{"order":1}', '1', first.headers['content-type']])
    expect(orders.runs).toBe(1)
    expect(app.leaks).toEqual([])
  })

  it('tells what it is, how long its reply is kept, and that a duplicate is one', async () => {
    await using app = await startContractApp()
    const first = await app.ask({ key: 'a' })
    const again = await app.ask({ key: 'a' })
    const release = `none-required; expires="${new Date(1_900_000_000_000).toISOString()}"`
    expect(first.headers).toMatchObject({ 'stint-work-item': 'request/test/everyone/a', 'stint-release': release })
    expect(first.headers['idempotency-replayed']).toBeUndefined()
    expect(again.headers).toMatchObject({ 'stint-work-item': 'request/test/everyone/a', 'stint-release': release, 'idempotency-replayed': 'true' })
  })

  it('is the same quoted or bare', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler })
    await app.ask({ key: '"8e03978e-40d5-43dd-bc93-6894a57f9324"' })
    expect((await app.ask({ key: '8e03978e-40d5-43dd-bc93-6894a57f9324' })).headers['idempotency-replayed']).toBe('true')
    expect(orders.runs).toBe(1)
  })

  it('with another body is refused and never run', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler })
    await app.ask({ key: 'a', body: { item: 1 } })
    const other = await app.ask({ key: 'a', body: { item: 2 } })
    expect(other.status).toBe(422)
    expect(JSON.parse(other.text)).toMatchObject({ code: 'fingerprint-mismatch', status: 422 })
    expect(other.headers['stint-release']).toBeUndefined()
    expect(orders.runs).toBe(1)
  })

  it('is the same whatever the order of JSON fields and of the query', async () => {
    await using app = await startContractApp()
    await app.ask({ key: 'a', path: '/orders?b=2&a=1', body: '{ "x": 1, "y": [2] }', headers: { 'Content-Type': 'application/json' } })
    const again = await app.ask({ key: 'a', path: '/orders?a=1&b=2', body: { y: [2], x: 1 } })
    expect(again.headers['idempotency-replayed']).toBe('true')
  })

  it('is another with another path, query or method', async () => {
    await using app = await startContractApp({ path: '/orders/:id' })
    await app.ask({ key: 'a', path: '/orders/1' })
    for (const [method, path] of [
      ['POST', '/orders/2'],
      ['POST', '/orders/1?x=1'],
      ['PUT', '/orders/1'],
    ] as const)
      expect((await app.ask({ key: 'a', method, path })).status).toBe(422)
  })

  it('shows its execution to the handler', async () => {
    await using app = await startContractApp({
      handler: (req, res) => {
        const execution = executionOf(req)
        res.json({
          workItem: execution?.workItem,
          attempt: execution?.attempt,
          aborted: execution?.signal.aborted,
          same: (req as unknown as { stint: unknown }).stint === execution,
        })
      },
    })
    expect(JSON.parse((await app.ask({ key: 'a' })).text)).toEqual({ workItem: 'request/test/everyone/a', attempt: 1, aborted: false, same: true })
  })
})

describe('a request without a key', () => {
  it('is refused with a way out', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler })
    const refused = await app.ask()
    expect(refused.status).toBe(400)
    expect(refused.headers).toMatchObject({ 'content-type': 'application/problem+json', link: expect.stringContaining('idempotency-key-header') as unknown })
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'idempotency-key-missing', title: 'An Idempotency-Key is required.' })
    expect(orders.runs).toBe(0)
  })

  it('passes through where none is required', async () => {
    await using app = await startContractApp({ required: false, handler: (req, res) => void res.json({ execution: executionOf(req) ?? null }) })
    const passed = await app.ask()
    expect(passed.text).toBe('{"execution":null}')
    expect(passed.headers['stint-work-item']).toBeUndefined()
  })

  it('passes through by a safe method', async () => {
    await using app = await startContractApp()
    expect((await app.ask({ method: 'GET' })).text).toBe('{"done":true}')
  })

  it.each([
    ['with a space', 'a b'],
    ['twice', 'a, b'],
    ['with one quote', '"a'],
    ['empty', '""'],
    ['too long', 'x'.repeat(1_001)],
    ['a dot', '.'],
    ['two dots', '".."'],
  ])('that is one is refused: %s', async (_what, key) => {
    await using app = await startContractApp()
    const refused = await app.ask({ key })
    expect([refused.status, (JSON.parse(refused.text) as { code: string }).code]).toEqual([400, 'invalid'])
  })
})

describe('callers', () => {
  it('never meet where the app tells them apart', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler, caller: (req) => req.get('x-user') ?? '' })
    await app.ask({ key: 'a', headers: { 'X-User': 'ann' } })
    expect((await app.ask({ key: 'a', headers: { 'X-User': 'bob' } })).text).toBe('{"order":2}')
    expect((await app.ask({ key: 'a', headers: { 'X-User': 'ann' } })).text).toBe('{"order":1}')
  })

  it('that nobody tells apart neither run a key twice nor see a reply to the credentials of another', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler })
    await app.ask({ key: 'a', headers: { Authorization: 'Bearer ann' } })
    const other = await app.ask({ key: 'a', headers: { Authorization: 'Bearer bob' } })
    expect([other.status, other.text.includes('"order"')]).toEqual([422, false])
    expect(orders.runs).toBe(1)
  })

  it('that are nobody are an error of the app, and nothing is run', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler, caller: () => '' })
    expect((await app.ask({ key: 'a' })).status).toBe(500)
    expect(orders.runs).toBe(0)
  })
})

describe('a duplicate of a pending request', () => {
  const pending = async (): Promise<{ app: Awaited<ReturnType<typeof startContractApp>>; started: Promise<void>; finish: () => void }> => {
    const start = Promise.withResolvers<void>()
    const end = Promise.withResolvers<void>()
    const app = await startContractApp({
      handler: async (_req, res) => {
        start.resolve()
        await end.promise
        res.json({ done: 'once' })
      },
    })
    return { app, started: start.promise, finish: end.resolve }
  }

  it('is cancelled and told when to come back', async () => {
    const { app, started, finish } = await pending()
    await using _app = app
    const first = app.ask({ key: 'a' })
    await started
    const second = await app.ask({ key: 'a' })
    expect([second.status, second.headers['retry-after'], second.headers['location'], second.headers['stint-work-item']]).toEqual([409, '1', '/orders', 'request/test/everyone/a'])
    expect((JSON.parse(second.text) as { code: string }).code).toBe('pending')
    finish()
    expect((await first).text).toBe('{"done":"once"}')
  })

  it('gets the reply of the first when it waits', async () => {
    const { app, started, finish } = await pending()
    await using _app = app
    const first = app.ask({ key: 'a' })
    await started
    const second = app.ask({ key: 'a', headers: { Prefer: 'wait=30' } })
    finish()
    expect((await second).text).toBe((await first).text)
    expect((await second).headers).toMatchObject({ 'idempotency-replayed': 'true', 'preference-applied': 'wait=30' })
  })
})

describe('what settled otherwise', () => {
  it('is run again as the next attempt after a crash', async () => {
    await using app = await startContractApp({
      handler: async (req, res) => {
        const attempt = executionOf(req)?.attempt
        if (attempt === 1) app.store.crash()
        res.json({ attempt })
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, (JSON.parse(first.text) as { code: string }).code]).toEqual([409, 'stale-lease'])
    const second = await app.ask({ key: 'a' })
    expect(second.text).toBe('{"attempt":2}')
    expect(app.leaks).toEqual([])
  })

  it('is not run again when an administrator aborted it, and its handler hears of it', async () => {
    await using app = await startContractApp({
      handler: (req, res) => {
        executionOf(req)?.signal.addEventListener('abort', () => res.json({ late: true }))
        app.store.abort('a')
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, first.text.includes('late')]).toEqual([409, false])
    const second = await app.ask({ key: 'a' })
    expect([second.status, (JSON.parse(second.text) as { code: string }).code, second.headers['idempotency-replayed']]).toEqual([409, 'aborted', 'true'])
  })

  it('is gone after its caller released it, and not run again', async () => {
    const orders = counted()
    await using app = await startContractApp({
      handler: orders.handler,
      policy: 'encouraged',
      caller: (req) => req.get('x-user') ?? 'ann',
      interactions: '/interactions',
      rest: (express, once) => express.use('/interactions', once.interactions),
    })
    const first = await app.ask({ key: 'a/1' })
    const uri = /uri="([^"]+)"/.exec(first.headers['stint-release'] as string)?.[1]
    expect((await app.ask({ method: 'DELETE', path: uri, headers: { 'X-User': 'bob' } })).status).toBe(404)
    expect((await app.ask({ method: 'DELETE', path: uri })).status).toBe(204)
    expect((await app.ask({ method: 'DELETE', path: uri })).status).toBe(204)
    const second = await app.ask({ key: 'a/1' })
    expect([second.status, second.headers['idempotency-replayed']]).toEqual([410, 'true'])
    expect((await app.ask({ method: 'GET', path: uri })).status).toBe(405)
    expect(orders.runs).toBe(1)
  })
})

describe('its options', () => {
  it('let the app answer refusals in its own words', async () => {
    await using app = await startContractApp({ onProblem: (problem, _req, res) => void res.status(problem.status).json({ error: problem.code }) })
    const refused = await app.ask()
    expect([refused.status, refused.text]).toEqual([400, '{"error":"idempotency-key-missing"}'])
  })

  it('are refused where they contradict each other', async () => {
    const { contractMiddleware } = await import('../../src/embedded/middleware.ts')
    expect(() => contractMiddleware(async () => memoryContracts(), { interactions: '/x' })).toThrow(/needs `caller`/)
  })
})

// The exactly-once middleware in front of real express handlers, with a real client: what is run once, what is given again, what is refused.
import express from 'express'
import { describe, expect, it } from 'vitest'
import { executionOf } from '../../src/embedded/execution.ts'
import type { Reply } from '../../src/embedded/contract-store.ts'
import { startContractApp, type AppOptions } from '../support/contract-app.ts'
import { memoryContracts } from '../support/memory-contracts.ts'

const counted = (): { runs: number; handler: NonNullable<AppOptions['handler']> } => {
  const state = {
    runs: 0,
    handler: ((_req, res) => {
      state.runs += 1
      res.status(201).set('X-Order', String(state.runs)).json({ order: state.runs })
    }) as NonNullable<AppOptions['handler']>,
  }
  return state
}

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

describe('errors of the handler', () => {
  it('before the first byte are answered by the app, and that answer is kept', async () => {
    let runs = 0
    await using app = await startContractApp({
      handler: () => {
        runs += 1
        throw Object.assign(new Error('no stock'), { status: 409 })
      },
    })
    const first = await app.ask({ key: 'a' })
    const again = await app.ask({ key: 'a' })
    expect([first.status, again.status, again.text]).toEqual([409, 409, first.text])
    expect(runs).toBe(1)
    expect(app.leaks).toEqual([])
  })

  it('after the first byte cut the connection, and the next duplicate runs again', async () => {
    let runs = 0
    await using app = await startContractApp({
      handler: (_req, res) => {
        runs += 1
        if (runs > 1) return void res.json({ runs })
        res.write('half')
        throw new Error('too late')
      },
    })
    await expect(app.ask({ key: 'a' })).rejects.toThrow(/socket hang up|ECONNRESET/)
    await app.store.logged('broken a')
    expect((await app.ask({ key: 'a' })).text).toBe('{"runs":2}')
    expect(app.leaks).toEqual([])
  })

  it('after the first byte fail the request where the contract says so', async () => {
    await using app = await startContractApp({ onInterrupted: 'fail', handler: (_req, res) => void res.destroy() })
    await expect(app.ask({ key: 'a' })).rejects.toThrow(/socket hang up|ECONNRESET/)
    await app.store.logged('broken a')
    expect((JSON.parse((await app.ask({ key: 'a' })).text) as { code: string }).code).toBe('interrupted')
  })

  it('are not kept where the app says so, and the next duplicate runs again', async () => {
    let runs = 0
    const seen: Reply[] = []
    await using app = await startContractApp({
      keep: (reply) => {
        seen.push(reply)
        return reply.status < 500
      },
      handler: (_req, res) => {
        runs += 1
        res.status(runs === 1 ? 503 : 200).json({ runs })
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, first.headers['stint-kept'], first.headers['stint-release']]).toEqual([503, 'false', undefined])
    const second = await app.ask({ key: 'a' })
    expect([second.status, second.text, second.headers['stint-kept']]).toEqual([200, '{"runs":2}', undefined])
    expect(seen.map(({ status }) => status)).toEqual([503, 200])
  })
})

describe('a store that fails', () => {
  it('before the beginning runs nothing', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler, wrap: (store) => ({ ...store, begin: async () => Promise.reject(new Error('disk')) }) })
    expect((await app.ask({ key: 'a' })).status).toBe(503)
    expect(orders.runs).toBe(0)
  })

  it('to open is said to the client and to the app', async () => {
    const troubles: string[] = []
    await using app = await startContractApp({
      onTrouble: (what) => troubles.push(what),
      wrap: () => {
        throw new Error('locked')
      },
    })
    expect((await app.ask({ key: 'a' })).status).toBe(503)
    expect(troubles).toEqual(['The store cannot be opened'])
  })

  it('at the reply keeps the reply back', async () => {
    const orders = counted()
    await using app = await startContractApp({
      handler: orders.handler,
      disk: async (line) => {
        if (line.startsWith('replied')) throw new Error('disk')
      },
    })
    const answer = await app.ask({ key: 'a' })
    expect([answer.status, answer.text.includes('order'), answer.headers['x-order'], answer.headers['retry-after']]).toEqual([503, false, undefined, '1'])
  })

  it('would be found out if it said durable too early', async () => {
    await using app = await startContractApp({
      wrap: (store) => ({
        ...store,
        begin: async (request) => {
          const begun = await store.begin(request)
          if (begun.type !== 'execute') return begun
          const { execution } = begun
          const sent = Promise.withResolvers<void>()
          return {
            type: 'execute',
            execution: {
              ...execution,
              reply: async (reply) => {
                app.server.once('request', () => sent.resolve())
                void sent.promise.then(() => execution.reply(reply))
                return { type: 'kept', info: execution.info }
              },
            },
          }
        },
      }),
      handler: (_req, res) => void res.write('x', () => res.end()),
    })
    const early = await app.send({ key: 'a', headers: { Connection: 'keep-alive' } })
    await new Promise((resolve) => early.once('data', resolve))
    await app.ask({ key: 'b', method: 'GET' })
    await app.store.logged('replied a')
    expect(app.leaks).toContainEqual(expect.stringMatching(/bytes before "replied a"/))
  })
})

describe('bodies of requests', () => {
  const echo: NonNullable<AppOptions['handler']> = (req, res) => void res.json({ body: req.body as unknown })

  it('reach a parser after it, and are the same whether the parser stands before or after', async () => {
    await using after = await startContractApp({ after: [express.json()], handler: echo })
    await using before = await startContractApp({ before: [express.json()], handler: echo })
    for (const app of [after, before]) {
      expect((await app.ask({ key: 'a', body: { n: 1, m: [2] } })).text).toBe('{"body":{"n":1,"m":[2]}}')
      expect((await app.ask({ key: 'a', body: { m: [2], n: 1 } })).headers['idempotency-replayed']).toBe('true')
      expect((await app.ask({ key: 'a', body: { n: 2, m: [2] } })).status).toBe(422)
    }
    expect(after.store.entry('a')?.fingerprint).toBe(before.store.entry('a')?.fingerprint)
  })

  it.each([
    ['urlencoded', express.urlencoded({ extended: true }), 'application/x-www-form-urlencoded', 'a=1&b=2', '{"body":{"a":"1","b":"2"}}'],
    ['text', express.text(), 'text/plain', 'grüße', '{"body":"grüße"}'],
    ['raw', express.raw({ type: '*/*' }), 'application/octet-stream', Buffer.from([0, 255, 1]), '{"body":{"type":"Buffer","data":[0,255,1]}}'],
  ] as const)('of type %s reach their parser before and after it', async (_name, parser, mediaType, body, expected) => {
    for (const options of [{ before: [parser] }, { after: [parser] }]) {
      await using app = await startContractApp({ ...options, handler: echo })
      expect((await app.ask({ key: 'a', body, headers: { 'Content-Type': mediaType } })).text).toBe(expected)
    }
  })

  it('can be piped on by the handler, binary and in full', async () => {
    const sent = Buffer.from(Array.from({ length: 900_000 }, (_, index) => (index * 7) % 256))
    await using app = await startContractApp({ handler: (req, res) => void req.pipe(res.type('application/octet-stream')) })
    const first = await app.ask({ key: 'a', body: sent })
    expect(first.body.equals(sent)).toBe(true)
    expect((await app.ask({ key: 'a', body: sent })).body.equals(sent)).toBe(true)
    expect(app.leaks).toEqual([])
  })

  it('over the limit are refused before anything is run', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler, requestBytesMax: 1_000 })
    const refused = await app.ask({ key: 'a', body: 'x'.repeat(1_001) })
    expect([refused.status, (JSON.parse(refused.text) as { detail: string }).detail]).toEqual([413, 'Expected a body of 1000 bytes at most.'])
    expect(orders.runs).toBe(0)
  })

  it('of any size stream straight to the handler where the app says so', async () => {
    await using app = await startContractApp({
      requestBody: 'stream',
      requestBytesMax: 1_000,
      handler: async (req, res) => {
        let bytes = 0
        for await (const chunk of req) bytes += (chunk as Buffer).length
        res.json({ bytes })
      },
    })
    expect((await app.ask({ key: 'a', body: Buffer.alloc(3_000_000) })).text).toBe('{"bytes":3000000}')
    expect((await app.ask({ key: 'a', body: Buffer.alloc(3_000_000) })).headers['idempotency-replayed']).toBe('true')
  })

  it('of forms are the same under another boundary', async () => {
    const form = (boundary: string, value: string): { body: string; headers: Record<string, string> } => ({
      headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
      body: `--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n${value}\r\n--${boundary}--\r\n`,
    })
    await using app = await startContractApp()
    await app.ask({ key: 'a', ...form('one', '1') })
    expect((await app.ask({ key: 'a', ...form('two', '1') })).headers['idempotency-replayed']).toBe('true')
    expect((await app.ask({ key: 'a', ...form('two', '2') })).status).toBe(422)
  })

  it('of forms are not the same because their content looks like a boundary', async () => {
    const form = (value: string) => ({
      headers: { 'Content-Type': 'multipart/form-data; boundary=B' },
      body: `--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n${value}\r\n--B--\r\n`,
    })
    await using app = await startContractApp()
    for (const [key, one, other] of [
      ['a', '--Bob', '--ob'],
      ['b', '1\r\n--\r\n2', '1\r\n--B\r\n2'],
    ] as const) {
      await app.ask({ key, ...form(one) })
      expect((await app.ask({ key, ...form(other) })).status).toBe(422)
    }
  })

  it('of JSON are not the same because reading them loses what tells them apart', async () => {
    await using app = await startContractApp()
    const headers = { 'Content-Type': 'application/json' }
    await app.ask({ key: 'a', headers, body: '{"account":12345678901234567890}' })
    expect((await app.ask({ key: 'a', headers, body: '{"account":12345678901234567891}' })).status).toBe(422)
  })

  it('that are gone when it comes are an error that says what to do', async () => {
    await using app = await startContractApp({
      before: [(req, _res, next) => void req.on('end', () => next()).resume()],
      rest: (app) =>
        app.use((_req, _res, next) => {
          next()
        }),
    })
    expect((await app.ask({ key: 'a', body: 'x' })).text).toMatch(/put exactlyOnce before/)
  })

  it('are told apart by a promise of what makes them the same', async () => {
    await using app = await startContractApp({ fingerprint: async (req) => req.query['n'] })
    await app.ask({ key: 'a', path: '/orders?n=1' })
    expect((await app.ask({ key: 'a', path: '/orders?n=2' })).status).toBe(422)
  })

  it('may be left out of what makes two requests the same', async () => {
    await using app = await startContractApp({ fingerprint: (req) => ({ path: req.path }) })
    await app.ask({ key: 'a', body: { at: 1 } })
    expect((await app.ask({ key: 'a', body: { at: 2 } })).headers['idempotency-replayed']).toBe('true')
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

// The exactly-once middleware and what clients send: bodies before and after their parsers, too large, streaming, and what makes two of them the same.
import express from 'express'
import { describe, expect, it } from 'vitest'
import { counted, startContractApp, type AppOptions } from '../support/contract-app.ts'

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

// Middleware of others before and after: what stands before sees each sending, what stands after works on the reply that is kept. The patterns are those by which compression,
// on-headers (cookie-session, response-time), express-session, morgan and streaming uploads take hold of a response or a request.
import type { RequestHandler, Response } from 'express'
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { createGzip, gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { answerTwice, askTwice, startContractApp } from '../support/contract-app.ts'

// The library that express itself, morgan and the body parsers learn from whether a message is over; it has no types.
const onFinished = createRequire(import.meta.url)('on-finished') as (message: object, listener: () => void) => void

/** As compression does it: the body goes through a stream on its way out, and who waits for room waits for that stream. */
const gzipping: RequestHandler = (_req, res, next) => {
  const { write, end, on }: Record<'write' | 'end' | 'on', (this: void) => unknown> = res as never
  const stream = createGzip()
  let begun = false
  let listeners: [string, (...args: unknown[]) => void][] | undefined = []
  const begin = (): void => {
    if (begun) return
    begun = true
    if (!(res as unknown as { _header: unknown })._header) res.writeHead(res.statusCode)
    for (const [event, listener] of listeners ?? []) stream.on(event, listener)
    listeners = undefined
    stream.on('data', (chunk: Buffer) => {
      if (!Reflect.apply(write, res, [chunk])) stream.pause()
    })
    Reflect.apply(on, res, ['drain', () => stream.resume()])
    stream.on('end', () => Reflect.apply(end, res, []))
  }
  const { writeHead }: { writeHead: (this: void) => unknown } = res as never
  Object.assign(res, {
    on: (event: string, listener: (...args: unknown[]) => void) => {
      if (event !== 'drain') return Reflect.apply(on, res, [event, listener])
      if (listeners === undefined) stream.on(event, listener)
      else listeners.push([event, listener])
      return res
    },
    writeHead: (...args: unknown[]) => {
      res.removeHeader('Content-Length')
      res.setHeader('Content-Encoding', 'gzip')
      return Reflect.apply(writeHead, res, args)
    },
    write: (chunk: Buffer | string, encoding?: BufferEncoding) => {
      begin()
      return stream.write(Buffer.from(chunk as string, encoding))
    },
    end: (chunk?: Buffer | string, encoding?: BufferEncoding) => {
      begin()
      if (chunk !== undefined && typeof chunk !== 'function') stream.end(Buffer.from(chunk as string, encoding))
      else stream.end()
      return res
    },
  })
  next()
}

/** As on-headers does it, which cookie-session, response-time and others stand on. */
const onHeaders =
  (listener: (res: Response) => void): RequestHandler =>
  (_req, res, next) => {
    const { writeHead }: { writeHead: (this: void) => unknown } = res as never
    let fired = false
    Object.assign(res, {
      writeHead: (...args: unknown[]) => {
        if (!fired) {
          fired = true
          listener(res)
        }
        return Reflect.apply(writeHead, res, args)
      },
    })
    next()
  }

/** As express-session does it: what was changed is saved before the end goes out. */
const savingSession = (saved: string[]): RequestHandler => {
  return (_req, res, next) => {
    const { end }: { end: (this: void) => unknown } = res as never
    let ended = false
    Object.assign(res, {
      end: (...args: unknown[]) => {
        if (ended) return false
        ended = true
        if (!res.headersSent) res.writeHead(res.statusCode)
        setImmediate(() => {
          saved.push('saved')
          Reflect.apply(end, res, args)
        })
        return true
      },
    })
    next()
  }
}

describe('middleware before it sees each sending', () => {
  it('and compresses replays for the client that asks', async () => {
    await using app = await startContractApp({ before: [gzipping], handler: (_req, res) => void res.json({ text: 'x'.repeat(1_000) }) })
    const first = await app.ask({ key: 'a' })
    const again = await app.ask({ key: 'a' })
    expect(gunzipSync(again.body).toString()).toBe(gunzipSync(first.body).toString())
    expect(app.store.entry('a')?.reply?.headers.map(([name]) => name)).not.toContain('Content-Encoding')
    expect(Buffer.from(app.store.entry('a')?.reply?.body ?? []).toString()).toContain('xxxx')
    expect(app.leaks).toEqual([])
  })

  it('and compresses what passes, at the pace of its client', async () => {
    const text = 'abcdefgh'.repeat(100_000)
    await using app = await startContractApp({
      before: [gzipping],
      replyBytesMax: 50_000,
      handler: (_req, res) => void Readable.from(Array.from({ length: 100 }, (_, at) => text.slice(at * 8_000, (at + 1) * 8_000))).pipe(res),
    })
    expect(gunzipSync((await app.ask({ key: 'a' })).body).toString()).toBe(text)
  })

  it('and its own headers are fresh, not kept', async () => {
    let count = 0
    await using app = await startContractApp({
      before: [
        (_req, res, next) => {
          count += 1
          res.set({ 'X-Request-Id': String(count), 'X-Frame-Options': 'SAMEORIGIN', Vary: 'Origin' })
          next()
        },
        onHeaders((res) => void res.append('Set-Cookie', `session=${count}`)),
      ],
      handler: (_req, res) => void res.vary('Accept').cookie('order', '1').json({}),
    })
    const first = await app.ask({ key: 'a' })
    const again = await app.ask({ key: 'a' })
    expect([first.headers['x-request-id'], again.headers['x-request-id'], again.headers['x-frame-options']]).toEqual(['1', '2', 'SAMEORIGIN'])
    expect([first.headers['vary'], again.headers['vary']]).toEqual(['Origin, Accept', 'Origin, Accept'])
    expect([first.headers['set-cookie'], again.headers['set-cookie']]).toEqual([
      ['order=1; Path=/', 'session=1'],
      ['order=1; Path=/', 'session=2'],
    ])
  })

  it('and saves its session before the reply goes out', async () => {
    const saved: string[] = []
    await using app = await startContractApp({ before: [savingSession(saved)] })
    await askTwice(app)
    expect(saved).toEqual(['saved', 'saved'])
  })

  it('and logs each request when it is over', async () => {
    const lines: string[] = []
    await using app = await startContractApp({
      before: [
        (_req, res, next) => {
          onFinished(res, () => lines.push(`${res.statusCode} ${String(res.getHeader('content-length'))}`))
          next()
        },
      ],
    })
    await askTwice(app)
    expect(lines).toEqual(['200 13', '200 13'])
  })

  it('keeps its headers on refusals, and those of the handler do not show', async () => {
    await using app = await startContractApp({
      before: [
        (_req, res, next) => {
          res.set('Access-Control-Allow-Origin', '*')
          next()
        },
      ],
      handler: (_req, res) => {
        app.store.crash()
        res.set({ 'X-Secret': '1', 'Access-Control-Allow-Origin': 'https://example.org' }).json({})
      },
    })
    const refused = await app.ask({ key: 'a' })
    expect([refused.status, refused.headers['access-control-allow-origin'], refused.headers['x-secret']]).toEqual([409, '*', undefined])
  })
})

describe('middleware after it works on the reply that is kept', () => {
  it('by compressing it', async () => {
    await using app = await startContractApp({ after: [gzipping], handler: (_req, res) => void res.json({ text: 'x'.repeat(1_000) }) })
    const first = await askTwice(app)
    expect(gunzipSync(first.body).toString()).toContain('xxxx')
  })
  it('by headers at the last moment', async () => {
    for (const handler of [
      (_req, res) => void res.json({}),
      (_req, res) => void res.end(),
      (_req, res) => {
        res.flushHeaders()
        res.end()
      },
    ] satisfies RequestHandler[])
      expect((await answerTwice(handler, {}, { after: [onHeaders((res) => res.set('X-Late', '1'))] })).headers['x-late']).toBe('1')
  })
  it('by a session that is saved at the end', async () => {
    const saved: string[] = []
    await answerTwice((_req, res) => void res.json({}), {}, { after: [savingSession(saved)] })
    expect(saved).toEqual(['saved'])
  })
  it('by an upload that streams', async () =>
    expect(
      (
        await answerTwice(
          (req, res) => void res.json({ bytes: (req as unknown as { bytes: number }).bytes }),
          { body: Buffer.alloc(300_000, 1) },
          {
            after: [
              (req, _res, next) => {
                let bytes = 0
                req.on('data', (chunk: Buffer) => (bytes += chunk.length))
                onFinished(req, () => {
                  Object.assign(req, { bytes })
                  next()
                })
              },
            ],
          },
        )
      ).text,
    ).toBe('{"bytes":300000}'))
})

describe('headers', () => {
  it('that the app wants sent once are not kept', async () => {
    await using app = await startContractApp({ omitHeaders: ['Set-Cookie'], handler: (_req, res) => void res.cookie('session', 'secret').json({}) })
    expect((await app.ask({ key: 'a' })).headers['set-cookie']).toHaveLength(1)
    expect((await app.ask({ key: 'a' })).headers['set-cookie']).toBeUndefined()
  })
})

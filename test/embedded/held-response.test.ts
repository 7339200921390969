// What a handler can do with a response that is held back, and what its client and a duplicate see of it.
import express, { type Response } from 'express'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createGzip, gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { answerTwice as answer, startContractApp, type Answer, type AppOptions } from '../support/contract-app.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-held-'))
const file = join(folder, 'letters.txt')
writeFileSync(file, 'abcdefghijklmnopqrstuvwxyz')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('express answers', () => {
  it('by json, with its etag', async () =>
    expect(await answer((_req, res) => void res.json({ a: 'ü' }))).toMatchObject({ status: 200, text: '{"a":"ü"}', headers: { etag: expect.any(String) as string } }))
  it('by send of text, bytes and nothing', async () => {
    expect((await answer((_req, res) => void res.send('text'))).headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'content-length': '4' })
    expect((await answer((_req, res) => void res.send(Buffer.from([0, 255])))).body).toEqual(Buffer.from([0, 255]))
    expect((await answer((_req, res) => void res.send())).headers['content-length']).toBe('0')
  })
  it('by end alone', async () => expect(await answer((_req, res) => void res.end())).toMatchObject({ status: 200, text: '' }))
  it('by redirect', async () => expect(await answer((_req, res) => res.redirect(303, '/there'))).toMatchObject({ status: 303, headers: { location: '/there' } }))
  it('by sendStatus', async () => expect(await answer((_req, res) => void res.sendStatus(202))).toMatchObject({ status: 202, text: 'Accepted' }))
  it('by a file', async () =>
    expect(await answer((_req, res) => res.sendFile(file))).toMatchObject({ status: 200, text: 'abcdefghijklmnopqrstuvwxyz', headers: { 'accept-ranges': 'bytes' } }))
  it('by a part of a file', async () =>
    expect(await answer((_req, res) => res.sendFile(file), { headers: { Range: 'bytes=2-4' } })).toMatchObject({
      status: 206,
      text: 'cde',
      headers: { 'content-range': 'bytes 2-4/26' },
    }))
  it('by a file that does not exist, with the error of the app', async () => expect((await answer((_req, res) => res.sendFile(join(folder, 'none')))).status).toBe(404))
  it('by a download', async () =>
    expect(await answer((_req, res) => res.download(file, 'x.txt'))).toMatchObject({
      text: 'abcdefghijklmnopqrstuvwxyz',
      headers: { 'content-disposition': 'attachment; filename=x.txt' },
    }))
  it('by a cookie, which a duplicate gets too', async () =>
    expect((await answer((_req, res) => void res.cookie('a', '1').cookie('b', '2').json({}))).headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; Path=/']))
})

describe('node answers', () => {
  it('by writeHead with an object, with pairs, and over what was set before', async () => {
    expect((await answer((_req, res) => void res.setHeader('X-A', 'old').writeHead(201, 'Made', { 'X-A': 'new', 'X-B': 2 }).end('x'))).headers).toMatchObject({
      'x-a': 'new',
      'x-b': '2',
    })
    const pairs = await answer((_req, res) => void res.writeHead(200, ['X-A', '1', 'X-A', '2']).end('x'))
    expect(pairs.rawHeaders.join()).toContain('X-A,1,X-A,2')
  })
  it('piece by piece, in all forms of write', async () =>
    expect(
      (
        await answer((_req, res) => {
          res.write('ä')
          res.write('e4', 'hex')
          res.write(Uint8Array.of(66))
          res.write(Buffer.from('C'), () => res.end('RA==', 'base64'))
        })
      ).body,
    ).toEqual(Buffer.concat([Buffer.from('ä'), Buffer.from([0xe4]), Buffer.from('BCD')])))
  it('with a buffer that is used again', async () =>
    expect(
      (
        await answer((_req, res) => {
          const buffer = Buffer.from('one ')
          res.write(buffer)
          buffer.write('two ')
          res.end(buffer)
        })
      ).text,
    ).toBe('one two '))
  it('by a stream', async () => expect((await answer((_req, res) => void Readable.from(['a', 'b', 'c']).pipe(res))).text).toBe('abc'))
  it('by a pipeline, which learns that it has ended', async () => {
    let ended = false
    const piped = await answer(async (_req, res) => {
      await pipeline(Readable.from(['a', 'b']), createGzip(), res.setHeader('Content-Encoding', 'gzip'))
      ended = true
    })
    expect([gunzipSync(piped.body).toString(), ended]).toEqual(['ab', true])
  })
  it('without a body', async () => {
    const none = await answer((_req, res) => void res.writeHead(204).end('ignored'))
    expect([none.status, none.text, none.headers['content-length']]).toEqual([204, '', undefined])
    expect((await answer((_req, res) => void res.writeHead(304, { ETag: '"x"' }).end())).headers).toMatchObject({ etag: '"x"' })
  })
  it('to HEAD with the length of what it would have sent', async () =>
    expect(await answer((_req, res) => void res.json({ a: 1 }), { method: 'HEAD' }, { methods: ['HEAD'] })).toMatchObject({ text: '', headers: { 'content-length': '7' } }))
  it('with trailers, which belong to one sending', async () => {
    await using app = await startContractApp({
      handler: (_req, res) => {
        res.setHeader('Trailer', 'X-Sum')
        res.write('body')
        res.addTrailers({ 'X-Sum': '4' })
        res.end()
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.text, first.trailers]).toEqual(['body', { 'x-sum': '4' }])
    const again = await app.ask({ key: 'a' })
    expect([again.text, again.trailers]).toEqual(['body', {}])
  })
  it('after informational responses, which are not sent', async () => {
    let told = 0
    await answer((_req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => (told += 1))
      res.writeProcessing()
      res.end('x')
    })
    expect(told).toBe(1)
  })
})

describe('what the response says of itself', () => {
  const states = (res: Response): unknown => [res.headersSent, res.writableEnded, res.writableFinished, res.destroyed, res.closed]

  it('is what it would say if it were sent', async () => {
    const said: unknown[] = []
    const finished = Promise.withResolvers<void>()
    await using app = await startContractApp({
      handler: (_req, res) => {
        said.push(states(res))
        res.flushHeaders()
        said.push(states(res))
        res.end('x', () => finished.resolve())
        said.push(states(res))
      },
    })
    const { promise, resolve } = Promise.withResolvers<Response>()
    app.server.once('request', (_req, res) => void res.once('finish', () => resolve(res as Response)))
    expect((await app.ask({ key: 'a' })).text).toBe('x')
    await finished.promise
    said.push((states(await promise) as unknown[]).slice(0, 3))
    expect(said).toEqual([
      [false, false, false, false, false],
      [true, false, false, false, false],
      [true, true, false, false, false],
      [true, true, true],
    ])
  })

  it('refuses what comes too late, as node does', async () => {
    const thrown: unknown[] = []
    const attempt = (run: () => unknown): void => {
      try {
        run()
      } catch (error) {
        thrown.push((error as { code: string }).code)
      }
    }
    const errors: string[] = []
    await answer((_req, res) => {
      res.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''))
      attempt(() => res.writeHead(99))
      attempt(() => res.write(null))
      attempt(() => res.write(5))
      res.write('x')
      attempt(() => res.setHeader('X-A', '1'))
      attempt(() => res.writeHead(200))
      res.end()
      res.write('y')
      res.end()
    })
    expect(thrown).toEqual(['ERR_HTTP_INVALID_STATUS_CODE', 'ERR_STREAM_NULL_VALUES', 'ERR_INVALID_ARG_TYPE', 'ERR_HTTP_HEADERS_SENT', 'ERR_HTTP_HEADERS_SENT'])
    expect(errors).toEqual(['ERR_STREAM_WRITE_AFTER_END'])
  })

  it('leaves nothing of ours behind', async () => {
    const left = Promise.withResolvers<string[]>()
    await using app = await startContractApp()
    app.server.on(
      'request',
      (_req, res) =>
        void res.once('close', () =>
          left.resolve(
            ['write', 'end', 'emit', 'on', ...Object.getOwnPropertyNames(ServerResponse.prototype)].filter((name) => !name.startsWith('status') && Object.hasOwn(res, name)),
          ),
        ),
    )
    await app.ask({ key: 'a' })
    expect(await left.promise).toEqual([])
  })

  it('serves the next request on the same connection', async () => {
    await using app = await startContractApp({ handler: (_req, res) => void res.json({ a: 1 }) })
    const socket = await app.send({ key: 'a', body: 'unread', headers: { Connection: 'keep-alive' } })
    const texts: string[] = []
    socket.setEncoding('utf8').on('data', (text: string) => texts.push(text))
    await once(socket, 'data')
    socket.write('POST /orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: b\r\nContent-Length: 1\r\n\r\nx')
    await once(socket, 'data')
    socket.destroy()
    expect(texts.join('').match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
  })
})

describe('a client that leaves', () => {
  const leaving = async (handler: (res: Response, gone: Promise<void>) => Promise<void>, options: AppOptions = {}): Promise<Answer> => {
    const start = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    await using app = await startContractApp({
      ...options,
      handler: async (_req, res) => {
        start.resolve()
        await handler(res, gone.promise)
      },
    })
    const closed = once(app.server, 'connection').then(([socket]) => once(socket as NodeJS.EventEmitter, 'close'))
    const socket = await app.send({ key: 'a', body: { n: 1 } })
    await start.promise
    socket.destroy()
    await closed
    gone.resolve()
    await app.store.logged('replied a')
    const again = await app.ask({ key: 'a', body: { n: 1 } })
    expect(again.headers['idempotency-replayed']).toBe('true')
    return again
  }

  it('does not end the work, and its duplicate gets the reply', async () => {
    const said: unknown[] = []
    const again = await leaving(async (res, gone) => {
      await gone
      said.push(res.destroyed, res.closed, res.writableEnded, res.socket?.writable)
      res.status(201).json({ kept: true })
    })
    expect([again.status, again.text]).toEqual([201, '{"kept":true}'])
    expect(said).toEqual([false, false, false, true])
  })

  it('does not end a file on its way', async () => {
    let failed: unknown = 'not told'
    const again = await leaving(async (res, gone) => {
      await gone
      res.sendFile(file, (error) => (failed = error))
    })
    expect(again.text).toBe('abcdefghijklmnopqrstuvwxyz')
    expect(failed).toBeUndefined()
  })

  it('does not end a pipeline', async () => {
    let ended = false
    const again = await leaving(async (res, gone) => {
      await gone
      await pipeline(Readable.from(['a', 'b']), res)
      ended = true
    })
    expect([again.text, ended]).toEqual(['ab', true])
  })

  it('does not take the body away from a parser', async () => {
    const parsed: unknown[] = []
    const again = await leaving(async (res, gone) => {
      await gone
      await new Promise<void>((resolve) => express.json()(res.req, res, () => resolve()))
      parsed.push(res.req.body)
      res.json({ done: true })
    }, {})
    expect([again.text, parsed]).toEqual(['{"done":true}', [{ n: 1 }]])
  })

  it('does not take an error away from its handlers', async () => {
    const again = await leaving(async (_res, gone) => {
      await gone
      throw Object.assign(new Error('no'), { status: 418 })
    })
    expect(again.status).toBe(418)
  })

  it('while it waits as a duplicate is heard of by whoever listens', async () => {
    const closed = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const waiting = Promise.withResolvers<void>()
    let count = 0
    await using app = await startContractApp({
      before: [
        (_req, res, next) => {
          count += 1
          if (count === 2) res.once('close', () => closed.resolve())
          next()
        },
      ],
      handler: () => started.resolve(),
      wrap: (store) => ({
        ...store,
        begin: (request) => {
          if (request.waitMs > 0) waiting.resolve()
          return store.begin(request)
        },
      }),
    })
    const first = await app.send({ key: 'a' })
    await started.promise
    const second = await app.send({ key: 'a', headers: { Prefer: 'wait=60' } })
    await waiting.promise
    second.destroy()
    await closed.promise
    first.destroy()
  })

  it('while the request begins does not keep the handler from its body', async () => {
    const disk = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    await using app = await startContractApp({
      after: [express.json()],
      handler: (req, res) => void res.json(req.body),
      disk: async (line) => {
        reached.resolve()
        if (line.startsWith('accepted')) await disk.promise
      },
    })
    const closed = once(app.server, 'connection').then(([socket]) => once(socket as NodeJS.EventEmitter, 'close'))
    const socket = await app.send({ key: 'a', body: { n: 7 } })
    await reached.promise
    socket.destroy()
    await closed
    disk.resolve()
    await app.store.logged('replied a')
    expect((await app.ask({ key: 'a', body: { n: 7 } })).text).toBe('{"n":7}')
  })

  it('before its request is complete runs nothing', async () => {
    await using app = await startContractApp()
    const closed = once(app.server, 'connection').then(([socket]) => once(socket as NodeJS.EventEmitter, 'close'))
    const socket = await app.send({ key: 'a', headers: {} })
    await once(socket, 'data')
    socket.destroy()
    await closed
    const half = await app.send({ key: 'b', headers: { 'Transfer-Encoding': 'chunked', 'Content-Length': '' } }).catch(() => undefined)
    half?.destroy()
    expect(app.store.log.filter((line) => line.endsWith(' b'))).toEqual([])
  })
})

describe('a handler that fails after it has ended', () => {
  it('does not take its reply away', async () => {
    expect(
      (
        await answer((_req, res) => {
          res.json({ ended: true })
          throw new Error('too late to matter')
        })
      ).text,
    ).toBe('{"ended":true}')
  })
})

describe('a reply over the limit', () => {
  const big = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 31) % 256))
  const pieces = function* (): Generator<Buffer> {
    for (let at = 0; at < big.length; at += 10_000) yield big.subarray(at, at + 10_000)
  }

  it('reaches its client whole, and is never run again', async () => {
    let runs = 0
    await using app = await startContractApp({
      replyBytesMax: 50_000,
      handler: (_req, res) => {
        runs += 1
        Readable.from(pieces()).pipe(res.status(201).type('application/octet-stream'))
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, first.body.equals(big), first.headers['stint-kept'], first.headers['stint-release']]).toEqual([
      201,
      true,
      'false',
      expect.stringContaining('none-required'),
    ])
    const again = await app.ask({ key: 'a' })
    expect([again.status, (JSON.parse(again.text) as { code: string }).code, again.headers['idempotency-replayed']]).toEqual([409, 'reply-not-kept', 'true'])
    expect(app.store.entry('a')?.unkept).toMatchObject({ status: 201, digest: createHash('sha256').update(big).digest('base64url'), bytes: big.length })
    expect([runs, app.store.log, app.leaks]).toEqual([1, ['accepted a', 'passing a', 'passed a'], []])
  })

  it('in one piece does too', async () => {
    await using app = await startContractApp({ replyBytesMax: 50_000, handler: (_req, res) => void res.end(big) })
    expect((await app.ask({ key: 'a' })).body.equals(big)).toBe(true)
    expect([app.store.log, app.leaks]).toEqual([['accepted a', 'passing a', 'passed a'], []])
  })

  it('waits while it is not durable that it passes', async () => {
    const disk = Promise.withResolvers<void>()
    const passing = Promise.withResolvers<void>()
    const results: boolean[] = []
    await using app = await startContractApp({
      replyBytesMax: 10,
      disk: async (line) => {
        if (!line.startsWith('passing')) return
        passing.resolve()
        await disk.promise
      },
      handler: (_req, res) => {
        results.push(res.write('12345'), res.write('67890'), res.write('abc'), res.writableNeedDrain)
        res.once('drain', () => res.end('!'))
      },
    })
    const first = app.ask({ key: 'a' })
    await passing.promise
    disk.resolve()
    expect((await first).text).toBe('1234567890abc!')
    expect(results).toEqual([true, true, false, true])
    expect(app.leaks).toEqual([])
  })

  it('that breaks off half way is cut, and never run again', async () => {
    let runs = 0
    await using app = await startContractApp({
      replyBytesMax: 10,
      handler: (_req, res) => {
        runs += 1
        res.write('0123456789abc')
        res.once('drain', () => res.destroy())
      },
    })
    expect((await app.ask({ key: 'a' }).catch(() => undefined))?.isBroken ?? true).toBe(true)
    expect((await app.ask({ key: 'a' })).status).toBe(409)
    expect(runs).toBe(1)
  })

  it('goes on to its end when its client leaves', async () => {
    const start = Promise.withResolvers<void>()
    await using app = await startContractApp({
      replyBytesMax: 50_000,
      handler: async (_req, res) => {
        for (const piece of pieces()) {
          if (!res.write(piece)) await once(res, 'drain')
          start.resolve()
        }
        res.end()
      },
    })
    const socket = await app.send({ key: 'a' })
    await start.promise
    socket.destroy()
    await app.store.logged('passed a')
    expect(app.store.entry('a')?.unkept).toMatchObject({ bytes: big.length })
  })

  it('of a fenced-off execution is not sent', async () => {
    await using app = await startContractApp({
      replyBytesMax: 10,
      handler: async (_req, res) => {
        app.store.crash()
        if (!res.write('0123456789abc')) await once(res, 'drain')
        res.end('rest')
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, first.text.includes('0123')]).toEqual([409, false])
  })
})

describe('pipelined requests', () => {
  it.each([[['first', 'second']], [['second', 'first']]])('are answered in their order, when their handlers are through as %j', async (order) => {
    const ends = new Map(order.map((name) => [name, Promise.withResolvers<void>()]))
    await using app = await startContractApp({
      handler: async (req, res) => {
        const name = String(req.query['name'])
        await ends.get(name)?.promise
        res.json({ name })
      },
    })
    const socket = await app.send({ path: '/orders?name=first', key: 'a', headers: { Connection: 'keep-alive' } })
    socket.write('POST /orders?name=second HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    const received = text(socket)
    await app.store.logged('accepted a')
    await app.store.logged('accepted b')
    const [one = '', other = ''] = order
    ends.get(one)?.resolve()
    await app.store.logged(`replied ${one === 'first' ? 'a' : 'b'}`)
    // What the first sent has gone before the second ends.
    if (one === 'first') await once(socket, 'data')
    ends.get(other)?.resolve()
    expect((await received).match(/"name":"\w+"/g)).toEqual(['"name":"first"', '"name":"second"'])
  })
})

// Messages to receivers of every kind, over real HTTP on loopback and in a virtual world: acknowledged, tried again when and as often as said, given up when they should be.
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { LOOPBACK_PATTERNS, parseUrlPattern, type UrlPattern } from '../../../src/domain/policy/url-pattern.ts'
import type { Lookup } from '../../../src/engine/delivery/addresses.ts'
import { ATTEMPT_MS, createDeliveries, type Deliveries, type FailedAttempt, type Message } from '../../../src/engine/delivery/deliveries.ts'
import { ANSWER_BYTES_MAX } from '../../../src/engine/delivery/post.ts'
import { right, settle } from '../../support/engine.ts'
import { closeReceivers, startReceiver } from '../../support/receiver.ts'
import { virtualWorld, type VirtualWorld } from '../../support/virtual-world.ts'

const KEYS = [Buffer.alloc(24, 1), Buffer.alloc(32, 2)] as const

interface Stage {
  readonly world: VirtualWorld
  readonly deliveries: Deliveries
}
const stages: Stage[] = []
const stage = (options: { readonly patterns?: readonly UrlPattern[]; readonly lookup?: Lookup } = {}): Stage => {
  const world = virtualWorld()
  const made = { world, deliveries: createDeliveries({ world, patterns: LOOPBACK_PATTERNS, userAgent: 'Stint/1.2.3', ...options }) }
  stages.push(made)
  return made
}
afterEach(async () => {
  for (const { world, deliveries } of stages.splice(0)) {
    await deliveries.close()
    // Nothing is left over: no message, no timer.
    expect([deliveries.underWay(), world.pending()]).toEqual([[], []])
  }
  await closeReceivers()
})

const message = (url: string, more: Partial<Message> = {}): Message => ({ id: 'msg_1', url, about: 'a test', body: '{"n":1}', secrets: [], ...more })

/** Moves the clock to the next attempt as soon as the pause before it has begun. */
const nextAttempt = async (world: VirtualWorld, after: FailedAttempt | undefined): Promise<void> => {
  const ms = (after?.nextAt ?? 0) - world.now()
  await world.until((pending) => pending.length === 1 && Math.abs((pending[0] ?? 0) - ms) <= 1)
  world.advance(ms)
}

/** Promises for the failed attempts, in order. */
const failures = () => {
  const failed: FailedAttempt[] = []
  let look = (): void => undefined
  return {
    failed,
    onFailed: (attempt: FailedAttempt): void => {
      failed.push(attempt)
      look()
    },
    until: (count: number): Promise<FailedAttempt> =>
      new Promise((resolve) => {
        look = () => {
          const found = failed[count - 1]
          if (found !== undefined) resolve(found)
        }
        look()
      }),
  }
}

describe('a message', () => {
  it('is acknowledged by any 2xx, and says what it is and who sends it', async () => {
    for (const status of [200, 201, 202, 204, 299]) {
      const { deliveries, world } = stage()
      const receiver = await startReceiver()
      receiver.answer(status)
      expect(await deliveries.send(message(`${receiver.url}/told?x=1`))).toEqual({ type: 'acknowledged', status, attempts: 1, at: world.now() })
      expect(receiver.received).toMatchObject([{ method: 'POST', path: '/told?x=1', body: '{"n":1}' }])
      expect(receiver.received[0]?.headers).toMatchObject({
        'content-type': 'application/json',
        'content-length': '7',
        'user-agent': 'Stint/1.2.3',
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(world.now() / 1_000),
      })
      expect(receiver.received[0]?.headers).not.toHaveProperty('webhook-signature')
    }
  })

  it('is sent as it is, in UTF-8, under its media type', async () => {
    const { deliveries } = stage()
    const receiver = await startReceiver()
    await deliveries.send(message(receiver.url, { body: 'Grüße 🐞', mediaType: 'text/plain; charset=utf-8' }))
    expect(receiver.received[0]).toMatchObject({ body: 'Grüße 🐞', headers: { 'content-length': '12', 'content-type': 'text/plain; charset=utf-8' } })
  })

  it('is signed anew for each attempt, once with each secret, under the same id', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer(500, 204)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url, { secrets: KEYS }), { onFailed })
    await nextAttempt(world, await until(1))
    expect((await sent).type).toBe('acknowledged')
    const times = receiver.received.map(({ headers }) => Number(headers['webhook-timestamp']))
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(5)
    for (const { headers, body } of receiver.received) {
      const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
      expect([headers['webhook-id'], headers['webhook-signature']]).toEqual([
        'msg_1',
        KEYS.map((key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`).join(' '),
      ])
    }
  })
})

describe('a receiver that does not acknowledge', () => {
  it.each([400, 401, 404, 408, 422, 429, 500, 502, 503])('with %i is tried again', async (status) => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer(status, 204)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url), { onFailed })
    const first = await until(1)
    expect(first).toMatchObject({ number: 1, at: world.now(), status, detail: `The receiver answered ${status}.` })
    expect(deliveries.underWay()).toMatchObject([{ id: 'msg_1', about: 'a test', attempts: 1, lastFailed: first }])
    await nextAttempt(world, first)
    expect(await sent).toMatchObject({ type: 'acknowledged', attempts: 2 })
  })

  it('is tried again after 5 s, then twice as long each time up to an hour, each drawn by a fifth', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer(500)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url), { onFailed })
    const waits: number[] = []
    for (let count = 1; count <= 13; count++) {
      const failed = await until(count)
      waits.push((failed.nextAt ?? 0) - failed.at)
      await nextAttempt(world, failed)
    }
    await until(14)
    const full = [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600, 3_600].map((seconds) => seconds * 1_000)
    for (const [index, ms] of full.entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(index === 0 ? 5_000 : ms * 0.8)
      expect(waits[index]).toBeLessThanOrEqual(Math.min(ms * 1.2 + 1, 3_600_000))
    }
    expect(new Set(waits).size).toBeGreaterThan(10)
    await deliveries.close()
    expect(await sent).toMatchObject({ type: 'given-up', reason: 'stopped', attempts: 14 })
  })

  it.each([
    ['in seconds', () => '120', 120_000],
    ['as a date', (now: number) => new Date(now + 90_000).toUTCString(), 90_000],
    ['in years', () => '999999999', 86_400_000],
    ['sooner than it would be anyway', () => '0', 5_000],
    ['in words', () => 'soon', 5_000],
  ] as const)('and says when to come back, %s, is not asked sooner', async (_what, header, ms) => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer([503, { 'Retry-After': header(world.now()) }], 204)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url), { onFailed })
    const failed = await until(1)
    const wait = (failed.nextAt ?? 0) - failed.at
    expect(wait).toBeGreaterThanOrEqual(ms)
    expect(wait).toBeLessThanOrEqual(Math.max(ms, 6_001))
    await nextAttempt(world, failed)
    expect((await sent).type).toBe('acknowledged')
  })

  it('and answers 410 is given up at once', async () => {
    const { deliveries } = stage()
    const receiver = await startReceiver()
    receiver.answer(410)
    const { onFailed, failed } = failures()
    expect(await deliveries.send(message(receiver.url), { onFailed })).toMatchObject({ type: 'given-up', reason: 'gone', attempts: 1, last: { status: 410 } })
    expect(failed).toMatchObject([{ number: 1, status: 410, nextAt: undefined }])
  })

  it('and points elsewhere is not followed', async () => {
    const { deliveries, world } = stage()
    const elsewhere = await startReceiver()
    const receiver = await startReceiver()
    receiver.answer([307, { Location: `${elsewhere.url}/` }], [301, { Location: `${elsewhere.url}/` }], 204)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url), { onFailed })
    expect(await until(1)).toMatchObject({ status: 307, detail: 'The receiver answered 307; redirects are not followed.' })
    await nextAttempt(world, await until(1))
    await nextAttempt(world, await until(2))
    expect([(await sent).type, elsewhere.received]).toEqual(['acknowledged', []])
  })

  it('because nobody listens there, because it hangs up, or because it talks nonsense, is tried again', async () => {
    const closed = await startReceiver()
    await closed.close()
    const nonsense = createServer((socket) => socket.end('What?\r\n\r\n')).listen(0, '127.0.0.1')
    await once(nonsense, 'listening')
    const receiver = await startReceiver()
    receiver.answer((res) => res.socket?.resetAndDestroy())
    const switching = await startReceiver()
    switching.answer((res) => res.writeHead(101, { Connection: 'Upgrade', Upgrade: 'chat' }).flushHeaders())
    for (const url of [closed.url, receiver.url, switching.url, `http://127.0.0.1:${(nonsense.address() as AddressInfo).port}`]) {
      const { deliveries } = stage()
      const { onFailed, until } = failures()
      const sent = deliveries.send(message(url), { onFailed })
      const failed = await until(1)
      expect(failed).toMatchObject({ number: 1, status: undefined, detail: expect.stringMatching(/ECONNREFUSED|ECONNRESET|socket hang up|Parse Error|without an answer/) })
      expect(failed.nextAt).toBeGreaterThanOrEqual(failed.at + 5_000)
      await deliveries.close()
      expect((await sent).type).toBe('given-up')
    }
    nonsense.close()
  })

  it('because it says nothing, is cut after 15 s', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer(() => undefined, 204)
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(receiver.url), { onFailed })
    await receiver.until(1)
    world.advance(ATTEMPT_MS)
    expect(await until(1)).toMatchObject({ status: undefined, detail: 'No answer within 15 s.' })
    await nextAttempt(world, await until(1))
    expect(await sent).toMatchObject({ type: 'acknowledged', attempts: 2 })
  })
})

describe('an answer', () => {
  it('that is slow is waited for', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    let answer = (): void => undefined
    receiver.answer((res) => (answer = () => void res.writeHead(200).end('late')))
    const sent = deliveries.send(message(receiver.url))
    await receiver.until(1)
    world.advance(ATTEMPT_MS - 1)
    answer()
    expect(await sent).toMatchObject({ type: 'acknowledged', attempts: 1 })
  })

  it('that does not end counts by its status, after as much as is read of it', async () => {
    const { deliveries } = stage()
    const receiver = await startReceiver()
    let written = 0
    receiver.answer((res) => {
      const chunk = Buffer.alloc(16 * 1024)
      const more = (): void => {
        while (!res.destroyed && res.write(chunk)) written += chunk.length
      }
      res.on('drain', more)
      res.writeHead(200)
      more()
    })
    expect(await deliveries.send(message(receiver.url))).toMatchObject({ type: 'acknowledged', status: 200 })
    expect(written).toBeGreaterThanOrEqual(ANSWER_BYTES_MAX)
  })

  it('that begins and then hangs counts by its status, after 15 s', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer((res) => void res.writeHead(202, { 'Content-Length': '10' }).write('half'))
    const sent = deliveries.send(message(receiver.url))
    await receiver.until(1)
    await settle()
    world.advance(ATTEMPT_MS)
    expect(await sent).toMatchObject({ type: 'acknowledged', status: 202 })
  })

  it('that breaks off counts by its status', async () => {
    const { deliveries } = stage()
    const receiver = await startReceiver()
    receiver.answer((res) => {
      res.writeHead(200, { 'Content-Length': '10' })
      res.write('half', () => res.socket?.destroy())
    })
    expect(await deliveries.send(message(receiver.url))).toMatchObject({ type: 'acknowledged', status: 200 })
  })
})

describe('a message is given up', () => {
  it.each(['http://10.1.2.3/', 'https://hooks.example.com/', 'http://me:secret@127.0.0.1/', 'nonsense'])(
    'before any attempt when the list does not allow its URL: %s',
    async (url) => {
      const { deliveries } = stage()
      expect(await deliveries.send(message(url))).toMatchObject({ type: 'given-up', reason: 'not-allowed', attempts: 0 })
      expect(deliveries.figures()).toMatchObject({ givenUp: 1, failedAttempts: 0 })
    },
  )

  it('when its time would be over by the next attempt', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    receiver.answer(500)
    const { onFailed, until, failed } = failures()
    const sent = deliveries.send(message(receiver.url), { until: world.now() + 12_000, onFailed })
    await nextAttempt(world, await until(1))
    expect(await sent).toMatchObject({ type: 'given-up', reason: 'expired', attempts: 2, last: { number: 2, nextAt: undefined } })
    expect(failed).toHaveLength(2)
    expect(await deliveries.send(message(receiver.url), { until: world.now() - 1 })).toMatchObject({ reason: 'expired', attempts: 0 })
    expect(receiver.received).toHaveLength(2)
  })

  it('when it is cancelled: before, during and between attempts', async () => {
    const { deliveries, world } = stage()
    const receiver = await startReceiver()
    expect(await deliveries.send(message(receiver.url), { signal: AbortSignal.abort() })).toMatchObject({ type: 'given-up', reason: 'cancelled', attempts: 0 })
    receiver.answer(() => undefined)
    const during = new AbortController()
    const hanging = deliveries.send(message(receiver.url), { signal: during.signal })
    await receiver.until(1)
    during.abort()
    expect(await hanging).toMatchObject({ reason: 'cancelled', attempts: 1 })
    receiver.answer(500)
    const between = new AbortController()
    const { onFailed, until } = failures()
    const pausing = deliveries.send(message(receiver.url), { signal: between.signal, onFailed })
    await until(1)
    between.abort()
    expect(await pausing).toMatchObject({ reason: 'cancelled', attempts: 1 })
    expect(world.pending()).toEqual([])
  })

  it('when the server stops, and none is taken after that', async () => {
    const { deliveries } = stage()
    const receiver = await startReceiver()
    receiver.answer(() => undefined)
    const sent = deliveries.send(message(receiver.url))
    await receiver.until(1)
    await deliveries.close()
    expect(await sent).toMatchObject({ type: 'given-up', reason: 'stopped', attempts: 1 })
    expect(await deliveries.send(message(receiver.url))).toMatchObject({ reason: 'stopped', attempts: 0 })
  })
})

describe('many messages', () => {
  it('go to one receiver eight at a time, and one that is dead does not hold up another', async () => {
    const { deliveries } = stage()
    const dead = await startReceiver()
    dead.answer(() => undefined)
    const alive = await startReceiver()
    const stuck = Array.from({ length: 100 }, (_, index) => deliveries.send(message(dead.url, { id: `msg_${index}` })))
    await dead.until(8)
    const sent = await Promise.all(Array.from({ length: 50 }, () => deliveries.send(message(alive.url))))
    expect(new Set(sent.map(({ type }) => type))).toEqual(new Set(['acknowledged']))
    expect([dead.open(), dead.received.length, deliveries.figures()]).toEqual([8, 8, { acknowledged: 50, givenUp: 0, failedAttempts: 0, underWay: 100 }])
    await deliveries.close()
    expect(new Set((await Promise.all(stuck)).map((outcome) => outcome.type))).toEqual(new Set(['given-up']))
  })

  it('go to all receivers 64 at a time; the next one goes when one is done, whoever it is for', async () => {
    const { deliveries, world } = stage()
    const dead = await Promise.all(Array.from({ length: 9 }, startReceiver))
    for (const receiver of dead) receiver.answer(() => undefined)
    const stuck = dead.flatMap(({ url }) => Array.from({ length: 10 }, () => deliveries.send(message(url))))
    await Promise.all(dead.slice(0, 8).map((receiver) => receiver.until(8)))
    await settle()
    expect(dead.map((receiver) => receiver.open())).toEqual([8, 8, 8, 8, 8, 8, 8, 8, 0])
    world.advance(ATTEMPT_MS)
    // Their turn comes while others of the first eight wait for theirs.
    await dead[8]?.until(1)
    await deliveries.close()
    await Promise.all(stuck)
  })
})

describe('what a name resolves to', () => {
  const list = (...texts: readonly string[]) => texts.map((text) => right(E.mapLeft((detail: string) => new Error(detail))(parseUrlPattern(text))))
  /** Resolves every name to these addresses, or to none. */
  const names = (...addresses: readonly string[]): Lookup =>
    ((_name: string, _options: object, callback: (error: Error | null, found: readonly object[]) => void) =>
      callback(
        addresses.length === 0 ? new Error('getaddrinfo ENOTFOUND') : null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )) as unknown as Lookup

  const firstFailure = async (url: string, patterns: readonly UrlPattern[], lookup: Lookup): Promise<string> => {
    const { deliveries } = stage({ patterns, lookup })
    const { onFailed, until } = failures()
    const sent = deliveries.send(message(url), { onFailed })
    const acknowledged = sent.then(({ type }) => type)
    const failed = until(1).then(({ detail }) => detail)
    const first = await Promise.race([acknowledged, failed])
    await deliveries.close()
    await sent
    return first
  }

  it('may be anything when the list names the host exactly', async () => {
    const receiver = await startReceiver()
    expect(await firstFailure(`http://inside.example:${receiver.port}/`, list('http://inside.example:*'), names('127.0.0.1'))).toBe('acknowledged')
    expect(receiver.received[0]?.headers.host).toBe(`inside.example:${receiver.port}`)
  })

  it.each([
    ['127.0.0.1'],
    ['10.0.0.5'],
    ['169.254.169.254'],
    ['::1'],
    ['fe80::1'],
    ['fd00::1'],
    ['::ffff:127.0.0.1'],
    ['64:ff9b::7f00:1'],
    ['2002:7f00:1::'],
    ['93.184.216.34', '127.0.0.1'],
  ])('must be public when the list names it by a star: %s', async (...addresses) => {
    const receiver = await startReceiver()
    const failure = await firstFailure(`http://x.example.com:${receiver.port}/`, list('http://*.example.com:*'), names(...addresses))
    expect(failure).toBe('x.example.com is, or resolves to, an address that is not public; allowUrls has to name the host exactly to call it there.')
    expect(receiver.received).toEqual([])
  })

  it('may be nothing at all: the name may come', async () => {
    expect(await firstFailure('http://x.example.com/', list('http://*.example.com'), names())).toBe('getaddrinfo ENOTFOUND')
  })
})

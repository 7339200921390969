// Calls of the SDK over one connection: when they travel there, that nobody notices when they cannot, and that nothing is left behind.
import { join } from 'node:path'
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, routes, StintError, Unreachable, type ConnectOptions, type Stint } from '../../src/client/index.ts'
import { startChannelProxy, type ChannelProxy } from '../support/channel-proxy.ts'
import { settle } from '../support/engine.ts'
import { until, turns } from '../support/eventually.ts'
import { emptyList, startOddServer, type OddServer } from '../support/odd-channel.ts'
import { processes } from '../support/process.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

let stint: RealStint
let proxy: ChannelProxy
let world: VirtualWorld
let client: Stint
const odd: OddServer[] = []
const clients: Stint[] = []

const connectTo = (url: string, options: Partial<ConnectOptions> = {}): Stint => {
  const made = connect({ url, world, ...options })
  clients.push(made)
  return made
}

beforeEach(async () => {
  stint = await startRealStint()
  proxy = await startChannelProxy(stint.url)
  world = virtualWorld()
  client = connectTo(proxy.url)
})

afterEach(async () => {
  await proxy.close()
  for (const server of odd.splice(0)) await server.close()
  await Promise.all(clients.splice(0).map((each) => each.close()))
  await stint.close()
})

const list = (by = client) => by.call(routes.listJobs)
const MAIL = { app: 'shop', queue: 'mail' }
const lease = (signal?: AbortSignal) =>
  client.call(routes.leaseTasks, { params: MAIL, body: { worker: 'w' }, headers: { Prefer: 'wait=60' }, timeoutMs: 90_000, ...(signal === undefined ? {} : { signal }) })
const waiters = (): number => stint.engine().queues.figuresOf(MAIL).waiters

/** Calls until a call goes over the channel. */
const channelled = async (requests: () => number = () => proxy.requests.length, by = client): Promise<void> => {
  for (let before = -1; before !== requests();) {
    before = requests()
    await list(by)
    await turns(1)
  }
}

/** Lets the pause before a repeat pass. */
const passPause = async (): Promise<void> => {
  const isPause = (ms: number): boolean => ms < 5_000
  await world.until((pending) => pending.some(isPause))
  world.advance(world.pending().find(isPause) ?? 0)
}

/** Makes so many calls and says how many of them went by HTTP. */
const byHttp = async (count: number, by = client): Promise<number> => {
  const before = proxy.requests.length
  for (let call = 0; call < count; call += 1) await list(by)
  return proxy.requests.length - before
}

describe('calls over one connection', () => {
  it('begin after a few, and go there all', async () => {
    expect(await byHttp(3)).toBe(3)
    expect(proxy.upgrades()).toBe(0)
    await channelled()
    expect([await byHttp(20), proxy.upgrades(), proxy.channels()]).toEqual([0, 1, 1])
    const registered = await client.call(routes.registerJob, { body: { id: 'j', service: 'Zo\u00eb', server: 's' } })
    expect(registered).toMatchObject({ id: 'j', service: 'Zo\u00eb' })
    expect(await client.call(routes.showJob, { params: { id: 'j' } })).toMatchObject({ id: 'j' })
    await expect(client.call(routes.showJob, { params: { id: 'none' } })).rejects.toThrow(StintError)
    expect(await client.exchange(routes.showJob, { params: { id: 'j' }, headers: { 'If-None-Match': '"0"' } })).toMatchObject({ status: 200 })
    expect(await byHttp(1)).toBe(0)
  })

  it('carry bytes of any type both ways', async () => {
    await client.call(routes.putContract, { params: { contract: 'pay' }, body: { callers: ['*'], workers: ['*'] } })
    await channelled()
    const before = proxy.requests.length
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    await using worker = client.requestWorker({ contract: 'pay', onProblem: () => undefined }, ({ body }) => ({
      status: 201,
      mediaType: 'image/png',
      body: (body as Uint8Array).toReversed(),
    }))
    await using requester = client.requester({ contract: 'pay' })
    const reply = await requester.call(bytes.subarray(1), { mediaType: 'image/gif' })
    expect([reply.status, new Uint8Array(reply.bytes)]).toEqual([201, bytes.subarray(1).toReversed()])
    await worker.close()
    expect(proxy.requests.length).toBe(before)
  })

  it('are none with `channel: false`, with a fetch of one’s own, and with an agent that the process has set', async () => {
    const dispatcher = getGlobalDispatcher()
    for (const options of [{ channel: false }, { fetch: (input: string, init: RequestInit) => fetch(input, init) }])
      expect(await byHttp(20, connectTo(proxy.url, options))).toBe(20)
    class Elsewhere extends Agent {}
    setGlobalDispatcher(new Elsewhere())
    try {
      expect(await byHttp(20)).toBe(20)
    } finally {
      await getGlobalDispatcher().close()
      setGlobalDispatcher(dispatcher)
    }
    await settle()
    expect(proxy.upgrades()).toBe(0)
  })

  it('leave the large ones to HTTP', async () => {
    await channelled()
    const before = proxy.requests.length
    const put = (id: string, characters: number, character = 'x') => client.call(routes.insertTask, { params: MAIL, body: { id, payload: character.repeat(characters) } })
    await put('a', 1_000_000)
    expect(proxy.requests.length).toBe(before)
    await put('b', 1_040_000)
    await put('c', 349_000, '\u2603')
    expect(proxy.requests.slice(before)).toEqual(['POST /v1/queues/shop/mail/tasks', 'POST /v1/queues/shop/mail/tasks'])
    expect([await byHttp(1), proxy.channels()]).toEqual([0, 1])
  })

  it('leave to HTTP what is more than a channel carries at a time', async () => {
    const server = await startOddServer((call, channel) => {
      if (call.path?.includes('service') === false) channel.send(emptyList(call.id))
    })
    odd.push(server)
    const by = connectTo(server.url)
    await channelled(server.requests, by)
    const before = server.requests()
    const over = new AbortController()
    const hanging = Array.from({ length: 5_000 }, () => by.call(routes.listJobs, { query: { service: 's' }, signal: over.signal }).catch(() => undefined))
    await until(() => server.calls.filter(({ path }) => path?.includes('service')).length === 5_000)
    expect(server.requests()).toBe(before)
    await list(by)
    expect(server.requests()).toBe(before + 1)
    over.abort()
    await Promise.all(hanging)
    await list(by)
    expect(server.requests()).toBe(before + 1)
  })
})

describe('where channels cannot be opened', () => {
  it.each([400, 404, 426, 502, 301, 200, 'reset'] as const)('calls go by HTTP as they do without, and it is tried again only after a rest (%s)', async (how) => {
    proxy.treatUpgrades(how)
    expect(await byHttp(20)).toBe(20)
    await until(() => proxy.upgrades() === 1 && proxy.channels() === 0)
    expect(await byHttp(20)).toBe(20)
    expect(proxy.upgrades()).toBe(1)
    proxy.treatUpgrades('pass')
    world.advance(60_000)
    await channelled()
    expect(proxy.upgrades()).toBe(2)
  })

  it('the pauses between two tries grow to a minute', async () => {
    proxy.treatUpgrades(404)
    await byHttp(5)
    for (let round = 0; round < 200; round += 1) {
      world.advance(5_000)
      await list()
      await until(() => proxy.channels() === 0)
    }
    expect(proxy.upgrades()).toBeGreaterThan(15)
    expect(proxy.upgrades()).toBeLessThan(40)
  })

  it('nobody waits for one that hangs in its opening, which is given up', async () => {
    proxy.treatUpgrades('hang')
    expect(await byHttp(20)).toBe(20)
    await until(() => proxy.channels() === 1)
    // It has no timer, which would keep a process alive.
    expect(world.pending()).toEqual([])
    world.advance(4_999)
    expect([await byHttp(1), proxy.channels()]).toEqual([1, 1])
    world.advance(1)
    expect(await byHttp(1)).toBe(1)
    await until(() => proxy.channels() === 0)
    proxy.treatUpgrades('pass')
    world.advance(1_000)
    await channelled()
    expect(proxy.upgrades()).toBe(2)
  })

  it.each([
    ['no head', 'nonsense'],
    ['no JSON', '{\n'],
    ['null', 'null\n'],
    ['no headers', '{"id":1,"status":200}\n'],
    ['bad headers', '{"id":1,"status":200,"headers":["a b","c"]}\n'],
  ])('who answers with %s is left, and the call goes by HTTP', async (_what, answer) => {
    const server = await startOddServer((_call, channel) => channel.send(answer))
    odd.push(server)
    const by = connectTo(server.url)
    let isAnswered = true
    let listing: Promise<unknown> = Promise.resolve()
    while (isAnswered) {
      isAnswered = false
      listing = list(by).then(() => (isAnswered = true))
      await until(() => isAnswered || server.calls.length > 0)
    }
    await passPause()
    await listing
    await until(() => server.channels() === 0)
    const before = server.requests()
    await list(by)
    expect([server.requests(), server.calls.length]).toEqual([before + 1, 1])
  })

  it('who opens another kind of connection is left', async () => {
    const server = await startOddServer((call, channel) => channel.send(emptyList(call.id)), 'other')
    odd.push(server)
    const by = connectTo(server.url)
    for (let call = 0; call < 20; call += 1) await list(by)
    await until(() => server.channels() === 0)
    expect([server.requests(), server.calls.length]).toEqual([20, 0])
  })
})

describe('a channel that is cut', () => {
  it('loses no call that may be repeated', async () => {
    await client.call(routes.registerJob, { body: { id: 'j', service: 's', server: 's' } })
    const { headers } = await fetch(`${stint.url}/v1/jobs/j/directive`)
    await channelled()
    const asked = { params: { id: 'j' }, headers: { 'If-None-Match': headers.get('etag') ?? '', Prefer: 'wait=60' }, timeoutMs: 90_000 }
    const polls = [1, 2, 3].map(() => client.exchange(routes.askJobDirective, asked))
    const before = proxy.requests.length
    await turns(50)
    proxy.cut()
    for (let index = 0; index < 3; index += 1) await passPause()
    await until(() => proxy.requests.length === before + 3)
    await client.jobs.abort('j')
    expect((await Promise.all(polls)).map(({ body }) => body?.directive)).toEqual(['abort', 'abort', 'abort'])
  })

  it('loses a call that may not be repeated, which is told so as over HTTP', async () => {
    await channelled()
    const leasing = lease()
    await until(() => waiters() === 1)
    proxy.cut()
    await expect(leasing).rejects.toThrow(Unreachable)
    await until(() => waiters() === 0)
  })

  it('is opened again after a rest', async () => {
    await channelled()
    proxy.cut()
    await until(() => proxy.channels() === 0)
    await turns(10)
    expect(await byHttp(10)).toBe(10)
    world.advance(1_000)
    await channelled()
    expect([await byHttp(10), proxy.upgrades()]).toEqual([0, 2])
  })

  it('is opened again to a server that was away', async () => {
    await channelled()
    await stint.stop()
    await until(() => proxy.channels() === 0)
    await stint.start()
    // The rest begins when the client finds its channel gone, which may be later than the proxy does.
    for (; proxy.upgrades() < 2; await turns(1)) {
      world.advance(100)
      await list(client)
    }
    await channelled()
    expect([await byHttp(10), proxy.upgrades()]).toEqual([0, 2])
  })
})

describe('a server that stops', () => {
  it('answers the polls of a channel, and is left before it closes', async () => {
    await channelled()
    const leasing = lease()
    await until(() => waiters() === 1)
    await stint.stop()
    expect((await leasing).items).toEqual([])
    await until(() => proxy.channels() === 0)
  })

  it('is given no call after the first answer that says so, and the channel ends with the last one', async () => {
    const held: number[] = []
    const server = await startOddServer((call, channel) => {
      if (call.path?.includes('held')) held.push(call.id)
      else channel.send(emptyList(call.id, ...(call.path?.includes('stop') ? ['Connection', 'close'] : [])))
      if (call.path?.includes('stop')) void until(() => server.requests() > before).then(() => channel.send(emptyList(held[0] as number)))
    })
    odd.push(server)
    const by = connectTo(server.url)
    await channelled(server.requests, by)
    const before = server.requests()
    const waiting = by.call(routes.listJobs, { query: { service: 'held' } })
    await by.call(routes.listJobs, { query: { service: 'stop' } })
    expect([server.requests(), server.channels()]).toEqual([before, 1])
    await list(by)
    expect(server.requests()).toBe(before + 1)
    expect(await waiting).toEqual({ items: [] })
    await until(() => server.channels() === 0)
  })
})

describe('a server that cannot do what another may', () => {
  it.each([
    ['store-unavailable', 'application/problem+json', [], 1],
    ['no-leader', 'application/problem+json', [], 1],
    ['overloaded', 'application/problem+json', [], 0],
    ['store-unavailable', 'application/json', [], 0],
    ['store-unavailable', 'application/problem+json', ['Stint-Release', 'encouraged'], 0],
  ] as const)('and says %s (%s %s) is left so many times: %i', async (code, type, headers, left) => {
    const server = await startOddServer((call, channel) => {
      if (call.path?.includes('service') === false) return channel.send(emptyList(call.id))
      channel.send(`${JSON.stringify({ id: call.id, status: 503, headers: ['Content-Type', type, 'Retry-After', '60', ...headers] })}\n${JSON.stringify({ status: 503, code })}`)
    })
    odd.push(server)
    const by = connectTo(server.url)
    await channelled(server.requests, by)
    const before = server.requests()
    await expect(by.call(routes.listJobs, { query: { service: 's' }, attemptsMax: 1 })).rejects.toThrow()
    await list(by)
    expect(server.requests()).toBe(before + left)
  })
})

describe('a channel that goes dead without closing', () => {
  it('is found out by the first answer that is missed, and calls go on by HTTP', async () => {
    await channelled()
    proxy.freeze()
    const missed = list()
    await world.until((pending) => pending.includes(30_000))
    world.advance(30_000)
    await passPause()
    expect(await missed).toMatchObject({ items: [] })
    expect(await byHttp(10)).toBe(10)
    // Nobody waits over it, so nothing keeps the process: the next call after the time that it has to answer leaves it.
    expect([world.pending(), proxy.channels()]).toEqual([[], 1])
    world.advance(5_000)
    expect(await byHttp(1)).toBe(1)
    await until(() => proxy.channels() === 0)
    world.advance(1_000)
    await channelled()
    expect(await byHttp(5)).toBe(0)
  })

  it('gives up the other calls that wait over it within seconds', async () => {
    await channelled()
    const leasing = lease()
    await until(() => waiters() === 1)
    proxy.freeze()
    const missed = list()
    await world.until((pending) => pending.includes(30_000))
    world.advance(30_000)
    await passPause()
    await missed
    world.advance(5_000)
    await expect(leasing).rejects.toThrow(Unreachable)
    await until(() => proxy.channels() === 0)
  })

  it('is not left for an answer that takes long, while others are heard', async () => {
    await channelled()
    const leasing = lease()
    await until(() => waiters() === 1)
    world.advance(20_000)
    await list()
    const over = new AbortController()
    const aborted = lease(over.signal)
    await until(() => waiters() === 2)
    over.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    expect(await byHttp(5)).toBe(0)
    await client.call(routes.insertTask, { params: MAIL, body: { id: 'a' } })
    expect((await leasing).items).toMatchObject([{ id: 'a' }])
  })

  it('that answers when it is asked for a sign of life is kept', async () => {
    await channelled()
    world.advance(60_000)
    const over = new AbortController()
    const aborted = lease(over.signal)
    await until(() => waiters() === 1)
    over.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    await channelled()
    expect([await byHttp(5), proxy.upgrades(), world.pending()]).toEqual([0, 1, []])
  })
})

describe('a call that is aborted', () => {
  it('rejects with the reason at once, and waits no longer at the server', async () => {
    await channelled()
    const over = new AbortController()
    const reason = new Error('enough')
    const leasing = lease(over.signal)
    await until(() => waiters() === 1)
    over.abort(reason)
    await expect(leasing).rejects.toBe(reason)
    await until(() => waiters() === 0)
    await expect(lease(AbortSignal.abort(reason))).rejects.toBe(reason)
    expect([await byHttp(5), proxy.channels()]).toEqual([0, 1])
  })
})

describe('a client that is closed', () => {
  it('leaves no connection and no timer', async () => {
    await channelled()
    const leasing = lease()
    leasing.catch(() => undefined)
    await until(() => waiters() === 1)
    await client.close()
    await expect(leasing).rejects.toThrow()
    await until(() => waiters() === 0 && proxy.channels() === 0)
    expect(world.pending()).toEqual([])
    await expect(list()).rejects.toThrow()
    expect(proxy.upgrades()).toBe(1)
  })

  it('leaves none that is about to be opened', async () => {
    proxy.treatUpgrades('hang')
    await byHttp(5)
    await until(() => proxy.channels() === 1)
    await client.close()
    await until(() => proxy.channels() === 0)
    expect(world.pending()).toEqual([])
  })

  it('leaves a channel that is dead after a second', async () => {
    await channelled()
    proxy.freeze()
    const closing = client.close()
    await world.until((pending) => pending.includes(1_000))
    world.advance(1_000)
    await closing
    await until(() => proxy.channels() === 0)
    expect(world.pending()).toEqual([])
  })
})

describe('a script that closes nothing', () => {
  const { start } = processes('channel')
  const PROGRAM = join(import.meta.dirname, 'programs', 'idle-script.ts')

  it('ends by itself while its channel is open', async () => {
    const script = start(process.execPath, [PROGRAM, proxy.url])
    expect(await script.ended()).toEqual({ code: 0, signal: null })
    expect(proxy.upgrades()).toBe(1)
    expect(proxy.requests.length).toBeLessThan(50)
  })

  it('ends by itself while its channel hangs in its opening', async () => {
    proxy.treatUpgrades('hang')
    const script = start(process.execPath, [PROGRAM, proxy.url])
    expect(await script.ended()).toEqual({ code: 0, signal: null })
    expect([proxy.upgrades(), proxy.requests.length]).toEqual([1, 50])
  })

  it('does not end while a call is under way', async () => {
    const script = start(process.execPath, [PROGRAM, proxy.url, 'wait'])
    await script.line(/^done$/)
    await until(() => waiters() === 1)
    const before = proxy.requests.length
    await turns(200)
    await client.call(routes.insertTask, { params: MAIL, body: { id: 'a' } })
    await script.line(/^got a$/)
    expect(await script.ended()).toEqual({ code: 0, signal: null })
    expect(proxy.requests.slice(before)).toEqual(['POST /v1/queues/shop/mail/tasks'])
  })
})

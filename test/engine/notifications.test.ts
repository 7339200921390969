// Those who listen to a queue are told that work has come: in each way in which it can come, once a debounce, and never when a worker takes it.
import { afterEach, describe, expect, it } from 'vitest'
import { taskId } from '../../src/domain/ids.ts'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import type { EngineSettings } from '../../src/engine/open.ts'
import type { Ready } from '../../src/engine/queues/notifications.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { contextOf, right, settle, startEngine, type TestEngine } from '../support/engine.ts'
import { configure, queueConfig, unconfigure } from '../support/queues.ts'
import { closeReceivers, startReceiver, type Receiver } from '../support/receiver.ts'
import { direct } from '../support/engine.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { fail, finish, giveBack, idOf, leaseOf, put, take, tryTake } from '../support/tasks.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const MAIL = { app: 'shop', queue: 'mail' }
const DEBOUNCE_MS = 2_000
const SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

const opened: TestEngine[] = []
interface Given {
  readonly store?: TestEngine['store']
  readonly world?: TestEngine['world']
  readonly settings?: Partial<EngineSettings>
}
const start = async ({ settings, ...given }: Given = {}): Promise<TestEngine> => {
  const one = await startEngine({ ...given, settings: { allowUrls: LOOPBACK_PATTERNS, ...settings }, secretOf: (name) => ({ MAIL_SECRET: SECRET, BAD: 'whsec_short' })[name] })
  opened.push(one)
  return one
}
afterEach(async () => {
  for (const { engine, store, world } of opened.splice(0)) {
    await settle()
    await expectReplayEqual(engine, store)
    await engine.close()
    expect([world.pending(), engine.deliveries.underWay()]).toEqual([[], []])
  }
  await closeReceivers()
})

type Stint = NonNullable<Parameters<typeof queueConfig>[2]>['stint']

/** A queue shop/mail whose webhook is the receiver. */
const withWebhook = async (test: TestEngine, receiver: Pick<Receiver, 'url'>, stint: Stint = {}): Promise<void> =>
  configure(test, queueConfig('shop', 'mail', { stint: { webhook: { url: `${receiver.url}/told`, debounceMs: DEBOUNCE_MS }, ...stint } }))

const begin = async (stint: Stint = {}) => {
  const test = await start()
  const receiver = await startReceiver()
  await withWebhook(test, receiver, stint)
  return { test, receiver }
}

/** Lets time pass, and all that it has brought about: no attempt is under way afterwards. */
const pass = async ({ world, engine }: TestEngine, ms: number): Promise<void> => {
  await settle()
  world.advance(ms)
  do await settle()
  while (engine.deliveries.underWay().some(({ attempts, lastFailed }) => attempts !== lastFailed?.number))
}

const told = ({ received }: Receiver): readonly { readonly waiting: number }[] => received.map(({ body }) => JSON.parse(body) as { readonly waiting: number })
const webhookOf = ({ engine }: TestEngine) => engine.queues.get(MAIL)?.webhook
const failed = async (test: TestEngine, count: number): Promise<void> => {
  while ((webhookOf(test)?.failures ?? 0) < count) await settle()
}

describe('the message', () => {
  it('says that there is work, how much, since when, and never what it is', async () => {
    const { test, receiver } = await begin()
    const bornAt = test.world.now()
    await put(test, 'a', { bytes: 5 })
    await pass(test, DEBOUNCE_MS - 1)
    expect(receiver.received).toEqual([])
    await put(test, 'b')
    await pass(test, 1)
    const { body, path, headers } = await receiver.until(1)
    expect(JSON.parse(body)).toEqual({
      type: 'queue.ready',
      ...MAIL,
      waiting: 2,
      oldestDueAt: new Date(bornAt).toISOString(),
      at: new Date(test.world.now()).toISOString(),
    })
    expect([path, headers['webhook-id']]).toEqual(['/told', expect.stringMatching(/^msg_[\w-]{36}$/)])
    await settle()
    expect(webhookOf(test)).toEqual({ url: `${receiver.url}/told`, failures: 0, lastAttemptAt: test.world.now(), lastStatus: 204 })
  })

  it('is signed with the secret that the environment holds', async () => {
    const { test, receiver } = await begin({ webhook: { url: 'http://127.0.0.1:1', debounceMs: 0 } })
    await configure(test, queueConfig('shop', 'mail', { stint: { webhook: { url: receiver.url, debounceMs: DEBOUNCE_MS, secretEnv: 'MAIL_SECRET' } } }))
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS)
    expect((await receiver.until(1)).headers['webhook-signature']).toMatch(/^v1,[\w+/]{43}=$/)
  })

  it('leaves no event in the log', async () => {
    const { test, receiver } = await begin()
    await put(test, 'a')
    const before = test.engine.position()
    await pass(test, DEBOUNCE_MS)
    await receiver.until(1)
    await pass(test, DEBOUNCE_MS)
    expect(test.engine.position()).toBe(before)
  })
})

describe('news comes', () => {
  /** What makes the one task of the queue ready again, after it was not. */
  const ways: Readonly<Record<string, (test: TestEngine, receiver: Receiver) => Promise<void>>> = {
    'of a delayed task whose time has come': async (test) => {
      await put(test, 'a', { dueInMs: 60_000 })
      await pass(test, 60_000)
    },
    'of a task whose lease has ended': async (test) => {
      await withTaken(test)
      await pass(test, 90_000)
    },
    'of a task that was given back': async (test) => {
      await withTaken(test)
      await giveBack(test, 'a')
    },
    'of a task that failed and is tried again': async (test) => {
      await withTaken(test)
      await fail(test, 'a')
      await pass(test, 60_000)
    },
    'of a task that was paused and is resumed': async (test) => {
      await put(test, 'a')
      await direct(test, idOf('a'), 'pause')
      await pass(test, DEBOUNCE_MS)
      await direct(test, idOf('a'), 'resume')
    },
    'of the tasks of a queue that is resumed': async (test, receiver) => {
      right(await test.engine.queues.pause(MAIL, undefined, contextOf(test.world, 'admin')))
      await put(test, 'a')
      await put(test, 'b', { dueInMs: 1_000 })
      await pass(test, 60_000)
      expect(receiver.received).toEqual([])
      right(await test.engine.queues.resume(MAIL, contextOf(test.world, 'admin')))
    },
    'of a task that is redriven': async (test) => {
      await withWebhookAndLimit(test)
      await withTaken(test)
      await fail(test, 'a')
      right(await test.engine.execute(taskId('shop', 'mail', 'a'), { type: 'Redrive', by: 'admin' }, contextOf(test.world, 'admin')))
    },
    'of a task whose key is free again': async (test) => {
      await withTaken(test, 'k')
      await put(test, 'b', { key: 'k' })
      expect(await take(test)).toEqual([])
      await pass(test, DEBOUNCE_MS)
      await finish(test, 'a')
    },
    'of tasks that were there before the webhook': async (test, receiver) => {
      await unconfigure(test, 'shop/mail')
      await configure(test, queueConfig('shop', 'mail'))
      await put(test, 'a')
      await pass(test, 60_000)
      await withWebhook(test, receiver)
    },
  }
  const withTaken = async (test: TestEngine, key?: string): Promise<void> => {
    await put(test, 'a', key === undefined ? {} : { key })
    expect(await take(test)).toEqual(['a'])
  }
  const withWebhookAndLimit = (test: TestEngine): Promise<void> => {
    const config = test.engine.queues.configOf(MAIL)
    if (config === undefined) throw new Error('Expected the queue to be there')
    return configure(test, { ...config, retryLimit: 1 })
  }

  it.each(Object.entries(ways))('%s', async (_way, make) => {
    const { test, receiver } = await begin()
    await make(test, receiver)
    const before = receiver.received.length
    await pass(test, DEBOUNCE_MS)
    // One way needs time that brings its news by itself.
    expect(told(receiver).at(-1)).toMatchObject({ waiting: expect.any(Number) })
    expect(receiver.received.length - before).toBeLessThanOrEqual(1)
    expect(receiver.received.length).toBe(1)
  })

  it('of what somebody may ask for again who was held back by the rate', async () => {
    const { test, receiver } = await begin({ rate: { perSecond: 0.1, burst: 1 } })
    await put(test, 'a')
    await put(test, 'b')
    expect([await take(test), await take(test)]).toEqual([['a'], []])
    await finish(test, 'a')
    await pass(test, DEBOUNCE_MS)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }])
    await pass(test, 10_000 - DEBOUNCE_MS)
    await pass(test, DEBOUNCE_MS)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }, { waiting: 1 }])
    // Whoever does not ask is not told again.
    await pass(test, 60_000)
    expect(receiver.received).toHaveLength(2)
  })

  it('of a task that the one may have again who gave it back', async () => {
    const { test, receiver } = await begin()
    await put(test, 'a')
    // It is passed over for 1, 2 and 4 seconds.
    for (let count = 1; count <= 3; count++) {
      expect(await take(test)).toEqual(['a'])
      await giveBack(test, 'a')
      expect(await take(test)).toEqual([])
      await pass(test, DEBOUNCE_MS)
      expect(receiver.received).toHaveLength(count)
    }
    await pass(test, DEBOUNCE_MS)
    expect(receiver.received).toHaveLength(3)
    await pass(test, DEBOUNCE_MS)
    expect(receiver.received).toHaveLength(4)
  })

  it('of what waits when the server starts', async () => {
    const world = virtualWorld()
    const store = memoryStore({ world })
    const first = await start({ world, store: { ...store, close: async () => undefined } })
    const receiver = await startReceiver()
    await withWebhook(first, receiver)
    await put(first, 'a')
    await put(first, 'late', { dueInMs: 60_000 })
    opened.splice(0)
    await first.engine.close()
    const second = await start({ world, store })
    await pass(second, DEBOUNCE_MS)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }])
    await pass(second, 60_000)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }, { waiting: 2 }])
  })
})

describe('nothing is told', () => {
  it('of a task that a waiting worker gets', async () => {
    const { test, receiver } = await begin()
    const waiting = take(test, { waitMs: 30_000 })
    await settle()
    await put(test, 'a')
    expect(await waiting).toEqual(['a'])
    await pass(test, 60_000 - 1)
    expect(receiver.received).toEqual([])
    await finish(test, 'a')
  })

  it('of a task that is taken before the debounce is over', async () => {
    const { test, receiver } = await begin()
    await put(test, 'a')
    expect(await take(test)).toEqual(['a'])
    await pass(test, DEBOUNCE_MS)
    await finish(test, 'a')
    await pass(test, 60_000)
    expect(receiver.received).toEqual([])
  })

  it('but of one that no worker in line may have', async () => {
    const { test, receiver } = await begin()
    const waiting = tryTake(test, { waitMs: 30_000, tag: 'other' })
    await settle()
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }])
    await pass(test, 30_000)
    expect(right(await waiting)).toEqual([])
  })

  it('of a queue that is paused, removed, or has no webhook', async () => {
    const { test, receiver } = await begin()
    await put(test, 'other', { queue: 'elsewhere' })
    right(await test.engine.queues.pause(MAIL, undefined, contextOf(test.world, 'admin')))
    await put(test, 'a')
    await pass(test, 60_000)
    await unconfigure(test, 'shop/mail')
    await pass(test, 60_000)
    expect([receiver.received, webhookOf(test)]).toEqual([[], undefined])
  })
})

describe('once a debounce', () => {
  it('is enough for any number of tasks', async () => {
    const { test, receiver } = await begin()
    for (let second = 0; second < 10; second++) {
      for (let count = 0; count < 5; count++) await put(test, `${second}-${count}`)
      await pass(test, 1_000)
    }
    expect(told(receiver).map(({ waiting }) => waiting)).toEqual([10, 20, 30, 40, 50])
  })

  it('is too often when no new work has come', async () => {
    const { test, receiver } = await begin()
    await put(test, 'a')
    await pass(test, 3_600_000)
    expect(receiver.received).toHaveLength(1)
  })

  it('may be no time at all', async () => {
    const test = await start()
    const receiver = await startReceiver()
    await configure(test, queueConfig('shop', 'mail', { stint: { webhook: { url: receiver.url, debounceMs: 0 } } }))
    await put(test, 'a')
    await receiver.until(1)
    await settle()
    await put(test, 'b')
    expect(JSON.parse((await receiver.until(2)).body)).toMatchObject({ waiting: 2 })
  })
})

describe('a receiver that fails', () => {
  it('is told again with pauses, and of what has come meanwhile only when it has acknowledged', async () => {
    const { test, receiver } = await begin()
    receiver.answer(500, 500, 204)
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS)
    await failed(test, 1)
    expect(webhookOf(test)).toMatchObject({ failures: 1, lastAttemptAt: test.world.now(), lastStatus: 500, lastError: 'The receiver answered 500.' })
    expect(webhookOf(test)?.nextAttemptAt).toBeGreaterThanOrEqual(test.world.now() + 5_000)
    await put(test, 'b')
    await pass(test, 7_000)
    await failed(test, 2)
    await put(test, 'c')
    await pass(test, 13_000)
    await receiver.until(3)
    await settle()
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(webhookOf(test)).toMatchObject({ failures: 0, lastStatus: 204 })
    expect(webhookOf(test)).not.toHaveProperty('lastError')
    await pass(test, DEBOUNCE_MS)
    expect(told(receiver).map(({ waiting }) => waiting)).toEqual([1, 1, 1, 3])
    expect(test.engine.deliveries.figures()).toEqual({ acknowledged: 2, givenUp: 0, failedAttempts: 2, underWay: 0 })
  })

  it('is left alone once it says that it is gone, until its file changes', async () => {
    const { test, receiver } = await begin()
    receiver.answer(410, 204)
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS)
    await failed(test, 1)
    await settle()
    expect(webhookOf(test)).toMatchObject({ off: expect.stringContaining('410'), failures: 1, lastStatus: 410 })
    expect(test.engine.queues.files().warnings).toEqual([expect.stringMatching(/^shop\/mail: its webhook is off\. Its receiver answered 410/)])
    await put(test, 'b')
    await pass(test, 60_000)
    expect(receiver.received).toHaveLength(1)
    await configure(test, queueConfig('shop', 'mail', { stint: { webhook: { url: `${receiver.url}/new`, debounceMs: DEBOUNCE_MS } } }))
    await pass(test, DEBOUNCE_MS)
    expect(told(receiver)).toMatchObject([{ waiting: 1 }, { waiting: 2 }])
  })

  it('is not tried any more when its file names another', async () => {
    const { test, receiver } = await begin()
    receiver.answer(500)
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS)
    await failed(test, 1)
    const next = await startReceiver()
    await withWebhook(test, next)
    await pass(test, DEBOUNCE_MS)
    expect(told(next)).toMatchObject([{ waiting: 1 }])
    await pass(test, 3_600_000)
    expect(receiver.received).toHaveLength(1)
  })
})

describe('a webhook is off, and said to be', () => {
  it.each([
    ['its URL is not allowed', { url: 'https://elsewhere.example/' }, 'Its URL matches no pattern of the setting allowUrls.'],
    ['it is not signed and not on this machine', { url: 'http://inside.example/' }, 'It names no secretEnv, and only calls to this machine may go unsigned.'],
    ['its secret is not there', { secretEnv: 'NOBODY' }, 'The environment of this server has no variable NOBODY with its secret.'],
    ['its secret is none', { secretEnv: 'BAD' }, 'The variable BAD holds no secret. Expected whsec_ and then 24 to 64 bytes in base64; several secrets are separated by spaces.'],
  ])('when %s; the queue works', async (_why, more, off) => {
    const inside = [{ scheme: 'http', host: 'inside.example', isWild: false, port: 80, path: '' }] as const
    const test = await start({ settings: { allowUrls: [...LOOPBACK_PATTERNS, ...inside] } })
    await configure(test, queueConfig('shop', 'mail', { stint: { webhook: { url: 'http://127.0.0.1:9/', debounceMs: DEBOUNCE_MS, ...more } } }))
    await put(test, 'a')
    await pass(test, 60_000)
    expect(webhookOf(test)).toMatchObject({ off, failures: 0 })
    expect(test.engine.queues.files().warnings).toEqual([`shop/mail: its webhook is off. ${off}`])
    expect(test.engine.deliveries.figures()).toEqual({ acknowledged: 0, givenUp: 0, failedAttempts: 0, underWay: 0 })
    expect(await take(test)).toEqual(['a'])
  })
})

describe('a listener', () => {
  const listen = (test: TestEngine) => {
    const heard: Ready[] = []
    return { heard, leave: test.engine.notifications.subscribe(MAIL, (ready) => void heard.push(ready)) }
  }

  it('hears at once of what waits, then of what comes, until it leaves', async () => {
    const test = await start()
    await put(test, 'a')
    const first = listen(test)
    await settle()
    expect(first.heard).toMatchObject([{ ...MAIL, waiting: 1, oldestDueAt: test.world.now() }])
    await put(test, 'b', { dueInMs: 60_000 })
    const second = listen(test)
    await settle()
    await pass(test, 60_000)
    await pass(test, 1_000)
    first.leave()
    first.leave()
    await put(test, 'c')
    await pass(test, 1_000)
    expect([first.heard.map(({ waiting }) => waiting), second.heard.map(({ waiting }) => waiting)]).toEqual([
      [1, 2],
      [1, 2, 3],
    ])
    second.leave()
  })

  it('hears beside a webhook, with its debounce', async () => {
    const { test, receiver } = await begin()
    const { heard, leave } = listen(test)
    await put(test, 'a')
    await pass(test, DEBOUNCE_MS - 1)
    expect(heard).toEqual([])
    await pass(test, 1)
    expect([heard.length, receiver.received.length]).toEqual([1, 1])
    leave()
    await put(test, 'b')
    await pass(test, DEBOUNCE_MS)
    expect([heard.length, receiver.received.length]).toEqual([1, 2])
  })

  it('leaves no timer behind', async () => {
    const test = await start()
    const { leave } = listen(test)
    await put(test, 'a', { dueInMs: 60_000 })
    await put(test, 'b')
    await settle()
    expect(test.world.pending()).toContain(1_000)
    leave()
    await settle()
    expect(test.world.pending().filter((ms) => ms === 60_000 || ms === 1_000)).toEqual([])
  })

  it('hears nothing of what a worker in line gets', async () => {
    const test = await start()
    const { heard, leave } = listen(test)
    const waiting = take(test, { waitMs: 30_000 })
    await settle()
    await put(test, 'a')
    await pass(test, 10_000)
    expect([await waiting, heard, leaseOf(test, 'a') === '']).toEqual([['a'], [], false])
    leave()
  })
})

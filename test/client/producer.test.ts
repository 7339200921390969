// The producer of the SDK against a whole Stint: what an application outside writes, what becomes of its tasks, and what travels.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Closed, connect, StintError, Unreachable, type Producer, type Stint, type Task } from '../../src/client/index.ts'
import { startGateway, type Gateway, type Seen } from '../support/gateway.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const MAIL = { app: 'shop', queue: 'mail' }

let stint: RealStint
let gateway: Gateway
let client: Stint
let admin: Stint
let mail: Producer

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  client = connect({ url: gateway.url })
  admin = connect({ url: stint.url })
  mail = client.producer({ ...MAIL, flushSeconds: 1 })
})

afterEach(async () => {
  await client.close()
  await admin.close()
  await gateway.close()
  await stint.close()
})

const itemsOf = ({ body }: Seen): readonly Record<string, unknown>[] => (body as { readonly items: readonly Record<string, unknown>[] }).items
const isPut = ({ method, path }: Seen): boolean => method === 'POST' && path === '/v1/queues/shop/mail/tasks'
const puts = (): readonly Seen[] => gateway.seen.filter(isPut)

const all = async (): Promise<readonly Task[]> => {
  const tasks: Task[] = []
  for await (const task of admin.tasks.each(MAIL, { limit: 1_000 })) tasks.push(task)
  return tasks
}
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)

/** Decides the fate of the first `count` puts. */
const first = (count: number, fate: 'cut' | 'lose-answer' | 503): void => {
  let left = count
  gateway.treat((request) => {
    if (left === 0 || !isPut(request)) return 'pass'
    left -= 1
    return fate
  })
}

describe('when a task is put', () => {
  it('is in the queue with all that was said of it', async () => {
    const task = await mail.put({ to: 'ann' }, { id: 'letter', tag: 'post', priority: 7, key: 'ann', delaySeconds: 60 })
    expect(task).toMatchObject({ id: 'letter', workItem: 'task/shop/mail/letter', state: 'waiting', tag: 'post', priority: 7, key: 'ann' })
    expect(await admin.tasks.show({ ...MAIL, id: 'letter' }, { payload: true })).toMatchObject({ id: 'letter', payload: { to: 'ann' }, mediaType: 'application/json' })
  })

  it('has an id of its own that sorts by time', async () => {
    const earlier = await mail.put(1)
    const later = await mail.put(2)
    expect(earlier.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(later.id > earlier.id).toBe(true)
  })

  it('may have no payload, or any that JSON can say', async () => {
    for (const payload of [undefined, null, 0, '', [], 'ü€😀'])
      expect((await admin.tasks.show({ ...MAIL, id: (await mail.put(payload)).id }, { payload: true })).payload).toEqual(payload)
  })

  it('may be bytes', async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 256)
    const { id } = await mail.put(bytes, { mediaType: 'image/png' })
    const shown = await admin.tasks.show({ ...MAIL, id }, { payload: true })
    expect(shown.mediaType).toBe('image/png')
    expect(Buffer.from(shown.payloadBase64 ?? '', 'base64').equals(bytes)).toBe(true)
  })

  it('is as it was when it was put, whatever becomes of the object', async () => {
    const order = { items: ['tea'] }
    const put = mail.put(order, { id: 'order' })
    order.items.push('milk')
    await put
    expect((await admin.tasks.show({ ...MAIL, id: 'order' }, { payload: true })).payload).toEqual({ items: ['tea'] })
  })

  it('is the same task when it is put again with the same id and content', async () => {
    const task = await mail.put({ n: 1 }, { id: 'once' })
    expect(await mail.put({ n: 1 }, { id: 'once' })).toEqual(task)
    expect(await all()).toHaveLength(1)
  })

  it('is refused with other content under the same id, and those beside it are not', async () => {
    await mail.put({ n: 1 }, { id: 'once' })
    const settled = await Promise.allSettled([mail.put(1), mail.put({ n: 2 }, { id: 'once' }), mail.put(3)])
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(settled[1]).toMatchObject({ reason: { name: 'StintError', code: 'exists-with-other-content' } })
  })

  it('is refused at the line that puts it when it is malformed', async () => {
    await expect(mail.put(1, { priority: 1_001 })).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/priority' }] } })
    await expect(mail.put(1, { id: 'a/b' })).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/id' }] } })
    await expect(mail.put('x'.repeat(1_048_575))).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/payload', code: 'length' }] } })
    await expect(mail.put('€'.repeat(400_000))).rejects.toBeInstanceOf(StintError)
    await expect(mail.put(new Uint8Array(1_048_577))).rejects.toMatchObject({ problem: { errors: [{ path: '/payload', code: 'length' }] } })
    await expect(mail.put(() => 1)).rejects.toBeInstanceOf(TypeError)
    await expect(mail.put(1n)).rejects.toBeInstanceOf(TypeError)
    expect(gateway.seen).toEqual([])
  })

  it('takes as much as a task may have, and not a byte more', async () => {
    const { id } = await mail.put('x'.repeat(1_048_574))
    expect(await admin.tasks.show({ ...MAIL, id })).toMatchObject({ bytes: 1_048_576 })
    const bytes = await mail.put(new Uint8Array(1_048_576))
    expect(await admin.tasks.show({ ...MAIL, id: bytes.id })).toMatchObject({ bytes: 1_048_576 })
    const sent = gateway.seen.length
    await expect(mail.put('x'.repeat(1_048_575))).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/payload', code: 'length' }] } })
    await expect(mail.put(new Uint8Array(1_048_577))).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/payload', code: 'length' }] } })
    expect(gateway.seen).toHaveLength(sent)
  })
})

describe('when many are put', () => {
  it('sends what was put in one turn together', async () => {
    await Promise.all(range(64).map((n) => mail.put({ n })))
    expect(puts().map((request) => itemsOf(request).length)).toEqual([64])
  })

  it('sends what was put while a request was out with the next one', async () => {
    const held: Promise<Task>[] = []
    gateway.treat((request) => {
      if (isPut(request) && held.length < 100) for (const n of range(100)) held.push(mail.put({ n }))
      return 'pass'
    })
    await mail.put('first')
    await Promise.all(held)
    expect(puts().map((request) => itemsOf(request).length)).toEqual([1, 100])
  })

  it('sends at most 1,000 in one request', async () => {
    const done = await mail.putMany(range(2_500).map((n) => ({ payload: n })))
    expect(done.every(({ task }) => task?.state === 'waiting')).toBe(true)
    expect(puts().map((request) => itemsOf(request).length)).toEqual([1_000, 1_000, 500])
  })

  it('sends at most 8 MiB in one request', async () => {
    await mail.putMany(range(10).map(() => ({ payload: 'x'.repeat(1_048_000) })))
    expect(puts().map((request) => itemsOf(request).length)).toEqual([8, 2])
  })

  it('keeps the order in which they were put', async () => {
    await Promise.all(range(2_200).map((n) => mail.put(n, { id: `n${n}` })))
    expect((await all()).map(({ id }) => id)).toEqual(range(2_200).map((n) => `n${n}`))
  })

  it('answers for each of them', async () => {
    await mail.put(1, { id: 'taken' })
    const done = await mail.putMany([
      { id: 'a', payload: 1 },
      { id: 'taken', payload: 2 },
      { id: 'b', priority: 5_000 },
      { id: 'c', payload: new Uint8Array([1]) },
    ])
    expect(done.map(({ id, task, error }) => [id, task?.state, (error as StintError | undefined)?.code])).toEqual([
      ['a', 'waiting', undefined],
      ['taken', undefined, 'exists-with-other-content'],
      ['b', undefined, 'invalid'],
      ['c', 'waiting', undefined],
    ])
  })
})

describe('when the network or Stint fails', () => {
  it('puts once although answers were lost', async () => {
    first(2, 'lose-answer')
    await Promise.all(range(10).map((n) => mail.put({ n })))
    expect(puts()).toHaveLength(3)
    expect(itemsOf(puts()[2] as Seen)).toEqual(itemsOf(puts()[0] as Seen))
    expect(await all()).toHaveLength(10)
  })

  it('keeps the order although requests were cut or refused for now', async () => {
    first(1, 'cut')
    const early = range(1_500).map((n) => mail.put(n, { id: `n${n}` }))
    await gateway.until(isPut)
    const late = range(20).map((n) => mail.put(n, { id: `n${1_500 + n}` }))
    await Promise.all([...early, ...late])
    expect((await all()).map(({ id }) => id)).toEqual(range(1_520).map((n) => `n${n}`))
  })

  it('sends again what was answered 503', async () => {
    first(2, 503)
    expect(await mail.put(1)).toMatchObject({ state: 'waiting' })
  })

  it('loses and doubles nothing when Stint is killed and comes back', async () => {
    const lanes = range(16).map(async (lane) => {
      for (const n of range(20)) await mail.put({ lane, n }, { id: `${lane}-${n}` })
    })
    await gateway.until((request) => isPut(request) && itemsOf(request).some(({ id }) => id === '3-7'))
    await gateway.down()
    await stint.stop()
    await stint.start()
    await gateway.up()
    await Promise.all(lanes)
    const ids = (await all()).map(({ id }) => id)
    expect(ids.toSorted()).toEqual(
      range(16)
        .flatMap((lane) => range(20).map((n) => `${lane}-${n}`))
        .toSorted(),
    )
  })

  it('finds out how much something on the way takes', async () => {
    gateway.treat((request) => (isPut(request) && itemsOf(request).length > 30 ? 413 : 'pass'))
    await Promise.all(range(200).map((n) => mail.put(n)))
    expect(await all()).toHaveLength(200)
  })

  it('gives up after the time for it, and says what was wrong', async () => {
    const world = virtualWorld()
    await using impatient = connect({ url: gateway.url, world })
    await gateway.down()
    const put = impatient.producer({ ...MAIL, retrySeconds: 3 }).put(1)
    const refusal = expect(put).rejects.toBeInstanceOf(Unreachable)
    let isOver = false
    void refusal.then(() => (isOver = true))
    while (!isOver) {
      await world.until((pending) => isOver || pending.length > 0)
      world.advance(500)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await refusal
    expect(world.pending()).toEqual([])
  })

  it('passes on at once what will not pass', async () => {
    gateway.treat(() => 404)
    await expect(mail.put(1)).rejects.toMatchObject({ name: 'UnexpectedAnswer' })
    expect(puts()).toHaveLength(1)
  })
})

describe('when a put is taken back', () => {
  it('is not sent any more', async () => {
    const over = new AbortController()
    const put = mail.put(1, { id: 'unwanted', signal: over.signal })
    const wanted = mail.put(2, { id: 'wanted' })
    over.abort(new Error('not any more'))
    await expect(put).rejects.toThrow('not any more')
    await wanted
    expect((await all()).map(({ id }) => id)).toEqual(['wanted'])
    await expect(mail.put(3, { signal: over.signal })).rejects.toThrow('not any more')
  })
})

describe('when it is closed', () => {
  it('gets through what was put before, and takes no more', async () => {
    const put = mail.put(1)
    const closed = mail.close()
    await expect(mail.put(2)).rejects.toBeInstanceOf(Closed)
    expect((await mail.putMany([{ id: 'late' }]))[0]).toMatchObject({ id: 'late', error: { name: 'Closed' } })
    await closed
    expect(await put).toMatchObject({ state: 'waiting' })
    expect(await all()).toHaveLength(1)
  })

  it('gives up what does not get through', async () => {
    const world = virtualWorld()
    const other = connect({ url: gateway.url, world })
    await gateway.down()
    const producer = other.producer({ ...MAIL, flushSeconds: 2 })
    const put = expect(producer.put(1)).rejects.toBeInstanceOf(Closed)
    const closed = producer.close()
    await world.until((pending) => pending.includes(2_000))
    world.advance(2_000)
    await closed
    await put
    await other.close()
    expect(world.pending()).toEqual([])
  })

  it('is closed with its client', async () => {
    const put = mail.put(1)
    await client.close()
    expect(await put).toMatchObject({ state: 'waiting' })
    expect(() => client.producer(MAIL)).toThrow(Closed)
  })
})

// Queues and tasks as an application's tools see them through the SDK: each call against a whole Stint, with what it changes.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Bulk, type Stint } from '../../src/client/index.ts'
import { leaseTasks } from '../../src/wire/tasks.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'

const MAIL = { app: 'shop', queue: 'mail' }
const named = (id: string) => ({ ...MAIL, id })

let stint: RealStint
let client: Stint

beforeEach(async () => {
  stint = await startRealStint()
  client = connect({ url: stint.url })
  await client.producer(MAIL).putMany([
    { id: 'a', payload: { n: 1 }, tag: 'red' },
    { id: 'b', payload: { n: 2 } },
    { id: 'c', delaySeconds: 3_600 },
  ])
})

afterEach(async () => {
  await client.close()
  await stint.close()
})

const settled = async (bulk: Bulk): Promise<Bulk> => {
  let shown = bulk
  while (shown.state === 'running') shown = await client.queues.bulk(MAIL, bulk.id)
  return shown
}

describe('when a queue is looked at', () => {
  it('is listed and shown with what is in it', async () => {
    const { items } = await client.queues.list({ app: 'shop' })
    expect(items.map(({ app, queue }) => `${app}/${queue}`)).toEqual(['shop/mail'])
    expect(await client.queues.show(MAIL)).toMatchObject({ state: 'open', waiting: 2, delayed: 1, leased: 0, statistics: { states: { waiting: 3 } } })
  })
})

describe('when a queue is directed', () => {
  it('gives no leases while it is paused', async () => {
    expect(await client.queues.pause(MAIL, 'the press is cold')).toMatchObject({ state: 'paused', paused: { reason: 'the press is cold' } })
    expect((await client.call(leaseTasks, { params: MAIL, body: {} })).items).toEqual([])
    expect(await client.queues.resume(MAIL)).toMatchObject({ state: 'open' })
    expect((await client.call(leaseTasks, { params: MAIL, body: {} })).items).toHaveLength(1)
  })

  it('is purged of all that waits, or of what the filter names', async () => {
    expect(await settled(await client.queues.purge(MAIL, { tag: 'red' }))).toMatchObject({ what: 'purge', state: 'finished', done: 1 })
    expect(await client.tasks.show(named('a'))).toMatchObject({ state: 'cancelled' })
    expect(await settled(await client.queues.purge(MAIL))).toMatchObject({ done: 2 })
    expect(await client.queues.show(MAIL)).toMatchObject({ waiting: 0, delayed: 0 })
  })

  it('redrives its dead letters, of which there may be none', async () => {
    expect(await settled(await client.queues.redrive(MAIL, { code: 'timeout' }))).toMatchObject({ what: 'redrive', done: 0 })
  })
})

describe('when tasks are looked at', () => {
  it('are listed oldest first, page after page', async () => {
    expect((await client.tasks.list(MAIL, { limit: 2 })).items.map(({ id }) => id)).toEqual(['a', 'b'])
    const ids: string[] = []
    for await (const { id } of client.tasks.each(MAIL, { limit: 2, state: 'waiting' })) ids.push(id)
    expect(ids).toEqual(['a', 'b', 'c'])
  })

  it('are shown, with their payload if that is asked for', async () => {
    expect(await client.tasks.show(named('a'))).not.toHaveProperty('payload')
    expect(await client.tasks.show(named('a'), { payload: true })).toMatchObject({ tag: 'red', payload: { n: 1 } })
  })

  it('tell their history and why they wait', async () => {
    expect((await client.tasks.history(named('c'))).items.map(({ type }) => type)).toEqual(['TaskInserted'])
    expect(await client.tasks.why(named('c'))).toMatchObject({ state: 'waiting', gate: 'delay' })
  })
})

describe('when a task is directed', () => {
  it('is held back and let go again', async () => {
    expect(await client.tasks.pause(named('a'), 'not now')).toMatchObject({ directive: 'pause', receipt: { reason: 'not now' } })
    expect((await client.call(leaseTasks, { params: MAIL, body: { max: 10 } })).items.map(({ id }) => id)).toEqual(['b'])
    expect(await client.tasks.resume(named('a'))).toMatchObject({ directive: 'normal' })
    expect((await client.call(leaseTasks, { params: MAIL, body: { max: 10 } })).items.map(({ id }) => id)).toEqual(['a'])
  })

  it('is cancelled when it has not begun', async () => {
    expect(await client.tasks.abort(named('a'))).toMatchObject({ state: 'cancelled' })
    await expect(client.tasks.abort(named('a'))).rejects.toMatchObject({ code: 'settled' })
  })

  it('is taken out of its queue', async () => {
    expect(await client.tasks.delete(named('a'))).toMatchObject({ id: 'a', state: 'cancelled' })
    await expect(client.tasks.redrive(named('a'))).rejects.toMatchObject({ code: 'settled' })
  })
})

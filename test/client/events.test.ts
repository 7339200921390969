// The event stream and what is built on it: it bridges cuts without losing or doubling an event.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, routes, type HistoryEvent, type Stint } from '../../src/client/index.ts'
import { serverSentEvents, type ServerSentEvent } from '../../src/client/sse.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { closeAll } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld } from '../support/virtual-world.ts'

let stint: RealStint
let gateway: Gateway
let client: Stint
let admin: Stint

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  client = connect({ url: gateway.url })
  admin = connect({ url: stint.url })
})

afterEach(async () => {
  await client.close()
  await admin.close()
  await gateway.close()
  await stint.close()
})

const register = (id: string) => admin.call(routes.registerJob, { body: { id, service: 'indexer', server: 'indexer-1' } })
const complete = async (id: string, lease: string | undefined) => admin.call(routes.reportJob, { params: { id }, body: { lease: lease ?? '', outcome: { completed: {} } } })
const isStream = ({ path }: { readonly path: string }): boolean => path.startsWith('/v1/events')

/** Takes the next `count` events. */
const take = async (events: AsyncIterator<HistoryEvent>, count: number): Promise<string[]> => {
  const taken: string[] = []
  while (taken.length < count) {
    const { value, done } = await events.next()
    if (done === true) return taken
    taken.push(`${value.workItem ?? ''} ${value.type}`)
  }
  return taken
}

const iterate = <Item>(iterable: AsyncIterable<Item>): AsyncIterator<Item> => iterable[Symbol.asyncIterator]()

describe('when the event stream is followed', () => {
  it('gives out what happens, as it happens', async () => {
    const caughtUp = Promise.withResolvers<void>()
    const events = iterate(client.events({ onCaughtUp: caughtUp.resolve }))
    const first = take(events, 2)
    await caughtUp.promise
    await register('one')
    expect(await first).toEqual(['job/one JobRegistered', 'job/one Leased'])
    await events.return?.()
  })

  it('begins where it is told and filters', async () => {
    await register('one')
    await register('two')
    const events = iterate(client.events({ after: 'start', workItem: 'job/two', types: ['Leased'] }))
    expect(await take(events, 1)).toEqual(['job/two Leased'])
    await events.return?.()
  })

  it('goes on after a cut behind the last event', async () => {
    await register('one')
    const events = iterate(client.events({ after: 'start', types: ['JobRegistered'] }))
    expect(await take(events, 1)).toEqual(['job/one JobRegistered'])
    await gateway.down()
    await register('two')
    await gateway.up()
    await register('three')
    expect(await take(events, 2)).toEqual(['job/two JobRegistered', 'job/three JobRegistered'])
    const streams = gateway.seen.filter(isStream)
    expect(streams.at(-1)?.headers['last-event-id']).toMatch(/./)
    await events.return?.()
  })

  it('goes on after a restart of Stint', async () => {
    const events = iterate(client.events({ after: 'start', types: ['JobRegistered'] }))
    await register('one')
    expect(await take(events, 1)).toEqual(['job/one JobRegistered'])
    await stint.stop()
    await stint.start()
    await register('two')
    expect(await take(events, 1)).toEqual(['job/two JobRegistered'])
    await events.return?.()
  })

  it('begins again when the connection falls silent', async () => {
    const world = virtualWorld()
    const patient = connect({ url: gateway.url, world })
    await register('one')
    const events = iterate(patient.events({ after: 'start', types: ['JobRegistered'] }))
    await take(events, 1)
    const next = take(events, 1)
    await world.until((pending) => pending.includes(45_000))
    world.advance(45_000)
    await world.until((pending) => pending.some((ms) => ms <= 100))
    world.advance(100)
    await register('two')
    expect(await next).toEqual(['job/two JobRegistered'])
    await closeAll(patient, world)
    await events.return?.()
    expect(world.pending()).toEqual([])
  })

  it('ends when its signal aborts or the client is closed', async () => {
    const controller = new AbortController()
    const signalled = take(iterate(client.events({ signal: controller.signal })), 1)
    const closed = take(iterate(client.events()), 1)
    await gateway.until(isStream)
    controller.abort()
    expect(await signalled).toEqual([])
    await client.close()
    expect(await closed).toEqual([])
  })

  it('throws what waiting does not help against', async () => {
    await expect(take(iterate(client.events({ workItem: 'nonsense' })), 1)).rejects.toMatchObject({ code: 'invalid' })
    await expect(take(iterate(client.events({ after: 'other.000000000001' })), 1)).rejects.toMatchObject({ code: 'other-log' })
  })
})

describe('when one job is watched', () => {
  it('shows each change until it is settled', async () => {
    const { lease } = await register('one')
    const states: string[] = []
    for await (const { state, phase } of client.jobs.watch('one')) {
      states.push(`${state} ${phase ?? '-'}`)
      if (states.length === 1) await admin.call(routes.reportJob, { params: { id: 'one' }, body: { lease: lease ?? '', phase: 'read' } })
      if (states.length === 2) await complete('one', lease)
    }
    expect(states).toEqual(['running -', 'running read', 'completed read'])
  })

  it('shows a settled job once', async () => {
    const { lease } = await register('one')
    await complete('one', lease)
    const states: string[] = []
    for await (const { state } of client.jobs.watch('one')) states.push(state)
    expect(states).toEqual(['completed'])
  })
})

describe('when jobs are looked at', () => {
  it('lists page after page', async () => {
    for (const id of ['one', 'two', 'three']) await register(id)
    const page = await client.jobs.list({ limit: 2 })
    expect(page.items.map(({ id }) => id)).toEqual(['three', 'two'])
    const ids: string[] = []
    for await (const { id } of client.jobs.each({ limit: 2 })) ids.push(id)
    expect(ids).toEqual(['three', 'two', 'one'])
  })

  it('explains, counts and directs', async () => {
    await register('one')
    expect((await client.jobs.why('one')).state).toBe('running')
    expect(await client.jobs.pause('one', 'lunch')).toMatchObject({ directive: 'pause', receipt: { number: 1, reason: 'lunch' } })
    expect(await client.jobs.resume('one')).toMatchObject({ directive: 'normal' })
    expect((await client.statistics({ kind: 'job' })).items).toMatchObject([{ kind: 'job', states: { running: 1 } }])
  })

  it('makes, lists and revokes tokens', async () => {
    const { id, token } = await client.tokens.add({ name: 'ci', email: 'ci@example.com', roles: ['viewer'] })
    expect(token).toContain('stint_')
    expect((await client.tokens.list()).items).toMatchObject([{ id, name: 'ci', roles: ['viewer'] }])
    expect((await client.tokens.revoke(id)).revokedAt).toMatch(/Z$/)
  })
})

describe('when server-sent events are read', () => {
  const read = async (...pieces: readonly string[]): Promise<ServerSentEvent[]> => {
    const encoder = new TextEncoder()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece))
        controller.close()
      },
    })
    const events: ServerSentEvent[] = []
    for await (const event of serverSentEvents(body, () => undefined)) events.push(event)
    return events
  }

  it('takes every line ending, wherever the pieces are cut', async () => {
    const expected = [
      { event: 'message', data: 'one\ntwo', id: '1' },
      { event: 'caughtUp', data: 'x', id: '1' },
    ]
    expect(await read('id: 1\ndata: one\ndata: two\n\nevent: caughtUp\ndata: x\n\n')).toEqual(expected)
    expect(await read('id: 1\r\ndata: one\r', '\ndata: two\r\n\r\nevent: caughtUp\r\ndata: x\r\n\r\n')).toEqual(expected)
    expect(await read(...Array.from('id: 1\ndata: one\ndata: two\n\nevent: caughtUp\ndata: x\n\n'))).toEqual(expected)
  })

  it('passes over comments, unknown fields and what was cut off', async () => {
    expect(await read(':\n\n: hello\nretry: 5\nother\ndata:no space\n\ndata: cut')).toEqual([{ event: 'message', data: 'no space', id: undefined }])
  })
})

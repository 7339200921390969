// The double against what was measured with EventStoreDB 23.10.6 and the client 6.2.1, through the client's own methods: a double that is kinder than the real
// server would prove nothing.
import { describe, expect, it, afterEach } from 'vitest'
import { BACKWARDS, END, EventStoreDBClient, START, binaryEvent, jsonEvent, streamNameFilter, type AllStreamSubscription } from '@eventstore/db-client'
import { kurrentStage } from '../../support/kurrent-stage.ts'
import type { Double } from '../../support/kurrent-double/double.ts'

const stage = kurrentStage()
let clients: EventStoreDBClient[] = []
afterEach(async () => {
  for (const client of clients) await client.dispose()
  clients = []
})

const clientOf = async (double?: Double) => {
  const served = double ?? (await stage.double())
  const client = EventStoreDBClient.connectionString(served.connectionString)
  clients.push(client)
  return { double: served, client }
}

const event = (type: string, id?: string) => jsonEvent({ type, data: { some: 'data' }, ...(id === undefined ? {} : { id }) })
const ids = (count: number) => Array.from({ length: count }, (_, index) => `55555555-5555-4555-8555-${String(index).padStart(12, '0')}`)
const allOf = async <Item>(reading: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = []
  for await (const item of reading) all.push(item)
  return all
}
const typesOf = async (reading: AsyncIterable<{ event?: { type: string } | undefined }>): Promise<(string | undefined)[]> => {
  const types: (string | undefined)[] = []
  for await (const resolved of reading) types.push(resolved.event?.type)
  return types
}

describe('the double when appended to', () => {
  it('answers revision and position of the last event', async () => {
    const { client } = await clientOf()
    const answer = await client.appendToStream('a', [event('A'), event('B')], { expectedRevision: 'no_stream' })
    expect(answer).toMatchObject({ success: true, nextExpectedRevision: 1n })
    const [last] = await allOf(client.readStream('a', { direction: BACKWARDS, fromRevision: END, maxCount: 1 }))
    expect(last?.event?.position).toEqual(answer.position)
    expect(answer.position?.commit).toBe(answer.position?.prepare)
  })

  it('answers a conflict by the actual revision, without words', async () => {
    const { client } = await clientOf()
    await client.appendToStream(
      'a',
      ['A', 'B', 'C'].map((type) => event(type)),
    )
    await expect(client.appendToStream('a', event('D'), { expectedRevision: 0n })).rejects.toMatchObject({
      type: 'wrong-expected-version',
      expectedVersion: 0n,
      actualVersion: 2n,
      message: '',
    })
    await expect(client.appendToStream('b', event('D'), { expectedRevision: 0n })).rejects.toMatchObject({ actualVersion: 'no_stream' })
    await expect(client.appendToStream('a', event('D'), { expectedRevision: 'no_stream' })).rejects.toMatchObject({ expectedVersion: 'no_stream', actualVersion: 2n })
  })

  it('shows the client to be wrong about conflicts that it does not throw', async () => {
    const double = await stage.double({ settings: '&throwOnAppendFailure=false' })
    const { client } = await clientOf(double)
    await client.appendToStream(
      'a',
      Array.from({ length: 42 }, () => event('A')),
    )
    expect(await client.appendToStream('a', event('B'), { expectedRevision: 0n })).toMatchObject({ success: false, nextExpectedRevision: 1n })
  })

  it('lets one of eight that expect no stream through', async () => {
    const { client } = await clientOf()
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => client.appendToStream('a', event('A'), { expectedRevision: 'no_stream' })))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('takes the same ids at the same revision for a repeat, and at the current one for new events', async () => {
    const { client } = await clientOf()
    const [first, second] = ids(2)
    const pair = [event('A', first), event('B', second)]
    const original = await client.appendToStream('a', pair, { expectedRevision: 'no_stream' })
    await client.appendToStream('a', event('C'), { expectedRevision: 1n })
    expect(await client.appendToStream('a', pair, { expectedRevision: 'no_stream' })).toEqual(original)
    expect(await client.appendToStream('a', pair, { expectedRevision: 'any' })).toEqual(original)
    expect(await client.appendToStream('a', pair, { expectedRevision: 2n })).toMatchObject({ nextExpectedRevision: 4n })
    expect(await typesOf(client.readStream('a'))).toEqual(['A', 'B', 'C', 'A', 'B'])
  })

  it('knows a repeat that expects nothing only until it is restarted', async () => {
    const { client, double } = await clientOf()
    const repeated = event('A', ids(1)[0])
    await client.appendToStream('a', repeated)
    await client.appendToStream('a', repeated)
    expect(await typesOf(client.readStream('a'))).toEqual(['A'])
    double.log.forgetIds()
    await client.appendToStream('a', repeated)
    expect(await typesOf(client.readStream('a'))).toEqual(['A', 'A'])
    await expect(client.appendToStream('a', repeated, { expectedRevision: 'no_stream' })).resolves.toMatchObject({ nextExpectedRevision: 0n })
  })

  it('checks an empty append and writes nothing', async () => {
    const { client } = await clientOf()
    expect(await client.appendToStream('a', [], { expectedRevision: 'no_stream' })).toMatchObject({ success: true, nextExpectedRevision: 0n })
    await expect(allOf(client.readStream('a'))).rejects.toMatchObject({ type: 'stream-not-found' })
    await client.appendToStream('a', event('A'))
    await expect(client.appendToStream('a', [], { expectedRevision: 'no_stream' })).rejects.toMatchObject({ type: 'wrong-expected-version' })
  })

  it('refuses more than a mebibyte in one append', async () => {
    const { client } = await clientOf()
    const large = binaryEvent({ type: 'A', data: new Uint8Array(600_000) })
    await expect(client.appendToStream('a', [large, large])).rejects.toMatchObject({ type: 'maximum-append-size-exceeded', maxAppendSize: 1_048_576 })
    await expect(client.appendToStream('a', large)).resolves.toMatchObject({ success: true })
  })

  it('takes single appends too, where a call has credentials of its own', async () => {
    const { client } = await clientOf()
    const credentials = { username: 'admin', password: 'changeit' }
    expect(await client.appendToStream('a', event('A'), { credentials, expectedRevision: 'no_stream' })).toMatchObject({ nextExpectedRevision: 0n })
    await expect(client.appendToStream('a', event('A'), { credentials, expectedRevision: 7n })).rejects.toMatchObject({ type: 'wrong-expected-version', actualVersion: 0n })
  })

  it('says while it starts that it is not ready, in words that the client does not know', async () => {
    const { client, double } = await clientOf()
    double.node.faults.isStarting = true
    await expect(client.appendToStream('a', event('A'))).rejects.toMatchObject({ type: 'unknown', message: 'Could not recognize Server Is Not Ready' })
    await expect(allOf(client.readStream('a'))).rejects.toMatchObject({ type: 'unavailable', code: 14 })
  })

  it('has the client fail with neither type nor words of its own while it is away', async () => {
    const { client, double } = await clientOf()
    await double.node.stop()
    const failure: unknown = await client.appendToStream('a', event('A')).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 14 })
    expect('type' in (failure as object)).toBe(false)
    await double.node.start()
    await expect(client.appendToStream('a', event('A'))).resolves.toMatchObject({ success: true })
  })

  it('ends the whole call where it is not the leader, and names the one that is', async () => {
    const double = await stage.double({ nodes: 2 })
    const { client } = await clientOf(double)
    await client.appendToStream('a', event('A'))
    const [first, second] = double.nodes
    if (first === undefined || second === undefined) throw new Error('There are two nodes')
    double.lead(second)
    await expect(allOf(client.readStream('a', { requiresLeader: true }))).rejects.toMatchObject({ type: 'not-leader', leader: { address: '127.0.0.1', port: second.port } })
    expect(await typesOf(client.readStream('a', { requiresLeader: true }))).toEqual(['A'])
  })
})

describe('the double when read', () => {
  it('finds no stream that is missing or softly deleted, and goes on with its numbers', async () => {
    const { client } = await clientOf()
    await expect(allOf(client.readStream('a'))).rejects.toMatchObject({ type: 'stream-not-found', streamName: expect.anything() })
    await client.appendToStream(
      'a',
      ['A', 'B', 'C'].map((type) => event(type)),
    )
    await client.deleteStream('a')
    await client.deleteStream('a')
    await expect(allOf(client.readStream('a'))).rejects.toMatchObject({ type: 'stream-not-found' })
    await expect(client.deleteStream('missing')).rejects.toMatchObject({ type: 'wrong-expected-version' })
    expect(await client.appendToStream('a', event('D'), { expectedRevision: 'no_stream' })).toMatchObject({ nextExpectedRevision: 3n })
    expect(await typesOf(client.readStream('a'))).toEqual(['D'])
  })

  it('takes a tombstone for the end of a stream, also of one that was never there', async () => {
    const { client } = await clientOf()
    await client.appendToStream('a', event('A'))
    await client.tombstoneStream('a')
    await client.tombstoneStream('never')
    for (const stream of ['a', 'never']) {
      await expect(allOf(client.readStream(stream))).rejects.toMatchObject({ type: 'stream-deleted' })
      await expect(client.appendToStream(stream, event('B'))).rejects.toMatchObject({ type: 'stream-deleted' })
      await expect(client.deleteStream(stream)).rejects.toMatchObject({ type: 'stream-deleted' })
    }
    const all = await typesOf(client.readAll())
    expect(all.filter((type) => type === 'A' || type === '$streamDeleted')).toEqual(['A', '$streamDeleted', '$streamDeleted'])
  })

  it('answers nothing for what is truncated or beyond the end, and an error for a count of nothing', async () => {
    const { client } = await clientOf()
    await client.appendToStream(
      'a',
      ['A', 'B', 'C'].map((type) => event(type)),
    )
    await client.setStreamMetadata('a', { truncateBefore: 2 })
    expect(await typesOf(client.readStream('a'))).toEqual(['C'])
    expect(await typesOf(client.readStream('a', { fromRevision: 7n }))).toEqual([])
    await client.setStreamMetadata('a', { maxCount: 2 })
    expect(await typesOf(client.readStream('a'))).toEqual(['B', 'C'])
    await client.setStreamMetadata('a', { truncateBefore: 3 })
    expect(await typesOf(client.readStream('a'))).toEqual([])
    await expect(allOf(client.readStream('a', { maxCount: 0 }))).rejects.toMatchObject({ type: 'unknown' })
    await expect(client.appendToStream('a', event('D'), { expectedRevision: 'no_stream' })).rejects.toMatchObject({ actualVersion: 2n })
    await expect(client.appendToStream('a', event('D'), { expectedRevision: 2n })).resolves.toMatchObject({ nextExpectedRevision: 3n })
  })

  it('has events of its own in $all, forwards and backwards, from positions that count', async () => {
    const { client } = await clientOf()
    await client.appendToStream(
      'a',
      ['A', 'B', 'C'].map((type) => event(type)),
    )
    const all = await allOf(client.readAll())
    expect(all.map((each) => each.event?.type)).toEqual(['$metadata', '$UserAdded', 'A', 'B', 'C'])
    const b = all[3]?.event?.position
    expect(b).toBeDefined()
    if (b === undefined) return
    expect(await typesOf(client.readAll({ fromPosition: b, maxCount: 2 }))).toEqual(['B', 'C'])
    expect(await typesOf(client.readAll({ fromPosition: b, direction: BACKWARDS, maxCount: 1 }))).toEqual(['A'])
    expect(await typesOf(client.readAll({ fromPosition: END, direction: BACKWARDS, maxCount: 1 }))).toEqual(['C'])
    expect(await typesOf(client.readAll({ fromPosition: { commit: b.commit * 10n, prepare: b.prepare * 10n } }))).toEqual([])
    await expect(allOf(client.readAll({ fromPosition: { commit: b.commit + 1n, prepare: b.prepare + 1n } }))).rejects.toMatchObject({ type: 'unknown' })
  })
})

describe('the double when subscribed to', () => {
  const heard = (subscription: AllStreamSubscription, count: number): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      const types: string[] = []
      const note = (type: string): void => {
        types.push(type)
        if (types.length === count) resolve(types)
      }
      subscription.on('data', ({ event: each }) => note(each?.type ?? ''))
      subscription.on('caughtUp', () => note('caughtUp'))
      subscription.on('error', reject)
    })

  it('begins after a position, confirms, says when it has caught up, and goes on', async () => {
    const { client } = await clientOf()
    await client.appendToStream(
      'a',
      ['A', 'B', 'C'].map((type) => event(type)),
    )
    const all = await allOf(client.readAll())
    const subscription = client.subscribeToAll({ fromPosition: all[2]?.event?.position ?? START, filter: streamNameFilter({ prefixes: ['a'] }) })
    const four = heard(subscription, 4)
    const confirmed = new Promise((resolve) => subscription.on('confirmation', () => resolve(true)))
    expect(await confirmed).toBe(true)
    await client.appendToStream('a', event('D'))
    expect((await four).filter((type) => type !== 'caughtUp')).toEqual(['B', 'C', 'D'])
    await subscription.unsubscribe()
  })

  it('passes checkpoints over what the filter leaves out', async () => {
    const { client } = await clientOf()
    await client.appendToStream(
      'b',
      Array.from({ length: 200 }, () => event('B')),
    )
    const checkpoints: bigint[] = []
    const subscription = client.subscribeToAll({
      filter: streamNameFilter({
        prefixes: ['a'],
        checkpointReached: async (_, { commit }) => {
          checkpoints.push(commit)
        },
      }),
    })
    expect(await heard(subscription, 1)).toEqual(['caughtUp'])
    expect(checkpoints).toHaveLength(6)
    await subscription.unsubscribe()
  })

  it('drops a reader that is too slow, by code 10', async () => {
    const { client, double } = await clientOf()
    const subscription = client.subscribeToAll()
    const failed = new Promise((resolve) => subscription.on('error', resolve))
    await heard(subscription, 3)
    double.node.dropSlow()
    expect(await failed).toMatchObject({ type: 'timeout', code: 10, message: expect.stringContaining('Consumer too slow to handle event while live') })
  })
})

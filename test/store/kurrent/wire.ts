// What EventStoreDB 23.10 does on the wire, through the client's own methods: met on a real server, held by the double. Both run the same tests, so that the double is no kinder.
import { afterEach, describe, expect, it } from 'vitest'
import { realWorld } from '../../../src/world.ts'
import { BACKWARDS, END, EventStoreDBClient, binaryEvent, jsonEvent, streamNameFilter, type AllStreamSubscription } from '@eventstore/db-client'

export interface WireServer {
  readonly connectionString: string
  /** Before the names of streams, so that tests do not meet each other's. */
  readonly prefix: string
}

export const event = (type: string, id?: string) => jsonEvent({ type, data: { some: 'data' }, ...(id === undefined ? {} : { id }) })

export const allOf = async <Item>(reading: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = []
  for await (const item of reading) all.push(item)
  return all
}

export const typesOf = async (reading: AsyncIterable<{ event?: { type: string } | undefined }>): Promise<(string | undefined)[]> => {
  const types: (string | undefined)[] = []
  for await (const resolved of reading) types.push(resolved.event?.type)
  return types
}

/** Clients that are gone when their test ends. Call it at the top of a test file or of a suite. */
export const clients = (): ((connectionString: string) => EventStoreDBClient) => {
  let open: EventStoreDBClient[] = []
  afterEach(async () => {
    for (const client of open) await client.dispose()
    open = []
  })
  return (connectionString) => {
    const client = EventStoreDBClient.connectionString(connectionString)
    open.push(client)
    return client
  }
}

/** What a subscription says first: types of events, and `caughtUp`. */
export const heard = (subscription: AllStreamSubscription, count: number): Promise<readonly string[]> =>
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

const uuids = (count: number): readonly string[] => Array.from({ length: count }, () => realWorld.uuid())

export const exerciseWire = (name: string, open: () => Promise<WireServer>): void => {
  const clientOf = clients()
  const begin = async () => {
    const { connectionString, prefix } = await open()
    return { client: clientOf(connectionString), connectionString, a: `${prefix}a`, b: `${prefix}b`, prefix }
  }
  exerciseAppends(name, begin, clientOf)
  exerciseReads(name, begin)
  exerciseSubscriptions(name, begin)
}

type Begin = () => Promise<{ readonly client: EventStoreDBClient; readonly connectionString: string; readonly a: string; readonly b: string; readonly prefix: string }>

const exerciseAppends = (name: string, begin: Begin, clientOf: (connectionString: string) => EventStoreDBClient): void => {
  describe(`${name} when appended to`, () => {
    it('answers revision and position of the last event', async () => {
      const { client, a } = await begin()
      const answer = await client.appendToStream(a, [event('A'), event('B')], { expectedRevision: 'no_stream' })
      expect(answer).toMatchObject({ success: true, nextExpectedRevision: 1n })
      const [last] = await allOf(client.readStream(a, { direction: BACKWARDS, fromRevision: END, maxCount: 1 }))
      expect(last?.event?.position).toEqual(answer.position)
      expect(answer.position?.commit).toBe(answer.position?.prepare)
    })

    it('answers a conflict by the actual revision, without words', async () => {
      const { client, a, b } = await begin()
      const three = ['A', 'B', 'C'].map((type) => event(type))
      await client.appendToStream(a, three)
      const said = { type: 'wrong-expected-version', expectedVersion: 0n, actualVersion: 2n, message: '' }
      await expect(client.appendToStream(a, event('D'), { expectedRevision: 0n })).rejects.toMatchObject(said)
      await expect(client.appendToStream(b, event('D'), { expectedRevision: 0n })).rejects.toMatchObject({ actualVersion: 'no_stream' })
      await expect(client.appendToStream(a, event('D'), { expectedRevision: 'no_stream' })).rejects.toMatchObject({ expectedVersion: 'no_stream', actualVersion: 2n })
    })

    it('shows the client to be wrong about conflicts that it does not throw', async () => {
      const { connectionString, a } = await begin()
      const client = clientOf(`${connectionString}&throwOnAppendFailure=false`)
      const many = Array.from({ length: 42 }, () => event('A'))
      await client.appendToStream(a, many)
      expect(await client.appendToStream(a, event('B'), { expectedRevision: 0n })).toMatchObject({ success: false, nextExpectedRevision: 1n })
    })

    it('lets one of eight that expect no stream through', async () => {
      const { client, a } = await begin()
      const answers = await Promise.allSettled(Array.from({ length: 8 }, () => client.appendToStream(a, event('A'), { expectedRevision: 'no_stream' })))
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    })

    it('takes the same ids at the same revision for a repeat, and at the current one for new events', async () => {
      const { client, a } = await begin()
      const [first, second] = uuids(2)
      const pair = [event('A', first), event('B', second)]
      const original = await client.appendToStream(a, pair, { expectedRevision: 'no_stream' })
      await client.appendToStream(a, event('C'), { expectedRevision: 1n })
      expect(await client.appendToStream(a, pair, { expectedRevision: 'no_stream' })).toEqual(original)
      expect(await client.appendToStream(a, pair, { expectedRevision: 'any' })).toEqual(original)
      expect(await client.appendToStream(a, pair, { expectedRevision: 2n })).toMatchObject({ nextExpectedRevision: 4n })
      expect(await typesOf(client.readStream(a))).toEqual(['A', 'B', 'C', 'A', 'B'])
    })

    it('takes part of a repeat with something else behind it for a conflict', async () => {
      const { client, a } = await begin()
      const [first, second, other] = uuids(3)
      await client.appendToStream(a, [event('A', first), event('B', second)], { expectedRevision: 'no_stream' })
      await expect(client.appendToStream(a, [event('A', first), event('C', other)], { expectedRevision: 'no_stream' })).rejects.toMatchObject({ actualVersion: 1n })
      await expect(client.appendToStream(a, event('A', other), { expectedRevision: 'no_stream' })).rejects.toMatchObject({ actualVersion: 1n })
    })

    it('looks at ids only where it takes an append for a repeat, not at what the events hold', async () => {
      const { client, a } = await begin()
      const [id] = uuids(1)
      await client.appendToStream(a, event('A', id), { expectedRevision: 'no_stream' })
      expect(await client.appendToStream(a, event('Other', id), { expectedRevision: 'no_stream' })).toMatchObject({ success: true, nextExpectedRevision: 0n })
      expect(await typesOf(client.readStream(a))).toEqual(['A'])
    })

    it('checks an empty append and writes nothing', async () => {
      const { client, a } = await begin()
      expect(await client.appendToStream(a, [], { expectedRevision: 'no_stream' })).toMatchObject({ success: true, nextExpectedRevision: 0n })
      await expect(allOf(client.readStream(a))).rejects.toMatchObject({ type: 'stream-not-found' })
      await client.appendToStream(a, event('A'))
      await expect(client.appendToStream(a, [], { expectedRevision: 'no_stream' })).rejects.toMatchObject({ type: 'wrong-expected-version' })
    })

    it('refuses more than a mebibyte in one append', async () => {
      const { client, a } = await begin()
      const large = binaryEvent({ type: 'A', data: new Uint8Array(600_000) })
      await expect(client.appendToStream(a, [large, large])).rejects.toMatchObject({ type: 'maximum-append-size-exceeded', maxAppendSize: 1_048_576 })
      await expect(client.appendToStream(a, large)).resolves.toMatchObject({ success: true })
    })

    it('takes single appends too, where a call has credentials of its own', async () => {
      const { client, a } = await begin()
      const credentials = { username: 'admin', password: 'changeit' }
      expect(await client.appendToStream(a, event('A'), { credentials, expectedRevision: 'no_stream' })).toMatchObject({ nextExpectedRevision: 0n })
      await expect(client.appendToStream(a, event('A'), { credentials, expectedRevision: 7n })).rejects.toMatchObject({ type: 'wrong-expected-version', actualVersion: 0n })
    })
  })
}

const exerciseReads = (name: string, begin: Begin): void => {
  describe(`${name} when read`, () => {
    it('finds no stream that is missing or softly deleted, and goes on with its numbers', async () => {
      const { client, a, b } = await begin()
      await expect(allOf(client.readStream(a))).rejects.toMatchObject({ type: 'stream-not-found', streamName: expect.anything() })
      const three = ['A', 'B', 'C'].map((type) => event(type))
      await client.appendToStream(a, three)
      await client.deleteStream(a)
      await client.deleteStream(a)
      await expect(allOf(client.readStream(a))).rejects.toMatchObject({ type: 'stream-not-found' })
      await expect(client.deleteStream(b)).rejects.toMatchObject({ type: 'wrong-expected-version' })
      expect(await client.appendToStream(a, event('D'), { expectedRevision: 'no_stream' })).toMatchObject({ nextExpectedRevision: 3n })
      expect(await typesOf(client.readStream(a))).toEqual(['D'])
    })

    it('names what a softly deleted stream had to who expects another revision there', async () => {
      const { client, a } = await begin()
      const three = ['A', 'B', 'C'].map((type) => event(type))
      await client.appendToStream(a, three)
      await client.deleteStream(a)
      await expect(client.appendToStream(a, event('D'), { expectedRevision: 0n })).rejects.toMatchObject({ type: 'wrong-expected-version', actualVersion: 2n })
      expect(await client.appendToStream(a, event('D'), { expectedRevision: 2n })).toMatchObject({ nextExpectedRevision: 3n })
    })

    it('takes a tombstone for the end of a stream, also of one that was never there', async () => {
      const { client, a, b } = await begin()
      await client.appendToStream(a, event('A'))
      const { position } = await client.tombstoneStream(a)
      await client.tombstoneStream(b)
      for (const stream of [a, b]) {
        await expect(allOf(client.readStream(stream))).rejects.toMatchObject({ type: 'stream-deleted' })
        await expect(client.appendToStream(stream, event('B'))).rejects.toMatchObject({ type: 'stream-deleted' })
        await expect(client.deleteStream(stream)).rejects.toMatchObject({ type: 'stream-deleted' })
      }
      expect(position).toBeDefined()
      if (position === undefined) return
      const [buried] = await allOf(client.readAll({ fromPosition: position, maxCount: 1 }))
      expect(buried?.event).toMatchObject({ type: '$streamDeleted', streamId: a })
    })

    it('answers nothing for what is truncated or beyond the end, and an error for a count of nothing', async () => {
      const { client, a } = await begin()
      const three = ['A', 'B', 'C'].map((type) => event(type))
      await client.appendToStream(a, three)
      await client.setStreamMetadata(a, { truncateBefore: 2 })
      expect(await typesOf(client.readStream(a))).toEqual(['C'])
      expect(await typesOf(client.readStream(a, { fromRevision: 7n }))).toEqual([])
      await client.setStreamMetadata(a, { maxCount: 2 })
      expect(await typesOf(client.readStream(a))).toEqual(['B', 'C'])
      await client.setStreamMetadata(a, { truncateBefore: 3 })
      expect(await typesOf(client.readStream(a))).toEqual([])
      await expect(allOf(client.readStream(a, { maxCount: 0 }))).rejects.toMatchObject({ type: 'unknown' })
      await expect(client.appendToStream(a, event('D'), { expectedRevision: 'no_stream' })).rejects.toMatchObject({ actualVersion: 2n })
      await expect(client.appendToStream(a, event('D'), { expectedRevision: 2n })).resolves.toMatchObject({ nextExpectedRevision: 3n })
    })

    it('reads $all from positions that count: inclusive forwards, exclusive backwards, and nothing from between two events', async () => {
      const { client, a } = await begin()
      const { position: first } = await client.appendToStream(a, event('A'))
      const { position } = await client.appendToStream(a, event('B'))
      await client.appendToStream(a, event('C'))
      expect([first, position]).not.toContain(undefined)
      if (position === undefined) return
      expect(await typesOf(client.readAll({ fromPosition: position, maxCount: 2 }))).toEqual(['B', 'C'])
      expect(await typesOf(client.readAll({ fromPosition: position, direction: BACKWARDS, maxCount: 1 }))).toEqual(['A'])
      expect(await typesOf(client.readAll({ fromPosition: END, direction: BACKWARDS, maxCount: 1 }))).toEqual(['C'])
      const { commit } = position
      await expect(allOf(client.readAll({ fromPosition: { commit: commit + 1n, prepare: commit + 1n } }))).rejects.toMatchObject({ type: 'unknown' })
      expect(await typesOf(client.readAll({ fromPosition: { commit: commit * 1000n, prepare: commit * 1000n } }))).toEqual([])
    })
  })
}

const exerciseSubscriptions = (name: string, begin: Begin): void => {
  describe(`${name} when subscribed to`, () => {
    it('begins after a position, confirms, says when it has caught up, and goes on', async () => {
      const { client, a, prefix } = await begin()
      const { position } = await client.appendToStream(a, event('A'))
      const two = ['B', 'C'].map((type) => event(type))
      await client.appendToStream(a, two)
      expect(position).toBeDefined()
      if (position === undefined) return
      const subscription = client.subscribeToAll({ fromPosition: position, filter: streamNameFilter({ prefixes: [prefix] }) })
      const four = heard(subscription, 4)
      const confirmed = new Promise((resolve) => subscription.on('confirmation', () => resolve(true)))
      expect(await confirmed).toBe(true)
      await client.appendToStream(a, event('D'))
      expect((await four).filter((type) => type !== 'caughtUp')).toEqual(['B', 'C', 'D'])
      await subscription.unsubscribe()
    })

    it('passes checkpoints over what the filter leaves out, and goes on from one of them', async () => {
      const { client, a, b, prefix } = await begin()
      const { position } = await client.appendToStream(b, event('B'))
      const many = Array.from({ length: 200 }, () => event('B'))
      await client.appendToStream(b, many)
      expect(position).toBeDefined()
      if (position === undefined) return
      const checkpoints: { readonly commit: bigint; readonly prepare: bigint }[] = []
      const filter = streamNameFilter({ prefixes: [`${prefix}a`], checkpointReached: async (_, at) => void checkpoints.push(at) })
      const subscription = client.subscribeToAll({ fromPosition: position, filter })
      expect(await heard(subscription, 1)).toEqual(['caughtUp'])
      await subscription.unsubscribe()
      expect(checkpoints.length).toBeGreaterThanOrEqual(6)
      expect(checkpoints.every(({ commit }, index) => commit > (checkpoints[index - 1]?.commit ?? position.commit))).toBe(true)
      await client.appendToStream(a, event('A'))
      const last = checkpoints.at(-1)
      const again = client.subscribeToAll({ ...(last === undefined ? {} : { fromPosition: last }), filter: streamNameFilter({ prefixes: [`${prefix}a`] }) })
      expect((await heard(again, 2)).toSorted()).toEqual(['A', 'caughtUp'])
      await again.unsubscribe()
    })
  })
}

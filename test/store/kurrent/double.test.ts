// The double against what was measured with EventStoreDB 23.10.6 and the client 6.2.1, through the client's own methods: a double that is kinder than the real
// server would prove nothing. What can be had of a real one without disturbing it is asked of both, in `wire.ts`; here is the rest.
import { describe, expect, it } from 'vitest'
import { BACKWARDS, END } from '@eventstore/db-client'
import { kurrentStage } from '../../support/kurrent-stage.ts'
import type { Double } from '../../support/kurrent-double/double.ts'
import { allOf, clients, event, exerciseWire, heard, typesOf } from './wire.ts'

const stage = kurrentStage()
const connect = clients()

const clientOf = async (double?: Double) => {
  const served = double ?? (await stage.double())
  return { double: served, client: connect(served.connectionString) }
}

exerciseWire('the double', async () => ({ connectionString: (await stage.double()).connectionString, prefix: '' }))

describe('the double', () => {
  it('knows a repeat that expects nothing only until it is restarted', async () => {
    const { client, double } = await clientOf()
    const repeated = event('A', '55555555-5555-4555-8555-000000000000')
    await client.appendToStream('a', repeated)
    await client.appendToStream('a', repeated)
    expect(await typesOf(client.readStream('a'))).toEqual(['A'])
    double.log.forgetIds()
    await client.appendToStream('a', repeated)
    expect(await typesOf(client.readStream('a'))).toEqual(['A', 'A'])
    await expect(client.appendToStream('a', repeated, { expectedRevision: 'no_stream' })).resolves.toMatchObject({ nextExpectedRevision: 0n })
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

  it('drops a reader that is too slow, by code 10', async () => {
    const { client, double } = await clientOf()
    const subscription = client.subscribeToAll()
    const failed = new Promise((resolve) => subscription.on('error', resolve))
    await heard(subscription, 3)
    double.node.dropSlow()
    expect(await failed).toMatchObject({ type: 'timeout', code: 10, message: expect.stringContaining('Consumer too slow to handle event while live') })
  })
})

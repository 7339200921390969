// What callers have at contracts: exact from the first question on, whatever is under way meanwhile, and no more in memory than is asked about.
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { requestId } from '../../src/domain/ids.ts'
import { kept, NO_USAGE, plus, type Usage } from '../../src/domain/policy/quota.ts'
import { isHeld } from '../../src/domain/work-item/state.ts'
import { createRequestUsage, type Claim } from '../../src/engine/contracts/usage.ts'
import type { Tables } from '../../src/projections/tables.ts'
import { left, right, startEngine, type TestEngine } from '../support/engine.ts'
import { accept, release, reply, tryAccept, type GivenRequest } from '../support/kept-requests.ts'

const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const test = await startEngine(given)
  onTestFinished(() => test.engine.close())
  return test
}
const of = ({ engine }: TestEngine, caller = 'anna', contract = 'orders') => engine.requestUsage.of(contract, caller)
const claimOf = (id: string, bytes = 10, caller = 'anna'): Claim => ({ workItem: requestId('orders', caller, id), contract: 'orders', caller, bytes })

describe('the usage of a caller', () => {
  it('is nothing of somebody who has nothing', async () => {
    expect(await of(await start())).toEqual(NO_USAGE)
  })

  it('goes with each request from acceptance to release, once it has been asked for', async () => {
    const test = await start()
    await of(test)
    const workItem = await accept(test, '1')
    expect(await of(test)).toEqual({ pending: 1, unreleased: 0, bytes: 10 })
    await reply(test, workItem)
    expect(await of(test)).toEqual({ pending: 0, unreleased: 1, bytes: 15 })
    await release(test, workItem)
    expect(await of(test)).toEqual(NO_USAGE)
  })

  it('ends with a request that fails: there is nothing to release', async () => {
    const test = await start()
    await of(test)
    const workItem = await accept(test, '1')
    const item = test.engine.live(workItem)
    const lease = item !== undefined && isHeld(item) ? item.lease.token : ''
    const failed = { code: 'no-bank', message: 'The bank is closed.', retry: false }
    const command = { type: 'Report', by: 'worker', lease, outcome: { failed }, digest: 'failed', retry: { pauseMs: 0 } } as const
    right(await test.engine.execute(workItem, command, { subject: 'worker', actor: 'worker', commandId: test.world.uuid() }))
    expect(test.engine.live(workItem)?.status).not.toBe('running')
    expect(await of(test)).toEqual(NO_USAGE)
    const next = await start({ store: test.store, world: test.world })
    expect(await of(next)).toEqual(NO_USAGE)
    right(await next.engine.requestUsage.claim(claimOf('2'), { requests: 1 }))
  })

  it('is what the tables say when it is first asked for, and belongs to that caller of that contract alone', async () => {
    const test = await start()
    await reply(test, await accept(test, '1'))
    await accept(test, '2', { leased: false })
    await accept(test, '1', { caller: 'bert' })
    await accept(test, '1', { contract: 'payments', bytes: 7 })
    expect(await of(test)).toEqual({ pending: 1, unreleased: 1, bytes: 25 })
    expect(await of(test, 'bert')).toEqual({ pending: 1, unreleased: 0, bytes: 10 })
    expect(await of(test, 'anna', 'payments')).toEqual({ pending: 1, unreleased: 0, bytes: 7 })
  })

  it('is not changed by a duplicate, whether the first is at hand or has to be read again', async () => {
    const test = await start()
    await of(test)
    const workItem = await accept(test, '1')
    await reply(test, workItem)
    right(await tryAccept(test, '1'))
    expect(await of(test)).toEqual({ pending: 0, unreleased: 1, bytes: 15 })
    const next = await start({ store: test.store, world: test.world })
    await of(next)
    right(await tryAccept(next, '1'))
    expect(await of(next)).toEqual({ pending: 0, unreleased: 1, bytes: 15 })
  })

  it('is exact when it is first asked for in the middle of anything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(9), fc.nat(2), fc.boolean()), { maxLength: 40 }), fc.nat(40), fc.nat(12), async (steps, askedAt, turns) => {
        const test = await startEngine()
        const asked: Promise<unknown>[] = []
        const under: Promise<unknown>[] = []
        for (const [index, [number, what, leased]] of steps.entries()) {
          if (index === askedAt) asked.push(of(test))
          const workItem = requestId('orders', 'anna', `${number}`)
          const item = test.engine.live(workItem)
          if (what === 0) under.push(tryAccept(test, `${number}`, { leased }))
          else if (what === 1 && item?.status === 'running') under.push(reply(test, workItem))
          else if (what === 2)
            under.push(test.engine.execute(workItem, { type: 'ReleaseReply', by: 'anna', how: 'client' }, { subject: 'anna', actor: 'anna', commandId: test.world.uuid() }))
          for (let turn = 0; turn < (index * 7 + turns) % 5; turn += 1) await Promise.resolve()
          if (index % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        await Promise.all([...asked, ...under])
        const live = await of(test)
        const { position } = right(await test.store.head()())
        test.engine.tables.follow(position)
        expect(await test.engine.tables.reached(position, 600_000)).toBe(true)
        const page = await test.engine.tables.list({ kind: 'request', order: 'oldest', limit: 100 })
        const expected = 'invalid' in page ? undefined : page.items.reduce<Usage>((sum, { item }) => plus(sum, kept(item) ?? NO_USAGE), NO_USAGE)
        expect(live).toEqual({ pending: expected?.pending, unreleased: expected?.unreleased, bytes: expected?.bytes })
        await test.engine.close()
      }),
      { numRuns: 150 },
    )
  })
})

describe('the answer of the tables', () => {
  /** Tables that answer when and what a test says. */
  const heldTables = () => {
    let answer = (_page: unknown): void => undefined
    const tables = {
      reached: async () => true,
      usage: () => new Promise((resolve) => (answer = resolve)),
    } as unknown as Tables
    return { tables, answer: (page: object) => answer(page) }
  }

  const pending = async (given: GivenRequest = {}) => {
    const test = await start()
    const before = { status: 'absent', revision: -1 } as const
    return { test, before, item: right(await tryAccept(test, '1', given)).item }
  }

  it('is as of a position: what lies behind it is added, what does not is in it already', async () => {
    const { test, before, item } = await pending()
    const { tables, answer } = heldTables()
    const usage = createRequestUsage({ tables, world: test.world, position: () => 'i.1' })
    const asked = usage.of('orders', 'anna')
    await Promise.resolve()
    for (const [id, position] of [
      ['a', 'i.2'],
      ['b', 'i.3'],
      ['c', 'i.4'],
    ] as const)
      usage.changed(requestId('orders', 'anna', id), before, item, position)
    answer({ items: [{ caller: 'anna', pending: 2, unreleased: 0, bytes: 20, newest: requestId('orders', 'anna', 'b') }], position: 'i.3' })
    expect(await asked).toEqual({ pending: 3, unreleased: 0, bytes: 30 })
    usage.changed(requestId('orders', 'anna', 'late to be told'), before, item, 'i.3')
    expect(await usage.of('orders', 'anna')).toEqual({ pending: 3, unreleased: 0, bytes: 30 })
  })

  it('may end in the middle of an append: a request that was leased at its birth counts once', async () => {
    const { test, before, item } = await pending()
    const { tables, answer } = heldTables()
    const usage = createRequestUsage({ tables, world: test.world, position: () => 'i.1' })
    const asked = usage.of('orders', 'anna')
    await Promise.resolve()
    usage.changed(requestId('orders', 'anna', '1'), before, item, 'i.3')
    answer({ items: [{ caller: 'anna', pending: 1, unreleased: 0, bytes: 10, newest: requestId('orders', 'anna', '1') }], position: 'i.2' })
    expect(await asked).toEqual({ pending: 1, unreleased: 0, bytes: 10 })
  })

  it('is not taken when it is behind what has been seen: nobody is admitted on old figures', async () => {
    const test = await start()
    const { tables, answer } = heldTables()
    const usage = createRequestUsage({ tables, world: test.world, position: () => 'i.5' })
    const claimed = usage.claim(claimOf('1'), { requests: 1 })
    await Promise.resolve()
    answer({ items: [], position: 'i.4' })
    expect(left(await claimed)).toEqual({ type: 'lagging' })
    expect(usage.size()).toBe(0)
  })
})

describe('a claim', () => {
  it('counts from the moment at which a request is sent, until it is accepted or refused', async () => {
    const test = await start()
    const { requestUsage } = test.engine
    const quota = { requests: 2 }
    const [first, second] = [right(await requestUsage.claim(claimOf('1'), quota)), right(await requestUsage.claim(claimOf('2'), quota))]
    expect(left(await requestUsage.claim(claimOf('3'), quota))).toEqual({ type: 'over-quota', detail: expect.stringContaining('at most 2 requests') })
    second()
    second()
    const third = right(await requestUsage.claim(claimOf('3'), quota))
    await accept(test, '1')
    // From here on the request itself counts, and not twice.
    expect(left(await requestUsage.claim(claimOf('4'), quota))).toMatchObject({ type: 'over-quota' })
    first()
    expect(left(await requestUsage.claim(claimOf('4'), quota))).toMatchObject({ type: 'over-quota' })
    third()
    right(await requestUsage.claim(claimOf('4'), quota))()
    expect(await of(test)).toEqual({ pending: 1, unreleased: 0, bytes: 10 })
  })

  it('is made once for calls that send the same request', async () => {
    const { requestUsage } = (await start()).engine
    const both = [right(await requestUsage.claim(claimOf('1'), { requests: 1 })), right(await requestUsage.claim(claimOf('1'), { requests: 1 }))]
    both[0]?.()
    expect(left(await requestUsage.claim(claimOf('2'), { requests: 1 }))).toMatchObject({ type: 'over-quota' })
    both[1]?.()
    right(await requestUsage.claim(claimOf('2'), { requests: 1 }))
  })

  it('is held against bytes too, of what is unreleased and of what is being sent', async () => {
    const test = await start()
    const { requestUsage } = test.engine
    const quota = { bytes: 40 }
    const workItem = await accept(test, '1')
    await reply(test, workItem)
    right(await requestUsage.claim(claimOf('2', 20), quota))
    expect(left(await requestUsage.claim(claimOf('3', 6), quota))).toEqual({ type: 'over-quota', detail: expect.stringContaining('at most 40 bytes') })
    await release(test, workItem)
    right(await requestUsage.claim(claimOf('3', 20), quota))
    expect(E.isLeft(await requestUsage.claim(claimOf('4', 1), quota))).toBe(true)
  })

  it('is free, and asks nothing, where there is no quota', async () => {
    const { requestUsage } = (await start()).engine
    right(await requestUsage.claim(claimOf('1'), undefined))()
    right(await requestUsage.claim(claimOf('1'), {}))()
    expect(requestUsage.size()).toBe(0)
  })
})

describe('a pair that nobody asks about', () => {
  it('is dropped after a while, unless something is being sent, and taken from the tables when it is asked about again', async () => {
    const test = await start()
    const { requestUsage } = test.engine
    await of(test, 'anna')
    right(await requestUsage.claim(claimOf('1', 10, 'bert'), { requests: 5 }))
    await accept(test, 'a')
    test.world.advance(600_000)
    await of(test, 'carl')
    expect(requestUsage.size()).toBe(2)
    expect(await of(test, 'anna')).toEqual({ pending: 1, unreleased: 0, bytes: 10 })
    expect(requestUsage.size()).toBe(3)
  })
})

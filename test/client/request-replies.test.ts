// Replies of a worker that end together, or while others are told: one exchange, which brings the next requests, and in which each is taken or refused by itself.
import { describe, expect, it } from 'vitest'
import { deferred } from '../../src/client/deferred.ts'
import type { StintError } from '../../src/client/index.ts'
import { contractStage, isReplying } from '../support/contract-stage.ts'
import type { Seen } from '../support/gateway.ts'

const { at, works, typesOf, happened, first } = contractStage()

interface Replies {
  readonly items: readonly { readonly id: string }[]
  readonly lease?: { readonly max: number }
}

describe('replies of several requests', () => {
  const isLeasing = ({ path }: Seen): boolean => path.endsWith('/lease')
  /** Of each exchange: whose replies it brought, and how many it asked for. */
  const exchanges = (): readonly (readonly [ids: string, max: number | undefined])[] =>
    at()
      .gateway.seen.filter(isReplying)
      .map(({ body }) => body as Replies)
      .map(({ items, lease }) => [items.map(({ id }) => id).join(''), lease?.max])
  const requester = () => at().admin.requester({ contract: 'pay' })
  /** Calls that nobody waits for yet. */
  const waiting = async (...ids: readonly string[]): Promise<void> => {
    for (const id of ids) await expect(requester().call(1, { id, timeoutMs: 0 })).rejects.toThrow()
  }
  const reply = (id: string) => requester().reply(id)
  const stored = (...ids: readonly string[]): Promise<unknown[]> => Promise.all(ids.map(async (id) => (await reply(id)).json()))

  it('travel together with the next lease request, and their effects are carried out', async () => {
    await waiting('a', 'b', 'c', 'd')
    works(({ id }) => ({ body: id, effects: [{ task: { app: 'shop', queue: 'mail', id: `mail-${id}`, payload: id } }] }), { concurrency: 2 }, at().client)
    expect(await stored('a', 'b', 'c', 'd')).toEqual(['a', 'b', 'c', 'd'])
    for (const id of ['a', 'b', 'c', 'd']) await happened(id, 'EffectsCarriedOut')
    expect((await at().admin.tasks.list({ app: 'shop', queue: 'mail' })).items.map(({ id }) => id).toSorted()).toEqual(['mail-a', 'mail-b', 'mail-c', 'mail-d'])
    expect(exchanges()).toEqual([
      ['ab', 2],
      ['cd', 2],
    ])
    // One question for work at the beginning, and the next when there was nothing left.
    expect(at().gateway.seen.slice(1, at().gateway.seen.findLastIndex(isReplying)).some(isLeasing)).toBe(false)
  })

  it('are each taken or refused by itself: what Stint does not take is told as a failure', async () => {
    const values: Readonly<Record<string, unknown>> = {
      a: 'paid',
      b: 'x'.repeat(1024 * 1024),
      c: { body: 1, effects: [{ callback: { url: 'https://example.com/', body: 1 } }] },
      d: 'paid too',
    }
    await waiting('a', 'b', 'c', 'd')
    const worker = works(({ id }) => values[id], { concurrency: 4 }, at().client)
    expect(
      await Promise.all(
        ['a', 'b', 'c', 'd'].map((id) =>
          reply(id).then(
            (given) => given.json(),
            (thrown: StintError) => thrown.code,
          ),
        ),
      ),
    ).toEqual(['paid', 'interrupted', 'interrupted', 'paid too'])
    expect(exchanges()[0]).toEqual(['abcd', 4])
    expect((await at().admin.requests.show({ contract: 'pay', id: 'c' })).outcome).toMatchObject({ failed: { code: 'reply-refused' } })
    await worker.close()
    expect(worker.figures()).toMatchObject({ leased: 4, completed: 2, failed: 2, refused: 0 })
    expect(new Set(at().problems.map(([what, id]) => `${what} ${id}`))).toEqual(new Set(['invalid b', 'invalid c']))
  })

  it('are stored although the lease of one of them was lost, which is run again', async () => {
    const { client, gateway, problems } = at()
    const finish = deferred()
    await at().admin.contracts.put('pay', { leaseSeconds: 1 })
    await waiting('a', 'b', 'c')
    gateway.treat(({ path }) => (path.endsWith('/b/extend') ? 503 : 'pass'))
    const worker = works(({ id, attempt }) => finish.promise.then(() => `${id}${attempt}`), { concurrency: 3 }, client)
    await happened('b', 'LeaseExpired')
    finish.resolve()
    expect(await stored('a', 'b', 'c')).toEqual(['a1', 'b2', 'c1'])
    await worker.close()
    expect(worker.figures()).toMatchObject({ leased: 4, completed: 3, refused: 1 })
    expect(problems.filter(([, id]) => id === 'b')).toEqual([['stale-lease', 'b']])
  })

  it('whose answer is lost are told again, and what was leased along with them is begun once', async () => {
    await waiting('a', 'b', 'c', 'd')
    first(1, isReplying, 'lose-answer')
    const begun: string[] = []
    const worker = works(({ id }) => begun.push(id) && id, { concurrency: 2 }, at().client)
    expect(await stored('a', 'b', 'c', 'd')).toEqual(['a', 'b', 'c', 'd'])
    expect(exchanges()[0]).toEqual(['ab', 2])
    await worker.close()
    expect(begun.toSorted()).toEqual(['a', 'b', 'c', 'd'])
    expect(worker.figures()).toMatchObject({ leased: 4, completed: 4, refused: 0 })
    for (const id of ['a', 'c']) expect(await typesOf(id)).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('that are told while the worker is closed leave nothing behind of what was leased along with them', async () => {
    const { client, gateway } = at()
    await waiting('a', 'b', 'c', 'd')
    let isFirst = true
    gateway.treat((seen) => {
      if (!isReplying(seen) || !isFirst) return 'pass'
      isFirst = false
      void worker.close()
      return 'lose-answer'
    })
    const worker = works(({ id }) => id, { concurrency: 2 }, client)
    await worker.closed
    expect(await stored('a', 'b')).toEqual(['a', 'b'])
    for (const id of ['c', 'd']) expect(await typesOf(id)).toEqual(['RequestAccepted', 'Leased', 'LeaseReleased'])
    expect(worker.figures()).toMatchObject({ leased: 4, completed: 2, givenBack: 2 })
  })

  it('that are large travel in several exchanges', async () => {
    await waiting('a', 'b', 'c', 'd', 'e')
    const bytes = new Uint8Array(1024 * 1024).fill(255)
    works(() => bytes, { concurrency: 5 }, at().client)
    for (const id of ['a', 'b', 'c', 'd', 'e']) expect((await reply(id)).bytes).toEqual(bytes)
    expect(new Set(exchanges().map(([ids]) => ids))).toEqual(new Set(['ab', 'cd', 'e']))
    expect(at().problems).toEqual([])
  })
})

// Calls of one requester that are under way together: they travel many in one exchange, and none of them is told anything else than it would be told alone.
import { describe, expect, it } from 'vitest'
import { StintError, Unanswered, type Reply } from '../../src/client/index.ts'
import { contractStage, isAskingForReply, isCall } from '../support/contract-stage.ts'
import type { Seen } from '../support/gateway.ts'

const { at, works, typesOf, happened, first } = contractStage()

const requester = () => at().client.requester({ contract: 'pay' })
const isMany = ({ method, path }: Seen): boolean => method === 'POST' && path === '/v1/contracts/pay/calls'
const itemsOf = ({ body }: Seen): readonly { readonly id: string; readonly call?: { readonly text?: string; readonly bodyBase64?: string } }[] =>
  (body as { readonly items: readonly { readonly id: string }[] }).items
const exchanges = (): readonly Seen[] => at().gateway.seen.filter(isMany)
const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `r${index}`)
const refusal = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof StintError ? thrown.code : thrown),
  )

/** Pays what it is asked to, and counts outside how often it did. */
const paying = (options: { readonly concurrency?: number } = {}) => {
  const paid: string[] = []
  works(({ id, body }) => {
    paid.push(id)
    return { status: 201, headers: { Location: `/payments/${id}`, 'Set-Cookie': ['a=1', 'b=2'] }, body: { paid: body } }
  }, options)
  return paid
}

/** What a reply says that does not depend on when and how it was sent. */
const said = (reply: Reply) => ({
  id: reply.id,
  workItem: reply.workItem,
  status: reply.status,
  bytes: [...reply.bytes],
  type: reply.headers.get('content-type'),
  own: reply.headers.get('x-own'),
  cookies: reply.headers.getSetCookie(),
  release: reply.headers.get('stint-release'),
  replayed: reply.replayed,
  policy: reply.releasePolicy,
  expiresAt: reply.expiresAt,
})

describe('calls at the same time', () => {
  it('travel together, and each is given its own reply, done for it', async () => {
    const paid = paying()
    const pay = requester()
    const ids = names(64)
    const replies = await Promise.all(ids.map((id) => pay.call({ of: id }, { id })))
    expect(replies.map((reply) => [reply.id, reply.status, reply.json(), reply.headers.get('location'), reply.replayed])).toEqual(
      ids.map((id) => [id, 201, { paid: { of: id } }, `/payments/${id}`, false]),
    )
    expect(paid.toSorted()).toEqual(ids.toSorted())
    expect(exchanges().map(itemsOf)[0]).toHaveLength(64)
    expect(at().gateway.seen.filter((request) => isCall(request) || isAskingForReply(request)).length + exchanges().length).toBeLessThan(32)
  })

  it('are given byte for byte what each is given alone: bytes, text, nothing, any status', async () => {
    works(({ id, bytes }) => {
      if (id === 'nothing') return undefined
      const headers = { 'X-Own': 'own', 'Set-Cookie': ['a=1', 'b=2'] }
      return { status: id === 'failing' ? 500 : 200, headers, mediaType: id === 'binary' ? 'image/x-tiny' : 'text/plain; charset=utf-8', body: bytes }
    })
    const bodies = {
      binary: Uint8Array.of(0, 255, 1, 254),
      marked: new TextEncoder().encode('\ufeffgrüß \u0000 "dich"'),
      failing: new TextEncoder().encode('no'),
      nothing: new Uint8Array(),
    }
    const pay = requester()
    const together = await Promise.all(Object.entries(bodies).map(([id, body]) => pay.call(body, { id, mediaType: 'application/x-any' })))
    expect(exchanges().length).toBeGreaterThan(0)
    expect(together.map(({ replayed }) => replayed)).toEqual([false, false, false, false])
    for (const reply of together) {
      const alone = await at().admin.requester({ contract: 'pay' }).reply(reply.id)
      expect({ ...said(reply), replayed: true }).toEqual(said(alone))
    }
    const again = await Promise.all(Object.entries(bodies).map(([id, body]) => pay.call(body, { id, mediaType: 'application/x-any' })))
    expect(again.map(said)).toEqual(together.map((reply) => ({ ...said(reply), replayed: true })))
    expect(again.map(({ bytes }) => [...bytes])).toEqual([[...bodies.binary], [...bodies.marked], [...bodies.failing], []])
  })

  it('do not wait for one another: a slow one holds up neither those beside it nor those after it', async () => {
    let finish = (): void => undefined
    const slow = new Promise<void>((resolve) => {
      finish = resolve
    })
    works(
      async ({ id }) => {
        if (id.startsWith('slow')) await slow
        return { body: id }
      },
      { concurrency: 8 },
    )
    const pay = requester()
    const going = ['slow-1', 'slow-2'].map((id) => pay.call(1, { id }))
    const [quick] = await Promise.all([pay.call(1, { id: 'quick' }), ...['a', 'b'].map((id) => pay.call(1, { id }))])
    for (const id of ['after-1', 'after-2']) expect((await pay.call(1, { id })).json()).toBe(id)
    finish()
    const replies = await Promise.all(going)
    expect([quick?.json(), ...replies.map((reply) => reply.json())]).toEqual(['quick', 'slow-1', 'slow-2'])
    expect(replies.map(({ replayed }) => replayed)).toEqual([false, false])
  })

  it('are asked for by their ids alone once they are taken, and are no replays for that', async () => {
    const pay = requester()
    const ids = names(8)
    const going = ids.map((id) => pay.call({ of: id }, { id }))
    await Promise.all(ids.map((id) => happened(id, 'RequestAccepted')))
    const paid = paying({ concurrency: 1 })
    const replies = await Promise.all(going)
    expect(replies.map((reply) => [reply.json(), reply.replayed])).toEqual(ids.map((id) => [{ paid: { of: id } }, false]))
    expect(paid.toSorted()).toEqual(ids)
    const [calling, ...asking] = exchanges().map(itemsOf)
    expect(calling?.map(({ id, call }) => [id, call?.text])).toEqual(ids.map((id) => [id, JSON.stringify({ of: id })]))
    expect(asking.flat().filter(({ call }) => call !== undefined)).toEqual([])
  })

  it('for replies alone travel together too', async () => {
    paying()
    const pay = requester()
    for (const id of ['a', 'b']) await pay.call({ of: id }, { id })
    const replies = await Promise.all(['a', 'b', 'none'].map((id) => pay.reply(id).catch((thrown: StintError) => thrown.code)))
    expect(replies.map((reply) => (typeof reply === 'string' ? reply : reply.json()))).toEqual([{ paid: { of: 'a' } }, { paid: { of: 'b' } }, 'not-found'])
    expect(exchanges().map(itemsOf)).toEqual([[{ id: 'a' }, { id: 'b' }, { id: 'none' }]])
  })

  it('travel in several exchanges when their bodies are large', async () => {
    works(({ bytes }) => ({ body: bytes.length }))
    const pay = requester()
    const body = new Uint8Array(1024 * 1024 - 1).fill(120)
    const replies = await Promise.all(names(10).map((id) => pay.call(body, { id })))
    expect(replies.map((reply) => reply.json())).toEqual(names(10).map(() => body.length))
    const calling = exchanges().filter((request) => itemsOf(request).some(({ call }) => call !== undefined))
    expect(calling.map((request) => itemsOf(request).length).toSorted((a, b) => a - b)).toEqual([2, 8])
  })

  it('and one alone goes by PUT', async () => {
    paying()
    await requester().call(1, { id: 'a' })
    expect([at().gateway.seen.filter(isCall).length, exchanges().length]).toEqual([1, 0])
  })
})

describe('one of many calls', () => {
  it('that is refused is told why, and the others are done', async () => {
    const paid = paying()
    const pay = requester()
    await pay.call({ amount: 5 }, { id: 'used' })
    const calls = [
      pay.call({ amount: 6 }, { id: 'used' }),
      pay.call(1, { id: 'a' }),
      pay.call(1, { id: 'called-back', callback: 'http://elsewhere.example/' }),
      pay.call(1, { id: 'b' }),
    ]
    expect(await Promise.all(calls.map(refusal))).toEqual(['fingerprint-mismatch', undefined, 'invalid', undefined])
    expect(paid).toEqual(['used', 'a', 'b'])
    expect(exchanges().length).toBeGreaterThan(0)
  })

  it('that is over the quota hears so at the end of its time, and when to come again', async () => {
    paying()
    await at().admin.contracts.put('pay', { release: 'required', quota: { requests: 2 } })
    const pay = requester()
    const outcomes = await Promise.allSettled(names(3).map((id) => pay.call(1, { id, timeoutMs: 3_000 })))
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason as StintError)
    expect(refused).toMatchObject([{ code: 'over-quota', status: 429, retryAfterMs: 10_000 }])
  })

  it('that is taken back by its signal leaves the others alone, and its request too', async () => {
    const pay = requester()
    const stop = new AbortController()
    const back = refusal(pay.call(1, { id: 'back', signal: stop.signal }))
    const others = ['a', 'b'].map((id) => pay.call(1, { id }))
    await Promise.all(['back', 'a', 'b'].map((id) => happened(id, 'RequestAccepted')))
    stop.abort(new Error('enough'))
    expect(await back).toMatchObject({ message: 'enough' })
    const paid = paying()
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([201, 201])
    expect((await pay.reply('back')).status).toBe(201)
    expect(paid.toSorted()).toEqual(['a', 'b', 'back'])
  })

  it('whose time is over hears so, and the others go on', async () => {
    const pay = requester()
    const short = refusal(pay.call(1, { id: 'short', timeoutMs: 300 }))
    const others = ['a', 'b'].map((id) => pay.call(1, { id }))
    expect(await short).toBeInstanceOf(Unanswered)
    paying()
    expect((await Promise.all(others)).map(({ status, replayed }) => [status, replayed])).toEqual([
      [201, false],
      [201, false],
    ])
  })
})

describe('an exchange of many calls', () => {
  it('whose answer is lost is made again, and each call is carried out once', async () => {
    const paid = paying()
    const pay = requester()
    first(1, isMany, 'lose-answer')
    const ids = names(10)
    const replies = await Promise.all(ids.map((id) => pay.call({ of: id }, { id })))
    expect(replies.map((reply) => reply.json())).toEqual(ids.map((id) => ({ paid: { of: id } })))
    expect(paid.toSorted()).toEqual(ids)
    for (const id of ids) expect(await typesOf(id)).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('that is cut, met by a gateway or by a server that stops is made again', async () => {
    const paid = paying()
    const pay = requester()
    const fates = ['cut', 502, 503] as const
    let count = 0
    at().gateway.treat((request) => (isMany(request) ? (fates[count++] ?? 'pass') : 'pass'))
    const replies = await Promise.all(names(20).map((id) => pay.call(1, { id })))
    expect(replies.map(({ status }) => status)).toEqual(names(20).map(() => 201))
    expect(paid.toSorted()).toEqual(names(20).toSorted())
    expect(count).toBeGreaterThan(0)
  })

  it('and the server is restarted in the middle, the calls go on and each is carried out once', async () => {
    const { stint, gateway } = at()
    const pay = requester()
    const going = names(5).map((id) => pay.call(1, { id }))
    await Promise.all(names(5).map((id) => happened(id, 'RequestAccepted')))
    await gateway.down()
    await stint.stop()
    await stint.start()
    await gateway.up()
    const paid = paying()
    expect((await Promise.all(going)).map(({ status }) => status)).toEqual([201, 201, 201, 201, 201])
    expect(paid.toSorted()).toEqual(names(5))
  })

  it('and the log was set back, the requests are called anew', async () => {
    const { stint } = at()
    const pay = requester()
    const going = names(3).map((id) => pay.call(1, { id }))
    await Promise.all(names(3).map((id) => happened(id, 'RequestAccepted')))
    await stint.stop()
    await stint.start('empty')
    const paid = paying()
    expect((await Promise.all(going)).map(({ status }) => status)).toEqual([201, 201, 201])
    expect(paid.toSorted()).toEqual(names(3))
  })

  it('that Stint does not know, because it is older, is not tried again: each call goes alone', async () => {
    const paid = paying()
    const pay = requester()
    at().gateway.treat((request) => (isMany(request) ? 404 : 'pass'))
    for (const ids of [names(5), names(8).slice(5)]) await Promise.all(ids.map((id) => pay.call(1, { id })))
    expect(paid.toSorted()).toEqual(names(8))
    expect(exchanges()).toHaveLength(1)
  })

  it('that is too large for something on the way is made one by one, and the next is made again', async () => {
    const paid = paying()
    const pay = requester()
    first(1, isMany, 413)
    for (const ids of [names(5), names(8).slice(5)]) await Promise.all(ids.map((id) => pay.call(1, { id })))
    expect(paid.toSorted()).toEqual(names(8))
    expect(at().gateway.seen.filter(isCall).length).toBeGreaterThanOrEqual(5)
    expect(exchanges().length).toBeGreaterThan(1)
  })

  it('ends with the requester, whose calls all hear that it is closed', async () => {
    const pay = requester()
    const going = names(5).map((id) => refusal(pay.call(1, { id })))
    await Promise.all(names(5).map((id) => happened(id, 'RequestAccepted')))
    await pay.close()
    for (const outcome of await Promise.all(going)) expect(outcome).toMatchObject({ name: 'Closed' })
    const paid = paying()
    for (const id of names(5)) await happened(id, 'Completed')
    expect(paid.toSorted()).toEqual(names(5))
  })
})

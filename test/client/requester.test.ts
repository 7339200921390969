// A caller of a contract: each request is carried out once, whatever is lost on the way, and its reply is given until it is released.
import { describe, expect, it } from 'vitest'
import { connect, memoryRequestStore, StintError, Unanswered, Unreachable, type PendingRequest, type RequestStore, type Resumed } from '../../src/client/index.ts'
import { contractStage, isAskingForReply, isCall, isRelease } from '../support/contract-stage.ts'

const { at, works, typesOf, happened, first } = contractStage()

const requester = (store?: RequestStore) => at().client.requester({ contract: 'pay', ...(store === undefined ? {} : { store }) })
const pendingIn = async (store: RequestStore): Promise<readonly PendingRequest[]> => {
  const entries: PendingRequest[] = []
  for await (const entry of store.pending()) entries.push(entry)
  return entries
}
const refusal = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof StintError ? thrown.code : thrown),
  )

/** Pays what it is asked to, and counts outside how often it did. */
const paying = () => {
  const paid: string[] = []
  works(({ id, body }) => {
    paid.push(id)
    return { status: 201, headers: { Location: `/payments/${id}` }, body: { paid: body } }
  })
  return paid
}

describe('a call', () => {
  it('gives the reply: status, headers and body, with what Stint says about it', async () => {
    paying()
    const reply = await requester().call({ amount: 5 }, { id: 'order-7' })
    expect([reply.status, reply.headers.get('location'), reply.json(), reply.id, reply.workItem]).toEqual([
      201,
      '/payments/order-7',
      { paid: { amount: 5 } },
      'order-7',
      'request/pay/local/order-7',
    ])
    expect([reply.replayed, reply.releasePolicy]).toEqual([false, 'encouraged'])
    expect(Date.parse(reply.expiresAt ?? '')).toBeGreaterThan(0)
  })

  it('without an id has a UUIDv7, and one of bytes or text is sent as it is', async () => {
    works(({ bytes, mediaType }) => ({ mediaType: mediaType ?? '', body: bytes }))
    const pay = requester()
    const binary = await pay.call(Uint8Array.of(0, 255, 1))
    expect([[...binary.bytes], binary.headers.get('content-type')]).toEqual([[0, 255, 1], 'application/octet-stream'])
    expect(binary.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    const text = await pay.call('grüß dich', { mediaType: 'text/plain; charset=utf-8' })
    expect([text.text(), text.headers.get('content-type')]).toEqual(['grüß dich', 'text/plain; charset=utf-8'])
  })

  it('that fails in the handler, and one that is redirected, is a reply like any other', async () => {
    works(({ body }) => ({ status: Number(body), headers: { Location: '/elsewhere' }, body: 'no' }))
    const pay = requester()
    for (const status of [303, 404, 500]) expect((await pay.call(status)).status).toBe(status)
  })

  it('again under its id is given the same reply, and the handler does not run', async () => {
    const paid = paying()
    const pay = requester()
    const one = await pay.call({ amount: 5 }, { id: 'a' })
    const again = await pay.call({ amount: 5 }, { id: 'a' })
    expect([again.replayed, again.text(), paid]).toEqual([true, one.text(), ['a']])
    expect((await pay.reply('a')).text()).toBe(one.text())
  })

  it('twice at the same time runs once and answers both', async () => {
    const paid = paying()
    const pay = requester()
    const replies = await Promise.all([pay.call({ amount: 5 }, { id: 'a' }), pay.call({ amount: 5 }, { id: 'a' })])
    expect([replies.map((reply) => reply.status), paid]).toEqual([[201, 201], ['a']])
  })

  it('that is final without a reply throws why, and what could never be sent throws before', async () => {
    const pay = requester()
    await at().admin.contracts.put('pay', { onInterrupted: 'fail' })
    paying()
    await pay.call({ amount: 5 }, { id: 'a' })
    expect(await refusal(pay.call({ amount: 6 }, { id: 'a' }))).toBe('fingerprint-mismatch')
    await at().admin.requests.release({ contract: 'pay', id: 'a' })
    expect(await refusal(pay.call({ amount: 5 }, { id: 'a' }))).toBe('released')
    expect(await refusal(pay.call(1n))).toBe('invalid')
    expect(await refusal(pay.call('x'.repeat(1024 * 1024)))).toBe('invalid')
    expect(await refusal(pay.call(1, { id: 'not/an/id' }))).toBe('invalid')
    expect(at().gateway.seen.filter(isCall)).toHaveLength(3)
  })
})

describe('the store', () => {
  it('keeps a pending request when a call under its id asks for something else', async () => {
    const durable = (): RequestStore => {
      const { put, delete: forget, pending } = memoryRequestStore()
      return { put, delete: forget, pending }
    }
    for (const [index, store] of [memoryRequestStore(), durable()].entries()) {
      const id = `a${index}`
      const pay = requester(store)
      expect(await refusal(pay.call({ amount: 5 }, { id, timeoutMs: 0 }))).toBeInstanceOf(Unanswered)
      const before = await pendingIn(store)
      expect(await refusal(pay.call({ amount: 6 }, { id }))).toBe('fingerprint-mismatch')
      expect(await pendingIn(store)).toEqual(before)
    }
  })

  it('in memory keeps of a reply that was given and not released its id alone, and nothing where replies go by themselves', async () => {
    paying()
    const store = memoryRequestStore()
    const pay = requester(store)
    await pay.call({ amount: 5 }, { id: 'a' })
    expect(await pendingIn(store)).toMatchObject([{ id: 'a', bodyBase64: '', isAnswered: true }])
    for await (const { reply } of pay.resume()) {
      expect(reply?.json()).toEqual({ paid: { amount: 5 } })
      await reply?.release()
    }
    expect(await pendingIn(store)).toEqual([])
    await at().admin.contracts.put('pay', { release: 'none-required', retainSeconds: 60 })
    await pay.call({ amount: 5 }, { id: 'b' })
    expect(await pendingIn(store)).toEqual([])
  })
})

describe('when answers are lost', () => {
  it('sends the request again, and it is carried out once', async () => {
    const paid = paying()
    first(2, isCall, 'lose-answer')
    const reply = await requester().call({ amount: 5 }, { id: 'a' })
    expect([reply.status, reply.replayed, paid]).toEqual([201, true, ['a']])
    expect(at().gateway.seen.filter(isCall)).toHaveLength(3)
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('waits out a gateway that cuts, answers nothing of its own, or stops', async () => {
    const paid = paying()
    const fates = ['cut', 502, 503] as const
    let count = 0
    at().gateway.treat(() => fates[count++] ?? 'pass')
    expect((await requester().call(1, { id: 'a' })).status).toBe(201)
    expect([paid, count]).toEqual([['a'], 4])
  })

  it('asks for the reply alone once the request is known to be taken', async () => {
    const { client, gateway } = at()
    first(1, isAskingForReply, 'lose-answer')
    const going = client.requester({ contract: 'pay' }).call({ amount: 5 }, { id: 'a', timeoutMs: 500 })
    expect(await refusal(going)).toBeInstanceOf(Unanswered)
    const reply = client.requester({ contract: 'pay' }).reply('a')
    await gateway.until(isAskingForReply)
    paying()
    expect((await reply).json()).toEqual({ paid: { amount: 5 } })
    expect(gateway.seen.filter(isCall)).toHaveLength(1)
  })

  it('and the server is restarted in the middle, the call goes on and the handler runs once', async () => {
    const { stint, gateway } = at()
    const going = requester().call({ amount: 5 }, { id: 'a' })
    await happened('a', 'RequestAccepted')
    await gateway.down()
    await stint.stop()
    await stint.start()
    await gateway.up()
    const paid = paying()
    expect([(await going).status, paid]).toEqual([201, ['a']])
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })

  it('and the log was set back, the request is called anew', async () => {
    const { stint } = at()
    const going = requester().call({ amount: 5 }, { id: 'a' })
    await happened('a', 'RequestAccepted')
    await stint.stop()
    await stint.start('empty')
    const paid = paying()
    expect([(await going).status, paid]).toEqual([201, ['a']])
  })
})

describe('the end of patience', () => {
  it('is told with the id, and the request goes on', async () => {
    const pay = requester()
    const thrown = await refusal(pay.call({ amount: 5 }, { id: 'a', timeoutMs: 0 }))
    expect(thrown).toBeInstanceOf(Unanswered)
    expect(thrown).toMatchObject({ contract: 'pay', id: 'a' })
    expect((thrown as Unanswered).cause).toBeUndefined()
    paying()
    expect((await pay.reply('a')).status).toBe(201)
  })

  it('says why there was no answer', async () => {
    await at().gateway.down()
    const thrown = await refusal(requester().call(1, { timeoutMs: 300 }))
    expect((thrown as Unanswered).cause).toBeInstanceOf(Unreachable)
  })

  it('by a signal leaves the request alone', async () => {
    const { gateway } = at()
    const pay = requester()
    const stop = new AbortController()
    const going = pay.call({ amount: 5 }, { id: 'a', signal: stop.signal })
    await gateway.until(isCall)
    await happened('a', 'RequestAccepted')
    stop.abort(new Error('enough'))
    expect(await refusal(going)).toMatchObject({ message: 'enough' })
    const paid = paying()
    expect([(await pay.call({ amount: 5 }, { id: 'a' })).status, paid]).toEqual([201, ['a']])
  })

  it('by closing ends all waiting', async () => {
    const pay = requester()
    const going = refusal(pay.call(1, { id: 'a' }))
    await happened('a', 'RequestAccepted')
    await pay.close()
    expect(await going).toMatchObject({ name: 'Closed' })
    expect(await refusal(pay.call(1))).toMatchObject({ name: 'Closed' })
  })
})

describe('a release', () => {
  const stateOf = async (id: string) => (await at().admin.requests.show({ contract: 'pay', id })).released?.how

  it('comes at the end of the scope once the reply was read, where the contract asks for it', async () => {
    paying()
    for (const release of ['encouraged', 'required'] as const) {
      await at().admin.contracts.put('pay', { release })
      {
        await using reply = await requester().call(1, { id: release })
        reply.json()
      }
      expect(await stateOf(release)).toBe('client')
    }
  })

  it('does not come for a reply that nobody read, nor where replies go by themselves, nor by hand only', async () => {
    paying()
    {
      await using _reply = await requester().call(1, { id: 'unread' })
    }
    {
      await using reply = await at().client.requester({ contract: 'pay', release: 'manual' }).call(1, { id: 'manual' })
      reply.json()
    }
    await at().admin.contracts.put('pay', { release: 'none-required', retainSeconds: 60 })
    {
      await using reply = await requester().call(1, { id: 'none' })
      reply.json()
    }
    expect([await stateOf('unread'), await stateOf('manual'), await stateOf('none')]).toEqual([undefined, undefined, undefined])
    const reply = await requester().reply('manual')
    await reply.release()
    await reply.release()
    expect([await stateOf('manual'), at().gateway.seen.filter(isRelease)]).toEqual(['client', expect.objectContaining({ length: 1 })])
  })

  it('whose answer is lost is told again; one that fails at the end of a scope is a problem, not an exception', async () => {
    paying()
    const problems: string[] = []
    const pay = at().client.requester({ contract: 'pay', onProblem: (problem, id) => problems.push(`${problem.name} ${id}`) })
    first(1, isRelease, 'lose-answer')
    await (await pay.call(1, { id: 'a' })).release()
    expect(await stateOf('a')).toBe('client')
    at().gateway.treat((request) => (isRelease(request) ? 418 : 'pass'))
    {
      await using reply = await pay.call(1, { id: 'b' })
      reply.text()
    }
    expect(problems).toEqual(['UnexpectedAnswer b'])
  })
})

describe('a store', () => {
  const resumed = async (store: RequestStore): Promise<readonly Resumed[]> => {
    const all: Resumed[] = []
    for await (const one of requester(store).resume()) all.push(one)
    return all
  }

  it('has the request before it is sent', async () => {
    const order: string[] = []
    const kept = memoryRequestStore()
    at().gateway.treat((request) => {
      if (isCall(request)) order.push('sent')
      return 'pass'
    })
    paying()
    await requester({ ...kept, put: (entry) => void order.push(`stored ${entry.id}`) }).call({ amount: 5 }, { id: 'a' })
    expect(order).toEqual(['stored a', 'sent'])
  })

  it('that fails keeps the request from being sent', async () => {
    const store: RequestStore = { ...memoryRequestStore(), put: () => Promise.reject(new Error('disk is full')) }
    expect(await refusal(requester(store).call(1))).toMatchObject({ message: 'disk is full' })
    expect(at().gateway.seen.filter(isCall)).toEqual([])
  })

  it('gives a caller that was restarted what it had asked, and each is carried out once', async () => {
    const store = memoryRequestStore()
    const before = connect({ url: at().gateway.url })
    first(1, isCall, 'cut')
    const calls = ['a', 'b', 'c'].map((id) => refusal(before.requester({ contract: 'pay', store }).call({ of: id }, { id })))
    await Promise.all(['b', 'c'].map((id) => at().gateway.until(({ path }) => path.endsWith(id))))
    await before.close()
    await Promise.all(calls)
    const paid = paying()
    const all = await resumed(store)
    expect(Object.fromEntries(all.map(({ id, reply }) => [id, reply?.json()]))).toEqual(Object.fromEntries(['a', 'b', 'c'].map((id) => [id, { paid: { of: id } }])))
    expect(paid.toSorted()).toEqual(['a', 'b', 'c'])
    for (const { reply } of all) await reply?.release()
    expect(await pendingIn(store)).toEqual([])
  })

  it('keeps a request until its reply is dealt with, or there will never be one', async () => {
    paying()
    const store = memoryRequestStore()
    const pay = requester(store)
    await pay.call(1, { id: 'a' })
    expect(await pendingIn(store)).toMatchObject([{ contract: 'pay', id: 'a', mediaType: 'application/json', bodyBase64: '', isAnswered: true }])
    {
      await using reply = await pay.call(1, { id: 'a' })
      reply.json()
    }
    expect(await pendingIn(store)).toEqual([])
    expect(await refusal(pay.call(1, { id: 'a' }))).toBe('released')
    expect(await pendingIn(store)).toEqual([])
    await refusal(pay.call(1, { id: 'late', timeoutMs: 0 }))
    expect((await pendingIn(store)).map(({ id }) => id)).toEqual(['late'])
  })

  it('whose caller broke off in a release ends that release, and is asked nothing again', async () => {
    paying()
    const store = memoryRequestStore()
    const reply = await requester(store).call(1, { id: 'a' })
    at().gateway.treat((request) => (isRelease(request) ? 418 : 'pass'))
    expect(await refusal(reply.release())).toMatchObject({ name: 'UnexpectedAnswer' })
    at().gateway.treat(() => 'pass')
    expect(await resumed(store)).toEqual([])
    expect(await pendingIn(store)).toEqual([])
    expect((await at().admin.requests.show({ contract: 'pay', id: 'a' })).released?.how).toBe('client')
  })

  it('of another contract, and one that is final, do not stop the rest', async () => {
    const store = memoryRequestStore()
    await at()
      .client.requester({ contract: 'ship', store })
      .call(1, { id: 'other', timeoutMs: 0 })
      .catch(() => undefined)
    await refusal(requester(store).call(1, { id: 'a', timeoutMs: 0 }))
    await refusal(requester(store).call(1, { id: 'b', timeoutMs: 0 }))
    await at().admin.requests.abort({ contract: 'pay', id: 'a' })
    paying()
    const all = await resumed(store)
    expect(Object.fromEntries(all.map(({ id, error, reply }) => [id, (error as StintError | undefined)?.code ?? reply?.status]))).toEqual({ a: 'cancelled', b: 201 })
    expect((await pendingIn(store)).map(({ id }) => id).toSorted()).toEqual(['b', 'other'])
  })
})

describe('requests from outside', () => {
  it('are listed, shown, asked about and directed', async () => {
    const { admin } = at()
    await refusal(requester().call(1, { id: 'a', timeoutMs: 0 }))
    const a = { contract: 'pay', id: 'a', caller: 'local' }
    expect((await admin.requests.list('pay')).items.map(({ id }) => id)).toEqual(['a'])
    for await (const { id } of admin.requests.each('pay')) expect(id).toBe('a')
    expect((await admin.requests.pause(a, 'lunch')).state).toBe('paused')
    expect((await admin.requests.why(a)).gate).toBe('paused')
    expect((await admin.requests.resume(a)).state).toBe('waiting')
    paying()
    await happened('a', 'Completed')
    expect(await admin.requests.show(a)).toMatchObject({ state: 'completed', reply: { status: 201, body: { paid: 1 } } })
    expect((await admin.requests.reply(a)).json()).toEqual({ paid: 1 })
    expect((await admin.requests.release(a)).released.how).toBe('client')
    expect((await admin.contracts.list()).items.map(({ contract }) => contract)).toEqual(['pay'])
  })
})

describe('a reply that was asked for by its id', () => {
  it('ends the request in the store too', async () => {
    const store = memoryRequestStore()
    const pay = requester(store)
    await refusal(pay.call(1, { id: 'a', timeoutMs: 0 }))
    paying()
    await (await pay.reply('a')).release()
    expect(await pendingIn(store)).toEqual([])
  })
})

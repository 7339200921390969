// A worker of a contract: it leases requests, and what its handlers return is the one reply, told until it is known, whatever is lost on the way.
import { describe, expect, it } from 'vitest'
import { GiveBack, LeaseLost, PermanentFailure, StintError, type WorkerRequest } from '../../src/client/index.ts'
import { deferred } from '../../src/client/deferred.ts'
import { contractStage, isReplying } from '../support/contract-stage.ts'
import { aborted } from '../support/job-functions.ts'

const { at, works, typesOf, happened, first } = contractStage()

const call = (body: unknown, id: string, more: object = {}) =>
  at()
    .admin.requester({ contract: 'pay' })
    .call(body, { id, ...more })
const refusal = async (going: Promise<unknown>): Promise<unknown> =>
  going.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof StintError ? thrown.code : thrown),
  )
const replied = async (value: unknown) => {
  const worker = works(() => value)
  const id = crypto.getRandomValues(new Uint32Array(1))[0]
  const reply = await call(1, `r${id}`)
  await worker.close()
  return [reply.status, reply.headers.get('content-type'), reply.text()]
}

describe('a handler', () => {
  it('is given the request: whose it is, its body, and its attempt', async () => {
    const seen: Partial<WorkerRequest>[] = []
    works((request) => {
      seen.push({ id: request.id, caller: request.caller, attempt: request.attempt, body: request.body, mediaType: request.mediaType })
      return { json: request.json(), bytes: request.bytes.length }
    })
    expect((await call({ amount: 5 }, 'a')).json()).toEqual({ json: { amount: 5 }, bytes: 12 })
    expect((await call(Uint8Array.of(49, 50), 'b', { mediaType: 'application/octet-stream' })).json()).toEqual({ json: 12, bytes: 2 })
    expect(seen).toEqual([
      { id: 'a', caller: 'local', attempt: 1, body: { amount: 5 }, mediaType: 'application/json' },
      { id: 'b', caller: 'local', attempt: 1, body: Uint8Array.of(49, 50), mediaType: 'application/octet-stream' },
    ])
  })

  it('replies with what it returns: a value, bytes, nothing, or a reply in full', async () => {
    expect(await replied({ paid: true })).toEqual([200, 'application/json', '{"paid":true}'])
    expect(await replied('a text')).toEqual([200, 'application/json', '"a text"'])
    expect(await replied({ status: 'paid' })).toEqual([200, 'application/json', '{"status":"paid"}'])
    expect(await replied({ status: 402, body: null })).toEqual([402, 'application/json', 'null'])
    expect(await replied(undefined)).toEqual([204, null, ''])
    expect(await replied({ status: 200 })).toEqual([200, null, ''])
    expect(await replied(Uint8Array.of(104, 105))).toEqual([200, 'application/octet-stream', 'hi'])
    expect(await replied({ headers: { 'Content-Type': 'text/html' }, body: '<p>' })).toEqual([200, 'text/html', '<p>'])
  })

  it('has effects carried out once, after its reply', async () => {
    works(() => ({ body: 'done', effects: [{ task: { app: 'shop', queue: 'mail', id: 'mail-1', payload: { to: 'ann' } } }] }))
    await call(1, 'a')
    await happened('a', 'EffectsCarriedOut')
    expect(await at().admin.tasks.show({ app: 'shop', queue: 'mail', id: 'mail-1' }, { payload: true })).toMatchObject({ state: 'waiting', payload: { to: 'ann' } })
  })

  it('tells its phases and progress before the reply, which does not travel with them', async () => {
    works((request) => {
      request.phase('charging')
      request.progress({ done: 1, total: 2 })
      return 'done'
    })
    expect((await call(1, 'a')).json()).toBe('done')
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'PhaseEntered', 'ProgressReported', 'Completed'])
  })
})

describe('an execution that does not end with a reply', () => {
  it('is tried again after an error, and not after a permanent failure', async () => {
    works(({ id, attempt }) => {
      if (id === 'b') throw new PermanentFailure('no such account', { code: 'no-account' })
      if (attempt === 1) throw new Error('not yet')
      return attempt
    })
    const [a, b] = await Promise.all([call(1, 'a'), refusal(call(1, 'b'))])
    expect([a.json(), b]).toEqual([2, 'interrupted'])
    expect(await typesOf('b')).toEqual(['RequestAccepted', 'Leased', 'Failed'])
  })

  it('is given back without burning an attempt', async () => {
    let times = 0
    works(({ attempt }) => {
      times += 1
      if (times === 1) throw new GiveBack('the till is locked')
      return attempt
    })
    expect((await call(1, 'a')).json()).toBe(1)
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'LeaseReleased', 'Leased', 'Completed'])
  })

  it('is not tried again when its reply can be none', async () => {
    works(({ id }) => (id === 'a' ? { status: 99, body: 1 } : id === 'b' ? 1n : 'x'.repeat(1024 * 1024)))
    expect(await Promise.all(['a', 'b', 'c'].map((id) => refusal(call(1, id))))).toEqual(['interrupted', 'interrupted', 'interrupted'])
    const { failure, outcome } = await at().admin.requests.show({ contract: 'pay', id: 'c' })
    expect(failure ?? outcome).toMatchObject({ failed: { code: 'reply-refused' } })
    expect(at().problems).toEqual([['invalid', 'c']])
  })

  it('ends when it is aborted', async () => {
    works(async ({ signal }) => {
      await aborted(signal)
      signal.throwIfAborted()
    })
    const going = refusal(call(1, 'a'))
    await happened('a', 'Leased')
    await at().admin.requests.abort({ contract: 'pay', id: 'a', caller: 'local' }, 'the shop is closed')
    expect(await going).toBe('aborted')
  })
})

describe('a reply whose answer is lost', () => {
  it('is told again until it is known, and stored once', async () => {
    first(3, isReplying, 'lose-answer')
    const worker = works(() => 'done', {}, at().client)
    expect((await call(1, 'a')).json()).toBe('done')
    await at().gateway.until((seen) => isReplying(seen) && at().gateway.seen.filter(isReplying).length === 4)
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
    await worker.close()
    expect(worker.figures()).toMatchObject({ leased: 1, completed: 1, refused: 0 })
  })

  it('outlives a restart of the server', async () => {
    const { gateway, stint, client } = at()
    const finish = deferred()
    works(() => finish.promise.then(() => 'done'), {}, client)
    await refusal(call(1, 'a', { timeoutMs: 0 }))
    await happened('a', 'Leased')
    await gateway.down()
    await stint.stop()
    finish.resolve()
    await stint.start()
    await gateway.up()
    expect((await at().admin.requester({ contract: 'pay' }).reply('a')).json()).toBe('done')
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'Completed'])
  })
})

describe('a lease', () => {
  it('is kept for as long as the handler runs', async () => {
    const finish = deferred()
    works(() => finish.promise, { leaseSeconds: 1 })
    const going = call(1, 'a')
    await happened('a', 'LeaseExtended', 2)
    finish.resolve()
    expect((await going).status).toBe(204)
  })

  it('that was lost ends the handler with the reason, and its reply is not taken', async () => {
    const { client, gateway, problems } = at()
    const reasons: unknown[] = []
    await at().admin.contracts.put('pay', { leaseSeconds: 1 })
    const cutOff = works(
      async ({ signal }) => {
        await aborted(signal)
        reasons.push(signal.reason)
        return 'from the first'
      },
      { worker: 'first' },
      client,
    )
    const going = call(1, 'a')
    await happened('a', 'Leased')
    gateway.treat(() => 'cut')
    await happened('a', 'LeaseExpired')
    works(({ attempt }) => `from the second, attempt ${attempt}`, { worker: 'second' })
    expect((await going).json()).toBe('from the second, attempt 2')
    gateway.treat(() => 'pass')
    while (!problems.some(([what]) => what === 'settled')) await new Promise((resolve) => setImmediate(resolve))
    expect(reasons[0]).toBeInstanceOf(LeaseLost)
    await cutOff.close()
    expect(cutOff.figures()).toMatchObject({ completed: 0, refused: 1 })
    expect((await typesOf('a')).filter((type) => type === 'Completed')).toHaveLength(1)
  })

  it('is given back when the worker closes, or is too busy', async () => {
    const hanging = works(({ signal }) => aborted(signal), { isBusy: () => false })
    const going = call(1, 'a')
    await happened('a', 'Leased')
    await hanging.close()
    works(({ attempt }) => attempt)
    expect((await going).json()).toBe(1)
    expect(await typesOf('a')).toEqual(['RequestAccepted', 'Leased', 'LeaseReleased', 'Leased', 'Completed'])
  })

  it('is asked for only while the worker has places', async () => {
    const running = new Set<string>()
    const most: number[] = []
    const finish = deferred()
    works(
      async ({ id }) => {
        running.add(id)
        most.push(running.size)
        await finish.promise
        running.delete(id)
        return id
      },
      { concurrency: 2 },
    )
    const going = ['a', 'b', 'c', 'd'].map((id) => call(1, id))
    await Promise.all([happened('a', 'Leased'), happened('b', 'Leased')])
    finish.resolve()
    expect(await Promise.all(going.map(async (one) => (await one).json()))).toEqual(['a', 'b', 'c', 'd'])
    expect(Math.max(...most)).toBe(2)
  })
})

describe('the largest reply', () => {
  it('is taken, and given as it is', async () => {
    const bytes = new Uint8Array(1024 * 1024).fill(255)
    works(() => bytes)
    expect((await call(1, 'a')).bytes).toEqual(bytes)
    expect(at().problems).toEqual([])
  })
})

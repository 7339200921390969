// What the middleware may rely on, shown for each place in which a contract can live: memory (the stand-in of the other tests), an engine on a directory, a server by URL.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import type { BeginRequest, ContractStore, Execution } from '../../src/embedded/contract-store.ts'
import type { ContractSettings } from '../../src/embedded/contract-settings.ts'
import { open } from '../../src/embedded/open.ts'
import { agreeOnContract, serverContract } from '../../src/embedded/server-contract.ts'
import { realWorld } from '../../src/world.ts'
import { memoryContracts } from '../support/memory-contracts.ts'
import { startRealStint } from '../support/real-stint.ts'
import { virtualWorld } from '../support/virtual-world.ts'

interface Place extends AsyncDisposable {
  readonly store: ContractStore
  /** As an administrator. */
  readonly abort?: (workItem: string) => Promise<void>
  /** What the stream of a request holds. */
  readonly events?: (workItem: string) => Promise<readonly string[]>
}

const folder = mkdtempSync(join(tmpdir(), 'stint-contracts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const settings = (given: Partial<ContractSettings>): ContractSettings => ({ contract: 'orders', ...given })

const PLACES: Readonly<Record<string, (given?: Partial<ContractSettings>) => Promise<Place>>> = {
  memory: async ({ release, onInterrupted } = {}) => {
    const store = memoryContracts({ policy: release ?? 'encouraged', ...(onInterrupted === undefined ? {} : { onInterrupted }) })
    return { store, [Symbol.asyncDispose]: store.close }
  },
  'an engine': async (given = {}) => {
    const embedded = await open({ data: mkdtempSync(join(folder, 'data-')) })
    return {
      store: await embedded.contract(settings(given)),
      abort: async (workItem) => {
        const context = { subject: 'ann', actor: 'ann', commandId: realWorld.uuid() }
        await embedded.engine.execute(workItem, { type: 'GiveDirective', by: 'ann', commandId: context.commandId, directive: 'abort', reason: 'by ann' }, context)
      },
      events: async (workItem) => {
        const history = await embedded.engine.history(workItem, { from: 0, max: 100 })
        return history._tag === 'Left' ? [] : history.right.map(({ type }) => type)
      },
      [Symbol.asyncDispose]: embedded.close,
    }
  },
  'a server': async (given = {}) => {
    const real = await startRealStint()
    const stint = connect({ url: real.url })
    await agreeOnContract(stint, settings(given), () => undefined)
    const store = serverContract({ stint, world: realWorld, contract: 'orders' })
    const partsOf = (workItem: string) => workItem.split('/').map(decodeURIComponent)
    return {
      store,
      abort: async (workItem) => {
        const [, , caller, id] = partsOf(workItem)
        await fetch(`${real.url}/v1/contracts/orders/requests/${id}/directives?caller=${caller}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ directive: 'abort', reason: 'by ann' }),
        })
      },
      events: async (workItem) => {
        const [, , caller, id] = partsOf(workItem)
        const answer = await fetch(`${real.url}/v1/contracts/orders/requests/${id}/history?caller=${caller}`)
        return ((await answer.json()) as { items: { type: string }[] }).items.map(({ type }) => type)
      },
      [Symbol.asyncDispose]: async () => {
        await store.close()
        await stint.close()
        await real.close()
      },
    }
  },
}

const FINGERPRINT = 'a'.repeat(43)
const request = (given: Partial<BeginRequest> = {}): BeginRequest => ({
  caller: 'ann',
  id: 'r1',
  fingerprint: FINGERPRINT,
  method: 'POST',
  path: '/orders',
  mediaType: 'application/json',
  body: Buffer.from('{"n":1}'),
  waitMs: 0,
  ...given,
})
const REPLY = {
  status: 201,
  headers: [
    ['Content-Type', 'application/json'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
  ] as (readonly [string, string])[],
  body: Buffer.from('{ "spaces":  "stay", "ü": 1 }'),
}

const begun = async (store: ContractStore, given?: Partial<BeginRequest>): Promise<Execution> => {
  const answer = await store.begin(request(given))
  if (answer.type !== 'execute') throw new Error(`Expected an execution, but it is ${JSON.stringify(answer)}`)
  return answer.execution
}

describe.each(Object.entries(PLACES))('a contract in %s', (_name, place) => {
  it('runs a request once and gives its reply again, byte for byte', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    expect([execution.attempt, execution.info.policy, execution.signal.aborted]).toEqual([1, 'encouraged', false])
    const kept = await execution.reply(REPLY)
    expect(kept).toMatchObject({ type: 'kept', info: { workItem: execution.info.workItem, policy: 'encouraged', expiresAt: expect.any(Number) as number } })
    const again = await at.store.begin(request())
    expect(again).toMatchObject({ type: 'replay', reply: { status: 201, headers: REPLY.headers }, info: { workItem: execution.info.workItem, policy: 'encouraged' } })
    expect(again.type === 'replay' && Buffer.from(again.reply.body).equals(REPLY.body)).toBe(true)
    // The first is told the same of its reply as every duplicate.
    expect(again.type === 'replay' && kept.type === 'kept' && [kept.info]).toEqual([again.type === 'replay' && again.info])
  })

  it('does not tell a handler that its lease is lost because of its own reply', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    await execution.reply(REPLY)
    await at.store.begin(request())
    expect(execution.signal.aborted).toBe(false)
  })

  it.each([
    ['a header of 20,000 characters', { headers: [['Content-Security-Policy', 'x'.repeat(20_000)]] }],
    ['300 headers', { headers: Array.from({ length: 300 }, (_, n) => [`X-${n}`, '1']) }],
    ['a status of its own', { status: 799 }],
    ['a long media type', { headers: [['Content-Type', `text/plain; title="${'t'.repeat(400)}"`]] }],
    ['a media type with an accent', { headers: [['Content-Type', 'text/plain; title=\xe9']] }],
    ['an empty media type', { headers: [['Content-Type', '']] }],
  ] as readonly (readonly [string, Partial<typeof REPLY>])[])('keeps a reply with %s and gives it again', async (_what, given) => {
    await using at = await place()
    const execution = await begun(at.store)
    expect((await execution.reply({ ...REPLY, ...given })).type).toBe('kept')
    expect(await at.store.begin(request())).toMatchObject({ type: 'replay', reply: { status: REPLY.status, headers: REPLY.headers, ...given } })
  })

  it.each([
    ['more headers than it takes', { headers: Array.from({ length: 2_001 }, (_, n) => [`X-${n}`, '1']) }],
    ['a status that is none', { status: 150 }],
  ] as readonly (readonly [string, Partial<typeof REPLY>])[])('never runs again what was answered with %s', async (_what, given) => {
    await using at = await place()
    const execution = await begun(at.store)
    expect((await execution.reply({ ...REPLY, ...given })).type).toBe('kept')
    expect(['replay', 'not-kept']).toContain((await at.store.begin(request())).type)
  })

  it('takes a request with a media type that is none', async () => {
    await using at = await place()
    for (const [id, mediaType] of Object.entries({ empty: '', accent: 'text/\xe9', long: 'x'.repeat(500) })) expect((await begun(at.store, { id, mediaType })).attempt).toBe(1)
  })

  it('keeps ids of two callers apart', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    await execution.reply(REPLY)
    expect((await begun(at.store, { caller: 'bob/x y' })).attempt).toBe(1)
  })

  it('tells a duplicate of a pending request so, and gives it the reply when it waits', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    expect(await at.store.begin(request())).toMatchObject({ type: 'pending', workItem: execution.info.workItem, retryAfterSeconds: 1 })
    const waiting = at.store.begin(request({ waitMs: 20_000 }))
    await execution.reply(REPLY)
    expect((await waiting).type).toBe('replay')
  })

  it('ends the wait of a client that leaves', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    const leaving = new AbortController()
    const waiting = at.store.begin(request({ waitMs: 20_000, signal: leaving.signal }))
    leaving.abort()
    expect(['pending', 'refused']).toContain((await waiting).type)
    await execution.reply(REPLY)
  })

  it('runs one of many that come at once', async () => {
    await using at = await place()
    const answers = await Promise.all(Array.from({ length: 20 }, () => at.store.begin(request())))
    expect(answers.map(({ type }) => type).toSorted()).toEqual(['execute', ...Array.from({ length: 19 }, () => 'pending')])
  })

  it('refuses another fingerprint, before and after the reply', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    const other = request({ fingerprint: 'b'.repeat(43) })
    expect(await at.store.begin(other)).toMatchObject({ type: 'mismatch', firstAt: expect.any(Number) as number })
    await execution.reply(REPLY)
    expect((await at.store.begin(other)).type).toBe('mismatch')
  })

  it('runs again what broke off, as the next attempt, and refuses the reply of the one before', async () => {
    await using at = await place()
    const first = await begun(at.store)
    await first.giveUp('broken', 'The handler broke off.')
    const second = await begun(at.store)
    expect(second.attempt).toBe(2)
    expect(await first.reply(REPLY)).toMatchObject({ type: 'refused', status: 409 })
    expect((await second.reply(REPLY)).type).toBe('kept')
  })

  it('does not run again what broke off where the contract says so', async () => {
    await using at = await place({ onInterrupted: 'fail' })
    await (await begun(at.store)).giveUp('broken', 'The handler broke off.')
    expect(await at.store.begin(request())).toMatchObject({ type: 'settled', code: 'interrupted' })
  })

  it('runs again what came to nothing, whatever the contract says of interruptions', async () => {
    await using at = await place({ onInterrupted: 'fail' })
    await (await begun(at.store)).giveUp('undone', 'A reply with status 503 is not kept.')
    expect((await begun(at.store)).info.workItem).toMatch(/^request\//)
  })

  it('never runs again what was answered with a body over the limit, not even when its end was never seen', async () => {
    await using at = await place()
    const execution = await begun(at.store)
    const head = { status: 200, headers: REPLY.headers }
    expect((await execution.pass({ ...head, bytes: 2_000_000 })).type).toBe('kept')
    expect(await at.store.begin(request())).toMatchObject({ type: 'not-kept', status: 200 })
    expect((await execution.passed({ ...head, bytes: 3_000_000, digest: 'c'.repeat(43) })).type).toBe('kept')
    expect((await at.store.begin(request())).type).toBe('not-kept')
  })

  it('lets go of a reply for its caller alone, and never runs the request again', async () => {
    await using at = await place()
    const name = { caller: 'ann', id: 'r1' }
    expect(await at.store.release(name)).toBe('not-found')
    const execution = await begun(at.store)
    expect(await at.store.release(name)).toBe('pending')
    await execution.reply(REPLY)
    expect(await at.store.release({ ...name, caller: 'bob' })).toBe('not-found')
    expect([await at.store.release(name), await at.store.release(name)]).toEqual(['released', 'released'])
    expect((await at.store.begin(request())).type).toBe('released')
  })

  it('tells a running handler that an administrator wants it to end', async () => {
    await using at = await place()
    if (at.abort === undefined) return
    const execution = await begun(at.store)
    const told = new Promise((resolve) => execution.signal.addEventListener('abort', () => resolve(execution.signal.reason)))
    await at.abort(execution.info.workItem)
    expect(await told).toMatchObject({ name: 'AbortRequested', reason: 'by ann' })
    await execution.giveUp('aborted', 'by ann')
    expect(await at.store.begin(request())).toMatchObject({ type: 'settled', code: 'aborted' })
  })

  it('records what happened and nothing else', async () => {
    await using at = await place()
    if (at.events === undefined) return
    const execution = await begun(at.store)
    await execution.reply(REPLY)
    await at.store.begin(request())
    expect((await at.events(execution.info.workItem)).toSorted()).toEqual(['Completed', 'Leased', 'RequestAccepted'])
  })
})

describe('an engine that is opened again', () => {
  it('runs again at once what its process left behind, and gives what was replied', async () => {
    const data = mkdtempSync(join(folder, 'again-'))
    const before = await open({ data })
    const store = await before.contract(settings({}))
    await begun(store)
    await (await begun(store, { id: 'r2' })).reply(REPLY)
    await before.close()
    await using after = await open({ data })
    const again = await after.contract(settings({}))
    expect((await begun(again)).attempt).toBe(2)
    expect((await again.begin(request({ id: 'r2' }))).type).toBe('replay')
  })

  it('has a directory for itself', async () => {
    const data = mkdtempSync(join(folder, 'own-'))
    await using _first = await open({ data })
    await expect(open({ data })).rejects.toThrow()
  })
})

describe('a server that is away when a handler is through', () => {
  const away = async () => {
    const real = await startRealStint()
    const stint = connect({ url: real.url })
    const world = virtualWorld()
    const store = serverContract({ stint, world, contract: 'orders' })
    const execution = await begun(store)
    await real.stop()
    /** Lets time pass, and what is under way come back, until it is done. */
    const patiently = async <Result>(doing: Promise<Result>): Promise<Result> => {
      let isDone = false
      void doing.finally(() => (isDone = true))
      while (!isDone) {
        world.advance(1_000)
        await setImmediate()
      }
      return doing
    }
    const close = async (): Promise<void> => {
      await store.close()
      await stint.close()
      await real.close()
    }
    return { real, world, store, execution, patiently, [Symbol.asyncDispose]: close }
  }

  it('is sent the reply when it is back, however long that takes, though the client was told to come again', async () => {
    await using at = await away()
    expect(await at.patiently(at.execution.reply(REPLY))).toMatchObject({ type: 'refused', status: 503, retryAfterSeconds: 1 })
    at.world.advance(600_000)
    await at.real.start()
    let again = await at.store.begin(request())
    while (again.type === 'pending') {
      at.world.advance(5_000)
      again = await at.store.begin(request())
    }
    expect(again).toMatchObject({ type: 'replay', reply: { status: 201 } })
  })

  it('is not waited for by an app that closes', async () => {
    await using at = await away()
    const replied = at.execution.reply(REPLY)
    await at.store.close()
    expect(await replied).toMatchObject({ type: 'refused', status: 503 })
    expect(at.world.pending()).toEqual([])
  })
})

describe('a contract at a server that is set up anew', () => {
  it('tells of each reply when its time is over as its request was accepted, and not as the contract is now', async () => {
    const real = await startRealStint()
    const stint = connect({ url: real.url })
    const store = serverContract({ stint, world: realWorld, contract: 'orders' })
    const retain = (retainSeconds: number) => stint.contracts.put('orders', { retainSeconds })
    const hoursOf = async (execution: Execution): Promise<number> => {
      const before = realWorld.now()
      const kept = await execution.reply(REPLY)
      return Math.round(((kept.type === 'kept' ? (kept.info.expiresAt ?? 0) : 0) - before) / 3_600_000)
    }
    await retain(3_600)
    const first = await begun(store)
    expect(await hoursOf(await begun(store, { id: 'r2' }))).toBe(1)
    await retain(36_000)
    expect([await hoursOf(first), await hoursOf(await begun(store, { id: 'r3' }))]).toEqual([1, 10])
    await store.close()
    await stint.close()
    await real.close()
  })
})

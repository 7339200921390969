// Opening and closing a store over EventStoreDB: who it is, which servers it takes, and that nothing of it stays behind.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { openKurrentStore } from '../../../src/store/kurrent/store.ts'
import { shownConnection } from '../../../src/store/kurrent/connection-string.ts'
import { encodeEvent } from '../../../src/store/kurrent/event-codec.ts'
import { everything, put, right, sample } from '../../contract/samples.ts'
import { kurrentStage, pass, passUntil } from '../../support/kurrent-stage.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()
const run = promisify(execFile)
const program = (name: string): string => join(import.meta.dirname, 'programs', name)

const identityOf = async (store: Awaited<ReturnType<typeof stage.store>>) => {
  const { storeId, incarnation } = right(await store.head()())
  return { storeId, incarnation }
}

describe('the identity of a log', () => {
  it('is kept in the server: every store over it is the same, whenever it comes', async () => {
    const double = await stage.double()
    const all = await Promise.all(Array.from({ length: 5 }, (_, index) => stage.store(double, { world: virtualWorld({ seed: index + 1 }) })))
    const [first, ...others] = await Promise.all(all.map(identityOf))
    expect(others).toEqual(others.map(() => first))
    expect(first?.storeId).toMatch(/^[0-9a-f-]{36}$/)
    await put(all[0] as (typeof all)[0], 'a', [sample(1)])
    const later = await stage.store(double, { world: virtualWorld({ seed: 9 }) })
    expect(await identityOf(later)).toEqual(first)
    expect((await everything(later)).map(({ type }) => type)).toEqual(['Sample1'])
  })

  it('is another for another server', async () => {
    const [one, two] = [await stage.store(await stage.double()), await stage.store(await stage.double(), { world: virtualWorld({ seed: 2 }) })]
    expect(await identityOf(one)).not.toEqual(await identityOf(two))
  })

  it('of a newer format is refused', async () => {
    const double = await stage.double()
    const { type, data, metadata } = encodeEvent({ ...sample(1), type: 'LogCreated', data: JSON.stringify({ storeId: 's', incarnation: 'abcdefgh', format: 2 }) })
    double.log.append('stint-log', 'noStream', [{ id: '11111111-1111-4111-8111-111111111111', type, contentType: 'application/json', data, metadata }])
    await expect(stage.store(double)).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'not-a-store', message: expect.stringContaining('newer Stint') })
  })
})

describe('opening a store', () => {
  it('says which server answers', async () => {
    expect((await stage.store(await stage.double())).serverVersion).toBe('23.10.6.0')
    expect((await stage.store(await stage.double({ version: '26.1.0' }))).serverVersion).toBe('26.1.0')
  })

  it('refuses a server that does not say when a reader has caught up', async () => {
    await expect(stage.store(await stage.double({ version: '22.10.5.0' }))).rejects.toMatchObject({
      problem: 'not-a-store',
      message: expect.stringContaining('needs 23.10 or later'),
    })
  })

  it('refuses what is no connection string, without the password', async () => {
    const opening = openKurrentStore({ connectionString: 'esdb://admin:secret@:2113?tls=perhaps' })
    await expect(opening).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'settings' })
    await expect(opening).rejects.not.toThrow(/secret/)
  })

  it.each([
    ['a password that is not encoded', 'esdb://admin:se:cret@127.0.0.1:1?tls=false', '%3A'],
    ['a password with an @', 'esdb://admin:secret@secret@127.0.0.1:1?tls=false', '%40'],
    ['a password that is half encoded', 'esdb://admin:secret%@127.0.0.1:1?tls=false', '%25'],
    ['a setting that the client would pass over, and show with the password', 'esdb://admin:secret@127.0.0.1:1?tls=false&tlsCaFil=x', '"tlsCaFil" is no setting'],
    ['certificates that are not to be verified', 'esdb://admin:secret@127.0.0.1:1?tls_verify_cert=false', 'tlsCAFile'],
  ])('refuses %s, and says nothing of the password', async (_, connectionString, said) => {
    const warn = vi.spyOn(console, 'warn')
    const opening = openKurrentStore({ connectionString })
    await expect(opening).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'settings', message: expect.stringContaining(said) })
    await expect(opening).rejects.not.toThrow(/secret/)
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  it('shows no part of a password, whatever is in it', () => {
    for (const password of ['secret', 'sec/ret', 'sec?ret', 'sec@ret', 'sec#ret'])
      expect(shownConnection(`esdb+discover://admin:${password}@cluster.example:2113?tls=true`)).toBe('esdb+discover://…@cluster.example:2113?tls=true')
    expect(shownConnection('esdb://127.0.0.1:2113?tls=false')).toBe('esdb://127.0.0.1:2113?tls=false')
  })

  it('waits for a server that starts', async () => {
    const double = await stage.double()
    double.node.faults.isStarting = true
    const world = virtualWorld()
    const opening = stage.store(double, { world })
    await pass(world, 1_000)
    double.node.faults.isStarting = false
    expect((await passUntil(world, opening)).serverVersion).toBe('23.10.6.0')
  })

  it('gives up a server that is not there, and asks whether it is running', async () => {
    const double = await stage.double()
    await double.node.stop()
    const world = virtualWorld()
    const problem = { name: 'StoreOpenError', problem: 'io', message: expect.stringMatching(/esdb:\/\/127\.0\.0\.1:\d+.* is it running/) }
    await expect(passUntil(world, stage.store(double, { world }))).rejects.toMatchObject(problem)
    expect(world.monotonic()).toBeGreaterThanOrEqual(10_000)
  })

  it('gives up a server that says nothing', async () => {
    const double = await stage.double()
    double.node.freeze()
    const world = virtualWorld()
    const opening = stage.store(double, { world })
    const given = expect(opening).rejects.toMatchObject({ problem: 'io', message: expect.stringContaining('has not answered for 5000 ms') })
    await passUntil(world, given, 5_000)
    double.node.thaw()
  })

  it('says so where the user may not read', async () => {
    const double = await stage.double()
    double.node.faults.reads.push('denied')
    await expect(stage.store(double)).rejects.toMatchObject({ problem: 'settings', message: expect.stringContaining('denies access') })
  })
})

describe('closing a store', () => {
  it('ends every call and connection', async () => {
    const double = await stage.double()
    const store = await stage.store(double)
    await put(store, 'a', [sample(1)])
    const ending = new AbortController()
    const items = store.subscribe({ signal: ending.signal })[Symbol.asyncIterator]()
    await items.next()
    expect(double.node.counts).toMatchObject({ appendCalls: 1, connections: 1 })
    const gone = double.node.arrived('disconnection')
    await store.close()
    await gone
    expect(double.node.counts).toMatchObject({ appendCalls: 0, subscriptions: 0, connections: 0 })
  })

  it('lets the process end by itself, after appends and subscriptions', async () => {
    const double = await stage.double()
    const { stdout } = await run(process.execPath, [program('use-and-close.ts'), double.connectionString], { timeout: 25_000 })
    expect(JSON.parse(stdout)).toEqual({ heard: ['event', 'event', 'caughtUp'] })
  })

  it('ends a process that it could not connect', async () => {
    const double = await stage.double()
    await double.node.stop()
    const { stdout } = await run(process.execPath, [program('use-and-close.ts'), double.connectionString, '50'], { timeout: 25_000 })
    expect(JSON.parse(stdout)).toEqual({ problem: 'io' })
  })
})

describe('a process that uses another store', () => {
  it('does not load the client of EventStoreDB', async () => {
    const { stdout } = await run(process.execPath, [program('loaded.ts')], { timeout: 25_000 })
    expect(JSON.parse(stdout)).toEqual({ before: 0, after: true })
  })
})

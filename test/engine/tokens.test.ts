// Tokens and audit: secrets that are shown once and kept as digests, and refusals that are recorded but cannot flood the log.
import { afterEach, describe, expect, it } from 'vitest'
import { contextOf, left, right, settle, startEngine, type TestEngine } from '../support/engine.ts'

const opened: TestEngine[] = []

const start = async (given: Parameters<typeof startEngine>[0] = {}): Promise<TestEngine> => {
  const one = await startEngine(given)
  opened.push(one)
  return one
}

afterEach(async () => {
  for (const { engine } of opened.splice(0)) await engine.close()
})

const add = (test: TestEngine, expiresMs?: number) =>
  test.engine.tokens.add({ name: 'ci', email: 'ci@example.com', roles: ['jobServer'], ...(expiresMs === undefined ? {} : { expiresMs }) }, contextOf(test.world, 'admin'))

describe('when a token is added', () => {
  it('opens with its secret and with nothing else', async () => {
    const test = await start()
    const { token, id } = right(await add(test))
    expect(test.engine.tokens.authenticate(token)).toMatchObject({ id, email: 'ci@example.com', roles: ['jobServer'] })
    expect(test.engine.tokens.authenticate(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`)).toBeUndefined()
    expect(test.engine.tokens.authenticate('')).toBeUndefined()
    expect(test.engine.tokens.authenticate(`stint_${'0'.repeat(12)}_${'A'.repeat(43)}`)).toBeUndefined()
  })

  it('leaves no secret in the log', async () => {
    const test = await start()
    const { token } = right(await add(test))
    const log = JSON.stringify(right(await test.store.readAll()()))
    expect(log).toContain('TokenAdded')
    expect(log).not.toContain(token.split('_').at(-1))
  })

  it('opens after a restart too', async () => {
    const before = await start()
    const { token } = right(await add(before))
    const after = await start({ store: before.store, world: before.world })
    expect(after.engine.tokens.authenticate(token)).toMatchObject({ name: 'ci' })
  })
})

describe('when a token ends', () => {
  it('opens nothing once it is revoked, and revoking it again is no error', async () => {
    const test = await start()
    const { token, id } = right(await add(test))
    const revoked = right(await test.engine.tokens.revoke(id, contextOf(test.world, 'admin'), { keepsAdministrator: true }))
    expect(revoked.revokedAt).toBe(test.world.now())
    expect(test.engine.tokens.authenticate(token)).toBeUndefined()
    expect(right(await test.engine.tokens.revoke(id, contextOf(test.world, 'admin'), { keepsAdministrator: true }))).toEqual(revoked)
    expect(left(await test.engine.tokens.revoke('nobody', contextOf(test.world, 'admin'), { keepsAdministrator: true }))).toEqual({ type: 'not-found' })
  })

  it('leaves one of two administrators who revoke each other at once', async () => {
    const test = await start()
    const administrator = (name: string) => test.engine.tokens.add({ name, email: `${name}@example.com`, roles: ['admin'] }, contextOf(test.world, 'admin'))
    const [ann, bob] = [right(await administrator('ann')), right(await administrator('bob'))]
    const revoke = (id: string) => test.engine.tokens.revoke(id, contextOf(test.world, 'admin'), { keepsAdministrator: true })
    const [first, second] = await Promise.all([revoke(ann.id), revoke(bob.id)])
    expect(right(first)).toMatchObject({ name: 'ann', revokedAt: test.world.now() })
    expect(left(second)).toMatchObject({ type: 'not-possible' })
    expect(test.engine.tokens.authenticate(bob.token)).toMatchObject({ name: 'bob' })
  })

  it('opens nothing once it has expired', async () => {
    const test = await start()
    const { token } = right(await add(test, 1_000))
    test.world.advance(999)
    expect(test.engine.tokens.authenticate(token)).toBeDefined()
    test.world.advance(1)
    expect(test.engine.tokens.authenticate(token)).toBeUndefined()
  })
})

describe('when calls are refused', () => {
  it('records them in the stream of the day, at most ten a second for one principal and code', async () => {
    const test = await start()
    for (let call = 0; call < 25; call++) test.engine.audit({ code: 'forbidden', route: 'directJob', target: 'job/1' }, contextOf(test.world, 'mallory'))
    test.engine.audit({ code: 'forbidden', route: 'directJob' }, contextOf(test.world, 'eve'))
    await settle()
    const day = new Date(test.world.now()).toISOString().slice(0, 10)
    const recorded = right(await test.store.readStream(`audit-${day}`)()).map((event) => JSON.parse(event.data) as { subject: string })
    expect(recorded.filter(({ subject }) => subject === 'mallory')).toHaveLength(10)
    expect(recorded.filter(({ subject }) => subject === 'eve')).toHaveLength(1)
    test.world.advance(1_000)
    test.engine.audit({ code: 'forbidden', route: 'directJob' }, contextOf(test.world, 'mallory'))
    await settle()
    expect(right(await test.store.readStream(`audit-${day}`)())).toHaveLength(12)
  })
})

// The audit over HTTP: what was refused on a day, newest first, for administrators only.
import { afterEach, describe, expect, it } from 'vitest'
import { settle } from '../support/engine.ts'
import { closeAll, startApi, type TestApi } from '../support/api.ts'

afterEach(closeAll)

interface Refusal {
  readonly code: string
  readonly subject: string
  readonly target: string
}

const refused = async (api: TestApi, token: string, count: number): Promise<void> => {
  for (let call = 0; call < count; call += 1) {
    await api.get(`/v1/tokens?call=${call}`, { token })
    api.world.advance(100)
  }
  await settle()
}

const start = async () => {
  const api = await startApi({ settings: { auth: { tokens: true } } })
  const [admin, eve, mallory] = [await api.tokenFor('admin@example.com', 'admin'), await api.tokenFor('eve@example.com'), await api.tokenFor('mallory@example.com', 'viewer')]
  const page = async (query = ''): Promise<{ day: string; items: readonly Refusal[]; next?: string }> => (await api.get(`/v1/audit${query}`, { token: admin })).body
  return { api, admin, eve, mallory, page, today: new Date(api.world.now()).toISOString().slice(0, 10) }
}

describe('the audit', () => {
  it('lists the refusals of today, newest first, with who, what and why', async () => {
    const { api, eve, mallory, page, today } = await start()
    expect(await page()).toEqual({ day: today, items: [] })
    await refused(api, eve, 1)
    await api.get('/v1/me', { headers: { Authorization: 'Bearer guess' } })
    await refused(api, mallory, 1)
    const { items } = await page()
    expect(items.map(({ subject, code }) => [subject, code])).toEqual([
      ['mallory@example.com', 'forbidden'],
      ['nobody', 'unauthenticated'],
      ['eve@example.com', 'forbidden'],
    ])
    expect(items[2]).toEqual({
      position: expect.any(String),
      refusedAt: new Date(api.world.now() - 200).toISOString(),
      code: 'forbidden',
      route: 'listTokens',
      subject: 'eve@example.com',
      actor: 'eve@example.com',
      target: '/v1/tokens?call=0',
      detail: expect.stringMatching(/^Expected the role admin/),
    })
    expect((await page('?code=unauthenticated')).items).toMatchObject([{ subject: 'nobody' }])
  })

  it('goes on page by page behind the one before, though more is refused meanwhile', async () => {
    const { api, eve, page } = await start()
    for (const count of [1, 2, 4, 5]) {
      await refused(api, eve, count)
      const targets: string[] = []
      const all = (await page('?limit=1000')).items
      for (let next = ''; ;) {
        const { items, next: more } = await page(`?limit=2${next}`)
        targets.push(...items.map(({ target }) => target))
        if (more === undefined) break
        next = `&after=${more}`
        await refused(api, eve, 1)
      }
      expect(targets).toEqual(all.map(({ target }) => target))
    }
  })

  it('has each day by itself', async () => {
    const { api, eve, page, today } = await start()
    await refused(api, eve, 1)
    api.world.advance(86_400_000)
    expect((await page()).items).toEqual([])
    expect((await page(`?day=${today}`)).items).toHaveLength(1)
    expect(await page('?day=2001-01-01')).toEqual({ day: '2001-01-01', items: [] })
  })

  it('has a request whose id was used before for another, whichever way it came', async () => {
    const { api, admin, eve, page } = await start()
    await api.ask('PUT', '/v1/contracts/pay', { token: admin, body: { callers: ['eve@example.com'], workers: ['eve@example.com'] } })
    const { subject } = (await api.get('/v1/me', { token: eve })).body
    const path = '/v1/contracts/pay/requests'
    await api.ask('PUT', `${path}/a`, { token: eve, body: { amount: 5 } })
    const other = { amount: 6 }
    expect((await api.ask('PUT', `${path}/a`, { token: eve, body: other })).status).toBe(422)
    expect((await api.post(path, other, { token: eve, headers: { 'Idempotency-Key': 'a' } })).status).toBe(422)
    const execution = { id: 'a', caller: subject, fingerprint: 'e'.repeat(43), worker: 'w1' }
    expect((await api.post('/v1/contracts/pay/executions', execution, { token: eve })).status).toBe(422)
    await settle()
    const target = `request/pay/${encodeURIComponent(subject)}/a`
    const route = (name: string) => ({ code: 'fingerprint-mismatch', subject, route: name, target, detail: expect.stringContaining('The first request') })
    expect((await page('?code=fingerprint-mismatch')).items).toMatchObject(['beginExecution', 'callRequestByKey', 'callRequest'].map(route))
  })

  it('is for administrators only, and knows its parameters', async () => {
    const { api, admin, mallory } = await start()
    expect((await api.get('/v1/audit', { token: mallory })).status).toBe(403)
    for (const query of ['?user=eve', '?day=2026-02-30', '?day=today', '?after=x', '?limit=0'])
      expect([query, (await api.get(`/v1/audit${query}`, { token: admin })).status]).toEqual([query, 400])
  })
})

// What is counted of requests, over HTTP: what a caller over its quota is told, and what the metrics say.
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi, type TestApi } from '../support/api.ts'

afterEach(closeAll)

const PAY = '/v1/contracts/pay'
const REQUESTS = `${PAY}/requests`
const call = (api: TestApi, id: string, body: unknown = { amount: 5 }) => api.ask('PUT', `${REQUESTS}/${id}`, { body })
const lease = async (api: TestApi) => (await api.post(`${PAY}/lease`, {})).body.items
const reply = (api: TestApi, id: string, token: string) => api.post(`${REQUESTS}/${id}/reply`, { lease: token, reply: { status: 201, body: { paid: true } } })

/** Calls, works and replies. */
const done = async (api: TestApi, id: string): Promise<void> => {
  await call(api, id)
  const [leased] = await lease(api)
  expect((await reply(api, leased.id, leased.lease)).status).toBe(200)
}

describe('a caller over its quota', () => {
  it('is told what it could release, oldest first, and where its usage is shown', async () => {
    const api = await startApi()
    await api.ask('PUT', PAY, { body: { release: 'required', quota: { requests: 12 } } })
    for (let number = 0; number < 11; number += 1) {
      await done(api, `r${number}`)
      api.world.advance(1_000)
    }
    await call(api, 'pending')
    const answer = await call(api, 'more')
    expect([answer.status, answer.body.code, answer.body.callers]).toEqual([429, 'over-quota', `${PAY}/callers`])
    expect(answer.body.oldest.map(({ id }: { id: string }) => id)).toEqual(Array.from({ length: 10 }, (_, number) => `r${number}`))
    expect(answer.body.oldest[0].settledAt).toBe((await api.get(`${REQUESTS}/r0`)).body.settledAt)
    expect((await api.ask('DELETE', `${REQUESTS}/${answer.body.oldest[0].id}/interaction`)).status).toBe(200)
    expect((await call(api, 'more')).status).toBe(202)
  })
})

describe('the metrics', () => {
  it('count duplicates by what they were told, and requests that are pending', async () => {
    const api = await startApi()
    const figures = async (): Promise<unknown[]> => {
      const { text } = await api.get('/metrics')
      return ['replayed_total', 'mismatched_total', 'pending'].map((name) => Number(new RegExp(`^stint_requests_${name} (\\d+)$`, 'm').exec(text)?.[1]))
    }
    await call(api, 'a')
    await call(api, 'b')
    expect(await figures()).toEqual([0, 0, 2])
    const [leased] = await lease(api)
    await reply(api, leased.id, leased.lease)
    for (const body of [{ amount: 5 }, { amount: 5 }, { amount: 6 }]) await call(api, leased.id, body)
    await api.get(`${REQUESTS}/${leased.id}/reply`)
    expect(await figures()).toEqual([2, 1, 1])
  })
})

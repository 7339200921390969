// A contract `pay` over HTTP: its requests called, leased and replied to, as the tests of its routes need it.
import { expect } from 'vitest'
import type { TestApi } from './api.ts'

export const PAY = '/v1/contracts/pay'
export const REQUESTS = `${PAY}/requests`
export const call = (api: TestApi, id: string, body: unknown = { amount: 5 }, headers: Record<string, string> = {}) => api.ask('PUT', `${REQUESTS}/${id}`, { body, headers })
export const lease = async (api: TestApi, body: object = {}) => (await api.post(`${PAY}/lease`, body)).body.items
export const reply = (api: TestApi, id: string, token: string, more: object = {}) =>
  api.post(`${REQUESTS}/${id}/reply`, { lease: token, reply: { status: 201, headers: { Location: '/p/1', 'Set-Cookie': ['a=1', 'b=2'] }, body: { paid: true } }, ...more })
export const contract = (api: TestApi, body: object) => api.ask('PUT', PAY, { body })
export const eventsOf = async (api: TestApi, id: string): Promise<string[]> => (await api.get(`${REQUESTS}/${id}/history`)).body.items.map((event: { type: string }) => event.type)

/** Calls, works and replies. */
export const done = async (api: TestApi, id: string, more: object = {}): Promise<void> => {
  await call(api, id)
  const [leased] = await lease(api)
  expect((await reply(api, leased.id, leased.lease, more)).status).toBe(200)
}

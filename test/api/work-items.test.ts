// Any work item by its global ID: what can be said at its own door can be said here, by the same people and with the same effect.
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi, type TestApi } from '../support/api.ts'
import { make } from '../support/requests.ts'

afterEach(closeAll)

const reportsOf = (workItem: string): string => `/v1/work-items/${encodeURIComponent(workItem)}/reports`

describe('a report at the global address', () => {
  const held = async (): Promise<{ api: TestApi; items: readonly (readonly [workItem: string, lease: string, own: string])[] }> => {
    const api = await startApi()
    const made = await make(api, 'x')
    const items = [
      ['job/x', made.jobLease, '/v1/jobs/x'],
      ['task/shop/x/x', made.taskLease, '/v1/queues/shop/x/tasks/x'],
    ] as const
    return { api, items }
  }

  it('counts as one at the door of a job or of a task, down to its outcome', async () => {
    const { api, items } = await held()
    for (const [workItem, lease, own] of items) {
      await api.post(`${own}/directives`, { directive: 'pause' })
      expect((await api.post(reportsOf(workItem), { lease, phase: 'half', progress: { done: 1, total: 2 } })).body).toMatchObject({
        id: 'x',
        state: 'running',
        directive: 'pause',
        recorded: true,
        receipt: { seenAt: expect.any(String) },
      })
      expect((await api.get(own)).body).toMatchObject({ phase: 'half', progress: { done: 1 } })
      expect((await api.post(reportsOf(workItem), { lease, outcome: { completed: { result: 1 } } })).body).toMatchObject({ state: 'completed' })
      expect((await api.post(`${own}/reports`, { lease, outcome: { completed: { result: 1 } } })).body).toMatchObject({ state: 'completed', recorded: true })
    }
  })

  it('is refused under another lease, for what is not there, and for what is no work-item ID', async () => {
    const { api, items } = await held()
    for (const [workItem] of items) expect((await api.post(reportsOf(workItem), { lease: '9.other' })).body).toMatchObject({ status: 409, code: 'stale-lease' })
    for (const none of ['job/none', 'task/shop/x/none', 'task/shop/none/x']) expect((await api.post(reportsOf(none), { lease: '1.a' })).status).toBe(404)
    expect((await api.post(reportsOf('letter/x'), { lease: '1.a' })).body).toMatchObject({ status: 400, errors: [{ path: '/params/workItem' }] })
  })

  it('on a job is for job servers only, on a task for those on the list of its queue', async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    const [server, worker, admin] = [await api.tokenFor('s@example.com', 'jobServer'), await api.tokenFor('w@example.com', 'worker'), await api.tokenFor('a@example.com', 'admin')]
    const made = await make(api, 'x', { jobServer: server, producer: server, worker, admin, writers: ['s@example.com'], users: ['w@example.com'] })
    const statusOf = async (workItem: string, lease: string, token: string): Promise<number> => (await api.post(reportsOf(workItem), { lease }, { token })).status
    expect([await statusOf('job/x', made.jobLease, server), await statusOf('job/x', made.jobLease, worker)]).toEqual([200, 403])
    expect([await statusOf('task/shop/x/x', made.taskLease, worker), await statusOf('task/shop/x/x', made.taskLease, server)]).toEqual([200, 403])
  })
})

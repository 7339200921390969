// Job proxies over HTTP, from registration to settlement.
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, startApi } from '../support/api.ts'

afterEach(closeAll)

describe('when a job server registers a job', () => {
  it('creates the proxy and says where it is', async () => {
    const api = await startApi()
    const made = await api.post('/v1/jobs', { id: 'j1', service: 'index', server: 's1', label: 'books', attributes: { size: 3 }, expectedSeconds: 60 })
    expect(made.status).toBe(201)
    expect(made.headers.get('location')).toBe('/v1/jobs/j1')
    expect(made.body).toMatchObject({ id: 'j1', workItem: 'job/j1', kind: 'job', state: 'running', attempt: 1, directive: 'normal', attributes: { size: 3 }, silenceSeconds: 15 })
    expect(made.body.lease).toMatch(/^1\./)
    expect(made.body.leaseUntil).toMatch(/Z$/)
    const shown = await api.get('/v1/jobs/j1')
    expect(shown.status).toBe(200)
    expect(shown.body).toMatchObject({ id: 'j1', attributes: { size: 3 }, holder: { name: 's1' } })
    expect(shown.text).not.toContain(made.body.lease)
  })
})

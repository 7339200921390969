// Routes of an express server that are jobs.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type JobServer, type Stint } from '../../src/client/index.ts'
import { steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'

let stint: RealStint
let client: Stint
let jobs: JobServer
let app: express.Express
let service: Server
let url: string

beforeEach(async () => {
  stint = await startRealStint()
  client = connect({ url: stint.url })
  jobs = client.jobServer({ service: 'indexer', server: 'indexer-1', closeMode: 'fail' })
  app = express()
  service = createServer(app)
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`
})

afterEach(async () => {
  await client.close()
  service.closeAllConnections()
  await new Promise((resolve) => service.close(resolve))
  await stint.close()
})

describe('when a route is a job', () => {
  it('answers 202 with the address of the job and lets it run', async () => {
    const scan = steered<string>()
    app.post(
      '/scans/:shelf',
      jobs.express<express.Request, express.Response>(
        ({ params }) => `scan ${String(params['shelf'])}`,
        (job, { params }) => {
          job.phase(`shelf ${String(params['shelf'])}`)
          return scan.run(job)
        },
        { attributes: ({ params }) => ({ shelf: params['shelf'] }) },
      ),
    )
    const response = await fetch(`${url}/scans/a`, { method: 'POST' })
    const body = (await response.json()) as { id: string; location: string }
    expect(response.status).toBe(202)
    expect(response.headers.get('location')).toBe(`${stint.url}/v1/jobs/${body.id}`)
    expect(await (await fetch(body.location)).json()).toMatchObject({ state: 'running', label: 'scan a', attributes: { shelf: 'a' } })
    scan.finish('12 words')
    for await (const proxy of client.jobs.watch(body.id)) if (proxy.settledAt !== undefined) expect(proxy.outcome).toEqual({ completed: { result: '12 words' } })
  })

  it('answers with the result when it is to', async () => {
    app.get(
      '/count',
      jobs.express('count', () => ({ words: 12 }), { respond: 'result' }),
    )
    const response = await fetch(`${url}/count`)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ words: 12 })
  })

  it('leaves the answer to a handler that gives its own', async () => {
    app.get(
      '/own',
      jobs.express<express.Request, express.Response>(
        'own',
        (_job, _req, res) => {
          res.status(418).send('tea')
        },
        { respond: 'result' },
      ),
    )
    const response = await fetch(`${url}/own`)
    expect([response.status, await response.text()]).toEqual([418, 'tea'])
  })

  it('hands what the handler throws to express', async () => {
    app.get(
      '/broken',
      jobs.express(
        'broken',
        () => {
          throw Object.assign(new Error('no shelf'), { status: 409 })
        },
        { respond: 'result' },
      ),
    )
    app.use((error: Error & { status?: number }, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
      res.status(error.status ?? 500).send(error.message)
    })
    const response = await fetch(`${url}/broken`)
    expect([response.status, await response.text()]).toEqual([409, 'no shelf'])
  })

  it('runs a repeated request once', async () => {
    let runs = 0
    const id = (req: express.Request): string | undefined => req.get('Idempotency-Key')
    app.post(
      '/once',
      jobs.express('once', () => (runs += 1), { id, respond: 'result' }),
    )
    app.post(
      '/later',
      jobs.express('once', () => (runs += 1), { id }),
    )
    const headers = { 'Idempotency-Key': 'key-1' }
    expect(await (await fetch(`${url}/once`, { method: 'POST', headers })).json()).toBe(1)
    expect(await (await fetch(`${url}/once`, { method: 'POST', headers })).json()).toBe(1)
    expect((await fetch(`${url}/later`, { method: 'POST', headers })).status).toBe(202)
    expect(runs).toBe(1)
  })
})

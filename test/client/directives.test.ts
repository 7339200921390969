// What an administrator wants of a running job, and how its function hears of it: abort, pause, resume, and a refusal.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AbortRequested, connect, type JobServer, type JobServerOptions, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'

let stint: RealStint
let gateway: Gateway
let client: Stint
let admin: Stint
let jobs: JobServer

const names: JobServerOptions = { service: 'sorter', server: 'sorter-1' }

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  client = connect({ url: gateway.url })
  admin = connect({ url: stint.url })
  jobs = client.jobServer(names)
})

afterEach(async () => {
  await jobs.close('fail')
  await client.close()
  await admin.close()
  await gateway.close()
  await stint.close()
})

/** The proxy as soon as it is as `fits` says. */
const proxyWhen = async (id: string, fits: (proxy: Awaited<ReturnType<Stint['jobs']['show']>>) => boolean) => {
  for await (const proxy of admin.jobs.watch(id)) if (fits(proxy)) return proxy
  throw new Error(`Job ${id} settled before it was as expected`)
}

describe('when it is aborted', () => {
  it('ends by its signal, with reason and partial result', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'aborted' })
    run.catch(() => undefined)
    const job = await books.begun
    job.partial({ shelves: 3 })
    await admin.jobs.abort('aborted', 'wrong books')
    await expect(run).rejects.toMatchObject({ name: 'AbortRequested', reason: 'wrong books', by: 'local' })
    expect(await admin.jobs.show('aborted')).toMatchObject({
      state: 'aborted',
      outcome: { aborted: { reason: 'wrong books', partial: { shelves: 3 } } },
      receipt: { directive: 'abort', resolution: 'obeyed' },
    })
  })

  it('ends at its next checkpoint', async () => {
    const run = jobs.run(
      'books',
      async (job) => {
        await admin.jobs.abort(job.id)
        await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
        expect(job.directive).toBe('abort')
        await job.checkpoint()
        throw new Error('the checkpoint let it pass')
      },
      { id: 'checkpoint' },
    )
    await expect(run).rejects.toBeInstanceOf(AbortRequested)
    expect((await admin.jobs.show('checkpoint')).outcome).toEqual({ aborted: { reason: 'local asked for it to be aborted.' } })
  })

  it('takes the AbortError of what it gave its signal to for the abort', async () => {
    const run = jobs.run(
      'books',
      async (job) => {
        const reading = fetch(`${stint.url}/v1/events`, { signal: job.signal }).then((response) => response.text())
        await admin.jobs.abort(job.id)
        await reading
      },
      { id: 'abort-error' },
    )
    await expect(run).rejects.toBeInstanceOf(AbortRequested)
    expect((await admin.jobs.show('abort-error')).state).toBe('aborted')
  })

  it('may finish all the same', async () => {
    const value = await jobs.run(
      'books',
      async (job) => {
        await admin.jobs.abort(job.id)
        await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
        return 'done already'
      },
      { id: 'finished' },
    )
    expect(value).toBe('done already')
    expect(await admin.jobs.show('finished')).toMatchObject({ state: 'completed', receipt: { resolution: 'overtaken' } })
  })

  it('hears of it in well under a second', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'quick' })
    run.catch(() => undefined)
    await books.begun
    await gateway.until(({ path, headers }) => path === '/v1/jobs/quick/directive' && headers['if-none-match'] !== undefined)
    await admin.jobs.abort('quick')
    await expect(run).rejects.toBeInstanceOf(AbortRequested)
    const { receipt } = await admin.jobs.show('quick')
    expect(Date.parse(receipt?.seenAt ?? '') - Date.parse(receipt?.givenAt ?? '')).toBeLessThan(500)
  })
})

describe('when it is to pause', () => {
  it('parks at its next checkpoint until it is to resume', async () => {
    const steps: string[] = []
    const { result: run } = await jobs.start(
      'books',
      async (job) => {
        await admin.jobs.pause(job.id)
        while (job.directive !== 'pause') await new Promise(setImmediate)
        steps.push('before')
        await job.checkpoint()
        steps.push('after')
      },
      { id: 'paused' },
    )
    expect((await proxyWhen('paused', ({ state }) => state === 'paused')).receipt).toMatchObject({ directive: 'pause', resolution: 'obeyed' })
    expect(steps).toEqual(['before'])
    await admin.jobs.resume('paused')
    await run
    expect(steps).toEqual(['before', 'after'])
    const types = (await admin.jobs.history('paused')).items.map(({ type }) => type)
    expect(types.filter((type) => type === 'Paused' || type === 'Resumed' || type === 'Completed')).toEqual(['Paused', 'Resumed', 'Completed'])
    expect((await admin.jobs.show('paused')).receipt).toMatchObject({ directive: 'resume', resolution: 'obeyed' })
  })

  it('can be aborted while it is parked', async () => {
    const { result: run } = await jobs.start(
      'books',
      async (job) => {
        await admin.jobs.pause(job.id)
        while (job.directive !== 'pause') await new Promise(setImmediate)
        await job.checkpoint()
      },
      { id: 'parked' },
    )
    run.catch(() => undefined)
    await proxyWhen('parked', ({ state }) => state === 'paused')
    await admin.jobs.abort('parked', 'enough')
    await expect(run).rejects.toMatchObject({ reason: 'enough' })
    expect((await admin.jobs.show('parked')).state).toBe('aborted')
  })

  it('may refuse', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'refused' })
    const job = await books.begun
    await admin.jobs.pause('refused')
    while (job.directive !== 'pause') await new Promise(setImmediate)
    job.refuse('cannot stop here')
    expect(job.directive).toBe('normal')
    await job.checkpoint()
    expect((await proxyWhen('refused', ({ receipt }) => receipt?.resolution !== undefined)).receipt).toMatchObject({ resolution: 'refused', resolutionReason: 'cannot stop here' })
    books.finish()
    await run
  })
})

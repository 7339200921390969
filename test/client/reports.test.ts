// How much a job server says on the wire: coalesced, all its jobs together, only what changed, and a sign of life when nothing did. The clock is moved by hand.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Job, type JobServer, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway, type Seen } from '../support/gateway.ts'
import { aborted, closeAll, steered, type Steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

interface ReportItem {
  readonly id: string
  readonly lease: string
  readonly phase?: string
  readonly progress?: unknown
  readonly outcome?: unknown
}

let stint: RealStint
let gateway: Gateway
let world: VirtualWorld
let client: Stint
let jobs: JobServer
let running: Steered<void>[]

const exchanges = (path: string): Seen[] => gateway.seen.filter((request) => request.method === 'POST' && request.path === path)
const reports = (): (readonly ReportItem[])[] => exchanges('/v1/jobs/reports').map(({ body }) => (body as { items: ReportItem[] }).items)

/** Resolves when report number `count` is answered and the next may go out `restMs` later. */
const reported = async (count: number, restMs = 250): Promise<void> => {
  await gateway.until(() => reports().length >= count)
  await world.until((pending) => pending.includes(restMs))
}

const begin = async (count: number): Promise<Job[]> => {
  running = Array.from({ length: count }, () => steered())
  const started = await Promise.all(running.map((each, index) => jobs.start(`books ${index}`, each.run)))
  for (const { result } of started) result.catch(() => undefined)
  return started.map(({ job }) => job)
}

const only = (all: readonly Job[]): Job => {
  const [job] = all
  if (job === undefined) throw new Error('Expected a job')
  return job
}

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  world = virtualWorld()
  client = connect({ url: gateway.url, world })
  jobs = client.jobServer({ service: 'indexer', server: 'indexer-1', closeMode: 'fail', onProblem: () => undefined })
  await jobs.takenOver
})

afterEach(async () => {
  gateway.treat(() => 'cut')
  await closeAll(client, world)
  if (world.pending().length > 0) throw new Error(`Expected no timer to be left, but there are ${world.pending().length}`)
  await gateway.close()
  await stint.close()
})

describe('when a job reports much', () => {
  it('sends the first at once and then at most one each 250 ms, with the latest', async () => {
    const job = only(await begin(1))
    for (let done = 1; done <= 1_000; done += 1) job.progress({ done, total: 1_000 })
    await reported(1)
    for (let done = 1; done <= 500; done += 1) job.progress({ fraction: done / 1_000 })
    world.advance(249)
    job.progress(0.9)
    await world.until((pending) => pending.includes(1))
    expect(reports()).toHaveLength(1)
    world.advance(1)
    await reported(2)
    expect(reports().map((items) => items.map(({ progress }) => progress))).toEqual([[{ done: 1_000, total: 1_000 }], [{ fraction: 0.9 }]])
  })

  it('says nothing twice', async () => {
    const job = only(await begin(1))
    job.phase('read')
    job.progress(0.5)
    await reported(1)
    job.phase('read')
    job.progress(0.5)
    world.advance(250)
    await world.until((pending) => pending.includes(4_750))
    expect(reports()).toHaveLength(1)
  })

  it('sends each phase, in order, one an exchange', async () => {
    const job = only(await begin(1))
    for (const phase of ['read', 'sort', 'merge']) job.phase(phase)
    for (let count = 1; count <= 3; count += 1) {
      await reported(count)
      world.advance(250)
    }
    expect(reports().map((items) => items.map(({ phase }) => phase))).toEqual([['read'], ['sort'], ['merge']])
  })

  it('does not hold the job up: no call of it waits for Stint', async () => {
    gateway.treat(({ path }) => (path === '/v1/jobs/reports' ? 'hang' : 'pass'))
    const job = only(await begin(1))
    job.phase('read')
    await gateway.until(({ path }) => path === '/v1/jobs/reports')
    job.phase('sort')
    job.progress(0.7)
    await job.checkpoint()
    expect(reports()).toHaveLength(1)
  })
})

describe('when many jobs run in one server', () => {
  it('registers 50 in two exchanges and reports on all in one', async () => {
    const all = await begin(50)
    expect(exchanges('/v1/jobs').map(({ body }) => (body as { items: unknown[] }).items.length)).toEqual([1, 49])
    for (const job of all) job.progress(0.5)
    await reported(1)
    world.advance(250)
    expect(reports()).toHaveLength(1)
    expect(new Set(reports()[0]?.map(({ id }) => id))).toEqual(new Set(all.map(({ id }) => id)))
    const { items } = await client.jobs.list({ limit: 100 })
    expect(items.map(({ progress }) => progress)).toEqual(items.map(() => ({ fraction: 0.5 })))
  })

  it('completes 50 in two exchanges', async () => {
    const all = await begin(50)
    only(all).phase('read')
    await reported(1)
    for (const each of running) each.finish()
    await gateway.until(() => true)
    world.advance(250)
    await reported(2)
    expect(reports()[1]).toHaveLength(50)
    expect((await client.jobs.list({ state: 'completed', limit: 100 })).items).toHaveLength(50)
  })
})

describe('when nothing changes', () => {
  it('gives a sign of life each reportEverySeconds, of all jobs together', async () => {
    const all = await begin(3)
    await world.until((pending) => pending.includes(5_000))
    world.advance(4_999)
    expect(reports()).toHaveLength(0)
    world.advance(1)
    await reported(1)
    expect(reports()[0]?.map(({ id, lease, ...said }) => [all.some((job) => job.id === id), lease.length > 0, said])).toEqual([
      [true, true, {}],
      [true, true, {}],
      [true, true, {}],
    ])
    world.advance(250)
    await world.until((pending) => pending.includes(4_750))
  })

  it('asks for the directive by one long poll a job', async () => {
    await begin(2)
    const asked = await gateway.until(({ path, headers }) => path.endsWith('/directive') && headers['if-none-match'] !== undefined)
    expect(asked.headers).toMatchObject({ prefer: 'wait=30', 'stint-lease': expect.stringMatching(/^1\./) })
  })

  it('asks no questions when it is told not to', async () => {
    const quiet = client.jobServer({ service: 'indexer', server: 'indexer-2', waitSeconds: 0, closeMode: 'fail', onProblem: () => undefined })
    const books = steered()
    const { job, result } = await quiet.start('books', books.run)
    result.catch(() => undefined)
    await client.jobs.abort(job.id)
    job.phase('read')
    await aborted(job.signal)
    expect(gateway.seen.some(({ path }) => path === `/v1/jobs/${job.id}/directive`)).toBe(false)
  })
})

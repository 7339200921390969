// What becomes of jobs while Stint is away, restarts, refuses or loses answers: they go on, and everything is told later, once.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { connect, LeaseLost, Unreachable, type Job, type JobServerOptions, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway, type Seen } from '../support/gateway.ts'
import { aborted, closeAll, steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'
import { virtualWorld } from '../support/virtual-world.ts'

let stint: RealStint
let gateway: Gateway
let client: Stint
let problems: [string, string | undefined][]

const names = (): JobServerOptions => ({
  service: 'indexer',
  server: 'indexer-1',
  reportEverySeconds: 0.5,
  silenceSeconds: 60,
  closeMode: 'fail',
  onProblem: (problem, job) => problems.push([problem.name === 'Error' ? problem.message : problem.name, job]),
})

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  client = connect({ url: gateway.url })
  problems = []
})

afterEach(async () => {
  await client.close()
  await gateway.close()
  await stint.close()
})

const isReport = ({ path }: Seen): boolean => path === '/v1/jobs/reports'
const isRegistration = ({ method, path }: Seen): boolean => method === 'POST' && path === '/v1/jobs'
const itemOf = ({ body }: Seen): Record<string, unknown> => (body as { items: Record<string, unknown>[] }).items[0] ?? {}

const ENDINGS = new Set(['Completed', 'Failed', 'Aborted'])

/** Types of all that happens to a job until it ends, whenever it is registered. */
const lifeOf = async (id: string, endings = ENDINGS): Promise<string[]> => {
  const admin = connect({ url: stint.url })
  const types: string[] = []
  for await (const { type } of admin.events({ workItem: `job/${id}`, after: 'start' })) {
    if (type !== 'LeaseExtended') types.push(type)
    if (endings.has(type)) break
  }
  await admin.close()
  return types
}

/** Decides the fate of the first `count` requests that fit. */
const first = (count: number, fits: (request: Seen) => boolean, fate: 'cut' | 'lose-answer' | 503): void => {
  let left = count
  gateway.treat((request) => {
    if (left === 0 || !fits(request)) return 'pass'
    left -= 1
    return fate
  })
}

const threePhases = async (job: Job): Promise<string> => {
  job.phase('read')
  job.progress(0.3)
  await job.checkpoint()
  job.phase('sort')
  job.phase('merge')
  return 'done'
}
const THREE_PHASES = ['JobRegistered', 'Leased', 'PhaseEntered', 'ProgressReported', 'PhaseEntered', 'PhaseEntered', 'Completed']

describe('when Stint cannot be reached', () => {
  it('begins the job all the same and tells everything when Stint is there', async () => {
    await gateway.down()
    const jobs = client.jobServer(names())
    expect(await jobs.run('books', threePhases, { id: 'alone' })).toBe('done')
    await gateway.up()
    expect(await lifeOf('alone')).toEqual(THREE_PHASES)
  })

  it('begins the job when no answer comes within two seconds', async () => {
    const world = virtualWorld()
    const patient = connect({ url: gateway.url, world })
    gateway.treat(() => 'hang')
    const started = patient.jobServer(names()).start('books', () => 1, { id: 'hanging' })
    await gateway.until(isRegistration)
    world.advance(2_000)
    expect(await (await started).result).toBe(1)
    gateway.treat(() => 'cut')
    await closeAll(patient, world)
    expect(world.pending()).toEqual([])
  })

  it('does not begin the job where it is told so, but reports it if it was registered after all', async () => {
    const jobs = client.jobServer({ ...names(), whenUnreachable: 'stop' })
    await jobs.takenOver
    gateway.treat((request) => (isRegistration(request) ? 'lose-answer' : 'pass'))
    let hasRun = false
    const run = jobs.run('books', () => (hasRun = true), { id: 'stopping' })
    await expect(run).rejects.toBeInstanceOf(Unreachable)
    expect(hasRun).toBe(false)
    gateway.treat(() => 'pass')
    expect(await lifeOf('stopping')).toEqual(['JobRegistered', 'Leased', 'Failed'])
  })

  it('stops a running job where it is told so, once Stint must take it for lost', async () => {
    const world = virtualWorld()
    const strict = connect({ url: gateway.url, world })
    const jobs = strict.jobServer({ ...names(), reportEverySeconds: 5, silenceSeconds: 15, whenUnreachable: 'stop' })
    const books = steered()
    const { job, result } = await jobs.start('books', books.run, { id: 'silenced' })
    result.catch(() => undefined)
    await gateway.down()
    const stopped = aborted(job.signal)
    for (let seconds = 0; seconds < 14; seconds += 1) {
      world.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(job.signal.aborted).toBe(false)
    while (!job.signal.aborted) {
      world.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await stopped
    await expect(result).rejects.toBeInstanceOf(Unreachable)
    await closeAll(strict, world)
  })

  it('gives up at its close, after the time for that, and says what was not told', async () => {
    await gateway.down()
    const jobs = client.jobServer({ ...names(), flushSeconds: 0.1 })
    await jobs.run('books', () => 1, { id: 'untold' })
    await jobs.close()
    expect(problems).toContainEqual(['Expected its outcome to reach Stint, but the job server was closed before.', 'untold'])
  })
})

describe('when nobody is named to hear of an outage', () => {
  it('warns on the console once for each, whatever fails in it, and says what it means', async () => {
    const lines: unknown[] = []
    let hear: () => void = () => undefined
    const warned = vi.spyOn(console, 'warn').mockImplementation((line) => {
      lines.push(line)
      hear()
    })
    const { onProblem: _nobody, ...quiet } = names()
    await gateway.down()
    const jobs = client.jobServer(quiet)
    await Promise.all([jobs.run('books', threePhases, { id: 'first' }), jobs.run('maps', threePhases, { id: 'second' })])
    await gateway.up()
    await Promise.all([lifeOf('first'), lifeOf('second'), jobs.takenOver])
    expect(lines).toEqual([expect.stringMatching(/^Stint, job server indexer\/indexer-1: Expected an answer from .*Jobs run on/)])
    const books = steered()
    const { job, result } = await jobs.start('books', books.run, { id: 'third' })
    job.phase('read')
    await gateway.until((request) => isReport(request) && itemOf(request)['phase'] === 'read' && itemOf(request)['id'] === 'third')
    const heard = new Promise<void>((resolve) => (hear = resolve))
    await gateway.down()
    job.phase('sort')
    await heard
    await gateway.up()
    books.finish()
    await result
    await lifeOf('third')
    expect(lines).toHaveLength(2)
    warned.mockRestore()
  })
})

describe('when Stint is killed and comes back', () => {
  it('goes on with the same lease and tells what happened meanwhile', async () => {
    const jobs = client.jobServer(names())
    const books = steered<string>()
    const { job, result } = await jobs.start('books', books.run, { id: 'survivor' })
    job.phase('read')
    await gateway.until(isReport)
    await gateway.down()
    await stint.stop()
    job.phase('sort')
    job.progress(0.6)
    await stint.start()
    await gateway.up()
    job.phase('merge')
    books.finish('done')
    expect(await result).toBe('done')
    expect(await lifeOf('survivor')).toEqual(['JobRegistered', 'Leased', 'PhaseEntered', 'PhaseEntered', 'ProgressReported', 'PhaseEntered', 'Completed'])
  })

  it('hears of an abort that was given after the restart', async () => {
    const jobs = client.jobServer(names())
    const books = steered()
    const { result } = await jobs.start('books', books.run, { id: 'told' })
    result.catch(() => undefined)
    await gateway.down()
    await stint.stop()
    await stint.start()
    await gateway.up()
    await client.jobs.abort('told', 'after all')
    await expect(result).rejects.toMatchObject({ reason: 'after all' })
  })

  it('registers again what Stint has forgotten', async () => {
    const jobs = client.jobServer(names())
    const books = steered<string>()
    const { job, result } = await jobs.start('books', books.run, { id: 'forgotten' })
    await gateway.down()
    await stint.stop()
    await stint.start('empty')
    await gateway.up()
    job.phase('merge')
    books.finish('done')
    expect(await result).toBe('done')
    expect(await lifeOf('forgotten')).toEqual(['JobRegistered', 'Leased', 'PhaseEntered', 'Completed'])
  })
})

describe('when the network misbehaves', () => {
  it('registers once although the answer was lost', async () => {
    first(1, isRegistration, 'lose-answer')
    expect(await client.jobServer(names()).run('books', threePhases, { id: 'registered' })).toBe('done')
    expect(await lifeOf('registered')).toEqual(THREE_PHASES)
    expect(gateway.seen.filter(isRegistration).map(itemOf)).toMatchObject([{ id: 'registered' }, { id: 'registered' }])
  })

  it('reports once although answers were lost', async () => {
    first(3, isReport, 'lose-answer')
    await client.jobServer(names()).run('books', threePhases, { id: 'reported' })
    expect(await lifeOf('reported')).toEqual(THREE_PHASES)
    const sent = gateway.seen.filter(isReport).map(itemOf)
    expect(sent[1]).toMatchObject(sent[0] ?? {})
  })

  it('sends reports again that were answered 503', async () => {
    first(2, isReport, 503)
    await client.jobServer(names()).run('books', threePhases, { id: 'refused' })
    expect(await lifeOf('refused')).toEqual(THREE_PHASES)
    expect(problems).toEqual([['StintError', undefined]])
  })

  it('asks for the directive again after a cut', async () => {
    first(2, ({ path }) => path.endsWith('/directive'), 'cut')
    const books = steered()
    const { result } = await client.jobServer(names()).start('books', books.run, { id: 'asked' })
    result.catch(() => undefined)
    await client.jobs.abort('asked')
    await expect(result).rejects.toMatchObject({ name: 'AbortRequested' })
  })

  it('tells how a job ended when its result is too large for the way there', async () => {
    gateway.treat((request) => (isReport(request) && JSON.stringify(request.body).length > 10_000 ? 413 : 'pass'))
    const value = 'x'.repeat(20_000)
    expect(await client.jobServer(names()).run('books', () => value, { id: 'large' })).toBe(value)
    expect(await lifeOf('large')).toEqual(['JobRegistered', 'Leased', 'Completed'])
    expect(problems).toContainEqual(['UnexpectedAnswer', 'large'])
  })
})

describe('when a job was settled without it', () => {
  it('stops, and its result is kept as late if it has one', async () => {
    // Only Stint's clock is moved on: the job server keeps its promise however busy the machine is.
    const world = virtualWorld()
    await client.close()
    await gateway.close()
    await stint.close()
    stint = await startRealStint({ world })
    gateway = await startGateway(stint.url)
    client = connect({ url: gateway.url })
    const jobs = client.jobServer({ ...names(), lostAfterSeconds: 60 })
    const { job, result } = await jobs.start(
      'books',
      async (held) => {
        await aborted(held.signal)
        return 'late'
      },
      { id: 'late' },
    )
    result.catch(() => undefined)
    await gateway.down()
    let hasEnded = false
    const life = lifeOf('late').finally(() => (hasEnded = true))
    while (!hasEnded) {
      world.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await life).toEqual(['JobRegistered', 'Leased', 'HolderLost', 'Failed'])
    await gateway.up()
    await expect(result).rejects.toBeInstanceOf(LeaseLost)
    expect(job.signal.reason).toMatchObject({ code: 'settled', state: 'failed' })
    await lifeOf('late', new Set(['LateResultRecorded']))
    expect(await client.jobs.show('late')).toMatchObject({ state: 'failed', outcome: { failed: { code: 'lost' } }, lateOutcome: { completed: { result: 'late' } } })
  })
})

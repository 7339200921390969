// The job server of the SDK against a whole Stint: what a service author writes, and what an administrator sees of it. Directives have a file of their own.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AlreadyRunning, AlreadySettled, Closed, connect, LeaseLost, type Job, type JobServer, type JobServerOptions, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'

let stint: RealStint
let gateway: Gateway
let client: Stint
let admin: Stint
let jobs: JobServer

const names: JobServerOptions = { service: 'indexer', server: 'indexer-1' }

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  client = connect({ url: gateway.url })
  admin = connect({ url: stint.url })
  jobs = client.jobServer({ ...names, flushSeconds: 1 })
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

describe('when a function runs as a job', () => {
  it('returns its value and reports it', async () => {
    const value = await jobs.run(
      'books',
      (job) => {
        job.phase('read')
        job.progress(0.5)
        expect(job.attempt).toBe(1)
        return { id: job.id, words: 12 }
      },
      { attributes: { shelf: 'a' }, expectedSeconds: 60 },
    )
    expect(await admin.jobs.show(value.id)).toMatchObject({
      state: 'completed',
      service: 'indexer',
      server: 'indexer-1',
      label: 'books',
      attributes: { shelf: 'a' },
      expectedSeconds: 60,
      reportEverySeconds: 5,
      silenceSeconds: 15,
      phase: 'read',
      progress: { fraction: 0.5 },
      outcome: { completed: { result: value } },
    })
  })

  it('gives its job an id that sorts by time', async () => {
    const first = await jobs.run('one', (job) => job.id)
    const second = await jobs.run('two', (job) => job.id)
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(second > first).toBe(true)
  })

  it('reports what it throws and throws it on', async () => {
    const error = Object.assign(new Error('no such shelf'), { code: 'ENOENT' })
    const run = jobs.run(
      'books',
      () => {
        throw error
      },
      { id: 'failing' },
    )
    await expect(run).rejects.toBe(error)
    expect((await admin.jobs.show('failing')).outcome).toEqual({ failed: { code: 'ENOENT', message: 'no such shelf' } })
  })

  it('completes although its value cannot be said in JSON', async () => {
    const value = await jobs.run('books', () => 12n, { id: 'bigint' })
    expect(value).toBe(12n)
    expect((await admin.jobs.show('bigint')).outcome).toEqual({ completed: {} })
  })

  it('keeps the order of its phases', async () => {
    await jobs.run(
      'books',
      (job) => {
        for (const phase of ['read', 'sort', 'merge']) job.phase(phase)
      },
      { id: 'phases' },
    )
    await proxyWhen('phases', ({ state }) => state === 'completed')
    const { items } = await admin.jobs.history('phases')
    expect(items.filter(({ type }) => type === 'PhaseEntered').map(({ data }) => (data as { phase: string }).phase)).toEqual(['read', 'sort', 'merge'])
  })

  it('refuses a registration that Stint would refuse, at the line that says it', async () => {
    await expect(jobs.run('x'.repeat(201), () => 1)).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/label' }] } })
    await expect(jobs.run('big', () => 1, { attributes: { text: 'x'.repeat(17_000) } })).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/attributes' }] } })
  })
})

describe('when a job says what cannot be reported', () => {
  const problems: [string, string | undefined][] = []
  let careful: JobServer

  beforeEach(() => {
    problems.length = 0
    careful = client.jobServer({ service: 'indexer', server: 'careful', onProblem: (problem, job) => problems.push([problem.message, job]) })
  })

  it('goes on, reports the nearest that can be, and hears of each kind of mistake once', async () => {
    const done = await careful.run(
      'books',
      (job) => {
        job.phase(`${'x'.repeat(199)}\u{1F4DA} and more`)
        for (let round = 0; round < 3; round += 1) job.progress(1.5 + round)
        job.progress({ fraction: -0.25, done: -1, unit: 'y'.repeat(41) })
        return 'done'
      },
      { id: 'near' },
    )
    expect(done).toBe('done')
    expect(await proxyWhen('near', ({ state }) => state === 'completed')).toMatchObject({
      phase: 'x'.repeat(199),
      progress: { fraction: 0, done: 0, unit: 'y'.repeat(40) },
      outcome: { completed: { result: 'done' } },
    })
    expect(problems).toEqual([
      [expect.stringContaining('a phase of at most 200 characters'), 'near'],
      [expect.stringContaining('fraction from 0 to 1, but got 1.5: 1 is reported'), 'near'],
      [expect.stringContaining('done from 0 to'), 'near'],
      [expect.stringContaining('unit of at most 40 characters'), 'near'],
    ])
  })

  it.for([
    ['a fraction that is no number', (job) => job.progress(Number.NaN)],
    ['an endless fraction', (job) => job.progress(1 / 0)],
    ['counts that are no numbers', (job) => job.progress({ done: 'four' as unknown as number, total: Number.NaN })],
    ['no progress at all', (job) => job.progress(undefined as unknown as number)],
    ['an empty phase', (job) => job.phase('')],
    ['a phase that is no text', (job) => job.phase(7 as unknown as string)],
  ] as const satisfies readonly (readonly [string, (job: Job) => void])[])('leaves %s out', async ([, say], { expect }) => {
    await careful.run('books', say, { id: 'without' })
    const proxy = await proxyWhen('without', ({ state }) => state === 'completed')
    expect([proxy.phase, proxy.progress]).toEqual([undefined, undefined])
    expect(problems.length).toBeGreaterThan(0)
    for (const [message, job] of problems) expect([message, job]).toEqual([expect.stringContaining('left out'), 'without'])
  })

  it('goes on although whoever is told of it throws', async () => {
    const warned = vi.spyOn(console, 'warn').mockReturnValue()
    const onProblem = (): never => {
      throw new Error('no')
    }
    const done = await client.jobServer({ service: 'indexer', server: 'throwing', onProblem }).run('books', (job) => {
      job.progress(Number.NaN)
      return 'done'
    })
    expect(done).toBe('done')
    expect(warned.mock.calls).toEqual([[expect.stringMatching(/job server indexer\/throwing.*onProblem threw: Error: no/)]])
    warned.mockRestore()
  })
})

describe('when an id is given', () => {
  it('does not run a second time what has ended', async () => {
    await jobs.run('books', () => 1, { id: 'once' })
    const again = jobs.run('books', () => 2, { id: 'once' })
    await expect(again).rejects.toBeInstanceOf(AlreadySettled)
    await expect(again).rejects.toMatchObject({ state: 'completed', outcome: { completed: { result: 1 } } })
  })

  it('does not run twice at the same time', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'twice' })
    await books.begun
    await expect(jobs.run('books', () => 2, { id: 'twice' })).rejects.toBeInstanceOf(AlreadyRunning)
    books.finish()
    await run
  })

  it('does not run under an id that has other content', async () => {
    await jobs.run('books', () => 1, { id: 'taken' })
    await expect(jobs.run('maps', () => 2, { id: 'taken' })).rejects.toMatchObject({ code: 'exists-with-other-content' })
  })
})

describe('when another instance takes its job', () => {
  it('is fenced: its signal aborts, and what it says is not heard', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'fenced' })
    run.catch(() => undefined)
    const job = await books.begun
    const second = connect({ url: stint.url })
    const taken = steered()
    const successor = second.jobServer({ ...names, resume: taken.run })
    expect(await successor.takenOver).toEqual(['fenced'])
    expect((await taken.begun).attempt).toBe(2)
    await expect(run).rejects.toBeInstanceOf(LeaseLost)
    expect(job.signal.reason).toMatchObject({ code: 'stale-lease' })
    await expect(job.checkpoint()).rejects.toBeInstanceOf(LeaseLost)
    job.phase('ghost')
    taken.finish()
    expect((await proxyWhen('fenced', ({ state }) => state === 'completed')).phase).toBeUndefined()
    await second.close()
  })
})

describe('when it is closed', () => {
  it('waits for its jobs and reports how they ended', async () => {
    const books = steered<number>()
    const run = jobs.run('books', books.run, { id: 'finishing' })
    await books.begun
    const closed = jobs.close()
    await expect(jobs.run('more', () => 1)).rejects.toBeInstanceOf(Closed)
    books.finish(7)
    await closed
    expect(await run).toBe(7)
    expect((await admin.jobs.show('finishing')).state).toBe('completed')
  })

  it('fails its jobs when it is to fail them', async () => {
    const books = steered()
    const run = jobs.run('books', books.run, { id: 'stopped' })
    run.catch(() => undefined)
    await books.begun
    await jobs.close('fail')
    await expect(run).rejects.toBeInstanceOf(Closed)
    expect((await admin.jobs.show('stopped')).outcome).toMatchObject({ failed: { code: 'server-stopped' } })
  })

  it('does not begin what is still being registered when it is to fail its jobs', async () => {
    gateway.treat(({ method, path }) => (method === 'POST' && path === '/v1/jobs' ? 'hang' : 'pass'))
    let hasRun = false
    const run = jobs.run('books', () => (hasRun = true))
    run.catch(() => undefined)
    await gateway.until(({ method, path }) => method === 'POST' && path === '/v1/jobs')
    gateway.treat(() => 'pass')
    await jobs.close('fail')
    await expect(run).rejects.toBeInstanceOf(Closed)
    expect(hasRun).toBe(false)
  })

  it('is closed at the end of its scope', async () => {
    {
      await using scoped = connect({ url: gateway.url })
      const started = await scoped.jobServer({ ...names, server: 'indexer-2' }).start('books', () => 1, { id: 'scoped' })
      expect(started.job.id).toBe('scoped')
    }
    expect((await admin.jobs.show('scoped')).state).toBe('completed')
  })
})

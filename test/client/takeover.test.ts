// What a restarted job server does with the jobs that its killed predecessor left behind.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Job, type JobProxy, type JobServerOptions, type Stint } from '../../src/client/index.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { aborted, steered } from '../support/job-functions.ts'
import { startRealStint, type RealStint } from '../support/real-stint.ts'

let stint: RealStint
let gateway: Gateway
let killed: Stint
let restarted: Stint

const names: JobServerOptions = {
  service: 'indexer',
  server: 'indexer-1',
  reportEverySeconds: 1.5,
  silenceSeconds: 60,
  closeMode: 'fail',
  flushSeconds: 0,
  onProblem: () => undefined,
}

beforeEach(async () => {
  stint = await startRealStint()
  gateway = await startGateway(stint.url)
  killed = connect({ url: gateway.url })
  restarted = connect({ url: stint.url })
})

afterEach(async () => {
  await killed.close()
  await restarted.close()
  await gateway.close()
  await stint.close()
})

/** A job server with these jobs that is cut off from Stint for good, which is all that Stint sees of a kill. */
const leaveBehind = async (...ids: readonly string[]): Promise<void> => {
  const jobs = killed.jobServer(names)
  for (const id of ids) (await jobs.start('books', steered().run, { id, attributes: { shelf: id }, expectedSeconds: 12.3456 })).result.catch(() => undefined)
  await gateway.down()
}

const settled = async (id: string): Promise<JobProxy> => {
  for await (const proxy of restarted.jobs.watch(id)) if (proxy.settledAt !== undefined) return proxy
  throw new Error(`Expected job ${id} to settle`)
}

describe('when a job server is started again', () => {
  it('runs what was left behind again, as the next attempt', async () => {
    await leaveBehind('one', 'two')
    const resumed: [number, JobProxy][] = []
    const resume = (job: Job, proxy: JobProxy): string => {
      resumed.push([job.attempt, proxy])
      return `resumed ${job.id}`
    }
    const jobs = restarted.jobServer({ ...names, resume })
    expect([...(await jobs.takenOver)].toSorted()).toEqual(['one', 'two'])
    expect(await settled('one')).toMatchObject({ attempt: 2, state: 'completed', outcome: { completed: { result: 'resumed one' } } })
    expect(await settled('two')).toMatchObject({ attempt: 2, state: 'completed' })
    expect(
      resumed.map(([attempt, { id, attributes, label, expectedSeconds }]) => ({ attempt, id, attributes, label, expectedSeconds })).toSorted((a, b) => a.id.localeCompare(b.id)),
    ).toEqual([
      { attempt: 2, id: 'one', attributes: { shelf: 'one' }, label: 'books', expectedSeconds: 12.346 },
      { attempt: 2, id: 'two', attributes: { shelf: 'two' }, label: 'books', expectedSeconds: 12.346 },
    ])
  })

  it('reports it as failed when it cannot run it again', async () => {
    await leaveBehind('one')
    await restarted.jobServer(names).takenOver
    expect((await settled('one')).outcome).toEqual({ failed: { code: 'server-restarted', message: 'Its job server was restarted while it ran.' } })
  })

  it('shows nothing of how far the attempt before had come, which stays in the history', async () => {
    const jobs = killed.jobServer(names)
    const { job, result } = await jobs.start('books', steered().run, { id: 'one' })
    result.catch(() => undefined)
    job.phase('merge')
    job.progress(0.75)
    for await (const proxy of restarted.jobs.watch('one')) if (proxy.progress !== undefined) break
    await gateway.down()
    await restarted.jobServer(names).takenOver
    const { attempt, state, phase, progress } = await settled('one')
    expect({ attempt, state, phase, progress }).toEqual({ attempt: 2, state: 'failed', phase: undefined, progress: undefined })
    const { items } = await restarted.jobs.history('one')
    expect(items.map(({ type, data }) => [type, data])).toEqual(
      expect.arrayContaining([
        ['PhaseEntered', expect.objectContaining({ phase: 'merge' })],
        ['ProgressReported', expect.objectContaining({ progress: { fraction: 0.75 } })],
      ]),
    )
  })

  it('does not begin again what is to be aborted', async () => {
    await leaveBehind('one')
    await restarted.jobs.abort('one', 'not needed')
    const begun: string[] = []
    await restarted.jobServer({ ...names, resume: ({ id }) => begun.push(id) }).takenOver
    expect(await settled('one')).toMatchObject({ state: 'aborted', outcome: { aborted: { reason: 'not needed' } }, receipt: { resolution: 'obeyed' } })
    expect(begun).toEqual([])
  })

  it('reports what a resumed job throws', async () => {
    await leaveBehind('one')
    const problems: string[] = []
    const resume = (): never => {
      throw new Error('the shelf is gone')
    }
    await restarted.jobServer({ ...names, resume, onProblem: ({ message }) => problems.push(message) }).takenOver
    expect((await settled('one')).outcome).toMatchObject({ failed: { message: 'the shelf is gone' } })
    expect(problems).toContain('the shelf is gone')
  })

  it('lets alone what it began itself, what has ended, and what others run', async () => {
    const other = restarted.jobServer({ ...names, server: 'indexer-2' })
    const theirs = steered()
    const { result } = await other.start('theirs', theirs.run, { id: 'theirs' })
    const jobs = restarted.jobServer(names)
    const mine = steered()
    const own = await jobs.start('mine', mine.run, { id: 'mine' })
    expect(await jobs.takenOver).toEqual([])
    theirs.finish()
    mine.finish()
    await Promise.all([result, own.result])
    expect(await settled('mine')).toMatchObject({ attempt: 1, state: 'completed' })
  })

  it('waits for Stint with it, and runs new jobs meanwhile', async () => {
    await leaveBehind('one')
    await stint.stop()
    const jobs = restarted.jobServer({ ...names, resume: () => 'resumed' })
    expect(await jobs.run('maps', () => 'new')).toBe('new')
    await stint.start()
    expect(await jobs.takenOver).toEqual(['one'])
    expect(await settled('one')).toMatchObject({ state: 'completed', outcome: { completed: { result: 'resumed' } } })
  })

  it('fences the one before off, should it still live', async () => {
    const jobs = killed.jobServer(names)
    const books = steered()
    const { job, result } = await jobs.start('books', books.run, { id: 'one' })
    result.catch(() => undefined)
    await restarted.jobServer({ ...names, resume: () => 'resumed' }).takenOver
    await aborted(job.signal)
    expect(job.signal.reason).toMatchObject({ name: 'LeaseLost' })
    expect((await settled('one')).outcome).toEqual({ completed: { result: 'resumed' } })
  })
})

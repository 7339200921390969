// Job proxies with real processes: Stint, three job servers behind a real reverse proxy, 60 jobs; everything that can die is killed, and the log tells all of it.
import * as E from 'fp-ts/lib/Either.js'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isInHistory, readLedger } from '../../src/cli/demo/ledger.ts'
import { connect, type HistoryEvent, type JobProxy, type Stint } from '../../src/client/index.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { showWorkItem } from '../../src/wire/service.ts'
import { realWorld } from '../../src/world.ts'
import { watchEvents, type EventWatch } from '../support/event-watch.ts'
import { processes, type Running } from '../support/process.ts'

const JOBS = 60
const SERVERS = ['server-1', 'server-2', 'server-3'] as const
/** An abort takes milliseconds; this only tells a slow machine from one that polls. */
const SANE_MS = 20_000
const TIMEOUT_MS = 240_000

const { folder, start, startStint } = processes('a-job-proxies')
const data = join(folder, 'data')
const ledgerOf = (name: string): string => join(folder, `${name}.jsonl`)
const demo = (program: string): string => join(import.meta.dirname, '..', '..', 'src', 'cli', 'demo', program)

interface Seat {
  readonly name: string
  readonly url: string
  process: Running
}

let stintServer: Running
let stint: Stint
let events: EventWatch
let balancer: string
let seats: readonly Seat[]

const startServer = async (port: string): Promise<string> => {
  stintServer = startStint(['serve', '--port', port, '--data', data])
  const [, url = ''] = await stintServer.line(/^listening (\S+)$/)
  return url
}

const listeningAt = async (running: Running): Promise<string> => {
  const [, url = ''] = await running.line(/"listening","url":"([^"]+)"/)
  return url
}

const startJobServer = (name: string, port: string): Running =>
  start(process.execPath, [join(import.meta.dirname, 'programs', 'job-server.ts'), ...['--name', name, '--stint', stint.url, '--ledger', ledgerOf(name), '--port', port]])

const seat = async (name: string): Promise<Seat> => {
  const running = startJobServer(name, '0')
  return { name, url: await listeningAt(running), process: running }
}

const seatOf = (job: Pick<JobProxy, 'server'>): Seat => {
  const found = seats.find(({ name }) => name === job.server)
  if (found === undefined) throw new Error(`Expected a seat for ${job.server}`)
  return found
}

const post = async (url: string, body: unknown): Promise<unknown> => {
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`Expected ${url} to be taken, but: ${response.status} ${await response.text()}`)
  return response.json()
}

const request = async (label: string): Promise<string> => ((await post(`${balancer}/steps`, { label })) as { readonly id: string }).id
const say = async (job: JobProxy, word: 'step' | 'finish'): Promise<string> =>
  ((await post(`${seatOf(job).url}/jobs/${job.id}/${word}`, {})) as { readonly directive: string }).directive

const jobsOn = async (server: string, state?: JobProxy['state']): Promise<readonly JobProxy[]> => {
  const { items } = await stint.jobs.list({ server, limit: 1_000, ...(state === undefined ? {} : { state }) })
  return items
}

const oneOn = async (server: string): Promise<JobProxy> => {
  const [job] = await jobsOn(server, 'running')
  if (job === undefined) throw new Error(`Expected a running job on ${server}`)
  return job
}

const isOf =
  (jobs: readonly JobProxy[], type: string, fits: (data: Readonly<Record<string, unknown>>) => boolean = () => true) =>
  (event: HistoryEvent): boolean =>
    event.type === type && jobs.some((job) => job.workItem === event.workItem) && fits(event.data as Readonly<Record<string, unknown>>)

const historyOf = async (job: string): Promise<readonly HistoryEvent[]> => (await stint.jobs.history(job, { limit: 1_000 })).items
const typesOf = async (job: JobProxy): Promise<readonly string[]> => (await historyOf(job.id)).map(({ type }) => type)

beforeAll(async () => {
  stint = connect({ url: await startServer('0') })
  events = await watchEvents(stint)
  seats = await Promise.all(SERVERS.map(seat))
  balancer = await listeningAt(start(process.execPath, [demo('load-balancer.ts'), ...seats.map(({ url }) => url)]))
}, TIMEOUT_MS)

afterAll(async () => {
  await events.close()
  await stint.close()
})

describe('when three job servers stand behind a load balancer', { timeout: TIMEOUT_MS }, () => {
  it('shows all of their jobs in one place', async () => {
    await Promise.all(Array.from({ length: JOBS }, (_each, number) => request(`job-${number + 1}`)))
    await events.until(({ type }) => type === 'PhaseEntered', JOBS)
    for (const { name } of seats) expect(await jobsOn(name, 'running')).toHaveLength(JOBS / SERVERS.length)
  })

  it('brings an abort by label to the server that has the job', async () => {
    const { items } = await stint.jobs.list({ label: 'job-17' })
    expect(items).toHaveLength(1)
    const [job] = items
    if (job === undefined) throw new Error('Expected a job with that label')
    const asked = realWorld.monotonic()
    await stint.jobs.abort(job.id, 'not needed any more')
    await seatOf(job).process.line(new RegExp(`"aborting","job":"${job.id}"`))
    const heardMs = realWorld.monotonic() - asked
    process.stdout.write(`An abort by label was heard by the job ${heardMs.toFixed(1)} ms after it was asked for.\n`)
    expect(heardMs).toBeLessThan(SANE_MS)

    await events.until(isOf([job], 'Aborted'))
    const ended = await stint.jobs.show(job.id)
    expect(ended).toMatchObject({ state: 'aborted', outcome: { aborted: { reason: 'not needed any more', partial: { steps: 0 } } } })
    expect(ended.receipt).toMatchObject({ directive: 'abort', by: 'local', resolution: 'obeyed' })
    for (const other of seats.filter((each) => each !== seatOf(job))) expect(other.process.out()).not.toContain('aborting')
  })

  it('parks a job at its next checkpoint and lets it go on', async () => {
    const job = await oneOn('server-3')
    await stint.jobs.pause(job.id, 'the disk is needed')
    // Steps until the job itself knows of it: its next checkpoint must hold it then.
    let steps = 0
    for (let known = 'normal'; known !== 'pause'; steps += 1) known = await say(job, 'step')
    await events.until(isOf([job], 'Paused'))
    expect(await stint.jobs.show(job.id)).toMatchObject({ state: 'paused', directive: 'pause', receipt: { resolution: 'obeyed' } })

    await stint.jobs.resume(job.id)
    await events.until(isOf([job], 'Resumed'))
    await say(job, 'finish')
    const [completed] = await events.until(isOf([job], 'Completed'))
    expect(completed?.data).toMatchObject({ result: { steps } })
  })
})

describe('when a job server is killed', { timeout: TIMEOUT_MS }, () => {
  it('shows its jobs as lost, and its new instance takes them over', async () => {
    const victim = seatOf({ server: 'server-1' })
    const jobs = await jobsOn(victim.name, 'running')
    expect(jobs.length).toBeGreaterThan(0)
    victim.process.kill('SIGKILL')
    await victim.process.ended()
    const lost = await events.until(isOf(jobs, 'HolderLost'), jobs.length)
    for (const { workItem = '' } of lost) expect(await stint.call(showWorkItem, { params: { workItem } })).toMatchObject({ state: 'lost' })

    // The load balancer passes the dead server over.
    const meanwhile = await Promise.all(['late-1', 'late-2', 'late-3'].map(request))
    for (const id of meanwhile) expect((await stint.jobs.show(id)).server).not.toBe(victim.name)

    victim.process = startJobServer(victim.name, new URL(victim.url).port)
    const [line] = await victim.process.line(/^.*"takenOver".*$/)
    expect((JSON.parse(line) as { readonly jobs: readonly string[] }).jobs.toSorted()).toEqual(jobs.map(({ id }) => id).toSorted())
    await listeningAt(victim.process)
    for (const job of jobs) expect(await stint.jobs.show(job.id)).toMatchObject({ state: 'running', attempt: 2, server: victim.name })

    const job = await oneOn(victim.name)
    await say(job, 'finish')
    const [completed] = await events.until(isOf([job], 'Completed'))
    expect(completed?.data).toMatchObject({ lease: 2, result: { attempt: 2 } })
  })
})

describe('when a job server is stopped for longer than its silence', { timeout: TIMEOUT_MS }, () => {
  it('loses its jobs, keeps a directive for them, and finds them under the same lease', async () => {
    const sleeper = seatOf({ server: 'server-2' })
    const jobs = await jobsOn(sleeper.name, 'running')
    expect(jobs.length).toBeGreaterThan(1)
    sleeper.process.kill('SIGSTOP')
    try {
      await events.until(isOf(jobs, 'HolderLost'), jobs.length)
      const [unwanted, kept] = jobs
      if (unwanted === undefined || kept === undefined) throw new Error('Expected two jobs')
      const given = await stint.jobs.abort(unwanted.id, 'while it was away')
      expect(given.receipt.seenAt).toBeUndefined()
      expect((await stint.jobs.why(unwanted.id)).detail).not.toBe('')

      sleeper.process.kill('SIGCONT')
      await events.until(
        isOf(jobs, 'HolderFound', ({ lease }) => lease === 1),
        jobs.length,
      )
      const [aborted] = await events.until(isOf([unwanted], 'Aborted'))
      expect(aborted?.data).toMatchObject({ reason: 'while it was away', lease: 1 })

      await say(kept, 'step')
      await say(kept, 'finish')
      const [completed] = await events.until(isOf([kept], 'Completed'))
      expect(completed?.data).toMatchObject({ lease: 1, result: { steps: 1, attempt: 1 } })
      expect((await typesOf(kept)).filter((type) => type === 'Leased')).toHaveLength(1)
    } finally {
      sleeper.process.kill('SIGCONT')
    }
  })
})

describe('when Stint is killed', { timeout: TIMEOUT_MS }, () => {
  it('has lost nothing that it acknowledged, and hears what was done meanwhile', async () => {
    const port = new URL(stint.url).port
    const living = (await Promise.all(seats.map(({ name }) => jobsOn(name, 'running')))).flat()
    const [job] = living
    if (job === undefined) throw new Error('Expected a running job')
    stintServer.kill('SIGKILL')
    await stintServer.ended()

    // The job servers go on: one job ends, and a new one begins.
    await say(job, 'step')
    await say(job, 'finish')
    const unseen = await request('while-stint-was-dead')

    await startServer(port)
    const [completed] = await events.until(isOf([job], 'Completed'))
    expect(completed?.data).toMatchObject({ result: { steps: 1 } })
    const [registered] = await events.until(({ type, workItem }) => type === 'JobRegistered' && workItem === `job/${unseen}`)
    expect(registered?.data).toMatchObject({ label: 'while-stint-was-dead' })
    for (const { id, attempt } of living.filter((each) => each !== job)) expect(await stint.jobs.show(id)).toMatchObject({ attempt })
  })
})

describe('when all is done', { timeout: TIMEOUT_MS }, () => {
  it('has ended every job exactly once', async () => {
    const living = (await Promise.all(seats.map(({ name }) => jobsOn(name, 'running')))).flat()
    for (const job of living) await say(job, 'finish')
    await events.until(isOf(living, 'Completed'), living.length)
    const { items } = await stint.jobs.list({ limit: 1_000 })
    expect(items).toHaveLength(JOBS + 4)
    const settling = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled'])
    for (const job of items) expect((await typesOf(job)).filter((type) => settling.has(type))).toHaveLength(1)
    expect(items.filter(({ state }) => state === 'aborted')).toHaveLength(2)
    expect(items.filter(({ state }) => state === 'completed')).toHaveLength(JOBS + 2)
  })

  it('has everything in its log that it acknowledged to the job servers', async () => {
    const acknowledged = SERVERS.flatMap((name) => readLedger(ledgerOf(name)))
    expect(acknowledged.length).toBeGreaterThan(3 * JOBS)
    for (const [job, entries] of Map.groupBy(acknowledged, (entry) => entry.job)) {
      const history = await historyOf(job)
      expect(entries.filter((entry) => !isInHistory(entry, history))).toEqual([])
    }
  })

  it('has a log that is whole, and tables that equal its replay', async () => {
    stintServer.kill('SIGTERM')
    expect(await stintServer.ended()).toEqual({ code: 0, signal: null })
    const { chain, tables } = await verifyData(data, { world: realWorld })
    expect(E.isRight(chain) && chain.right.events).toBe(events.seen().length)
    expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  })
})

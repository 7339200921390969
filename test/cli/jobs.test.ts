// `stint jobs` against a real server: what it prints, in which form, and with which exit code it ends.
import { beforeAll, describe, expect, it } from 'vitest'
import { createHttp, type Http } from '../../src/client/http.ts'
import { registerJob, reportJob, type RegisteredJob } from '../../src/wire/jobs.ts'
import type { ReportBody } from '../../src/wire/items.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'

const { serve, stint, startStint } = processes('cli-jobs')

let url = ''
let http: Http
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
  http = createHttp({ url, world: realWorld, fetch })
})

const register = (id: string, label?: string): Promise<RegisteredJob> =>
  http.call(registerJob, { body: { id, service: 'index', server: 'one', reportEverySeconds: 600, ...(label === undefined ? {} : { label }) } })
const report = (job: RegisteredJob, said: Omit<ReportBody, 'lease'>) => http.call(reportJob, { params: { id: job.id }, body: { lease: job.lease ?? '', ...said } })
const complete = (job: RegisteredJob) => report(job, { outcome: { completed: { result: { words: 3 } } } })
const jobs = (...args: readonly string[]) => stint(['jobs', ...args], { env: { STINT_URL: url } })
const watching = (...args: readonly string[]) => startStint(['jobs', 'watch', ...args], { env: { STINT_URL: url } })

describe('jobs list', () => {
  it('shows each job in a line, newest first, and its filters', async () => {
    await register('list-1', 'first of the list')
    const second = await register('list-2')
    await report(second, { phase: 'merge', progress: { done: 40, total: 100, unit: 'files' } })
    const { code, out } = await jobs('list', '--service', 'index')
    expect(code).toBe(0)
    const [titles = '', ...lines] = out.trim().split('\n')
    expect(titles).toMatch(/^ID +STATE +SERVICE +SERVER +LABEL +PROGRESS +PHASE +AGE$/)
    expect(lines.findIndex((line) => line.startsWith('list-2'))).toBeLessThan(lines.findIndex((line) => line.startsWith('list-1')))
    expect(lines.find((line) => line.startsWith('list-2'))).toMatch(/▶ running +index +one +40% 40\/100 files +merge/)
    const filtered = await jobs('list', '--label', 'first of the list', '-o', 'json')
    expect((JSON.parse(filtered.out) as { items: { id: string }[] }).items.map((job) => job.id)).toEqual(['list-1'])
  })

  it('prints a job a line as JSON lines, and a cursor where there are more', async () => {
    await register('page-1', 'paged')
    await register('page-2', 'paged')
    const page = JSON.parse((await jobs('list', '--label', 'paged', '--limit', '1', '-o', 'json')).out) as { items: { id: string }[]; next: string }
    expect(page.items.map((job) => job.id)).toEqual(['page-2'])
    const rest = await jobs('list', '--label', 'paged', '--after', page.next, '-o', 'jsonl')
    expect(
      rest.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { id: string }).id),
    ).toEqual(['page-1'])
  })

  it('says what to try when nothing matches, on stderr', async () => {
    const { code, out, err } = await jobs('list', '--label', 'nobody has it')
    expect({ code, out }).toEqual({ code: 0, out: '' })
    expect(err).toContain('stint jobs list')
    expect(JSON.parse((await jobs('list', '--label', 'nobody has it', '-o', 'json')).out)).toEqual({ items: [] })
  })
})

describe('jobs show, history and why', () => {
  it('name the job by id, by global ID or by label', async () => {
    await register('named', 'by its label')
    for (const args of [['named'], ['job/named'], ['--label', 'by its label']]) {
      const { code, out } = await jobs('show', ...args, '-o', 'json')
      expect({ code, shown: JSON.parse(out) as unknown }).toMatchObject({
        code: 0,
        shown: { id: 'named', workItem: 'job/named', state: 'running', service: 'index', label: 'by its label' },
      })
    }
  })

  it('show fields for people', async () => {
    const job = await register('shown')
    await report(job, { phase: 'read', progress: { fraction: 0.5 } })
    const { out } = await jobs('show', 'shown')
    expect(out).toMatch(/^id +shown$/m)
    expect(out).toMatch(/^progress +50%$/m)
    expect(out).toMatch(/^holder +one, last seen (?:just now|\d+s ago)$/m)
  })

  it('end with 3 for a job that does not exist', async () => {
    expect(await jobs('show', 'nix')).toMatchObject({ code: 3, out: '', err: expect.stringMatching(/^stint: There is no job nix\.\n`stint jobs list` /) })
    expect(await jobs('history', 'nix')).toMatchObject({ code: 3 })
    expect(await jobs('why', '--label', 'nix')).toMatchObject({ code: 3, err: expect.stringContaining('No job has the label "nix"') })
  })

  it('take the newest of several jobs with a label, and say so on stderr', async () => {
    await register('twin-1', 'twins')
    await register('twin-2', 'twins')
    for (const verb of ['show', 'history', 'why']) {
      const { code, out, err } = await jobs(verb, '--label', 'twins', '-o', 'json')
      expect({ verb, code, err }).toEqual({ verb, code: 0, err: 'stint: 2 jobs have the label "twins"; this is the newest, twin-2.\n' })
      expect(JSON.parse(out)).toBeTypeOf('object')
    }
    await complete(await register('twin-3', 'twins'))
    expect(JSON.parse((await jobs('show', '--label', 'twins', '-o', 'json')).out)).toMatchObject({ id: 'twin-2' })
  })

  it('prefer the one of a label that still runs', async () => {
    await complete(await register('again-1', 'again'))
    await register('again-2', 'again')
    expect(JSON.parse((await jobs('show', '--label', 'again', '-o', 'jsonl')).out)).toMatchObject({ id: 'again-2' })
  })

  it('tell every change in order', async () => {
    const job = await register('told')
    await report(job, { phase: 'merge' })
    await complete(job)
    const { out } = await jobs('history', 'told', '-o', 'json')
    const { items } = JSON.parse(out) as { items: { type: string; revision: number }[] }
    expect(items.map(({ type }) => type)).toEqual(['JobRegistered', 'Leased', 'PhaseEntered', 'Completed'])
    expect((await jobs('history', 'told')).out).toMatch(/PhaseEntered +phase merge/)
  })

  it('tell an id that cannot be one in words', async () => {
    for (const id of ['a b', '..', 'job/%zz'])
      expect(await jobs('show', id)).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/cannot be the id of a job\.\nAn id is 1 to 200 letters/) })
  })

  it('say why it is in its state', async () => {
    await register('asked')
    expect(await jobs('why', 'asked')).toMatchObject({ code: 0, out: 'one is running it.\n' })
    expect(JSON.parse((await jobs('why', 'asked', '-o', 'json')).out)).toMatchObject({ state: 'running', gate: 'running' })
  })
})

/** A job whose holder is silent; resolves once that is seen. */
const registerLost = async (id: string): Promise<void> => {
  await http.call(registerJob, { body: { id, service: 'index', server: 'one', label: 'to be lost', reportEverySeconds: 0.1, silenceSeconds: 0.3, lostAfterSeconds: 5_000 } })
  await jobs('wait', id, '--for', 'lost', '--timeout', '15s')
}

describe('a lost job', () => {
  it('is told of when it is aborted, listed and asked about', async () => {
    await registerLost('gone')
    expect((await jobs('list', '--label', 'to be lost')).out).toMatch(/^ID .* LAST SEEN +AGE\n.* (?:just now|\d+s ago) +\S+\n$/)
    expect((await jobs('why', 'gone')).out).toMatch(/^Its holder one has been silent for [\d.]+m?s\. If nobody returns, it settles as failed at \S+Z \(in 1h 23m\)\.\n$/)
    const aborted = await jobs('abort', 'gone', '--reason', 'enough of it')
    expect(aborted).toMatchObject({ code: 0, out: 'gone  lost, abort asked for\n' })
    expect(aborted.err).toMatch(/^It is lost; if nobody returns, it settles as aborted at \S+Z \(in 1h 23m\)\.\n$/)
    expect((await jobs('why', 'gone')).out).toMatch(
      /it settles as aborted at .*\nDirective: local asked for abort (?:just now|\d+s ago): "enough of it"\. Its holder has not seen it\.\n$/,
    )
  })

  it('gives the list no column where there is none', async () => {
    await register('well', 'all is well')
    expect((await jobs('list', '--label', 'all is well')).out).not.toContain('LAST SEEN')
  })
})

describe('jobs abort, pause and resume', () => {
  it('refuse a label of several jobs that have not settled, and list them', async () => {
    await register('both-1', 'both')
    await register('both-22', 'both')
    for (const verb of ['abort', 'pause', 'resume', 'wait']) {
      const { code, out, err } = await jobs(verb, '--label', 'both')
      expect({ verb, code, out }).toEqual({ verb, code: 2, out: '' })
      expect(err).toMatch(/2 jobs with the label "both" have not settled\.\n.*\n {2}both-22 {2}running {2}on one {2}registered .*\n {2}both-1 {3}running {2}on one/)
    }
  })

  it('say what was asked for where it is not so yet', async () => {
    const job = await register('asked-to-pause')
    expect(await jobs('pause', 'asked-to-pause')).toMatchObject({ code: 0, out: 'asked-to-pause  running, pause asked for\n' })
    expect((await jobs('why', 'asked-to-pause')).out).toMatch(/\nDirective: local asked for pause (?:just now|\d+s ago)\.\n$/)
    await report(job, { state: 'paused' })
    expect(await jobs('resume', 'asked-to-pause')).toMatchObject({ code: 0, out: 'asked-to-pause  paused, resume asked for\n' })
  })

  it('give the directive with its reason and show the receipt', async () => {
    await register('steered', 'to be steered')
    const paused = await jobs('pause', 'steered', '--reason', 'backup', '-o', 'json')
    expect(JSON.parse(paused.out)).toMatchObject({ id: 'steered', directive: 'pause', receipt: { directive: 'pause', reason: 'backup', by: 'local' } })
    expect(await jobs('resume', 'steered')).toMatchObject({ code: 0, out: 'steered  running\n' })
    expect(await jobs('abort', '--label', 'to be steered')).toMatchObject({ code: 0, out: 'steered  aborting\n' })
  })

  it('end with 4 where the state forbids it', async () => {
    await register('final')
    await jobs('abort', 'final')
    expect(await jobs('pause', 'final')).toMatchObject({ code: 4, err: expect.stringContaining('is being aborted') })
    await complete(await register('done'))
    expect(await jobs('abort', 'done')).toMatchObject({ code: 4, err: expect.stringContaining('It is settled already: completed.') })
  })

  it('act as the principal that --as names', async () => {
    await register('as-ann')
    expect(await jobs('show', 'as-ann', '--as', 'ann@example.com')).toMatchObject({ code: 0 })
    for (const directive of ['pause', 'resume', 'abort'])
      expect(await jobs(directive, 'as-ann', '--as', 'ann@example.com')).toMatchObject({ code: 6, out: '', err: expect.stringContaining('You may not do this.') })
    expect((await jobs('show', 'as-ann', '-o', 'json')).out).not.toContain('receipt')
  })
})

describe('jobs wait', () => {
  it('ends with 0 when the job completes while it waits', async () => {
    const job = await register('waited')
    const waiting = startStint(['jobs', 'wait', 'waited', '--timeout', '15s'], { env: { STINT_URL: url } })
    await waiting.line(/Waiting for job waited, which is running/)
    await complete(job)
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    expect(waiting.out()).toBe('waited  completed\n')
  })

  it('ends with 1 when the job fails', async () => {
    const job = await register('waited-failing')
    await report(job, { outcome: { failed: { code: 'disk', message: 'no space' } } })
    expect(await jobs('wait', 'waited-failing')).toMatchObject({ code: 1, out: 'waited-failing  failed\n', err: expect.stringContaining('no space') })
  })

  it('ends with 0 for the state that was asked for, and with 1 when the job settles otherwise', async () => {
    const job = await register('waited-for')
    expect(await jobs('wait', 'waited-for', '--for', 'paused,running')).toMatchObject({ code: 0 })
    await complete(job)
    expect(await jobs('wait', 'waited-for', '--for', 'aborted')).toMatchObject({ code: 1 })
  })

  it('ends with 124 when the time is over', async () => {
    await register('waited-in-vain')
    expect(await jobs('wait', 'waited-in-vain', '--timeout', '300ms')).toMatchObject({ code: 124, err: expect.stringContaining('job waited-in-vain is running') })
  })

  it('refuses states and durations that do not exist', async () => {
    expect(await jobs('wait', 'waited', '--for', 'finished')).toMatchObject({ code: 2, err: expect.stringContaining('Expected one of settled, running') })
    expect(await jobs('wait', 'waited', '--timeout', '5')).toMatchObject({ code: 2, err: expect.stringContaining('Expected a duration') })
  })
})

describe('jobs watch off a terminal', () => {
  it('prints a line a change and ends when the job has settled', async () => {
    const job = await register('watched', 'a watched one')
    const watch = watching('watched')
    await watch.line(/watched {2}index@one {2}"a watched one" {2}running/)
    await report(job, { phase: 'merge', progress: { done: 1, total: 4 } })
    await watch.line(/phase merge$/)
    await watch.line(/25% 1\/4$/)
    await complete(job)
    await watch.line(/completed: \{"words":3\}$/)
    expect(await watch.ended()).toMatchObject({ code: 0 })
    expect(watch.out()).not.toContain('\u001b')
  })

  it('ends with 1 when a job that was named does not complete', async () => {
    const job = await register('watched-failing')
    await report(job, { outcome: { failed: { code: 'disk', message: 'no space' } } })
    expect(await jobs('watch', 'watched-failing')).toMatchObject({ code: 1, out: expect.stringContaining('failed') })
  })

  it('goes on with a filter, sees new jobs of it and no others, until it is interrupted', async () => {
    const watch = watching('--label', 'yet to come', '-o', 'jsonl')
    const probe = await register('probe', 'yet to come')
    await watch.line(/"id":"probe"/)
    await register('other', 'something else')
    await complete(probe)
    await watch.line(/"state":"completed"/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    expect(watch.out()).not.toContain('"other"')
  })

  it('says that it shows the newest thousand only', async () => {
    const many = Array.from({ length: 1_001 }, (_each, number) => ({ id: `many-${number}`, service: 'many', server: 'one', reportEverySeconds: 600 }))
    await http.callMany(registerJob, many.slice(0, 1_000))
    await http.callMany(registerJob, many.slice(1_000))
    const watch = watching('--service', 'many', '-o', 'jsonl')
    await watch.line(/^stint: There are more than 1,000 jobs: only the newest 1,000/)
    watch.kill('SIGINT')
    await watch.ended()
  })

  it('takes control characters out of what services say', async () => {
    await register('rude', '\u001b[2Jgone\nand more')
    const { out } = await jobs('list', '--label', '\u001b[2Jgone\nand more')
    expect(out).toContain('gone and more')
    expect(out).not.toContain('\u001b')
  })
})

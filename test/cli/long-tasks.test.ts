// `stint long-tasks` against a management side with nodes that do what the test says: what it prints, in which form, and with which exit code it ends.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Management, type Stint } from '../../src/client/index.ts'
import { startLongTaskStage, type LongTaskStage, type StageNode } from '../support/long-task-stage.ts'
import { processes } from '../support/process.ts'

const { folder, stint, start, startStint } = processes('cli-long-tasks')

let stage: LongTaskStage
let disk: StageNode
let client: Stint
let management: Management
beforeAll(async () => {
  stage = await startLongTaskStage()
  disk = stage.node('disk-1', ['CopyImage', 'HashImage'])
  client = connect({ url: stage.url })
  management = client.management()
})
afterAll(async () => {
  await client.close()
  await stage.close()
})

const surroundings = () => ({ env: { STINT_URL: stage.url } })
const longTasks = (...args: readonly string[]) => stint(['long-tasks', ...args], surroundings())
const watching = (...args: readonly string[]) => startStint(['long-tasks', 'watch', ...args], surroundings())
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await longTasks(...args, '-o', 'json')).out)
const idsOf = (listed: unknown): readonly string[] => (listed as { readonly items: readonly { readonly id: string }[] }).items.map(({ id }) => id)
const dispatch = (id: string, { node = 'disk-1', operation = 'CopyImage' } = {}) => management.dispatch({ operation, args: { from: 'a.img' } }, { node, id })
const complete = (id: string) => disk.report(id, { outcome: { completed: { result: { bytes: 5 } } } })

describe('long-tasks dispatch', () => {
  it('gives an operation to a node, timed as it is told', async () => {
    const given = ['--node', 'disk-1', '--args', '{"from":"a.img","to":"b.img"}', '--timeout', '15m', '--stalled-after', '1m', '--progress-every', '5s']
    expect(await longTasks('dispatch', 'CopyImage', '--id', 'given', ...given)).toMatchObject({ code: 0, out: 'given  waiting\n', err: '' })
    expect(await json('show', 'given')).toMatchObject({
      operation: 'CopyImage',
      node: 'disk-1',
      args: { from: 'a.img', to: 'b.img' },
      timeoutSeconds: 900,
      stalledAfterSeconds: 60,
      progressEverySeconds: 5,
    })
    expect(await longTasks('dispatch', 'CopyImage', '--id', 'given', ...given)).toMatchObject({ code: 0, out: 'given  waiting\n' })
    expect(await longTasks('dispatch', 'HashImage', '--id', 'given', ...given)).toMatchObject({ code: 4, out: '' })
  })

  it('makes an id where there is none, and takes arguments from a file and from standard input', async () => {
    writeFileSync(join(folder, 'copy.json'), '{"from":"file.img"}')
    const fromFile = (await json('dispatch', 'CopyImage', '--node', 'disk-1', '--args', '@copy.json')) as { readonly id: string }
    expect(await json('show', fromFile.id)).toMatchObject({ args: { from: 'file.img' } })
    const { out } = await stint(['long-tasks', 'dispatch', 'HashImage', '--node', 'disk-1', '--args', '-', '-o', 'jsonl'], { ...surroundings(), input: '["typed"]' })
    expect(await json('show', (JSON.parse(out) as { readonly id: string }).id)).toMatchObject({ args: ['typed'] })
  })

  it('says where it waits when its node is not there', async () => {
    const unknown = await longTasks('dispatch', 'CopyImage', '--node', 'dsik-1', '--timeout', '10m')
    expect(unknown).toMatchObject({ code: 0, err: expect.stringMatching(/^There is no node dsik-1 yet: it waits for it, (?:10m|9m \d+s) at most\. `stint nodes list`/) })
    stage.node('disk-down').found('down', 'connect ECONNREFUSED')
    expect(await longTasks('dispatch', 'CopyImage', '--node', 'disk-down')).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^Node disk-down does not answer: it waits for it, /),
    })
  })

  it('refuses what the node does not know, with what it knows, and arguments that are no JSON', async () => {
    expect(await longTasks('dispatch', 'MeltImage', '--node', 'disk-1')).toMatchObject({
      code: 4,
      out: '',
      err: expect.stringMatching(/disk-1 knows CopyImage, HashImage, but not MeltImage\.\n`stint nodes list` shows what each node can run\.\n$/),
    })
    expect(await longTasks('dispatch', 'CopyImage', '--node', 'disk-1', '--args', '{from: a}')).toMatchObject({ code: 2, err: expect.stringContaining('--args is no JSON') })
    expect(await longTasks('dispatch', 'CopyImage', '--node', 'a/b')).toMatchObject({ code: 2, err: expect.stringContaining('cannot be the name of a node') })
    expect(await longTasks('dispatch', 'CopyImage')).toMatchObject({ code: 2, err: expect.stringContaining("required option '--node <node>' not specified") })
    expect(await longTasks('dispatch', 'CopyImage', '--node', 'disk-1', '--timeout', '15')).toMatchObject({ code: 2, err: expect.stringContaining('Expected a duration') })
  })
})

describe('long-tasks list', () => {
  it('shows each in a line, newest first, and its filters', async () => {
    stage.node('disk-list', ['HashImage'])
    await dispatch('list-1', { node: 'disk-list', operation: 'HashImage' })
    await dispatch('list-2')
    await disk.report('list-2', { phase: 'hashing', progress: { done: 400 * 1024 * 1024, total: 1024 * 1024 * 1024, unit: 'bytes' } })
    const { code, out } = await longTasks('list')
    expect(code).toBe(0)
    const [titles = '', ...lines] = out.trim().split('\n')
    expect(titles).toMatch(/^ID +STATE +NODE +OPERATION +PROGRESS +DOING +TIME LEFT +AGE$/)
    expect(lines.findIndex((line) => line.startsWith('list-2'))).toBeLessThan(lines.findIndex((line) => line.startsWith('list-1')))
    expect(lines.find((line) => line.startsWith('list-2'))).toMatch(/▶ running +disk-1 +CopyImage +39% 0\.4\/1\.0 GiB +hashing +(?:1h|59m \d+s) /)
    expect(idsOf(await json('list', '--node', 'disk-list'))).toEqual(['list-1'])
    expect(idsOf(await json('list', '--operation', 'HashImage', '--node', 'disk-list', '--state', 'waiting'))).toEqual(['list-1'])
    expect(idsOf(await json('list', '--state', 'running'))).toContain('list-2')
  })

  it('goes on behind the page before, and prints one a line as JSON lines', async () => {
    stage.node('disk-pages')
    for (const id of ['page-1', 'page-2', 'page-3']) await dispatch(id, { node: 'disk-pages' })
    const page = (await json('list', '--node', 'disk-pages', '--limit', '2')) as { readonly next: string }
    expect(idsOf(page)).toEqual(['page-3', 'page-2'])
    expect(await longTasks('list', '--node', 'disk-pages', '--limit', '2')).toMatchObject({ err: `There are more: --after ${page.next}\n` })
    const rest = await longTasks('list', '--node', 'disk-pages', '--after', page.next, '-o', 'jsonl')
    expect(JSON.parse(rest.out)).toMatchObject({ id: 'page-1' })
  })

  it('says what to try when there is none, on stderr', async () => {
    expect(await longTasks('list', '--node', 'nobody')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('`stint nodes list` shows the nodes') })
    expect(await json('list', '--node', 'nobody')).toEqual({ items: [] })
    const empty = await startLongTaskStage()
    expect(await stint(['long-tasks', 'list', '--url', empty.url])).toMatchObject({ out: '', err: expect.stringContaining('`stint long-tasks dispatch OPERATION --node NODE`') })
    await empty.close()
  })

  it('refuses states that no long task has', async () => {
    expect(await longTasks('list', '--state', 'held')).toMatchObject({ code: 2, err: expect.stringContaining('Expected one of waiting, running') })
  })
})

describe('long-tasks show, history and why', () => {
  it('name it by its id or its global ID, and end with 3 where there is none', async () => {
    await dispatch('named')
    for (const name of ['named', 'long-task/named']) expect(await json('show', name)).toMatchObject({ id: 'named', workItem: 'long-task/named', state: 'waiting' })
    for (const verb of ['show', 'history', 'why', 'wait', 'abort'])
      expect(await longTasks(verb, 'nix')).toMatchObject({ code: 3, out: '', err: 'stint: There is no long task nix.\n`stint long-tasks list` shows those there are.\n' })
    expect(await longTasks('show', 'a b')).toMatchObject({ code: 2, err: expect.stringContaining('cannot be the id of a long task') })
  })

  it('show fields for people', async () => {
    await dispatch('shown')
    await disk.report('shown', { phase: 'reading', progress: { fraction: 0.5 } })
    const { out } = await longTasks('show', 'shown')
    expect(out).toMatch(/^operation +CopyImage$/m)
    expect(out).toMatch(/^arguments +\{"from":"a\.img"\}$/m)
    expect(out).toMatch(/^progress +50%$/m)
    expect(out).toMatch(/^holder +disk-1, last seen (?:just now|\d+s ago)$/m)
    expect(out).toMatch(/^times out +after 1h, at \S+Z \(in (?:1h|59m \d+s)\)$/m)
    expect(out).toMatch(/^stalled +never$/m)
  })

  it('tell every change in words, and why it is where it is', async () => {
    await dispatch('told')
    await disk.report('told', { phase: 'hashing' })
    expect((await longTasks('why', 'told')).out).toMatch(/^disk-1 is running it; it times out in \d+ s\.\n$/)
    await complete('told')
    const { out } = await longTasks('history', 'told')
    expect(out).toMatch(/OperationDispatched +dispatched to disk-1: CopyImage/)
    expect(out).toMatch(/Leased +leased to disk-1 \(lease 1\)/)
    expect(out).toMatch(/Completed +completed: \{"bytes":5\}/)
  })

  it('tell when a lost one times out, as nothing else ends it', async () => {
    await management.dispatch({ operation: 'CopyImage' }, { node: 'disk-1', id: 'silent', progressEverySeconds: 0.1 })
    await disk.take('silent')
    expect(await longTasks('wait', 'silent', '--for', 'lost', '--timeout', '15s')).toMatchObject({ code: 0, out: 'silent  lost\n' })
    expect((await longTasks('why', 'silent')).out).toMatch(/^Its holder disk-1 has been silent for [\d.]+m?s\. If nobody returns, it times out at \S+Z \(in (?:1h|59m \d+s)\)\.\n$/)
    expect((await longTasks('list', '--state', 'lost')).out).toMatch(/LAST SEEN/)
    const aborted = await longTasks('abort', 'silent')
    expect(aborted).toMatchObject({ code: 0, out: 'silent  lost, abort asked for\n', err: expect.stringMatching(/^It is lost; if nobody returns, it times out at /) })
  })
})

describe('long-tasks abort, pause and resume', () => {
  it('give the directive, and say how its node hears of it', async () => {
    await dispatch('steered')
    await disk.take('steered')
    const paused = await longTasks('pause', 'steered', '--reason', 'backup')
    expect(paused).toMatchObject({ code: 0, out: 'steered  running, pause asked for\n' })
    expect(paused.err).toBe('Its node is told at once, and with the answer to its next report. `stint long-tasks wait steered` waits for the end.\n')
    await disk.report('steered', { state: 'paused' })
    expect(await longTasks('resume', 'steered')).toMatchObject({ code: 0, out: 'steered  paused, resume asked for\n' })
    expect(await json('abort', 'steered', '--reason', 'enough')).toMatchObject({ id: 'steered', directive: 'abort', receipt: { reason: 'enough' } })
    expect(await longTasks('pause', 'steered')).toMatchObject({ code: 4, err: expect.stringContaining('is being aborted') })
  })

  it('cancel one that its node has not taken', async () => {
    await dispatch('not-begun')
    expect(await longTasks('abort', 'not-begun')).toMatchObject({ code: 0, out: 'not-begun  cancelled\n' })
    expect(await longTasks('abort', 'not-begun')).toMatchObject({ code: 4, err: expect.stringContaining('It is settled already: cancelled.') })
  })
})

describe('long-tasks wait', () => {
  it('ends with 0 when it completes while it waits', async () => {
    await dispatch('waited')
    const waiting = startStint(['long-tasks', 'wait', 'waited', '--timeout', '15s'], surroundings())
    await waiting.line(/Waiting for long task waited, which is waiting/)
    await complete('waited')
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    expect(waiting.out()).toBe('waited  completed\n')
  })

  it('ends with 1 when it failed or timed out, and with 124 when the time to wait is over', async () => {
    await dispatch('failing')
    await disk.report('failing', { outcome: { failed: { code: 'disk-full', message: 'no space left' } } })
    expect(await longTasks('wait', 'failing')).toMatchObject({ code: 1, out: 'failing  failed\n', err: 'stint: Long task failing is failed (failed: disk-full, no space left).\n' })
    await management.dispatch({ operation: 'CopyImage' }, { node: 'disk-1', id: 'slow', timeoutSeconds: 0.1 })
    expect(await longTasks('wait', 'slow')).toMatchObject({ code: 1, out: 'slow  timedOut\n', err: 'stint: Long task slow is timedOut (timed out).\n' })
    expect(await longTasks('wait', 'slow', '--for', 'timedOut')).toMatchObject({ code: 0 })
    await dispatch('in-vain')
    expect(await longTasks('wait', 'in-vain', '--timeout', '300ms')).toMatchObject({ code: 124, err: expect.stringContaining('long task in-vain is waiting') })
  })
})

describe('long-tasks watch off a terminal', () => {
  it('prints a line a change and ends when all that were named have settled', async () => {
    await dispatch('watched-1')
    await dispatch('watched-2')
    const watch = watching('watched-1', 'watched-2')
    await watch.line(/watched-2 {2}CopyImage@disk-1 {2}waiting$/)
    await disk.report('watched-1', { phase: 'hashing', progress: { done: 1, total: 4 } })
    await watch.line(/watched-1 {2}CopyImage@disk-1 {2}phase hashing$/)
    await complete('watched-1')
    await watch.line(/watched-1 {2}CopyImage@disk-1 {2}completed: \{"bytes":5\}$/)
    await disk.report('watched-2', { outcome: { failed: { code: 'disk-full', message: 'no space left' } } })
    expect(await watch.ended()).toMatchObject({ code: 1 })
    expect(watch.err()).toBe('stint: Not all of them completed: 1 completed, 1 failed.\n')
    expect(watch.out()).not.toContain('\u001b')
  })

  it('goes on with a filter, sees new ones of it and no others, until it is interrupted', async () => {
    stage.node('disk-watch')
    const watch = watching('--node', 'disk-watch', '-o', 'jsonl')
    // It has looked once it has asked for the events.
    const probe = await dispatch('probe', { node: 'disk-watch' })
    await watch.line(/"id":"probe"/)
    await dispatch('elsewhere')
    await probe.abort()
    await watch.line(/"state":"cancelled"/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    expect(watch.out()).not.toContain('elsewhere')
  })

  it('ends when the last one has timed out', async () => {
    await management.dispatch({ operation: 'CopyImage' }, { node: 'disk-1', id: 'watched-slow', timeoutSeconds: 3 })
    const watch = watching('watched-slow')
    // A command line that starts late sees its state in place of the change.
    await watch.line(/watched-slow {2}CopyImage@disk-1 {2}(?:timed out|timedOut)$/)
    expect(await watch.ended()).toMatchObject({ code: 1 })
  })
})

describe('long-tasks watch on a terminal', () => {
  const hasScript = (): boolean => {
    try {
      return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
    } catch {
      return false
    }
  }

  it('draws the nodes with their long tasks in place, and gives the cursor back', async (context) => {
    if (!hasScript()) context.skip('there is no `script` of util-linux to make a terminal with')
    const [one, two] = [stage.node('disk-a'), stage.node('disk-b')]
    two.found('down', 'connect ECONNREFUSED')
    await dispatch('drawn-1', { node: 'disk-a' })
    await dispatch('drawn-2', { node: 'disk-b' })
    const cli = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
    const command = `stty cols 120 rows 20; exec "${process.execPath}" "${cli}" long-tasks watch drawn-1 drawn-2`
    const watch = start('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env: { STINT_URL: stage.url, TERM: 'xterm' } })
    await watch.line(/disk-a.* {2}.*✓ up.* {2}.*1 waiting/)
    await watch.line(/disk-b.* {2}.*✗ down/)
    await watch.line(/2 long tasks on \d+ nodes: .*2 waiting/)
    await one.report('drawn-1', { phase: 'hashing', progress: { done: 1024 * 1024, total: 4 * 1024 * 1024, unit: 'bytes' } })
    await watch.line(/drawn-1.*CopyImage.*running.*25%.*1\.0\/4\.0 MiB.*hashing/)
    await one.report('drawn-1', { outcome: { completed: {} } })
    await two.report('drawn-2', { outcome: { completed: {} } })
    await watch.line(/2 long tasks on \d+ nodes: .*2 completed/)
    await watch.ended()
    expect(watch.out()).toContain('\u001b[?25l')
    expect(watch.out()).toContain('\u001b[?25h')
  })
})

// `stint tasks` against a real server, the way a shell script uses it: every verb, what it prints and with which exit code it ends.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createHttp, type Http } from '../../src/client/http.ts'
import { insertTask, leaseTasks, reportTask } from '../../src/wire/tasks.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint, startStint } = processes('cli-tasks')

let url = ''
let http: Http
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
  http = createHttp({ url, world: realWorld, fetch })
})

interface Leased {
  readonly id: string
  readonly lease: string
  readonly payload: unknown
}

const tasks = (...args: readonly string[]) => stint(['tasks', ...args], { env: { STINT_URL: url } })
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await tasks(...args, '-o', 'json')).out)
const put = (queue: string, id: string, more: object = {}) => http.call(insertTask, { params: { app: 'shop', queue }, body: { id, payload: id, ...more } })
const leasedNow = async (queue: string, body: object = {}) => {
  const { items } = await http.call(leaseTasks, { params: { app: 'shop', queue }, body: { worker: 'tester', ...body } })
  const [task] = items
  if (task === undefined) throw new Error(`Expected a task in shop/${queue}`)
  return task
}

describe('tasks put', () => {
  it('begins a life that goes through lease to done', async () => {
    expect(await tasks('put', '{"to":"ann"}', '-q', 'shop/way', '--id', 'order-7', '--tag', 'mail')).toMatchObject({ code: 0, out: 'order-7  waiting\n' })
    const { items } = (await json('lease', '-q', 'shop/way')) as { items: Leased[] }
    expect(items).toMatchObject([{ id: 'order-7', payload: { to: 'ann' }, lease: expect.stringMatching(/^1\./) }])
    const lease = items[0]?.lease ?? ''
    expect(await tasks('done', 'order-7', '-q', 'shop/way', '--lease', lease, '--result', '{"sent":true}')).toMatchObject({ code: 0, out: 'order-7  completed\n' })
    expect(await json('show', 'order-7', '-q', 'shop/way')).toMatchObject({ state: 'completed', tag: 'mail', outcome: { completed: { result: { sent: true } } } })
  })

  it('takes the payload from the command line, a file or standard input', async () => {
    writeFileSync(join(folder, 'payload.json'), '{"from":"file"}')
    await tasks('put', 'plain words', '-q', 'shop/inputs', '--id', 'words')
    await tasks('put', '@payload.json', '-q', 'shop/inputs', '--id', 'file')
    await stint(['tasks', 'put', '-', '-q', 'shop/inputs', '--id', 'stdin'], { env: { STINT_URL: url }, input: '[1,2]' })
    const { items } = (await json('lease', '-q', 'shop/inputs', '--max', '3')) as { items: Leased[] }
    expect(Object.fromEntries(items.map(({ id, payload }) => [id, payload]))).toEqual({ words: 'plain words', file: { from: 'file' }, stdin: [1, 2] })
    expect(await tasks('put', '@missing.json', '-q', 'shop/inputs')).toMatchObject({ code: 2, err: expect.stringContaining('missing.json') })
  })

  it('carries priority, key and delay', async () => {
    expect(await json('put', 'x', '-q', 'shop/described', '--id', 'd', '--priority', '-3', '--key', 'ann', '--delay', '2h')).toMatchObject({
      priority: -3,
      key: 'ann',
      state: 'waiting',
    })
    expect((await tasks('list', '-q', 'shop/described')).out).toMatch(/^d +· waiting +0 +-3 +ann +in 1h 59m|in 2h/m)
  })

  it('answers a repeat as the first, and ends with 4 where the content differs', async () => {
    await tasks('put', '1', '-q', 'shop/again', '--id', 'same')
    expect(await tasks('put', '1', '-q', 'shop/again', '--id', 'same')).toMatchObject({ code: 0, out: 'same  waiting\n' })
    expect(await tasks('put', '2', '-q', 'shop/again', '--id', 'same')).toMatchObject({ code: 4, err: expect.stringContaining('used before with other content') })
  })
})

describe('tasks list', () => {
  it('shows a line a task, oldest first, and says how to make one where there is none', async () => {
    await put('listed', 'one')
    await put('listed', 'two', { tag: 'mail', key: 'ann' })
    const { out } = await tasks('list', '-q', 'shop/listed')
    expect(out).toMatch(/^ID +STATE +ATTEMPT +TAG +KEY +AGE\none +· waiting +0 .*\ntwo +· waiting +0 +mail +ann +\S+\n$/)
    expect(await tasks('list', '-q', 'shop/empty')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('-q shop/empty` makes one') })
    expect((await tasks('list', '-q', 'shop/listed', '--state', 'running')).err).toContain('No task of shop/listed is running. `stint tasks list -q shop/listed` lists all.')
    expect(await json('list', '-q', 'shop/empty')).toEqual({ items: [] })
  })

  it('goes on behind the page before', async () => {
    for (const id of ['p1', 'p2', 'p3']) await put('pages', id)
    const page = (await json('list', '-q', 'shop/pages', '--limit', '2')) as { items: { id: string }[]; next: string }
    expect(page.items.map(({ id }) => id)).toEqual(['p1', 'p2'])
    const rest = await tasks('list', '-q', 'shop/pages', '--after', page.next, '-o', 'jsonl')
    expect(rest.out.trim().split('\n')).toHaveLength(1)
    expect(JSON.parse(rest.out)).toMatchObject({ id: 'p3' })
  })

  it('narrows to a state and to dead letters', async () => {
    await put('narrow', 'waits')
    await put('narrow', 'dies', { priority: 1 })
    const task = await leasedNow('narrow')
    await tasks('fail', 'dies', '-q', 'shop/narrow', '--lease', task.lease, '--message', 'no', '--no-retry')
    expect(await json('list', '-q', 'shop/narrow', '--state', 'waiting')).toMatchObject({ items: [{ id: 'waits' }] })
    expect((await tasks('list', '-q', 'shop/narrow', '--dead-letters')).err).toContain('There is no dead letter in shop/narrow')
  })
})

describe('tasks show', () => {
  it('shows fields for people, and the payload when it is asked for', async () => {
    await put('shown', 'one', { tag: 'mail' })
    const { out } = await tasks('show', 'one', '-q', 'shop/shown')
    expect(out).toMatch(/^queue +shop\/shown$/m)
    expect(out).toMatch(/^tag +mail$/m)
    expect(out).not.toContain('payload')
    expect((await tasks('show', 'task/shop/shown/one', '--payload')).out).toMatch(/^payload +"one"$/m)
    expect(await json('show', 'one', '-q', 'shop/shown', '--payload')).toMatchObject({ payload: 'one', workItem: 'task/shop/shown/one' })
  })
})

describe('work on tasks', () => {
  it('leases by tag, for a time, and several of one tag', async () => {
    await put('tags', 'a1', { tag: 'a' })
    await put('tags', 'b1', { tag: 'b' })
    await put('tags', 'a2', { tag: 'a' })
    const byTag = (await json('lease', '-q', 'shop/tags', '--tag', 'b', '--for', '1h')) as { items: { id: string; leaseUntil: string; updatedAt: string }[] }
    expect(byTag.items.map(({ id }) => id)).toEqual(['b1'])
    expect(Date.parse(byTag.items[0]?.leaseUntil ?? '') - Date.parse(byTag.items[0]?.updatedAt ?? '')).toBe(3_600_000)
    const same = await tasks('lease', '-q', 'shop/tags', '--same-tag', '--max', '5', '--worker', 'other')
    expect(same.out).toMatch(/^ID +LEASE +UNTIL +ATTEMPT +TAG +PAYLOAD\na1 .*"a1"\na2 .*"a2"\n$/)
    expect(await tasks('lease', '-q', 'shop/tags')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('--wait 30s waits for one') })
  })

  it('waits for work, with 124 when none comes', async () => {
    const waiting = startStint(['tasks', 'lease', '-q', 'shop/awaited', '--wait', '20s', '-o', 'jsonl'], { env: { STINT_URL: url } })
    await put('awaited', 'late')
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    expect(JSON.parse(waiting.out())).toMatchObject({ id: 'late' })
    expect(await tasks('lease', '-q', 'shop/awaited', '--wait', '500ms')).toMatchObject({ code: 124 })
  })

  it('gives what is still leased to a call that is repeated with its name', async () => {
    await put('named', 'one')
    const first = (await json('lease', '-q', 'shop/named', '--request-id', 'r1')) as { items: Leased[] }
    expect(await json('lease', '-q', 'shop/named', '--request-id', 'r1')).toMatchObject({ items: [{ id: 'one', lease: first.items[0]?.lease }] })
  })

  it('gives a task back at no cost, and fails it for good', async () => {
    await put('back', 'once')
    const first = await leasedNow('back')
    expect(await tasks('release', 'once', '-q', 'shop/back', '--lease', first.lease, '--reason', 'lunch')).toMatchObject({ code: 0, out: 'once  waiting\n' })
    const second = await leasedNow('back', { worker: 'another' })
    const failed = await tasks('fail', 'once', '-q', 'shop/back', '--lease', second.lease, '--message', 'no such address', '--code', 'smtp', '--detail', '{"at":1}', '--no-retry')
    expect(failed).toMatchObject({ code: 0, out: 'once  failed\n' })
    expect(await json('show', 'once', '-q', 'shop/back')).toMatchObject({ outcome: { failed: { code: 'smtp', message: 'no such address', detail: { at: 1 } } } })
  })

  it('gives a task back for later', async () => {
    await put('later', 'one')
    const { lease } = await leasedNow('later')
    await tasks('release', 'one', '-q', 'shop/later', '--lease', lease, '--busy', '--delay', '1h')
    expect((await tasks('why', 'one', '-q', 'shop/later')).out).toMatch(/^It is due in (?:59m|1h)/)
  })

  it('extends a lease, or gives it back at once', async () => {
    await put('longer', 'one')
    const { lease } = await leasedNow('longer')
    expect((await tasks('extend', 'one', '-q', 'shop/longer', '--lease', lease, '--for', '2h')).out).toMatch(/^one {2}running {2}until \S+Z\n$/)
    expect(await tasks('extend', 'one', '-q', 'shop/longer', '--lease', lease, '--for', '0')).toMatchObject({ code: 0, out: 'one  waiting\n' })
  })

  it('ends with 4 under a lease that is not the current one', async () => {
    await put('stale', 'one')
    await leasedNow('stale')
    for (const args of [
      ['done', 'one', '--lease', '1.wrong'],
      ['release', 'one', '--lease', '1.wrong'],
      ['extend', 'one', '--lease', '1.wrong', '--for', '1m'],
      ['fail', 'one', '--lease', '1.wrong', '--message', 'x'],
    ])
      expect(await tasks(...args, '-q', 'shop/stale')).toMatchObject({ code: 4, err: expect.stringContaining('The lease is not the current one') })
  })

  it('is done under the older name too', async () => {
    await put('older', 'one')
    const { lease } = await leasedNow('older')
    expect(await tasks('complete', 'one', '-q', 'shop/older', '--lease', lease, '-o', 'jsonl')).toMatchObject({ code: 0, out: expect.stringContaining('"state":"completed"') })
  })
})

describe('tasks delete', () => {
  it('cancels a task, and completes it for its holder', async () => {
    await put('gone', 'one')
    expect(await tasks('delete', 'one', '-q', 'shop/gone')).toMatchObject({ code: 0, out: 'one  cancelled\n' })
    await put('gone', 'two')
    const { lease } = await leasedNow('gone')
    expect(await tasks('cancel', 'task/shop/gone/two', '--lease', lease)).toMatchObject({ code: 0, out: 'two  completed\n' })
    expect(await tasks('delete', 'nix', '-q', 'shop/gone')).toMatchObject({ code: 3 })
  })
})

describe('tasks history and why', () => {
  it('tell every change in order, and what a task waits for', async () => {
    await put('told', 'one')
    expect(await tasks('why', 'one', '-q', 'shop/told')).toMatchObject({ code: 0, out: 'It is due, and no worker is waiting for the tasks of its queue.\n' })
    await leasedNow('told')
    expect((await tasks('why', 'task/shop/told/one')).out).toBe('tester is running it.\n')
    expect(await json('why', 'one', '-q', 'shop/told')).toMatchObject({ state: 'running', gate: 'running', holder: 'tester' })
    const { items } = (await json('history', 'one', '-q', 'shop/told')) as { items: { type: string }[] }
    expect(items.map(({ type }) => type)).toEqual(['TaskInserted', 'Leased'])
    expect((await tasks('history', 'one', '-q', 'shop/told')).out).toMatch(/Leased +leased to tester \(lease 1\)/)
  })
})

describe('tasks abort, pause and resume', () => {
  it('act at once on a task that waits', async () => {
    await put('steered', 'one')
    expect(await tasks('pause', 'one', '-q', 'shop/steered', '--reason', 'not yet')).toMatchObject({ code: 0, out: 'one  paused\n', err: '' })
    expect((await tasks('why', 'one', '-q', 'shop/steered')).out).toContain('"not yet"')
    expect(await tasks('resume', 'one', '-q', 'shop/steered')).toMatchObject({ code: 0, out: 'one  waiting\n', err: '' })
    expect((await tasks('abort', 'one', '-q', 'shop/steered')).code).toBe(0)
    expect(await tasks('abort', 'one', '-q', 'shop/steered')).toMatchObject({ code: 4, err: expect.stringContaining('settled already') })
  })

  it('are told to the holder of one that runs', async () => {
    await put('asked', 'one')
    await leasedNow('asked')
    const paused = await tasks('pause', 'one', '-q', 'shop/asked')
    expect(paused).toMatchObject({ code: 0, out: 'one  running, pause asked for\n' })
    expect(paused.err).toContain('`stint tasks wait one -q shop/asked` waits for the end')
    expect(JSON.parse((await tasks('abort', 'one', '-q', 'shop/asked', '-o', 'json')).out)).toMatchObject({
      id: 'one',
      directive: 'abort',
      receipt: { directive: 'abort', by: 'local' },
    })
  })
})

describe('tasks wait', () => {
  it('ends with 0 when the task completes while it is waited for', async () => {
    await put('waited', 'one')
    const { lease } = await leasedNow('waited')
    const waiting = startStint(['tasks', 'wait', 'one', '-q', 'shop/waited', '--for', 'settled', '--timeout', '15s'], { env: { STINT_URL: url } })
    await waiting.line(/Waiting for task one, which is running/)
    await tasks('done', 'one', '-q', 'shop/waited', '--lease', lease)
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    expect(waiting.out()).toBe('one  completed\n')
  })

  it('ends with 1 when the work failed, and names why', async () => {
    await put('failing', 'one')
    const { lease } = await leasedNow('failing')
    await tasks('fail', 'one', '-q', 'shop/failing', '--lease', lease, '--message', 'no space', '--no-retry')
    for (const wanted of ['settled', 'completed', 'running'])
      expect(await tasks('wait', 'one', '-q', 'shop/failing', '--for', wanted)).toMatchObject({ code: 1, out: 'one  failed\n', err: expect.stringContaining('no space') })
    expect(await tasks('wait', 'one', '-q', 'shop/failing', '--for', 'failed', '-o', 'json')).toMatchObject({ code: 0 })
  })

  it('ends with 124 when the time is over', async () => {
    await put('vain', 'one')
    expect(await tasks('wait', 'one', '-q', 'shop/vain', '--for', 'running', '--timeout', '300ms')).toMatchObject({
      code: 124,
      err: expect.stringContaining('task one is waiting'),
    })
  })
})

describe('tasks watch off a terminal', () => {
  it('prints a line a change of the queue and of no other, until it is interrupted', async () => {
    await put('live', 'before', { tag: 'mail' })
    const watch = startStint(['tasks', 'watch', '-q', 'shop/live'], { env: { STINT_URL: url } })
    await watch.line(/before {2}mail {2}waiting$/)
    await put('elsewhere', 'other')
    await put('live', 'after')
    await watch.line(/after {2}inserted into shop\/live$/)
    const { lease } = await leasedNow('live')
    await watch.line(/before {2}mail {2}leased to tester/)
    await http.call(reportTask, { params: { app: 'shop', queue: 'live', id: 'before' }, body: { lease, phase: 'send' } })
    await watch.line(/before {2}mail {2}phase send$/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    expect(watch.out()).not.toContain('other')
  })

  it('narrows to a tag, as JSON lines', async () => {
    const watch = startStint(['tasks', 'watch', '-q', 'shop/tagged', '--tag', 'a', '-o', 'jsonl'], { env: { STINT_URL: url } })
    await put('tagged', 'probe', { tag: 'a' })
    await watch.line(/"id":"probe"/)
    await put('tagged', 'not-this', { tag: 'b' })
    await put('tagged', 'last', { tag: 'a' })
    await watch.line(/"id":"last"/)
    watch.kill('SIGINT')
    await watch.ended()
    expect(watch.out()).not.toContain('not-this')
  })

  it('ends when those that were named have ended: 0 if all completed, 1 if not', async () => {
    await put('ends', 'good')
    await put('ends', 'bad')
    const good = await leasedNow('ends')
    const watch = startStint(['tasks', 'watch', 'good', 'bad', '-q', 'shop/ends'], { env: { STINT_URL: url } })
    await watch.line(/good {2}running$/)
    await tasks('done', 'good', '-q', 'shop/ends', '--lease', good.lease)
    expect((await tasks('watch', 'good', '-q', 'shop/ends')).code).toBe(0)
    await tasks('delete', 'bad', '-q', 'shop/ends')
    expect(await watch.ended()).toMatchObject({ code: 1 })
    expect(watch.err()).toContain('Not all of them completed: 1 completed, 1 cancelled.')
  })
})

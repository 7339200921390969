// `stint tasks` and `stint events` against a real server, the way a shell script uses them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { processes } from '../support/process.ts'

const { folder, serve, stint, startStint } = processes('cli-tasks')

let url = ''
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
})

const cli = (...args: readonly string[]) => stint(args, { env: { STINT_URL: url } })
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await cli(...args, '-o', 'json')).out)
const leased = async (queue: string, ...options: readonly string[]): Promise<{ id: string; lease: string; payload: unknown }> =>
  ((await json('tasks', 'lease', queue, ...options)) as { items: { id: string; lease: string; payload: unknown }[] }).items[0] ?? { id: '', lease: '', payload: undefined }

describe('tasks', () => {
  it('go from put through lease to complete', async () => {
    expect(await cli('tasks', 'put', 'shop/way', '{"to":"ann"}', '--id', 'order-7', '--tag', 'mail')).toMatchObject({ code: 0, out: 'order-7  waiting\n' })
    const task = await leased('shop/way')
    expect(task).toMatchObject({ id: 'order-7', payload: { to: 'ann' }, lease: expect.stringMatching(/^1\./) })
    expect(await cli('tasks', 'complete', 'shop/way', 'order-7', '--lease', task.lease, '--result', '{"sent":true}')).toMatchObject({ code: 0, out: 'order-7  completed\n' })
    expect(await json('tasks', 'show', 'shop/way', 'order-7')).toMatchObject({ state: 'completed', tag: 'mail', outcome: { completed: { result: { sent: true } } } })
  })

  it('take their payload from the command line, a file or standard input', async () => {
    writeFileSync(join(folder, 'payload.json'), '{"from":"file"}')
    await cli('tasks', 'put', 'shop/inputs', 'plain words', '--id', 'words')
    await cli('tasks', 'put', 'shop/inputs', '@payload.json', '--id', 'file')
    await stint(['tasks', 'put', 'shop/inputs', '-', '--id', 'stdin'], { env: { STINT_URL: url }, input: '[1,2]' })
    const { items } = (await json('tasks', 'lease', 'shop/inputs', '--max', '3')) as { items: { id: string; payload: unknown }[] }
    expect(Object.fromEntries(items.map(({ id, payload }) => [id, payload]))).toEqual({ words: 'plain words', file: { from: 'file' }, stdin: [1, 2] })
    expect(await cli('tasks', 'put', 'shop/inputs', '@missing.json')).toMatchObject({ code: 2, err: expect.stringContaining('missing.json') })
  })

  it('come in a list, and an empty one says how to make one', async () => {
    await cli('tasks', 'put', 'shop/listed', '--id', 'one')
    expect((await cli('tasks', 'list', 'shop/listed')).out).toMatch(/^one +· waiting/m)
    expect(await cli('tasks', 'list', 'shop/empty')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('stint tasks put shop/empty') })
  })

  it('can be given back and can fail', async () => {
    await cli('tasks', 'put', 'shop/back', '--id', 'once')
    const first = await leased('shop/back')
    expect(await cli('tasks', 'release', 'shop/back', 'once', '--lease', first.lease, '--reason', 'lunch')).toMatchObject({ code: 0, out: 'once  waiting\n' })
    // Whoever gave it back is passed over for a moment.
    const second = await leased('shop/back', '--worker', 'another')
    expect(await cli('tasks', 'fail', 'shop/back', 'once', '--lease', second.lease, '--message', 'no such address', '--no-retry')).toMatchObject({ code: 0, out: 'once  failed\n' })
  })

  it('end with 4 under a lease that is not the current one, 3 where there is none, 2 for what is no queue', async () => {
    await cli('tasks', 'put', 'shop/stale', '--id', 'one')
    await leased('shop/stale')
    expect(await cli('tasks', 'complete', 'shop/stale', 'one', '--lease', '1.wrong')).toMatchObject({ code: 4, err: expect.stringContaining('lease') })
    expect(await cli('tasks', 'show', 'shop/stale', 'nix')).toMatchObject({ code: 3 })
    expect(await cli('tasks', 'put', 'shop', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('APP/QUEUE') })
  })

  it('are waited for, with 124 when none comes', async () => {
    const waiting = startStint(['tasks', 'lease', 'shop/awaited', '--wait', '20s', '-o', 'jsonl'], { env: { STINT_URL: url } })
    await cli('tasks', 'put', 'shop/awaited', '--id', 'late')
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    expect(JSON.parse(waiting.out())).toMatchObject({ id: 'late' })
    expect(await cli('tasks', 'lease', 'shop/awaited', '--wait', '500ms')).toMatchObject({ code: 124 })
  })
})

describe('events', () => {
  it('are listed from the first one on, by their filters', async () => {
    await cli('tasks', 'put', 'shop/told', '--id', 'told')
    const { items } = (await json('events', 'list', '--work-item', 'task/shop/told/told')) as { items: { type: string; workItem: string }[] }
    expect(items).toMatchObject([{ type: 'TaskInserted', workItem: 'task/shop/told/told' }])
    expect((await cli('events', 'list', '--work-item', 'task/shop/told/told')).out).toMatch(/TaskInserted +inserted into shop\/told/)
    expect(await cli('events', 'list', '--type', 'HolderLost')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('stint events watch') })
  })

  it('go on behind the position where a page ended', async () => {
    for (const id of ['p1', 'p2', 'p3']) await cli('tasks', 'put', 'shop/paged', '--id', id)
    const whole = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '1000')) as { items: { id: string }[] }
    const first = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '2')) as { items: { id: string }[]; next: string }
    const rest = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '1000', '--after', first.next)) as { items: { id: string }[] }
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(whole.items.map(({ id }) => id))
  })

  it('are watched as they happen', async () => {
    const before = (await json('events', 'list', '--limit', '1')) as { next: string }
    const watch = startStint(['events', 'watch', '--type', 'TaskInserted', '--after', before.next, '-o', 'jsonl'], { env: { STINT_URL: url } })
    await cli('tasks', 'put', 'shop/live', '--id', 'seen-live')
    await watch.line(/"task\/shop\/live\/seen-live"/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    for (const line of watch.out().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ type: 'TaskInserted' })
  })

  it('refuse a position of another log', async () => {
    expect(await cli('events', 'watch', '--after', 'other.0000000000000001')).toMatchObject({ code: 4 })
  })
})

// `stint events` against a real server, the way a shell script uses it.
import { beforeAll, describe, expect, it } from 'vitest'
import { processes } from '../support/process.ts'

const { serve, stint, startStint } = processes('cli-events')

let url = ''
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
})

const cli = (...args: readonly string[]) => stint(args, { env: { STINT_URL: url } })
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await cli(...args, '-o', 'json')).out)

describe('events', () => {
  it('are listed from the first one on, by their filters', async () => {
    await cli('tasks', 'put', '-q', 'shop/told', '--id', 'told')
    const { items } = (await json('events', 'list', '--work-item', 'task/shop/told/told')) as { items: { type: string; workItem: string }[] }
    expect(items).toMatchObject([{ type: 'TaskInserted', workItem: 'task/shop/told/told' }])
    expect((await cli('events', 'list', '--work-item', 'task/shop/told/told')).out).toMatch(/TaskInserted +inserted into shop\/told/)
    expect(await cli('events', 'list', '--type', 'HolderLost')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('stint events watch') })
  })

  it('go on behind the position where a page ended', async () => {
    for (const id of ['p1', 'p2', 'p3']) await cli('tasks', 'put', '-q', 'shop/paged', '--id', id)
    const whole = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '1000')) as { items: { id: string }[] }
    const first = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '2')) as { items: { id: string }[]; next: string }
    const rest = (await json('events', 'list', '--type', 'TaskInserted', '--limit', '1000', '--after', first.next)) as { items: { id: string }[] }
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(whole.items.map(({ id }) => id))
  })

  it('are watched as they happen', async () => {
    const before = (await json('events', 'list', '--limit', '1')) as { next: string }
    const watch = startStint(['events', 'watch', '--type', 'TaskInserted', '--after', before.next, '-o', 'jsonl'], { env: { STINT_URL: url } })
    await cli('tasks', 'put', '-q', 'shop/live', '--id', 'seen-live')
    await watch.line(/"task\/shop\/live\/seen-live"/)
    watch.kill('SIGINT')
    expect(await watch.ended()).toMatchObject({ code: 0 })
    for (const line of watch.out().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ type: 'TaskInserted' })
  })

  it('refuse a position of another log', async () => {
    expect(await cli('events', 'watch', '--after', 'other.0000000000000001')).toMatchObject({ code: 4 })
  })
})

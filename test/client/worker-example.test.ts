// The example of task queues, as its README says it is run: a bookshop orders, a print shop prints, and neither may do what the other may.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { root } from '../support/documents.ts'
import { processes } from '../support/process.ts'

const EXAMPLE = join(root, 'examples', 'task-queues')
const ORDERS = { app: 'print-shop', queue: 'orders' }

const { serve, start } = processes('worker-example')

describe('when the example of task queues is run', () => {
  it('prints what was ordered, and refuses what is too thick', async () => {
    const server = await serve(['--config', EXAMPLE])
    const env = { STINT_URL: server.url }
    const worker = start(process.execPath, [join(EXAMPLE, 'inside-worker.ts')], { env })
    await worker.line(/waits for orders/)
    // The seventeenth has 90 pages.
    const producer = start(process.execPath, [join(EXAMPLE, 'outside-producer.ts'), '17'], { env })
    expect(await producer.ended()).toEqual({ code: 0, signal: null })
    expect(producer.out().trim().split('\n')).toHaveLength(17)

    await using bookshop = connect({ url: server.url, as: 'web@bookshop.example' })
    const ends: string[] = []
    for await (const { type } of bookshop.events({ kind: 'task', after: 'start', types: ['Completed', 'Failed'] })) if (ends.push(type) === 17) break
    expect(ends.filter((type) => type === 'Failed')).toHaveLength(1)
    const { items } = await bookshop.tasks.list(ORDERS, { state: 'failed' })
    expect(items).toMatchObject([{ outcome: { failed: { code: 'too-thick', detail: { pages: 90 } } } }])
    await expect(bookshop.tasks.list({ app: 'print-shop', queue: 'other' })).rejects.toMatchObject({ code: 'not-found' })

    await using press = connect({ url: server.url, as: 'press@print-shop.example' })
    await expect(press.producer(ORDERS).put({ title: 'Mine', pages: 1 })).rejects.toMatchObject({ code: 'forbidden' })

    worker.kill('SIGTERM')
    expect(await worker.ended()).toEqual({ code: 0, signal: null })
    expect(worker.out()).toMatch(/closed: \{"leased":17,"completed":16,"failed":1,/)
    server.kill('SIGTERM')
    expect(await server.ended()).toEqual({ code: 0, signal: null })
  })
})

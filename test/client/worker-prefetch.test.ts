// A worker that leases ahead of its handlers: what waits in its process is begun as soon as a handler is free, kept meanwhile, and goes back or is dropped when it need not be done here.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HistoryEvent, WorkerOptions } from '../../src/client/index.ts'
import { until } from '../support/eventually.ts'
import type { Seen } from '../support/gateway.ts'
import { steered } from '../support/job-functions.ts'
import { MAIL, startWorkerStage, type WorkerStage } from '../support/worker-stage.ts'

let stage: WorkerStage
let { gateway, client, admin, problems, options } = {} as WorkerStage

beforeEach(async () => {
  stage = await startWorkerStage()
  ;({ gateway, client, admin, problems, options } = stage)
})

afterEach(() => stage.close())

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
const put = (...ids: readonly string[]) => admin.producer(MAIL).putMany(ids.map((id) => ({ id })))
const typesOf = async (id: string): Promise<readonly string[]> => (await admin.tasks.history({ ...MAIL, id })).items.map(({ type }) => type)

/** Resolves with the first event of a task, past or to come, that is of this type. */
const happened = async (id: string, type: string): Promise<HistoryEvent> => {
  for await (const event of admin.events({ workItem: `task/shop/mail/${id}`, after: 'start', types: [type] })) return event
  throw new Error(`Expected ${type} of ${id}`)
}

const bodyOf = ({ body }: Seen) => body as { readonly max?: number; readonly items?: readonly { readonly id: string }[]; readonly lease?: { readonly max: number } }
const asked = (): readonly number[] => gateway.seen.flatMap((seen) => bodyOf(seen).max ?? bodyOf(seen).lease?.max ?? [])

/** Resolves when the answer to an extension that began from now on has been heard: the one after it is sent no sooner. */
const extendedSince = async (): Promise<void> => {
  const extensions = (): number => gateway.seen.filter(({ path }) => path.endsWith('/extend')).length
  const before = extensions()
  await until(() => extensions() >= before + 3)
}

/** A worker of one handler, which has begun with `a` and holds `b` and `c` beside it. */
const holdingThree = async (given: Partial<WorkerOptions> = {}) => {
  await put('a', 'b', 'c')
  const functions = new Map(['a', 'b', 'c'].map((id) => [id, steered<string>()]))
  const begun: string[] = []
  const worker = client.worker(options({ prefetch: 2, ...given }), (task) => {
    begun.push(task.id)
    return functions.get(task.id)?.run(task)
  })
  await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'Leased')))
  await functions.get('a')?.begun
  await until(() => worker.figures().leased >= 3)
  return { worker, begun, finish: (id: string) => functions.get(id)?.finish('done') }
}

describe('a worker that leases ahead', () => {
  it('runs no more handlers than it may, and begins the next when one ends, in order', async () => {
    const { begun, finish, worker } = await holdingThree()
    expect([begun, worker.figures().leased]).toEqual([['a'], 3])
    finish('a')
    await happened('a', 'Completed')
    expect(begun).toEqual(['a', 'b'])
    finish('b')
    finish('c')
    await Promise.all(['b', 'c'].map((id) => happened(id, 'Completed')))
    expect([begun, problems]).toEqual([['a', 'b', 'c'], []])
  })

  it('asks for half of its places at a time, and does each task once', async () => {
    await put(...range(40).map((n) => `t${n}`))
    const begun: string[] = []
    client.worker(options({ concurrency: 2, prefetch: 8 }), ({ id }) => void begun.push(id))
    await Promise.all(range(40).map((n) => happened(`t${n}`, 'Completed')))
    expect(Math.max(...asked())).toBe(5)
    expect(begun).toEqual(range(40).map((n) => `t${n}`))
    expect(problems).toEqual([])
  })

  it('is not busy because all its handlers run', async () => {
    await put('a', 'b')
    const first = steered<string>()
    client.worker({ ...MAIL, graceSeconds: 0, prefetch: 1 }, (task) => (task.id === 'a' ? first.run(task) : 'at once'))
    await Promise.all(['a', 'b'].map((id) => happened(id, 'Leased')))
    first.finish('done')
    await Promise.all(['a', 'b'].map((id) => happened(id, 'Completed')))
    expect(await typesOf('b')).toEqual(['TaskInserted', 'Leased', 'Completed'])
  })

  it('keeps the leases of what waits, and asks about nothing that has not begun', async () => {
    const { finish } = await holdingThree({ leaseSeconds: 0.6 })
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'LeaseExtended')))
    for (const id of ['a', 'b', 'c']) finish(id)
    await Promise.all(['a', 'b', 'c'].map((id) => happened(id, 'Completed')))
    expect(gateway.seen.filter(({ path }) => /\/(?:b|c)\/directive$/.test(path))).toEqual([])
    expect(await typesOf('c')).not.toContain('LeaseExpired')
  })

  it('gives what waits back when it is closed, while the handler that runs may end', async () => {
    const { worker, begun, finish } = await holdingThree()
    const closed = worker.close({ graceSeconds: 60 })
    expect((await Promise.all(['b', 'c'].map((id) => happened(id, 'LeaseReleased')))).map(({ data }) => data)).toMatchObject([
      { reason: 'The worker was closed before it was begun.' },
      { reason: 'The worker was closed before it was begun.' },
    ])
    finish('a')
    await closed
    expect([begun, worker.figures()]).toMatchObject([['a'], { completed: 1, givenBack: 2 }])
  })

  it('is closed although nobody says whether it is busy, and tells what has ended', async () => {
    await put('a', 'b')
    let questions = 0
    const isBusy = (): boolean | Promise<boolean> => (questions++ === 0 ? false : new Promise<boolean>(() => undefined))
    const worker = client.worker(options({ prefetch: 1, isBusy }), () => 'at once')
    while (questions < 2) await new Promise((resolve) => setImmediate(resolve))
    await worker.close()
    expect([worker.figures().leased, problems]).toEqual([worker.figures().completed + worker.figures().givenBack, []])
  })

  it('does not begin what was aborted meanwhile, and says so', async () => {
    const { begun, finish } = await holdingThree({ leaseSeconds: 0.6 })
    await admin.tasks.abort({ ...MAIL, id: 'b' }, 'not needed')
    await extendedSince()
    finish('a')
    expect(await happened('b', 'Aborted')).toMatchObject({ data: { reason: 'not needed' } })
    finish('c')
    await happened('c', 'Completed')
    expect(begun).toEqual(['a', 'c'])
  })

  it('does not begin what is not its own any more, and tells of it', async () => {
    const { begun, finish, worker } = await holdingThree({ leaseSeconds: 0.6 })
    await admin.tasks.delete({ ...MAIL, id: 'b' })
    await extendedSince()
    finish('a')
    finish('c')
    await happened('c', 'Completed')
    expect(begun).toEqual(['a', 'c'])
    expect(problems).toEqual([['LeaseLost', 'b']])
    await worker.close()
    expect(worker.figures()).toMatchObject({ completed: 2, refused: 0, givenBack: 0 })
  })

  it.each([-1, 1.5, 10_001])('refuses %s as what to lease ahead', (prefetch) => {
    expect(() => client.worker(options({ prefetch }), () => 1)).toThrow(/prefetch/)
  })
})

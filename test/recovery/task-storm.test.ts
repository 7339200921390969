// Tasks in a storm: worker processes are killed and frozen while a queue is worked through. Every task is completed once, by the holder of its current lease, and the
// log replays to what was there. `bench/task-storm.ts` does the same with more of everything.
import * as E from 'fp-ts/lib/Either.js'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'
import { auditLog, openCrew } from '../support/task-storm.ts'

const TASKS = 5_000
const WORKERS = 4
const KILLS = 8
/** After these kills a worker is frozen too. */
const FREEZES: ReadonlySet<number> = new Set([2, 5])
const TIMEOUT_MS = 600_000
const QUEUE = { app: 'storm', queue: 'tasks' }

const { folder, serve } = processes('task-storm')

describe('when workers are killed and frozen in the middle of 5,000 tasks', () => {
  it.each([0, 32])('completes each task once, by the holder of its current lease, where each leases %i ahead', { timeout: TIMEOUT_MS }, async (prefetch) => {
    const data = join(folder, `data-${prefetch}`)
    const server = await serve(['--data', data])
    const stint = connect({ url: server.url })
    const began = realWorld.monotonic()
    const crew = openCrew({ ...QUEUE, urls: [server.url], workers: WORKERS, concurrency: 16, prefetch, leaseSeconds: 1 })
    await crew.ready
    const freezes: Promise<void>[] = []
    const done = (async () => {
      let completed = 0
      for await (const _event of stint.events({ kind: 'task', after: 'start', types: ['Completed'] })) {
        completed += 1
        if (completed === TASKS) return
        if (crew.killed() >= KILLS || completed < (TASKS / (KILLS + 1)) * (crew.killed() + 1)) continue
        crew.replaceOne()
        if (FREEZES.has(crew.killed())) freezes.push(crew.freezeOne(stint))
      }
    })()
    const put = await stint.producer(QUEUE).putMany(Array.from({ length: TASKS }, (_, n) => ({ payload: { n } })))
    expect(put.filter(({ error }) => error !== undefined)).toEqual([])
    await done
    await Promise.all(freezes)
    const tookMs = realWorld.monotonic() - began
    await crew.close()
    const shown = await stint.queues.show(QUEUE)
    expect([shown.waiting, shown.delayed, shown.leased]).toEqual([0, 0, 0])
    await stint.close()
    server.kill('SIGTERM')
    expect(await server.ended()).toEqual({ code: 0, signal: null })

    const audit = await auditLog(data, QUEUE)
    process.stdout.write(
      `${TASKS} tasks, ${WORKERS} workers, ${crew.killed()} killed and ${crew.frozen()} frozen, ${(tookMs / 1_000).toFixed(1)} s: ${audit.completedOnce} completed once, ` +
        `${audit.leases} leases, ${audit.expired} of them ended unused, ${crew.stale()} stale completions refused.\n`,
    )
    expect(audit.wrong).toEqual([])
    expect(audit).toMatchObject({ tasks: TASKS, completedOnce: TASKS })
    expect(crew.killed()).toBe(KILLS)
    expect(crew.frozen()).toBeGreaterThan(0)
    expect(crew.stale()).toBeGreaterThan(0)
    expect(audit.expired).toBeGreaterThan(0)
    const { chain, tables } = await verifyData(data, { world: realWorld })
    expect(chain).toMatchObject({ _tag: 'Right' })
    expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  })
})

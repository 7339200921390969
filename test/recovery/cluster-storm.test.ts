// Servers as real processes over one log, killed with SIGKILL: nothing is lost or done twice, each knows the same as a replay, and who led is replaced. `bench/cluster-storm.ts` does the same
// with more of everything.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { rankAmong } from '../../src/domain/policy/rendezvous.ts'
import { queueLine } from '../../src/domain/leader.ts'
import { SERVER_GRACE_MS, SERVER_TERM_MS } from '../../src/engine/cluster/membership.ts'
import { pause, realWorld } from '../../src/world.ts'
import { openCluster, type Cluster, type ClusterServer } from '../support/cluster.ts'
import { judge, stormOver } from '../support/cluster-storm.ts'

const TIMEOUT_MS = 600_000
const TASKS = 600
const QUEUE = { app: 'storm', queue: 'tasks' }
/** What a loaded machine takes for the calls themselves. */
const SLOW_MS = 10_000
/** Whoever is told that nobody leads asks again. */
const AGAIN_MS = 100

const folder = mkdtempSync(join(tmpdir(), 'stint-cluster-'))
afterAll(() => rmSync(folder, { recursive: true }))

let cluster: Cluster | undefined
afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

const open = async (servers: number): Promise<Cluster> => {
  cluster = await openCluster({ directory: mkdtempSync(join(folder, 'of-')), servers })
  return cluster
}

describe('two servers over one log, killed and started again while 600 tasks are worked through', () => {
  it('complete each task once and lose none, and their tables equal a replay', { timeout: TIMEOUT_MS }, async () => {
    const opened = await open(2)
    // This chance kills one of them, and then both at once.
    const fates = [0.9, 0, 0.1, 0]
    const random = (): number => fates.shift() ?? 0.9
    const storm = await stormOver({ ...QUEUE, cluster: opened, tasks: TASKS, workers: 3, concurrency: 16, leaseSeconds: 2, kills: 2, workerKills: 1, random })
    const verdict = await judge(opened, QUEUE)
    process.stdout.write(
      `${TASKS} tasks, 2 servers, ${storm.killed} times one of them killed, ${storm.seconds.toFixed(1)} s: ${verdict.completedOnce} completed once, ${verdict.leases} leases, ` +
        `${verdict.expired} of them ended unused, ${storm.stale} stale completions refused; both tables equal a replay of ${verdict.events} events.\n`,
    )
    expect(verdict.differences).toEqual([])
    expect(verdict.wrong).toEqual([])
    expect(verdict).toMatchObject({ tasks: TASKS, completedOnce: TASKS })
    expect([storm.killed, storm.workersKilled]).toEqual([3, 1])
  })
})

/** A queue whose line is this server's among these. */
const queueOf = (server: string, names: readonly string[]): string => {
  for (let number = 0; ; number += 1) {
    const queue = `q${number}`
    if (rankAmong(server, names, queueLine({ app: 'shop', queue })) === 0) return queue
  }
}

const call = async (server: ClusterServer, path: string, body: unknown): Promise<{ readonly status: number; readonly items: readonly { readonly id: string }[] }> => {
  const answer = await fetch(`${server.url()}${path}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  return { status: answer.status, items: ((await answer.json()) as { readonly items?: readonly { readonly id: string }[] }).items ?? [] }
}

describe('a server that is killed as the leader of a queue', () => {
  it('is replaced by whoever is left when its term is over', { timeout: TIMEOUT_MS }, async () => {
    const { servers } = await open(2)
    const queue = queueOf('server-1', ['server-1', 'server-2'])
    const tasks = `/v1/queues/shop/${queue}/tasks`
    const [leader, other] = servers as readonly [ClusterServer, ClusterServer]
    for (const id of ['t1', 't2']) expect((await call(leader, tasks, { id, payload: 'x' })).status).toBe(201)
    expect((await call(leader, `${tasks}/lease`, { worker: 'w' })).items.map(({ id }) => id)).toEqual(['t1'])

    await leader.kill()
    const killedAt = realWorld.monotonic()
    const refusals = new Set<number>()
    for (;;) {
      const { status, items } = await call(other, `${tasks}/lease`, { worker: 'w' })
      if (status === 200 && items.length > 0) {
        expect(items.map(({ id }) => id)).toEqual(['t2'])
        break
      }
      refusals.add(status)
      await pause(realWorld, AGAIN_MS)
    }
    const tookMs = realWorld.monotonic() - killedAt
    process.stdout.write(`The leader was replaced ${(tookMs / 1_000).toFixed(1)} s after it was killed.\n`)
    expect([...refusals]).toEqual([503])
    expect(tookMs).toBeLessThan(SERVER_TERM_MS + SERVER_GRACE_MS + SLOW_MS)

    // It comes again under its name, and what both know is the log's.
    await leader.start()
    expect((await call(leader, tasks, { id: 't3', payload: 'x' })).status).toBe(201)
    expect((await judge({ ...(cluster as Cluster) }, { app: 'shop', queue })).differences).toEqual([])
  })

  it('is replaced at once when it is started again', { timeout: TIMEOUT_MS }, async () => {
    const { servers } = await open(2)
    const queue = queueOf('server-1', ['server-1', 'server-2'])
    const tasks = `/v1/queues/shop/${queue}/tasks`
    const [leader, other] = servers as readonly [ClusterServer, ClusterServer]
    for (const id of ['t1', 't2']) expect((await call(leader, tasks, { id, payload: 'x' })).status).toBe(201)
    expect((await call(other, `${tasks}/lease`, { worker: 'w' })).items.map(({ id }) => id)).toEqual(['t1'])
    await leader.kill()
    await leader.start()
    for (;;) {
      const { status, items } = await call(other, `${tasks}/lease`, { worker: 'w' })
      if (status === 200) return expect(items.map(({ id }) => id)).toEqual(['t2'])
      await pause(realWorld, AGAIN_MS)
    }
  })
})

// Nodes and long tasks over files, in a server that is closed and started again: what the tables kept brings them back, and the node that was there all the time goes on.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { startServer, type RunningServer } from '../src/main.ts'
import { verifyData } from '../src/offline/verify.ts'
import { realWorld } from '../src/world.ts'
import { until } from './support/eventually.ts'
import { closeNodes, startNode } from './support/fake-node.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-main-nodes-'))
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(closeNodes)

const start = async (data: string): Promise<RunningServer> => {
  const config = loadConfig({ flags: { port: '0', data } })
  if (E.isLeft(config)) throw new Error('The settings fit together')
  return startServer(config.right, { world: realWorld, log: createLog({ level: 'silent', world: realWorld, human: false }) })
}

const post = async (server: RunningServer, path: string, body: object): Promise<number> =>
  (await fetch(server.url + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).status

const statusOf = (server: RunningServer, id: string): string | undefined => server.engine.live(`long-task/${id}`)?.status

describe('a server that is started again', () => {
  it('knows its nodes and their operations from its tables, and goes on with both', async () => {
    const data = join(folder, 'again')
    const node = await startNode()
    const first = await start(data)
    expect(await post(first, '/v1/nodes', { id: 'n1', url: node.url(), operations: [{ operation: 'CopyImage', long: true }] })).toBe(201)
    for (const id of ['runs', 'gone']) expect(await post(first, '/v1/long-tasks', { id, operation: 'CopyImage', node: 'n1' })).toBe(201)
    await until(() => ['runs', 'gone'].every((id) => statusOf(first, id) === 'running'))
    await first.engine.tables.reached(first.engine.position(), 10_000)
    await first.close()
    node.operations.delete('gone')

    const second = await start(data)
    expect(second.engine.recovered).toMatchObject({ kept: 2, folded: 0, nodes: ['n1'] })
    await until(() => statusOf(second, 'gone') === 'settled')
    const { lease } = node.operations.get('runs') ?? { lease: '' }
    expect(await post(second, '/v1/nodes/n1/reports', { id: 'runs', lease, outcome: { completed: {} } })).toBe(200)
    await second.engine.tables.reached(second.engine.position(), 10_000)
    await second.close()
    expect(node.given).toHaveLength(2)
    const { chain, tables } = await verifyData(data, { world: realWorld })
    expect([E.isRight(chain), tables !== undefined && E.isRight(tables) ? tables.right.differences : tables]).toEqual([true, []])
  })
})

// What becomes of the files of a data directory: tables that vanish or are spoilt, and a log that is put back to where it was some time ago.
import * as E from 'fp-ts/lib/Either.js'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect, type Stint } from '../../src/client/index.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { TABLES_FILE } from '../../src/settings.ts'
import { realWorld } from '../../src/world.ts'
import { steered } from '../support/job-functions.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint } = processes('recovery-files')

type Server = Awaited<ReturnType<typeof serve>>

const stopped = async (server: Server): Promise<void> => {
  server.kill('SIGTERM')
  expect(await server.ended()).toMatchObject({ code: 0 })
}

const idsOf = async (client: Stint): Promise<readonly string[]> => {
  const ids: string[] = []
  for await (const { id } of client.jobs.each()) ids.push(id)
  return ids.toSorted((a, b) => a.localeCompare(b))
}

const expectSound = async (data: string): Promise<void> => {
  const { chain, tables } = await verifyData(data, { world: realWorld })
  expect(E.isRight(chain)).toBe(true)
  expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
}

describe('when the tables of a stopped server are', () => {
  it.each<readonly [string, (file: string) => void]>([
    ['deleted', (file) => rmSync(file)],
    ['overwritten with something else', (file) => writeFileSync(file, 'no tables at all'.repeat(1_000))],
  ])('%s, the next start makes them anew from the log', async (name, spoil) => {
    const data = join(folder, name)
    const server = await serve(['--data', data])
    await using before = connect({ url: server.url })
    await using jobs = before.jobServer({ service: 'indexer', server: 'indexer-1' })
    for (const id of ['one', 'two', 'three']) await jobs.run('books', () => id, { id })
    await jobs.close()
    await stopped(server)
    spoil(join(data, TABLES_FILE))

    const again = await serve(['--data', data])
    await using after = connect({ url: again.url })
    // A birth answers with a position, and a list that names it waits until the tables are there.
    await using more = after.jobServer({ service: 'indexer', server: 'indexer-2' })
    await more.run('books', () => 'four', { id: 'four' })
    expect(await idsOf(after)).toEqual(['four', 'one', 'three', 'two'])
    expect(await after.jobs.show('two')).toMatchObject({ state: 'completed', outcome: { completed: { result: 'two' } } })
    await more.close()
    await stopped(again)
    await expectSound(data)
  })
})

describe('when a server is started on an old backup', () => {
  it('goes on from there, and job servers tell it again what it has forgotten', async () => {
    const [data, restored, backup] = [join(folder, 'original'), join(folder, 'restored'), join(folder, 'old.db')]
    const server = await serve(['--data', data])
    const { port } = new URL(server.url)
    await using client = connect({ url: server.url })
    const jobs = client.jobServer({ service: 'indexer', server: 'indexer-1', reportEverySeconds: 0.5, silenceSeconds: 60, closeMode: 'fail' })
    const [old, young] = [steered<string>(), steered<string>()]
    const { job: oldJob, result: oldResult } = await jobs.start('old', old.run, { id: 'old' })
    expect(await stint(['backup', backup, '--data', data])).toMatchObject({ code: 0 })
    const { result: youngResult } = await jobs.start('young', young.run, { id: 'young' })
    await stopped(server)
    expect(await stint(['restore', backup, '--data', restored])).toMatchObject({ code: 0 })

    const again = await serve(['--data', restored, '--port', port])
    oldJob.phase('after the restore')
    old.finish('old result')
    young.finish('young result')
    expect(await Promise.all([oldResult, youngResult])).toEqual(['old result', 'young result'])
    await jobs.close()
    for (const [id, result] of [
      ['old', 'old result'],
      ['young', 'young result'],
    ] as const)
      expect(await client.jobs.show(id)).toMatchObject({ state: 'completed', attempt: 1, outcome: { completed: { result } } })
    await stopped(again)
    await expectSound(restored)
  })
})

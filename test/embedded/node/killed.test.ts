// A node whose process is killed in the middle of its operations and started again, with real files, real time and a management node that knows nothing of it.
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { open } from '../../../src/embedded/index.ts'
import { LOG_FILE } from '../../../src/settings.ts'
import { openSqliteReader } from '../../../src/store/sqlite/log-reader.ts'
import { startFakeManagement, type FakeManagement } from '../../support/fake-management.ts'
import { processes } from '../../support/process.ts'
import { expectReplayEqual } from '../../support/replay.ts'

const PROGRAM = join(import.meta.dirname, 'programs', 'copying-node.ts')
const SLOW_MS = 90_000
const { folder, start } = processes('killed-node')
let management: FakeManagement

afterEach(() => management.close())

describe('a node that is killed in the middle of its operations', () => {
  it('runs again what its class says is run again, fails the rest, and tells of both', { timeout: SLOW_MS }, async () => {
    management = await startFakeManagement()
    const directory = join(folder, 'copying')
    const run = () => start(process.execPath, [PROGRAM, '--management', management.url, '--directory', directory])
    const first = run()
    await first.line(/^listening/)
    await management.until(() => management.registrations.length === 1)
    for (const [id, operation] of [
      ['a', 'CopyImage'],
      ['b', 'MoveImage'],
    ] as const)
      expect(await management.send({ id, operation, args: { image: id }, progressEverySeconds: 0.1 })).toEqual({ status: 202, body: { id } })
    for (const id of ['a', 'b']) await first.line(new RegExp(`^logged ${id} ProgressReported`))
    await management.until(() => ['a', 'b'].every((id) => management.told(id).some(({ progress }) => progress?.done === 1)))
    first.kill('SIGKILL')
    await first.ended()
    expect(['a', 'b'].map(management.stateOf)).toEqual(['running', 'running'])

    const second = run()
    await management.until(() => ['a', 'b'].every((id) => management.told(id).at(-1)?.outcome !== undefined))
    expect(management.registrations.map(({ instance }) => instance).filter((instance, index, all) => all.indexOf(instance) === index)).toHaveLength(2)
    expect(management.told('a').at(-1)?.outcome).toEqual({ completed: { result: { attempt: 2, before: { phase: 'copy', progress: { done: 1, total: 2 } } } } })
    expect(management.told('b').at(-1)?.outcome).toMatchObject({ failed: { code: 'interrupted' } })
    for (const id of ['a', 'b']) await second.line(new RegExp(`^logged ${id} EffectsCarriedOut`))
    expect((await management.list()).items).toEqual([])
    second.kill('SIGTERM')
    expect(await second.ended()).toEqual({ code: 0, signal: null })
    expect(first.out() + second.out()).not.toContain('problem')

    await using embedded = await open({ data: directory })
    const reader = openSqliteReader(join(directory, LOG_FILE))
    await expectReplayEqual(embedded.engine, reader)
    reader.close()
  })
})

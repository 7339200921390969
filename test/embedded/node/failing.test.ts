// A node whose log cannot be written any more, because its files may not grow: it says so and stops taking, telling and answering, so that a supervisor starts it anew.
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { startFakeManagement, type FakeManagement, type NodeAnswer } from '../../support/fake-management.ts'
import { processes } from '../../support/process.ts'

const PROGRAM = join(import.meta.dirname, 'programs', 'copying-node.ts')
const SLOW_MS = 90_000
/** Blocks of 512 or 1,024 bytes that a file of it may have. */
const BLOCKS = 4_000
const { folder, start } = processes('failing-node')
let management: FakeManagement

afterEach(() => management.close())

describe('a node whose log cannot be written any more', () => {
  it('answers and tells nothing from then on, and goes on when it is started anew', { timeout: SLOW_MS }, async () => {
    management = await startFakeManagement()
    const directory = join(folder, 'failing')
    const args = [PROGRAM, '--management', management.url, '--directory', directory]
    const failing = start('sh', ['-c', `ulimit -f ${BLOCKS}; exec "$0" "$@"`, process.execPath, ...args])
    await failing.line(/^listening/)
    await management.until(() => management.registrations.length === 1)
    const send = (id: string): Promise<NodeAnswer> => management.send({ id, operation: 'CopyImage', args: 'x'.repeat(500_000), progressEverySeconds: 0.1 })
    const taken: string[] = []
    let refused: NodeAnswer | undefined
    while (refused === undefined) {
      const id = `image-${taken.length}`
      const answer = await send(id)
      if (answer.status === 202) taken.push(id)
      else refused = answer
    }
    expect(refused).toMatchObject({ status: 503, body: { code: 'store-unavailable' } })
    await failing.line(/^fatal .*disk I\/O error/)
    expect(await management.list()).toMatchObject({ status: 503, body: { code: 'store-unavailable' } })
    expect(await send('another')).toMatchObject({ status: 503, body: { code: 'store-unavailable' } })
    failing.kill('SIGKILL')
    await failing.ended()

    const again = start(process.execPath, args)
    await again.line(/^listening/)
    await management.until(() => taken.every((id) => management.stateOf(id) === 'completed'))
    expect(management.told(taken[0] ?? '').at(-1)?.outcome).toMatchObject({ completed: { result: { attempt: 2 } } })
    again.kill('SIGTERM')
    expect((await again.ended()).code).toBe(0)
  })
})

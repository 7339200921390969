// The program of the guide "Writing an implementation node", run as a user would run it: it copies a real file, goes on with a copy that it was killed in, and answers what is short.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { blocksUnder, document } from '../support/documents.ts'
import { startFakeManagement, type FakeManagement } from '../support/fake-management.ts'
import { processes } from '../support/process.ts'
import { userProject } from '../support/user-project.ts'

const SLOW_MS = 90_000
const BYTES = 24 * 1024 * 1024
const HEADING = 'Writing an implementation node'
const { folder, start } = processes('guide-node')
let management: FakeManagement

const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

afterEach(() => management.close())

/** A copy that is parked in the middle; one that was faster than the pause is whole, and the next one is tried. */
const pausedCopy = async (): Promise<string> => {
  for (let number = 1; ; number += 1) {
    const id = `copy-${number}`
    await management.send({ id, operation: 'CopyImage', args: { from: 'images/a.img', to: `images/${id}.img` }, progressEverySeconds: 0.1 })
    await management.direct(id, { number: management.wish(id, 'pause'), directive: 'pause' })
    await management.until(() => management.stateOf(id) === 'paused' || management.stateOf(id) === 'completed')
    if (management.stateOf(id) === 'paused') return id
  }
}

describe('the node in the guide', () => {
  it('copies an image, goes on where it was killed, and answers what is short', { timeout: SLOW_MS }, async () => {
    management = await startFakeManagement()
    const cwd = userProject(mkdtempSync(join(folder, 'user-')))
    const program = blocksUnder(document('docs/guides/long-tasks.md'), HEADING).find(({ language }) => language === 'ts')
    writeFileSync(join(cwd, 'node.ts'), program?.text ?? '')
    mkdirSync(join(cwd, 'images'))
    writeFileSync(join(cwd, 'images', 'a.img'), Buffer.alloc(BYTES, 'an image of some size; '))
    const run = () => start(process.execPath, ['node.ts'], { cwd, env: { STINT_URL: management.url } })
    const first = run()
    await management.until(() => management.registrations.length === 1)
    expect(await management.send({ id: 'size', operation: 'SizeOf', args: { name: 'images/a.img' } })).toEqual({
      status: 200,
      body: { id: 'size', outcome: { completed: { result: BYTES } } },
    })
    expect(await management.send({ id: 'bad', operation: 'CopyImage', args: { from: 'images/a.img' } })).toMatchObject({ status: 400, body: { errors: [{ path: '/args/to' }] } })
    await management.send({ id: 'none', operation: 'CopyImage', args: { from: 'images/none.img', to: 'images/x.img' }, progressEverySeconds: 0.1 })
    await management.until(() => management.stateOf('none') === 'failed')
    expect(management.told('none').at(-1)?.outcome).toMatchObject({ failed: { code: 'no-such-image' } })

    const id = await pausedCopy()
    const copied = join(cwd, 'images', `${id}.img`)
    expect(statSync(copied).size).toBeLessThan(BYTES)
    first.kill('SIGKILL')
    await first.ended()
    const second = run()
    await management.until(() => management.registrations.length === 2)
    expect((await management.list()).items).toMatchObject([{ id, state: 'paused', attempt: 1 }])
    await management.direct(id, { number: management.wish(id, 'resume'), directive: 'resume' })
    await management.until(() => management.stateOf(id) === 'completed')
    expect(management.told(id).at(-1)?.outcome).toEqual({ completed: { result: { bytes: BYTES } } })
    expect(digestOf(copied)).toBe(digestOf(join(cwd, 'images', 'a.img')))
    second.kill('SIGTERM')
    expect((await second.ended()).code).toBe(0)
  })
})

// `stint nodes` against a management side with nodes that do what the test says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Stint } from '../../src/client/index.ts'
import { startLongTaskStage, type LongTaskStage } from '../support/long-task-stage.ts'
import { processes } from '../support/process.ts'

const { stint } = processes('cli-nodes')

let stage: LongTaskStage
let client: Stint
beforeAll(async () => {
  stage = await startLongTaskStage()
  client = connect({ url: stage.url })
})
afterAll(async () => {
  await client.close()
  await stage.close()
})

const nodes = (...args: readonly string[]) => stint(['nodes', ...args], { env: { STINT_URL: stage.url } })

describe('nodes list', () => {
  it('says how one becomes a node while there is none', async () => {
    expect(await nodes('list')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('implementationNode({') })
    expect(JSON.parse((await nodes('list', '-o', 'json')).out)).toEqual({ items: [] })
  })

  it('shows health, load and operations of each, and why one is down', async () => {
    const up = stage.node('disk-1', ['CopyImage', 'HashImage'])
    stage.node('disk-2').found('down', 'connect ECONNREFUSED')
    const management = client.management()
    for (const id of ['one', 'two']) await management.dispatch({ operation: 'CopyImage' }, { node: 'disk-1', id })
    await up.take('one')
    const { code, out } = await nodes('list')
    expect(code).toBe(0)
    const [titles, first, second] = out.trim().split('\n')
    expect(titles).toMatch(/^NODE +HEALTH +SINCE +RUNNING +WAITING +OPERATIONS +URL +LAST FAILURE$/)
    expect(first).toMatch(/^disk-1 +✓ up +(?:now|\d+s) +1 +1 +CopyImage, HashImage +http:\/\//)
    expect(second).toMatch(/^disk-2 +✗ down +(?:now|\d+s) +0 +0 +CopyImage +http:\/\/\S+ +connect ECONNREFUSED$/)
    const listed = JSON.parse((await nodes('list', '-o', 'json')).out) as { readonly items: readonly unknown[] }
    expect(listed.items).toMatchObject([{ id: 'disk-1', health: 'up', running: 1, waiting: 1 }, { id: 'disk-2' }])
  })
})

describe('nodes show', () => {
  it('tells what it can run and how each operation is timed', async () => {
    const { code, out } = await nodes('show', 'disk-1')
    expect(code).toBe(0)
    expect(out).toMatch(/^health +✓ up, since \S+Z \(/m)
    expect(out).toMatch(/^operation +CopyImage: times out after 15m, reports every 2\.0s$/m)
    expect(out).toMatch(/^operation +HashImage: /m)
    expect(out).toMatch(/^calls +not signed$/m)
    expect(JSON.parse((await nodes('show', 'disk-1', '-o', 'json')).out)).toMatchObject({ id: 'disk-1', instance: 'one' })
  })

  it('ends with 3 for a node that is not registered, and with 2 for what cannot be the name of one', async () => {
    expect(await nodes('show', 'nix')).toMatchObject({ code: 3, out: '', err: expect.stringMatching(/^stint: There is no node nix\.\n`stint nodes list` /) })
    expect(await nodes('show', 'a/b')).toMatchObject({ code: 2, err: expect.stringContaining('cannot be the name of a node') })
  })
})

describe('nodes remove', () => {
  it('forgets it, and says what waits for it', async () => {
    expect(await nodes('remove', 'disk-1')).toEqual({ code: 0, out: 'disk-1  removed\n', err: '2 long tasks of it wait for it until the timeout.\n' })
    expect(JSON.parse((await nodes('remove', 'disk-2', '-o', 'json')).out)).toMatchObject({ id: 'disk-2' })
    expect(await nodes('remove', 'disk-1')).toMatchObject({ code: 3 })
  })
})

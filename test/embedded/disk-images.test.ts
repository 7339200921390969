// The example of disk images, run as its README says, with smaller images: a node is killed in the middle, and so is the management program; both are started again.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { commandsOf, document, root } from '../support/documents.ts'
import { processes, type Running } from '../support/process.ts'

const PATIENCE_MS = 120_000
const NODES = ['disk-1', 'disk-2', 'disk-3']
const { folder, serve, start } = processes('disk-images')

const run = (program: string, args: readonly string[], url: string): Running => {
  const cwd = join(folder, 'work')
  mkdirSync(cwd, { recursive: true })
  return start(process.execPath, [join(root, 'examples', 'disk-images', program), ...args], { cwd, env: { STINT_URL: url } })
}

describe('the example of disk images', () => {
  it('makes, copies and packs the same images on three nodes, whoever is killed meanwhile', { timeout: PATIENCE_MS }, async () => {
    const lines = document('examples/disk-images/README.md').blocks.flatMap(commandsOf)
    const started = lines.flatMap(({ command }) => /^npx node examples\/disk-images\/(\S+) (.*)$/.exec(command)?.slice(1) ?? [])
    expect(started).toEqual([...NODES.flatMap((name) => ['node.ts', `--name ${name}`]), 'manage.ts', '--megabytes 200 --run first'])

    const server = await serve(['--data', join(folder, 'data')])
    const nodes = NODES.map((name) => run('node.ts', ['--name', name], server.url))
    for (const node of nodes) await node.line(/^node disk-\d listens at /)
    const work = ['--megabytes', '16', '--speed', '4', '--run', 'first']
    const killed = run('manage.ts', work, server.url)
    await using stint = connect({ url: server.url })
    // In the middle of a copy and of a packing.
    for (const id of ['first-disk-2-copy-1', 'first-disk-2-pack-1']) {
      await killed.line(/first-disk-2-make-1 {2}completed/)
      for await (const { progress } of stint.longTasks.watch(id)) if ((progress?.done ?? 0) > 0) break
    }
    killed.kill('SIGKILL')
    nodes[1]?.kill('SIGKILL')
    await nodes[1]?.ended()
    nodes[1] = run('node.ts', ['--name', 'disk-2'], server.url)
    await nodes[1].line(/goes on with first-disk-2-copy-1/)

    const manage = run('manage.ts', work, server.url)
    expect(await manage.ended()).toEqual({ code: 0, signal: null })
    for (const name of NODES) expect(manage.out()).toContain(`${name}: the image, its copy and what is packed are the same.`)
    expect(manage.out()).toMatch(/first-disk-2-copy-1 {2}completed .*"keptBytes":[1-9]/)
    expect(manage.out()).toMatch(/first-disk-2-pack-1 {2}failed .*interrupted/)
    expect(manage.out()).toMatch(/first-disk-2-pack-2 {2}completed/)
    // Made once each, packed once more.
    expect((await stint.longTasks.list({ operation: 'MakeImage' })).items).toHaveLength(3)
    expect((await stint.longTasks.list({ operation: 'CompressImage' })).items).toHaveLength(4)
    for (const node of nodes) node.kill('SIGTERM')
    for (const node of nodes) expect(await node.ended()).toEqual({ code: 0, signal: null })
  })
})

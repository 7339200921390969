// Machines that have no watchers left, or lose one: the files are looked at once a second instead. The system's `watch` is made to fail, since no test can use up a machine.
import { EventEmitter } from 'node:events'
import type * as fs from 'node:fs'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { POLL_MS, RECHECK_MS, SETTLE_MS, watchQueueFiles, type QueuesInForce } from '../../src/engine/queue-files-watch.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const system = vi.hoisted(() => ({ hasWatchers: true, given: [] as { readonly path: string; readonly fail: () => void }[] }))

vi.mock('node:fs', async (original) => ({
  ...(await original<typeof fs>()),
  watch: (path: string) => {
    if (!system.hasWatchers) throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' })
    const watcher = Object.assign(new EventEmitter(), { close: () => undefined })
    system.given.push({ path, fail: () => watcher.emit('error', new Error('EPERM: operation not permitted')) })
    return watcher
  },
}))

const start = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'stint-queue-unwatched-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'apps', 'shop'), { recursive: true })
  const write = (name: string): void => writeFileSync(join(directory, 'apps', 'shop', 'queue.yaml'), `queue: [{name: ${name}, mode: pull}]\n`)
  write('orders')
  const world = virtualWorld()
  let tell: (now: QueuesInForce) => void = () => undefined
  const told = new Promise<QueuesInForce>((resolve) => (tell = resolve))
  const watch = await watchQueueFiles(directory, world, (now) => tell(now))
  onTestFinished(() => watch.close())
  return { directory, write, world, told }
}

describe('a machine without watchers', () => {
  it('has its files looked at once a second, and a change taken up', async () => {
    system.hasWatchers = false
    const { write, world, told } = await start()
    expect(world.pending()).toEqual([POLL_MS])
    write('mail')
    world.advance(POLL_MS)
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    expect((await told).queues.map(({ queue }) => queue)).toEqual(['mail'])
    await world.until((pending) => pending.includes(POLL_MS))
  })
})

describe('a watcher that fails', () => {
  it('is replaced at the look that follows', async () => {
    system.hasWatchers = true
    const { directory, world } = await start()
    expect(world.pending()).toEqual([RECHECK_MS])
    const before = system.given.length
    system.given.find(({ path }) => path === join(directory, 'apps'))?.fail()
    expect(world.pending()).toEqual([SETTLE_MS])
    world.advance(SETTLE_MS)
    await world.until((pending) => pending.includes(RECHECK_MS))
    expect(system.given.slice(before).map(({ path }) => path)).toEqual([join(directory, 'apps')])
  })
})

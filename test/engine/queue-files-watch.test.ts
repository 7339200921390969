// Queue files that change under a running server, by real file systems and the ways in which editors and deployments write.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { QueueConfig } from '../../src/domain/queue/config.ts'
import { POLL_MS, RECHECK_MS, SETTLE_MS, watchQueueFiles, type QueuesInForce } from '../../src/engine/queue-files-watch.ts'
import { parseAppQueues } from '../../src/engine/queue-files.ts'
import { realWorld, type World } from '../../src/world.ts'
import { right, settle } from '../support/engine.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const queueYaml = (...names: readonly string[]): string => `queue:\n${names.map((name) => `- {name: ${name}, mode: pull}\n`).join('')}`
const BAD = 'queue:\n- name: two words\n'

/** A config directory of the test's own. */
const configDirectory = (files: Readonly<Record<string, string>> = {}) => {
  const root = mkdtempSync(join(tmpdir(), 'stint-queue-watch-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const directory = join(root, 'config')
  const pathOf = (name: string): string => join(directory, name)
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(pathOf(name)), { recursive: true })
    writeFileSync(pathOf(name), text)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  return { root, directory, pathOf, write }
}

/** What holds, in short: `shop/orders`, and the places of errors. */
const short = ({ queues, errors }: QueuesInForce) => ({
  queues: queues.map(({ app, queue }) => `${app}/${queue}`),
  errors: errors.map(({ code, line, column }) => `${code} ${line}:${column}`),
})

const start = async (directory: string, given: { readonly world?: World; readonly inForce?: readonly QueueConfig[] } = {}) => {
  const told: QueuesInForce[] = []
  const waiting = new Set<() => void>()
  const watch = await watchQueueFiles(
    directory,
    given.world ?? realWorld,
    (now) => {
      told.push(now)
      for (const check of [...waiting]) check()
    },
    given.inForce,
  )
  onTestFinished(() => watch.close())
  let read = 0
  /** What was told next: of what is told while a file is on its way, a test may pass over the rest. */
  const next = async (wanted: (now: QueuesInForce) => boolean = () => true): Promise<QueuesInForce> => {
    for (;;) {
      if (read >= told.length) await new Promise<void>((resolve) => waiting.add(resolve))
      waiting.clear()
      const now = told[read]
      read += 1
      if (now !== undefined && wanted(now)) return now
    }
  }
  return { watch, told, next }
}

describe('watched queue files', () => {
  it('are current after the first look, which is not told', async () => {
    const { directory } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders'), 'apps/bank/queue.yaml': queueYaml('mail') })
    const { watch, told } = await start(directory)
    expect([short(watch.current()), told]).toEqual([{ queues: ['bank/mail', 'shop/orders'], errors: [] }, []])
  })

  const WAYS: Readonly<Record<string, (files: ReturnType<typeof configDirectory>) => void>> = {
    'written in place': ({ write }) => write('apps/shop/queue.yaml', queueYaml('mail')),
    'replaced by a rename': ({ write, pathOf }) => {
      write('apps/shop/.queue.yaml.swp', queueYaml('mail'))
      renameSync(pathOf('apps/shop/.queue.yaml.swp'), pathOf('apps/shop/queue.yaml'))
    },
    'kept as a backup and written anew': ({ write, pathOf }) => {
      renameSync(pathOf('apps/shop/queue.yaml'), pathOf('apps/shop/queue.yaml~'))
      write('apps/shop/queue.yaml', queueYaml('mail'))
    },
    'deleted and written anew': ({ write, pathOf }) => {
      unlinkSync(pathOf('apps/shop/queue.yaml'))
      write('apps/shop/queue.yaml', queueYaml('mail'))
    },
    'replaced with the directory of its app': ({ write, pathOf }) => {
      write('shop-2/queue.yaml', queueYaml('mail'))
      renameSync(pathOf('apps/shop'), pathOf('shop-1'))
      renameSync(pathOf('shop-2'), pathOf('apps/shop'))
    },
    'replaced with the directory of all apps': ({ write, pathOf }) => {
      write('apps-2/shop/queue.yaml', queueYaml('mail'))
      renameSync(pathOf('apps'), pathOf('apps-1'))
      renameSync(pathOf('apps-2'), pathOf('apps'))
    },
  }
  it.each(Object.entries(WAYS))('are taken up, and taken up again, when a file is %s', async (_way, change) => {
    const files = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const { next, watch } = await start(files.directory)
    change(files)
    expect(short(await next(({ queues }) => queues[0]?.queue === 'mail'))).toEqual({ queues: ['shop/mail'], errors: [] })
    // Whatever was replaced, what stands there now is watched too.
    files.write('apps/shop/queue.yaml', queueYaml('mail', 'more'))
    expect(short(await next())).toEqual({ queues: ['shop/mail', 'shop/more'], errors: [] })
    expect(short(watch.current())).toEqual({ queues: ['shop/mail', 'shop/more'], errors: [] })
  })

  it('are taken up when a link is turned to another release, as container platforms do', async () => {
    const { directory, write, pathOf } = configDirectory({ '..one/queue.yaml': queueYaml('orders'), '..two/queue.yaml': queueYaml('mail') })
    mkdirSync(pathOf('apps/shop'), { recursive: true })
    symlinkSync(pathOf('..one'), pathOf('apps/shop/..data'))
    symlinkSync(join('..data', 'queue.yaml'), pathOf('apps/shop/queue.yaml'))
    const { next, watch } = await start(directory)
    expect(short(watch.current()).queues).toEqual(['shop/orders'])
    symlinkSync(pathOf('..two'), pathOf('apps/shop/..data-new'))
    renameSync(pathOf('apps/shop/..data-new'), pathOf('apps/shop/..data'))
    expect(short(await next()).queues).toEqual(['shop/mail'])
    write('apps/bank/queue.yaml', queueYaml('default'))
    expect(short(await next()).queues).toEqual(['bank/default', 'shop/mail'])
  })

  it('are taken up when apps and settings come, and when they go', async () => {
    const { directory, write, pathOf } = configDirectory({ 'stint.yaml': '' })
    const { next } = await start(directory)
    write('apps/shop/queue.yaml', queueYaml('orders'))
    expect(short(await next(({ errors }) => errors.length === 0)).queues).toEqual(['shop/orders'])
    write('apps/shop/stint-queue.yaml', 'queues: {orders: {deadLetter: false}}\n')
    expect((await next(({ errors }) => errors.length === 0)).queues[0]?.stint.deadLetter).toBe(false)
    unlinkSync(pathOf('apps/shop/stint-queue.yaml'))
    expect((await next()).queues[0]?.stint.deadLetter).toBe(true)
    unlinkSync(pathOf('apps/shop/queue.yaml'))
    expect(short(await next())).toEqual({ queues: [], errors: [] })
  })

  it('are not told when nothing of what they say has changed', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const world = virtualWorld()
    const { next, told } = await start(directory, { world })
    write('apps/shop/queue.yaml', `# the same\n${queueYaml('orders')}`)
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    await world.until((pending) => pending.some((ms) => ms > SETTLE_MS))
    write('apps/shop/queue.yaml', queueYaml('orders', 'mail'))
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    await next()
    expect(told.map((now) => short(now).queues)).toEqual([['shop/orders', 'shop/mail'].sort()])
  })

  it('are told by their last state when they go on changing between two looks', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const world = virtualWorld()
    const { next, told } = await start(directory, { world })
    for (const name of ['first', 'second', 'third']) {
      write('apps/shop/queue.yaml', queueYaml(name))
      await world.until((pending) => pending.includes(SETTLE_MS))
      world.advance(SETTLE_MS)
      await world.until((pending) => pending.includes(SETTLE_MS))
    }
    world.advance(SETTLE_MS)
    await next()
    expect(told.map((now) => short(now).queues)).toEqual([['shop/third']])
  })
})

describe('a bad file under a running server', () => {
  it('is told with its place, and its app stays as it was; other apps go on', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders'), 'apps/bank/queue.yaml': queueYaml('mail') })
    const { next, watch } = await start(directory)
    write('apps/shop/queue.yaml', BAD)
    expect(short(await next())).toEqual({ queues: ['bank/mail', 'shop/orders'], errors: ['form 2:9'] })
    write('apps/bank/queue.yaml', queueYaml('mail', 'letters'))
    expect(short(await next())).toEqual({ queues: ['bank/letters', 'bank/mail', 'shop/orders'], errors: ['form 2:9'] })
    expect(short(watch.current()).queues).toContain('shop/orders')
  })

  it('is told to be good again when it is, though nothing else has changed', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const { next } = await start(directory)
    write('apps/shop/queue.yaml', BAD)
    expect(short(await next()).errors).toEqual(['form 2:9'])
    write('apps/shop/queue.yaml', queueYaml('orders'))
    expect(short(await next())).toEqual({ queues: ['shop/orders'], errors: [] })
  })

  it('is one that is empty too: nobody loses a queue by a file that is being written', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const { next } = await start(directory)
    write('apps/shop/queue.yaml', '')
    expect(short(await next())).toEqual({ queues: ['shop/orders'], errors: ['required 1:1'] })
  })

  it('is one that was bad from the start: what the log says stays in force', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': BAD, 'apps/bank/queue.yaml': queueYaml('mail') })
    const inForce = ['shop', 'bank', 'gone'].flatMap((app) => right(parseAppQueues(app, { file: '', text: queueYaml('before') }, undefined).queues))
    const { next, watch } = await start(directory, { inForce })
    expect(short(watch.current())).toEqual({ queues: ['bank/mail', 'shop/before'], errors: ['form 2:9'] })
    write('apps/shop/queue.yaml', queueYaml('after'))
    expect(short(await next())).toEqual({ queues: ['bank/mail', 'shop/after'], errors: [] })
  })

  it('is nothing against a directory of apps that vanishes: its queues stay until it is back', async () => {
    const { directory, pathOf } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const { next } = await start(directory)
    renameSync(pathOf('apps'), pathOf('away'))
    expect(short(await next())).toEqual({ queues: ['shop/orders'], errors: ['unreadable 1:1'] })
    renameSync(pathOf('away'), pathOf('apps'))
    expect(short(await next())).toEqual({ queues: ['shop/orders'], errors: [] })
  })

  it('tells what has no effect without refusing it', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const { next } = await start(directory)
    write('apps/shop/queue.yaml', 'queue:\n- {name: orders, mode: pull, rate: 5/s}\n')
    const now = await next()
    expect([short(now), now.notices.map(({ path }) => path)]).toEqual([{ queues: ['shop/orders'], errors: [] }, ['/queue/0/rate']])
  })
})

describe('a config directory that is not there yet', () => {
  it('is looked for once a second, and watched when it has come', async () => {
    const { directory, write } = configDirectory()
    const world = virtualWorld()
    const { next, watch } = await start(directory, { world })
    expect([short(watch.current()), world.pending()]).toEqual([{ queues: [], errors: [] }, [POLL_MS]])
    write('apps/shop/queue.yaml', queueYaml('orders'))
    world.advance(POLL_MS)
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    expect(short(await next()).queues).toEqual(['shop/orders'])
    await world.until((pending) => pending.includes(RECHECK_MS))
  })
})

describe('a directory above that is replaced', () => {
  it('is found out by the look that comes now and then', async () => {
    const { root, directory } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const other = configDirectory({ 'apps/shop/queue.yaml': queueYaml('mail') })
    const link = join(root, 'current')
    symlinkSync(directory, link)
    const world = virtualWorld()
    const { next } = await start(link, { world })
    expect(world.pending()).toEqual([RECHECK_MS])
    unlinkSync(link)
    symlinkSync(other.directory, link)
    world.advance(RECHECK_MS)
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    expect(short(await next()).queues).toEqual(['shop/mail'])
  })
})

describe('the one that is told', () => {
  it('is told of one change after the other, and never of two at the same time', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const log: string[] = []
    let release: () => void = () => undefined
    let began: () => void = () => undefined
    const begun = new Promise<void>((resolve) => (began = resolve))
    const held = new Promise<void>((resolve) => (release = resolve))
    let done: () => void = () => undefined
    const both = new Promise<void>((resolve) => (done = resolve))
    const watch = await watchQueueFiles(directory, realWorld, async (now) => {
      const name = now.queues[0]?.queue ?? ''
      log.push(`${name} begins`)
      began()
      await held
      log.push(`${name} ends`)
      if (log.length === 4) done()
    })
    onTestFinished(() => watch.close())
    write('apps/shop/queue.yaml', queueYaml('first'))
    await begun
    write('apps/shop/queue.yaml', queueYaml('second'))
    release()
    await both
    expect(log).toEqual(['first begins', 'first ends', 'second begins', 'second ends'])
  })
})

describe('a watch that is closed', () => {
  const watchersOpen = (): number => process.getActiveResourcesInfo().filter((name) => name === 'FSEvent' || name === 'FSEventWrap').length

  it('lets go of every watcher and timer, and may be closed again', async () => {
    const { directory } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders'), 'apps/bank/queue.yaml': queueYaml('mail') })
    const world = virtualWorld()
    // Watchers of the tests before are gone a turn after they were closed.
    await settle()
    const before = watchersOpen()
    const { watch } = await start(directory, { world })
    expect(watchersOpen()).toBe(before + 4)
    await watch.close()
    await watch.close()
    await settle()
    expect([watchersOpen(), world.pending()]).toEqual([before, []])
  })

  it('tells nothing any more, not even what it was about to', async () => {
    const { directory, write } = configDirectory({ 'apps/shop/queue.yaml': queueYaml('orders') })
    const world = virtualWorld()
    const { watch, told } = await start(directory, { world })
    write('apps/shop/queue.yaml', queueYaml('mail'))
    await world.until((pending) => pending.includes(SETTLE_MS))
    world.advance(SETTLE_MS)
    await world.until((pending) => pending.includes(SETTLE_MS))
    await watch.close()
    world.advance(RECHECK_MS)
    expect([told, world.pending(), short(watch.current()).queues]).toEqual([[], [], ['shop/orders']])
  })
})

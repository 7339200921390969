// `stint demo` as a whole: the story holds on real files, and however it ends, none of its processes is left.
import { existsSync, mkdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { processes, type Running } from '../../support/process.ts'

/** Beyond the two minutes that the demo gives its own scenes, so that it can say itself what did not happen. */
const PATIENCE_MS = 150_000
const { folder, startStint, stint } = processes('demo', { patienceMs: PATIENCE_MS })
const SOURCES = join(import.meta.dirname, '..', '..', '..', 'src')
const TIMEOUT_MS = 600_000

/** A connection to each of its processes that listen: it closes when the process ends, whoever ended it. */
const holdOn = async (demo: Running, count: number): Promise<readonly Promise<void>[]> => {
  await demo.line(/^Act \d, scene 1/)
  const ports = [...demo.out().matchAll(/http:\/\/127\.0\.0\.1:(\d+) +pid \d+/g)].map(([, port]) => Number(port))
  expect(ports).toHaveLength(count)
  const sockets = await Promise.all(
    ports.map(
      (port) =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket))
          socket.once('error', reject)
        }),
    ),
  )
  return sockets.map(
    (socket) =>
      new Promise((resolve) => {
        socket.on('error', () => undefined)
        socket.once('close', () => resolve())
        socket.resume()
      }),
  )
}

const directoryOf = async (demo: Running): Promise<string> => {
  const [, data = ''] = await demo.line(/^Stint keeps its log in (.*)$/)
  return join(data, '..')
}

describe('stint demo', { timeout: TIMEOUT_MS }, () => {
  it('plays its acts on one Stint, and everything that it claims is so', async () => {
    const demo = startStint(['demo', '--fast', '--seconds', '8', SOURCES])
    const directory = await directoryOf(demo)
    for (const act of [1, 2]) for (const scene of [1, 2, 3, 4, 5]) await demo.line(new RegExp(`^Act ${act}, scene ${scene} of 5`))
    for (const scene of [1, 2]) await demo.line(new RegExp(`^Act 3, scene ${scene} of 2`))
    for (const scene of [1, 2, 3, 4, 5]) await demo.line(new RegExp(`^Act 4, scene ${scene} of 5`))
    await demo.line(/^All jobs$/)
    await demo.line(/^\d+ of \d+ claims held/)
    expect(await demo.ended()).toEqual({ code: 0, signal: null })
    expect(demo.err()).toBe('')
    expect(demo.out()).not.toContain('✗')
    const jobs = ['lost: its holder has been silent', 'taken over: leased to']
    const tasks = ['given back, busy', 'lease 1 expired', '403 forbidden', 'dead letter: incomplete-file', 'redriven by admin@localhost', ' 0 wrong', ' 0 otherwise']
    const requests = [': released', 'charges, 0 wrong']
    const longTasks = ['disk-1-pack  failed: interrupted', 'disk-2-late  timed out', 'disk-2-late  a late result was kept', 'disk-3-quick  completed', 'MiB kept']
    for (const part of [...jobs, ...tasks, ...requests, ...longTasks, 'chain   unbroken', 'tables  equal to a rebuild']) expect(demo.out()).toContain(part)
    expect(existsSync(directory)).toBe(false)
  })

  it('plays one act alone', async () => {
    const demo = startStint(['demo', '--fast', '--act', '2', '--seconds', '5', SOURCES])
    for (const scene of [1, 2, 3, 4, 5]) await demo.line(new RegExp(`^Act 2, scene ${scene} of 5`))
    await demo.line(/^\d+ of \d+ claims held/)
    expect(await demo.ended()).toEqual({ code: 0, signal: null })
    expect(demo.out()).not.toMatch(/^Act 1/m)
    expect(demo.out()).toMatch(/^✓ Every task was completed exactly once.*\d+ tasks, \d+ leases, 0 otherwise$/m)
  })

  it('leaves no process and no file behind when it is interrupted', async () => {
    const demo = startStint(['demo', '--fast', SOURCES])
    const directory = await directoryOf(demo)
    const ends = await holdOn(demo, 5)
    await demo.line(/ registered$/)
    demo.kill('SIGINT')
    expect(await demo.ended()).toEqual({ code: 1, signal: null })
    await Promise.all(ends)
    expect(demo.err()).toContain('ended before its end')
    expect(existsSync(directory)).toBe(false)
  })

  it('leaves no process and no file behind when it is interrupted in its second act', async () => {
    const demo = startStint(['demo', '--fast', '--act', '2', SOURCES])
    const directory = await directoryOf(demo)
    const ends = await holdOn(demo, 2)
    await demo.line(/given back, busy/)
    demo.kill('SIGINT')
    expect(await demo.ended()).toEqual({ code: 1, signal: null })
    await Promise.all(ends)
    expect(existsSync(directory)).toBe(false)
  })

  it('leaves no process and no file behind when it is interrupted in its fourth act', async () => {
    const demo = startStint(['demo', '--fast', '--act', '4', SOURCES])
    const directory = await directoryOf(demo)
    const ends = await holdOn(demo, 4)
    await demo.line(/disk-1-copy {2}lost/)
    demo.kill('SIGINT')
    expect(await demo.ended()).toEqual({ code: 1, signal: null })
    await Promise.all(ends)
    expect(existsSync(directory)).toBe(false)
  })

  it('leaves no process behind when it is killed', async () => {
    const directory = join(folder, 'killed')
    const demo = startStint(['demo', '--fast', '--data', directory, SOURCES])
    const ends = await holdOn(demo, 5)
    demo.kill('SIGKILL')
    await demo.ended()
    await Promise.all(ends)
    expect(existsSync(directory)).toBe(true)
  })

  it('refuses what it cannot work with', async () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    expect(await stint(['demo', empty])).toMatchObject({ code: 2, err: expect.stringContaining('no Markdown or source files') as string })
    expect(await stint(['demo', join(folder, 'absent')])).toMatchObject({ code: 2, err: expect.stringContaining('There is no directory') as string })
    expect(await stint(['demo', '--data', SOURCES])).toMatchObject({ code: 2, err: expect.stringContaining('not empty') as string })
    expect(await stint(['demo', '--seconds', '1'])).toMatchObject({ code: 2, err: expect.stringContaining('Expected a number from 5 to 600') as string })
    expect(await stint(['demo', '--act', '5'])).toMatchObject({ code: 2, err: expect.stringContaining('Expected the number of an act') as string })
    expect((await stint(['demo', '--help'])).out).toContain('Examples:')
  })
})

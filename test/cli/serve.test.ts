// `stint serve` as a process: how it starts, refuses, stops, and comes back after a kill.
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { processes, type Running } from '../support/process.ts'

const { folder, serve, start, stint, startStint } = processes('cli-serve')

const data = (name: string): string => join(folder, name)
const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) })
const register = (url: string, id: string) => post(`${url}/v1/jobs`, { id, service: 'index', server: 'one' })

const stopped = async (server: Running, signal: NodeJS.Signals = 'SIGTERM') => {
  server.kill(signal)
  return server.ended()
}

/** Asks until the server has a long poll under way. */
const untilPolled = async (url: string): Promise<void> => {
  for (;;) {
    const figures = await (await fetch(`${url}/metrics`)).text()
    if (/^stint_\w*polls\w* 1$/m.test(figures)) return
  }
}

describe('serve', () => {
  it('says on stdout where it listens, and nothing else there', async () => {
    const server = await serve(['--data', ':memory:'])
    expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: 'ready' })
    expect(server.out()).toBe(`listening ${server.url}\n`)
    expect(await stopped(server)).toEqual({ code: 0, signal: null })
  })

  it('logs JSON lines to stderr off a terminal', async () => {
    const server = await serve(['--data', ':memory:'])
    await stopped(server)
    const messages = server
      .err()
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg)
    expect(messages).toEqual(['listening', 'stopping: what was taken is answered, nothing new is taken', 'stopped'])
  })

  it('answers a waiting poll at once when it is told to stop', async () => {
    const server = await serve(['--data', data('polled')])
    await register(server.url, 'polled')
    const path = `${server.url}/v1/jobs/polled/directive`
    const etag = (await fetch(path)).headers.get('etag') ?? ''
    const poll = fetch(path, { headers: { Prefer: 'wait=30', 'If-None-Match': etag } })
    await untilPolled(server.url)
    expect(await stopped(server, 'SIGINT')).toMatchObject({ code: 0 })
    const answer = await poll
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([304, '1'])
  })

  it('ends well however late the same request to stop is passed on to it', async () => {
    const server = await serve(['--data', ':memory:'])
    let over = false
    const ended = server.ended().finally(() => (over = true))
    while (!over) {
      server.kill('SIGTERM')
      await nextTurn()
    }
    expect(await ended).toEqual({ code: 0, signal: null })
  })

  it('ends at once when it is told to while it starts', async () => {
    // Whoever takes connections and never says anything.
    const mute = createServer().listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const asked = once(mute, 'connection')
    const starting = startStint(['serve', '--port', '0', '--data', data('starting'), '--store', `esdb://127.0.0.1:${(mute.address() as AddressInfo).port}?tls=false`])
    await asked
    starting.kill('SIGTERM')
    expect(await starting.ended()).toEqual({ code: 143, signal: null })
    expect(starting.err()).toContain('stint: SIGTERM before it had started: ending at once')
    mute.close()
  })

  it('has everything that it answered before it stopped', async () => {
    const server = await serve(['--data', data('answered')])
    const calls = Array.from({ length: 50 }, (_each, index) =>
      register(server.url, `job-${index}`).then(
        (answer) => ({ index, status: answer.status }),
        () => ({ index, status: 0 }),
      ),
    )
    await Promise.any(calls)
    expect(await stopped(server)).toMatchObject({ code: 0 })
    const answered = (await Promise.all(calls)).filter(({ status }) => status === 201)
    expect(answered.length).toBeGreaterThan(0)
    const again = await serve(['--data', data('answered')])
    for (const { index } of answered) expect((await fetch(`${again.url}/v1/jobs/job-${index}`)).status).toBe(200)
    await stopped(again)
  })

  it('comes back after kill -9 with everything that it answered', async () => {
    const server = await serve(['--data', data('killed')])
    for (const id of ['a', 'b', 'c']) expect((await register(server.url, id)).status).toBe(201)
    expect(await stopped(server, 'SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
    const again = await serve(['--data', data('killed')])
    for (const id of ['a', 'b', 'c']) expect(await (await fetch(`${again.url}/v1/jobs/${id}`)).json()).toMatchObject({ id, state: 'running' })
    await stopped(again)
    expect(await stint(['verify', '--data', data('killed')])).toMatchObject({ code: 0 })
  })
})

describe('serve on a disk that fails', () => {
  it('refuses what it cannot store, exits with 70, and has the rest after a restart', async (context) => {
    if (process.platform === 'win32') context.skip('file sizes cannot be limited here')
    const cli = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
    const limited = `trap '' XFSZ; ulimit -f 1024; exec "${process.execPath}" "${cli}" serve --port 0 --data "${data('failing')}"`
    const server = start('sh', ['-c', limited])
    const [, url = ''] = await server.line(/^listening (\S+)$/)
    const stored: string[] = []
    for (let index = 0; ; index += 1) {
      const id = `job-${index}`
      const answer = await post(`${url}/v1/jobs`, { id, service: 'index', server: 'one', attributes: { filler: 'x'.repeat(12_000) } }).catch(() => undefined)
      if (answer?.status !== 201) {
        expect([503, undefined]).toContain(answer?.status)
        break
      }
      stored.push(id)
    }
    expect(await server.ended()).toEqual({ code: 70, signal: null })
    expect(server.err()).toMatch(/"level":60/)
    expect(server.err()).toContain('stint: The log cannot be written any more')
    expect(stored.length).toBeGreaterThan(0)
    const again = await serve(['--data', data('failing')])
    for (const id of stored) expect((await fetch(`${again.url}/v1/jobs/${id}`)).status).toBe(200)
    await stopped(again)
  })
})

describe('jobs wait', () => {
  it('outlives a kill -9 of the server that it asks', async () => {
    const server = await serve(['--data', data('outlived')])
    const { lease } = (await (await register(server.url, 'outlived')).json()) as { lease: string }
    const waiting = startStint(['jobs', 'wait', 'outlived', '--url', server.url])
    await waiting.line(/Waiting for job outlived/)
    await stopped(server, 'SIGKILL')
    await waiting.line(/The server does not answer; waiting for it/)
    const again = await serve(['--data', data('outlived'), '--port', new URL(server.url).port])
    await post(`${again.url}/v1/jobs/outlived/reports`, { lease, outcome: { completed: {} } })
    expect(await waiting.ended()).toMatchObject({ code: 0 })
    await stopped(again)
  })
})

describe('serve refuses', () => {
  it('a data directory that another server has, and says who', async () => {
    const server = await serve(['--data', data('shared')])
    const second = await stint(['serve', '--port', '0', '--data', data('shared')])
    expect(second).toMatchObject({ code: 4, out: '' })
    expect(second.err).toContain(`in use by process ${server.pid} on `)
    await stopped(server)
  })

  it('a port that is taken, and leaves the data directory free', async () => {
    const server = await serve(['--data', ':memory:'])
    const port = new URL(server.url).port
    const second = await stint(['serve', '--port', port, '--data', data('port-taken')])
    expect(second).toMatchObject({ code: 4, err: expect.stringContaining(`127.0.0.1:${port} is taken`) })
    const elsewhere = await serve(['--data', data('port-taken')])
    await stopped(elsewhere)
    await stopped(server)
  })

  it('an address that others can reach, without auth', async () => {
    expect(await stint(['serve', '--host', '0.0.0.0', '--port', '0', '--data', data('open')])).toMatchObject({ code: 2, err: expect.stringContaining('--auth tokens') })
  })

  it('settings that do not exist, by their place', async () => {
    const cwd = data('settings')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'stint.yaml'), 'data: ":memory:"\nprot: 7070\n')
    expect(await stint(['serve', '--port', 'seven'], { cwd })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/stint\.yaml:2:1: prot is no setting[^]*--port: Expected a number\./),
    })
  })

  it('a directory whose log is none', async () => {
    mkdirSync(data('odd'))
    writeFileSync(join(data('odd'), 'stint.db'), 'this is not a database, and it is long enough to look like one, page after page.'.repeat(100))
    const { code, err } = await stint(['serve', '--port', '0', '--data', data('odd')])
    expect(code).toBe(1)
    expect(err).toMatch(/^stint: .*stint\.db/)
  })
})

describe('the settings of serve', () => {
  it('come from the environment and from stint.yaml', async () => {
    const cwd = data('yaml')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'stint.yaml'), 'data: ":memory:"\nlogLevel: silent\n')
    const server = startStint(['serve'], { cwd, env: { STINT_PORT: '0' } })
    await server.line(/^listening /)
    expect(await stopped(server)).toMatchObject({ code: 0 })
    expect(server.err()).toBe('')
  })
})

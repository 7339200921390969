// Three servers over one log behind the proxy of deploy/, as its file configures it: polls and streams go through, a server may be killed or stopped under callers, and without
// the store what can be read is read.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { pause, realWorld } from '../../src/world.ts'
import { startDouble, type Double } from '../support/kurrent-double/double.ts'
import { processes, type Running } from '../support/process.ts'
import { readStream } from '../support/sse.ts'

const CONFIGURATION = join(import.meta.dirname, '..', '..', 'deploy', 'haproxy.cfg')
const TIMEOUT_MS = 180_000
const POLL_SECONDS = 60
const LOOK_MS = 100
const NAMES = ['stint-1', 'stint-2', 'stint-3']

const { folder, serve, start } = processes('proxy', { patienceMs: 120_000 })
const haproxy = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/usr/bin/haproxy'].find(existsSync)

let double: Double | undefined
let servers: (Running & { readonly url: string })[] = []
let url = ''
let token = ''

const serveNamed = (name: string) =>
  serve([
    '--server',
    name,
    '--data',
    join(folder, name),
    '--config',
    join(folder, 'config'),
    '--store',
    double?.connectionString ?? '',
    '--auth',
    'tokens',
    '--shutdown-seconds',
    '5',
  ])

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const run = (program: string, args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> =>
  new Promise((resolve) => execFile(program, args, (error, out, err) => resolve({ code: error === null ? 0 : 1, said: out + err })))

/** The file as it is but for addresses: the servers' are here, and whoever calls comes without TLS. */
const configured = (port: number, alive: number): string => {
  let text = readFileSync(CONFIGURATION, 'utf8')
    .replace(/bind :8443 .*/, `bind 127.0.0.1:${port}`)
    .replace('127.0.0.1:8404', `127.0.0.1:${alive}`)
  for (const [index, name] of NAMES.entries()) text = text.replaceAll(`server ${name} ${name}:7070`, `server ${name} ${servers[index]?.url.replace('http://', '') ?? ''}`)
  return text
}

const call = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${url}${path}`, { ...init, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...init.headers } })
const put = (queue: string, id: string): Promise<Response> => call(`/v1/queues/shop/${queue}/tasks`, { method: 'POST', body: JSON.stringify({ id, payload: id }) })
const lease = (queue: string, seconds: number): Promise<Response> =>
  call(`/v1/queues/shop/${queue}/tasks/lease`, { method: 'POST', body: '{"max":1}', headers: { Prefer: `wait=${seconds}` } })

/** Looks until it is so; a test that waits in vain ends with its own time. */
const eventually = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await pause(realWorld, LOOK_MS)
}

beforeAll(async () => {
  if (haproxy === undefined) return
  mkdirSync(join(folder, 'config', 'apps', 'shop'), { recursive: true })
  const list = ['user_email', 'writer_email'].map((right) => `      - ${right}: admin@localhost\n`).join('')
  writeFileSync(
    join(folder, 'config', 'apps', 'shop', 'queue.yaml'),
    `queue:\n${['quiet', 'busy', 'polled'].map((name) => `  - name: ${name}\n    mode: pull\n    acl:\n${list}`).join('')}`,
  )
  double = await startDouble()
  const first = await serveNamed('stint-1')
  ;[, token = ''] = await first.line(/^token (\S+)$/)
  servers = [first, ...(await Promise.all(['stint-2', 'stint-3'].map(serveNamed)))]
  const [port, alive] = [await freePort(), await freePort()]
  url = `http://127.0.0.1:${port}`
  writeFileSync(join(folder, 'haproxy.cfg'), configured(port, alive))
  const proxy = start(haproxy, ['-f', join(folder, 'haproxy.cfg')])
  const failed = proxy.ended().then(() => Promise.reject(new Error(`The proxy has ended: ${proxy.err()}`)))
  failed.catch(() => undefined)
  const ready = eventually(() =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  await Promise.race([ready, failed])
}, TIMEOUT_MS)

afterAll(async () => {
  await double?.close()
})

const needsProxy = (context: TestContext): string => haproxy ?? context.skip('no HAProxy: it is not installed (Debian: haproxy)')

describe('the proxy of deploy/', { timeout: TIMEOUT_MS }, () => {
  it('takes its file as it is', async (context) => {
    const program = needsProxy(context)
    const pem = join(folder, 'certificate.pem')
    const made = await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=stint.example', '-days', '2', '-keyout', `${pem}.key`, '-out', `${pem}.crt`])
    if (made.code !== 0) context.skip(`no certificate to try it with: ${made.said}`)
    writeFileSync(pem, readFileSync(`${pem}.crt`, 'utf8') + readFileSync(`${pem}.key`, 'utf8'))
    const file = join(folder, 'as-it-is.cfg')
    writeFileSync(file, readFileSync(CONFIGURATION, 'utf8').replace('/run/secrets/certificate', pem))
    expect(await run(program, ['-c', '-f', file])).toMatchObject({ code: 0, said: expect.stringContaining('Configuration file is valid') })
  })

  it('lets polls wait as long as they may, and streams flow as they are written', async (context) => {
    needsProxy(context)
    const startedAt = realWorld.monotonic()
    const longest = lease('quiet', POLL_SECONDS)

    const stream = await readStream(`${url}/v1/events?kind=task`, { Authorization: `Bearer ${token}` })
    expect(stream.response.headers['content-type']).toContain('text/event-stream')
    const polled = lease('polled', 30)
    expect((await put('polled', 'seen')).status).toBe(201)
    expect(await (await polled).json()).toMatchObject({ items: [{ id: 'seen' }] })
    // Told while the stream is open, and not when it ends.
    expect(await stream.until('seen')).toContain('TaskInserted')
    stream.close()
    expect(realWorld.monotonic() - startedAt).toBeLessThan(20_000)

    const answer = await longest
    expect([answer.status, await answer.json()]).toEqual([200, { items: [] }])
    expect(realWorld.monotonic() - startedAt).toBeGreaterThan((POLL_SECONDS - 1) * 1_000)
  })

  it('shows nobody outside what is said among servers', async (context) => {
    needsProxy(context)
    expect((await call('/metrics')).status).toBe(404)
    expect((await fetch(`${servers[0]?.url}/metrics`)).status).toBe(200)
    // A call that says it was passed on already would be refused where another server leads; all are asked.
    const answers = await Promise.all(NAMES.map(() => call('/v1/queues/shop/quiet/tasks/lease', { method: 'POST', body: '{}', headers: { 'Stint-Forwarded': '1' } })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('has callers go on while one server is killed and another is stopped', async (context) => {
    needsProxy(context)
    const stint = connect({ url, token })
    const handled = new Map<string, number>()
    let news = Promise.withResolvers<void>()
    const worker = stint.worker({ app: 'shop', queue: 'busy', concurrency: 4, leaseSeconds: 5, waitSeconds: 5, isBusy: () => false, onProblem: () => undefined }, ({ id }) => {
      handled.set(id, (handled.get(id) ?? 0) + 1)
      news.resolve()
      news = Promise.withResolvers()
    })
    const producer = stint.producer({ app: 'shop', queue: 'busy', retrySeconds: 120 })
    let isOver = false
    let number = 0
    const putting = (async () => {
      while (!isOver) await producer.put({}, { id: `b-${(number += 1)}` })
    })()
    const more = async (count: number): Promise<void> => {
      const goal = handled.size + count
      while (handled.size < goal) await news.promise
    }
    await more(20)
    servers[0]?.kill('SIGKILL')
    await more(40)
    // A stop: it answers what it took, and the proxy learns that it takes no more.
    servers[1]?.kill('SIGTERM')
    expect(await servers[1]?.ended()).toMatchObject({ code: 0 })
    await more(40)
    isOver = true
    await putting
    while (handled.size < number) await news.promise
    await stint.close()
    await worker.closed
    expect([...handled.values()].filter((count) => count > 1).length).toBeLessThanOrEqual(4)
  })

  it('has lists answered and commands refused by Stint itself while the store is away, and all answered when it is back', async (context) => {
    needsProxy(context)
    await double?.node.stop()
    await eventually(async () => {
      const refused = await put('quiet', 'meanwhile')
      await refused.arrayBuffer()
      return refused.status === 503 && refused.headers.has('Retry-After')
    })
    expect((await call('/v1/queues/shop/busy/tasks?limit=1')).status).toBe(200)
    await double?.node.start()
    await eventually(async () => (await put('quiet', 'after')).ok)
  })
})

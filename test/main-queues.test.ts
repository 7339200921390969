// A server with queue files: what it starts with, what it refuses to start with, and how it takes up changes while it runs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { verifyWebhook } from '../src/client/index.ts'
import { loadConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import { startServer, type RunningServer } from '../src/main.ts'
import type { ServerConfig } from '../src/settings.ts'
import { realWorld } from '../src/world.ts'
import { startReceiver } from './support/receiver.ts'

const directory = (files: Readonly<Record<string, string>> = {}) => {
  const root = mkdtempSync(join(tmpdir(), 'stint-served-files-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  return { root, write }
}

const start = async (configDirectory: string, given: Partial<ServerConfig> = {}) => {
  const defaults = loadConfig({})
  if (E.isLeft(defaults)) throw new Error('The defaults fit together')
  const said: string[] = []
  const listeners = new Set<() => void>()
  const write = (line: string): void => {
    said.push(line)
    for (const listener of listeners) listener()
  }
  const log = createLog({ level: 'info', world: realWorld, human: false, write })
  const server = await startServer({ ...defaults.right, port: 0, data: ':memory:', ...given }, { world: realWorld, log, configDirectory })
  onTestFinished(() => server.close())
  let read = said.length
  /** Resolves when something is logged that matches, since the start or since what was heard last. */
  const heard = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        const at = said.findIndex((line, index) => index >= read && pattern.test(line))
        if (at === -1) return
        read = at + 1
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
    })
  return { server, heard }
}

const ask = async ({ url }: RunningServer, path: string, body?: unknown, as?: string) => {
  const headers = { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...(as === undefined ? {} : { 'Stint-As': as }) }
  const response = await fetch(url + path, { method: body === undefined ? 'GET' : 'POST', headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  return { status: response.status, body: (await response.json()) as Record<string, never> & { items: { queue: string }[] } }
}

const MAIL = `queue:
- name: mail
  mode: pull
  retry_parameters: {task_retry_limit: 3}
  acl:
  - user_email: worker@shop.example
  - writer_email: producer@shop.example
`

describe('a server with queue files', () => {
  it('serves the queues that they name, and no other', async () => {
    const { root } = directory({ 'apps/shop/queue.yaml': MAIL, 'apps/shop/stint-queue.yaml': 'queues:\n  mail: {defaultLeaseSeconds: 5}\n' })
    const { server } = await start(root)
    const listed = await ask(server, '/v1/queues')
    expect(listed.body.items).toMatchObject([
      { app: 'shop', queue: 'mail', state: 'open', settings: { retryLimit: 3, defaultLeaseSeconds: 5, users: ['worker@shop.example'], writers: ['producer@shop.example'] } },
    ])
    expect((await ask(server, '/v1/queues/shop/mail/tasks', { payload: 1 }, 'producer@shop.example')).status).toBe(201)
    expect((await ask(server, '/v1/queues/shop/mail/tasks', { payload: 1 }, 'worker@shop.example')).status).toBe(403)
    expect((await ask(server, '/v1/queues/shop/other/tasks', { payload: 1 })).status).toBe(404)
  })

  it('stores no more than total_storage_limit says, over all queues of the app and by both doors', async () => {
    const entry = (name: string): string => `- name: ${name}\n  mode: pull\n`
    const { root } = directory({
      'apps/shop/queue.yaml': `total_storage_limit: 12B\nqueue:\n${entry('mail')}${entry('orders')}`,
      'apps/bank/queue.yaml': `queue:\n${entry('mail')}`,
    })
    const { server } = await start(root)
    const put = (queue: string, payload: string) => ask(server, `/v1/queues/${queue}/tasks`, { payload })
    const insert = (payload: string) => ask(server, '/taskqueue/v1beta2/projects/shop/taskqueues/orders/tasks', { payloadBase64: Buffer.from(payload).toString('base64url') })
    expect((await put('shop/mail', '12345678')).status).toBe(201)
    expect(await put('shop/orders', '1')).toMatchObject({ status: 429, body: { code: 'over-quota' } })
    expect(await insert('123')).toMatchObject({ status: 429, body: { error: { code: 429, errors: [{ domain: 'usageLimits', reason: 'quotaExceeded' }] } } })
    expect((await insert('12')).status).toBe(200)
    expect((await put('bank/mail', 'of another app')).status).toBe(201)
    expect((await ask(server, '/v1/queues/shop/mail')).body).toMatchObject({ storedBytes: 12, settings: { storageLimitBytes: 12 } })
  })

  it('lists push queues and does not serve them', async () => {
    const { root } = directory({ 'apps/shop/queue.yaml': 'queue:\n- name: pushed\n  rate: 5/s\n' })
    const { server } = await start(root)
    expect((await ask(server, '/v1/queues')).body.items).toMatchObject([{ queue: 'pushed', state: 'open', settings: { mode: 'push' } }])
    for (const path of ['tasks', 'tasks/lease']) expect(await ask(server, `/v1/queues/shop/pushed/${path}`, {})).toMatchObject({ status: 409, body: { code: 'not-served' } })
    expect(await ask(server, '/taskqueue/v1beta2/projects/shop/taskqueues/pushed/tasks')).toMatchObject({
      status: 400,
      body: { error: { errors: [{ reason: 'INVALID_QUEUE_MODE' }] } },
    })
  })

  it('has every queue where there are neither files nor auth', async () => {
    const { server } = await start(directory().root)
    expect((await ask(server, '/v1/queues/any/thing/tasks', { payload: 1 })).status).toBe(201)
    expect((await ask(server, '/v1/queues')).body.items).toMatchObject([{ app: 'any', queue: 'thing', waiting: 1 }])
  })

  it('refuses to start with a file that is bad, and says where', async () => {
    const { root } = directory({ 'apps/shop/queue.yaml': MAIL, 'apps/bank/queue.yaml': 'queue:\n- name: mail\n  mood: pull\n' })
    await expect(start(root)).rejects.toThrow(/bank\/queue\.yaml:3:3: .*mood/)
  })

  it('takes a changed file up, and keeps the last good one when the next is bad', async () => {
    const { root, write } = directory({ 'apps/shop/queue.yaml': MAIL })
    const { server, heard } = await start(root)
    write('apps/shop/queue.yaml', `${MAIL}- name: orders\n  mode: pull\n`)
    await heard(/shop\/orders/)
    expect((await ask(server, '/v1/queues')).body.items.map(({ queue }) => queue)).toEqual(['mail', 'orders'])
    write('apps/shop/queue.yaml', 'queue:\n- name: two words\n  mode: pull\n')
    await heard(/queue\.yaml:2:9/)
    const degraded = await ask(server, '/readyz')
    expect([degraded.status, degraded.body]).toMatchObject([200, { status: 'degraded' }])
    const listed = await ask(server, '/v1/queues')
    expect(listed.body).toMatchObject({ fileErrors: [{ line: 2, column: 9, code: 'form' }] })
    expect(listed.body.items.map(({ queue }) => queue)).toEqual(['mail', 'orders'])
    write('apps/shop/queue.yaml', MAIL)
    await heard(/changed these queues: shop\/orders/)
    expect((await ask(server, '/readyz')).body).toMatchObject({ status: 'ready' })
    expect((await ask(server, '/v1/queues/shop/orders')).body).toMatchObject({ state: 'removed' })
    expect((await ask(server, '/v1/queues/shop/orders/tasks', { payload: 1 })).body).toMatchObject({ code: 'queue-removed' })
  })

  it('does not go back to a file that was left behind, and says so', async () => {
    const { root, write } = directory({ 'apps/shop/queue.yaml': MAIL })
    const data = join(root, 'data')
    const first = await start(root, { data })
    write('apps/shop/queue.yaml', MAIL.replace('task_retry_limit: 3', 'task_retry_limit: 7'))
    await first.heard(/changed these queues: shop\/mail/)
    await first.server.close()
    write('apps/shop/queue.yaml', MAIL)
    const second = await start(root, { data })
    const listed = await ask(second.server, '/v1/queues')
    expect(listed.body.items).toMatchObject([{ settings: { retryLimit: 7 } }])
    expect(listed.body).toMatchObject({ warnings: [expect.stringContaining('shop/mail')] })
  })

  it('keeps the queues of the log when the directory of apps is not there, with auth', async () => {
    const { root } = directory({ 'apps/shop/queue.yaml': MAIL })
    const data = join(root, 'data')
    const first = await start(root, { data, auth: 'tokens' })
    await first.server.close()
    rmSync(join(root, 'apps'), { recursive: true })
    const second = await start(root, { data, auth: 'tokens' })
    expect(second.server.engine.queues.list()).toMatchObject([{ key: 'shop/mail', status: 'open' }])
  })
})

describe('a webhook in a queue file', () => {
  const SECRET = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
  const withSecret = (name: string): string => {
    process.env[name] = SECRET
    onTestFinished(() => void delete process.env[name])
    return name
  }
  const webhook = (url: string, more = ''): string => `queues:\n  mail:\n    webhook: {url: "${url}", debounceSeconds: 0${more}}\n`

  it('is told that work has come, signed with the secret that the environment holds', async () => {
    const receiver = await startReceiver()
    onTestFinished(receiver.close)
    const secretEnv = withSecret('STINT_TEST_MAIL_SECRET')
    const { root } = directory({ 'apps/shop/queue.yaml': MAIL, 'apps/shop/stint-queue.yaml': webhook(`${receiver.url}/work`, `, secretEnv: ${secretEnv}`) })
    const { server } = await start(root)
    expect((await ask(server, '/v1/queues/shop/mail/tasks', { payload: 1 }, 'producer@shop.example')).status).toBe(201)
    const { headers, body } = await receiver.until(1)
    expect(await verifyWebhook(headers, body, SECRET)).toMatchObject({ id: headers['webhook-id'] })
    expect(JSON.parse(body)).toMatchObject({ type: 'queue.ready', app: 'shop', queue: 'mail', waiting: 1 })
    expect(headers['user-agent']).toMatch(/^Stint\/\d+\.\d+\.\d+/)
  })

  it('that is not on the allow-list is off, and a warning says so; the queue works', async () => {
    const secretEnv = withSecret('STINT_TEST_OTHER_SECRET')
    const { root, write } = directory({ 'apps/shop/queue.yaml': MAIL, 'apps/shop/stint-queue.yaml': webhook('https://elsewhere.example/', `, secretEnv: ${secretEnv}`) })
    const { server, heard } = await start(root, { allowUrls: ['https://hooks.example.com'] })
    const off = 'Its URL matches no pattern of the setting allowUrls.'
    expect((await ask(server, '/v1/queues')).body).toMatchObject({ items: [{ webhook: { state: 'off', off } }], warnings: [`shop/mail: its webhook is off. ${off}`] })
    expect((await ask(server, '/v1/queues/shop/mail/tasks', { payload: 1 }, 'producer@shop.example')).status).toBe(201)
    write('apps/shop/stint-queue.yaml', webhook('https://hooks.example.com/', ', secretEnv: STINT_TEST_NOBODY'))
    await heard(/its webhook is off\. The environment of this server has no variable STINT_TEST_NOBODY/)
    write('apps/shop/stint-queue.yaml', webhook('https://hooks.example.com/'))
    await heard(/stint-queue\.yaml:3:14: .*secretEnv/)
  })

  it('may call this machine only where no auth is configured, or the list names it', async () => {
    const { root } = directory({ 'apps/shop/queue.yaml': MAIL, 'apps/shop/stint-queue.yaml': webhook('http://127.0.0.1:9/') })
    const states = async (given: Partial<ServerConfig>) => {
      const { server } = await start(root, given)
      return server.engine.queues.get({ app: 'shop', queue: 'mail' })?.webhook?.off
    }
    expect([await states({}), await states({ auth: 'tokens' }), await states({ auth: 'tokens', allowUrls: ['http://127.0.0.1:*'] })]).toEqual([
      undefined,
      'Its URL matches no pattern of the setting allowUrls.',
      undefined,
    ])
  })
})

// The v1beta2 Task Queue API over bare HTTP: what the client libraries do not send, or hide from those who use them.
import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { taskId } from '../../src/domain/ids.ts'
import { closeAll, startApi } from '../support/api.ts'
import { right, settle } from '../support/engine.ts'
import { base64, openStage, PRODUCER, STRANGER, WORKER, type Stage } from './stage.ts'

const zip = promisify(gzip)
const unzip = promisify(gunzip)

const MAIL = '/taskqueue/v1beta2/projects/shop/taskqueues/mail'

interface Sent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

interface Got {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
  readonly body: any
}

let stage: Stage

/** Sends a request as it is, without a token unless it brings one. */
const bare = async (path: string, { method = 'GET', headers = {}, body }: Sent = {}, url = stage.url): Promise<Got> => {
  const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body: body as BodyInit }) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

const send = async (email: string, path: string, sent: Sent = {}): Promise<Got> =>
  bare(path, { ...sent, headers: { Authorization: `Bearer ${await stage.token(email)}`, ...sent.headers } })

const json = { 'Content-Type': 'application/json' }
const insert = (task: object, path = `${MAIL}/tasks`): Promise<Got> => send(PRODUCER, path, { method: 'POST', headers: json, body: JSON.stringify(task) })
const put = async (id: string, more: object = {}): Promise<void> => {
  expect((await insert({ id, payloadBase64: base64(id), ...more })).status).toBe(200)
}
const post = (path: string, sent: Sent = {}): Promise<Got> => send(WORKER, path, { method: 'POST', ...sent })
const reasonOf = ({ status, body }: Got): readonly unknown[] => [status, body?.error?.errors?.[0]?.reason]

const raw = async (text: string): Promise<string> => {
  const socket = connect(stage.port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => (answer += chunk))
  socket.write(text)
  await once(socket, 'close')
  return answer
}

beforeEach(async () => {
  stage = await openStage()
})
afterEach(async () => {
  await closeAll()
  expect(stage.errors).toEqual([])
})

describe('a lease call', () => {
  it.each([
    ['no body and no type', ''],
    ['no body and the type of a form', 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n'],
    ['no body, the type of a form and no length', 'Content-Type: application/x-www-form-urlencoded\r\n'],
  ])('needs %s', async (_what, headers) => {
    await put('one')
    const answer = await raw(
      `POST ${MAIL}/tasks/lease?numTasks=1&leaseSecs=60 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${await stage.token(WORKER)}\r\n${headers}Connection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toContain('"id":"one"')
  })

  it('passes over a body that it is sent', async () => {
    await put('one')
    expect((await post(`${MAIL}/tasks/lease?numTasks=1&leaseSecs=60`, { headers: json, body: 'no json' })).body.items).toHaveLength(1)
  })

  it.each(['numTasks=1', 'leaseSecs=60', ''])('names the parameter that is missing: ?%s', async (query) => {
    const answer = await post(`${MAIL}/tasks/lease?${query}`)
    expect(reasonOf(answer)).toEqual([400, 'INVALID_REQUEST'])
    const [error] = answer.body.error.errors
    expect([error.locationType, error.message]).toEqual(['parameter', `Required parameter: ${error.location}`])
  })

  it('refuses a parameter that is given twice', async () => {
    expect(reasonOf(await post(`${MAIL}/tasks/lease?numTasks=1&numTasks=2&leaseSecs=60`))).toEqual([400, 'INVALID_REQUEST'])
  })

  it('takes spaces in a tag however they are spelled, and yes and no however they are', async () => {
    await put('one', { tag: 'a b' })
    await put('two', { tag: 'a b' })
    const lease = async (query: string): Promise<number> => (await post(`${MAIL}/tasks/lease?numTasks=1&leaseSecs=60&${query}`)).body.items?.length ?? 0
    expect([await lease('groupByTag=True&tag=a%20b'), await lease('groupByTag=1&tag=a+b'), await lease('groupByTag=0')]).toEqual([1, 1, 0])
  })

  it('gives back what it leased when nobody is there to read the answer', async () => {
    const size = 1024 * 1024
    const payloadBase64 = Buffer.alloc(size, 1).toString('base64url')
    await Promise.all(Array.from({ length: 8 }, (_each, index) => insert({ id: `large-${index}`, payloadBase64 })))
    const socket = connect(stage.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(`POST ${MAIL}/tasks/lease?numTasks=8&leaseSecs=600 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${await stage.token(WORKER)}\r\n\r\n`)
    await once(socket, 'readable')
    socket.destroy()
    await once(socket, 'close')
    for (let index = 0; index < 8; index += 1) {
      const workItem = taskId('shop', 'mail', `large-${index}`)
      while (stage.engine.live(workItem)?.status === 'running') await stage.engine.changed(workItem, 60_000)
      const item = stage.engine.live(workItem)
      expect([item?.status, item?.attempt, item?.ended?.how]).toEqual(['waiting', 0, 'released'])
    }
  })

  it('carries as many bytes as fit, and the rest in the next', async () => {
    const payloadBase64 = Buffer.alloc(1024 * 1024, 1).toString('base64url')
    await Promise.all(Array.from({ length: 25 }, (_each, index) => insert({ id: `large-${index}`, payloadBase64 })))
    const first = await post(`${MAIL}/tasks/lease?numTasks=1000&leaseSecs=60`)
    expect(first.text.length).toBeLessThan(32 * 1024 * 1024)
    const second = await post(`${MAIL}/tasks/lease?numTasks=1000&leaseSecs=60`)
    expect(first.body.items.length + second.body.items.length).toBe(25)
  })
})

describe('a verb', () => {
  const leaseOne = async (): Promise<{ readonly id: string; readonly leaseTimestamp: string }> => {
    await put('one')
    return (await post(`${MAIL}/tasks/lease?numTasks=1&leaseSecs=60`)).body.items[0]
  }

  it.each(['X-HTTP-Method-Override', 'X-HTTP-Method', 'x-http-method-override'])('can be put in the place of POST by %s', async (header) => {
    await leaseOne()
    const patched = await post(`${MAIL}/tasks/one?newLeaseSeconds=0`, { headers: { ...json, [header]: 'PATCH' }, body: '{"queueName":"mail"}' })
    expect([patched.status, patched.body.retry_count]).toEqual([200, 1])
    expect((await post(`${MAIL}/tasks/one`, { headers: { [header]: 'delete' } })).status).toBe(204)
    expect(reasonOf(await send(WORKER, `${MAIL}/tasks/one`))).toEqual([404, 'UNKNOWN_TASK'])
  })

  it('is not put in the place of any other', async () => {
    await put('one')
    expect((await send(WORKER, `${MAIL}/tasks/one`, { headers: { 'X-HTTP-Method-Override': 'DELETE' } })).body.id).toBe('one')
  })

  it('that a path does not know is told the ones that it does', async () => {
    for (const [method, path, allow] of [
      ['PUT', `${MAIL}/tasks/one`, 'DELETE, POST, PATCH, GET'],
      ['DELETE', `${MAIL}/tasks`, 'POST, GET'],
      ['POST', MAIL, 'GET'],
    ] as const) {
      const answer = await send(WORKER, path, { method })
      expect([answer.status, answer.headers.get('allow'), answer.body.error.code]).toEqual([405, allow, 405])
    }
  })

  it('HEAD gets what GET does, without a body', async () => {
    await put('one')
    const answer = await send(WORKER, `${MAIL}/tasks/one`, { method: 'HEAD' })
    expect([answer.status, answer.text, Number(answer.headers.get('content-length')) > 100]).toEqual([200, '', true])
  })

  it('reaches a task that is named as a method is', async () => {
    await put('lease')
    expect((await send(WORKER, `${MAIL}/tasks/lease`)).body.id).toBe('lease')
    expect((await send(WORKER, `${MAIL}/tasks/lease`, { method: 'DELETE' })).status).toBe(204)
  })
})

describe('a body', () => {
  const insertBytes = (body: string | Buffer, headers: Readonly<Record<string, string>> = json): Promise<Got> => send(PRODUCER, `${MAIL}/tasks`, { method: 'POST', headers, body })

  it.each([
    ['that is no JSON', 'payloadBase64=aGk='],
    ['that is a list', '[]'],
    ['that is a text', '"task"'],
    ['that is empty', ''],
    ['with a number for a name', '{"id":1,"payloadBase64":""}'],
    ['with a list for a payload', '{"payloadBase64":[]}'],
    ['with half a character for a tag', '{"payloadBase64":"","tag":"\\ud800"}'],
    ['with a fraction for a time', '{"payloadBase64":"","leaseTimestamp":1.5}'],
    ['with a prototype', '{"payloadBase64":"","__proto__":{}}'],
    ['that nests deeply', `{"payloadBase64":"","x":${'['.repeat(100)}${']'.repeat(100)}}`],
  ])('%s is refused', async (_what, body) => {
    expect(reasonOf(await insertBytes(body))).toEqual([400, 'INVALID_REQUEST'])
  })

  it('must say that it is JSON', async () => {
    expect(reasonOf(await insertBytes('{"payloadBase64":""}', { 'Content-Type': 'application/x-www-form-urlencoded' }))).toEqual([400, 'INVALID_REQUEST'])
    expect((await insertBytes('{"payloadBase64":""}', { 'Content-Type': 'application/json; charset=UTF-8' })).status).toBe(200)
  })

  it('may hold what only the server knows, what nobody knows, and nulls', async () => {
    const task = { kind: 'x', enqueueTimestamp: '1', retry_count: 7, id: null, tag: null, leaseTimestamp: null, queueName: null, more: {}, payloadBase64: '' }
    const { status, body } = await insert(task)
    expect([status, body.kind, body.retry_count, body.tag]).toEqual([200, 'taskqueues#task', 0, undefined])
    expect(body.enqueueTimestamp).toBe(String(stage.world.now() * 1_000))
  })

  it('may give a time as a number, and one that no clock reaches is refused', async () => {
    const eta = stage.world.now() * 1_000 + 5_000_000
    expect((await insert({ id: 'number', payloadBase64: '', leaseTimestamp: eta })).body.leaseTimestamp).toBe(String(eta))
    expect(reasonOf(await insert({ payloadBase64: '', leaseTimestamp: '9223372036854775807' }))).toEqual([400, 'INVALID_ETA'])
    expect((await insert({ id: 'negative', payloadBase64: '', leaseTimestamp: '-5' })).body.leaseTimestamp).toBe(String(stage.world.now() * 1_000))
  })

  it('may be zipped', async () => {
    const zipped = await zip(JSON.stringify({ id: 'zipped', payloadBase64: base64('hello'.repeat(1_000)) }))
    expect((await insertBytes(zipped, { ...json, 'Content-Encoding': 'gzip' })).body.id).toBe('zipped')
    expect(reasonOf(await insertBytes('no zip', { ...json, 'Content-Encoding': 'gzip' }))).toEqual([400, 'INVALID_REQUEST'])
    expect(reasonOf(await insertBytes(zipped, { ...json, 'Content-Encoding': 'br' }))).toEqual([400, 'INVALID_REQUEST'])
  })

  it('that unzips to more than it may be is not unzipped', async () => {
    const bomb = await zip(Buffer.alloc(64 * 1024 * 1024))
    expect(bomb.length).toBeLessThan(100_000)
    expect(reasonOf(await insertBytes(bomb, { ...json, 'Content-Encoding': 'gzip' }))).toEqual([400, 'TASK_TOO_LARGE'])
  })

  it('that grows too large in chunks is refused on the way', async () => {
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
    const answer = await raw(
      `POST ${MAIL}/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${await stage.token(PRODUCER)}\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(30)}0\r\n\r\n`,
    )
    expect(answer).toContain('TASK_TOO_LARGE')
  })
})

describe('an answer', () => {
  it('is JSON in UTF-8, on one line unless asked otherwise, and says where the log stands', async () => {
    await put('one')
    const plain = await send(WORKER, `${MAIL}/tasks/one`)
    expect([plain.headers.get('content-type'), plain.text.includes('\n')]).toEqual(['application/json; charset=UTF-8', false])
    expect(plain.headers.get('stint-position')).not.toBeNull()
    expect(plain.headers.get('cache-control')).toBe('no-store')
    expect((await send(WORKER, `${MAIL}/tasks/one?prettyPrint=true`)).text).toContain('\n "id": "one"')
    expect(reasonOf(await send(WORKER, `${MAIL}/tasks/one?prettyPrint=perhaps`))).toEqual([400, 'INVALID_REQUEST'])
  })

  it('has no other form', async () => {
    expect(reasonOf(await send(WORKER, `${MAIL}/tasks?alt=atom`))).toEqual([400, 'INVALID_REQUEST'])
    expect((await send(WORKER, `${MAIL}/tasks?alt=json`)).status).toBe(200)
  })

  it('is zipped for whoever takes that, if it is worth it', async () => {
    await put('one', { payloadBase64: base64('hello'.repeat(10_000)) })
    await put('two')
    const raws = async (task: string, accepted: string): Promise<string> =>
      raw(
        `GET ${MAIL}/tasks/${task} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${await stage.token(WORKER)}\r\nAccept-Encoding: ${accepted}\r\nConnection: close\r\n\r\n`,
      )
    expect(await raws('one', 'gzip')).toMatch(/Content-Encoding: gzip\r\n/)
    expect(await raws('one', 'deflate, gzip;q=0.5')).toMatch(/Content-Encoding: gzip\r\n/)
    for (const accepted of ['identity', 'gzip;q=0', 'br']) expect(await raws('one', accepted)).not.toMatch(/Content-Encoding/)
    expect(await raws('two', 'gzip')).not.toMatch(/Content-Encoding/)
    // `fetch` unzips by itself.
    expect((await send(WORKER, `${MAIL}/tasks/one`)).body.payloadBase64).toBe(base64('hello'.repeat(10_000)))
    expect(await unzip(await zip('x'))).toEqual(Buffer.from('x'))
  })

  it('to a delete is nothing at all', async () => {
    await put('one')
    const { status, text } = await send(WORKER, `${MAIL}/tasks/one?fields=whatever`, { method: 'DELETE' })
    expect([status, text]).toEqual([204, ''])
  })

  it('to an insert tells the producer nothing of a lease, though a worker waited for the task', async () => {
    const waiting = stage.engine.leaseTasks(
      { app: 'shop', queue: 'mail', max: 1, termMs: 60_000, holder: { subject: WORKER, name: 'w1' }, waitMs: 60_000 },
      { subject: WORKER, actor: WORKER, commandId: stage.world.uuid() },
    )
    await settle()
    const { body } = await insert({ id: 'one', payloadBase64: '' })
    expect([body.retry_count, body.leaseTimestamp]).toEqual([0, String(stage.world.now() * 1_000)])
    expect(right(await waiting)).toHaveLength(1)
  })
})

describe('a path', () => {
  it.each([
    ['of no method', `${MAIL}/tasks/one/more`],
    ['with an empty part', '/taskqueue/v1beta2/projects//taskqueues/mail/tasks'],
    ['with a slash at its end', `${MAIL}/tasks/`],
    ['in other letters', '/taskqueue/v1beta2/projects/shop/TaskQueues/mail'],
    ['below the documents', '/discovery/v1/apis/taskqueue/v1beta2'],
  ])('%s is not found, in the shape of this API', async (_what, path) => {
    const answer = await send(WORKER, path)
    expect([reasonOf(answer), answer.body.error.code]).toEqual([[404, 'notFound'], 404])
  })

  it('that is not percent-encoded UTF-8 is refused', async () => {
    expect(reasonOf(await send(WORKER, `${MAIL}/tasks/%ff`))).toEqual([400, 'INVALID_REQUEST'])
  })

  it('leads to no other queue by what is encoded in it', async () => {
    expect(reasonOf(await send(WORKER, '/taskqueue/v1beta2/projects/store%2Fmail/taskqueues/x/tasks'))).toEqual([404, 'UNKNOWN_QUEUE'])
    expect(reasonOf(await send(WORKER, '/taskqueue/v1beta2/projects/shop/taskqueues/..%2F..%2Fstore%2Fmail/tasks'))).toEqual([404, 'UNKNOWN_QUEUE'])
    expect(reasonOf(await send(WORKER, `${MAIL}/tasks/..%2Fletters%2Fone`))).toEqual([404, 'UNKNOWN_TASK'])
  })
})

describe('a token', () => {
  it.each(['oauth_token', 'access_token'])('may come as %s', async (name) => {
    const token = await stage.token(WORKER)
    expect((await bare(`${MAIL}/tasks?${name}=${token}`)).status).toBe(200)
    expect(reasonOf(await bare(`${MAIL}/tasks?${name}=wrong`))).toEqual([401, 'authError'])
  })

  it('in the header counts more than one in the address', async () => {
    expect((await send(WORKER, `${MAIL}/tasks?oauth_token=wrong`)).status).toBe(200)
  })

  it('is not made up for by a key', async () => {
    expect(reasonOf(await bare(`${MAIL}/tasks?key=${await stage.token(WORKER)}`))).toEqual([401, 'required'])
  })

  it('is asked for in words that clients know', async () => {
    const answer = await bare(`${MAIL}/tasks`)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(answer.body).toEqual({
      error: {
        errors: [{ domain: 'global', reason: 'required', message: 'Login Required', locationType: 'header', location: 'Authorization' }],
        code: 401,
        message: 'Login Required',
      },
    })
  })
})

describe('a refusal', () => {
  it('has the one shape', async () => {
    const { body } = await send(STRANGER, `${MAIL}/tasks`)
    const message = 'You are not a user_email of this queue.'
    expect(body).toEqual({ error: { errors: [{ domain: 'taskqueue', reason: 'PERMISSION_DENIED', message }], code: 403, message } })
  })

  it('for want of a right is audited, without the token that the address carried', async () => {
    const token = await stage.token(STRANGER)
    await bare(`${MAIL}/tasks?oauth_token=${token}`)
    await settle()
    const events = right(await stage.store.readStream(`audit-${new Date(stage.world.now()).toISOString().slice(0, 10)}`, { from: 0, max: 10 })())
    expect(events.map(({ type, data }) => [type, JSON.parse(data) as unknown])).toEqual([
      ['RefusalRecorded', { code: 'forbidden', route: 'tasks.list', subject: STRANGER, target: `${MAIL}/tasks`, detail: 'You are not a user_email of this queue.' }],
    ])
  })

  it('of a bad token is audited as nobody’s, without the token', async () => {
    await bare(`${MAIL}/tasks?oauth_token=stint_guessed`)
    await settle()
    const [event] = right(await stage.store.readStream(`audit-${new Date(stage.world.now()).toISOString().slice(0, 10)}`, { from: 0, max: 10 })())
    expect(event?.data).toContain('"code":"unauthenticated","route":"taskqueue","subject":"nobody"')
    expect(event?.data).not.toContain('guessed')
  })

  it('while the server stops says so, and nothing that was refused was done', async () => {
    const inserts = Array.from({ length: 100 }, (_each, index) => insert({ id: `task-${index}`, payloadBase64: '' }))
    await Promise.race(inserts)
    const [answers] = await Promise.all([Promise.allSettled(inserts), stage.server.close({ graceMs: 5_000 })])
    const answered = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    expect(answered.filter(({ status }) => status === 200)).toHaveLength(stage.engine.status().liveItems)
    for (const answer of answered.filter(({ status }) => status !== 200)) expect([reasonOf(answer), answer.headers.get('retry-after')]).toEqual([[503, 'backendError'], '1'])
  })
})

describe('without auth', () => {
  it('everybody on this machine may do everything', async () => {
    const api = await startApi()
    const inserted = await bare(`${MAIL}/tasks`, { method: 'POST', headers: json, body: '{"id":"one","payloadBase64":""}' }, api.url)
    expect(inserted.status).toBe(200)
    expect((await bare(`${MAIL}/tasks/lease?numTasks=1&leaseSecs=5`, { method: 'POST' }, api.url)).body.items).toHaveLength(1)
  })

  it.each(['a%2Fb', 'Shop', 'a%20b', '%00', 'x'.repeat(101)])('there is every queue, but none of a project %s', async (project) => {
    const api = await startApi()
    const sent = { method: 'POST', headers: json, body: '{"id":"one","payloadBase64":""}' }
    expect(reasonOf(await bare(`/taskqueue/v1beta2/projects/${project}/taskqueues/mail/tasks`, sent, api.url))).toEqual([404, 'UNKNOWN_QUEUE'])
    expect(reasonOf(await bare('/taskqueue/v1beta2/projects/shop/taskqueues/a_b/tasks', sent, api.url))).toEqual([404, 'UNKNOWN_QUEUE'])
  })

  it('the lists hold for whom one says to be', async () => {
    const api = await startApi()
    expect(reasonOf(await bare(`${MAIL}/tasks`, { headers: { 'Stint-As': 'somebody@example.com' } }, api.url))).toEqual([403, 'PERMISSION_DENIED'])
  })

  it.each([{ Origin: 'https://evil.example' }, { Origin: 'null' }, { 'Sec-Fetch-Site': 'cross-site' }])('a web page of another origin leases nothing: %j', async (headers) => {
    const api = await startApi()
    await bare(`${MAIL}/tasks`, { method: 'POST', headers: json, body: '{"id":"one","payloadBase64":""}' }, api.url)
    const socket = connect(api.port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (answer += chunk))
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST ${MAIL}/tasks/lease?numTasks=1&leaseSecs=60 HTTP/1.1\r\nHost: localhost\r\n${head.join('')}Connection: close\r\n\r\n`)
    await once(socket, 'close')
    expect(answer).toMatch(/^HTTP\/1\.1 403 /)
    expect(api.engine.live(taskId('shop', 'mail', 'one'))?.status).toBe('waiting')
  })

  it('a name that was bound to this machine from outside reaches nothing', async () => {
    const api = await startApi()
    const socket = connect(api.port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (answer += chunk))
    socket.write(`GET ${MAIL}/tasks HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n`)
    await once(socket, 'close')
    expect(answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*"reason":"forbidden"/)
  })
})

// Who may do what with which queue: every route that touches tasks or queues, for every kind of principal, on its own queue and on somebody else's, one by one and in batches.
import * as E from 'fp-ts/lib/Either.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { roles, type Role } from '../../src/wire/route.ts'
import type { RouteName } from '../../src/wire/routes.ts'
import { settle, startEngine } from '../support/engine.ts'
import { allRoutes, closeAll, startApi, type AnyRoute, type Answer, type TestApi } from '../support/api.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { pathOf, validRequests, type Made, type Request } from '../support/requests.ts'

/** What a route asks of the lists: to insert, to work, to look at the queue, to see one task, to list what one sees, to look after the queue. */
type Asks = 'insert' | 'consume' | 'look' | 'see' | 'list' | 'manage'

const ASKS: Readonly<Partial<Record<RouteName, Asks>>> = {
  insertTask: 'insert',
  leaseTasks: 'consume',
  completeTask: 'consume',
  failTask: 'consume',
  releaseTask: 'consume',
  extendTask: 'consume',
  reportTask: 'consume',
  deleteTask: 'consume',
  listTasks: 'list',
  showTask: 'see',
  askTaskDirective: 'see',
  taskHistory: 'see',
  taskWhy: 'see',
  showWorkItem: 'see',
  workItemHistory: 'see',
  workItemWhy: 'see',
  askDirective: 'see',
  reportWorkItem: 'consume',
  directTask: 'manage',
  giveDirective: 'manage',
  eraseWorkItem: 'manage',
  redriveTask: 'manage',
  showQueue: 'look',
  listenToQueue: 'consume',
  showBulk: 'look',
  pauseQueue: 'manage',
  resumeQueue: 'manage',
  purgeQueue: 'manage',
  redriveQueue: 'manage',
}

const APPS = ['shop', 'bank'] as const
type App = (typeof APPS)[number]
const OTHER: Readonly<Record<App, App>> = { shop: 'bank', bank: 'shop' }

interface Who {
  readonly email: string
  readonly roles: readonly Role[]
  readonly may: readonly Asks[]
}

/** Principals as seen from a queue of `shop`; whatever a list gives on one queue, it gives nothing on the other. */
const PEOPLE: Readonly<Record<string, Who>> = {
  'the writer': { email: 'writer@shop.example', roles: [], may: ['insert', 'list'] },
  'the maker of the task': { email: 'maker@shop.example', roles: [], may: ['insert', 'list', 'see'] },
  'the user': { email: 'user@shop.example', roles: [], may: ['consume', 'list', 'look', 'see'] },
  'one on both lists': { email: 'both@shop.example', roles: [], may: ['insert', 'consume', 'list', 'look', 'see'] },
  'somebody with every role but admin': { email: 'roles@shop.example', roles: roles.filter((role) => role !== 'admin'), may: [] },
  'somebody with no role': { email: 'nobody@shop.example', roles: [], may: [] },
  'an administrator': { email: 'admin@shop.example', roles: ['admin'], may: ['list', 'look', 'see', 'manage'] },
  'an e-mail in other letters': { email: 'USER@shop.example', roles: ['worker', 'producer'], may: [] },
}

const emailIn = (app: App, email: string): string => email.replace('shop', app)

describe('the access lists', () => {
  let api: TestApi
  const tokens = new Map<string, string>()
  let count = 0

  beforeAll(async () => {
    api = await startApi({ engine: await startEngine({ settings: { openQueues: false } }), settings: { auth: { tokens: true } } })
    for (const app of APPS) {
      const at = (name: string): string => `${name}@${app}.example`
      await configure(api, queueConfig(app, 'mail', { writers: [at('writer'), at('maker'), at('both')], users: [at('user'), at('both')] }))
    }
    for (const app of APPS) for (const { email, roles: own } of Object.values(PEOPLE)) tokens.set(emailIn(app, email), await api.tokenFor(emailIn(app, email), ...own))
  })
  afterAll(closeAll)

  const tokenOf = (email: string): string | undefined => tokens.get(email)

  /** A leased task in the queue of an app, and a purge that is over. */
  const fresh = async (app: App, holder: string): Promise<Made> => {
    const id = `t${(count += 1)}`
    const tasks = `/v1/queues/${app}/mail/tasks`
    await api.post(`/v1/queues/${app}/mail/resume`, {}, { token: tokenOf('admin@shop.example') })
    await api.post(tasks, { id, payload: 1, tag: id }, { token: tokenOf(`maker@${app}.example`) })
    const leased = await api.post(`${tasks}/lease`, { tag: id }, { token: tokenOf(holder) ?? '' })
    const purge = await api.post(`/v1/queues/${app}/mail/purge`, { tag: 'none' }, { token: tokenOf('admin@shop.example') })
    const { lease } = leased.body.items[0]
    return {
      contract: 'none',
      request: 'none',
      requestLease: 'none',
      node: 'none',
      longTask: 'none',
      longTaskLease: 'none',
      job: 'none',
      jobLease: lease,
      task: id,
      taskLease: lease,
      tokenId: 'none',
      bulk: purge.body.id,
    }
  }

  const requestOf = (route: AnyRoute, app: App, made: Made): Request => {
    const request = validRequests[route.name as RouteName](made)
    if (request.params?.['workItem'] !== undefined) return { ...request, params: { workItem: `task/${app}/mail/${made.task}` } }
    return { ...request, params: { ...request.params, app, queue: 'mail' } }
  }

  const send = async (route: AnyRoute, app: App, made: Made, email: string, body?: unknown): Promise<Answer> => {
    const request = requestOf(route, app, made)
    const ask = (method: string): Promise<Answer> => api.ask(method, pathOf(route, request), { body: body ?? request.body, token: tokenOf(email) })
    if (route.mediaType !== 'text/event-stream') return ask(route.method)
    // Whoever may listen gets an answer that does not end.
    const head = await ask('HEAD')
    return head.status < 300 ? head : ask(route.method)
  }

  const about = allRoutes.filter((route) => route.path.startsWith('/v1/queues/{app}/{queue}') || route.path.includes('{workItem}'))

  it('are asked by every route that touches a task or a queue', () => {
    expect(about.map((route) => route.name).toSorted()).toEqual(Object.keys(ASKS).toSorted())
  })

  describe.each(about.map((route) => [route.name, route] as const))('%s', (name, route) => {
    const asks = ASKS[name as RouteName] as Asks

    it.each(Object.entries(PEOPLE))('by %s: on the own queue as the list says', async (_who, { email, may }) => {
      const holder = may.includes('consume') ? email : 'user@shop.example'
      const answer = await send(route, 'shop', await fresh('shop', holder), email)
      // What still runs cannot be erased, and what is no dead letter not put back, whoever asks; that it was asked is enough here.
      if (may.includes(asks) && (name === 'eraseWorkItem' || name === 'redriveTask')) expect([answer.status, answer.body.code]).toEqual([409, 'not-possible'])
      else if (may.includes(asks)) expect([answer.status, answer.body?.code]).toEqual([answer.status < 300 ? answer.status : 'a success', undefined])
      else expect([answer.status, answer.body?.code]).toEqual([403, 'forbidden'])
    })

    it.each(Object.entries(PEOPLE))('by %s: on a foreign queue only as an administrator', async (_who, { email, may, roles: own }) => {
      const answer = await send(route, OTHER.shop, await fresh('bank', 'user@bank.example'), email)
      const isAllowed = own.includes('admin') && may.includes(asks)
      expect(answer.status === 403).toBe(!isAllowed)
      if (isAllowed && name !== 'eraseWorkItem' && name !== 'redriveTask') expect(answer.status).toBeLessThan(300)
    })

    if (route.many)
      it.each(Object.entries(PEOPLE))('by %s: each of many by itself', async (_who, { email, may }) => {
        const holder = may.includes('consume') ? email : 'user@shop.example'
        const made = [await fresh('shop', holder), await fresh('shop', holder)]
        const items = made.map((one) => requestOf(route, 'shop', one).body)
        const answer = await send(route, 'shop', made[0] as Made, email, { items: [...items, { id: 'no such id!' }] })
        // The right to the route itself is asked of the envelope, that to the queue of each item.
        if (route.roles !== 'known' && !may.includes(asks)) expect(answer.status).toBe(403)
        else {
          const statuses = answer.body.items.map((item: { status: number }) => item.status)
          expect(statuses.slice(0, 2).map((status: number) => status === 403)).toEqual(may.includes(asks) ? [false, false] : [true, true])
          expect(statuses[2]).toBe(400)
        }
      })
  })

  it('let nobody lease by way of a completion what they may not lease', async () => {
    const made = await fresh('bank', 'user@bank.example')
    const answer = await api.post(
      '/v1/queues/bank/mail/tasks/complete',
      { items: [{ id: made.task, lease: made.taskLease }], lease: { max: 5 } },
      { token: tokenOf('user@shop.example') },
    )
    expect(answer.body.items).toMatchObject([{ status: 403, code: 'forbidden' }])
    expect(answer.body.leased).toMatchObject({ items: [], problem: { code: 'forbidden', status: 403 } })
  })

  it('show nothing of a queue in lists and events to those whom it is closed to', async () => {
    const made = await fresh('shop', 'user@shop.example')
    await settle()
    const queues = async (email: string) => (await api.get('/v1/queues', { token: tokenOf(email) })).body.items.map((queue: { app: string }) => queue.app)
    expect(await Promise.all(['user@shop.example', 'user@bank.example', 'writer@shop.example', 'roles@shop.example', 'admin@shop.example'].map(queues))).toEqual([
      ['shop'],
      ['bank'],
      [],
      [],
      ['bank', 'shop'],
    ])
    const scopes = async (email: string) => (await api.get('/v1/statistics?kind=task', { token: tokenOf(email) })).body.items?.map((item: { scope: string }) => item.scope)
    expect([await scopes('roles@shop.example'), await scopes('admin@shop.example')]).toEqual([[], ['bank/mail', 'shop/mail']])
    const eventsFor = async (email: string): Promise<string> => {
      const controller = new AbortController()
      const response = await fetch(`${api.url}/v1/events?after=start&workItem=${encodeURIComponent(`task/shop/mail/${made.task}`)}`, {
        headers: { Authorization: `Bearer ${tokenOf(email)}` },
        signal: controller.signal,
      })
      let text = ''
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(chunk).toString()
        if (text.includes('event: caughtUp')) break
      }
      controller.abort()
      return text
    }
    for (const [email, isShown] of [
      ['user@shop.example', true],
      ['maker@shop.example', true],
      ['admin@shop.example', true],
      ['writer@shop.example', false],
      ['user@bank.example', false],
      ['roles@shop.example', false],
    ] as const)
      expect([email, (await eventsFor(email)).includes('TaskInserted')]).toEqual([email, isShown])
  })

  it('give the payload to those who may lease it and to whoever made it, not to administrators', async () => {
    const made = await fresh('shop', 'user@shop.example')
    const payload = (email: string) => api.get(`/v1/queues/shop/mail/tasks/${made.task}?payload=true`, { token: tokenOf(email) })
    const answers = await Promise.all(['user@shop.example', 'maker@shop.example', 'admin@shop.example', 'writer@shop.example'].map(payload))
    expect(answers.map(({ status, body }) => [status, body.payload])).toEqual([
      [200, 1],
      [200, 1],
      [403, undefined],
      [403, undefined],
    ])
  })

  it('list to those who may only insert what they made', async () => {
    await fresh('shop', 'user@shop.example')
    await settle()
    const listed = async (email: string) => (await api.get('/v1/queues/shop/mail/tasks?limit=1000', { token: tokenOf(email) })).body.items.length
    const [all, makers, writers] = await Promise.all(['user@shop.example', 'maker@shop.example', 'writer@shop.example'].map(listed))
    expect(makers).toBeGreaterThan(0)
    expect(all).toBeGreaterThan(writers)
    expect(makers).toBeLessThanOrEqual(all)
  })

  it('refuse and put it on record, once for each item', async () => {
    const audited = async () => {
      const events = E.getOrElse(() => [] as readonly { stream: string; data: string }[])(await api.store.readAll({ max: 100_000 })())
      return events.filter((event) => event.stream.startsWith('audit-')).map((event) => JSON.parse(event.data) as { subject: string; code: string; route: string; target: string })
    }
    api.world.advance(2_000)
    await settle()
    const before = (await audited()).length
    const items = [{ id: 'a' }, { id: 'b' }]
    await api.post('/v1/queues/shop/mail/tasks', { items }, { token: tokenOf('user@bank.example') })
    await api.get('/v1/queues/shop/mail', { token: tokenOf('user@bank.example') })
    await settle()
    expect((await audited()).slice(before)).toEqual([
      expect.objectContaining({ subject: 'user@bank.example', code: 'forbidden', route: 'insertTask', target: '/v1/queues/shop/mail/tasks' }),
      expect.objectContaining({ subject: 'user@bank.example', code: 'forbidden', route: 'insertTask' }),
      expect.objectContaining({ subject: 'user@bank.example', code: 'forbidden', route: 'showQueue' }),
    ])
  })

  it('know no queue that no file names: 404 for everybody', async () => {
    for (const email of ['user@shop.example', 'nobody@shop.example', 'admin@shop.example'])
      for (const [method, path, body] of [
        ['POST', 'tasks', { payload: 1 }],
        ['POST', 'tasks/lease', {}],
        ['GET', 'tasks', undefined],
        ['GET', '', undefined],
      ] as const) {
        const answer = await api.ask(method, `/v1/queues/shop/none${path === '' ? '' : `/${path}`}`, { body, token: tokenOf(email) })
        expect([email, path, answer.status, answer.body.code]).toEqual([email, path, 404, 'not-found'])
      }
  })

  it('change with the file, at once', async () => {
    const insert = () => api.post('/v1/queues/shop/orders/tasks', { payload: 1 }, { token: tokenOf('writer@shop.example') })
    await configure(api, queueConfig('shop', 'orders', { writers: ['writer@shop.example'] }))
    const first = await insert()
    expect(first.status).toBe(201)
    await configure(api, queueConfig('shop', 'orders', { users: ['writer@shop.example'] }))
    expect((await insert()).status).toBe(403)
    await configure(api, queueConfig('shop', 'orders', {}))
    // Whoever may not make tasks any more does not see those that it made either.
    expect((await api.get(first.headers.get('location') ?? '', { token: tokenOf('writer@shop.example') })).status).toBe(403)
  })
})

describe('on a server without auth', () => {
  it('the lists do not bind local, but bind whoever it says to be', async () => {
    const api = await startApi()
    await configure(api, queueConfig('shop', 'mail', { writers: ['writer@shop.example'] }))
    expect((await api.post('/v1/queues/shop/mail/tasks', { payload: 1 })).status).toBe(201)
    const as = (email: string) => api.post('/v1/queues/shop/mail/tasks', { payload: 1 }, { headers: { 'Stint-As': email } })
    expect([(await as('writer@shop.example')).status, (await as('other@shop.example')).status]).toEqual([201, 403])
    await closeAll()
  })
})

describe('whoever has no right at a queue or contract', () => {
  it('is refused whether the item exists or not', async () => {
    const api = await startApi({ settings: { auth: { tokens: true } } })
    const token = await api.tokenFor('stranger@example.com', 'worker')
    const paths = ['/v1/queues/shop/mail/tasks/none', '/v1/work-items/task%2Fshop%2Fmail%2Fnone', '/v1/work-items/task%2Fshop%2Fmail%2Fnone/directive']
    for (const path of paths) expect([path, (await api.get(path, { token })).status]).toEqual([path, 403])
  })
})

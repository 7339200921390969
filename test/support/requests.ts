// For every route a request that succeeds, and from it every request that is malformed in one way, with the refusal that it must meet.
import { definitionOf, schemaOf } from '../../src/api/json-schema.ts'
import { configure, queueConfig } from './queues.ts'
import type { RouteName } from '../../src/wire/routes.ts'
import type { AnyRoute, TestApi } from './api.ts'

export interface Request {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
}

/** What requests can be made about: made through the surface itself. */
export interface Made {
  readonly job: string
  readonly jobLease: string
  /** Leased, and leased again whenever it is used up. */
  readonly task: string
  readonly taskLease: string
  readonly tokenId: string
  /** Of a purge that is over. */
  readonly bulk: string
  readonly contract: string
  /** Leased. */
  readonly request: string
  readonly requestLease: string
  /** Registered, where this machine may be called. */
  readonly node: string
  /** Taken by that node. */
  readonly longTask: string
  readonly longTaskLease: string
}

export interface Makers {
  readonly jobServer?: string | undefined
  readonly producer?: string | undefined
  readonly worker?: string | undefined
  readonly admin?: string | undefined
  readonly management?: string | undefined
  readonly node?: string | undefined
  /** Who is on the lists of the queue; nobody needs to be where no auth is configured. */
  readonly writers?: readonly string[]
  readonly users?: readonly string[]
}

/** Nobody listens there. */
const NODE_URL = 'http://127.0.0.1:9'

/** Gives an operation to a node, which takes it by its first report. */
const makeLongTask = async (api: TestApi, name: string, { management, node: reporter }: Makers): Promise<Pick<Made, 'node' | 'longTask' | 'longTaskLease'>> => {
  const node = `n-${name}`
  await api.post('/v1/nodes', { id: node, url: NODE_URL, operations: [{ operation: 'CopyImage', long: true }] }, { token: reporter })
  await api.post('/v1/long-tasks', { id: name, operation: 'CopyImage', node, args: { n: 1 } }, { token: management })
  const longTaskLease = api.engine.live(`long-task/${name}`)?.operation?.lease ?? '1.none'
  await api.post(`/v1/nodes/${node}/reports`, { id: name, lease: longTaskLease }, { token: reporter })
  return { node, longTask: name, longTaskLease }
}

/** Makes a job, a leased task, a leased request and a long task of this name, by these tokens. */
export const make = async (api: TestApi, name: string, tokens: Makers = {}): Promise<Made> => {
  if (tokens.writers !== undefined || tokens.users !== undefined)
    await configure(api, queueConfig('shop', name, { writers: [...(tokens.writers ?? [])], users: [...(tokens.users ?? [])] }))
  const job = await api.post('/v1/jobs', { id: name, service: 'index', server: 's1' }, { token: tokens.jobServer })
  await api.post(`/v1/queues/shop/${name}/tasks`, { id: name, payload: { n: 1 } }, { token: tokens.producer })
  const leased = await api.post(`/v1/queues/shop/${name}/tasks/lease`, {}, { token: tokens.worker })
  const token = await api.post('/v1/tokens', { name: 'ci', email: 'ci@example.com', roles: ['viewer'] }, { token: tokens.admin })
  const purge = await api.post(`/v1/queues/shop/${name}/purge`, { tag: 'none' }, { token: tokens.admin })
  const contract = `c-${name}`
  if (tokens.admin !== undefined || tokens.writers !== undefined)
    await api.ask('PUT', `/v1/contracts/${contract}`, { body: { callers: [...(tokens.writers ?? [])], workers: [...(tokens.users ?? [])] }, token: tokens.admin })
  await api.ask('PUT', `/v1/contracts/${contract}/requests/${name}`, { body: { n: 1 }, token: tokens.producer })
  const given = await api.post(`/v1/contracts/${contract}/lease`, {}, { token: tokens.worker })
  return {
    ...(await makeLongTask(api, name, tokens)),
    contract,
    request: name,
    requestLease: given.body.items?.[0]?.lease ?? '1.none',
    job: name,
    jobLease: job.body.lease,
    task: name,
    taskLease: leased.body.items[0].lease,
    tokenId: token.body.id,
    bulk: purge.body.id,
  }
}

const queue = (made: Made) => ({ app: 'shop', queue: made.task })
const oneTask = (made: Made) => ({ ...queue(made), id: made.task })
const held = (made: Made) => ({ id: made.task, lease: made.taskLease })
const oneRequest = (made: Made) => ({ contract: made.contract, id: made.request })
const oneItem = (made: Made) => ({ workItem: `job/${made.job}` })
const oneLongTask = (made: Made) => ({ id: made.longTask })

/** A request for each route that succeeds; a route without one does not compile. */
export const validRequests: Readonly<Record<RouteName, (made: Made) => Request>> = {
  askJobDirective: (made) => ({ params: { id: made.job } }),
  reportJobs: (made) => ({ body: { id: made.job, lease: made.jobLease, phase: 'merge' } }),
  reportJob: (made) => ({
    params: { id: made.job },
    body: { lease: made.jobLease, phase: 'merge', progress: { fraction: 0.5, done: 1, total: 2, unit: 'files', message: 'half' }, state: 'running' },
  }),
  leaseTasks: (made) => ({ params: queue(made), body: { max: 1, leaseSeconds: 30, worker: 'w1', tag: 'a', sameTag: false, requestId: 'r1' } }),
  completeTask: (made) => ({ params: queue(made), body: { ...held(made), result: { ok: true } } }),
  insertTask: (made) => ({ params: queue(made), body: { payload: [1, 2], mediaType: 'application/json', tag: 'a', priority: 1, key: 'k', delaySeconds: 1 } }),
  registerJob: () => ({
    body: {
      service: 'index',
      server: 's1',
      instance: 'i1',
      label: 'books',
      attributes: { a: 1 },
      expectedSeconds: 10,
      reportEverySeconds: 5,
      silenceSeconds: 15,
      lostAfterSeconds: 60,
    },
  }),
  listJobs: () => ({ query: { service: 'index', server: 's1', label: 'books', state: 'running', limit: '10' } }),
  showJob: (made) => ({ params: { id: made.job } }),
  directJob: (made) => ({ params: { id: made.job }, body: { directive: 'pause', reason: 'lunch' } }),
  jobHistory: (made) => ({ params: { id: made.job }, query: { limit: '10', after: '0' } }),
  jobWhy: (made) => ({ params: { id: made.job } }),
  failTask: (made) => ({ params: queue(made), body: { ...held(made), failed: { code: 'broken', message: 'It broke.', retry: true, detail: {} } } }),
  releaseTask: (made) => ({ params: queue(made), body: { ...held(made), reason: 'busy', busy: true, delaySeconds: 1 } }),
  extendTask: (made) => ({ params: queue(made), body: { ...held(made), leaseSeconds: 60 } }),
  reportTask: (made) => ({ params: oneTask(made), body: { lease: made.taskLease, phase: 'half' } }),
  listTasks: (made) => ({ params: queue(made), query: { state: 'waiting', tag: 'a', key: 'k', deadLetter: 'false', limit: '10' } }),
  showTask: (made) => ({ params: oneTask(made), query: { payload: 'false' } }),
  deleteTask: (made) => ({ params: oneTask(made) }),
  askTaskDirective: (made) => ({ params: oneTask(made) }),
  directTask: (made) => ({ params: oneTask(made), body: { directive: 'pause' } }),
  taskHistory: (made) => ({ params: oneTask(made), query: { limit: '1' } }),
  taskWhy: (made) => ({ params: oneTask(made) }),
  redriveTask: (made) => ({ params: queue(made), body: { id: made.task } }),
  callRequest: (made) => ({ params: { contract: made.contract, id: `${made.request}-called` } }),
  callRequestByKey: (made) => ({ params: { contract: made.contract }, headers: { 'Idempotency-Key': `${made.request}-by-key` } }),
  callRequests: (made) => ({
    params: { contract: made.contract },
    body: { id: `${made.request}-among-many`, call: { text: '{"n":1}', mediaType: 'application/json' } },
  }),
  beginExecution: (made) => ({
    params: { contract: made.contract },
    body: {
      id: `${made.request}-run`,
      caller: 'ann',
      fingerprint: 'f'.repeat(43),
      worker: 'w1',
      leaseSeconds: 30,
      mediaType: 'application/json',
      method: 'POST',
      path: '/payments',
      bodyBase64: 'e30=',
    },
  }),
  leaseRequests: (made) => ({ params: { contract: made.contract }, body: { max: 1, leaseSeconds: 30, worker: 'w1', requestId: 'r1' } }),
  replyToRequest: (made) => ({
    params: oneRequest(made),
    body: {
      lease: made.requestLease,
      caller: 'local',
      reply: { status: 201, headers: { Location: '/p/1' }, body: { ok: true }, mediaType: 'application/json' },
      effects: [{ task: { app: 'shop', queue: 'mail', payload: 1 } }],
    },
  }),
  replyToRequests: (made) => ({
    params: { contract: made.contract },
    body: {
      id: made.request,
      lease: made.requestLease,
      caller: 'local',
      reply: { status: 201, headers: { Location: '/p/1' }, body: { ok: true }, mediaType: 'application/json' },
      effects: [{ task: { app: 'shop', queue: 'mail', payload: 1 } }],
    },
  }),
  releaseReply: (made) => ({ params: oneRequest(made), query: { caller: 'local' } }),
  showRequest: (made) => ({ params: oneRequest(made), query: { caller: 'local' } }),
  showReply: (made) => ({ params: oneRequest(made), query: { caller: 'local' } }),
  listRequests: (made) => ({ params: { contract: made.contract }, query: { state: 'waiting', caller: 'local', olderThanSeconds: '0', released: 'false', limit: '10' } }),
  failRequest: (made) => ({ params: oneRequest(made), body: { lease: made.requestLease, caller: 'local', failed: { code: 'broken', message: 'It broke.', retry: true } } }),
  releaseRequest: (made) => ({ params: oneRequest(made), body: { lease: made.requestLease, caller: 'local', reason: 'busy', busy: true, delaySeconds: 1 } }),
  extendRequest: (made) => ({ params: oneRequest(made), body: { lease: made.requestLease, caller: 'local', leaseSeconds: 60 } }),
  reportRequest: (made) => ({ params: oneRequest(made), query: { caller: 'local' }, body: { lease: made.requestLease, phase: 'half' } }),
  askRequestDirective: (made) => ({ params: oneRequest(made), query: { caller: 'local' } }),
  directRequest: (made) => ({ params: oneRequest(made), query: { caller: 'local' }, body: { directive: 'pause' } }),
  requestHistory: (made) => ({ params: oneRequest(made), query: { caller: 'local', limit: '10' } }),
  requestWhy: (made) => ({ params: oneRequest(made), query: { caller: 'local' } }),
  reportLongTasks: (made) => ({ params: { node: made.node }, body: { id: made.longTask, lease: made.longTaskLease, phase: 'copy' } }),
  dispatchOperation: (made) => ({
    body: { operation: 'CopyImage', node: made.node, args: { n: 1 }, timeoutSeconds: 60, progressEverySeconds: 1, stalledAfterSeconds: 30 },
  }),
  listLongTasks: (made) => ({ query: { node: made.node, operation: 'CopyImage', state: 'running', limit: '10' } }),
  showLongTask: (made) => ({ params: oneLongTask(made) }),
  reportLongTask: (made) => ({ params: oneLongTask(made), body: { lease: made.longTaskLease, phase: 'copy', progress: { fraction: 0.5 } } }),
  askLongTaskDirective: (made) => ({ params: oneLongTask(made) }),
  directLongTask: (made) => ({ params: oneLongTask(made), body: { directive: 'pause', reason: 'lunch' } }),
  longTaskHistory: (made) => ({ params: oneLongTask(made), query: { limit: '10' } }),
  longTaskWhy: (made) => ({ params: oneLongTask(made) }),
  registerNode: (made) => ({
    body: {
      id: `${made.node}-other`,
      url: NODE_URL,
      operations: [{ operation: 'CopyImage', long: true, timeoutSeconds: 60, progressEverySeconds: 1, stalledAfterSeconds: 30 }],
      instance: 'i1',
    },
  }),
  listNodes: () => ({ query: { limit: '10' } }),
  showNode: (made) => ({ params: { node: made.node } }),
  removeNode: (made) => ({ params: { node: made.node } }),
  putContract: (made) => ({
    params: { contract: made.contract },
    body: {
      callers: ['ann@example.com'],
      workers: ['bob@example.com'],
      release: 'encouraged',
      retainSeconds: 60,
      onInterrupted: 'retry',
      leaseSeconds: 30,
      interruptedAfterSeconds: 60,
      attemptsMax: 5,
      quota: { requests: 1_000, bytes: 1_000_000 },
    },
  }),
  listContracts: () => ({ query: { limit: '10' } }),
  showContract: (made) => ({ params: { contract: made.contract } }),
  listQueues: () => ({ query: { app: 'shop', limit: '10' } }),
  showQueue: (made) => ({ params: queue(made) }),
  listenToQueue: (made) => ({ params: queue(made) }),
  pauseQueue: (made) => ({ params: queue(made), body: { reason: 'lunch' } }),
  resumeQueue: (made) => ({ params: queue(made), body: {} }),
  purgeQueue: (made) => ({ params: queue(made), body: { tag: 'a', key: 'k', insertedBefore: '2026-01-01T00:00:00.000Z' } }),
  redriveQueue: (made) => ({ params: queue(made), body: { tag: 'a', key: 'k', insertedBefore: '2026-01-01T00:00:00.000Z', code: 'broken' } }),
  showBulk: (made) => ({ params: { ...queue(made), id: made.bulk } }),
  showWorkItem: (made) => ({ params: oneItem(made) }),
  workItemHistory: (made) => ({ params: oneItem(made), query: { limit: '10' } }),
  workItemWhy: (made) => ({ params: oneItem(made) }),
  askDirective: (made) => ({ params: oneItem(made) }),
  reportWorkItem: (made) => ({ params: oneItem(made), body: { lease: made.jobLease, phase: 'merge' } }),
  eraseWorkItem: (made) => ({ params: oneItem(made), body: { reason: 'asked' } }),
  listCallers: (made) => ({ params: { contract: made.contract }, query: { caller: 'local', limit: '10' } }),
  giveDirective: (made) => ({ params: oneItem(made), body: { directive: 'pause' } }),
  watchEvents: (made) => ({ query: { after: 'start', workItem: `job/${made.job}`, kind: 'job', type: 'Leased' } }),
  statistics: () => ({ query: { kind: 'job' } }),
  listAudit: () => ({ query: { day: '2026-01-31', code: 'forbidden', limit: '10' } }),
  addToken: () => ({ body: { name: 'ci', email: 'ci@example.com', roles: ['viewer'], expiresSeconds: 60 } }),
  listTokens: () => ({}),
  revokeToken: (made) => ({ params: { id: made.tokenId } }),
  whoAmI: () => ({}),
  health: () => ({}),
  readiness: () => ({}),
  metrics: () => ({}),
  openapi: () => ({}),
  listProblems: () => ({}),
  showProblem: () => ({ params: { code: 'stale-lease' } }),
}

/** The address of a request. */
export const pathOf = (route: AnyRoute, { params = {}, query = {} }: Request): string => {
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(params[name] ?? ''))
  const search = new URLSearchParams(query).toString()
  return search === '' ? path : `${path}?${search}`
}

/** One way to be wrong. */
export interface Malformed {
  readonly what: string
  readonly request: Request
  readonly path: string
  readonly code: string
}

interface Schema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly oneOf?: readonly Schema[]
  readonly additionalProperties?: unknown
  readonly description?: string
}

interface Wrong {
  readonly path: string
  readonly value: unknown
  readonly code: string
  readonly what: string
}

const LONG = 3_000

/** Values that a schema refuses, each for one reason. Texts of parameters are never of another type than text, nor empty in a path. */
const wrongValues = (schema: Schema, isParameter: boolean): readonly Omit<Wrong, 'path'>[] => {
  const wrong: Omit<Wrong, 'path'>[] = []
  const add = (what: string, value: unknown, code: string): void => void wrong.push({ what, value, code })
  if (schema.enum !== undefined) {
    add('no such word', 'no-such-word', 'choice')
    if (!isParameter) add('a number for a word', 7, 'choice')
    return wrong
  }
  if (schema.oneOf !== undefined) {
    add('no choice', {}, 'choice')
    add('a text for an object', 'text', 'type')
    return wrong
  }
  switch (schema.type) {
    case 'string':
      if (!isParameter) for (const value of [7, true, null, {}, []]) add(`${JSON.stringify(value)} for a text`, value, 'type')
      if (schema.maxLength !== undefined && schema.maxLength < LONG) add('too long', 'a'.repeat(schema.maxLength + 1), 'length')
      if (schema.minLength !== undefined && schema.minLength > 0 && !isParameter) add('empty', '', 'length')
      if (schema.pattern !== undefined) add('a character that is not allowed', schema.pattern.includes('@') ? 'no address' : 'a b%é€', 'pattern')
      if (!isParameter) add('half a character', 'ab\ud800', 'pattern')
      break
    case 'number':
    case 'integer':
      if (isParameter) for (const value of ['x', '1.5', '', '0x1', ' 1']) add(`"${value}" for a number`, value, 'type')
      else for (const value of ['1', true, null, {}, []]) add(`${JSON.stringify(value)} for a number`, value, 'type')
      if (schema.minimum !== undefined) add('too small', isParameter ? String(schema.minimum - 1) : schema.minimum - 1, 'range')
      if (schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) add('too large', isParameter ? String(schema.maximum + 1) : schema.maximum + 1, 'range')
      if (!isParameter && schema.type === 'integer') add('half a number', (schema.minimum ?? 0) + 0.5, 'type')
      break
    case 'boolean':
      for (const value of ['true', 1, null]) add(`${JSON.stringify(value)} for a yes or no`, value, 'type')
      break
    case 'array':
      for (const value of ['x', 7, {}]) add(`${JSON.stringify(value)} for a list`, value, 'type')
      break
    case 'object':
      for (const value of ['x', 7, null, []]) add(`${JSON.stringify(value)} for an object`, value, 'type')
      break
    default:
  }
  return wrong
}

type Fields = Readonly<Record<string, unknown>>

/** Everything that can be wrong with an object that is right, at any depth. */
const wrongObjects = (schema: Schema, right: Fields, at = ''): readonly (Wrong & { readonly body: Fields })[] => {
  const found: (Wrong & { readonly body: Fields })[] = []
  const put = (key: string, wrong: Wrong, value: unknown): void => void found.push({ ...wrong, body: { ...right, [key]: value } })
  for (const [key, field] of Object.entries(schema.properties ?? {})) {
    const path = `${at}/${key}`
    for (const wrong of wrongValues(field, false)) put(key, { ...wrong, path }, wrong.value)
    if (schema.required?.includes(key)) {
      const { [key]: _gone, ...rest } = right
      found.push({ path, code: 'required', what: 'missing', value: undefined, body: rest })
    }
    if (field.properties !== undefined) {
      const inner = right[key] ?? Object.fromEntries((field.required ?? []).map((name) => [name, 'x']))
      for (const wrong of wrongObjects(field, inner as Fields, path)) put(key, wrong, wrong.body)
    }
  }
  if (schema.additionalProperties === false) put('unknown', { path: `${at}/unknown`, code: 'unknown', what: 'a field that is not known', value: 1 }, 1)
  return found
}

const parameterCases = (route: AnyRoute, right: Request, kind: 'params' | 'query'): readonly Malformed[] => {
  const schema = definitionOf(route[kind], new Map()) as Schema
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    wrongValues(field, true).map(({ what, value, code }) => ({
      what: `${kind === 'params' ? '' : '?'}${name}: ${what}`,
      request: { ...right, [kind]: { ...right[kind], [name]: String(value) } },
      path: `/${kind}/${name}`,
      code,
    })),
  )
}

/** Every request of the route that has one field wrong: parameters, query and body. */
export const malformedRequests = (route: AnyRoute, right: Request): readonly Malformed[] => {
  const cases: Malformed[] = [...parameterCases(route, right, 'params'), ...parameterCases(route, right, 'query')]
  cases.push({ what: '?unknown', request: { ...right, query: { ...right.query, unknown: '1' } }, path: '/query/unknown', code: 'unknown' })
  if (route.body !== undefined) {
    const schema = schemaOf(route.body, new Map()) as Schema
    for (const { path, code, what, body } of wrongObjects(schema, right.body ?? {})) cases.push({ what: `${path} ${what}`, request: { ...right, body }, path, code })
  }
  return cases
}

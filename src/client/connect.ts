// The way in: one connection to one Stint, as one principal, with everything that can be done over it.
import { listAudit } from '../wire/audit.ts'
import type { HistoryEvent } from '../wire/items.ts'
import type { AnswerOf, BodyOf, QueryOf } from '../wire/route.ts'
import { addToken, listTokens, revokeToken, statistics } from '../wire/service.ts'
import { realWorld, type World } from '../world.ts'
import { events, type EventFilter } from './events.ts'
import { createContracts, type Contracts } from './contracts.ts'
import { createHttp, identityOf, type Fetch, type Http } from './http.ts'
import { createJobServer, type JobServer, type JobServerOptions } from './job-server.ts'
import { createJobs, type Ended, type Jobs } from './jobs.ts'
import { createLongTasks, type LongTasks } from './long-tasks.ts'
import { createManagement, type Management, type ManagementOptions } from './management.ts'
import { createNodes, type Nodes } from './nodes.ts'
import { createProducer, type Producer, type ProducerOptions } from './producer.ts'
import { createQueues, type Queues } from './queues.ts'
import { createRequester, type Requester, type RequesterOptions } from './requester.ts'
import { createRequests, type Requests } from './requests.ts'
import { createTasks, type Tasks } from './tasks.ts'
import { createChannel } from './channel.ts'
import { isNode, platformTransport } from './transport.ts'
import { createRequestWorker, createWorker, type RequestHandler, type RequestWorkerOptions, type TaskHandler, type Worker, type WorkerOptions } from './worker.ts'

const DEFAULT_URL = 'http://127.0.0.1:7070'

export interface ConnectOptions {
  /** Address of the server; else the environment's STINT_URL, else http://127.0.0.1:7070. */
  readonly url?: string | undefined
  /** Bearer token; else the environment's STINT_TOKEN; a server without tokens takes calls without one. */
  readonly token?: string | undefined
  /** With a server without tokens: be treated as this e-mail. */
  readonly as?: string | undefined
  /** Clock, timers, ids and chance; the real ones unless a test says otherwise. */
  readonly world?: World
  /** Used for every exchange, if given; otherwise the platform's `fetch`, and on Node what is underneath it. */
  readonly fetch?: Fetch
  /**
   * Whether calls travel over one connection, a channel of Stint, once there are more than a few (true). On Node only, and not with a `fetch` of your own. Whatever stands before the
   * server need not know of it: where a channel cannot be opened, calls go by HTTP as they do without.
   */
  readonly channel?: boolean
}

export interface Tokens {
  /** Makes a token; its secret is in this answer and nowhere else. */
  readonly add: (token: BodyOf<typeof addToken>, options?: Ended) => Promise<AnswerOf<typeof addToken>>
  readonly list: (options?: Ended) => Promise<AnswerOf<typeof listTokens>>
  readonly revoke: (id: string, options?: Ended) => Promise<AnswerOf<typeof revokeToken>>
}

export interface Stint extends AsyncDisposable {
  readonly url: string
  readonly jobs: Jobs
  readonly queues: Queues
  readonly tasks: Tasks
  readonly contracts: Contracts
  readonly requests: Requests
  readonly longTasks: LongTasks
  /** Implementation nodes, which run long tasks. */
  readonly nodes: Nodes
  readonly tokens: Tokens
  /** What happens, as it happens; goes on by itself after a cut. `for await (const event of stint.events({ kind: 'job' }))`. */
  readonly events: (filter?: EventFilter) => AsyncIterable<HistoryEvent>
  /** Counts by kind, scope and state. */
  readonly statistics: (query?: QueryOf<typeof statistics>, options?: Ended) => Promise<AnswerOf<typeof statistics>>
  /** What was refused on a day (today), newest first, a page at a time; for administrators. */
  readonly audit: (query?: QueryOf<typeof listAudit>, options?: Ended) => Promise<AnswerOf<typeof listAudit>>
  /** Makes this process a job server: it runs functions as jobs. */
  readonly jobServer: (options: JobServerOptions) => JobServer
  /** Puts tasks into a queue: `await stint.producer({ app: 'shop', queue: 'mail' }).put({ to: 'ann@example.com' })`. */
  readonly producer: (options: ProducerOptions) => Producer
  /** Makes this process a worker, at once: it leases tasks of a queue and runs the handler for each. What the handler returns is the task's result, what it throws its failure. */
  readonly worker: <Payload = unknown, Result = unknown>(options: WorkerOptions, handler: TaskHandler<Payload, Result>) => Worker
  /** Calls a contract so that each request is carried out once: `await using reply = await stint.requester({ contract: 'pay' }).call({ amount: 5 })`. */
  readonly requester: (options: RequesterOptions) => Requester
  /**
   * Makes this process a worker of a contract, at once: it leases requests and runs the handler for each. What the handler returns is the reply, which is stored once and given
   * to every duplicate (`HandlerReply`); what it throws ends the execution: `PermanentFailure` for good, `GiveBack` for somebody else, anything else for another try.
   */
  readonly requestWorker: <Body = unknown>(options: RequestWorkerOptions, handler: RequestHandler<Body>) => Worker
  /** Gives operations to implementation nodes: `const copy = await stint.management().dispatch(new CopyImage(args), { node: 'disk-1' })`, and then `await copy.result()`. */
  readonly management: (options?: ManagementOptions) => Management
  /** Any route of the table, typed by it. */
  readonly call: Http['call']
  readonly exchange: Http['exchange']
  readonly callMany: Http['callMany']
  /** Closes job servers, as their `closeMode` says, producers, workers, requesters and managements, then ends every call and stream. */
  readonly close: () => Promise<void>
}

/** An environment variable, where there is an environment. */
const fromEnvironment = (name: string): string | undefined => {
  const value = globalThis.process?.env?.[name]
  return value === '' ? undefined : value
}

const isHttp = (url: string): boolean => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)

/** Connects to a Stint. Nothing is sent yet. Throws `TypeError` when the address is no http(s) URL. */
export const connect = (options: ConnectOptions = {}): Stint => {
  const { as, world = realWorld, fetch = (input, init) => globalThis.fetch(input, init) } = options
  const token = options.token ?? fromEnvironment('STINT_TOKEN')
  const url = options.url ?? fromEnvironment('STINT_URL') ?? DEFAULT_URL
  if (!isHttp(url)) throw new TypeError(`Expected the address of Stint to begin with http:// or https://, but it is ${url}.`)
  const isChannelled = options.channel !== false && options.fetch === undefined && isNode()
  const channel = isChannelled ? createChannel({ url: url.replace(/\/+$/, ''), headers: identityOf(token, as), world, under: platformTransport }) : undefined
  const http = createHttp({ url, token, as, world, fetch, transport: options.fetch ?? channel?.transport ?? platformTransport, isChannelled: channel?.isOpen })
  const longTasks = createLongTasks(http)
  const parts = new Set<{ readonly close: () => Promise<void> }>()

  /** What is closed with the client, unless it was closed before. */
  const part = <Part extends { readonly close: () => Promise<void> }>(create: (onClosed: () => void) => Part): Part => {
    http.closed.throwIfAborted()
    const made = create(() => parts.delete(made))
    parts.add(made)
    return made
  }

  const close = async (): Promise<void> => {
    await Promise.all([...parts].map((each) => each.close()))
    http.close()
    await channel?.close()
  }

  return {
    url: http.url,
    jobs: createJobs(http),
    queues: createQueues(http),
    tasks: createTasks(http),
    contracts: createContracts(http),
    requests: createRequests(http),
    longTasks,
    nodes: createNodes(http),
    tokens: {
      add: (body, { signal } = {}) => http.call(addToken, { body, signal }),
      list: ({ signal } = {}) => http.call(listTokens, { signal }),
      revoke: (id, { signal } = {}) => http.call(revokeToken, { params: { id }, signal }),
    },
    events: (filter) => events(http, filter),
    statistics: (query = {}, { signal } = {}) => http.call(statistics, { query, signal }),
    audit: (query = {}, { signal } = {}) => http.call(listAudit, { query, signal }),
    jobServer: (given) => part(() => createJobServer(http, given)),
    producer: (given) => part((onClosed) => createProducer(http, given, onClosed)),
    worker: (given, handler) => part((onClosed) => createWorker(http, given, handler, onClosed)),
    requester: (given) => part((onClosed) => createRequester(http, given, onClosed)),
    requestWorker: (given, handler) => part((onClosed) => createRequestWorker(http, given, handler, onClosed)),
    management: (given = {}) => part((onClosed) => createManagement(http, longTasks, given, onClosed)),
    call: http.call,
    exchange: http.exchange,
    callMany: http.callMany,
    close,
    [Symbol.asyncDispose]: close,
  }
}

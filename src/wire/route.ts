// A route is data: server, client, command line, OpenAPI document and tests all read the same value (rules 31).
import type * as t from 'io-ts'
import type { ProblemCode } from './problems.ts'

export const roles = ['admin', 'jobServer', 'producer', 'worker', 'requester', 'management', 'node', 'viewer'] as const
export type Role = (typeof roles)[number]

export type Codec<A> = t.Type<A, unknown, unknown>

export interface Route<Params = unknown, Query = unknown, Body = unknown, Answer = unknown> {
  /** operationId: unique, camelCase, verb first. */
  readonly name: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** OpenAPI form: `/v1/jobs/{id}`. */
  readonly path: string
  readonly tag: 'jobs' | 'tasks' | 'queues' | 'contracts' | 'requests' | 'long tasks' | 'nodes' | 'node' | 'work items' | 'events' | 'tokens' | 'service'
  readonly summary: string
  /**
   * Who may call it at all; `anyone` needs no token. `known`: every known principal, whatever its roles, because the handler decides by what is asked about:
   * for tasks and queues by the queue's access lists, for an item by who may see it. Finer rules stand in the handler.
   */
  readonly roles: readonly Role[] | 'anyone' | 'known'
  readonly params: Codec<Params>
  /** Query parameters, each decoded from its text; unknown ones are refused. */
  readonly query: Codec<Query>
  /** Body of one; undefined: the route takes none. */
  readonly body: Codec<Body> | undefined
  /** The body is taken as it is, whatever its media type; the handler reads it. */
  readonly bytes: boolean
  /** Its body carries content in JSON or base64, up to a limit of its own: all together it may be as large as a body of many. */
  readonly carriesContent: boolean
  /** `{ items: [body, …] }` is taken too, answered 200 with one result per item (surface 10). */
  readonly many: boolean
  /** Fields that may stand beside `items` when there are many, and what is answered beside the results to them. */
  readonly beside: { readonly asks: t.Mixed; readonly answers: t.Mixed } | undefined
  /** Answered from the tables, which follow the log at a little distance: a position that is named must have been reached there too (surface 12). */
  readonly fromTables: boolean
  /** What a success carries, by status; `undefined` for an empty answer. */
  readonly answers: { readonly [status: number]: Codec<Answer> | undefined }
  /** Media type of the success; JSON unless said, and any when it is somebody else's answer that is given on. */
  readonly mediaType: string
  /** Headers that it listens to beside the general ones. */
  readonly headers: readonly ('Prefer' | 'If-None-Match' | 'Stint-Lease' | 'Idempotency-Key' | 'Last-Event-ID' | 'Stint-Callback')[]
  /** Refusals beside those that any route can give. */
  readonly problems: readonly ProblemCode[]
}

type Given<Params, Query, Body, Answer> = Pick<Route, 'name' | 'method' | 'path' | 'tag' | 'summary' | 'roles'> &
  Partial<Omit<Route<Params, Query, Body, Answer>, 'answers'>> & { readonly answers: { readonly [status: number]: Codec<Answer> | undefined } }

/** Makes a route, with nothing for what is left out. */
export const makeRoute =
  (nothing: Codec<{}>) =>
  <Params = {}, Query = {}, Body = undefined, Answer = undefined>(given: Given<Params, Query, Body, Answer>): Route<Params, Query, Body, Answer> => ({
    body: undefined,
    bytes: false,
    carriesContent: false,
    many: false,
    beside: undefined,
    fromTables: false,
    mediaType: 'application/json',
    headers: [],
    problems: [],
    ...given,
    params: given.params ?? (nothing as unknown as Codec<Params>),
    query: given.query ?? (nothing as unknown as Codec<Query>),
  })

export type ParamsOf<R> = R extends Route<infer Params, infer _Q, infer _B, infer _A> ? Params : never
export type QueryOf<R> = R extends Route<infer _P, infer Query, infer _B, infer _A> ? Query : never
export type BodyOf<R> = R extends Route<infer _P, infer _Q, infer Body, infer _A> ? Body : never
export type AnswerOf<R> = R extends Route<infer _P, infer _Q, infer _B, infer Answer> ? Answer : never

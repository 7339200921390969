// Requests, looked at and directed from outside: thin, typed calls, as an application's tools and the command line make them.
import type { HistoryEvent } from '../wire/items.ts'
import { directRequest, listRequests, releaseReply, requestHistory, requestWhy, showReply, showRequest, type RequestShown } from '../wire/requests.ts'
import type { AnswerOf, QueryOf } from '../wire/route.ts'
import type { Http } from './http.ts'
import type { Ended, Given, Page, Why } from './jobs.ts'
import { givenReply, RELEASE_HEADER, type GivenReply } from './reply.ts'

export interface RequestName {
  readonly contract: string
  readonly id: string
  /** Whose it is: ids are the caller's own. One's own unless given. */
  readonly caller?: string | undefined
}

export type RequestFilter = QueryOf<typeof listRequests>
export type Released = AnswerOf<typeof releaseReply>

export interface Requests {
  /** One page of a contract's requests, newest first: 100 unless `limit` (1–1,000) says otherwise. */
  readonly list: (contract: string, filter?: RequestFilter, options?: Ended) => Promise<Page<RequestShown>>
  /** All requests that fit, page after page. */
  readonly each: (contract: string, filter?: RequestFilter, options?: Ended) => AsyncIterable<RequestShown>
  /** With its reply, for its caller and for the workers of the contract. */
  readonly show: (request: RequestName, options?: Ended) => Promise<RequestShown>
  /** The reply as it was made, whatever its status. Throws `StintError` `pending`, `released`, `reply-not-kept`, `interrupted`, … when there is none. */
  readonly reply: (request: RequestName, options?: Ended) => Promise<GivenReply>
  /** The reply is needed no more. With a `caller` other than oneself it is by force: for administrators, and kept for audit. */
  readonly release: (request: RequestName, options?: Ended) => Promise<Released>
  /** Every change of a request, oldest first, a page at a time. */
  readonly history: (request: RequestName, page?: Omit<QueryOf<typeof requestHistory>, 'caller'>, options?: Ended) => Promise<Page<HistoryEvent>>
  readonly why: (request: RequestName, options?: Ended) => Promise<Why>
  /** Final: the request is to stop; one that waits is cancelled. Throws `StintError` `settled`. */
  readonly abort: (request: RequestName, reason?: string, options?: Ended) => Promise<Given>
  /** The request is to wait: held back while it waits for a worker, else at its handler's next checkpoint. Throws `StintError` `settled` or `aborting`. */
  readonly pause: (request: RequestName, reason?: string, options?: Ended) => Promise<Given>
  readonly resume: (request: RequestName, reason?: string, options?: Ended) => Promise<Given>
}

async function* each(http: Http, contract: string, filter: RequestFilter, { signal }: Ended): AsyncGenerator<RequestShown, void, undefined> {
  for (let after = filter.after; ;) {
    const page = await http.call(listRequests, { params: { contract }, query: { ...filter, after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

const named = ({ contract, id, caller }: RequestName) => ({ params: { contract, id }, query: { caller } })

export const createRequests = (http: Http): Requests => {
  const direct =
    (directive: 'abort' | 'pause' | 'resume') =>
    (request: RequestName, reason?: string, { signal }: Ended = {}): Promise<Given> =>
      http.call(directRequest, { ...named(request), body: { directive, ...(reason === undefined ? {} : { reason }) }, signal })
  return {
    list: (contract, query = {}, { signal } = {}) => http.call(listRequests, { params: { contract }, query, signal }),
    each: (contract, filter = {}, options = {}) => each(http, contract, filter, options),
    show: (request, { signal } = {}) => http.call(showRequest, { ...named(request), signal }),
    reply: async (request, { signal } = {}) => givenReply(request.id, await http.pass(showReply, { ...named(request), through: RELEASE_HEADER, signal }), false),
    release: (request, { signal } = {}) => http.call(releaseReply, { ...named(request), signal }),
    history: (request, page = {}, { signal } = {}) => http.call(requestHistory, { params: named(request).params, query: { ...page, caller: request.caller }, signal }),
    why: (request, { signal } = {}) => http.call(requestWhy, { ...named(request), signal }),
    abort: direct('abort'),
    pause: direct('pause'),
    resume: direct('resume'),
  }
}

// Contracts, set up and looked at from outside: thin, typed calls, as an administrator's tools and the command line make them.
import { listContracts, putContract, showContract, type ContractBody, type ContractShown } from '../wire/contracts.ts'
import { listCallers } from '../wire/requests.ts'
import type { AnswerOf, QueryOf } from '../wire/route.ts'
import type { Http } from './http.ts'
import type { Ended, Page } from './jobs.ts'

export type CallerUsage = AnswerOf<typeof listCallers>['items'][number]

export interface Contracts {
  /** One page of the contracts that the caller may call, work or look after, by name. */
  readonly list: (page?: QueryOf<typeof listContracts>, options?: Ended) => Promise<Page<ContractShown>>
  readonly each: (options?: Ended) => AsyncIterable<ContractShown>
  /** What it says, and how many of its requests wait and run. */
  readonly show: (contract: string, options?: Ended) => Promise<ContractShown>
  /** Sets a contract up as a whole; requests that were accepted before keep what held then. */
  readonly put: (contract: string, body: ContractBody, options?: Ended) => Promise<ContractShown>
  /** One page of what each caller has pending and unreleased, with its oldest. */
  readonly callers: (contract: string, filter?: QueryOf<typeof listCallers>, options?: Ended) => Promise<Page<CallerUsage>>
}

async function* each(http: Http, { signal }: Ended): AsyncGenerator<ContractShown, void, undefined> {
  for (let after: string | undefined; ;) {
    const page = await http.call(listContracts, { query: { after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

export const createContracts = (http: Http): Contracts => ({
  list: (query = {}, { signal } = {}) => http.call(listContracts, { query, signal }),
  each: (options = {}) => each(http, options),
  show: (contract, { signal } = {}) => http.call(showContract, { params: { contract }, signal }),
  put: (contract, body, { signal } = {}) => http.call(putContract, { params: { contract }, body, signal }),
  callers: (contract, query = {}, { signal } = {}) => http.call(listCallers, { params: { contract }, query, signal }),
})

// Implementation nodes, looked at from outside: where they are, what they can run, and whether they answer.
import { listNodes, removeNode, showNode, type NodeShown } from '../wire/nodes.ts'
import type { QueryOf } from '../wire/route.ts'
import type { Http } from './http.ts'
import type { Ended, Page } from './jobs.ts'

export interface Nodes {
  /** One page of the registered nodes, by name: 100 unless `limit` (1–1,000) says otherwise. */
  readonly list: (page?: QueryOf<typeof listNodes>, options?: Ended) => Promise<Page<NodeShown>>
  /** All of them, page after page. */
  readonly each: (options?: Ended) => AsyncIterable<NodeShown>
  /** With its health as the server found it when it last called. */
  readonly show: (node: string, options?: Ended) => Promise<NodeShown>
  /** Forgets a node; its long tasks wait for it until their timeout. For administrators. */
  readonly remove: (node: string, options?: Ended) => Promise<NodeShown>
}

async function* each(http: Http, { signal }: Ended): AsyncGenerator<NodeShown, void, undefined> {
  for (let after: string | undefined; ;) {
    const page = await http.call(listNodes, { query: { after }, signal })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

export const createNodes = (http: Http): Nodes => ({
  list: (query = {}, { signal } = {}) => http.call(listNodes, { query, signal }),
  each: (options = {}) => each(http, options),
  show: (node, { signal } = {}) => http.call(showNode, { params: { node }, signal }),
  remove: (node, { signal } = {}) => http.call(removeNode, { params: { node }, signal }),
})

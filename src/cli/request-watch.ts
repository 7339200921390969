// What `stint requests watch` looks at: the newest requests of a contract, all of them or those of one caller.
import { listRequests } from '../wire/requests.ts'
import { requestId } from '../wire/words.ts'
import type { Context } from './context.ts'
import { usage } from './failure.ts'
import { PAGE, watchItems } from './item-watch.ts'
import { findRequest, type OfRequest } from './request-lookup.ts'

export const watchRequests = async (context: Context, options: OfRequest, ids: readonly string[]): Promise<void> => {
  const { contract, caller } = options
  if (ids.length === 0 && contract === undefined) throw usage('Expected a contract: -c CONTRACT.', '`stint contracts list` shows them.')
  const found = await Promise.all(ids.map((id) => findRequest(context, options, id)))
  await watchItems(context, {
    kind: 'request',
    workItems: [...new Set(found.map(({ workItem }) => workItem))],
    filter: { contract, caller },
    prefix: caller === undefined ? (contract === undefined ? 'request/' : `request/${encodeURIComponent(contract)}/`) : requestId(contract ?? '', caller, ''),
    list: async (http) => {
      const { headers, body } = await http.exchange(listRequests, { params: { contract: contract ?? '' }, query: { caller, limit: PAGE }, attemptsMax: 1 })
      return { items: body?.items ?? [], more: body?.next !== undefined, position: headers.get('stint-position') ?? undefined }
    },
  })
}

// `stint requests`: call a contract and see its reply, look at requests, release replies, and say what should become of what goes on.
import type { Command } from 'commander'
import { listRequests, releaseReply, showRequest, type RequestShown } from '../wire/requests.ts'
import type { State } from '../wire/items.ts'
import { action, countFlag, durationFlag, wordFlag, type Context } from './context.ts'
import { examples } from './help.ts'
import { addDirectives, addLooks, addWait, type Naming } from './item-verbs.ts'
import { printList, printOne } from './output.ts'
import { JSON_FLAG } from './payload.ts'
import { findRequest, inContract, oneRequest, requestIdOf, requestNamed, type OfContract, type OfRequest, whose } from './request-lookup.ts'
import { requestColumns, requestLines } from './request-text.ts'

const PAGE_MAX = 1_000
const WAIT_MS = 30_000

/** The states that a request can be in: its lease ends where a job would be lost. */
const REQUEST_STATES = ['waiting', 'running', 'paused', 'aborting', 'completed', 'failed', 'aborted', 'cancelled'] as const satisfies readonly State[]

interface ListOptions extends OfContract {
  readonly state?: State
  readonly caller?: string
  readonly olderThan?: number
  readonly unreleased?: boolean
  readonly limit: number
  readonly after?: string
}

const emptyText = ({ contract, state, caller, olderThan, unreleased }: ListOptions): string =>
  [state, caller, olderThan, unreleased].some((filter) => filter !== undefined)
    ? `No request of ${contract} matches. \`stint requests list -c ${contract}\` lists all that you may see.`
    : `There is no request of ${contract} that you may see. \`stint requests call '{"hello":"world"}' -c ${contract}\` makes one.`

const list = async (context: Context, options: ListOptions): Promise<void> => {
  const { contract, state, caller, olderThan, unreleased, limit, after } = options
  const filter = {
    state,
    caller,
    olderThanSeconds: olderThan === undefined ? undefined : Math.ceil(olderThan / 1_000),
    released: unreleased === true ? ('false' as const) : undefined,
  }
  const items: RequestShown[] = []
  let next = after
  do {
    const page = await context.http.call(listRequests, { params: { contract }, query: { ...filter, limit: Math.min(PAGE_MAX, limit - items.length), after: next } })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  printList(context, { items, next }, requestColumns(context.world.now()), emptyText(options))
}

const show = async (context: Context, options: OfRequest, given: string): Promise<void> => {
  const { contract, id, caller } = requestNamed(options, given)
  const request = await context.http.call(showRequest, { params: { contract, id }, query: { caller } })
  printOne(context, request, requestLines(request, context.world.now()))
}

/** One's own as its caller; somebody else's by force, which is asked about before. */
const release = async (context: Context, options: OfRequest, given: string): Promise<void> => {
  const { contract, id, caller } = requestNamed(options, given)
  if (caller !== undefined)
    await context.confirm(`Release the reply to request ${id} of ${contract} in the place of ${caller}? It is forgotten, and ${caller} cannot ask for it again.`)
  const answer = await context.http.call(releaseReply, { params: { contract, id }, query: { caller } })
  if (context.format === 'table') context.out(`${answer.id}  released (${answer.released.how})`)
  else printOne(context, answer, [])
}

const NAMING: Naming<OfRequest> = {
  kind: 'request',
  states: REQUEST_STATES,
  named: oneRequest,
  find: (context, options, id) => findRequest(context, options, id ?? ''),
  examples: ['order-7 -c pay', 'request/pay/ann/order-7'],
}

const CALL = `
Prints the body of the reply as it is; with -i its status and headers before, with -o json all of it as JSON. Exit code 0 for a reply with a status below 300, 1 for any other
reply, 124 when there is none in time: the request goes on, and is asked for by its id. The same id with the same body is the same request, and gets the same reply.
`

const addCalling = (requests: Command): void => {
  const call = async (...given: readonly unknown[]): Promise<void> => {
    const { callContract } = await import('./request-call.ts')
    await action(callContract)(...given)
  }
  const reply = async (...given: readonly unknown[]): Promise<void> => {
    const { replyOf } = await import('./request-call.ts')
    await action(replyOf)(...given)
  }
  inContract(requests.command('call').description('call a contract and print the reply'))
    .argument('[body]', JSON_FLAG)
    .option('--id <id>', 'your name for it (default: a new one)', requestIdOf)
    .option('--type <media type>', 'what the body is (default: application/json, or text/plain for what is no JSON)')
    .option('--wait <duration>', 'wait so long for the reply; 0 hands it in and prints its id', durationFlag, WAIT_MS)
    .option('--callback <url>', 'have the reply delivered there too')
    .option('-i, --include', 'print status and headers of the reply too')
    .action(call)
    .addHelpText(
      'after',
      CALL +
        examples(
          `stint requests call '{"amount":5}' -c pay`,
          `stint requests call '{"amount":5}' -c pay --id order-7 --wait 2m -i`,
          'stint requests call @order.xml -c pay --type text/xml',
        ),
    )
  oneRequest(requests.command('reply').description('print the reply to a request as it was made'))
    .option('--wait <duration>', 'wait so long for it, for requests of your own', durationFlag, 0)
    .option('-i, --include', 'print status and headers of the reply too')
    .action(reply)
    .addHelpText('after', examples('stint requests reply order-7 -c pay', 'stint requests reply order-7 -c pay --wait 1m -i', 'stint requests reply request/pay/ann/order-7'))
}

const addReading = (requests: Command): void => {
  inContract(requests.command('list').description('list the requests of a contract, newest first'))
    .option('--state <state>', `requests in this state: ${REQUEST_STATES.join(', ')}`, wordFlag(REQUEST_STATES))
    .option('--caller <subject>', 'only requests of this caller')
    .option('--older-than <duration>', 'only requests that were called longer ago than 30s, 5m, 2h …', durationFlag)
    .option('--unreleased', 'only requests whose reply is still kept or to come')
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint requests list -c pay', 'stint requests list -c pay --unreleased --older-than 1h', 'stint requests list -c pay --caller ann -o json'))
  oneRequest(requests.command('show').description('show one request, with its reply for those who may have it'))
    .action(action(show))
    .addHelpText('after', examples('stint requests show order-7 -c pay', 'stint requests show request/pay/ann/order-7 -o json'))
}

const WATCH = `
On a terminal: one line a request, redrawn in place. Elsewhere: one line a change.
With ids it ends when they have all settled; otherwise it goes on until Ctrl-C.
`

const addWatch = (requests: Command): void => {
  whose(requests.command('watch').description('watch the requests of a contract live').argument('[ids...]', 'ids of requests; none: all of the contract'))
    .action(async (...given: readonly unknown[]) => {
      const { watchRequests } = await import('./request-watch.ts')
      await action(watchRequests)(...given)
    })
    .addHelpText('after', WATCH + examples('stint requests watch -c pay', 'stint requests watch order-7 order-8 -c pay', 'stint requests watch -c pay --caller ann -o jsonl'))
}

const RELEASE = `
The reply is forgotten; a later duplicate is answered with \`released\`, and never carried out again. With --caller it is by force: for administrators, and kept for audit.
`

const addRelease = (requests: Command): void => {
  oneRequest(requests.command('release').description('say that a reply is needed no more'))
    .action(action(release))
    .addHelpText('after', RELEASE + examples('stint requests release order-7 -c pay', 'stint requests release order-7 -c pay --caller ann --yes'))
}

const GRAMMAR = `
The contract is named by -c CONTRACT with every verb. A request is named by its id there, with --caller when it is not your own, or by its global ID
request/CONTRACT/CALLER/ID, which needs neither.
`

export const addRequests = (program: Command): void => {
  const requests = program.command('requests').description('exactly-once requests: call, reply, list, show, watch, release, history, why, wait, abort, pause, resume')
  requests.addHelpText('after', GRAMMAR + examples(`stint requests call '{"amount":5}' -c pay`, 'stint requests list -c pay', 'stint requests show order-7 -c pay'))
  addCalling(requests)
  addReading(requests)
  addWatch(requests)
  addRelease(requests)
  addLooks(requests, NAMING)
  addWait(requests, NAMING)
  addDirectives(requests, NAMING)
}

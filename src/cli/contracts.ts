// `stint contracts`: the named kinds of exactly-once requests, looked at and set up.
import type { Command } from 'commander'
import { StintError } from '../client/errors.ts'
import { listContracts, putContract, showContract, type ContractBody, type ContractShown } from '../wire/contracts.ts'
import { action, countFlag, durationFlag, wordFlag, type Context } from './context.ts'
import { examples } from './help.ts'
import { printList, printOne } from './output.ts'
import { present } from './payload.ts'
import { contractFlag } from './request-lookup.ts'
import { contractColumns, contractLines } from './request-text.ts'

const PAGE_MAX = 1_000
const POLICIES = ['none-required', 'encouraged', 'required'] as const
const ON_INTERRUPTED = ['retry', 'fail'] as const

const EMPTY = 'There is no contract that you may look at. `stint contracts put pay --caller ann@example.com --worker till@example.com` sets one up.'

const list = async (context: Context, { limit, after }: { readonly limit: number; readonly after?: string }): Promise<void> => {
  const items: ContractShown[] = []
  let next = after
  do {
    const page = await context.http.call(listContracts, { query: { limit: Math.min(PAGE_MAX, limit - items.length), after: next } })
    items.push(...page.items)
    next = page.next
  } while (next !== undefined && items.length < limit)
  printList(context, { items, next }, contractColumns, EMPTY)
}

const print = (context: Context, contract: ContractShown): void => printOne(context, contract, contractLines(contract, context.world.now()))

const show = async (context: Context, _options: unknown, contract: string): Promise<void> => print(context, await context.http.call(showContract, { params: { contract } }))

interface PutOptions {
  readonly caller?: readonly string[]
  readonly worker?: readonly string[]
  readonly release?: (typeof POLICIES)[number]
  readonly retain?: number
  readonly onInterrupted?: (typeof ON_INTERRUPTED)[number]
  readonly lease?: number
  readonly interruptedAfter?: number
  readonly attempts?: number
  readonly quotaRequests?: number
  readonly quotaBytes?: number
  readonly callbackSecretEnv?: string
  readonly anew?: boolean
}

const secondsOf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000)

const bodyOf = (options: PutOptions): ContractBody => {
  const { quotaRequests: requests, quotaBytes: bytes } = options
  return present({
    callers: options.caller === undefined ? undefined : [...options.caller],
    workers: options.worker === undefined ? undefined : [...options.worker],
    release: options.release,
    retainSeconds: secondsOf(options.retain),
    onInterrupted: options.onInterrupted,
    leaseSeconds: secondsOf(options.lease),
    interruptedAfterSeconds: secondsOf(options.interruptedAfter),
    attemptsMax: options.attempts,
    quota: requests === undefined && bytes === undefined ? undefined : present({ requests, bytes }),
    callbackSecretEnv: options.callbackSecretEnv,
  })
}

/** What the contract says now; nothing, when nobody has set it up. */
const saidBefore = async ({ http }: Context, contract: string): Promise<ContractBody> => {
  let shown: ContractShown
  try {
    shown = await http.call(showContract, { params: { contract } })
  } catch (thrown) {
    if (thrown instanceof StintError && thrown.code === 'not-found') return {}
    throw thrown
  }
  if (!shown.configured) return {}
  const { callers, workers, release, retainSeconds, onInterrupted, leaseSeconds, interruptedAfterSeconds, attemptsMax, quota, callbackSecretEnv } = shown
  return present({ callers, workers, release, retainSeconds, onInterrupted, leaseSeconds, interruptedAfterSeconds, attemptsMax, quota, callbackSecretEnv })
}

/** What is named, and of the rest what was said before. */
const changed = ({ retainSeconds, quota, ...before }: ContractBody, named: ContractBody): ContractBody => ({
  ...before,
  // Nothing is kept for a time where its caller has to release it.
  ...(named.release === 'required' ? {} : present({ retainSeconds })),
  ...named,
  ...(quota === undefined && named.quota === undefined ? {} : { quota: { ...quota, ...named.quota } }),
})

const put = async (context: Context, options: PutOptions, contract: string): Promise<void> => {
  const named = bodyOf(options)
  const body = options.anew === true ? named : changed(await saidBefore(context, contract), named)
  print(context, await context.http.call(putContract, { params: { contract }, body }))
}

const PUT = `
What is not named stays as it is; with --anew it is as on a contract that says nothing. Requests that were accepted before keep what held for them.
`

const collected = (one: string, before: readonly string[] = []): readonly string[] => [...before, one]

const addPut = (contracts: Command): void => {
  contracts
    .command('put')
    .description('set a contract up, or anew for requests to come')
    .argument('<contract>', 'its name', contractFlag)
    .option('--caller <email>', 'who may call it; may be given several times', collected)
    .option('--worker <email>', 'who may work its requests off; may be given several times', collected)
    .option('--release <policy>', `whether callers have to release replies: ${POLICIES.join(', ')}`, wordFlag(POLICIES))
    .option('--retain <duration>', 'how long a reply is kept', durationFlag)
    .option('--on-interrupted <what>', `what becomes of a request whose execution broke off: ${ON_INTERRUPTED.join(', ')}`, wordFlag(ON_INTERRUPTED))
    .option('--lease <duration>', 'of leases whose call says nothing', durationFlag)
    .option('--interrupted-after <duration>', 'a request of middleware that broke off and that nobody repeats fails after so long', durationFlag)
    .option('--attempts <count>', 'executions of one request, at most', countFlag(1, 1_000))
    .option('--quota-requests <count>', 'unreleased requests of one caller, at most', countFlag(1, 1_000_000_000))
    .option('--quota-bytes <count>', 'bytes of unreleased replies of one caller, at most', countFlag(1, 1_000_000_000_000))
    .option('--callback-secret-env <name>', "variable of the server's environment with the secret that callbacks are signed with")
    .option('--anew', 'forget what the contract says so far')
    .action(action(put))
    .addHelpText(
      'after',
      PUT +
        examples(
          'stint contracts put pay --caller ann@example.com --worker till@example.com',
          'stint contracts put pay --release required --quota-requests 1000 --on-interrupted fail',
          'stint contracts put quote --release none-required --retain 1h',
          'stint contracts put quote --callback-secret-env QUOTE_SECRET',
        ),
    )
}

export const addContracts = (program: Command): void => {
  const contracts = program.command('contracts').description('contracts, the named kinds of exactly-once requests: list, show, put')
  contracts.addHelpText('after', examples('stint contracts list', 'stint contracts show pay', 'stint contracts put pay --caller ann@example.com --worker till@example.com'))
  contracts
    .command('list')
    .description('list the contracts that you may call, work or look after')
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint contracts list', 'stint contracts list -o json'))
  contracts
    .command('show')
    .description('show a contract: what it says, and how many requests wait and run')
    .argument('<contract>', 'its name', contractFlag)
    .action(action(show))
    .addHelpText('after', examples('stint contracts show pay', 'stint contracts show pay -o json'))
  addPut(contracts)
}

// Contracts and their requests (C): accepted, leased to the contract's workers, and replied to once. The promise itself is the decider's and the expected revision's;
// here is only what makes it quick, and what concerns more than one request.
import * as E from 'fp-ts/lib/Either.js'
import { absentContract, contractStream, decideContract, decodeContractEvent, DEFAULT_CONTRACT, encodeContractEvent, evolveContract } from '../../domain/contract.ts'
import type { ConfigureContract, Contract, ContractConfig, ContractEvent, ContractRejection, ExistingContract } from '../../domain/contract.ts'
import { contractLine } from '../../domain/leader.ts'
import type { WorkItemId } from '../../domain/ids.ts'
import { requestRetry } from '../../domain/policy/retry.ts'
import type { CommandOfType, RetryPolicy } from '../../domain/work-item/commands.ts'
import type { Existing, WorkItem } from '../../domain/work-item/state.ts'
import type { AppendTooLarge, EventStore, StoreFault } from '../../store/port.ts'
import type { World } from '../../world.ts'
import { createBook, type Aggregate, type Book } from '../book.ts'
import { contentDigest } from '../digest.ts'
import type { Context, Done, LeaseCall, LeasedItem, Refusal, Timeless } from '../command.ts'
import { secretsFor, type Addressees } from '../delivery/addressee.ts'
import type { Secret } from '../delivery/signature.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { createLeaseDesk } from '../queues/lease-desk.ts'
import type { QueueFigures } from '../queues/queue-index.ts'
import { createHeldRequests } from './held-requests.ts'
import { createReplyShelf, type ReplyShelf } from './reply-shelf.ts'
import type { RequestUsage } from './usage.ts'

export type { ContractConfig }
export const defaultContract = DEFAULT_CONTRACT

export type ContractRefusal = ContractRejection | StoreFault | AppendTooLarge

export interface ContractView {
  readonly contract: string
  readonly config: ContractConfig
  /** Somebody has written it down; on an open server every contract exists, with the defaults. */
  readonly isConfigured: boolean
  readonly createdAt?: number | undefined
  readonly updatedAt?: number | undefined
  readonly figures: QueueFigures
}

export interface Contracts {
  /** Undefined: there is no such contract. */
  readonly configOf: (contract: string) => ContractConfig | undefined
  readonly get: (contract: string) => ContractView | undefined
  readonly list: () => readonly ContractView[]
  /** What is in force already changes nothing; a change holds for requests to come. */
  readonly configure: (contract: string, config: ContractConfig, context: Context) => Promise<E.Either<ContractRefusal, { readonly view: ContractView; readonly isNew: boolean }>>
  /** Accepts a request, or finds out what has become of the first with its id; one for which a worker waits is leased in the same append. */
  readonly accept: (workItem: WorkItemId, command: Timeless<CommandOfType<'AcceptRequest'>>, context: Context, body: Uint8Array) => Promise<E.Either<Refusal, Done>>
  readonly lease: (contract: string, call: LeaseCall, context: Context) => Promise<E.Either<Refusal, readonly LeasedItem[]>>
  readonly takeBack: (workItem: WorkItemId, lease: string, context: Context) => Promise<E.Either<Refusal, Done>>
  /** Settles a request with its reply. Resolves when it is durable. */
  readonly reply: (workItem: WorkItemId, command: Timeless<CommandOfType<'Reply'>>, context: Context, body: Uint8Array | undefined) => Promise<E.Either<Refusal, Done>>
  readonly replyOf: ReplyShelf['replyOf']
  /** The request that is or was held under this lease lately. */
  readonly heldUnder: (contract: string, id: string, lease: string) => WorkItemId | undefined
  /** The secrets that messages on behalf of this contract are signed with at this address, or a sentence on why it may not be called. */
  readonly addresseeFor: (contract: string | undefined, url: string) => E.Either<string, readonly Secret[]>
  /** Whether an execution that broke off is followed by another. */
  readonly retryFor: (item: Existing) => RetryPolicy
}

export interface RunningContracts extends Contracts {
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: Existing) => void
  readonly loadAll: (contracts: Iterable<string>) => Promise<E.Either<StoreFault, void>>
  readonly follow: Book<ConfigureContract, Contract, ContractEvent, ContractRejection>['follow']
  /** Who gives them out, or may, has changed. */
  readonly refresh: (contract: string) => void
  readonly stop: () => void
}

const aggregate: Aggregate<ConfigureContract, Contract, ContractEvent, ContractRejection> = {
  noun: 'contract',
  streamOf: contractStream,
  absent: absentContract,
  decide: decideContract,
  evolve: evolveContract,
  encode: encodeContractEvent,
  decode: decodeContractEvent,
}

/** Nothing limits the leases of a contract: no keys, no rate. */
const SERVED = { stint: { keyConcurrency: 1 } }

export const createContracts = (options: {
  readonly store: EventStore
  readonly handler: Handler
  readonly live: Live
  readonly world: World
  readonly bookOptions: Parameters<typeof createBook>[1]
  /** What callers have, to hold against their quota. */
  readonly usage: RequestUsage
  readonly addressees: Addressees
  /** Every contract exists, with the defaults: a server without auth. */
  readonly isOpen: () => boolean
  readonly isStopping: () => boolean
  /** Over a shared log: whether this server is the one that gives out what waits in a line. */
  readonly leads: ((line: string) => boolean) | undefined
  /** Over a shared log: resolves when all that was appended before is known here; false: that will not be. */
  readonly untilKnown: (() => Promise<boolean>) | undefined
}): RunningContracts => {
  const { store, handler, live, world, isOpen } = options
  const book: Book<ConfigureContract, Contract, ContractEvent, ContractRejection> = createBook(aggregate, options.bookOptions)
  const shelf = createReplyShelf(store)
  const held = createHeldRequests()
  const configOf: Contracts['configOf'] = (contract) => {
    const known = book.get(contract)
    if (known.status === 'open') return known.config
    return isOpen() ? DEFAULT_CONTRACT : undefined
  }
  const isLed = (contract: string): boolean => options.leads === undefined || options.leads(contractLine(contract))
  const desk = createLeaseDesk({
    store,
    handler,
    live,
    world,
    lineOf: (item) => (item.request?.runs === 'workers' ? item.request.contract : undefined),
    served: (contract) => (isLed(contract) ? SERVED : undefined),
    admits: (contract) => {
      if (!isLed(contract)) return E.left({ type: 'no-leader' })
      return configOf(contract) === undefined ? E.left({ type: 'not-found' }) : E.right(undefined)
    },
    isStopping: options.isStopping,
    untilKnown: options.untilKnown,
  })

  const viewOf = (contract: string, known: ExistingContract | undefined): ContractView => ({
    contract,
    config: known?.config ?? DEFAULT_CONTRACT,
    isConfigured: known !== undefined,
    createdAt: known?.createdAt,
    updatedAt: known?.updatedAt,
    figures: desk.figures(contract),
  })

  const accepted: Contracts['accept'] = (workItem, command, context, body) => {
    const { request } = command
    // Who brings its own lease runs it itself.
    if (request.runs === 'middleware' || live.get(workItem) !== undefined) return handler.execute(workItem, command, context, body)
    return desk.bear(request.contract, workItem, request, (leaseTo) => (leaseTo === undefined ? command : { ...command, leaseTo }), context, body)
  }

  return {
    configOf,
    get: (contract) => {
      const known = book.get(contract)
      if (known.status === 'open') return viewOf(contract, known)
      return isOpen() ? viewOf(contract, undefined) : undefined
    },
    list: () => {
      const names = new Set([...[...book.entries()].map(([name]) => name), ...(isOpen() ? desk.lines() : [])])
      return [...names].toSorted().map((name) => {
        const known = book.get(name)
        return viewOf(name, known.status === 'open' ? known : undefined)
      })
    },
    configure: async (contract, config, context) => {
      const isNew = book.get(contract).status === 'absent'
      const done = await book.execute(contract, { type: 'ConfigureContract', by: context.actor, config, digest: contentDigest(config) }, context)
      if (E.isLeft(done)) return done
      if (done.right.events.length > 0) desk.refresh(contract)
      const { state } = done.right
      return E.right({ view: viewOf(contract, state.status === 'open' ? state : undefined), isNew })
    },
    accept: async (workItem, command, context, body) => {
      const { request } = command
      const quota = configOf(request.contract)?.quota
      if (quota === undefined || live.get(workItem) !== undefined) return accepted(workItem, command, context, body)
      const claimed = await options.usage.claim({ workItem, ...request }, quota)
      if (E.isRight(claimed)) {
        try {
          return await accepted(workItem, command, context, body)
        } finally {
          claimed.right()
        }
      }
      // A duplicate is no new request: it is answered whatever else its caller has.
      const known = await handler.load(workItem)
      if (E.isLeft(known)) return known
      return known.right.item.status === 'absent' ? claimed : accepted(workItem, command, context, body)
    },
    lease: desk.lease,
    takeBack: desk.takeBack,
    reply: async (workItem, command, context, body) => {
      const done = await handler.execute(workItem, command, context, body)
      if (E.isRight(done) && done.right.events.some(({ type }) => type === 'Completed'))
        shelf.put(workItem, { head: command.reply, body: command.reply.kept ? (body ?? new Uint8Array()) : undefined })
      return done
    },
    replyOf: shelf.replyOf,
    heldUnder: held.find,
    addresseeFor: (contract, url) => secretsFor({ url, secretEnv: contract === undefined ? undefined : configOf(contract)?.callbackSecretEnv }, options.addressees),
    retryFor: (item) => (item.request === undefined ? { pauseMs: 0 } : requestRetry(item.request, item.attempt, world.random())),
    changed: (workItem, before, after) => {
      if (after.kind !== 'request') return
      held.changed(workItem, after)
      if (after.status === 'settled' && after.released !== undefined) shelf.drop(workItem)
      desk.changed(workItem, before, after)
    },
    loadAll: book.loadAll,
    follow: async (contract, events) => {
      const before = book.get(contract).revision
      const followed = await book.follow(contract, events)
      if (book.get(contract).revision !== before) desk.refresh(contract)
      return followed
    },
    refresh: desk.refresh,
    stop: desk.stop,
  }
}

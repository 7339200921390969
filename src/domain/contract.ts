// A contract: a named kind of request, who may send and who may work it, and how long its replies are kept. Events, state and decision of the aggregate; its requests are work items.
import * as E from 'fp-ts/lib/Either.js'
import * as t from 'io-ts'
import { accept, reject, type Decision } from './decider.ts'
import type { EncodedEvent, UndecodableEvent } from './work-item/codec.ts'
import { OnInterrupted, Release } from './work-item/events.ts'
import type { At } from './work-item/evolve.ts'

// ---- what it is set up to be ----

export const ContractConfig = t.intersection([
  t.type({
    /** E-mails that may send requests and see their own; sorted, each once. Nobody else may. */
    callers: t.array(t.string),
    /** E-mails that may lease requests and reply to them; sorted, each once. */
    workers: t.array(t.string),
    release: Release,
    onInterrupted: OnInterrupted,
    /** Length of a lease of which its call says nothing. */
    leaseMs: t.number,
    /** A request of middleware that no duplicate came for in this time after it broke off fails as `interrupted`. */
    interruptedAfterMs: t.number,
  }),
  t.partial({
    /** Executions that a request may have; none: no limit. */
    attemptsMax: t.number,
    /** What one caller may have unreleased, pending requests among it. */
    quota: t.partial({ requests: t.number, bytes: t.number }),
    /** Variable of the server's environment that holds the secret with which callbacks are signed: no secret stands in the log. */
    callbackSecretEnv: t.string,
  }),
])
export type ContractConfig = t.TypeOf<typeof ContractConfig>

const DAY_MS = 86_400_000

/** What holds where nobody said otherwise: a reply is kept for a week, its caller is asked to release it early, and what broke off is run again. */
export const DEFAULT_CONTRACT: ContractConfig = {
  callers: [],
  workers: [],
  release: { policy: 'encouraged', retainMs: 7 * DAY_MS },
  onInterrupted: 'retry',
  leaseMs: 60_000,
  interruptedAfterMs: 3_600_000,
}

const STREAM_PREFIX = 'contract-'

/** The stream of what happens to a contract itself; its requests have streams of their own. */
export const contractStream = (contract: string): string => STREAM_PREFIX + contract

/** The contract whose stream this is; undefined for every other stream. */
export const contractOfStream = (stream: string): string | undefined => (stream.startsWith(STREAM_PREFIX) ? stream.slice(STREAM_PREFIX.length) : undefined)

// ---- events ----

const ContractConfigured = t.type({ type: t.literal('ContractConfigured'), config: ContractConfig, digest: t.string, by: t.string })
export type ContractEvent = t.TypeOf<typeof ContractConfigured>

/** Version that is written now (rules 15). */
export const CONTRACT_EVENT_VERSION = 1

/** What is stored of an event. */
export const encodeContractEvent = ({ type, ...data }: ContractEvent): EncodedEvent => ({ type, v: CONTRACT_EVENT_VERSION, data: JSON.stringify(data) })

/** The event that was stored as this type, version and (already parsed) data. */
export const decodeContractEvent = (type: string, v: number, data: unknown): E.Either<UndecodableEvent, ContractEvent> => {
  if (type !== 'ContractConfigured') return E.left({ reason: 'unknown-type', detail: `Expected a known event of a contract, but it is "${type.slice(0, 60)}".` })
  if (v !== CONTRACT_EVENT_VERSION) return E.left({ reason: 'newer-version', detail: `Expected ${type} of version ${CONTRACT_EVENT_VERSION} at most, but it has version ${v}.` })
  const event: unknown = typeof data === 'object' && data !== null ? { ...data, type } : data
  return ContractConfigured.is(event) ? E.right(event) : E.left({ reason: 'invalid', detail: `Expected ${type} of version ${v} to be sound, but it is not.` })
}

// ---- state ----

export interface AbsentContract {
  readonly status: 'absent'
  readonly revision: -1
}

export interface ExistingContract {
  readonly status: 'open'
  readonly revision: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly config: ContractConfig
  readonly digest: string
}

export type Contract = AbsentContract | ExistingContract

export const absentContract: AbsentContract = { status: 'absent', revision: -1 }

/** The contract after one more fact. */
export const evolveContract = (contract: Contract, { config, digest }: ContractEvent, { revision, time }: At): Contract => ({
  status: 'open',
  revision,
  createdAt: contract.status === 'absent' ? time : contract.createdAt,
  updatedAt: time,
  config,
  digest,
})

// ---- decision ----

export interface ConfigureContract {
  readonly type: 'ConfigureContract'
  readonly by: string
  readonly config: ContractConfig
  /** SHA-256 of the config in canonical JSON. */
  readonly digest: string
}

export type ContractRejection = { readonly type: 'contradiction'; readonly path: string; readonly detail: string }

/** What is in force already is no news. A change holds for requests to come; those that are there keep what they were accepted under. */
export const decideContract = ({ config, digest, by }: ConfigureContract, contract: Contract): Decision<ContractEvent, ContractRejection> => {
  const { policy, retainMs } = config.release
  if (policy === 'required' && retainMs !== undefined)
    return reject({ type: 'contradiction', path: '/retainSeconds', detail: 'Expected none: under `required` only its caller or an administrator releases a reply.' })
  if (policy !== 'required' && retainMs === undefined)
    return reject({ type: 'contradiction', path: '/retainSeconds', detail: `Expected how long replies are kept: under \`${policy}\` that is a promise.` })
  return contract.status !== 'absent' && contract.digest === digest ? accept() : accept<ContractEvent>({ type: 'ContractConfigured', config, digest, by })
}

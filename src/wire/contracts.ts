// Contracts (C): what an administrator sets up, what is shown of it, and the codecs that its requests share.
import * as t from 'io-ts'
import { pageQuery, route } from './items.ts'
import { fields, instant, number, oneOf, text } from './schema.ts'

export const contractName = text({ min: 1, max: 100, pattern: /^[A-Za-z0-9][A-Za-z0-9._~-]*$/, description: 'a named kind of request' })
export const inContract = fields({ contract: contractName })
export const releasePolicy = oneOf('none-required', 'encouraged', 'required')

const email = text({ min: 1, max: 320 })
const emails = t.array(email)
const count = number({ min: 0, integer: true })
const seconds = number({ min: 0 })

/** Seconds that a reply may be promised to be kept, at most: ten years. */
export const RETAIN_SECONDS_MAX = 315_360_000

const quota = fields({}, { requests: number({ min: 1, integer: true }), bytes: number({ min: 1, integer: true }) })

/** What is left out is as on a contract that says nothing: nobody may call or work it, replies are kept for a week, and what broke off is run again. */
export const contractBody = fields(
  {},
  {
    callers: emails,
    workers: emails,
    release: releasePolicy,
    retainSeconds: number({ min: 1, max: RETAIN_SECONDS_MAX, description: 'how long a reply is kept after it was made; none under `required`' }),
    onInterrupted: oneOf('retry', 'fail'),
    leaseSeconds: number({ min: 1, max: 604_800, description: 'of leases whose call says nothing (60)' }),
    interruptedAfterSeconds: number({
      min: 1,
      max: 2_592_000,
      description: 'a request of middleware that broke off or was given back and that nobody repeats fails after so long (3,600)',
    }),
    attemptsMax: number({ min: 1, max: 1_000, integer: true, description: 'executions of one request; no limit unless given' }),
    quota,
    callbackSecretEnv: text({
      min: 1,
      max: 100,
      pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
      description: "variable of the server's environment with the secret that callbacks are signed with",
    }),
  },
)
export type ContractBody = t.TypeOf<typeof contractBody>

export const contract = fields(
  {
    contract: contractName,
    callers: emails,
    workers: emails,
    release: releasePolicy,
    onInterrupted: oneOf('retry', 'fail'),
    leaseSeconds: seconds,
    interruptedAfterSeconds: seconds,
    /** As of now, in memory. */
    waiting: count,
    running: count,
    waitingWorkers: count,
    /** False: nobody has set it up, and it has the defaults. */
    configured: t.boolean,
  },
  { retainSeconds: seconds, attemptsMax: count, quota, callbackSecretEnv: text({ max: 100 }), createdAt: instant, updatedAt: instant },
)
export type ContractShown = t.TypeOf<typeof contract>

export const putContract = route({
  name: 'putContract',
  method: 'PUT',
  path: '/v1/contracts/{contract}',
  tag: 'contracts',
  summary: 'Set a contract up, or anew for requests to come',
  roles: [],
  params: inContract,
  body: contractBody,
  answers: { 200: contract, 201: contract },
})

export const listContracts = route({
  name: 'listContracts',
  method: 'GET',
  path: '/v1/contracts',
  tag: 'contracts',
  summary: 'List the contracts that the caller may call, work or look after, by name',
  roles: 'known',
  query: fields({}, pageQuery),
  answers: { 200: fields({ items: t.array(contract) }, { next: text({ max: 200 }) }) },
})

export const showContract = route({
  name: 'showContract',
  method: 'GET',
  path: '/v1/contracts/{contract}',
  tag: 'contracts',
  summary: 'Show a contract and how many of its requests wait and run',
  roles: 'known',
  params: inContract,
  answers: { 200: contract },
  problems: ['not-found'],
})

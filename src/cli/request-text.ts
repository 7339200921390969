// Contracts and requests as they are shown: the columns of a list, and the fields of one.
import type { ContractShown } from '../wire/contracts.ts'
import type { RequestShown } from '../wire/requests.ts'
import { formatAge, formatDuration } from './duration.ts'
import { ago, receiptText } from './item-text.ts'
import { LOOKS, outcomeText, progressText } from './look.ts'
import type { Column } from './terminal/table.ts'

type Line = readonly [name: string, value: string | undefined]

const SECOND_MS = 1_000
const count = (value: number): string => value.toLocaleString('en')
const duration = (seconds: number): string => formatDuration(seconds * SECOND_MS)

const releaseText = ({ release, retainSeconds }: ContractShown): string => (retainSeconds === undefined ? release : `${release}, after ${duration(retainSeconds)} by itself`)

export const contractColumns: readonly Column<ContractShown>[] = [
  { title: 'CONTRACT', value: ({ contract }) => contract, whole: true },
  { title: 'RELEASE', value: ({ release }) => release, whole: true },
  { title: 'KEPT', value: ({ retainSeconds }) => (retainSeconds === undefined ? undefined : duration(retainSeconds)), align: 'right', whole: true },
  { title: 'INTERRUPTED', value: ({ onInterrupted }) => onInterrupted, whole: true },
  { title: 'WAITING', value: ({ waiting }) => count(waiting), align: 'right', whole: true },
  { title: 'RUNNING', value: ({ running }) => count(running), align: 'right', whole: true },
  { title: 'WORKERS', value: ({ waitingWorkers }) => count(waitingWorkers), align: 'right', whole: true },
  { title: 'SET UP', value: ({ configured }) => (configured ? 'yes' : 'defaults') },
]

const quotaText = ({ quota }: ContractShown): string | undefined => {
  if (quota === undefined) return undefined
  const parts = [quota.requests === undefined ? undefined : `${count(quota.requests)} requests`, quota.bytes === undefined ? undefined : `${count(quota.bytes)} bytes`]
  return `${parts.filter((part) => part !== undefined).join(', ')} unreleased for each caller`
}

export const contractLines = (contract: ContractShown, now: number): readonly Line[] => [
  ['contract', contract.contract],
  ['set up', contract.configured ? `${contract.updatedAt}${contract.updatedAt === undefined ? '' : ` (${ago(contract.updatedAt, now)})`}` : 'no: it has the defaults'],
  ['waiting', count(contract.waiting)],
  ['running', count(contract.running)],
  ['workers waiting', count(contract.waitingWorkers)],
  ['callers', contract.callers.length === 0 ? 'nobody' : contract.callers.join(', ')],
  ['workers', contract.workers.length === 0 ? 'nobody' : contract.workers.join(', ')],
  ['release', releaseText(contract)],
  ['quota', quotaText(contract)],
  ['interrupted', contract.onInterrupted === 'retry' ? 'run again' : 'failed'],
  ['attempts', contract.attemptsMax === undefined ? 'no limit' : count(contract.attemptsMax)],
  ['lease', duration(contract.leaseSeconds)],
  ['callbacks', contract.callbackSecretEnv === undefined ? undefined : `signed with the secret in ${contract.callbackSecretEnv}`],
  ['middleware', `fails ${duration(contract.interruptedAfterSeconds)} after it broke off and nobody repeats it`],
]

const stateText = ({ state }: RequestShown): string => `${LOOKS[state].symbol} ${state}`

/** What there is of a reply, or why there is none. */
const replyText = (request: RequestShown): string | undefined => {
  const { reply, released, failure, outcome } = request
  if (released !== undefined) return `released (${released.how})`
  if (reply !== undefined) return `${reply.status}, ${count(reply.bytes)} bytes${reply.kept ? '' : ', not kept'}`
  if (failure !== undefined) return `last attempt failed: ${failure.code}, ${failure.message}`
  return request.state === 'completed' ? undefined : outcomeText(outcome)
}

export const requestColumns = (now: number): readonly Column<RequestShown>[] => [
  { title: 'ID', value: ({ id }) => id, whole: true },
  { title: 'STATE', value: stateText, colour: ({ state }) => LOOKS[state].colour, whole: true },
  { title: 'CALLER', value: ({ caller }) => caller },
  { title: 'ATTEMPT', value: ({ attempt }) => String(attempt), align: 'right', whole: true },
  { title: 'BYTES', value: ({ bytes }) => count(bytes), align: 'right', whole: true },
  { title: 'HOLDER', value: ({ holder }) => holder?.name },
  { title: 'PROGRESS', value: ({ progress }) => progressText(progress) },
  { title: 'REPLY', value: replyText },
  { title: 'AGE', value: ({ createdAt }) => formatAge(createdAt, now), align: 'right', whole: true },
]

const bodyText = ({ reply }: RequestShown): string | undefined => (reply?.body === undefined ? reply?.bodyBase64 : JSON.stringify(reply.body))

export const requestLines = (request: RequestShown, now: number): readonly Line[] => [
  ['id', request.id],
  ['contract', request.contract],
  ['caller', request.caller],
  ['state', stateText(request)],
  ['attempt', String(request.attempt)],
  ['bytes', count(request.bytes)],
  [
    'holder',
    request.holder === undefined ? undefined : `${request.holder.name}${request.holder.lastSeenAt === undefined ? '' : `, last seen ${ago(request.holder.lastSeenAt, now)}`}`,
  ],
  ['lease until', request.leaseUntil],
  ['phase', request.phase],
  ['progress', progressText(request.progress)],
  ['reply', replyText(request)],
  ['body', bodyText(request)],
  ['release', request.release],
  ['expires', request.expiresAt],
  ['effects to do', request.openEffects === undefined || request.openEffects === 0 ? undefined : count(request.openEffects)],
  ['late outcome', outcomeText(request.lateOutcome)],
  ['directive', receiptText(request)],
  ['called', request.createdAt],
  ['changed', request.updatedAt],
  ['settled', request.settledAt],
]

// Who may see which work item, and do what with which queue: the rule of the item's own GET, by which lists and event streams are filtered too (rules 30).
import * as E from 'fp-ts/lib/Either.js'
import { contractOfRequest, kindOf, may, queueOfTask, type ContractConfig, type Deed, type Kind, type QueueConfig, type WorkItemId } from '../wire/words.ts'
import type { Call } from './call.ts'
import { hasRole, type Principal } from './principal.ts'
import { problem, type Problem } from './problem.ts'

/** A queue that nobody configured has nobody on its lists. */
const NOBODY: Pick<QueueConfig, 'users' | 'writers'> = { users: [], writers: [] }

/** Whether the lists of the queue let the principal do it; roles other than admin open nothing. */
export const mayDo = (config: Pick<QueueConfig, 'users' | 'writers'> | undefined, { email, roles, isLocal = false }: Principal, deed: Deed): boolean =>
  may(config ?? NOBODY, { email, isAdmin: roles.has('admin'), isLocal }, deed)

const REFUSED: Readonly<Record<Deed, string>> = {
  insert: 'Expected a `writer_email` of the queue.',
  consume: 'Expected a `user_email` of the queue.',
  look: 'Expected a `user_email` of the queue, or an administrator.',
  manage: 'Expected the role admin: only administrators direct tasks and look after a queue.',
}

interface QueueName {
  readonly app: string
  readonly queue: string
}

/** The queue, if it exists and the caller may do this with it. */
export const queueFor = (call: Pick<Call, 'engine' | 'principal'>, name: QueueName, deed: Deed): E.Either<Problem, QueueConfig> => {
  const config = call.engine.queues.configOf(name)
  if (config === undefined) return E.left(problem('not-found', `There is no queue ${name.app}/${name.queue}.`))
  return mayDo(config, call.principal, deed) ? E.right(config) : E.left(problem('forbidden', REFUSED[deed]))
}

const REFUSED_CONTRACT: Readonly<Record<Deed, string>> = {
  insert: 'Expected one of the `callers` of the contract.',
  consume: 'Expected one of the `workers` of the contract.',
  look: 'Expected one of the `workers` of the contract, or an administrator.',
  manage: 'Only administrators look after a contract and release the replies of others.',
}

/** A contract has the lists of a queue under other names: who calls inserts, who works consumes. */
export const mayWithContract = (config: Pick<ContractConfig, 'callers' | 'workers'> | undefined, principal: Principal, deed: Deed): boolean =>
  mayDo(config && { users: config.workers, writers: config.callers }, principal, deed)

/** The contract, if it exists and the caller may do this with it. */
export const contractFor = (call: Pick<Call, 'engine' | 'principal'>, contract: string, deed: Deed): E.Either<Problem, ContractConfig> => {
  const config = call.engine.contracts.configOf(contract)
  if (config === undefined) return E.left(problem('not-found', `There is no contract ${contract}. An administrator sets one up with PUT /v1/contracts/${contract}.`))
  return mayWithContract(config, call.principal, deed) ? E.right(config) : E.left(problem('forbidden', REFUSED_CONTRACT[deed]))
}

/** Sees all items of the kind, whoever made them; of tasks, those of this queue. */
export const seesAll = (call: Pick<Call, 'engine' | 'principal'>, kind: Kind, queue: QueueName | undefined): boolean => {
  switch (kind) {
    case 'job':
      return hasRole(call.principal, ['viewer'])
    case 'task':
      return mayDo(queue && call.engine.queues.configOf(queue), call.principal, 'look')
    case 'request':
      return call.principal.roles.has('admin')
    case 'long-task':
      return hasRole(call.principal, ['viewer'])
  }
}

/** Whether the principal may still make what it once made: with the right to make goes the right to look at it. */
const mayMake = (call: Pick<Call, 'engine' | 'principal'>, kind: Kind, queue: QueueName | undefined): boolean => {
  switch (kind) {
    case 'job':
      return hasRole(call.principal, ['jobServer'])
    case 'task':
      return mayDo(queue && call.engine.queues.configOf(queue), call.principal, 'insert')
    case 'request':
      return false
    case 'long-task':
      return hasRole(call.principal, ['management'])
  }
}

/** Of requests callers see their own, and the contract's workers all. */
const seesRequest = (call: Pick<Call, 'engine' | 'principal'>, workItem: WorkItemId): boolean => {
  const names = contractOfRequest(workItem)
  if (names === undefined) return false
  const config = call.engine.contracts.configOf(names.contract)
  if (mayWithContract(config, call.principal, 'look')) return true
  return names.caller === call.principal.subject && mayWithContract(config, call.principal, 'insert')
}

/** `by` is the subject that made the item. */
export const maySee = (call: Pick<Call, 'engine' | 'principal'>, workItem: WorkItemId, by: string): boolean => {
  const kind = kindOf(workItem)
  if (kind === 'request') return seesRequest(call, workItem)
  const queue = queueOfTask(workItem)
  return seesAll(call, kind, queue) || (by === call.principal.subject && mayMake(call, kind, queue))
}

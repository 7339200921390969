// Naming contracts and requests: `-c CONTRACT` says which contract, for every verb; a request's global ID, as events and histories show it, names contract and caller by itself.
import { InvalidArgumentError, type Command } from 'commander'
import * as E from 'fp-ts/lib/Either.js'
import type { RequestName } from '../client/requests.ts'
import { contractName } from '../wire/contracts.ts'
import { itemId } from '../wire/items.ts'
import { showRequest } from '../wire/requests.ts'
import { contractOfRequest, requestId } from '../wire/words.ts'
import type { Context } from './context.ts'
import { usage } from './failure.ts'
import { meantBy, type Meant } from './item.ts'

/** A contract on a flag or as an argument. */
export const contractFlag = (text: string): string => {
  if (E.isRight(contractName.decode(text))) return text
  throw new InvalidArgumentError('Expected the name of a contract: 1 to 100 letters, digits, dots, hyphens, underscores and tildes, a letter or digit first.')
}

/** An id of a request. */
export const requestIdOf = (given: string): string => {
  if (E.isRight(itemId.decode(given))) return given
  throw usage(`"${given}" cannot be the id of a request.`, 'An id is 1 to 200 letters, digits, dots, hyphens, underscores and tildes, and not . or .. alone.')
}

export interface OfContract {
  readonly contract: string
}

export interface OfRequest {
  readonly contract?: string
  readonly caller?: string
}

/** Adds the contract that a verb is about. */
export const inContract = (command: Command): Command => command.requiredOption('-c, --contract <name>', 'the contract', contractFlag)

/** Adds the options that say whose request of which contract an id means. */
export const whose = (command: Command): Command =>
  command
    .option('-c, --contract <name>', 'the contract, unless the id is global', contractFlag)
    .option('--caller <subject>', 'whose request it is, unless the id is global (default: your own)')

/** Adds the request that a verb is about. */
export const oneRequest = (command: Command): Command => whose(command.argument('<id>', 'id of the request, or its global ID request/CONTRACT/CALLER/ID alone'))

const PREFIX = 'request/'

/** The request that is named; without a caller it is one's own. */
export const requestNamed = ({ contract, caller }: OfRequest, given: string): RequestName => {
  if (!given.startsWith(PREFIX)) {
    if (contract === undefined)
      throw usage('Expected the contract of the request: -c CONTRACT.', '`stint contracts list` shows them. A global ID request/CONTRACT/CALLER/ID needs none.')
    return { contract, id: requestIdOf(given), ...(caller === undefined ? {} : { caller }) }
  }
  const meant = meantBy(given)
  const of = contractOfRequest(given)
  if (meant === undefined || of === undefined) throw usage(`"${given}" cannot be the global ID of a request.`, 'It is request/CONTRACT/CALLER/ID, as `stint events list` shows it.')
  if ((contract ?? of.contract) !== of.contract || (caller ?? of.caller) !== of.caller)
    throw usage(`${given} is a request of ${of.contract} for ${of.caller}.`, 'A global ID names both by itself: leave -c and --caller out.')
  return { ...of, id: meant.id }
}

/** As `requestNamed`, with its global ID: of one's own request only the server knows whose it is. */
export const findRequest = async ({ http }: Pick<Context, 'http'>, options: OfRequest, given: string): Promise<Meant> => {
  const { contract, id, caller } = requestNamed(options, given)
  if (caller !== undefined) return { kind: 'request', id, workItem: requestId(contract, caller, id) }
  return { kind: 'request', id, workItem: (await http.call(showRequest, { params: { contract, id } })).workItem }
}

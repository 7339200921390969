// `stint requests call` and `reply`: a request and its reply, as bytes on stdout, the way `curl -i` shows them.
import { Unanswered, Unreachable } from '../client/errors.ts'
import { createRequester, type Requester } from '../client/requester.ts'
import type { GivenReply } from '../client/reply.ts'
import { createRequests } from '../client/requests.ts'
import { health } from '../wire/service.ts'
import type { Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { CliFailure, EXIT, usage } from './failure.ts'
import { textOf } from './payload.ts'
import { requestNamed, type OfContract, type OfRequest } from './request-lookup.ts'

/** How the reply is shown. */
interface Shown {
  /** Status and headers before the body. */
  readonly include?: boolean
}

export interface CallOptions extends OfContract, Shown {
  readonly id?: string
  readonly wait: number
  readonly type?: string
  readonly callback?: string
}

const STATUS_OK_BELOW = 300

const asJson = ({ id, workItem, status, headers, bytes, replayed, releasePolicy, expiresAt, text, json }: GivenReply): object => {
  const isJson = /json/.test(headers.get('content-type') ?? '')
  const body = bytes.length === 0 ? {} : isJson ? { body: json() } : { bodyBase64: Buffer.from(bytes).toString('base64'), text: text() }
  return { id, workItem, status, headers: Object.fromEntries(headers), replayed, release: releasePolicy, ...(expiresAt === undefined ? {} : { expiresAt }), ...body }
}

/** The exit code is the handler's: what is no success is 1. */
const print = ({ format, out }: Context, { include }: Shown, reply: GivenReply): void => {
  if (format !== 'table') out(JSON.stringify(asJson(reply), null, format === 'json' ? 2 : undefined))
  else {
    const head = include === true ? [`HTTP/1.1 ${reply.status}`, ...[...reply.headers].map(([name, value]) => `${name}: ${value}`), '', ''].join('\n') : ''
    process.stdout.write(head)
    process.stdout.write(reply.bytes)
    // A prompt is not to stand behind the body; what is piped stays as it is.
    if (process.stdout.isTTY && reply.bytes.length > 0 && reply.bytes.at(-1) !== 10) process.stdout.write('\n')
  }
  if (reply.status >= STATUS_OK_BELOW) throw new CliFailure(EXIT.failed, `The reply has the status ${reply.status}.`)
}

/** A requester waits for a server that is away; one that was never there is an error at once. */
const assertThere = async ({ http }: Context): Promise<void> => {
  await http.call(health, { attemptsMax: 1 })
}

/** What a call without an answer in time comes to: the request goes on, and is named. */
const answered = async ({ http }: Context, requester: Requester, wait: number, going: Promise<GivenReply>): Promise<GivenReply> => {
  try {
    return await going
  } catch (thrown) {
    if (!(thrown instanceof Unanswered)) throw thrown
    const { contract, id, cause } = thrown
    const advice = `\`stint requests reply ${id} -c ${contract} --wait 1m\` asks for its reply; calling again with --id ${id} does nothing twice.`
    if (cause instanceof Unreachable) throw new CliFailure(EXIT.unreachable, `No answer from ${http.url}: request ${id} may have been taken or not.`, advice)
    throw new CliFailure(EXIT.timeout, `There is no reply to request ${id} within ${formatDuration(wait)}.`, advice)
  } finally {
    await requester.close()
  }
}

/** JSON as it stands, any other text too: what is sent is what was given. */
const bodyOf = (argument: string | undefined, type: string | undefined): { readonly body: unknown; readonly mediaType: string | undefined } => {
  if (argument === undefined) return { body: undefined, mediaType: type }
  const text = textOf(argument)
  if (type !== undefined) return { body: new TextEncoder().encode(text), mediaType: type }
  try {
    return { body: JSON.parse(text) as unknown, mediaType: undefined }
  } catch {
    return { body: new TextEncoder().encode(text), mediaType: 'text/plain; charset=utf-8' }
  }
}

export const callContract = async (context: Context, options: CallOptions, payload: string | undefined): Promise<void> => {
  const { contract, id, wait, type, callback } = options
  const { body, mediaType } = bodyOf(payload, type)
  await assertThere(context)
  const requester = createRequester(context.http, { contract })
  const given = { ...(id === undefined ? {} : { id }), ...(mediaType === undefined ? {} : { mediaType }), ...(callback === undefined ? {} : { callback }) }
  if (wait > 0) return print(context, options, await answered(context, requester, wait, requester.call(body, { ...given, timeoutMs: wait })))
  // Handed in only: its id is the answer.
  try {
    print(context, options, await requester.call(body, { ...given, timeoutMs: 0 }))
  } catch (thrown) {
    if (!(thrown instanceof Unanswered) || thrown.cause !== undefined) throw thrown instanceof Unanswered ? thrown.cause : thrown
    if (context.format === 'table') context.out(`${thrown.id}  accepted`)
    else context.out(JSON.stringify({ id: thrown.id, contract, accepted: true }, null, context.format === 'json' ? 2 : undefined))
  } finally {
    await requester.close()
  }
}

export const replyOf = async (context: Context, options: OfRequest & Shown & { readonly wait: number }, given: string): Promise<void> => {
  const { contract, id, caller } = requestNamed(options, given)
  const { wait } = options
  if (caller === undefined && wait > 0) {
    await assertThere(context)
    const requester = createRequester(context.http, { contract })
    return print(context, options, await answered(context, requester, wait, requester.reply(id, { timeoutMs: wait })))
  }
  if (wait > 0) throw usage('--wait is for requests of your own.', `\`stint requests wait ${id} -c ${contract} --caller ${caller}\` waits for any.`)
  print(context, options, await createRequests(context.http).reply({ contract, id, caller }))
}

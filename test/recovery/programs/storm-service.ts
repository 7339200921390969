// A service in a storm that executes its calls itself, as middleware does: `node storm-service.ts URL CONTRACT CALLER NAME DIRECTORY`. It says where it listens. What it replies
// is stored before it is sent; a call that was somebody else's by then is answered 503, and its caller asks again.
import { hash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { realWorld } from '../../../src/world.ts'
import { openExecutions, sayUntilAnswered, type Answer } from './storm-execution.ts'

const [url = '', contract = '', caller = '', name = '', directory = ''] = process.argv.slice(2)
/** The shortest that there is. */
const LEASE_SECONDS = 1

const execute = openExecutions(url, directory)

interface Begun {
  readonly release: string
  readonly execute?: { readonly lease: string }
  readonly reply?: { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body?: unknown; readonly bodyBase64?: string }
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** Each call has a name of its own, under which it asks again when it did not hear the answer. */
const begin = (id: string, body: Buffer): Promise<Answer> =>
  sayUntilAnswered(
    `${url}/v1/contracts/${contract}/executions`,
    {
      id,
      caller,
      fingerprint: hash('sha256', body, 'base64url'),
      worker: `${name}-${realWorld.token(12)}`,
      leaseSeconds: LEASE_SECONDS,
      mediaType: 'application/json',
      method: 'PUT',
      path: `/${id}`,
      bodyBase64: body.toString('base64'),
    },
    { Prefer: 'wait=5' },
  )

const refuse = (response: ServerResponse, status: number, { position, body }: Answer): void =>
  void response.writeHead(status, { 'Content-Type': 'application/problem+json', ...(position === '' ? {} : { 'Stint-Position': position }) }).end(JSON.stringify(body))

const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const id = (request.url ?? '').slice(1)
  const answer = await begin(id, await bodyOf(request))
  if (answer.status !== 200 && answer.status !== 201) return refuse(response, answer.status, answer)
  const begun = answer.body as Begun
  if (begun.execute !== undefined) {
    const executed = await execute({ contract, caller, id, lease: begun.execute.lease })
    if (executed.told !== 'recorded') return refuse(response, 503, executed.answer)
    const { status, headers, bytes } = executed.reply
    response.writeHead(status, { ...headers, 'Stint-Position': executed.answer.position, 'Stint-Release': begun.release }).end(bytes)
    return
  }
  if (begun.reply === undefined) throw new Error(`Expected a lease or a reply: ${JSON.stringify(begun)}`)
  const { status, headers, body, bodyBase64 } = begun.reply
  const bytes = bodyBase64 === undefined ? Buffer.from(JSON.stringify(body)) : Buffer.from(bodyBase64, 'base64')
  response.writeHead(status, { ...headers, 'Stint-Position': answer.position, 'Stint-Release': begun.release, 'Idempotency-Replayed': 'true' }).end(bytes)
}

// What it cannot do ends it, and with it the storm.
const server = createServer((request, response) => void serve(request, response))
server.listen(0, '127.0.0.1', () => process.stdout.write(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}\n`))

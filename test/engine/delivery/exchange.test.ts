// One request and its answer over real sockets: what is kept of the answer, connections that are used again, and those that went stale meanwhile.
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import * as E from 'fp-ts/lib/Either.js'
import { afterEach, describe, expect, it } from 'vitest'
import { allowedUrl, LOOPBACK_PATTERNS, type AllowedUrl } from '../../../src/domain/policy/url-pattern.ts'
import { AddressRefused, type Lookup } from '../../../src/engine/delivery/addresses.ts'
import { exchange, type Exchange } from '../../../src/engine/delivery/exchange.ts'
import { right } from '../../support/engine.ts'

const servers: Server[] = []
const agents: Agent[] = []

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

const keptAgent = (): Agent => {
  const agent = new Agent({ keepAlive: true })
  agents.push(agent)
  return agent
}

/** The URL of a server that answers so, and the connections that came to it. */
const serve = async (answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<{ readonly to: AllowedUrl; readonly connections: readonly Socket[] }> => {
  const connections: Socket[] = []
  const server = createServer(answer)
  server.on('connection', (socket) => connections.push(socket))
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { to: right(allowedUrl(LOOPBACK_PATTERNS, `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`)), connections }
}

const asked = (to: AllowedUrl, more: Partial<Exchange> = {}): Exchange => ({
  ...{ method: 'GET', to, headers: {}, signal: new AbortController().signal, answerBytesMax: 1_000, keepsBody: true },
  ...more,
})

describe('an answer', () => {
  it('is given with its body where that is wanted, and all of it', async () => {
    const { to } = await serve((req, res) => void res.writeHead(201, { 'Retry-After': '7' }).end(`${req.method} ${req.url}`))
    expect(await exchange(asked(to))).toMatchObject({ status: 201, retryAfter: '7', body: Buffer.from('GET /x'), isTooLong: false })
    expect((await exchange(asked(to, { keepsBody: false }))).body).toBeUndefined()
  })

  it('that is too long is cut off, and that it came is known', async () => {
    const { to } = await serve((_req, res) => void res.end(Buffer.alloc(100_000)))
    expect(await exchange(asked(to))).toMatchObject({ status: 200, body: undefined, isTooLong: true })
    expect((await exchange(asked(to, { answerBytesMax: 100_000 }))).body?.byteLength).toBe(100_000)
  })

  it('that breaks off has a status and no body', async () => {
    const { to } = await serve((_req, res) => {
      res.writeHead(202, { 'Content-Length': '10' })
      res.write('half', () => res.destroy())
    })
    expect(await exchange(asked(to))).toMatchObject({ status: 202, body: undefined, isTooLong: false })
  })
})

describe('a connection', () => {
  it('is used again with an agent, and only then', async () => {
    const { to, connections } = await serve((_req, res) => void res.end('x'))
    const agent = keptAgent()
    for (let call = 0; call < 3; call += 1) await exchange(asked(to, { agent }))
    expect(connections).toHaveLength(1)
    for (let call = 0; call < 2; call += 1) await exchange(asked(to))
    expect(connections).toHaveLength(3)
  })

  it('that went stale is replaced, and what met it is sent again', async () => {
    const bodies: string[] = []
    const seen = new Set<Socket>()
    const { to, connections } = await serve((req, res) => {
      // Closes each connection on which something comes for the second time.
      if (seen.has(req.socket)) {
        req.socket.destroy()
        return
      }
      seen.add(req.socket)
      req.on('data', (chunk: Buffer) => bodies.push(chunk.toString()))
      req.on('end', () => void res.end('x'))
    })
    const agent = keptAgent()
    expect((await exchange(asked(to, { agent, method: 'POST', body: 'one' }))).status).toBe(200)
    expect((await exchange(asked(to, { agent, method: 'POST', body: 'two' }))).status).toBe(200)
    expect([bodies, connections.length]).toEqual([['one', 'two'], 2])
  })

  it('that is cut when it is new is an error', async () => {
    const { to } = await serve((req) => void req.socket.destroy())
    await expect(exchange(asked(to, { agent: keptAgent() }))).rejects.toThrow()
  })

  it('is not made to an address that is not public, where no pattern names the host exactly', async () => {
    const { to, connections } = await serve((_req, res) => void res.end('x'))
    await expect(exchange(asked({ ...to, isExact: false }, { agent: keptAgent() }))).rejects.toBeInstanceOf(AddressRefused)
    const lookup = ((_host: string, _options: unknown, told: (error: null, found: readonly object[]) => void) =>
      told(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as Lookup
    const named = { ...to, isExact: false, href: to.href.replace('127.0.0.1', 'nodes.example.com') }
    await expect(exchange(asked(named, { agent: keptAgent() }), lookup)).rejects.toBeInstanceOf(AddressRefused)
    expect(connections).toEqual([])
    expect((await exchange(asked({ ...named, isExact: true }, { agent: keptAgent() }), lookup)).status).toBe(200)
    expect(E.isRight(allowedUrl(LOOPBACK_PATTERNS, named.href))).toBe(false)
  })

  it('is cut by its signal', async () => {
    const { to } = await serve(() => undefined)
    const controller = new AbortController()
    const sent = exchange(asked(to, { agent: keptAgent(), signal: controller.signal }))
    controller.abort(new Error('enough'))
    await expect(sent).rejects.toThrow('enough')
    await expect(exchange(asked(to, { signal: controller.signal }))).rejects.toThrow('enough')
  })
})

// One exchange over the platform's transport, with a real server: what is sent arrives, what is answered is read, and it ends when it is told to.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { platformTransport } from '../../src/client/transport.ts'

const servers: Server[] = []

const serve = async (answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<string> => {
  const server = createServer(answer).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** Answers with what it was sent. */
const echo = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
  const body = await buffer(req)
  res.writeHead(201, { 'X-Method': req.method ?? '', 'X-Given': req.headers['x-given'] ?? '', 'X-Type': req.headers['content-type'] ?? '', 'Set-Cookie': ['a=1', 'b=2'] })
  res.end(body)
}

describe('an exchange', () => {
  it('carries method, headers and a text both ways', async () => {
    const url = await serve((req, res) => void echo(req, res))
    const text = JSON.stringify({ name: 'Zoë', size: 'x'.repeat(100_000) })
    const answer = await platformTransport(`${url}/a`, {
      method: 'POST',
      headers: [
        ['X-Given', 'one'],
        ['Content-Type', 'application/json'],
      ],
      body: text,
    })
    expect([answer.status, answer.type, answer.url]).toEqual([201, 'basic', `${url}/a`])
    expect(['x-method', 'x-given', 'x-type', 'set-cookie', 'x-none'].map((name) => answer.headers.get(name))).toEqual(['POST', 'one', 'application/json', 'a=1, b=2', null])
    expect(await answer.text()).toBe(text)
  })

  it('carries bytes as they are', async () => {
    const url = await serve((req, res) => void echo(req, res))
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    const answer = await platformTransport(url, { method: 'POST', headers: [['Content-Type', 'application/octet-stream']], body: bytes.subarray(5, 200) })
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes.subarray(5, 200))
  })

  it('ends with the reason of its signal, before the answer and within it', async () => {
    const heard: string[] = []
    const url = await serve((req, res) => {
      res.once('close', () => heard.push(req.url ?? ''))
      if (req.url === '/within') res.writeHead(200).write('begun')
    })
    for (const path of ['/before', '/within']) {
      const over = new AbortController()
      const reason = new Error('enough')
      const asked = platformTransport(url + path, { method: 'GET', signal: over.signal })
      if (path === '/before') {
        await once(servers[0] as Server, 'request')
        over.abort(reason)
        await expect(asked).rejects.toBe(reason)
        continue
      }
      const answer = await asked
      const text = answer.text()
      over.abort(reason)
      await expect(text).rejects.toThrow('enough')
    }
    await expect.poll(() => heard).toEqual(['/before', '/within'])
  })

  it('that is already over is not begun', async () => {
    let asked = 0
    const url = await serve((_req, res) => {
      asked += 1
      res.end()
    })
    await expect(platformTransport(url, { method: 'GET', signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    expect(asked).toBe(0)
  })

  it('is refused where nobody listens, and says how', async () => {
    const url = await serve((_req, res) => void res.end())
    const [server] = servers.splice(0)
    await new Promise((resolve) => server?.close(resolve))
    await expect(platformTransport(url, { method: 'GET' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

describe('a redirection', () => {
  const redirecting = async (): Promise<string> => {
    const target = await serve((req, res) => void echo(req, res))
    return serve((_req, res) => void res.writeHead(307, { Location: `${target}/there` }).end('elsewhere'))
  }

  it('is followed, with what was sent', async () => {
    const answer = await platformTransport(await redirecting(), { method: 'POST', headers: [['Content-Type', 'text/plain']], body: 'kept' })
    expect([answer.status, answer.headers.get('x-method'), await answer.text()]).toEqual([201, 'POST', 'kept'])
  })

  it('is an answer for whoever wants it as it is', async () => {
    const answer = await platformTransport(await redirecting(), { method: 'POST', body: 'kept', redirect: 'manual' })
    expect([answer.status, await answer.text()]).toEqual([307, 'elsewhere'])
  })
})

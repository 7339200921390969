// The demo's load balancer: turns, the dead server that is passed over, and what it refuses.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createLoadBalancer } from '../../../src/cli/demo/load-balancer.ts'

const open: Server[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await shut(server)
})

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    open.push(server)
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })

const shut = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

/** Answers with its name and what it was sent. */
const echo = (name: string): Server =>
  createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => response.writeHead(201, { 'X-Name': name }).end(`${request.method} ${request.url} ${Buffer.concat(pieces).toString()}`))
  })

const nameAt = async (url: string): Promise<string | null> => (await fetch(url)).headers.get('x-name')

describe('a load balancer', () => {
  it('lets its servers take turns', async () => {
    const targets = [await listen(echo('a')), await listen(echo('b')), await listen(echo('c'))]
    const url = await listen(createLoadBalancer(targets))
    const names: (string | null)[] = []
    for (let turn = 0; turn < 6; turn += 1) names.push(await nameAt(url))
    expect(names).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
  })

  it('passes on method, path, body and answer', async () => {
    const url = await listen(createLoadBalancer([await listen(echo('a'))]))
    const response = await fetch(`${url}/index?x=1`, { method: 'POST', body: 'words' })
    expect(response.status).toBe(201)
    expect(await response.text()).toBe('POST /index?x=1 words')
  })

  it('passes over a server that is dead, and says so when all are', async () => {
    const [living, dead] = [echo('living'), echo('dead')]
    const targets = [await listen(dead), await listen(living)]
    const url = await listen(createLoadBalancer(targets))
    await shut(dead)
    expect([await nameAt(url), await nameAt(url), await nameAt(url)]).toEqual(['living', 'living', 'living'])
    await shut(living)
    expect((await fetch(url)).status).toBe(503)
  })

  it('does not send a request twice that a server may have taken', async () => {
    let taken = 0
    const cutting = createServer((request) => {
      taken += 1
      request.socket.destroy()
    })
    const url = await listen(createLoadBalancer([await listen(cutting), await listen(echo('other'))]))
    expect((await fetch(url, { method: 'POST', body: 'once' })).status).toBe(502)
    expect(taken).toBe(1)
  })

  it('refuses a body that is too large to keep', async () => {
    const url = await listen(createLoadBalancer([await listen(echo('a'))]))
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) })).status).toBe(413)
  })
})

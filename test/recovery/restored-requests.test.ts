// A server that is started on a backup, as callers of a contract see it: what was replied by then is given again byte for byte, and what was lost since is not known.
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { verifyData } from '../../src/offline/verify.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint } = processes('restored-requests')

type Server = Awaited<ReturnType<typeof serve>>

interface Heard {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: string
}

/** Belong to one sending. */
const OF_ONE_SENDING: ReadonlySet<string> = new Set(['connection', 'date', 'keep-alive', 'stint-position', 'stint-request-id'])

const ask = async ({ url }: Server, method: string, path: string, body?: Buffer | object): Promise<Heard> => {
  const isBytes = body instanceof Buffer
  const headers: Record<string, string> = body === undefined ? {} : { 'Content-Type': isBytes ? 'application/octet-stream' : 'application/json' }
  const answer = await fetch(`${url}/v1/contracts/pay${path}`, { method, headers, ...(body === undefined ? {} : { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) }) })
  return {
    status: answer.status,
    headers: Object.fromEntries([...answer.headers].filter(([name]) => !OF_ONE_SENDING.has(name))),
    bytes: Buffer.from(await answer.arrayBuffer()).toString('base64'),
  }
}
const codeOf = ({ bytes }: Heard): string | undefined => (JSON.parse(Buffer.from(bytes, 'base64').toString()) as { readonly code?: string }).code

const ORDER = { amount: 5 }
const call = (server: Server, id: string, body: Buffer | object = ORDER): Promise<Heard> => ask(server, 'PUT', `/requests/${id}`, body)

interface Leased {
  readonly id: string
  readonly lease: string
  readonly attempt: number
}
const lease = async (server: Server): Promise<Leased | undefined> => {
  const { bytes } = await ask(server, 'POST', '/lease', { worker: 'till' })
  return (JSON.parse(Buffer.from(bytes, 'base64').toString()) as { readonly items: readonly Leased[] }).items[0]
}
const reply = (server: Server, { id, lease: held }: Leased, bytes: Buffer): Promise<Heard> => {
  const headers = { 'X-Till': ['1', 'ü-less'], 'Set-Cookie': ['a=1', 'b=2'], Location: `/orders/${id}` }
  return ask(server, 'POST', `/requests/${id}/reply`, { lease: held, reply: { status: 201, headers, bodyBase64: bytes.toString('base64'), mediaType: 'application/vnd.till' } })
}
/** Called, leased and replied to; what the caller is given. */
const settled = async (server: Server, id: string, bytes: Buffer, body?: Buffer | object): Promise<Heard> => {
  await call(server, id, body)
  const leased = await lease(server)
  if (leased?.id !== id) throw new Error(`Expected to lease ${id}, but it was ${leased?.id}`)
  expect((await reply(server, leased, bytes)).status).toBe(200)
  return call(server, id, body)
}

const stopped = async (server: Server): Promise<void> => {
  server.kill('SIGTERM')
  expect(await server.ended()).toMatchObject({ code: 0 })
}

/** Bytes of every kind. */
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

describe('when a server with requests is started on a backup', () => {
  it('gives what was replied by then byte for byte, and knows nothing of what came after', async () => {
    const [data, restored, backup] = [join(folder, 'original'), join(folder, 'restored'), join(folder, 'backup.db')]
    const before = await serve(['--data', data])
    expect((await ask(before, 'PUT', '', { release: 'encouraged', retainSeconds: 86_400 })).status).toBeLessThan(300)
    const replies = {
      json: await settled(before, 'json', Buffer.from('{ "paid":  5 }')),
      bytes: await settled(before, 'bytes', ALL_BYTES, ALL_BYTES),
      released: await settled(before, 'released', Buffer.from('r')),
      nothing: await settled(before, 'nothing', Buffer.alloc(0)),
    }
    await call(before, 'open')
    expect(await stint(['backup', backup, '--data', data])).toMatchObject({ code: 0 })

    // What is lost with the disk.
    const lease1 = (await lease(before)) as Leased
    expect([lease1.id, (await reply(before, lease1, Buffer.from('lost'))).status]).toEqual(['open', 200])
    expect((await ask(before, 'DELETE', '/requests/released/interaction')).status).toBe(200)
    await settled(before, 'young', Buffer.from('lost too'))
    await stopped(before)

    expect(await stint(['restore', backup, '--data', restored])).toMatchObject({ code: 0 })
    const after = await serve(['--data', restored])
    for (const [id, first] of Object.entries(replies)) expect([id, await call(after, id, id === 'bytes' ? ALL_BYTES : ORDER)]).toEqual([id, first])
    expect(codeOf(await call(after, 'json', { amount: 6 }))).toBe('fingerprint-mismatch')
    // Of what came after the backup there is nothing, so a caller who asks again is the first.
    expect([(await ask(after, 'GET', '/requests/young')).status, (await ask(after, 'GET', '/requests/young/reply')).status]).toEqual([404, 404])
    expect((await call(after, 'young')).status).toBe(202)
    // What had been accepted runs again, under a lease that the worker of before does not have.
    expect((await ask(after, 'GET', '/requests/open/reply')).status).toBe(409)
    const again = (await lease(after)) as Leased
    expect([again.id, again.attempt]).toEqual(['open', 1])
    expect(codeOf(await reply(after, lease1, Buffer.from('lost')))).toBe('stale-lease')
    expect((await reply(after, again, Buffer.from('again'))).status).toBe(200)
    expect(Buffer.from((await call(after, 'open')).bytes, 'base64').toString()).toBe('again')
    await stopped(after)
    const { chain, tables } = await verifyData(restored, { world: realWorld })
    expect(E.isRight(chain)).toBe(true)
    expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  })
})

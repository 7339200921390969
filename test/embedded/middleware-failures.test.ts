// The exactly-once middleware when something goes wrong: errors of the handler, and a store that fails.
import { describe, expect, it } from 'vitest'
import type { Reply } from '../../src/embedded/contract-store.ts'
import { counted, startContractApp } from '../support/contract-app.ts'

describe('errors of the handler', () => {
  it('before the first byte are answered by the app, and that answer is kept', async () => {
    let runs = 0
    await using app = await startContractApp({
      handler: () => {
        runs += 1
        throw Object.assign(new Error('no stock'), { status: 409 })
      },
    })
    const first = await app.ask({ key: 'a' })
    const again = await app.ask({ key: 'a' })
    expect([first.status, again.status, again.text]).toEqual([409, 409, first.text])
    expect(runs).toBe(1)
    expect(app.leaks).toEqual([])
  })

  it('after the first byte cut the connection, and the next duplicate runs again', async () => {
    let runs = 0
    await using app = await startContractApp({
      handler: (_req, res) => {
        runs += 1
        if (runs > 1) return void res.json({ runs })
        res.write('half')
        throw new Error('too late')
      },
    })
    await expect(app.ask({ key: 'a' })).rejects.toThrow(/socket hang up|ECONNRESET/)
    await app.store.logged('broken a')
    expect((await app.ask({ key: 'a' })).text).toBe('{"runs":2}')
    expect(app.leaks).toEqual([])
  })

  it('after the first byte fail the request where the contract says so', async () => {
    await using app = await startContractApp({ onInterrupted: 'fail', handler: (_req, res) => void res.destroy() })
    await expect(app.ask({ key: 'a' })).rejects.toThrow(/socket hang up|ECONNRESET/)
    await app.store.logged('broken a')
    expect((JSON.parse((await app.ask({ key: 'a' })).text) as { code: string }).code).toBe('interrupted')
  })

  it('are not kept where the app says so, and the next duplicate runs again', async () => {
    let runs = 0
    const seen: Reply[] = []
    await using app = await startContractApp({
      keep: (reply) => {
        seen.push(reply)
        return reply.status < 500
      },
      handler: (_req, res) => {
        runs += 1
        res.status(runs === 1 ? 503 : 200).json({ runs })
      },
    })
    const first = await app.ask({ key: 'a' })
    expect([first.status, first.headers['stint-kept'], first.headers['stint-release']]).toEqual([503, 'false', undefined])
    const second = await app.ask({ key: 'a' })
    expect([second.status, second.text, second.headers['stint-kept']]).toEqual([200, '{"runs":2}', undefined])
    expect(seen.map(({ status }) => status)).toEqual([503, 200])
  })
})

describe('a store that fails', () => {
  it('before the beginning runs nothing', async () => {
    const orders = counted()
    await using app = await startContractApp({ handler: orders.handler, wrap: (store) => ({ ...store, begin: async () => Promise.reject(new Error('disk')) }) })
    expect((await app.ask({ key: 'a' })).status).toBe(503)
    expect(orders.runs).toBe(0)
  })

  it('to open is said to the client and to the app', async () => {
    const troubles: string[] = []
    await using app = await startContractApp({
      onTrouble: (what) => troubles.push(what),
      wrap: () => {
        throw new Error('locked')
      },
    })
    expect((await app.ask({ key: 'a' })).status).toBe(503)
    expect(troubles).toEqual(['The store cannot be opened'])
  })

  it('at the reply keeps the reply back', async () => {
    const orders = counted()
    await using app = await startContractApp({
      handler: orders.handler,
      disk: async (line) => {
        if (line.startsWith('replied')) throw new Error('disk')
      },
    })
    const answer = await app.ask({ key: 'a' })
    expect([answer.status, answer.text.includes('order'), answer.headers['x-order'], answer.headers['retry-after']]).toEqual([503, false, undefined, '1'])
  })

  it('would be found out if it said durable too early', async () => {
    await using app = await startContractApp({
      wrap: (store) => ({
        ...store,
        begin: async (request) => {
          const begun = await store.begin(request)
          if (begun.type !== 'execute') return begun
          const { execution } = begun
          const sent = Promise.withResolvers<void>()
          return {
            type: 'execute',
            execution: {
              ...execution,
              reply: async (reply) => {
                app.server.once('request', () => sent.resolve())
                void sent.promise.then(() => execution.reply(reply))
                return { type: 'kept', info: execution.info }
              },
            },
          }
        },
      }),
      handler: (_req, res) => void res.write('x', () => res.end()),
    })
    const early = await app.send({ key: 'a', headers: { Connection: 'keep-alive' } })
    await new Promise((resolve) => early.once('data', resolve))
    await app.ask({ key: 'b', method: 'GET' })
    await app.store.logged('replied a')
    expect(app.leaks).toContainEqual(expect.stringMatching(/bytes before "replied a"/))
  })
})

// What an implementation node does with an operation that is sent to it: it is taken once, or refused for a reason that can be put right.
import * as t from 'io-ts'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { closeStages, openStage } from '../../support/node-stage.ts'
import { steeredClass } from '../../support/operations.ts'

const LONG = { timeout: '15m', progressEvery: '2s' } as const
const copyArgs = t.type({ from: t.string, to: t.type({ disk: t.number }) })
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const OTHER = `whsec_${Buffer.alloc(32, 8).toString('base64')}`

afterEach(closeStages)

describe('an operation that is sent to a node', () => {
  it('is on its list when it is answered 202, and in its log before', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation])
    const node = await stage.start()
    const taken = await stage.management.send({ id: 'a', operation: 'CopyImage', args: { from: 'x' } })
    expect(taken).toEqual({ status: 202, body: { id: 'a' } })
    const run = await copy.begun()
    expect([run.args, run.context.id, run.context.attempt, run.context.before]).toEqual([{ from: 'x' }, 'a', 1, undefined])
    const list = await stage.management.list()
    expect(list.body).toEqual({ node: 'node-1', instance: node.instance, items: [{ id: 'a', lease: '1.a', operation: 'CopyImage', state: 'running', attempt: 1 }] })
    expect(await stage.history(node, 'a')).toEqual(['OperationDispatched', 'Leased'])
    await stage.replayed(node)
  })

  it('is taken once, however often it is sent, and answered as the first time', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation])
    await stage.start()
    const sent = { id: 'a', operation: 'CopyImage', args: { from: 'x', size: 3 } }
    const answers = await Promise.all([1, 2, 3].map(() => stage.management.send(sent)))
    await copy.begun()
    answers.push(await stage.management.send({ ...sent, args: { size: 3, from: 'x' } }))
    expect(answers).toEqual(answers.map(() => ({ status: 202, body: { id: 'a' } })))
    expect(copy.runs).toHaveLength(1)
  })

  it('is refused with other content under an id that was taken', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation])
    await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage', args: 1 })
    for (const other of [{ args: 2 }, { args: 1, lease: '1.other' }, { args: 1, progressEverySeconds: 3 }, {}]) {
      const answer = await stage.management.send({ id: 'a', operation: 'CopyImage', ...other })
      expect([answer.status, answer.body.code]).toEqual([409, 'exists-with-other-content'])
      expect(answer.body.detail).toContain('has taken another operation under the id a before')
    }
    expect(stage.management.stateOf('a')).toBe('waiting')
    expect(copy.runs).toHaveLength(1)
  })

  it('is refused with the list of known ones when its class is none', async () => {
    const stage = await openStage([steeredClass('HashImage', LONG).operation, steeredClass('CopyImage', LONG).operation])
    await stage.start()
    const answer = await stage.management.send({ id: 'a', operation: 'Copy' })
    expect(answer).toMatchObject({ status: 422, body: { type: '/problems/unknown-operation', code: 'unknown-operation', detail: 'This node knows CopyImage, HashImage.' } })
    expect((await stage.management.list()).items).toEqual([])
  })

  it('that is for another node is refused, and is no unknown one: its node may only have moved', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation], { secret: SECRET })
    await stage.start({ secret: SECRET })
    for (const operation of ['CopyImage', 'HashImage']) {
      const answer = await stage.management.send({ id: 'a', operation, node: 'node-2' })
      expect([answer.status, answer.body.code, answer.body.detail]).toEqual([403, 'forbidden', 'This is the node node-1, and the operation is for node-2.'])
    }
    expect((await stage.management.list()).items).toEqual([])
    expect((await stage.management.send({ id: 'a', operation: 'CopyImage' })).status).toBe(202)
  })

  it('that is about to begin when its node closes is not begun any more', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation])
    const node = await stage.start()
    // In the very turn in which it is taken: its answer, and its beginning, come after that.
    const taken = node.engine.changed('long-task/a', 3_600_000)
    const sent = stage.management.send({ id: 'a', operation: 'CopyImage' })
    await taken
    // No time passes: nothing that runs is waited for.
    const closed = node.close()
    expect((await sent).status).toBe(202)
    await closed
    expect(copy.runs).toEqual([])
  })

  it('is refused with the path of each field that its class does not take', async () => {
    const copy = steeredClass('CopyImage', LONG, { args: copyArgs })
    const stage = await openStage([copy.operation])
    const node = await stage.start()
    const answer = await stage.management.send({ id: 'a', operation: 'CopyImage', args: { from: 3, to: {}, form: 'raw' } })
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid'])
    expect(answer.body.errors).toEqual([
      { path: '/args/from', code: 'type', detail: 'Expected string.' },
      { path: '/args/to/disk', code: 'required', detail: 'Expected a value, but the field is missing.' },
      { path: '/args/form', code: 'unknown', detail: 'This field is not known here.' },
    ])
    expect((await stage.management.send({ id: 'a', operation: 'CopyImage', args: { from: 'x', to: { disk: 1 } } })).status).toBe(202)
    expect((await copy.begun()).args).toEqual({ from: 'x', to: { disk: 1 } })
    expect(await stage.history(node, 'a')).toEqual(['OperationDispatched', 'Leased'])
  })

  it('is refused for fields of its own that are missing or strange, by path', async () => {
    const stage = await openStage([steeredClass('CopyImage', LONG).operation])
    await stage.start()
    const post = (body: string) => stage.management.call('POST', '/v1/node/operations', body)
    const invalid = await post(JSON.stringify({ id: 'a/b', operation: 'CopyImage', progressEverySeconds: 2, speed: 1 }))
    expect(invalid.body.errors.map(({ path, code }: { path: string; code: string }) => [path, code])).toEqual([
      ['/id', 'pattern'],
      ['/node', 'required'],
      ['/lease', 'required'],
      ['/speed', 'unknown'],
    ])
    expect((await post('{"id":')).body.errors).toEqual([{ path: '', code: 'json', detail: 'Expected JSON.' }])
    expect((await post('')).status).toBe(400)
    const large = await post(JSON.stringify({ id: 'a', lease: '1.a', operation: 'CopyImage', progressEverySeconds: 2, args: 'x'.repeat(3 * 1024 * 1024) }))
    expect([large.status, large.body.code]).toEqual([413, 'too-large'])
    const text = await stage.management.call('POST', '/v1/node/operations', '{}', { headers: { 'Content-Type': 'text/plain' } })
    expect([text.status, text.body.code]).toEqual([415, 'unsupported-media-type'])
  })
})

describe('a short operation', () => {
  it('is answered with its outcome, and neither listed nor reported', async () => {
    const ping = steeredClass('Ping', undefined)
    const stage = await openStage([ping.operation])
    const node = await stage.start()
    const sent = stage.management.send({ id: 'p', operation: 'Ping', args: [1, 2] })
    const run = await ping.begun()
    expect([run.args, (await stage.management.list()).items]).toEqual([[1, 2], []])
    run.finish({ pong: true })
    expect(await sent).toEqual({ status: 200, body: { id: 'p', outcome: { completed: { result: { pong: true } } } } })
    expect(stage.management.registrations[0]?.operations).toEqual([{ operation: 'Ping', long: false }])
    stage.world.advance(10_000)
    expect(stage.management.messages).toEqual([])
    await stage.logged(node, 'p', 'EffectsCarriedOut')
    await stage.replayed(node)
  })

  it('leaves nothing behind in memory when it is answered', async () => {
    const ping = steeredClass('Ping', undefined)
    const stage = await openStage([ping.operation])
    await stage.start()
    const listening = new Map<EventTarget, number>()
    const added = vi.spyOn(AbortSignal.prototype, 'addEventListener').mockImplementation(function (this: AbortSignal, ...given) {
      listening.set(this, (listening.get(this) ?? 0) + 1)
      EventTarget.prototype.addEventListener.apply(this, given)
    })
    const removed = vi.spyOn(AbortSignal.prototype, 'removeEventListener').mockImplementation(function (this: AbortSignal, ...given) {
      listening.set(this, (listening.get(this) ?? 0) - 1)
      EventTarget.prototype.removeEventListener.apply(this, given)
    })
    for (const count of [1, 2, 3, 4, 5]) {
      const sent = stage.management.send({ id: `p${count}`, operation: 'Ping' })
      ;(await ping.begun(count)).finish()
      expect((await sent).status).toBe(200)
    }
    added.mockRestore()
    removed.mockRestore()
    expect(Math.max(0, ...listening.values())).toBeLessThan(5)
  })

  it('that is sent again is not run again: it waits for the one run, or is answered from the log', async () => {
    const ping = steeredClass('Ping', undefined)
    const stage = await openStage([ping.operation])
    const node = await stage.start()
    const first = stage.management.send({ id: 'p', operation: 'Ping' })
    const run = await ping.begun()
    const second = stage.management.send({ id: 'p', operation: 'Ping' })
    run.fail(Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' }))
    const outcome = { failed: { code: 'EHOSTUNREACH', message: 'no route' } }
    for (const answer of [await first, await second, await stage.management.send({ id: 'p', operation: 'Ping' })])
      expect(answer).toEqual({ status: 200, body: { id: 'p', outcome } })
    expect(ping.runs).toHaveLength(1)
    await stage.logged(node, 'p', 'EffectsCarriedOut')
    expect(await stage.history(node, 'p')).toEqual(['OperationDispatched', 'Leased', 'Failed', 'EffectsCarriedOut'])
  })
})

describe('who may call a node', () => {
  it('with a secret is who knows it, within the tolerance, and nobody else', async () => {
    const copy = steeredClass('CopyImage', LONG)
    const stage = await openStage([copy.operation], { secret: SECRET })
    await stage.start({ secret: [SECRET, OTHER], secretEnv: 'COPY_SECRET' })
    expect(stage.management.registrations[0]).toMatchObject({ secretEnv: 'COPY_SECRET' })
    const sent = { id: 'a', operation: 'CopyImage' }
    const now = stage.world.now() / 1_000
    const strange = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
    for (const options of [{ secret: null }, { secret: strange }, { seconds: now - 301 }, { seconds: now + 301 }]) {
      for (const answer of [
        await stage.management.send(sent, options),
        await stage.management.list(options),
        await stage.management.direct('a', { number: 1, directive: 'abort' }, options),
      ])
        expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated'])
    }
    expect(copy.runs).toHaveLength(0)
    expect((await stage.management.send(sent)).status).toBe(202)
    expect((await stage.management.list({ secret: OTHER, seconds: now - 299 })).items).toHaveLength(1)
    // Whoever has made a mistake with secrets or clocks learns of it at the node too; who calls without any signature may be anybody.
    expect(stage.problems).toEqual([expect.stringContaining('the secret of this node and that in the environment'), expect.stringContaining('the clocks of the two machines')])
  })

  it('is not told by a signature that another node with the same secret was sent', async () => {
    const stage = await openStage([steeredClass('CopyImage', LONG).operation], { secret: SECRET })
    await stage.start({ secret: SECRET })
    const answer = await stage.management.list({ node: 'node-2' })
    expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated'])
  })

  it('is not told by a signature of another body', async () => {
    const stage = await openStage([steeredClass('CopyImage', LONG).operation], { secret: SECRET })
    await stage.start({ secret: SECRET })
    const headers = { 'webhook-id': 'msg', 'webhook-timestamp': String(stage.world.now() / 1_000), 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }
    const answer = await stage.management.call('GET', '/v1/node/operations', undefined, { secret: null, headers })
    expect([answer.status, answer.body.detail]).toEqual([401, 'Expected a signature with a secret that is known, but there is none.'])
  })

  it('without a secret is this machine, by a name that is its own', async () => {
    const stage = await openStage([steeredClass('CopyImage', LONG).operation])
    await stage.start()
    expect((await stage.management.list()).status).toBe(200)
    expect(stage.management.registrations[0]).not.toHaveProperty('secretEnv')
    const answer = await requestAs('evil.example', stage.management.registrations[0]?.url ?? '')
    expect(answer).toBe(403)
  })

  it('is told of paths and methods that there are not', async () => {
    const stage = await openStage([steeredClass('CopyImage', LONG).operation])
    await stage.start()
    const { call } = stage.management
    expect(await call('GET', '/v1/jobs')).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await call('DELETE', '/v1/node/operations')).toMatchObject({ status: 405, body: { code: 'method-not-allowed' } })
    expect(await call('GET', '/v1/node/operations?all=1')).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ path: '/query/all', code: 'unknown' }] } })
    expect(await call('POST', '/v1/node/operations/%ff/directives', '{}')).toMatchObject({ status: 400, body: { code: 'invalid' } })
  })
})

/** A request with a `Host` of its own, which `fetch` does not send. */
const requestAs = async (host: string, url: string): Promise<number> => {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    request(`${url}/v1/node/operations`, { headers: { Host: host } }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
      .on('error', reject)
      .end()
  })
}

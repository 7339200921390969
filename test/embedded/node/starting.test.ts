// How a node starts: what it refuses to start with, what it says of itself, and that it needs nobody to begin.
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { ImplementationNodeOptions } from '../../../src/embedded/index.ts'
import { Closed } from '../../../src/client/errors.ts'
import { closeStages, openStage } from '../../support/node-stage.ts'
import { steeredClass } from '../../support/operations.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const copy = (name = 'CopyImage') => steeredClass(name, { timeout: '15m', progressEvery: '2s', stalledAfter: '1m', onRestart: 'resume' })

/** A port of loopback that is taken until it is let go of. */
const takenPort = async (): Promise<{ readonly port: number; readonly free: () => Promise<void> }> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, free: () => new Promise((resolve) => server.close(() => resolve())) }
}

const freePort = async (): Promise<number> => {
  const { port, free } = await takenPort()
  await free()
  return port
}

class Nothing {
  readonly runs = 'nothing'
}

afterEach(closeStages)

describe('a node', () => {
  it('says of itself what it can do, where it is and which process it is', async () => {
    const stage = await openStage([copy().operation, steeredClass('Ping', undefined).operation])
    const node = await stage.start()
    expect(node.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(stage.management.registrations).toEqual([
      {
        id: 'node-1',
        url: node.url,
        instance: node.instance,
        operations: [
          { operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 2, stalledAfterSeconds: 60 },
          { operation: 'Ping', long: false },
        ],
      },
    ])
  })

  it('says the address that it is reached by, if that is another', async () => {
    const stage = await openStage([copy().operation], { secret: SECRET })
    const port = await freePort()
    await stage.start({ secret: SECRET, listen: { port }, url: 'https://copies.example/node-1/' })
    expect(stage.management.registrations[0]).toMatchObject({ url: 'https://copies.example/node-1', secretEnv: 'STINT_NODE_SECRET' })
    // It listens all the same where it was told to.
    const listens = await stage.management.list({ at: `http://127.0.0.1:${port}` })
    expect(listens.status).toBe(200)
  })

  it('starts, and goes on with its list, while its management node is away', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    await images.begun()
    await node.close()
    await stage.management.down()
    const again = await stage.begin()
    const run = await images.begun(2)
    run.finish('alone')
    await stage.logged(again, 'a', 'Completed')
    expect(stage.management.registrations).toHaveLength(1)
    await stage.management.up()
    await stage.passing(() => stage.management.stateOf('a') === 'completed')
    expect(stage.management.registrations).toHaveLength(2)
    await again.registered()
  })

  it('that is closed before its management node knew it says so to who waits for that', async () => {
    const stage = await openStage([copy().operation])
    await stage.management.down()
    const node = await stage.begin()
    const registered = node.registered()
    await Promise.all([node.close(), expect(registered).rejects.toBeInstanceOf(Closed)])
    expect(stage.world.pending()).toEqual([])
  })

  it('tells of a management node that is away once, however often it tries', async () => {
    const stage = await openStage([copy().operation])
    await stage.management.down()
    await stage.begin()
    await stage.passing(() => stage.world.monotonic() > 60_000)
    expect(stage.problems).toEqual([expect.stringContaining('Expected an answer from')])
  })
})

describe('a node that is not registered', () => {
  const fault = (path: string) => [{ path, code: 'not-allowed', detail: 'Expected a node that this server may call.' }]

  it.each([
    [
      'the token, and where it is given',
      { code: 'unauthenticated' } as const,
      /It is not registered\. Who are you\? Give the node a token with the role node: `management\.token`, or STINT_TOKEN/,
    ],
    [
      'the setting of its server',
      { code: 'invalid', errors: fault('/url') } as const,
      /has to be started with --allow-urls .* a pattern for http:\/\/127\.0\.0\.1:\d+\. It tries again/,
    ],
    ['the address, where no Stint is', { code: 'not-found' } as const, /Is `management\.url`, or STINT_URL, the address of a Stint server\?/],
    [
      'nothing more than was answered, where that says it',
      { code: 'invalid', errors: fault('/secretEnv') } as const,
      /\/secretEnv: Expected a node that this server may call\. It tries again until it is\.$/,
    ],
  ])('says once what is wrong and what puts it right, and tries again: %s', async (_what, refusal, message) => {
    const stage = await openStage([copy().operation])
    stage.management.refuseNode(refusal)
    const node = await stage.begin()
    await stage.passing(() => stage.world.monotonic() > 30_000)
    expect(stage.problems).toEqual([expect.stringMatching(message)])
    stage.management.refuseNode(undefined)
    await stage.passing(() => stage.management.registrations.length > 0)
    await node.registered()
  })
})

describe('a node whose name another process has registered', () => {
  it('says so once, and leaves the name to the other', async () => {
    const stage = await openStage([copy().operation])
    await stage.start()
    stage.management.replaceNode('other', 'up')
    await stage.passing(() => stage.world.monotonic() > 100_000)
    expect(stage.problems).toEqual([
      expect.stringMatching(/^Another process has registered as node-1, at http:\/\/127\.0\.0\.1:9, and is called in place of this one\. Each node needs a name/),
    ])
    expect(stage.management.registrations).toHaveLength(2)
  })

  it('takes it back when the other is down', async () => {
    const stage = await openStage([copy().operation])
    const node = await stage.start()
    stage.management.replaceNode('other', 'down')
    await stage.passing(() => stage.management.registrations.length === 3)
    expect(stage.management.registrations.at(-1)).toMatchObject({ instance: node.instance, url: node.url })
    expect(stage.problems).toEqual([])
  })
})

describe('a node is not started', () => {
  const refusal = async (given: Partial<ImplementationNodeOptions>): Promise<Error> => {
    const stage = await openStage([copy().operation])
    return stage.begin(given).then(
      () => new Error('It was started.'),
      (thrown: Error) => thrown,
    )
  }

  it.each<readonly [string, Partial<ImplementationNodeOptions>, RegExp]>([
    ['without a name that can be one', { name: 'a/b' }, /^Expected the name of a node, but it is "a\/b"/],
    ['beyond loopback without a secret', { listen: { host: '0.0.0.0' }, url: 'http://copies.example' }, /^Refusing to listen on 0\.0\.0\.0 without a secret/],
    ['at an address that nobody can be told', { listen: { host: '0.0.0.0' }, secret: SECRET }, /^Expected a url, since nobody can be told to call 0\.0\.0\.0/],
    ['with a secret that is none', { secret: 'hunter2' }, /^secret: Expected whsec_/],
    ['with no place for an operation', { maxRunning: 0 }, /^Expected maxRunning to be 1 at least, but it is 0/],
    ['with a time that is none', { drainSeconds: -1 }, /^Expected drainSeconds to be 0 at least, but it is -1/],
    ['with two classes of one name', { operations: [copy().operation, copy().operation] }, /^Expected each operation to have a name of its own, but two are named CopyImage/],
    ['with a class that runs nothing', { operations: [Nothing as never] }, /^Expected Nothing to have a method run\(context\)/],
    ['with a declaration that is none', { operations: [steeredClass('CopyAll', { timeout: 'soon' as never }).operation] }, /^Expected CopyAll\.longTask\.timeout to be a duration/],
    ['with operations that are no list', { operations: { CopyImage: copy().operation } as never }, /^Expected `operations` to be a list of classes/],
    ['with an instance in place of a class', { operations: [new Nothing() as never] }, /^Expected each of `operations` to be a class, but one is an instance of Nothing/],
    ['with an operation that is not there', { operations: [undefined as never] }, /^Expected each of `operations` to be a class, but one is undefined/],
    ['without a directory', { directory: undefined }, /^Expected `directory`, where this node keeps its own log/],
    ['with an address in place of its management node', { management: 'http://127.0.0.1:7070' as never }, /^Expected `management` to be { url, token }, but it is "http:/],
    ['at an address without http', { url: '10.0.0.7:7071' }, /^Expected `url` to begin with http:\/\/ or https:\/\//],
    ['for a management node whose address is none', { management: { url: 'ftp://stint.example' } }, /http:\/\/ or https:\/\//],
  ])('%s', async (_what, given, message) => {
    expect((await refusal(given)).message).toMatch(message)
  })

  it('under another name on a list that is not its own', async () => {
    const images = copy()
    const stage = await openStage([images.operation])
    const node = await stage.start()
    await stage.management.send({ id: 'a', operation: 'CopyImage' })
    await images.begun()
    await node.close()
    await expect(stage.begin({ name: 'node-2' })).rejects.toThrow('Expected the list of node-2, but its directory has operations of node-1')
    await stage.start()
    expect((await images.begun(2)).context.attempt).toBe(2)
  })

  it('where another has its directory, or its port, and lets go of what it had', async () => {
    const stage = await openStage([copy().operation])
    const node = await stage.start()
    await expect(stage.begin()).rejects.toThrow(/process \d+/)
    await node.close()
    const { port, free } = await takenPort()
    await expect(stage.begin({ listen: { port } })).rejects.toThrow(/EADDRINUSE/)
    await free()
    expect((await stage.start({ listen: { port } })).url).toBe(`http://127.0.0.1:${port}`)
  })
})

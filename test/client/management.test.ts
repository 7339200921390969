// The management side of the SDK: what an application writes to have nodes do something long, and how it learns what became of it.
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { Closed, connect, NotCompleted, StintError, Unreachable, type LongTaskShown, type Management, type Stint } from '../../src/client/index.ts'
import { startGateway, type Fate, type Gateway, type Seen } from '../support/gateway.ts'
import { startLongTaskStage, type LongTaskStage, type StageNode } from '../support/long-task-stage.ts'
import { virtualWorld } from '../support/virtual-world.ts'

interface CopyArgs {
  readonly from: string
  readonly to: string
}

class CopyImage {
  static readonly longTask = { timeout: '15m', progressEvery: '2s', stalledAfter: '1m' } as const
  readonly args: CopyArgs
  constructor(args: CopyArgs) {
    this.args = args
  }
  run(): Promise<{ readonly bytes: number }> {
    return Promise.resolve({ bytes: this.args.from.length })
  }
}

class Ping {
  run(): string {
    return 'pong'
  }
}

let stage: LongTaskStage
let disk: StageNode
let gateway: Gateway
let client: Stint
let management: Management

beforeEach(async () => {
  stage = await startLongTaskStage()
  disk = stage.node('disk-1', ['CopyImage', 'Ping'])
  gateway = await startGateway(stage.url)
  client = connect({ url: gateway.url })
  management = client.management({ flushSeconds: 1 })
})

afterEach(async () => {
  await client.close()
  await gateway.close()
  await stage.close()
})

const copy = new CopyImage({ from: 'a.img', to: 'b.img' })
const onDisk = { node: 'disk-1' }
const isDispatch = ({ method, path }: Seen): boolean => method === 'POST' && path === '/v1/long-tasks'
const dispatches = (): readonly Seen[] => gateway.seen.filter(isDispatch)
const itemsOf = ({ body }: Seen): readonly Record<string, unknown>[] => (body as { readonly items: readonly Record<string, unknown>[] }).items
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)

/** Decides the fate of the first `count` requests that fit. */
const first = (count: number, fits: (request: Seen) => boolean, fate: Fate): void => {
  let left = count
  gateway.treat((request) => {
    if (left === 0 || !fits(request)) return 'pass'
    left -= 1
    return fate
  })
}

const isStream = ({ path }: Seen): boolean => path.startsWith('/v1/events')

describe('when an operation is dispatched', () => {
  it('is recorded with its class, its arguments and its timing', async () => {
    const dispatched = await management.dispatch(copy, { ...onDisk, id: 'copy-1' })
    expect(dispatched.id).toBe('copy-1')
    expect(await dispatched.show()).toMatchObject({
      workItem: 'long-task/copy-1',
      state: 'waiting',
      operation: 'CopyImage',
      node: 'disk-1',
      args: { from: 'a.img', to: 'b.img' },
      timeoutSeconds: 900,
      progressEverySeconds: 2,
      stalledAfterSeconds: 60,
    })
  })

  it('has an id of its own that sorts by time', async () => {
    const [earlier, later] = [await management.dispatch(copy, onDisk), await management.dispatch(copy, onDisk)]
    expect(earlier.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
    expect(later.id > earlier.id).toBe(true)
  })

  it('is timed as the call says where it says so', async () => {
    const { show } = await management.dispatch(copy, { ...onDisk, timeoutSeconds: 5, stalledAfterSeconds: 3, progressEverySeconds: 1 })
    expect(await show()).toMatchObject({ timeoutSeconds: 5, stalledAfterSeconds: 3, progressEverySeconds: 1 })
  })

  it('leaves the timing of a short one to the server, and may have no arguments', async () => {
    const { id } = await management.dispatch(new Ping(), onDisk)
    expect(itemsOf(dispatches()[0] as Seen)).toEqual([{ operation: 'Ping', node: 'disk-1', id }])
  })

  it('may be named where its class is not at hand', async () => {
    await management.dispatch({ operation: 'CopyImage', args: [1] }, { ...onDisk, id: 'named', timeoutSeconds: 7 })
    expect(itemsOf(dispatches()[0] as Seen)).toEqual([{ operation: 'CopyImage', node: 'disk-1', id: 'named', timeoutSeconds: 7, args: [1] }])
  })

  it('is as it was when it was dispatched, whatever becomes of the object', async () => {
    const args = { from: 'a.img', to: 'b.img' }
    const dispatching = management.dispatch(new CopyImage(args), onDisk)
    args.to = 'c.img'
    expect(await (await dispatching).show()).toMatchObject({ args: { to: 'b.img' } })
  })

  it('is the same long task again with the same id and content, and refused with other content', async () => {
    await management.dispatch(copy, { ...onDisk, id: 'once' })
    expect((await management.dispatch(copy, { ...onDisk, id: 'once' })).id).toBe('once')
    await expect(management.dispatch(new Ping(), { ...onDisk, id: 'once' })).rejects.toMatchObject({ name: 'StintError', code: 'exists-with-other-content' })
    expect((await client.longTasks.list()).items).toHaveLength(1)
  })

  it('is refused where its node does not know it, and those beside it are not', async () => {
    class MeltImage {
      readonly args = {}
    }
    const settled = await Promise.allSettled([management.dispatch(copy, onDisk), management.dispatch(new MeltImage(), onDisk), management.dispatch(copy, onDisk)])
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(settled[1]).toMatchObject({ reason: { code: 'unknown-operation', message: expect.stringContaining('disk-1 knows CopyImage, Ping') } })
    expect(dispatches()).toHaveLength(1)
  })

  it('is an instance for a node that is named, whatever a compiler lets pass', async () => {
    const dispatch = management.dispatch as (...given: readonly unknown[]) => Promise<unknown>
    await expect(dispatch(CopyImage, onDisk)).rejects.toThrow(new TypeError('Expected an instance, new CopyImage(args), but it is the class CopyImage itself.'))
    await expect(dispatch(undefined, onDisk)).rejects.toThrow('Expected an operation, an instance of its class or { operation, args }, but it is undefined.')
    await expect(dispatch(copy)).rejects.toThrow("Expected options with the node that is to run it, { node: 'disk-1' }, but they are undefined.")
    expect(gateway.seen).toEqual([])
  })

  it('is refused at the line that dispatches it when it is malformed', async () => {
    await expect(management.dispatch(copy, { node: 'a/b' })).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/node' }] } })
    await expect(management.dispatch(copy, { ...onDisk, id: '' })).rejects.toMatchObject({ code: 'invalid', problem: { errors: [{ path: '/id' }] } })
    await expect(management.dispatch(copy, { ...onDisk, timeoutSeconds: 0 })).rejects.toMatchObject({ problem: { errors: [{ path: '/timeoutSeconds', code: 'range' }] } })
    await expect(management.dispatch({ operation: 'CopyImage', args: 'x'.repeat(1_048_575) }, onDisk)).rejects.toBeInstanceOf(StintError)
    await expect(management.dispatch({ operation: 'CopyImage', args: () => 1 }, onDisk)).rejects.toBeInstanceOf(TypeError)
    expect(gateway.seen).toEqual([])
  })

  it('travels with what is dispatched in the same turn, in its order', async () => {
    const handles = await Promise.all(range(250).map((number) => management.dispatch(copy, { ...onDisk, id: `copy-${number}` })))
    expect(handles.map(({ id }) => id)).toEqual(range(250).map((number) => `copy-${number}`))
    expect(dispatches().map((seen) => itemsOf(seen).length)).toEqual([250])
  })
})

describe('when the network or Stint fails at a dispatch', () => {
  it('is recorded once although answers were lost', async () => {
    first(2, isDispatch, 'lose-answer')
    const { id } = await management.dispatch(copy, onDisk)
    expect(dispatches().map((seen) => itemsOf(seen)[0]?.['id'])).toEqual([id, id, id])
    expect((await client.longTasks.list()).items.map((task) => task.id)).toEqual([id])
  })

  it('is given up after its time, and says what was wrong last', async () => {
    await gateway.down()
    const impatient = client.management({ retrySeconds: 0, flushSeconds: 0 })
    await expect(impatient.dispatch(copy, onDisk)).rejects.toBeInstanceOf(Unreachable)
  })

  it('can be taken back while it has not been sent', async () => {
    const over = new AbortController()
    gateway.treat(() => 'hang')
    void management.dispatch(copy, onDisk).catch(() => undefined)
    await gateway.until(isDispatch)
    const second = management.dispatch(copy, { ...onDisk, id: 'second', signal: over.signal })
    over.abort(new Error('changed my mind'))
    await expect(second).rejects.toThrow('changed my mind')
    await management.close()
    expect(JSON.stringify(dispatches())).not.toContain('second')
  })
})

describe('the result', () => {
  it('is what the operation returned, whenever it is asked for', async () => {
    const dispatched = await management.dispatch(copy, onDisk)
    const waiting = dispatched.result()
    expectTypeOf(waiting).resolves.toEqualTypeOf<{ readonly bytes: number }>()
    await disk.take(dispatched.id)
    await disk.report(dispatched.id, { outcome: { completed: { result: { bytes: 5 } } } })
    expect(await waiting).toEqual({ bytes: 5 })
    expect(await dispatched.result()).toEqual({ bytes: 5 })
    expect(await management.dispatched(dispatched.id).result()).toEqual({ bytes: 5 })
  })

  it('is an error that carries how it ended otherwise', async () => {
    const failing = await management.dispatch(copy, { ...onDisk, id: 'failing' })
    await disk.report('failing', { outcome: { failed: { code: 'disk-full', message: 'no space left', detail: { free: 0 } } } })
    const failure = await failing.result().catch((thrown: unknown) => thrown)
    expect(failure).toBeInstanceOf(NotCompleted)
    expect(failure).toMatchObject({ id: 'failing', state: 'failed', code: 'disk-full', outcome: { failed: { detail: { free: 0 } } } })
    expect((failure as Error).message).toBe('Expected long task failing to complete, but it failed (disk-full): no space left.')

    const stopped = await management.dispatch(copy, { ...onDisk, id: 'stopped' })
    await disk.take('stopped')
    await stopped.abort('enough')
    await disk.report('stopped', { outcome: { aborted: { reason: 'enough', partial: { bytes: 2 } } } })
    await expect(stopped.result()).rejects.toMatchObject({ state: 'aborted', code: 'aborted', outcome: { aborted: { partial: { bytes: 2 } } } })
  })

  it('is told to have been cancelled before it began, and to have timed out', async () => {
    const cancelled = await management.dispatch(copy, onDisk)
    await cancelled.abort('not tonight')
    await expect(cancelled.result()).rejects.toThrow('it was cancelled before it began: not tonight.')
    const late = await management.dispatch(copy, { ...onDisk, timeoutSeconds: 0.1 })
    await expect(late.result()).rejects.toMatchObject({ state: 'timedOut', outcome: { timedOut: { cause: 'total' } } })
  })

  it('is waited for over one stream, however many wait', async () => {
    const handles = await Promise.all(range(20).map((number) => management.dispatch(copy, { ...onDisk, id: `copy-${number}` })))
    const results = Promise.all(handles.map((handle) => handle.result()))
    await gateway.until(isStream)
    for (const { id } of handles) await disk.report(id, { outcome: { completed: { result: id } } })
    expect(await results).toEqual(handles.map(({ id }) => id))
    expect(gateway.seen.filter(isStream)).toHaveLength(1)
  })

  it('survives a cut of the stream, and a server that is away for a while', async () => {
    const dispatched = await management.dispatch(copy, onDisk)
    const waiting = dispatched.result()
    await gateway.until(isStream)
    await gateway.down()
    await disk.report(dispatched.id, { outcome: { completed: { result: 'at last' } } })
    await gateway.up()
    expect(await waiting).toBe('at last')
  })

  it('is not waited for in a log that was put in place of the one that had it', async () => {
    const dispatched = await management.dispatch(copy, onDisk)
    const waiting = dispatched.result()
    await gateway.until(isStream)
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'not-found' }),
      (async () => {
        await stage.stint.stop()
        await stage.stint.start('empty')
      })(),
    ])
  })

  it('is found although the event stream has no seat left', async () => {
    const world = virtualWorld()
    await using slow = connect({ url: gateway.url, world })
    gateway.treat((request) => (isStream(request) ? 503 : 'pass'))
    const { id } = await management.dispatch(copy, onDisk)
    const waiting = slow.longTasks.result(id)
    const isTimeForALook = (pending: readonly number[]): boolean => pending.includes(20_000)
    await world.until(isTimeForALook)
    await disk.report(id, { outcome: { completed: { result: 3 } } })
    // Nobody tells of it: the next look does.
    world.advance(20_000)
    expect(await waiting).toBe(3)
  })

  it('is not waited for when the management is closed, when its signal aborts, or when there is no such long task', async () => {
    const { id } = await management.dispatch(copy, onDisk)
    const over = new AbortController()
    const [closed, aborted] = [management.dispatched(id).result(), management.dispatched(id).result({ signal: over.signal })]
    over.abort(new Error('enough waited'))
    await expect(aborted).rejects.toThrow('enough waited')
    await expect(management.dispatched('nix').result()).rejects.toMatchObject({ code: 'not-found' })
    await Promise.all([expect(closed).rejects.toBeInstanceOf(Closed), management.close()])
    await expect(management.dispatch(copy, onDisk)).rejects.toBeInstanceOf(Closed)
    await expect(client.longTasks.show(id)).resolves.toMatchObject({ state: 'waiting' })
  })
})

describe('a watch', () => {
  it('gives every state with its progress until the end', async () => {
    const dispatched = await management.dispatch(copy, { ...onDisk, progressEverySeconds: 0.1 })
    const { id } = dispatched
    const seen: LongTaskShown[] = []
    /** What is done once the watch has shown what the step before came to. */
    const steps: [isReached: (shown: LongTaskShown) => boolean, next: () => Promise<unknown>][] = [
      [({ state }) => state === 'waiting', () => disk.take(id)],
      [({ state }) => state === 'running', () => disk.report(id, { phase: 'reading', progress: { done: 1, total: 1_000, unit: 'bytes' } })],
      // So little more is not recorded: only a look tells.
      [({ progress }) => progress?.done === 1, () => disk.report(id, { progress: { done: 2, total: 1_000, unit: 'bytes' } })],
      [({ progress }) => progress?.done === 2, () => dispatched.pause('backup')],
      [({ directive }) => directive === 'pause', () => disk.report(id, { state: 'paused' })],
      [({ state }) => state === 'paused', () => dispatched.resume()],
      [({ directive }) => directive === 'normal', () => disk.report(id, { outcome: { completed: { result: 5 } } })],
    ]
    for await (const shown of dispatched.watch()) {
      seen.push(shown)
      const [isReached, next] = steps[0] ?? []
      if (isReached?.(shown) !== true) continue
      steps.shift()
      await next?.()
    }
    expect(steps).toEqual([])
    expect(seen.map(({ state }) => state)).toEqual(expect.arrayContaining(['waiting', 'running', 'paused', 'completed']))
    expect(seen.map(({ progress }) => progress?.done)).toEqual(expect.arrayContaining([undefined, 1, 2]))
    expect(seen.at(-1)).toMatchObject({ state: 'completed', outcome: { completed: { result: 5 } } })
    expect((await dispatched.why()).gate).toBe('settled')
  })

  it('ends with its signal', async () => {
    const { watch } = await management.dispatch(copy, onDisk)
    const over = new AbortController()
    const seen: string[] = []
    const watching = (async () => {
      for await (const { state } of watch({ signal: over.signal })) {
        seen.push(state)
        over.abort(new Error('seen enough'))
      }
    })()
    await expect(watching).rejects.toThrow('seen enough')
    expect(seen).toEqual(['waiting'])
  })
})

describe('the long-task table', () => {
  it('is listed, filtered and walked through', async () => {
    stage.node('disk-2')
    for (const number of range(5)) await management.dispatch(copy, { node: number % 2 === 0 ? 'disk-1' : 'disk-2', id: `copy-${number}` })
    await disk.take('copy-0')
    const { longTasks } = client
    expect((await longTasks.list({ node: 'disk-2' })).items.map(({ id }) => id)).toEqual(['copy-3', 'copy-1'])
    expect((await longTasks.list({ state: 'running' })).items.map(({ id }) => id)).toEqual(['copy-0'])
    const all: string[] = []
    for await (const { id } of longTasks.each({ limit: 2 })) all.push(id)
    expect(all).toEqual(['copy-4', 'copy-3', 'copy-2', 'copy-1', 'copy-0'])
    expect((await longTasks.history('copy-0')).items.map(({ type }) => type)).toEqual(['OperationDispatched', 'Leased'])
    expect(await longTasks.abort('copy-1', 'no need')).toMatchObject({ state: 'cancelled' })
  })
})

describe('the nodes', () => {
  it('are listed with their health, shown and removed', async () => {
    stage.node('disk-2').found('down', 'connect ECONNREFUSED')
    await management.dispatch(copy, onDisk)
    const { nodes } = client
    expect((await nodes.list()).items.map(({ id, health, waiting }) => [id, health, waiting])).toEqual([
      ['disk-1', 'up', 1],
      ['disk-2', 'down', 0],
    ])
    const all: string[] = []
    for await (const { id } of nodes.each()) all.push(id)
    expect(all).toEqual(['disk-1', 'disk-2'])
    expect(await nodes.show('disk-2')).toMatchObject({ lastFailure: 'connect ECONNREFUSED' })
    expect(await nodes.remove('disk-2')).toMatchObject({ id: 'disk-2' })
    await expect(nodes.show('disk-2')).rejects.toMatchObject({ code: 'not-found' })
  })
})

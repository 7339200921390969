// Whether an EventStoreDB can be reached, and whether its log is still the one that was opened: known while nobody asks, told once it is known, and mended without a restart.
import { describe, expect, it } from 'vitest'
import type { KurrentStore } from '../../../src/store/kurrent/store.ts'
import { everything, left, put, right, sample, samples } from '../../contract/samples.ts'
import type { Double } from '../../support/kurrent-double/double.ts'
import { DoubleLog } from '../../support/kurrent-double/log.ts'
import { kurrentStage, passUntil, reached, second, turns } from '../../support/kurrent-stage.ts'
import { virtualWorld, type VirtualWorld } from '../../support/virtual-world.ts'

const stage = kurrentStage()

const ASK_EVERY_MS = 5_000
const PATIENCE_MS = 10_000

interface Scene {
  readonly double: Double
  readonly world: VirtualWorld
  readonly store: KurrentStore
}

const begin = async (): Promise<Scene> => {
  const double = await stage.double()
  const world = virtualWorld()
  // The double dates events by the clock that the store has too, unless a test sets one of them.
  double.log.setClock(world.now)
  const store = await stage.store(double, { world })
  await put(store, 'a', samples(3))
  return { double, world, store }
}

/** Lets time pass until it is as wanted; nobody asks the store for anything. */
const until = async (scene: Pick<Scene, 'world'>, isSo: () => boolean): Promise<void> => {
  while (!isSo()) await second(scene.world)
}

/** Lets it be asked again at least once. */
const asked = async (scene: Pick<Scene, 'world'>): Promise<void> => {
  for (let seconds = 0; seconds <= ASK_EVERY_MS / 1_000; seconds += 1) await second(scene.world)
}

const isRefusing = ({ store }: Scene) => store.reach?.trouble()?.isRefusing === true

const restart = async (scene: Scene, log?: DoubleLog): Promise<void> => {
  await scene.double.node.stop()
  if (log !== undefined) scene.double.replaceLog(log)
  await scene.double.node.start()
}

describe('a log that cannot be reached', () => {
  it('is known of while nobody asks for anything, and told of as long as it lasts', async () => {
    const scene = await begin()
    const { double, store, world } = scene
    const told: (boolean | undefined)[] = []
    store.reach?.onChange(() => told.push(store.reach?.trouble()?.isRefusing))
    expect(store.reach?.trouble()).toBeUndefined()
    await double.node.stop()
    await until(scene, () => store.reach?.trouble() !== undefined)
    expect(world.monotonic()).toBeLessThanOrEqual(ASK_EVERY_MS + 1_000)
    expect(store.reach?.trouble()).toMatchObject({ isRefusing: false, reason: expect.stringContaining('ECONNREFUSED') })
    await until(scene, () => isRefusing(scene))
    expect(world.monotonic()).toBeLessThanOrEqual(ASK_EVERY_MS + PATIENCE_MS + 2_000)
    await double.node.start()
    await reached(world, store)
    expect([told.at(0), told.at(-1)]).toEqual([false, undefined])
    expect(right(await store.append('a', 2, [sample(3)])()).revision).toBe(3)
  })

  it('is refused without asking once it has been away for longer than anybody waits, and asked again by itself', async () => {
    const scene = await begin()
    const { double, store, world } = scene
    double.node.freeze()
    await until(scene, () => isRefusing(scene))
    const at = world.monotonic()
    expect(left(await store.append('a', 2, [sample(3)])())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('has not answered') })
    expect(left(await store.readStream('a')())).toMatchObject({ kind: 'unavailable' })
    expect(world.monotonic()).toBe(at)
    double.node.thaw()
    await reached(world, store)
    expect(right(await passUntil(world, store.append('a', 2, [sample(3)])())).revision).toBe(3)
    expect((await everything(store)).map(({ type }) => type)).toEqual(['Sample1', 'Sample2', 'Sample3', 'Sample3'])
  })

  it('is noticed at once by whoever appends', async () => {
    const { double, store, world } = await begin()
    await double.node.stop()
    const appending = store.append('a', 2, [sample(3)])()
    while (store.reach?.trouble() === undefined) await turns(1)
    expect(world.monotonic()).toBe(0)
    await double.node.start()
    expect(right(await passUntil(world, appending)).revision).toBe(3)
  })
})

describe('a log that is another than the one that was opened', () => {
  it('is not appended to, nor followed, and says that the server has to be restarted', async () => {
    const scene = await begin()
    const { store, double, world } = scene
    await restart(scene, new DoubleLog(world.now))
    await until(scene, () => isRefusing(scene))
    const { length } = double.log
    const refused = left(await store.append('b', 'noStream', [sample(9)])())
    expect(refused).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('it holds no log of Stint') })
    expect(store.reach?.trouble()).toMatchObject({ isRefusing: true, reason: expect.stringContaining('restart this server') })
    expect(double.log.length).toBe(length)
  })

  it('is told by its incarnation where another Stint has begun on it', async () => {
    const scene = await begin()
    const { store, double, world } = scene
    await double.node.stop()
    double.replaceLog(new DoubleLog(world.now))
    await double.node.start()
    const its = virtualWorld({ seed: 2 })
    const other = await passUntil(its, stage.store(double, { world: its }))
    await passUntil(its, put(other, 'a', samples(5)))
    await until(scene, () => isRefusing(scene))
    expect(store.reach?.trouble()?.reason).toMatch(/incarnation [0-9a-z]{8} became [0-9a-z]{8}/)
    expect(left(await store.readAll()())).toMatchObject({ kind: 'unavailable' })
    expect(await everything(other)).toHaveLength(5)
  })

  it('is known by what it lacks where it was restored from an older backup', async () => {
    const scene = await begin()
    const { double, store } = scene
    const backup = double.log.copy()
    await put(store, 'a', [sample(3)])
    await restart(scene, backup)
    await until(scene, () => isRefusing(scene))
    expect(store.reach?.trouble()?.reason).toContain('event 3 of the stream a')
  })

  it('is known also when others have appended to it since, in the same place', async () => {
    const scene = await begin()
    const { double, store } = scene
    const backup = double.log.copy()
    await put(store, 'a', [sample(3)])
    await double.node.stop()
    double.replaceLog(backup)
    await double.node.start()
    const its = virtualWorld({ seed: 2 })
    const other = await passUntil(its, stage.store(double, { world: its }))
    await passUntil(its, put(other, 'a', samples(4, 30)))
    await until(scene, () => isRefusing(scene))
    expect(store.reach?.trouble()?.reason).toContain('lacks what it has shown')
  })

  it('is used again where it turns out to be the right one after all', async () => {
    const scene = await begin()
    const { double, store, world } = scene
    const older = double.log.copy()
    await put(store, 'a', [sample(3)])
    const current = double.log
    await restart(scene, older)
    await until(scene, () => isRefusing(scene))
    await restart(scene, current)
    await reached(world, store)
    expect(right(await passUntil(world, store.append('a', 3, [sample(4)])())).revision).toBe(4)
  })

  it('is not suspected for a stream that was truncated, deleted or limited by hand', async () => {
    const scene = await begin()
    const { double, store } = scene
    const metadata = (stream: string, document: string) =>
      double.log.append(`$$${stream}`, 'any', [
        { id: '11111111-1111-4111-8111-11111111111a', type: '$metadata', contentType: 'application/json', data: Buffer.from(document), metadata: Buffer.alloc(0) },
      ])
    right(await store.truncate('a', 2)())
    await asked(scene)
    await put(store, 'b', [sample(4)])
    double.log.deleteSoftly('b', 'any')
    await asked(scene)
    await put(store, 'c', [sample(5)])
    double.log.tombstone('c', 'any')
    await asked(scene)
    await put(store, 'd', samples(2, 6))
    metadata('d', '{"$tb":9}')
    await asked(scene)
    expect(store.reach?.trouble()).toBeUndefined()
  })
})

describe('the clock of this machine', () => {
  /** Appends, and lets the store look at when that was. */
  const measured = async ({ world, store }: Pick<Scene, 'world' | 'store'>): Promise<number> => {
    right(await store.append('clock', 'any', [sample(1)])())
    await asked({ world })
    return store.reach?.clockOffMs?.() ?? NaN
  }

  it('is right where the store dates an append between sending it and its answer', async () => {
    expect(await measured(await begin())).toBe(0)
  })

  it.each([
    [1_500, -1_500],
    [-4_000, 4_000],
  ])('is told to be off where the store dates %i ms later', async (later, off) => {
    const scene = await begin()
    scene.double.log.setClock(() => scene.world.now() + later)
    expect(await measured(scene)).toBe(off)
    scene.double.log.setClock(scene.world.now)
    expect(await measured(scene)).toBe(0)
  })

  it('is told to be right as soon as it is set, though nothing is appended', async () => {
    const double = await stage.double()
    const world = virtualWorld()
    let set = 0
    double.log.setClock(() => world.now() + 3_000)
    const store = await stage.store(double, { world: { ...world, now: () => world.now() + set } })
    const scene = { double, world, store }
    expect(await measured(scene)).toBe(-3_000)
    let changes = 0
    store.reach?.onChange(() => (changes += 1))
    set = 3_000
    expect(store.reach?.clockOffMs?.()).toBe(0)
    await asked(scene)
    expect(changes).toBe(1)
  })
})

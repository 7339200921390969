// What a worker learns of the load of its process.
import { describe, expect, it } from 'vitest'
import { createLoadMeter } from '../../src/client/load.ts'
import { realWorld } from '../../src/world.ts'
import { virtualWorld } from '../support/virtual-world.ts'

/** Computes without a break. */
const compute = (ms: number): void => {
  const until = realWorld.monotonic() + ms
  while (realWorld.monotonic() < until) Math.sqrt(until)
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('when the load is asked for', () => {
  it('tells that the event loop is late once something has kept it', async () => {
    const world = virtualWorld()
    const meter = createLoadMeter(world)
    expect(meter.load(0, 1).eventLoopDelayMs).toBe(0)
    await turn()
    for (let blocked = 0; blocked < 3; blocked += 1) {
      compute(300)
      await turn()
    }
    expect(meter.load(0, 1).eventLoopDelayMs).toBe(0)
    world.advance(500)
    expect(meter.load(0, 1).eventLoopDelayMs).toBeGreaterThan(100)
    meter.close()
  })

  it('tells how full the heap is, and who is running', () => {
    const meter = createLoadMeter(virtualWorld())
    const load = meter.load(3, 4)
    expect(load).toMatchObject({ running: 3, concurrency: 4 })
    expect(load.memoryUsed).toBeGreaterThan(0)
    expect(load.memoryUsed).toBeLessThan(1)
    meter.close()
  })
})

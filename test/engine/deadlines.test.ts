// The one timer under all deadlines: what it makes of being late, of a crowd, and of deadlines that are far away or come to nothing.
import { afterEach, describe, expect, it } from 'vitest'
import { createDeadlines, type Deadlines } from '../../src/engine/deadlines.ts'
import { virtualWorld, type VirtualWorld } from '../support/virtual-world.ts'

interface Timed {
  readonly world: VirtualWorld
  readonly deadlines: Deadlines
  /** Monotonic time of each item's deadline. */
  readonly due: Map<string, number>
  readonly fired: string[]
  readonly standstills: () => number
}

let open: Deadlines | undefined

afterEach(() => open?.close())

/** `onFire` stands for what a fired deadline costs the process. */
const timed = (onFire: (world: VirtualWorld) => void = () => undefined): Timed => {
  const made = virtualWorld()
  let blocked = 0
  const world: VirtualWorld = { ...made, monotonic: () => made.monotonic() + blocked, leap: made.leap, advance: made.advance }
  const due = new Map<string, number>()
  const fired: string[] = []
  let standstills = 0
  const deadlines = createDeadlines({
    world,
    dueAt: (workItem) => due.get(workItem),
    fire: (workItem) => {
      fired.push(workItem)
      due.delete(workItem)
      onFire({ ...world, leap: (ms) => void (blocked += ms) })
    },
    stoodStill: () => void (standstills += 1),
  })
  open = deadlines
  return { world, deadlines, due, fired, standstills: () => standstills }
}

const give = ({ due, deadlines }: Timed, workItem: string, at: number): void => {
  due.set(workItem, at)
  deadlines.touch(workItem)
}

/** Timers of no time run in microtasks of a virtual world. */
const drained = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
}

describe('when the timer comes a little late', () => {
  it('hears first what waits to be read, and judges nobody who has just been heard', () => {
    const test = timed()
    give(test, 'job/1', 1_000)
    test.world.leap(1_300)
    expect(test.fired).toEqual([])
    give(test, 'job/1', 2_300)
    test.world.advance(999)
    expect(test.fired).toEqual([])
    test.world.advance(1)
    expect(test.fired).toEqual(['job/1'])
  })

  it('waits a quarter of a second for that, and no longer', () => {
    const test = timed()
    give(test, 'job/1', 1_000)
    test.world.leap(1_300)
    give(test, 'job/2', 1_310)
    test.world.advance(249)
    expect(test.fired).toEqual([])
    test.world.advance(1)
    expect(test.fired).toEqual(['job/1', 'job/2'])
    expect(test.standstills()).toBe(0)
  })
})

describe('when the process stood still', () => {
  it('says so before it judges anybody', () => {
    const test = timed()
    give(test, 'job/1', 1_000)
    test.world.leap(2_001)
    expect(test.standstills()).toBe(1)
  })
})

describe('when a crowd is due at once', () => {
  it('works it off in parts, and does not take its own work for a standstill', async () => {
    const test = timed((world) => world.leap(3))
    for (let index = 0; index < 1_200; index += 1) give(test, `job/${index}`, 1_000)
    test.world.advance(1_000)
    await drained()
    expect(test.fired).toHaveLength(1_200)
    expect(test.standstills()).toBe(0)
  })
})

describe('when a deadline is far away', () => {
  it('fires at its time all the same', () => {
    const test = timed()
    give(test, 'job/1', 3_600_000)
    test.world.advance(3_599_999)
    expect(test.fired).toEqual([])
    test.world.advance(1)
    expect(test.fired).toEqual(['job/1'])
  })

  it('is forgotten soon after it has come to nothing', () => {
    const test = timed()
    give(test, 'job/1', 86_400_000)
    test.due.delete('job/1')
    test.world.advance(600_000)
    expect(test.world.pending()).toEqual([])
  })
})

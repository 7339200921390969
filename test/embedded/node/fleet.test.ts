// Two hundred operations on ten nodes, which report each second: how many messages that takes, how far the log grows by it, and how old what is shown may be.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LongTaskShown } from '../../../src/client/index.ts'
import { longTaskId } from '../../../src/domain/ids.ts'
import { right } from '../../support/engine.ts'
import { until } from '../../support/eventually.ts'
import { openFleet, type Fleet } from '../../support/fleet.ts'

const NODES = Array.from({ length: 10 }, (_, index) => `node-${index}`)
const EACH = 20
const SECONDS = 10
const SECOND_MS = 1_000
const TOTAL = 10_000
/** Of each second: nothing, a thousandth, a fiftieth of the whole. */
const STEPS = { still: 0, slow: 10, fast: 200 } as const
const PACES = Object.keys(STEPS) as (keyof typeof STEPS)[]
const TIMEOUT_MS = 120_000

const paceOf = (id: string): keyof typeof STEPS => PACES[Number(id.split('-')[2]) % PACES.length] ?? 'still'
const ids = NODES.flatMap((node) => Array.from({ length: EACH }, (_, index) => `${node}-${index}`))
const countOf = (pace: keyof typeof STEPS): number => ids.filter((id) => paceOf(id) === pace).length

describe('200 operations on ten nodes that report each second', { timeout: TIMEOUT_MS }, () => {
  let fleet: Fleet
  /** Of the ten seconds that were looked at. */
  let messages: Fleet['messages']
  const types = new Map<string, number>()
  /** How much of an operation's word was not shown, by the end of each second, in steps of a second. */
  const behind: number[] = []

  /** Each says how far it is, and then a second passes. */
  const tick = async (second: number): Promise<void> => {
    for (const [id, context] of fleet.running) context.progress({ done: second * STEPS[paceOf(id)], total: TOTAL })
    await fleet.pass(SECOND_MS)
  }
  const eventsOf = async (id: string): Promise<readonly string[]> => right(await fleet.stint.engine().history(longTaskId(id), { from: 0, max: 1_000 })).map(({ type }) => type)
  const look = async (second: number): Promise<void> => {
    const shown = new Map<string, LongTaskShown>()
    await Promise.all(ids.map(async (id) => shown.set(id, await fleet.client.longTasks.show(id))))
    for (const id of ids) {
      const step = STEPS[paceOf(id)]
      if (step > 0) behind.push(second - (shown.get(id)?.progress?.done ?? 0) / step)
    }
  }

  beforeAll(async () => {
    fleet = await openFleet(NODES, '1s')
    const management = fleet.client.management({ flushSeconds: 1 })
    await Promise.all(ids.map((id) => management.dispatch({ operation: 'Tick' }, { id, node: id.slice(0, 'node-0'.length) })))
    await until(() => fleet.running.size === ids.length)
    // They begin whenever each was taken.
    for (let second = 1; second <= 3; second += 1) await tick(second)
    const before = new Map(await Promise.all(ids.map(async (id) => [id, (await eventsOf(id)).length] as const)))
    const first = fleet.messages.length
    for (let second = 4; second < 4 + SECONDS; second += 1) {
      await tick(second)
      await look(second)
    }
    messages = fleet.messages.slice(first)
    for (const id of ids) for (const type of (await eventsOf(id)).slice(before.get(id))) types.set(`${paceOf(id)} ${type}`, (types.get(`${paceOf(id)} ${type}`) ?? 0) + 1)
  }, TIMEOUT_MS)
  afterAll(() => fleet.close())

  it('take at most twelve messages a second, each with all that its node has', () => {
    expect(messages.length).toBeLessThanOrEqual(12 * SECONDS)
    for (const node of NODES) expect(messages.filter((message) => message.node === node).length).toBeGreaterThanOrEqual(SECONDS - 1)
    expect(messages.filter(({ items }) => items.length !== EACH)).toEqual([])
  })

  it('make the log grow by what has changed, and by nothing else', () => {
    // What moves by less than a hundredth is noted; by the tenth second it has moved by one.
    expect(types.get('slow ProgressReported') ?? 0).toBeLessThanOrEqual(countOf('slow'))
    expect(types.get('fast ProgressReported')).toBe(countOf('fast') * SECONDS)
    expect(types.get('still ProgressReported')).toBeUndefined()
    // A sign of life is no event, and the lease is promised for minutes.
    expect([...types.keys()].filter((type) => !type.endsWith('ProgressReported'))).toEqual([])
  })

  it('are shown as they said within their interval, recorded or not', () => {
    expect(behind).toHaveLength(SECONDS * (countOf('slow') + countOf('fast')))
    expect(Math.max(...behind)).toBeLessThanOrEqual(1)
  })
})

// The resident structure: what it counts stays true however an item comes and goes.
import { describe, expect, it } from 'vitest'
import { createLive } from '../../src/engine/live.ts'
import { absent, isHeld } from '../../src/domain/work-item/state.ts'
import { register, startEngine } from '../support/engine.ts'

describe('when a held item is loaded again after a conflict', () => {
  it('is counted as held once', async () => {
    const test = await startEngine()
    const { done } = await register(test)
    const live = createLive()
    live.put('job/1', absent, done.item, done.position)
    expect(live.heldCount()).toBe(1)
    live.forget('job/1')
    expect(live.heldCount()).toBe(0)
    live.put('job/1', done.item, done.item, done.position)
    expect(isHeld(done.item)).toBe(true)
    expect(live.heldCount()).toBe(1)
    await test.engine.close()
  })
})

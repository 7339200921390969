// Abort, pause and resume on their way to an operation that runs: told by call at once, told again by the answer to the next report, and told once more of what is over.
import { afterEach, describe, expect, it } from 'vitest'
import { longTaskId } from '../../src/domain/ids.ts'
import { left, right, type TestEngine } from '../support/engine.ts'
import { turns, until } from '../support/eventually.ts'
import { closeNodes, startNode, type FakeNode } from '../support/fake-node.ts'
import { closeManagement, direct, giveAndTake, giveOut, historyOf, lastOf, pass, registerNode, report, startManagement, stateOf, untilState } from '../support/long-tasks.ts'

afterEach(async () => {
  await closeManagement()
  await closeNodes()
})

const running = async (): Promise<{ readonly test: TestEngine; readonly node: FakeNode; readonly lease: string }> => {
  const test = await startManagement()
  const node = await startNode()
  await registerNode(test, node)
  await giveAndTake(test, 'a', { progressEveryMs: 60_000 })
  return { test, node, lease: test.engine.live(longTaskId('a'))?.operation?.lease ?? '' }
}

describe('a directive for an operation that runs', () => {
  it('goes out by call at once, with its lease, its number and its reason', async () => {
    const { test, node, lease } = await running()
    right(await direct(test, 'a', 'pause', 'lunch'))
    await until(() => node.told.length === 1)
    right(await direct(test, 'a', 'resume'))
    await until(() => node.told.length === 2)
    right(await direct(test, 'a', 'abort', 'no use'))
    await until(() => node.told.length === 3)
    expect(node.told).toEqual([
      { id: 'a', lease, number: 1, directive: 'pause', reason: 'lunch' },
      { id: 'a', lease, number: 2, directive: 'resume' },
      { id: 'a', lease, number: 3, directive: 'abort', reason: 'no use' },
    ])
  })

  it('is in the answer to the next report, which has seen it', async () => {
    const { test, node } = await running()
    await node.goDown()
    right(await direct(test, 'a', 'abort', 'no use'))
    const answered = right(await report(test, 'a'))
    expect(answered.item).toMatchObject({ will: 'abort', receipt: { number: 1, directive: 'abort', reason: 'no use', seenAt: test.world.now() } })
    right(await report(test, 'a', { outcome: { aborted: { reason: 'no use', partial: { bytes: 3 } } } }))
    expect(stateOf(test, 'a')).toBe('aborted')
    expect((await historyOf(test, 'a')).slice(2)).toEqual(['DirectiveGiven', 'DirectiveSeen', 'DirectiveEnded', 'Aborted'])
  })

  it('is obeyed by what its node then says, and nobody is told what its node said itself', async () => {
    const { test, node } = await running()
    right(await direct(test, 'a', 'pause'))
    await until(() => node.told.length === 1)
    right(await report(test, 'a', { state: 'paused' }))
    expect([stateOf(test, 'a'), test.engine.live(longTaskId('a'))?.receipt?.resolution]).toEqual(['paused', 'obeyed'])
    right(await direct(test, 'a', 'resume'))
    await until(() => node.told.length === 2)
    right(await report(test, 'a', { state: 'running' }))
    right(await report(test, 'a', { outcome: { completed: {} } }))
    await turns(100)
    expect(node.told.map(({ directive }) => directive)).toEqual(['pause', 'resume'])
  })

  it('can be refused', async () => {
    const { test, node } = await running()
    right(await direct(test, 'a', 'pause'))
    const refused = right(await report(test, 'a', { refuse: { directive: 1, reason: 'nearly done' } }))
    expect(refused.item).toMatchObject({ will: 'normal', receipt: { resolution: 'refused', resolutionReason: 'nearly done' } })
    await turns(50)
    expect(node.told).toHaveLength(1)
  })

  it('that follows another at once arrives after it', async () => {
    const { test, node } = await running()
    await Promise.all([direct(test, 'a', 'pause'), direct(test, 'a', 'resume'), direct(test, 'a', 'pause'), direct(test, 'a', 'abort')])
    await until(() => node.told.at(-1)?.directive === 'abort')
    await turns(100)
    const numbers = node.told.map(({ number }) => number)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(node.told.at(-1)).toMatchObject({ directive: 'abort', number: 4 })
  })

  it('reaches a lost one too', async () => {
    const { test, node } = await running()
    await pass(test, 180_000, 2_500)
    expect(stateOf(test, 'a')).toBe('lost')
    right(await direct(test, 'a', 'abort'))
    await until(() => node.told.length === 1)
    expect(node.told[0]).toMatchObject({ directive: 'abort', number: 1 })
  })

  it('that was given while it waited is told as soon as its node has it', async () => {
    const test = await startManagement()
    const node = await startNode()
    await registerNode(test, node)
    node.take('hang')
    await giveOut(test, 'a')
    await until(() => node.given.length === 1)
    right(await direct(test, 'a', 'pause'))
    node.release()
    await until(() => node.told.length === 1)
    expect(node.told[0]).toMatchObject({ directive: 'pause', number: 1 })
    expect(right(await report(test, 'a')).item.will).toBe('pause')
  })

  it('does not wait behind operations that are being sent', async () => {
    const { test, node } = await running()
    node.take('hang')
    for (let index = 0; index < 20; index += 1) await giveOut(test, `op-${index}`)
    await until(() => node.given.length === 1 + 8)
    right(await direct(test, 'a', 'pause'))
    await until(() => node.told.length === 1)
    node.release()
  })

  it('after the end is refused, and nobody is told', async () => {
    const { test, node } = await running()
    right(await report(test, 'a', { outcome: { completed: {} } }))
    expect(left(await direct(test, 'a', 'abort'))).toEqual({ type: 'settled', state: 'completed' })
    await turns(50)
    expect(node.told).toEqual([])
  })
})

describe('an operation that its node does not know of when it is told', () => {
  it('is looked for on its list, and gone', async () => {
    const { test, node } = await running()
    node.operations.clear()
    right(await direct(test, 'a', 'pause'))
    await untilState(test, 'a', 'failed')
    expect(await lastOf(test, 'a', 'Failed')).toMatchObject({ code: 'gone', message: 'Its node n1 had taken it and does not know of it any more.' })
  })

  it('has been aborted, where that was wished', async () => {
    const { test, node } = await running()
    node.operations.clear()
    right(await direct(test, 'a', 'abort'))
    await untilState(test, 'a', 'aborted')
  })
})

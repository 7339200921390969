// The line of one node in a virtual world: order, what is put off by itself and with all others, and what that costs when many fail at once.
import { describe, expect, it } from 'vitest'
import { createLine, SEND_BACKOFF } from '../../src/engine/long-tasks/line.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const failed = (detail = 'It answered 503.') => ({ detail, mayBeTaken: true })

const lineOf = (...ids: readonly string[]) => {
  const world = virtualWorld()
  const waiting = new Set(ids)
  const line = createLine(world, (id) => waiting.has(id))
  for (const id of ids) line.add(id)
  const take = (): string | undefined => {
    const next = line.next()
    if (next !== undefined) line.begin(next)
    return next
  }
  return { world, waiting, line, take }
}

describe('a line', () => {
  it('gives out in the order in which it was filled, each once', () => {
    const { line, take } = lineOf('a', 'b', 'c')
    line.add('a')
    expect([line.ready(), take(), take(), take(), take()]).toEqual([3, 'a', 'b', 'c', undefined])
  })

  it('slows down as a whole when something fails, and is quick again when something gets through', () => {
    const { line, take, world } = lineOf('a', 'b')
    take()
    line.failed('a', failed())
    expect([line.isSlow(), line.ready(), take()]).toEqual([true, 0, undefined])
    const ms = line.waitMs() ?? 0
    expect(ms).toBeGreaterThanOrEqual(SEND_BACKOFF.minMs)
    world.advance(ms)
    expect(take()).toBe('b')
    line.succeeded()
    expect(line.isSlow()).toBe(false)
  })

  it('counts those that fail together as one failure, so that eight do not make it wait for half a minute', () => {
    const ids = Array.from({ length: 8 }, (_, index) => `op-${index}`)
    const { line, take } = lineOf(...ids)
    for (const id of ids) expect(take()).toBe(id)
    for (const id of ids) line.failed(id, failed())
    expect(line.waitMs()).toBeLessThanOrEqual(SEND_BACKOFF.minMs * 1.2)
  })

  it('waits longer each time, up to half a minute', () => {
    const { line, take, world } = lineOf('a')
    const waits: number[] = []
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(take()).toBe('a')
      line.failed('a', failed())
      waits.push(line.waitMs() ?? 0)
      expect(line.putOffMs('a')).toBe(waits.at(-1))
      world.advance(waits.at(-1) ?? 0)
    }
    expect(waits.slice(0, 6).every((ms, index) => ms >= 500 * 2 ** index * 0.8 && ms <= 500 * 2 ** index * 1.2)).toBe(true)
    expect(waits.slice(7).every((ms) => ms >= 24_000 && ms <= 30_000)).toBe(true)
    expect(line.triedOf('a')).toMatchObject({ attempts: 10, failures: 10, lastFailure: 'It answered 503.', mayBeTaken: true })
  })

  it('puts off what fails by itself while others get through', () => {
    const { line, take, world } = lineOf('bad', 'a', 'b', 'c')
    expect(take()).toBe('bad')
    line.failed('bad', failed())
    world.advance(line.waitMs() ?? 0)
    for (const id of ['a', 'b']) {
      expect(take()).toBe(id)
      line.succeeded()
      line.forget(id)
    }
    const seen: (string | undefined)[] = []
    for (let second = 0; second < 3; second += 1) {
      world.advance(500)
      seen.push(take())
    }
    expect(new Set(seen)).toEqual(new Set(['bad', 'c', undefined]))
  })

  it('gives out at once what was put off, when its node is there again', () => {
    const { line, take, world } = lineOf('a', 'b', 'c')
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const next = take()
      if (next !== undefined) line.failed(next, failed())
      world.advance(line.waitMs() ?? 0)
    }
    for (let next = take(); next !== undefined; next = take()) line.failed(next, failed())
    expect(line.ready()).toBe(0)
    line.refresh()
    expect([line.ready(), line.isSlow(), line.waitMs()]).toEqual([3, false, undefined])
    take()
    line.failed('a', failed())
    expect(line.waitMs()).toBeLessThanOrEqual(SEND_BACKOFF.minMs * 1.2)
  })

  it('does not give out what has been paused or settled while it was put off, and does when it goes on', () => {
    const { line, take, world, waiting } = lineOf('a')
    take()
    line.failed('a', failed())
    waiting.delete('a')
    line.drop('a')
    world.advance(60_000)
    expect([line.ready(), take(), line.waitMs()]).toEqual([0, undefined, undefined])
    waiting.add('a')
    line.add('a')
    expect(take()).toBe('a')
    line.forget('a')
    expect(line.triedOf('a')).toBeUndefined()
  })

  it('that is asked to go on before its pause is over keeps to the pause', () => {
    const { line, take, world } = lineOf('a')
    take()
    line.failed('a', { ...failed(), leastMs: 20_000 })
    line.drop('a')
    line.add('a')
    expect([take(), line.putOffMs('a')]).toEqual([undefined, 20_000])
    world.advance(20_000)
    expect(take()).toBe('a')
    line.failed('a', { ...failed(), leastMs: 86_400_000 })
    expect(line.putOffMs('a')).toBe(SEND_BACKOFF.maxMs)
  })
})

// The facts about a queue: each has a codec, a golden file of every version ever written, and an effect; and what the state keeps of them.
import { readdirSync, readFileSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { decodeQueueEvent, encodeQueueEvent } from '../../../src/domain/queue/codec.ts'
import { defaultBurst, queueKey, queueOfStream, queueStream } from '../../../src/domain/queue/config.ts'
import { QUEUE_EVENT_VERSION, queueEvents, type QueueEvent, type QueueEventType } from '../../../src/domain/queue/events.ts'
import { absentQueue, bulksUnderWay, evolveQueue, FINISHED_BULKS_KEPT } from '../../../src/domain/queue/state.ts'
import { BORN_AT, CONFIG, LIVES, OTHER_CONFIG, queueAfter, reconfigured, sampleQueueEvents, type LifeName } from './sample-queues.ts'

const TYPES = Object.keys(queueEvents) as QueueEventType[]
const GOLDEN = `${import.meta.dirname}/golden`
const NOW = BORN_AT + 3_600_000

const MEETS: Readonly<Record<QueueEventType, LifeName>> = {
  QueueConfigured: 'absent',
  QueueRemoved: 'open',
  QueuePaused: 'open',
  QueueResumed: 'paused',
  BulkStarted: 'open',
  BulkFinished: 'open, with a bulk under way',
}

describe.each(TYPES)('%s', (type) => {
  const sample = sampleQueueEvents[type]

  it('is stored as its golden file has it, and read from there', () => {
    const golden = JSON.parse(readFileSync(`${GOLDEN}/${type}.v${QUEUE_EVENT_VERSION}.json`, 'utf8')) as { type: string; v: number; data: unknown }
    const { type: name, v, data } = encodeQueueEvent(sample)
    expect({ type: name, v, data: JSON.parse(data) }).toEqual(golden)
    expect(decodeQueueEvent(type, golden.v, golden.data)).toEqual(E.right(sample))
  })

  it('changes a queue, and moves its revision and time', () => {
    const before = queueAfter(...LIVES[MEETS[type]])
    const after = evolveQueue(before, sample, { time: NOW, revision: before.revision + 1 })
    expect(after).toMatchObject({ revision: before.revision + 1, updatedAt: NOW })
    expect({ ...after, revision: 0, updatedAt: 0 }).not.toEqual({ ...before, revision: 0, updatedAt: 0 })
  })

  it('folds onto every state', () => {
    for (const life of Object.values(LIVES)) {
      const before = queueAfter(...life)
      const after = evolveQueue(before, sample, { time: NOW, revision: before.revision + 1 })
      if (before.status === 'absent' && type !== 'QueueConfigured') expect(after).toBe(absentQueue)
      else expect(after.revision).toBe(before.revision + 1)
    }
  })
})

describe('the golden files of queues', () => {
  it('are of known types and versions', () => expect(readdirSync(GOLDEN).sort()).toEqual(TYPES.map((type) => `${type}.v${QUEUE_EVENT_VERSION}.json`).sort()))
})

describe('an event that cannot be read', () => {
  const { data } = encodeQueueEvent(sampleQueueEvents.QueueRemoved)
  const reason = (type: string, v: number, given: unknown): string => {
    const decoded = decodeQueueEvent(type, v, given)
    return E.isLeft(decoded) ? decoded.left.reason : 'read'
  }
  it('is named by what is wrong', () => {
    expect(reason('QueueRemoved', 1, JSON.parse(data))).toBe('read')
    expect(reason('QueueVanished', 1, {})).toBe('unknown-type')
    expect(reason('toString', 1, {})).toBe('unknown-type')
    expect(reason('QueueRemoved', 2, JSON.parse(data))).toBe('newer-version')
    expect([reason('QueueRemoved', 0, JSON.parse(data)), reason('QueueRemoved', 1.5, {}), reason('QueueRemoved', 1, []), reason('QueueRemoved', 1, { by: 5 })]).toEqual([
      'invalid',
      'newer-version',
      'invalid',
      'invalid',
    ])
  })
  it('keeps its values to itself', () => {
    const decoded = decodeQueueEvent('QueuePaused', 1, { by: 5, reason: 'secret' })
    expect(JSON.stringify(decoded)).not.toContain('secret')
  })
})

describe('a queue that changes', () => {
  it('is as its last file says, and remembers every digest that was in force', () => {
    expect(queueAfter(...LIVES['open, changed once'])).toMatchObject({
      status: 'open',
      config: OTHER_CONFIG,
      digest: 'second',
      seen: new Set(['first', 'second']),
      createdAt: BORN_AT,
    })
    expect(queueAfter(...LIVES.removed)).toMatchObject({ status: 'removed', config: CONFIG, digest: 'without', seen: new Set(['first', 'without']) })
    expect(queueAfter(...LIVES['open again'])).toMatchObject({ status: 'open', config: OTHER_CONFIG, seen: new Set(['first', 'without', 'second']) })
  })

  it('comes back as it was left: paused, with its bulks under way', () => {
    const { QueueConfigured, QueuePaused, QueueRemoved, BulkStarted } = sampleQueueEvents
    const back = queueAfter(QueueConfigured, QueuePaused, BulkStarted, QueueRemoved, reconfigured)
    expect(back).toMatchObject({ status: 'open', paused: { by: 'admin@shop.example', reason: 'stock-taking', at: BORN_AT + 1_000 } })
    expect(bulksUnderWay(back)).toMatchObject([{ id: 'bulk-1', what: 'purge', startedAt: BORN_AT + 2_000 }])
  })

  it('does not change the state that it came from', () => {
    const before = queueAfter(...LIVES.open)
    const kept = structuredClone(before)
    for (const type of TYPES) evolveQueue(before, sampleQueueEvents[type], { time: NOW, revision: 1 })
    expect(before).toEqual(kept)
  })
})

describe('the bulks of a queue', () => {
  const { QueueConfigured, BulkStarted, BulkFinished } = sampleQueueEvents
  const life = (count: number): readonly QueueEvent[] =>
    Array.from({ length: count }, (_, index) => index).flatMap((index) => [
      { ...BulkStarted, id: `b${index}` },
      { ...BulkFinished, id: `b${index}` },
    ])

  it('are remembered when they are over, the last of them', () => {
    const queue = queueAfter(QueueConfigured, { ...BulkStarted, id: 'slow' }, ...life(FINISHED_BULKS_KEPT + 5))
    const ids = queue.status === 'absent' ? [] : [...queue.bulks.keys()]
    expect(ids).toHaveLength(FINISHED_BULKS_KEPT + 1)
    expect(ids.slice(0, 2)).toEqual(['slow', 'b5'])
    expect(bulksUnderWay(queue).map(({ id }) => id)).toEqual(['slow'])
  })

  it('say what came of them', () => {
    const queue = queueAfter(...LIVES['open, with a bulk that is over'])
    expect(queue.status !== 'absent' && queue.bulks.get('bulk-1')?.finished).toEqual({ done: 40, skipped: 2, at: BORN_AT + 2_000 })
  })

  it('are none of a queue that is not there', () => expect(bulksUnderWay(absentQueue)).toEqual([]))
  it('are not made by the end of one that never began', () => expect(bulksUnderWay(queueAfter(QueueConfigured, BulkFinished))).toEqual([]))
})

describe('the names of a queue', () => {
  it('lead to its stream and back', () => {
    expect(queueKey(CONFIG)).toBe('shop/orders')
    expect(queueStream('shop', 'orders')).toBe('queue-shop/orders')
    expect(queueOfStream('queue-shop.example:a/orders-2')).toEqual({ app: 'shop.example:a', queue: 'orders-2' })
  })
  it.each(['workItem-task/shop/orders/1', 'queue-shop', 'queue-shop/', 'queue-/orders', 'queue-a/b/c', 'tokens'])('are not those of another stream: %s', (stream) => {
    expect(queueOfStream(stream)).toBeUndefined()
  })
})

describe('the burst of a rate that names none', () => {
  it('is what flows in a second, at least one', () => expect([0.01, 1, 2.5, 100].map(defaultBurst)).toEqual([1, 1, 3, 100]))
})

// Completeness of the events: each has a sample, a codec, a golden file of every version ever written, and an effect on some state.
import { readdirSync, readFileSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { decodeEvent, encodeEvent, UPCASTS } from '../../../src/domain/work-item/codec.ts'
import { EVENT_VERSION, isTombstone, SETTLING, workItemEvents, type WorkItemEvent, type WorkItemEventType } from '../../../src/domain/work-item/events.ts'
import { evolve, evolveAll } from '../../../src/domain/work-item/evolve.ts'
import { absent, isHeld, type WorkItem } from '../../../src/domain/work-item/state.ts'
import { given, itemIn } from '../../support/given.ts'
import { completed, extended, laterSamples, NOW, released, sampleEvents, STATES, taskLeased, type StateName } from '../../support/samples.ts'

const TYPES = Object.keys(workItemEvents) as WorkItemEventType[]
const GOLDEN = `${import.meta.dirname}/../golden`

/** A state on which each event has its effect. An event without any would say 'none' here. */
const MEETS: Readonly<Record<WorkItemEventType, StateName | 'none'>> = {
  JobRegistered: 'job absent',
  TaskInserted: 'task absent',
  Leased: 'task waiting',
  LeaseExtended: 'job running',
  LeaseReleased: 'task running',
  LeaseExpired: 'task running',
  HolderLost: 'job running',
  HolderFound: 'job lost',
  PhaseEntered: 'job running',
  ProgressReported: 'job running',
  Paused: 'job running',
  Resumed: 'job paused',
  DirectiveGiven: 'job running',
  DirectiveSeen: 'job running, told to pause',
  DirectiveEnded: 'job running, told to pause',
  RetryScheduled: 'task running',
  DeadLettered: 'task running',
  Redriven: 'task dead letter',
  Completed: 'job running',
  Failed: 'job running',
  Aborted: 'job running',
  Cancelled: 'task waiting',
  LateResultRecorded: 'job given up',
  RequestAccepted: 'request absent',
  EffectsCarriedOut: 'request with an open outbox',
  ReplyReleased: 'request replied to',
  Erased: 'request released',
  OperationDispatched: 'long-task absent',
  TimedOut: 'long-task running',
}

const meeting = (type: WorkItemEventType): WorkItem => {
  const state = MEETS[type]
  return itemIn(state === 'none' ? 'job running' : state)
}

/** What a state says apart from where in its stream it is. */
const facts = (item: WorkItem): WorkItem => ({ ...item, revision: 0, updatedAt: 0 }) as WorkItem

const at = (item: WorkItem) => ({ time: NOW, revision: item.revision + 1 })

describe.each(TYPES)('%s', (type) => {
  const sample = sampleEvents[type]

  it('has a sample that its codec takes, and that survives storing', () => {
    const { v, data } = encodeEvent(sample)
    expect(decodeEvent(type, v, JSON.parse(data))).toEqual(E.right(sample))
  })

  it('has a golden file for each version, which is read and folded', () => {
    const newest = 1 + (UPCASTS[type]?.length ?? 0)
    for (let version = 1; version <= newest; version++) {
      const golden = JSON.parse(readFileSync(`${GOLDEN}/${type}.v${version}.json`, 'utf8')) as { type: string; v: number; data: unknown }
      expect([golden.type, golden.v]).toEqual([type, version])
      const decoded = decodeEvent(type, version, golden.data)
      expect(decoded).toEqual(E.right(sample))
      const before = meeting(type)
      expect(evolve(before, sample, at(before))).toEqual(evolve(before, E.isRight(decoded) ? decoded.right : sample, at(before)))
    }
  })

  it('is written as its golden file has it', () => {
    const golden = JSON.parse(readFileSync(`${GOLDEN}/${type}.v${EVENT_VERSION}.json`, 'utf8')) as { data: unknown }
    expect(JSON.parse(encodeEvent(sample).data)).toEqual(golden.data)
  })

  it('changes a state', () => {
    const before = meeting(type)
    const changed = evolve(before, sample, at(before))
    if (MEETS[type] === 'none') expect(facts(changed)).toEqual(facts(before))
    else expect(facts(changed)).not.toEqual(facts(before))
  })

  it('folds onto every state, and moves its revision and time', () => {
    for (const state of Object.keys(STATES) as StateName[]) {
      const before = itemIn(state)
      const folded = evolve(before, sample, at(before))
      const isBirth = ['JobRegistered', 'TaskInserted', 'RequestAccepted', 'OperationDispatched'].includes(type) || isTombstone(sample)
      if (before.status === 'absent' && !isBirth) expect(folded).toBe(absent)
      else expect(folded).toMatchObject({ revision: before.revision + 1, updatedAt: NOW })
    }
  })

  it('settles the item if and only if it is named as settling, or is the tombstone of one that has', () => {
    const before = itemIn('task running')
    expect(evolve(before, sample, at(before)).status === 'settled').toBe(SETTLING.has(type) || isTombstone(sample))
  })
})

describe('the golden files', () => {
  it('are of known types and versions', () => {
    const known = TYPES.flatMap((type) => Array.from({ length: 1 + (UPCASTS[type]?.length ?? 0) }, (_, index) => `${type}.v${index + 1}.json`))
    const later = laterSamples.map(({ name, event }) => `${event.type}.v${EVENT_VERSION}.${name}.json`)
    expect(readdirSync(GOLDEN).sort()).toEqual([...known, ...later].sort())
  })
})

type LaterField = (typeof laterSamples)[number]['name']

/** The field as the state keeps it. */
const fieldIn = (item: WorkItem, name: LaterField): unknown => {
  if (item.status === 'absent') return undefined
  if (name === 'bytes') return item.task?.bytes
  return name === 'reply' ? (item.status === 'settled' ? item.reply : undefined) : isHeld(item) ? item.lease.requestId : undefined
}

/** What the state has to keep of it: of a reply its headers and digest stay in the stream. */
const fieldOf = (event: WorkItemEvent, name: LaterField): unknown => {
  if (name !== 'reply' || event.type !== 'Completed' || event.reply === undefined) return (event as unknown as Readonly<Record<string, unknown>>)[name]
  const { status, bytes, kept } = event.reply
  return { status, bytes, kept }
}

describe.each(laterSamples)('$event.type with $name, a field that came later', ({ name, event }) => {
  const golden = JSON.parse(readFileSync(`${GOLDEN}/${event.type}.v${EVENT_VERSION}.${name}.json`, 'utf8')) as { type: string; v: number; data: Record<string, unknown> }

  it('is read and written as its golden file has it', () => {
    expect([golden.type, golden.v]).toEqual([event.type, EVENT_VERSION])
    expect(decodeEvent(golden.type, golden.v, golden.data)).toEqual(E.right(event))
    expect(JSON.parse(encodeEvent(event).data)).toEqual(golden.data)
  })

  it('has the field in the state, where an older event leaves it open', () => {
    const before = meeting(event.type)
    const { [name]: field, ...older } = golden.data
    const decoded = decodeEvent(golden.type, golden.v, older)
    if (E.isLeft(decoded)) throw new Error(decoded.left.detail)
    expect(field).toBeDefined()
    expect(fieldIn(evolve(before, event, at(before)), name)).toEqual(fieldOf(event, name))
    expect(fieldIn(evolve(before, decoded.right, at(before)), name)).toBeUndefined()
  })
})

describe('the request id of a lease', () => {
  const life = [sampleEvents.TaskInserted, taskLeased({ requestId: 'request-1' })]

  it('stays with the lease as long as it is held', () => {
    for (const event of [extended(NOW + 60_000), sampleEvents.PhaseEntered, sampleEvents.DirectiveGiven, sampleEvents.Paused])
      expect(given(...life, event).item).toMatchObject({ lease: { number: 1, requestId: 'request-1' } })
  })

  it('goes with the lease, and the next lease has its own or none', () => {
    for (const event of [released(), sampleEvents.LeaseExpired, sampleEvents.RetryScheduled, sampleEvents.DeadLettered, completed])
      expect(JSON.stringify(given(...life, event).item)).not.toContain('request-1')
    const next = given(...life, released(), taskLeased({ lease: 2, token: '2.next' })).item
    expect(next).toMatchObject({ lease: { number: 2, requestId: undefined } })
    expect(JSON.stringify(next)).not.toContain('request-1')
  })
})

describe('the bytes of a payload', () => {
  it('are known through every turn of its life', () => {
    const turns = [taskLeased(), sampleEvents.RetryScheduled, taskLeased({ lease: 2 }), released({ lease: 2 }), taskLeased({ lease: 3 }), sampleEvents.DeadLettered]
    const life: WorkItemEvent[] = [{ ...sampleEvents.TaskInserted, bytes: 1_024 }]
    for (const event of [...turns, sampleEvents.Redriven, taskLeased({ lease: 4 }), sampleEvents.LeaseExpired, sampleEvents.Cancelled]) {
      life.push(event)
      expect(given(...life).item).toMatchObject({ task: { bytes: 1_024 } })
    }
  })
})

describe('what a long task is', () => {
  it('is known through every turn of its life, here and on its node', () => {
    const { type: _type, by: _by, digest: _digest, mediaType: _mediaType, ...facts } = sampleEvents.OperationDispatched
    const life: WorkItemEvent[] = [sampleEvents.OperationDispatched]
    for (const event of [
      taskLeased(),
      sampleEvents.LeaseExpired,
      taskLeased({ lease: 2 }),
      sampleEvents.Paused,
      sampleEvents.HolderLost,
      sampleEvents.HolderFound,
      sampleEvents.Failed,
    ]) {
      life.push(event)
      expect(given(...life).item).toMatchObject({ kind: 'long-task', operation: facts })
    }
  })

  it('is owed to whoever gave it out when it ends on its node, and to nobody where it was given out', () => {
    const { reportTo: _reportTo, ...givenOut } = sampleEvents.OperationDispatched
    for (const event of [completed, sampleEvents.Failed, sampleEvents.Aborted, sampleEvents.Cancelled]) {
      expect(given(sampleEvents.OperationDispatched, event).item).toMatchObject({ status: 'settled', outbox: ['reply'] })
      expect(given(givenOut, event).item).toMatchObject({ status: 'settled', outbox: undefined })
    }
  })

  it('stays in its tombstone by its kind and how it ended', () => {
    expect(given({ ...sampleEvents.Erased, kind: 'long-task', end: 'timedOut' }).item).toMatchObject({ kind: 'long-task', end: 'timedOut', erased: true })
  })
})

describe('several facts of one append', () => {
  it('fold as one after another would, all with the time of the append', () => {
    const events: readonly WorkItemEvent[] = [sampleEvents.JobRegistered, sampleEvents.Leased, sampleEvents.PhaseEntered]
    let one: WorkItem = absent
    for (const [revision, event] of events.entries()) one = evolve(one, event, { time: NOW, revision })
    expect(evolveAll(absent, events, NOW)).toEqual(one)
    expect(one).toMatchObject({ revision: 2, createdAt: NOW, updatedAt: NOW, phase: 'merge' })
  })
})

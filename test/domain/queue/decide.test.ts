// Every state of a queue meets every command; what is asked twice yields nothing.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { admits, BULKS_UNDER_WAY_MAX, decideQueue, type QueueCommand, type QueueRejection } from '../../../src/domain/queue/decide.ts'
import type { QueueEvent, QueueEventType } from '../../../src/domain/queue/events.ts'
import { evolveQueueAll } from '../../../src/domain/queue/state.ts'
import { BORN_AT, CONFIG, LIVES, OTHER_CONFIG, queueAfter, reconfigured, sampleQueueEvents, type LifeName } from './sample-queues.ts'

const configure = (digest: string, when: 'start' | 'change'): QueueCommand => ({
  type: 'ConfigureQueue',
  by: 'files',
  config: digest === 'first' ? CONFIG : OTHER_CONFIG,
  digest,
  when,
})
const remove = (digest: string, when: 'start' | 'change'): QueueCommand => ({ type: 'RemoveQueue', by: 'files', digest, when })
const bulk = { type: 'StartBulk', id: 'bulk-1', what: 'purge', filter: sampleQueueEvents.BulkStarted.filter, upTo: 'log.0000000000000042', by: 'admin@shop.example' } as const

const COMMANDS = {
  'configure as first, while running': configure('first', 'change'),
  'configure as first, at a start': configure('first', 'start'),
  'configure as second, while running': configure('second', 'change'),
  'configure as second, at a start': configure('second', 'start'),
  'remove, while running': remove('without', 'change'),
  'remove, at a start': remove('without', 'start'),
  pause: { type: 'PauseQueue', by: 'admin@shop.example', reason: 'stock-taking' },
  resume: { type: 'ResumeQueue', by: 'admin@shop.example' },
  'start a bulk': bulk,
  'start the bulk of that id with another filter': { ...bulk, filter: {} },
  'start another bulk': { ...bulk, id: 'bulk-2', what: 'redrive' },
  'finish the bulk': { type: 'FinishBulk', id: 'bulk-1', done: 40, skipped: 2 },
} as const satisfies Readonly<Record<string, QueueCommand>>
type CommandName = keyof typeof COMMANDS

type Cell = QueueEventType | QueueRejection['type'] | 'nothing'

const always = (cell: Cell): readonly Cell[] => Array.from({ length: 10 }, () => cell)

/** Columns in the order of LIVES: absent, open, changed once, paused, resumed, bulk under way, bulk over, removed, removed while paused, open again. */
const TABLE: Readonly<Record<CommandName, readonly Cell[]>> = {
  'configure as first, while running': [
    'QueueConfigured',
    'nothing',
    'QueueConfigured',
    'nothing',
    'nothing',
    'nothing',
    'nothing',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
  ],
  'configure as first, at a start': [
    'QueueConfigured',
    'nothing',
    'outdated-configuration',
    'nothing',
    'nothing',
    'nothing',
    'nothing',
    'outdated-configuration',
    'outdated-configuration',
    'outdated-configuration',
  ],
  'configure as second, while running': [
    'QueueConfigured',
    'QueueConfigured',
    'nothing',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'nothing',
  ],
  'configure as second, at a start': [
    'QueueConfigured',
    'QueueConfigured',
    'nothing',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'QueueConfigured',
    'nothing',
  ],
  'remove, while running': ['nothing', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'nothing', 'nothing', 'QueueRemoved'],
  'remove, at a start': ['nothing', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'QueueRemoved', 'nothing', 'nothing', 'outdated-configuration'],
  pause: ['not-found', 'QueuePaused', 'QueuePaused', 'nothing', 'QueuePaused', 'QueuePaused', 'QueuePaused', 'QueuePaused', 'nothing', 'QueuePaused'],
  resume: ['not-found', 'nothing', 'nothing', 'QueueResumed', 'nothing', 'nothing', 'nothing', 'nothing', 'QueueResumed', 'nothing'],
  'start a bulk': ['not-found', 'BulkStarted', 'BulkStarted', 'BulkStarted', 'BulkStarted', 'nothing', 'nothing', 'BulkStarted', 'BulkStarted', 'BulkStarted'],
  'start the bulk of that id with another filter': [
    'not-found',
    'BulkStarted',
    'BulkStarted',
    'BulkStarted',
    'BulkStarted',
    'exists-with-other-content',
    'exists-with-other-content',
    'BulkStarted',
    'BulkStarted',
    'BulkStarted',
  ],
  'start another bulk': ['not-found', ...always('BulkStarted').slice(1)],
  'finish the bulk': ['not-found', 'not-found', 'not-found', 'not-found', 'not-found', 'BulkFinished', 'nothing', 'not-found', 'not-found', 'not-found'],
}

const cellOf = (decided: E.Either<QueueRejection, readonly QueueEvent[]>): string =>
  E.isLeft(decided) ? decided.left.type : decided.right.map(({ type }) => type).join(', ') || 'nothing'

const names = Object.keys(LIVES) as LifeName[]

describe.each(names.map((name, column) => ({ name, column })))('when $name', ({ name, column }) => {
  const queue = queueAfter(...LIVES[name])

  it.each(Object.entries(COMMANDS))('meets: %s', (command, given) => {
    expect(cellOf(decideQueue(given, queue))).toBe(TABLE[command as CommandName][column])
  })

  it.each(Object.entries(COMMANDS))('yields nothing the second time: %s', (_command, given) => {
    const decided = decideQueue(given, queue)
    if (E.isLeft(decided)) return expect(decideQueue(given, queue)).toEqual(decided)
    const after = evolveQueueAll(queue, decided.right, BORN_AT + 60_000)
    return expect(decideQueue(given, after)).toEqual(E.right([]))
  })
})

describe('what a command says', () => {
  it('stands in its event', () => {
    const { QueueConfigured, QueueRemoved, QueuePaused, QueueResumed, BulkStarted, BulkFinished } = sampleQueueEvents
    const meets = (command: CommandName, life: LifeName, event: QueueEvent) => expect(decideQueue(COMMANDS[command], queueAfter(...LIVES[life]))).toEqual(E.right([event]))
    meets('configure as first, while running', 'absent', QueueConfigured)
    meets('configure as second, at a start', 'open', reconfigured)
    meets('remove, while running', 'open', QueueRemoved)
    meets('pause', 'open', QueuePaused)
    meets('resume', 'paused', QueueResumed)
    meets('start a bulk', 'open', BulkStarted)
    meets('finish the bulk', 'open, with a bulk under way', BulkFinished)
  })

  it('may leave out the reason of a pause', () => {
    expect(decideQueue({ type: 'PauseQueue', by: 'admin' }, queueAfter(...LIVES.open))).toEqual(E.right([{ type: 'QueuePaused', by: 'admin' }]))
  })
})

describe('a file left behind', () => {
  it('is named with what is in force instead', () => {
    expect(decideQueue(configure('first', 'start'), queueAfter(...LIVES['open, changed once']))).toEqual(
      E.left({ type: 'outdated-configuration', digest: 'first', current: 'second' }),
    )
    expect(decideQueue(remove('without', 'start'), queueAfter(...LIVES['open again']))).toEqual(E.left({ type: 'outdated-configuration', digest: 'without', current: 'second' }))
  })
  it('counts again when somebody writes it while a server runs, and is then in force', () => {
    const queue = queueAfter(...LIVES['open, changed once'], { ...sampleQueueEvents.QueueConfigured })
    expect(decideQueue(configure('first', 'start'), queue)).toEqual(E.right([]))
    expect(decideQueue(configure('second', 'start'), queue)).toMatchObject(E.left({ type: 'outdated-configuration', current: 'first' }))
  })
})

describe('a bulk that is asked for again', () => {
  const queue = queueAfter(...LIVES['open, with a bulk under way'])
  it('is known though the log has grown meanwhile', () => expect(decideQueue({ ...bulk, upTo: 'log.0000000000000099' }, queue)).toEqual(E.right([])))
  it.each([{ tag: 'us' }, { key: 'customer-8' }, { code: 'other' }, { insertedBefore: BORN_AT + 1 }])('is another one with %j', (change) => {
    expect(decideQueue({ ...bulk, filter: { ...bulk.filter, ...change } }, queue)).toEqual(E.left({ type: 'exists-with-other-content' }))
  })
  it('is another one when it does something else', () => expect(decideQueue({ ...bulk, what: 'redrive' }, queue)).toEqual(E.left({ type: 'exists-with-other-content' })))
})

describe('a queue with as many bulks under way as there may be', () => {
  const started = (index: number): QueueEvent => ({ ...sampleQueueEvents.BulkStarted, id: `bulk-${index}` })
  const full = queueAfter(sampleQueueEvents.QueueConfigured, ...Array.from({ length: BULKS_UNDER_WAY_MAX }, (_, index) => started(index)))

  it('starts no other', () => expect(decideQueue({ ...bulk, id: 'one-more' }, full)).toMatchObject(E.left({ type: 'not-possible' })))
  it('knows those that it has', () => expect(decideQueue(bulk, full)).toEqual(E.right([])))
  it('starts one when one is over', () => {
    const after = evolveQueueAll(full, [sampleQueueEvents.BulkFinished], BORN_AT + 60_000)
    expect(cellOf(decideQueue({ ...bulk, id: 'one-more' }, after))).toBe('BulkStarted')
  })
})

describe('what a queue takes and gives', () => {
  const taken: Readonly<Record<LifeName, readonly [insert: string, lease: string]>> = {
    absent: ['not-found', 'not-found'],
    open: ['yes', 'yes'],
    'open, changed once': ['yes', 'yes'],
    paused: ['yes', 'queue-paused'],
    resumed: ['yes', 'yes'],
    'open, with a bulk under way': ['yes', 'yes'],
    'open, with a bulk that is over': ['yes', 'yes'],
    removed: ['queue-removed', 'queue-removed'],
    'removed while paused': ['queue-removed', 'queue-removed'],
    'open again': ['yes', 'yes'],
  }
  const said = (admitted: ReturnType<typeof admits>): string => (E.isLeft(admitted) ? admitted.left.type : 'yes')

  it.each(names)('is what its state says when %s', (name) => {
    const queue = queueAfter(...LIVES[name])
    expect([said(admits(queue, 'insert')), said(admits(queue, 'lease'))]).toEqual(taken[name])
  })
  it('comes with the config in force', () => expect(admits(queueAfter(...LIVES['open, changed once']), 'lease')).toEqual(E.right(OTHER_CONFIG)))
  it('says who paused it, why and since when', () => {
    expect(admits(queueAfter(...LIVES.paused), 'lease')).toEqual(E.left({ type: 'queue-paused', by: 'admin@shop.example', reason: 'stock-taking', since: BORN_AT + 1_000 }))
  })
  it('is nothing for a push queue', () => {
    const push = queueAfter({ ...sampleQueueEvents.QueueConfigured, config: { ...CONFIG, mode: 'push' } })
    expect([said(admits(push, 'insert')), said(admits(push, 'lease'))]).toEqual(['not-served', 'not-served'])
  })
})

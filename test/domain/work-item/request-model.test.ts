// The rules of requests, held to what the contract promises: any commands in any order, two at a time, on a log from which everything is folded again after a crash at any point.
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isGone } from '../../../src/domain/policy/release.ts'
import { decodeEvent, encodeEvent } from '../../../src/domain/work-item/codec.ts'
import type { Command } from '../../../src/domain/work-item/commands.ts'
import { decide, timeOf } from '../../../src/domain/work-item/decide.ts'
import { SETTLING, type WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { evolve } from '../../../src/domain/work-item/evolve.ts'
import { absent, isHeld, type WorkItem } from '../../../src/domain/work-item/state.ts'
import * as contract from '../../support/request-model.ts'
import type { Model, Rules } from '../../support/request-model.ts'
import { BIRTH, REPLY, REQUEST } from '../../support/samples.ts'

interface Stored {
  readonly encoded: ReturnType<typeof encodeEvent>
  readonly time: number
  /** Of a reply: its bytes. */
  readonly payload: string
}

/** A server, as far as it matters here: a log, and one item folded from it. */
interface Server {
  readonly log: Stored[]
  item: WorkItem
  now: number
}

/** What is asked, by whom and under which lease, before it is known which token that lease has. */
type Ask =
  | { readonly ask: 'call'; readonly fingerprint: string }
  | { readonly ask: 'lease' }
  | { readonly ask: 'reply'; readonly lease: number; readonly said: string }
  | { readonly ask: 'extend'; readonly lease: number }
  | { readonly ask: 'release'; readonly how: 'client' | 'time' | 'force' }
  | { readonly ask: 'erase' }
  | { readonly ask: 'timer' }

const SUBJECT = 'servers'
/** Its holder cannot be told from its number, so that a fenced-off lease is known by its number alone. */
const tokenOf = (lease: number): string => `${lease}.t`
const grant = (rules: Rules) => ({ holder: { subject: SUBJECT, name: 'w' }, token: 't', termMs: rules.termMs })

const commandOf = (ask: Ask, rules: Rules, { item, now: time }: Pick<Server, 'item' | 'now'>): Command => {
  const { runs, onInterrupted, retainMs, interruptedAfterMs } = rules
  switch (ask.ask) {
    case 'call': {
      const release = retainMs === undefined ? ({ policy: 'required' } as const) : ({ policy: 'encouraged', retainMs } as const)
      const request = { ...REQUEST, runs, onInterrupted, interruptedAfterMs, release, dueAt: time }
      return { type: 'AcceptRequest', time, by: 'shop', request, mediaType: 'text/plain', digest: ask.fingerprint, ...(runs === 'middleware' ? { leaseTo: grant(rules) } : {}) }
    }
    case 'lease':
      return { type: 'LeaseItem', time, ...grant(rules) }
    case 'reply':
      return { type: 'Reply', time, by: SUBJECT, lease: tokenOf(ask.lease), reply: REPLY, digest: ask.said }
    case 'extend':
      return { type: 'ExtendLease', time, by: SUBJECT, lease: tokenOf(ask.lease), termMs: rules.termMs }
    case 'release':
      return { type: 'ReleaseReply', time, by: 'shop', how: ask.how }
    case 'erase':
      return { type: 'Erase', time, by: 'admin' }
    case 'timer': {
      const retry = { pauseMs: 0, deadLetter: false, ...(onInterrupted === 'fail' ? { attemptsMax: 1 } : {}) }
      if (isHeld(item)) return { type: 'ExpireLease', time, lease: item.lease.number, retry }
      return { type: 'Interrupt', time, lease: item.status === 'absent' ? 0 : (item.ended?.number ?? 0) }
    }
  }
}

const model = (ask: Ask, m: Model, now: number): contract.Step => {
  switch (ask.ask) {
    case 'call':
      return contract.call(m, ask.fingerprint, now)
    case 'lease':
      return contract.lease(m, now)
    case 'reply':
      return contract.reply(m, ask.lease, ask.said, now)
    case 'extend':
      return contract.extend(m, ask.lease, now)
    case 'release':
      return contract.release(m, ask.how, now)
    case 'erase':
      return contract.erase(m, now)
    case 'timer':
      return ['', contract.tick(m, now)]
  }
}

const folded = (log: readonly Stored[]): WorkItem => {
  let item: WorkItem = absent
  for (const [revision, { encoded, time }] of log.entries()) {
    const event = decodeEvent(encoded.type, encoded.v, JSON.parse(encoded.data))
    if (E.isLeft(event)) throw new Error(event.left.detail)
    item = evolve(item, event.right, { time, revision })
  }
  return item
}

type Decided = E.Either<string, readonly WorkItemEvent[]>

const decided = (command: Command, item: WorkItem): Decided => {
  const found = decide(command, item)
  return E.isLeft(found) ? E.left(found.left.type) : found
}

const append = (server: Server, command: Command, events: readonly WorkItemEvent[]): void => {
  const time = timeOf(command, server.item)
  for (const event of events) server.log.push({ encoded: encodeEvent(event), time, payload: event.type === 'Completed' ? (event.digest ?? '') : '' })
}

const replyIn = (log: readonly Stored[]): string | undefined => log.find(({ encoded }) => encoded.type === 'Completed')?.payload

/** What whoever asked is told, from what was decided and the item after it, as the doors tell it. */
const toldOf = (ask: Ask, of: Decided, item: WorkItem, { log, now }: Server): string => {
  if (E.isLeft(of)) {
    const words: Readonly<Record<string, string>> = { 'fingerprint-mismatch': 'mismatch', 'not-found': 'unknown', released: 'released', pending: 'pending' }
    if (ask.ask === 'lease') return 'nothing'
    return ask.ask === 'reply' || ask.ask === 'extend' ? 'refused' : (words[of.left] ?? 'refused')
  }
  const types = new Set(of.right.map(({ type }) => type))
  switch (ask.ask) {
    case 'call':
      if (item.status === 'settled') return isGone(item, now) ? 'released' : item.reply === undefined ? 'interrupted' : `reply ${replyIn(log)}`
      if (types.has('Leased') && isHeld(item)) return `lease ${item.lease.number}`
      return types.has('RequestAccepted') ? 'accepted' : 'pending'
    case 'lease':
      return isHeld(item) ? `lease ${item.lease.number}` : 'nothing'
    case 'reply':
      return item.status === 'settled' && item.late?.digest === ask.said ? 'late' : 'recorded'
    case 'extend':
      return 'extended'
    case 'release':
      return item.status === 'settled' && item.released !== undefined ? 'released' : 'nothing'
    case 'erase':
      return 'erased'
    case 'timer':
      return ''
  }
}

/** What must hold of every log, whatever was asked. */
const expectSound = (server: Server): void => {
  expect(folded(server.log)).toEqual(server.item)
  const types = server.log.map(({ encoded }) => encoded.type)
  const settled = types.findIndex((type) => SETTLING.has(type))
  expect(types.filter((type) => type === 'RequestAccepted').length).toBe(types.length === 0 ? 0 : 1)
  expect(types.filter((type) => SETTLING.has(type)).length).toBeLessThanOrEqual(1)
  expect(types.filter((type) => type === 'ReplyReleased').length).toBeLessThanOrEqual(1)
  if (settled >= 0) expect(types.slice(settled)).not.toContain('Leased')
  const leases = server.log.filter(({ encoded }) => encoded.type === 'Leased').map(({ encoded }) => (JSON.parse(encoded.data) as { lease: number }).lease)
  expect(leases).toEqual(leases.map((_, index) => index + 1))
}

interface Held {
  m: Model
}

/** One command, from being asked to being told; it may never be told, before or after it was stored. */
const asked = (ask: Ask, fate: 'told' | 'lost before' | 'lost after'): fc.Command<Held, Server> => ({
  check: () => true,
  run: (held, server) => {
    const command = commandOf(ask, held.m.rules, server)
    const of = decided(command, server.item)
    if (fate !== 'lost before') {
      const [told, after] = model(ask, held.m, server.now)
      held.m = after
      if (E.isRight(of)) append(server, command, of.right)
      const before = server.item
      server.item = folded(server.log)
      if (fate === 'told') expect(toldOf(ask, of, server.item, server), JSON.stringify(before)).toBe(told)
    } else server.item = folded(server.log)
    expectSound(server)
  },
  toString: () => `${JSON.stringify(ask)} ${fate}`,
})

/** Two that were decided on the same state: the log takes one, and the other, if it has something to say, is decided again on what is there now. */
const race = (first: Ask, second: Ask): fc.Command<Held, Server> => ({
  check: () => true,
  run: (held, server) => {
    const { rules } = held.m
    const seen = { item: server.item, now: server.now }
    const [one, two] = [commandOf(first, rules, seen), commandOf(second, rules, seen)]
    const early = decided(two, seen.item)
    const isAnswered = E.isLeft(early) || early.right.length === 0
    // What adds nothing is answered from what was seen: it came before the other.
    const order = isAnswered ? ([second, first] as const) : ([first, second] as const)
    const tolds = order.map((ask) => {
      const [told, after] = model(ask, held.m, server.now)
      held.m = after
      return told
    })
    const really = (ask: Ask, command: Command, of: Decided): string => {
      if (E.isRight(of)) append(server, command, of.right)
      server.item = folded(server.log)
      return toldOf(ask, of, server.item, server)
    }
    const earlyTold = isAnswered ? really(second, two, early) : undefined
    const firstTold = really(first, one, decided(one, server.item))
    const secondTold = earlyTold ?? really(second, two, decided(two, server.item))
    expect(isAnswered ? [secondTold, firstTold] : [firstTold, secondTold]).toEqual(tolds)
    expectSound(server)
  },
  toString: () => `${JSON.stringify(first)} against ${JSON.stringify(second)}`,
})

const later = (ms: number): fc.Command<Held, Server> => ({
  check: () => true,
  run: (_held, server) => {
    server.now += ms
  },
  toString: () => `${ms} ms later`,
})

const leases = fc.integer({ min: 0, max: 4 })
const asks: fc.Arbitrary<Ask> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ ask: fc.constant('call' as const), fingerprint: fc.constantFrom('same', 'same', 'same', 'other') }) },
  { weight: 4, arbitrary: fc.constant({ ask: 'lease' as const }) },
  { weight: 4, arbitrary: fc.record({ ask: fc.constant('reply' as const), lease: leases, said: fc.constantFrom('paid', 'refused', 'odd') }) },
  { weight: 1, arbitrary: fc.record({ ask: fc.constant('extend' as const), lease: leases }) },
  { weight: 2, arbitrary: fc.record({ ask: fc.constant('release' as const), how: fc.constantFrom('client' as const, 'time' as const, 'force' as const) }) },
  { weight: 1, arbitrary: fc.constant({ ask: 'erase' as const }) },
  { weight: 2, arbitrary: fc.constant({ ask: 'timer' as const }) },
)

const commands = fc.commands(
  [
    fc.tuple(asks, fc.constantFrom('told' as const, 'told' as const, 'told' as const, 'lost before' as const, 'lost after' as const)).map(([ask, fate]) => asked(ask, fate)),
    fc.tuple(asks, asks).map(([first, second]) => race(first, second)),
    fc.constantFrom(1, 5_000, 10_000, 60_000, 3_600_000).map((ms) => later(ms)),
  ],
  { maxCommands: 60, size: 'max' },
)

const rules: fc.Arbitrary<Rules> = fc.record({
  runs: fc.constantFrom('workers' as const, 'middleware' as const),
  onInterrupted: fc.constantFrom('retry' as const, 'retry' as const, 'fail' as const),
  termMs: fc.constant(10_000),
  retainMs: fc.constantFrom(undefined, 60_000),
  interruptedAfterMs: fc.constant(60_000),
})

describe('the rules of a request', () => {
  it('tell everybody what the contract promises, in any order and after any crash', { timeout: 240_000 }, () => {
    const reached = new Set<string>()
    fc.assert(
      fc.property(rules, commands, (given, run) => {
        const server: Server = { log: [], item: absent, now: BIRTH }
        const held: Held = { m: contract.unknown(given) }
        fc.modelRun(() => ({ model: held, real: server }), run)
        for (const { encoded } of server.log) reached.add(encoded.type)
      }),
      { numRuns: 400 },
    )
    // Else the promise would hold for want of cases.
    for (const type of ['RequestAccepted', 'Leased', 'LeaseExpired', 'LeaseExtended', 'Completed', 'Failed', 'LateResultRecorded', 'ReplyReleased', 'Erased'])
      expect(reached).toContain(type)
  })
})

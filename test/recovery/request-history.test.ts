// The checker of request histories, on histories that were doctored: it finds each fault that is planted, and none where there is none.
import { describe, expect, it } from 'vitest'
import {
  checkRequestHistory,
  logOf,
  toldOf,
  type EffectSeen,
  type Exchange,
  type History,
  type LogEvent,
  type Rule,
  type Told,
  type WorkerSaw,
} from '../support/request-history.ts'
import { closeAll, startApi } from '../support/api.ts'
import { settle } from '../support/engine.ts'

const A = 'request/pay/ann/a'
const B = 'request/pay/ann/b'
const at = (number: number): string => `log.${String(number).padStart(16, '0')}`
const body = Buffer.from('{"paid":true}')

type Fact = readonly [workItem: string, type: string, data?: object, payload?: Uint8Array]

/** The events of a log, positions from 1 and revisions counted for each stream. */
const logWith = (...facts: readonly Fact[]): readonly LogEvent[] => {
  const revisions = new Map<string, number>()
  return facts.map(([workItem, type, data = {}, payload], index) => {
    const revision = revisions.get(workItem) ?? 0
    revisions.set(workItem, revision + 1)
    return { stream: `workItem-${workItem}`, revision, position: at(index + 1), type, data: JSON.stringify(data), ...(payload === undefined ? {} : { payload }) }
  })
}

const accepted: Fact = [A, 'RequestAccepted', { callback: 'https://shop.example' }]
const leased = (lease: number): Fact => [A, 'Leased', { lease }]
const expired: Fact = [A, 'LeaseExpired', { lease: 1 }]
const reply = { status: 201, headers: [['location', '/p/1']], kept: true }
const completed = (lease: number): Fact => [A, 'Completed', { lease, reply, effects: [{}] }, body]
const carried = (...entries: readonly unknown[]): Fact => [A, 'EffectsCarriedOut', { effects: entries.map((entry) => ({ entry })) }]
const released: Fact = [A, 'ReplyReleased', { how: 'client' }]
const interrupted: readonly Fact[] = [
  [B, 'RequestAccepted', {}],
  [B, 'Leased', { lease: 1 }],
  [B, 'LeaseExpired', { lease: 1 }],
  [B, 'Failed', { code: 'interrupted' }],
]

/** 1 accepted · 2 leased · 3 expired · 4 leased again · 5 completed · 6 carried out · 7 released · 8–11 another that was interrupted. */
const LOG = [accepted, leased(1), expired, leased(2), completed(2), carried(0, 'reply'), released, ...interrupted]

/** What was told to a call, at which position; sent and answered one after another. */
const told = (time: number, position: number, what: string, facts: Partial<Told> & { readonly workItem?: string; readonly fingerprint?: string } = {}): Exchange => {
  const { workItem = A, fingerprint = 'f', ...more } = facts
  const given = what === 'reply' ? { reply: { status: 201, body, headers: [['location', '/p/1'] as const] } } : {}
  return { workItem, fingerprint, sentAt: time, answer: { at: time + 1, position: at(position), told: what, ...given, ...more } }
}

const CALLS: readonly Exchange[] = [
  told(0, 1, 'accepted'),
  told(10, 3, 'pending'),
  { workItem: A, fingerprint: 'f', sentAt: 12 },
  told(15, 4, 'fingerprint-mismatch', { fingerprint: 'other' }),
  told(20, 5, 'reply'),
  told(30, 6, 'reply', { isReplayed: true }),
  told(40, 7, 'released'),
  told(50, 11, 'interrupted', { workItem: B }),
  told(60, 11, 'interrupted', { workItem: B, isReplayed: true }),
  // Refused before it was a request: that says nothing of it.
  told(70, 11, 'overloaded', { workItem: 'request/pay/ann/never' }),
]
const WORKERS: readonly WorkerSaw[] = [
  { workItem: A, lease: 1, told: 'refused', position: at(4) },
  { workItem: A, lease: 2, told: 'recorded', position: at(5) },
]
const EFFECTS: readonly EffectSeen[] = [
  { workItem: A, lease: 1 },
  { workItem: A, lease: 2 },
  { workItem: B, lease: 1 },
]

const check = (doctored: Partial<Omit<History, 'log'>> & { readonly facts?: readonly Fact[] } = {}) => {
  const { facts = LOG, ...more } = doctored
  return checkRequestHistory({ log: logWith(...facts), calls: CALLS, workers: WORKERS, effects: EFFECTS, isAtRest: true, ...more })
}

const replaced = <T>(list: readonly T[], index: number, ...by: readonly T[]): readonly T[] => list.toSpliced(index, 1, ...by)

/** Each fault, and the rules that must name it. */
const FAULTS: readonly (readonly [what: string, doctored: NonNullable<Parameters<typeof check>[0]>, rules: readonly Rule[]])[] = [
  ['a request accepted twice', { facts: [...LOG, accepted] }, ['accepted-once']],
  ['a request settled twice', { facts: [...LOG, completed(2)] }, ['settled-once']],
  ['a reply and then an interruption', { facts: [...LOG, [A, 'Failed', { code: 'interrupted' }]] }, ['settled-once']],
  ['an execution after the reply', { facts: [...LOG, leased(3)] }, ['no-execution-after-the-end']],
  ['a lease number given twice', { facts: replaced(LOG, 3, leased(1)), calls: [], workers: [] }, ['leases-in-order', 'fenced-off', 'effects-have-attempts']],
  ['two holders at once', { facts: replaced(LOG, 2), calls: [], workers: [] }, ['leases-in-order']],
  ['a reply of a lease that was fenced off', { facts: replaced(LOG, 4, completed(1)), workers: [] }, ['fenced-off']],
  ['a reply of a lease that had ended', { facts: LOG.toSpliced(4, 0, [A, 'LeaseExpired', { lease: 2 }]), calls: [], workers: [] }, ['fenced-off']],
  ['a reply released twice', { facts: [...LOG, released] }, ['released-once']],
  ['an acknowledged request that is not in the log', { calls: [...CALLS, told(80, 11, 'accepted', { workItem: 'request/pay/ann/lost' })] }, ['acknowledged-is-stored']],
  ['a log that lost its end', { facts: LOG.slice(0, 6), effects: EFFECTS.slice(0, 2) }, ['acknowledged-is-stored', 'told-what-is-stored']],
  ['a position of another log', { calls: [told(0, 11, 'pending', { position: 'other.0000000000000003' })] }, ['acknowledged-is-stored']],
  ['an acceptance that was told before it was stored', { calls: [told(0, 0, 'accepted')] }, ['acknowledged-is-stored']],
  ['a reply that was recorded for a worker and is not the one', { workers: [{ workItem: A, lease: 1, told: 'recorded', position: at(5) }] }, ['acknowledged-is-stored']],
  ['a reply that was recorded before it was stored', { workers: [{ workItem: A, lease: 2, told: 'recorded', position: at(4) }] }, ['acknowledged-is-stored']],
  ['a reply with one other byte', { calls: [told(30, 6, 'reply', { reply: { status: 201, body: Buffer.from('{"paid":trve}') } })] }, ['reply-is-the-stored-one']],
  ['a reply with another status', { calls: [told(30, 6, 'reply', { reply: { status: 200, body } })] }, ['reply-is-the-stored-one']],
  ['a reply with other headers', { calls: [told(30, 6, 'reply', { reply: { status: 201, body, headers: [] } })] }, ['reply-is-the-stored-one']],
  ['a reply that was given before it was stored', { calls: [told(20, 4, 'reply')] }, ['reply-was-stored-before']],
  ['a reply that nobody made', { calls: [told(60, 11, 'reply', { workItem: B })] }, ['reply-was-stored-before']],
  ['an interruption that did not happen', { calls: [told(40, 7, 'interrupted')] }, ['told-what-is-stored']],
  ['an interruption that was told before it was stored', { calls: [told(40, 10, 'interrupted', { workItem: B })] }, ['told-what-is-stored']],
  ['a release that was told and did not happen', { facts: replaced(LOG, 6) }, ['told-what-is-stored', 'acknowledged-is-stored']],
  ['a reply that was said not to be kept and is', { calls: [told(30, 6, 'reply-not-kept')] }, ['told-what-is-stored']],
  ['a reply after it was released', { calls: [...CALLS, told(80, 11, 'reply')] }, ['released-stays-released']],
  ['a request that is pending again', { calls: [...CALLS, told(35, 6, 'pending')] }, ['never-forgotten']],
  ['two calls that are both the first', { calls: [...CALLS, { ...told(0, 1, 'accepted'), sentAt: 0.5 }] }, ['accepted-told-once']],
  ['a call with another content that was given the reply', { calls: [...CALLS, told(35, 6, 'reply', { fingerprint: 'other' })] }, ['one-fingerprint']],
  ['a call that was refused for what others were taken for', { calls: [...CALLS, told(35, 6, 'fingerprint-mismatch')] }, ['one-fingerprint']],
  ['an answer with a position before one that was known', { calls: [...CALLS, told(80, 7, 'released')] }, ['positions-go-forward']],
  ['an effect of an attempt that is in no log', { effects: [...EFFECTS, { workItem: A, lease: 3 }] }, ['effects-have-attempts']],
  ['an effect of a request that is in no log', { effects: [...EFFECTS, { workItem: 'request/pay/ann/lost', lease: 1 }] }, ['effects-have-attempts']],
  ['two effects of one attempt', { effects: [...EFFECTS, { workItem: A, lease: 2 }] }, ['one-effect-an-attempt']],
  ['a reply without its effect', { effects: EFFECTS.filter(({ lease }) => lease === 1) }, ['no-reply-without-its-effect']],
  ['an entry of an outbox that was carried out twice', { facts: [...LOG, carried(0)] }, ['outbox-carried-out-once']],
  ['an entry of an outbox that nobody made', { facts: replaced(LOG, 5, carried(0, 1, 'reply')) }, ['outbox-carried-out-once']],
  ['an outbox that is still open', { facts: replaced(LOG, 5, carried('reply')) }, ['nothing-left-open']],
  ['a request that never settled', { facts: LOG.slice(0, 10), calls: CALLS.slice(0, 7) }, ['nothing-left-open']],
]

describe('a history', () => {
  it('that is sound has no violation, and says what it is based on', async () => {
    const verdict = await check()
    expect(verdict.violations).toEqual([])
    expect(verdict.counted).toEqual({ requests: 2, settled: 2, attempts: 3, answers: 9, repliesGiven: 2, repliesReplayed: 1, unanswered: 1, effects: 3 })
    expect(toldOf(verdict)).toBe('2 requests, 2 settled, 3 attempts, 9 answers, 2 repliesGiven, 1 repliesReplayed, 1 unanswered, 3 effects')
  })

  it('may have answers that cross each other', async () => {
    // Sent before the other was answered: either may have been first.
    const crossing = [told(20, 5, 'reply'), { ...told(21, 5, 'pending'), sentAt: 19 }, { ...told(25, 1, 'accepted'), sentAt: 0 }]
    expect((await check({ calls: crossing })).violations).toEqual([])
  })

  it('may lack its effects, its workers and its rest', async () => {
    const { violations } = await checkRequestHistory({ log: logWith(...LOG.slice(0, 5)), calls: CALLS.slice(0, 5) })
    expect(violations).toEqual([])
  })

  it.each(FAULTS)('with %s is found out', async (_what, doctored, rules) => {
    const { violations } = await check(doctored)
    expect(new Set(violations.map(({ rule }) => rule))).toEqual(new Set(rules))
  })

  it('is told by the first of many violations', async () => {
    const verdict = await check({ effects: Array.from({ length: 30 }, (_, index) => ({ workItem: A, lease: index + 1 })) })
    expect(toldOf(verdict, 3).split('\n')).toHaveLength(5)
    expect(toldOf(verdict, 3)).toContain('effects-have-attempts: request/pay/ann/a: an effect under lease 3, which was never given\n')
    expect(toldOf(verdict, 3)).toMatch(/and \d+ more$/)
  })

  it('of a real server is read from its store', async () => {
    const api = await startApi()
    const call = await api.ask('PUT', '/v1/contracts/pay/requests/a', { body: { amount: 5 } })
    const { items } = (await api.post('/v1/contracts/pay/lease', {})).body
    await api.post('/v1/contracts/pay/requests/a/reply', { lease: items[0].lease, reply: { status: 201, body: { paid: true } } })
    const again = await api.ask('PUT', '/v1/contracts/pay/requests/a', { body: { amount: 5 } })
    await settle()
    const exchange = (sentAt: number, told: string, position: string, more: Partial<Told> = {}): Exchange => ({
      workItem: 'request/pay/local/a',
      fingerprint: 'f',
      sentAt,
      answer: { at: sentAt + 1, position, told, ...more },
    })
    const seen = { status: again.status, body: Buffer.from(again.text) }
    const calls = [
      exchange(0, 'accepted', call.headers.get('stint-position') ?? ''),
      exchange(10, 'reply', again.headers.get('stint-position') ?? '', { reply: seen, isReplayed: true }),
    ]
    const verdict = await checkRequestHistory({ log: logOf(api.store), calls, isAtRest: true })
    expect(verdict).toMatchObject({ violations: [], counted: { requests: 1, settled: 1, attempts: 1, repliesReplayed: 1 } })
    const forged = [{ ...calls[1], answer: { ...calls[1]?.answer, reply: { ...seen, body: Buffer.from('{"paid":false}') } } }] as Exchange[]
    expect((await checkRequestHistory({ log: logOf(api.store), calls: forged })).violations).toMatchObject([{ rule: 'reply-is-the-stored-one' }])
    await closeAll()
  })
})

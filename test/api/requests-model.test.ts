// The same model over HTTP: callers and workers at once, a store that fails or loses its answers, servers that crash and start again over the same log. Whatever the answers
// were, they are those of some order in which the promise was kept; and the log bears them out.
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { startApi, type Answer, type TestApi } from '../support/api.ts'
import { settle, startEngine } from '../support/engine.ts'
import { faultyStore, type Fault, type FaultyStore } from '../support/faulty-store.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { checkRequestHistory, logOf, type EffectSeen, type Exchange, type SeenReply, type WorkerSaw } from '../support/request-history.ts'
import * as contract from '../support/request-model.ts'
import type { Model, Rules, Step } from '../support/request-model.ts'
import { virtualWorld } from '../support/virtual-world.ts'

type Op =
  | { readonly do: 'call'; readonly content: 'same' | 'other' }
  | { readonly do: 'lease' | 'read' | 'release' }
  /** A call of a worker's request that waits for its reply, through the rounds that follow. */
  | { readonly do: 'wait' }
  /** `which`: of the leases that somebody was told of, counted from the last. */
  | { readonly do: 'reply'; readonly which: number; readonly said: string }
  | { readonly do: 'extend'; readonly which: number }

type Round =
  | { readonly round: 'at once'; readonly ops: readonly Op[]; readonly fault?: { readonly after: number; readonly fault: Fault } | undefined }
  | { readonly round: 'advance'; readonly ms: number }
  | { readonly round: 'restart' }

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('call' as const), content: fc.constantFrom('same' as const, 'same' as const, 'same' as const, 'other' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('lease' as const, 'lease' as const, 'lease' as const, 'read' as const, 'read' as const, 'release' as const) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'wait' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reply' as const), which: fc.nat(2), said: fc.constantFrom('paid', 'refused', 'odd') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('extend' as const), which: fc.nat(1) }) },
)
const fault = fc.record({ after: fc.nat(2), fault: fc.constantFrom('overloaded' as const, 'not stored' as const, 'stored' as const) })
const round: fc.Arbitrary<Round> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ round: fc.constant('at once' as const), ops: fc.array(op, { minLength: 1, maxLength: 4 }), fault: fc.option(fault, { nil: undefined, freq: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ round: fc.constant('advance' as const), ms: fc.constantFrom(1, 4_000, 11_000, 61_000) }) },
  { weight: 1, arbitrary: fc.constant({ round: 'restart' as const }) },
)
const rules: fc.Arbitrary<Rules> = fc.record({
  runs: fc.constantFrom('workers' as const, 'workers' as const, 'middleware' as const),
  onInterrupted: fc.constantFrom('retry' as const, 'retry' as const, 'fail' as const),
  termMs: fc.constant(10_000),
  retainMs: fc.constantFrom(undefined, 60_000),
  interruptedAfterMs: fc.constant(60_000),
})

const PAY = '/v1/contracts/pay'
const REQUEST = `${PAY}/requests/a`
/** Of every reply, so that it is carried out once, whatever crashes. */
const EFFECT = { task: { app: 'shop', queue: 'mail', payload: { to: 'ann' } } }
const FINGERPRINTS = { same: 'f'.repeat(43), other: 'e'.repeat(43) }

const NO_ANSWER: Answer = { status: 503, headers: new Headers(), body: undefined, text: '' }

interface Run {
  readonly given: Rules
  readonly world: ReturnType<typeof virtualWorld>
  readonly log: ReturnType<typeof memoryStore>
  store: FaultyStore
  api: TestApi
  /** Everything that the promise allows, after what was told so far. */
  candidates: readonly Model[]
  /** Leases that somebody was told of, by their tokens. */
  readonly tokens: string[]
  readonly calls: Exchange[]
  readonly workers: WorkerSaw[]
  readonly effects: EffectSeen[]
  readonly waits: Promise<void>[]
  /** The clock of those who ask: it goes on by one before and after each round. */
  clock: number
  asked: number
}

const leaseOf = (token: string): number => Number.parseInt(token, 10)
/** The caller of a request in middleware is not the service that runs it. */
const callerIn = ({ given }: Run): string => (given.runs === 'middleware' ? 'ann' : 'local')
const tokenOf = ({ tokens }: Run, which: number): string => tokens.at(-1 - which) ?? '0.none'

/** What an exchange of many answers to this one, as it is answered alone. */
const amongMany = async ({ api }: Run, item: object, headers: Record<string, string> = {}): Promise<Answer> => {
  const answer = await api.post(`${PAY}/calls`, { items: [{ id: 'a', ...item }] }, { headers })
  const [one] = (answer.body?.items ?? []) as readonly { readonly status: number; readonly reply?: { readonly status: number; readonly headers: object; readonly text: string } }[]
  if (one === undefined) return answer
  if (one.reply === undefined) return { ...answer, status: one.status, body: one }
  const { status, headers: said, text } = one.reply
  return { status, headers: new Headers({ ...said, 'Stint-Position': answer.headers.get('stint-position') ?? '' }), body: JSON.parse(text) as unknown, text }
}

const called = (content: string): object => ({ call: { text: JSON.stringify({ content }), mediaType: 'application/json' } })

const ask = (run: Run, one: Op): Promise<Answer> => {
  const { api, given } = run
  const caller = callerIn(run)
  run.asked += 1
  const isAmongMany = given.runs === 'workers' && run.asked % 2 === 0
  switch (one.do) {
    case 'call': {
      if (isAmongMany) return amongMany(run, called(one.content))
      if (given.runs === 'workers') return api.ask('PUT', REQUEST, { body: { content: one.content } })
      return api.post(`${PAY}/executions`, { id: 'a', caller, fingerprint: FINGERPRINTS[one.content], worker: `w${run.asked}`, mediaType: 'text/plain' })
    }
    case 'wait':
      if (given.runs === 'middleware') return Promise.resolve(NO_ANSWER)
      if (isAmongMany) return amongMany(run, called('same'), { Prefer: 'wait=60' })
      return api.ask('PUT', REQUEST, { body: { content: 'same' }, headers: { Prefer: 'wait=60' } })
    case 'lease':
      return api.post(`${PAY}/lease`, { worker: `w${run.asked}` })
    case 'read':
      if (isAmongMany) return amongMany(run, {})
      return api.get(`${REQUEST}/reply?caller=${caller}`)
    case 'release':
      return api.ask('DELETE', `${REQUEST}/interaction?caller=${caller}`)
    case 'reply':
      return api.post(`${REQUEST}/reply`, { lease: tokenOf(run, one.which), caller, reply: { status: 201, body: { said: one.said } }, effects: [EFFECT] })
    case 'extend':
      return api.post(`${REQUEST}/extend`, { lease: tokenOf(run, one.which), caller, leaseSeconds: given.termMs / 1_000 })
  }
}

const PROBLEMS: Readonly<Record<string, string>> = { 'fingerprint-mismatch': 'mismatch', 'not-found': 'unknown' }
/** Whoever has no lease, or not the one that counts, is refused in one of these words. */
const REFUSALS: ReadonlySet<string> = new Set(['not-found', 'stale-lease', 'settled'])

/** What a reply says, whichever way its body is given. */
const saidIn = ({ body, bodyBase64 }: { readonly body?: { readonly said: string }; readonly bodyBase64?: string }): string =>
  (body ?? (JSON.parse(Buffer.from(bodyBase64 ?? '', 'base64').toString()) as { readonly said: string })).said

/** In the words of the model; `lost`: nobody knows whether it was done. */
const toldOf = (one: Op, { status, headers, body, text }: Answer): string => {
  if (status === 503) return 'lost'
  if (headers.get('stint-release') !== null) return `reply ${JSON.parse(text).said}`
  if ((one.do === 'reply' || one.do === 'extend') && REFUSALS.has(body.code)) return 'refused'
  if (status >= 400) return PROBLEMS[body.code as string] ?? body.code
  switch (one.do) {
    case 'wait':
      return 'accepted'
    case 'call':
      if (status === 202) return 'accepted'
      return body.reply === undefined ? `lease ${leaseOf(body.execute.lease)}` : `reply ${saidIn(body.reply)}`
    case 'lease':
      return body.items.length === 0 ? 'nothing' : `lease ${leaseOf(body.items[0].lease)}`
    case 'reply':
      return body.late === true ? 'late' : 'recorded'
    case 'extend':
      return 'extended'
    case 'release':
    case 'read':
      return 'released'
  }
}

const step = (one: Op, lease: number, m: Model, now: number): Step => {
  switch (one.do) {
    case 'wait':
      return m.rules.runs === 'middleware' ? ['', m] : contract.call(m, 'same', now)
    case 'call':
      return contract.call(m, one.content, now)
    case 'lease':
      return contract.lease(m, now)
    case 'read':
      return contract.read(m, now)
    case 'release':
      return contract.release(m, 'client', now)
    case 'reply':
      return contract.reply(m, lease, one.said, now)
    case 'extend':
      return contract.extend(m, lease, now)
  }
}

const distinct = (models: readonly Model[]): readonly Model[] => [...new Map(models.map((m) => [JSON.stringify(m), m])).values()]

interface Happened {
  readonly one: Op
  readonly lease: number
  readonly told: string
}

/** Every state that some order of what happened at once leads to, in which each was told what it was told; what was lost was done or was not. */
const orders = (from: Model, happened: readonly Happened[], now: number): readonly Model[] => {
  if (happened.length === 0) return [from]
  return happened.flatMap(({ one, lease, told }, index) => {
    const rest = happened.toSpliced(index, 1)
    const [said, after] = step(one, lease, from, now)
    const done = told === 'lost' || told === said ? orders(after, rest, now) : []
    return told === 'lost' ? [...done, ...orders(from, rest, now)] : done
  })
}

/** A call as its caller heard it. */
const heardOf = (run: Run, fingerprint: string, sentAt: number, told: string, answer: Answer): Exchange => {
  const { status, headers, body, text } = answer
  const heard = { workItem: `request/pay/${callerIn(run)}/a`, fingerprint, sentAt }
  if (told === 'lost') return heard
  const common = { at: run.clock + 1, position: headers.get('stint-position') ?? '' }
  // In middleware a first call and one that goes on are told the same; neither means that there was none before.
  if (!told.startsWith('reply ')) return { ...heard, answer: { ...common, told: told.startsWith('lease ') ? 'pending' : told === 'mismatch' ? 'fingerprint-mismatch' : told } }
  const reply: SeenReply =
    run.given.runs === 'workers'
      ? { status, body: Buffer.from(text) }
      : { status: body.reply.status, body: Buffer.from(body.reply.bodyBase64 ?? JSON.stringify(body.reply.body), body.reply.bodyBase64 === undefined ? 'utf8' : 'base64') }
  return { ...heard, answer: { ...common, told: 'reply', reply, isReplayed: headers.get('idempotency-replayed') === 'true' } }
}

/** What the checker of histories is to know of it. */
const note = (run: Run, { one, lease, told }: Happened, { headers, body, text, status }: Answer): void => {
  const workItem = `request/pay/${callerIn(run)}/a`
  const position = headers.get('stint-position') ?? ''
  if (told.startsWith('lease ')) run.effects.push({ workItem, lease: Number(told.slice(6)) })
  if (one.do === 'reply') run.workers.push({ workItem, lease, position, told: told === 'recorded' || told === 'late' ? told : 'refused' })
  if (one.do === 'call') run.calls.push(heardOf(run, one.content, run.clock, told, { status, headers, body, text }))
}

/** Sends a call that waits; what comes of it is noted when it comes. Meanwhile nobody knows, as nobody does of an answer that is lost. */
const waitForReply = async (run: Run): Promise<Answer> => {
  const sentAt = run.clock
  const waited = ask(run, { do: 'wait' }).then(
    (answer) => void run.calls.push(heardOf(run, 'same', sentAt, toldOf({ do: 'wait' }, answer), answer)),
    // Its server is gone.
    () => undefined,
  )
  run.waits.push(waited)
  await settle()
  return NO_ANSWER
}

const start = async (run: Pick<Run, 'log' | 'world'>): Promise<Pick<Run, 'api' | 'store'>> => {
  const store = faultyStore(run.log)
  return { store, api: await startApi({ engine: await startEngine({ store, world: run.world }) }) }
}

const restart = async (run: Run): Promise<void> => {
  run.store.die()
  await run.api.close()
  Object.assign(run, await start(run))
  run.candidates = run.candidates.map((m) => contract.restart(m, run.world.now()))
  await settle()
}

const carryOut = async (run: Run, one: Round): Promise<void> => {
  if (one.round === 'restart') return restart(run)
  if (one.round === 'advance') {
    const end = run.world.now() + one.ms
    for (;;) {
      const due = Math.min(end, ...run.candidates.flatMap((m) => contract.deadline(m) ?? []))
      run.world.advance(Math.max(0, due - run.world.now()))
      await settle()
      run.candidates = distinct(run.candidates.map((m) => contract.tick(m, run.world.now())))
      if (due >= end) return
    }
  }
  if (one.fault !== undefined) run.store.failAfter(one.fault.after, one.fault.fault)
  const leases = one.ops.map((each) => ('which' in each ? leaseOf(tokenOf(run, each.which)) : 0))
  const answers = await Promise.all(one.ops.map((each) => (each.do === 'wait' ? waitForReply(run) : ask(run, each))))
  await settle()
  run.store.heal()
  const tolds = one.ops.map((each, index) => (each.do === 'wait' ? 'lost' : toldOf(each, answers[index] as Answer)))
  // What another call has reached for is given to nobody else, also if that call then fails: finding nothing is no promise that there is nothing.
  const isMoot = (told: string): boolean => told === 'nothing' && tolds.includes('lost')
  const happened = one.ops.map((each, index): Happened => {
    const told = tolds[index] ?? 'lost'
    return { one: each, lease: leases[index] ?? 0, told: isMoot(told) ? 'lost' : told }
  })
  const candidates = distinct(run.candidates.flatMap((m) => orders(m, happened, run.world.now())))
  expect(candidates.length, JSON.stringify({ happened, from: run.candidates }, undefined, 1)).toBeGreaterThan(0)
  run.candidates = candidates
  for (const [index, each] of happened.entries()) {
    note(run, each, answers[index] as Answer)
    const { body } = answers[index] as Answer
    if (each.told.startsWith('lease ')) run.tokens.push(body.execute?.lease ?? body.items[0].lease)
  }
  run.clock += 2
  if (run.store.isDead()) await restart(run)
}

it('answers keep the promise in some order, whatever comes at once and whatever crashes', { timeout: 600_000 }, async () => {
  const reached = new Map<string, number>()
  const count = (what: string): void => void reached.set(what, (reached.get(what) ?? 0) + 1)
  await fc.assert(
    fc.asyncProperty(rules, fc.array(round, { minLength: 1, maxLength: 25, size: 'max' }), async (given, rounds) => {
      const world = virtualWorld()
      const log = memoryStore({ world })
      const started = await start({ log, world })
      const run: Run = { given, world, log, ...started, candidates: [contract.unknown(given)], tokens: [], calls: [], workers: [], effects: [], waits: [], clock: 0, asked: 0 }
      const { retainMs } = given
      const release = retainMs === undefined ? { release: 'required' } : { release: 'encouraged', retainSeconds: retainMs / 1_000 }
      await run.api.ask('PUT', PAY, { body: { ...release, onInterrupted: given.onInterrupted, leaseSeconds: given.termMs / 1_000, interruptedAfterSeconds: 60 } })
      for (const one of rounds) await carryOut(run, one)
      await carryOut(run, { round: 'advance', ms: 61_000 })
      await Promise.all(run.waits)
      await expectReplayEqual(run.api.engine, run.store)
      const { calls, workers, effects } = run
      const { violations } = await checkRequestHistory({ log: logOf(run.log), calls, workers, effects })
      expect(violations).toEqual([])
      const types: string[] = []
      for await (const { type } of logOf(run.log)) types.push(type)
      for (const once of ['TaskInserted', 'EffectsCarriedOut']) expect(types.filter((type) => type === once).length).toBe(types.includes('Completed') ? 1 : 0)
      expect(run.api.errors).toEqual([])
      await run.api.close()
      for (const { answer } of calls) count(answer?.told ?? 'lost')
      for (const { told } of workers) count(`worker ${told}`)
    }),
    { numRuns: 50 },
  )
  // Else the promise would hold for want of cases.
  for (const what of ['accepted', 'pending', 'reply', 'released', 'interrupted', 'fingerprint-mismatch', 'lost', 'worker recorded', 'worker late', 'worker refused'])
    expect(reached.get(what) ?? 0, what).toBeGreaterThan(0)
})

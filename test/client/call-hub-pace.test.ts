// When calls of one requester travel, and how long they wait: over a Stint that answers what the test says, in a world whose clock the test moves.
import { describe, expect, it } from 'vitest'
import * as E from 'fp-ts/lib/Either.js'
import { createCallHub, type Question } from '../../src/client/call-hub.ts'
import { StintError, Unreachable } from '../../src/client/errors.ts'
import type { Http, RawAnswer } from '../../src/client/http.ts'
import { settle } from '../support/engine.ts'
import { virtualWorld } from '../support/virtual-world.ts'

interface Sent {
  /** Of one that goes alone its id; of many the items. */
  readonly items: readonly { readonly id: string; readonly call?: object }[]
  readonly wait: string | undefined
  readonly signal: AbortSignal
  readonly answer: (items: readonly unknown[]) => void
  /** Of many, over a channel: one of them ahead of the others. */
  readonly tell: (index: number, item: unknown) => void
  readonly fail: (failure: Error) => void
}

const PENDING = { status: 202, headers: new Headers(), bytes: new Uint8Array() }
const reply = (text: string) => E.right({ id: '', reply: { status: 200, headers: { 'Stint-Release': 'none-required' }, text } })
const accepted = E.right({ id: '', state: 'waiting' })
const taken = E.left(new StintError({ status: 409, code: 'pending' }))

const stage = ({ isChannelled = false } = {}) => {
  const world = virtualWorld()
  const sent: Sent[] = []
  const send = <Answer>(
    items: Sent['items'],
    { headers, signal, onItem }: { readonly headers?: Readonly<Record<string, string | undefined>>; readonly signal?: AbortSignal | undefined; readonly onItem?: Sent['tell'] },
    read: (items: readonly unknown[]) => Answer,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (signal === undefined) throw new Error('It could not be broken off')
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      sent.push({ items, wait: headers?.['Prefer'], signal, answer: (answers) => resolve(read(answers)), tell: (index, item) => onItem?.(index, item), fail: reject })
    })
  const http = {
    url: 'http://stint.example',
    world,
    isChannelled: () => isChannelled,
    pass: (_route: unknown, given: { readonly params: { readonly id: string }; readonly signal?: AbortSignal }) => send([given.params], given, ([answer]) => answer as RawAnswer),
    sendMany: (_route: unknown, texts: readonly string[], given: object) =>
      send(
        texts.map((text) => JSON.parse(text) as { readonly id: string }),
        given,
        (items) => ({ items, beside: undefined }),
      ),
  } as unknown as Http
  const hub = createCallHub(http, 'pay')
  const firsts: string[] = []
  const ask = (id: string, more: Partial<Question> = {}): Promise<string | undefined> =>
    hub
      .ask({
        id,
        content: { bytes: new TextEncoder().encode(id), mediaType: 'text/plain' },
        waitSeconds: 30,
        timeoutMs: 40_000,
        onTaken: (isFirst) => isFirst && firsts.push(id),
        signal: new AbortController().signal,
        ...more,
      })
      .then(
        (answer) => answer && new TextDecoder().decode(answer.bytes),
        (failure: Error) => failure.name,
      )
  const ids = (): readonly string[] => sent.map(({ items }) => items.map(({ id, call }) => (call === undefined ? id : `${id}!`)).join(' '))
  return { world, sent, ask, ids, firsts }
}

describe('a call', () => {
  it('goes at once, and what is asked for in the same turn goes along', async () => {
    const { ask, ids } = stage()
    void ask('a')
    void ask('b')
    await settle()
    expect(ids()).toEqual(['a! b!'])
  })

  it('begins an exchange of its own while others are held back, a millisecond apart for each, and takes along what comes meanwhile', async () => {
    const { world, ask, ids } = stage()
    void ask('a')
    await settle()
    void ask('b')
    void ask('c')
    await settle()
    expect(ids()).toEqual(['a'])
    world.advance(1)
    void ask('d')
    await settle()
    world.advance(1)
    void ask('e')
    await settle()
    expect(ids()).toEqual(['a', 'b! c!'])
    world.advance(1)
    await settle()
    expect(ids()).toEqual(['a', 'b! c!', 'd! e!'])
    world.advance(1_000)
    void ask('f')
    await settle()
    expect(ids()).toEqual(['a', 'b! c!', 'd! e!', 'f'])
  })

  it('never waits for more than a few milliseconds, however many are out', async () => {
    const { world, ask, sent } = stage()
    for (let count = 1; count <= 40; count += 1) {
      void ask(`r${count}`)
      await settle()
      world.advance(10)
      expect(sent).toHaveLength(count)
    }
  })
})

describe('an exchange that comes back', () => {
  it('has what is pending asked for again by its id, together with what its callers call next, and for the rest of its wait', async () => {
    const { world, sent, ask, ids, firsts } = stage()
    const answers = ['a', 'b', 'c'].map((id) => ask(id))
    await settle()
    world.advance(9_500)
    sent[0]?.answer([reply('A'), accepted, taken])
    expect(await answers[0]).toBe('A')
    void ask('d')
    await settle()
    expect(ids()).toEqual(['a! b! c!', 'b c d!'])
    expect([sent[0]?.wait, sent[1]?.wait, firsts]).toEqual(['wait=30', 'wait=20', ['b']])
    sent[1]?.answer([reply('B'), reply('C'), accepted])
    expect(await Promise.all(answers)).toEqual(['A', 'B', 'C'])
  })

  it('has what is pending asked for again soon, when nobody calls', async () => {
    const { world, sent, ask, ids } = stage()
    void ask('a')
    void ask('b')
    await settle()
    world.advance(100)
    sent[0]?.answer([reply('A'), accepted])
    await settle()
    world.advance(1)
    await settle()
    expect(ids()).toEqual(['a! b!', 'b'])
  })

  it('at the end of a wait tells what is pending, and asks for the others', async () => {
    const { world, sent, ask, ids } = stage()
    const short = ask('short', { waitSeconds: 2 })
    void ask('long')
    await settle()
    expect(sent[0]?.wait).toBe('wait=2')
    world.advance(2_000)
    sent[0]?.answer([taken, accepted])
    expect(await short).toBeUndefined()
    await settle()
    world.advance(1)
    await settle()
    expect([ids()[1], sent[1]?.wait]).toEqual(['long', 'wait=27'])
  })

  it('before its time and with nothing new is not made again at once', async () => {
    const { world, sent, ask } = stage()
    const answers = ['a', 'b'].map((id) => ask(id))
    await settle()
    world.advance(100)
    sent[0]?.answer([accepted, taken])
    expect(await Promise.all(answers)).toEqual([undefined, undefined])
    world.advance(10_000)
    await settle()
    expect(sent).toHaveLength(1)
  })

  it('with a failure has failed for each of its calls', async () => {
    const { sent, ask } = stage()
    const answers = ['a', 'b'].map((id) => ask(id))
    await settle()
    sent[0]?.fail(new Unreachable('http://stint.example', new Error('cut')))
    expect(await Promise.all(answers)).toEqual(['Unreachable', 'Unreachable'])
  })

  it('with a reply that cannot be read has failed for that call alone', async () => {
    const { sent, ask } = stage()
    const answers = ['a', 'b'].map((id) => ask(id))
    await settle()
    sent[0]?.answer([E.right({ id: 'a', reply: { status: 200, headers: { 'no name': 'x' }, text: '' } }), reply('B')])
    expect(await Promise.all(answers)).toEqual(['UnexpectedAnswer', 'B'])
  })
})

describe('a call that is given up', () => {
  it('by its signal leaves the exchange to the others, and the last one breaks it off', async () => {
    const { sent, ask } = stage()
    const stops = [new AbortController(), new AbortController()]
    const answers = stops.map(({ signal }, index) => ask(`r${index}`, { signal }))
    await settle()
    stops[0]?.abort(new RangeError('enough'))
    expect([await answers[0], sent[0]?.signal.aborted]).toEqual(['RangeError', false])
    stops[1]?.abort(new RangeError('enough'))
    expect([await answers[1], sent[0]?.signal.aborted]).toEqual(['RangeError', true])
  })

  it('before it was sent is not sent', async () => {
    const { world, ask, ids } = stage()
    void ask('a')
    await settle()
    const stop = new AbortController()
    const back = ask('b', { signal: stop.signal })
    stop.abort(new RangeError('enough'))
    expect(await back).toBe('RangeError')
    world.advance(10)
    await settle()
    expect(ids()).toEqual(['a'])
  })

  it('by its time counts as lost, and the others go on', async () => {
    const { world, sent, ask } = stage()
    const short = ask('short', { waitSeconds: 0, timeoutMs: 2_000 })
    const long = ask('long')
    await settle()
    world.advance(2_000)
    expect(await short).toBe('Unreachable')
    sent[0]?.answer([accepted, reply('L')])
    expect(await long).toBe('L')
  })

  it('alone is told that it is pending, as its caller is by PUT', async () => {
    const { sent, ask, firsts } = stage()
    const answer = ask('a')
    await settle()
    sent[0]?.answer([PENDING])
    expect([await answer, firsts]).toEqual([undefined, ['a']])
  })
})

describe('over a channel a call', () => {
  it('goes at once, whatever is out', async () => {
    const { ask, ids } = stage({ isChannelled: true })
    void ask('a')
    await settle()
    void ask('b')
    void ask('c')
    await settle()
    expect(ids()).toEqual(['a', 'b! c!'])
  })

  it('has its answer as soon as it is told, whatever it travels with', async () => {
    const { ask, sent } = stage({ isChannelled: true })
    const [a, b] = [ask('a'), ask('b')]
    await settle()
    sent[0]?.tell(1, reply('B'))
    expect(await b).toBe('B')
    sent[0]?.answer([reply('A'), reply('B')])
    expect(await a).toBe('A')
  })

  it('that Stint does not hold back is not asked again at once, and one that was held back is', async () => {
    const { world, ask, sent, ids } = stage({ isChannelled: true })
    const [early, late] = [ask('a'), ask('b', { waitSeconds: 60 })]
    await settle()
    sent[0]?.tell(0, accepted)
    expect(await early).toBeUndefined()
    world.advance(30_000)
    sent[0]?.tell(1, accepted)
    sent[0]?.answer([accepted, accepted])
    await settle()
    world.advance(1)
    await settle()
    expect(ids()).toEqual(['a! b!', 'b'])
    sent[1]?.fail(new Unreachable('http://stint.example', new Error('cut')))
    expect(await late).toBe('Unreachable')
  })

  it('whose exchange breaks off fails alone with those that were not told', async () => {
    const { ask, sent } = stage({ isChannelled: true })
    const [a, b] = [ask('a'), ask('b')]
    await settle()
    sent[0]?.tell(0, reply('A'))
    sent[0]?.fail(new Unreachable('http://stint.example', new Error('cut')))
    expect([await a, await b]).toEqual(['A', 'Unreachable'])
  })
})

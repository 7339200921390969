// How single items travel over a channel: in two messages at the same time, unless it is said otherwise.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import type { ManyAnswer } from '../../src/client/answer.ts'
import { StintError } from '../../src/client/errors.ts'
import { createSender, type SendingOptions } from '../../src/client/sender.ts'
import { settle } from '../support/engine.ts'
import { virtualWorld } from '../support/virtual-world.ts'

interface Sent {
  readonly texts: readonly string[]
  readonly answer: (items: readonly ManyAnswer<string>[]) => void
  readonly fail: (failure: Error) => void
}

const done = (text: string): ManyAnswer<string> => E.right(text)
const busy: ManyAnswer<string> = E.left(new StintError({ status: 503, code: 'overloaded' }))

const stage = (options: SendingOptions = {}) => {
  const world = virtualWorld()
  const sent: Sent[] = []
  const sender = createSender<string>({
    ...options,
    world,
    who: 'test',
    isChannelled: () => true,
    send: (texts) => new Promise((answer, fail) => sent.push({ texts, answer, fail })),
    onClosed: () => undefined,
  })
  const give = (text: string): Promise<string> =>
    sender.give({ id: text, text }, undefined).then(
      (answer) => answer,
      (failure: Error) => failure.name,
    )
  return { world, sent, sender, give, sizes: () => sent.map(({ texts }) => texts.length) }
}
const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `i${index}`)

describe('items over a channel', () => {
  it('go in two messages, of which Stint reads the second while it stores the first, in their order', async () => {
    const { give, sent, sizes } = stage()
    const given = Promise.all(names(70).map(give))
    await settle()
    expect(sizes()).toEqual([35, 35])
    expect(sent.flatMap(({ texts }) => texts)).toEqual(names(70))
    for (const { texts, answer } of sent) answer(texts.map(done))
    expect(await given).toEqual(names(70))
  })

  it('that are given while two messages are out go together when one of them is answered', async () => {
    const { give, sent, sizes } = stage()
    const given = [...names(2), 'c', 'd', 'e'].map(give)
    await settle()
    expect(sizes()).toEqual([3, 2])
    const more = ['f', 'g', 'h'].map(give)
    await settle()
    expect(sizes()).toEqual([3, 2])
    sent[0]?.answer(sent[0].texts.map(done))
    await settle()
    expect(sizes()).toEqual([3, 2, 3])
    for (const { texts, answer } of sent.slice(1)) answer(texts.map(done))
    await Promise.all([...given, ...more])
  })

  it('go one message after the other where that is asked for', async () => {
    const { give, sent, sizes } = stage({ requestsMax: 1 })
    const given = Promise.all(names(1_100).map(give))
    await settle()
    expect(sizes()).toEqual([1_000])
    sent[0]?.answer(sent[0].texts.map(done))
    await settle()
    sent[1]?.answer(sent[1].texts.map(done))
    await given
    expect(sizes()).toEqual([1_000, 100])
  })

  it('that are refused for the moment are sent again', async () => {
    const { world, give, sent } = stage({ requestsMax: 1 })
    const [a, b] = ['a', 'b'].map(give)
    await settle()
    sent[0]?.answer([busy, done('b')])
    expect(await b).toBe('b')
    await settle()
    world.advance(10_000)
    await settle()
    expect(sent[1]?.texts).toEqual(['a'])
    sent[1]?.answer([done('a')])
    expect(await a).toBe('a')
  })
})

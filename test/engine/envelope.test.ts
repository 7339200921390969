// Ids of events and commands: a repeat has to make the same ones again, on every release, so they are held against another implementation of RFC 9562.
import { v5 } from 'uuid'
import { describe, expect, it } from 'vitest'
import { encodeMeta, uuidV5 } from '../../src/engine/envelope.ts'

const NAMESPACE = '5c7a3a4e-4f0e-4d5b-8f63-6f6a1f4b3e57'

describe('a name-based UUID', () => {
  it.each([
    ['an index', '0'],
    ['nothing', ''],
    ['a work item and a line break', 'ann@example.com\ntask/shop/mail/42\n7'],
    ['letters of two and of three bytes', 'Größe 長さ'],
    ['a name that is longer than what is kept for it', 'x'.repeat(10_000)],
    ['a long name of three bytes a letter', '長'.repeat(1_361)],
  ])('is that of RFC 9562 for %s', (_what, name) => {
    expect(uuidV5(NAMESPACE, name)).toBe(v5(name, NAMESPACE))
  })

  it('has every variant that a hash can lead to', () => {
    for (let n = 0; n < 500; n += 1) expect(uuidV5(NAMESPACE, String(n))).toBe(v5(String(n), NAMESPACE))
  })
})

describe('the metadata of an event', () => {
  const commandId = '0f8fad5b-d9cb-469f-a165-70867728950e'
  const context = { subject: 'ann', actor: 'ann@example.com', commandId }

  it.each([
    ['a command by itself', context, { correlationId: commandId }],
    ['an actor whose name needs escapes', { ...context, actor: 'Ann "\\" \u0001 ü' }, { correlationId: commandId }],
    ['a chain', { ...context, correlationId: '7c9e6679-7425-40de-944b-e07fc1f90ae7' }, { correlationId: '7c9e6679-7425-40de-944b-e07fc1f90ae7' }],
    ['a trace', { ...context, traceparent: '00-ab-cd-01' }, { correlationId: commandId, traceparent: '00-ab-cd-01' }],
    ['a command whose id is no UUID', { ...context, commandId: 'a"b' }, { correlationId: 'a"b' }],
  ])('of %s is JSON that says all of it, and always in the same words', (_what, given, said) => {
    const meta = { actor: given.actor, server: 'here', commandId: given.commandId, ...said, causationId: given.commandId }
    const { traceparent, ...rest } = { traceparent: undefined, ...meta }
    expect(encodeMeta(given, 'here')).toBe(
      JSON.stringify({ actor: rest.actor, server: rest.server, commandId: rest.commandId, correlationId: rest.correlationId, causationId: rest.causationId, traceparent }),
    )
  })

  it('is that of its own server and actor, whoever was asked for before', () => {
    const both = ['one', 'other'].flatMap((server) => ['ann', 'bob'].map((actor) => JSON.parse(encodeMeta({ ...context, actor }, server)) as unknown))
    expect(both).toMatchObject([
      { server: 'one', actor: 'ann' },
      { server: 'one', actor: 'bob' },
      { server: 'other', actor: 'ann' },
      { server: 'other', actor: 'bob' },
    ])
  })
})

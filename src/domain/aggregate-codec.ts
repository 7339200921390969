// Between an event of an aggregate of one version and what is stored of it: its type, the version and JSON text that does not say the type again.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import type { EncodedEvent, UndecodableEvent } from './work-item/codec.ts'

export interface AggregateCodec<Event> {
  /** What is stored of an event. */
  readonly encode: (event: Event) => EncodedEvent
  /** The event that was stored as this type, version and (already parsed) data. */
  readonly decode: (type: string, v: number, data: unknown) => E.Either<UndecodableEvent, Event>
}

/** `noun`: of whom the events tell, for sentences. `codecs`: one for each type; all check without changing. */
export const aggregateCodec = <Event extends { readonly type: string }>(noun: string, version: number, codecs: Readonly<Record<string, t.Mixed>>): AggregateCodec<Event> => ({
  encode: ({ type, ...data }) => ({ type, v: version, data: JSON.stringify(data) }),
  decode: (type, v, data) => {
    const codec = Object.hasOwn(codecs, type) ? codecs[type] : undefined
    if (codec === undefined) return E.left({ reason: 'unknown-type', detail: `Expected a known event of a ${noun}, but it is "${type.slice(0, 60)}".` })
    if (v > version) return E.left({ reason: 'newer-version', detail: `Expected ${type} of version ${version} at most, but it has version ${v}.` })
    if (v !== version) return E.left({ reason: 'invalid', detail: `Expected a version from 1, but ${type} has version ${v}.` })
    const event: unknown = typeof data === 'object' && data !== null ? { ...data, type } : data
    return codec.is(event) ? E.right(event as Event) : E.left({ reason: 'invalid', detail: `Expected ${type} of version ${v} to be sound, but it is not.` })
  },
})

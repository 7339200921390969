// How events lie in EventStoreDB: readable there, exact here, and no larger than they have to be.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEvent, encodeEvent, sizeOnServer } from '../../../src/store/kurrent/event-codec.ts'
import { IDENTITY_STREAM, STINT_PREFIXES, commitOf, positionOf, streamNames } from '../../../src/store/kurrent/streams.ts'
import { auditStream } from '../../../src/domain/audit.ts'
import { streamOf, taskId } from '../../../src/domain/ids.ts'
import { TOKENS_STREAM } from '../../../src/domain/tokens.ts'
import type { EventToAppend } from '../../../src/store/port.ts'
import { sample } from '../../contract/samples.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const POSITION = 'abcdefgh.0000000000000001'

describe('a stored event', () => {
  it('shows its JSON to the projections and pages of the server', () => {
    const stored = encodeEvent(sample(7, { meta: '{"actor":"a","correlationId":"c-1","causationId":"c-2"}' }))
    expect(stored.isJson).toBe(true)
    expect(text(stored.data)).toBe('{"number":7}')
    expect(JSON.parse(text(stored.metadata))).toEqual({
      $correlationId: 'c-1',
      $causationId: 'c-2',
      id: sample(7).id,
      v: 2,
      time: sample(7).time,
      meta: { actor: 'a', correlationId: 'c-1', causationId: 'c-2' },
    })
  })

  it('has its payload behind the JSON, byte for byte, and says how long it is', () => {
    const payload = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const stored = encodeEvent(sample(7, { payload }))
    expect(stored.isJson).toBe(false)
    expect(Buffer.from(stored.data).equals(Buffer.concat([Buffer.from('{"number":7}'), payload]))).toBe(true)
    expect(JSON.parse(text(stored.metadata))).toMatchObject({ payload: 256 })
  })

  it('is made of plain arrays, as the protocol takes a Buffer for something else', () => {
    const { data, metadata } = encodeEvent(sample(1, { payload: Buffer.from('p') }))
    expect([data.constructor, metadata.constructor]).toEqual([Uint8Array, Uint8Array])
  })

  it('costs little more than what it holds', () => {
    const event = sample(1, { payload: new Uint8Array(100_000) })
    const held = event.id.length + event.data.length + event.meta.length + 100_000
    expect(sizeOnServer(encodeEvent(event)) - held).toBeLessThan(100)
  })

  it('is what it was when it is read, whatever it holds', () => {
    const json = fc.jsonValue().map((value) => JSON.stringify(value))
    const spaced = fc.jsonValue().map((value) => JSON.stringify({ ',"meta":': value }, undefined, 2))
    const event = fc.record(
      {
        id: fc.string({ unit: 'grapheme' }),
        type: fc.string({ unit: 'grapheme', minLength: 1 }),
        v: fc.integer(),
        time: fc.maxSafeInteger(),
        data: fc.oneof(json, spaced),
        meta: fc.oneof(json, spaced),
        payload: fc.uint8Array(),
      },
      { requiredKeys: ['id', 'type', 'v', 'time', 'data', 'meta'] },
    )
    fc.assert(
      fc.property(event, (given) => {
        expect(decodeEvent(encodeEvent(given as EventToAppend), 's', POSITION)).toEqual(given)
      }),
    )
  })

  it('that is none of Stint is named, not guessed', () => {
    const strange = { ...encodeEvent(sample(1)), metadata: Uint8Array.from(Buffer.from('{"$correlationId":"c"}')) }
    expect(() => decodeEvent(strange, 'orders-1', POSITION)).toThrow(expect.objectContaining({ kind: 'damaged', message: expect.stringContaining('orders-1') }))
    for (const metadata of ['', '{}', 'no JSON', '{"id":1,"v":1,"time":1,"meta":{}}', '{"id":"i","v":1,"time":0.5,"meta":{}}']) {
      expect(() => decodeEvent({ ...strange, metadata: Uint8Array.from(Buffer.from(metadata)) }, 's', POSITION)).toThrow(expect.objectContaining({ kind: 'damaged' }))
    }
    expect(() => decodeEvent({ ...encodeEvent(sample(1)), data: Uint8Array.of(0xff, 0xfe) }, 's', POSITION)).toThrow(expect.objectContaining({ kind: 'damaged' }))
  })
})

describe('the streams of a store', () => {
  it('are all that the engine writes', () => {
    const names = streamNames(STINT_PREFIXES)
    const written = [streamOf(taskId('app', 'queue', 't')), 'queue-app/queue', 'contract-c', TOKENS_STREAM, auditStream('2030-01-01T00:00:00Z')]
    expect(written.filter((stream) => !names.isOurs(stream))).toEqual([])
    for (const stream of [IDENTITY_STREAM, '$all', '$$workItem-job/1', 'orders-1']) expect(names.isOurs(stream)).toBe(false)
  })

  it('have positions that are ordered as the places of the server are', () => {
    const places = [0n, 9n, 10n, 271n, 1_048_576n, 9_999_999_999_999_999n]
    const positions = places.map((place) => positionOf('abcdefgh', place))
    expect(positions).toEqual(positions.toSorted())
    expect(positions.map(commitOf)).toEqual(places)
  })
})

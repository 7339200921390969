// Who is there, as a function of what servers have said and of the time.
import { describe, expect, it } from 'vitest'
import { decodeServerEvent, encodeServerEvent, evolveServers, nextGoneAt, presentServers, type ServerEvent, type Servers } from '../../src/domain/server.ts'
import { left, right } from '../support/engine.ts'

const joined = (server: string, until: number, instance = `${server}1`): ServerEvent => ({ type: 'ServerJoined', server, instance, url: `http://${server}`, until })
const gone = (server: string, instance = `${server}1`): ServerEvent => ({ type: 'ServerLeft', server, instance })
const after = (...events: readonly ServerEvent[]): Servers => events.reduce(evolveServers, new Map())

describe('the servers of a log', () => {
  it('are there until their term is over, and a little longer for clocks that differ', () => {
    const servers = after(joined('b', 1_000), joined('a', 2_000))
    expect(presentServers(servers, 999, 0)).toEqual(['a', 'b'])
    expect(presentServers(servers, 1_000, 0)).toEqual(['a'])
    expect(presentServers(servers, 1_500, 600)).toEqual(['a', 'b'])
    expect([nextGoneAt(servers, 0, 10), nextGoneAt(servers, 1_500, 10), nextGoneAt(servers, 3_000, 10)]).toEqual([1_010, 2_010, undefined])
  })

  it('are not there any more once they have left', () => {
    expect(presentServers(after(joined('a', 9_000), gone('a')), 0, 0)).toEqual([])
  })

  it('count as what was last said of them, and do not leave with an earlier process of their name', () => {
    const servers = after(joined('a', 1_000), joined('a', 5_000, 'a2'), gone('a', 'a1'))
    expect(servers.get('a')).toEqual({ instance: 'a2', url: 'http://a', until: 5_000 })
  })
})

describe('what is stored of a server', () => {
  it('reads as it was written', () => {
    for (const event of [joined('a', 1_000), gone('a')]) {
      const { type, v, data } = encodeServerEvent(event)
      expect(right(decodeServerEvent(type, v, JSON.parse(data)))).toEqual(event)
    }
  })

  it('keeps its form: version 1 as it was first shipped', () => {
    expect(encodeServerEvent(joined('a', 5))).toEqual({ type: 'ServerJoined', v: 1, data: '{"server":"a","instance":"a1","url":"http://a","until":5}' })
    expect(encodeServerEvent(gone('a'))).toEqual({ type: 'ServerLeft', v: 1, data: '{"server":"a","instance":"a1"}' })
  })

  it('is refused, and named, when this version cannot read it', () => {
    expect(left(decodeServerEvent('ServerFlew', 1, {}))).toMatchObject({ reason: 'unknown-type' })
    expect(left(decodeServerEvent('ServerLeft', 2, {}))).toMatchObject({ reason: 'newer-version' })
    expect(left(decodeServerEvent('ServerLeft', 0, {}))).toMatchObject({ reason: 'invalid' })
    expect(left(decodeServerEvent('ServerLeft', 1, { server: 7 }))).toMatchObject({ reason: 'invalid' })
    expect(left(decodeServerEvent('ServerLeft', 1, 'x'))).toMatchObject({ reason: 'invalid' })
  })
})

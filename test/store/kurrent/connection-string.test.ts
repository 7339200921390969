// What is said of a connection string before anybody tries it, and how much of it is shown.
import { describe, expect, it } from 'vitest'
import { mistakeInConnection } from '../../../src/domain/policy/connection-string.ts'
import { adviceFor, shownConnection } from '../../../src/store/kurrent/connection-string.ts'

describe('a connection string', () => {
  it.each(['esdb://127.0.0.1:2113?tls=false', 'esdb://a:2113,b:2113,c:2113', 'esdb+discover://stint:p%40ss%2Fw@cluster.example:2113?tls=true&tlsCAFile=/etc/stint@home/ca.crt'])(
    'that the client can read has no mistake: %s',
    (given) => {
      expect(mistakeInConnection(given)).toBeUndefined()
    },
  )

  it.each([
    ['http://127.0.0.1:2113', 'Expected esdb://host:2113'],
    ['esdb://', 'Expected esdb://host:2113'],
    ['esdb://?tls=false', 'Expected esdb://host:2113'],
    ['esdb://a:2113, b:2113', 'white space'],
    ['kurrentdb+discover://cluster:2113', 'expected esdb+discover://…'],
    ['esdb://admin:p@ss@a:2113', '@, /, ?, # and %'],
    ['esdb://admin:pa/ss@a:2113', '@, /, ?, # and %'],
    ['esdb://admin:50%@a:2113', '@, /, ?, # and %'],
  ])('is refused with what was expected, and nothing of it: %s', (given, said) => {
    const mistake = mistakeInConnection(given)
    expect(mistake).toContain(said)
    expect(mistake).not.toMatch(/admin|ss@|50/)
  })

  it.each(['esdb://admin:SECRET@a:2113?tls=true', 'esdb://admin:SEC@RET@a:2113?tls=true', 'esdb://admin:SEC/RE?T@a:2113?tls=true'])(
    'is shown without user and password, however they are written: %s',
    (given) => {
      expect(shownConnection(given)).toBe('esdb://…@a:2113?tls=true')
    },
  )
})

describe('the advice about a server that does not answer', () => {
  it('tells TLS that is not there, a certificate that is not trusted, and TLS that may be, from a server that is away', () => {
    const advice = (given: string, words: string): string => adviceFor(given, words)
    expect(advice('esdb://a:2113', 'SSL routines:tls_validate_record_header:wrong version number')).toContain('append tls=false')
    expect(advice('esdb://a:2113', 'self-signed certificate in certificate chain')).toContain('tlsCAFile')
    expect(advice('esdb://a:2113?tls=false', 'ECONNREFUSED')).toContain('is it without TLS as tls=false says?')
    expect(advice('esdb://a:2113', 'ECONNREFUSED')).toBe('is it running, and is the address right?')
  })
})

// The allow-list of URLs, held to every way in which one URL can be made to look like another.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { allowedUrl, isLoopbackUrl, LOOPBACK_PATTERNS, parseUrlPattern, type UrlPattern } from '../../../src/domain/policy/url-pattern.ts'

const pattern = (text: string): UrlPattern => {
  const parsed = parseUrlPattern(text)
  if (E.isLeft(parsed)) throw new Error(`${text}: ${parsed.left}`)
  return parsed.right
}
const patterns = (...texts: readonly string[]): readonly UrlPattern[] => texts.map(pattern)

/** `exact`, `wild`, or why not. */
const verdict = (allowed: readonly UrlPattern[], url: string): string => {
  const found = allowedUrl(allowed, url)
  return E.isLeft(found) ? found.left : found.right.isExact ? 'exact' : 'wild'
}

describe('a pattern', () => {
  it.each([
    ['https://hooks.example.com', { scheme: 'https', host: 'hooks.example.com', isWild: false, port: 443, path: '' }],
    ['http://hooks.example.com/', { scheme: 'http', host: 'hooks.example.com', isWild: false, port: 80, path: '' }],
    ['https://*.example.com/stint/', { scheme: 'https', host: 'example.com', isWild: true, port: 443, path: '/stint/' }],
    ['http://127.0.0.1:*', { scheme: 'http', host: '127.0.0.1', isWild: false, port: 'any', path: '' }],
    ['HTTPS://Hooks.Example.COM.:8443/a/../b', { scheme: 'https', host: 'hooks.example.com', isWild: false, port: 8443, path: '/b' }],
    ['https://bücher.example', { scheme: 'https', host: 'xn--bcher-kva.example', isWild: false, port: 443, path: '' }],
    ['http://[0:0::1]:8080', { scheme: 'http', host: '[::1]', isWild: false, port: 8080, path: '' }],
    ['http://2130706433', { scheme: 'http', host: '127.0.0.1', isWild: false, port: 80, path: '' }],
  ])('is read: %s', (text, expected) => expect(pattern(text)).toEqual(expected))

  it.each([
    '',
    'hooks.example.com',
    'ftp://hooks.example.com',
    'https://',
    'https://*',
    'https://*.',
    'https://**.example.com',
    'https://hooks.*.com',
    'https://example.com/*',
    'https://me@example.com',
    'https://me:secret@example.com',
    'https://example.com?a=1',
    'https://example.com#a',
    'https://example.com:99999',
    'https://example.com:',
    'https://*.0.0.1',
    'https://*.1',
    'https://exa mple.com',
    'https://example.com\\evil',
    'https://example.com/a%2fb',
    'https://[::1',
    'https://256.256.256.256',
  ])('is refused with a sentence: %s', (text) => {
    const parsed = parseUrlPattern(text)
    expect(E.isLeft(parsed) ? parsed.left : parsed.right).toMatch(/^Expected .*\.$/)
  })
})

describe('a URL against the allow-list', () => {
  const LIST = patterns(
    'https://hooks.example.com',
    'https://*.partner.example/stint',
    'http://10.0.0.5:8080',
    'https://bücher.example',
    'http://[fd00::5]',
    'https://any.example:*/in/',
  )

  it.each([
    // Scheme, host, port, path.
    ['https://hooks.example.com', 'exact'],
    ['https://hooks.example.com:443/x?y#z', 'exact'],
    ['http://hooks.example.com/', 'not-listed'],
    ['https://hooks.example.com:8443/', 'not-listed'],
    ['https://example.com/', 'not-listed'],
    ['https://a.hooks.example.com/', 'not-listed'],
    ['https://hooks.example.com.evil.example/', 'not-listed'],
    ['https://any.example:1/in/x', 'exact'],
    ['https://any.example/in', 'not-listed'],
    ['https://any.example/inside', 'not-listed'],
    // Wild hosts.
    ['https://a.partner.example/stint', 'wild'],
    ['https://a.b.partner.example/stint/x', 'wild'],
    ['https://partner.example/stint', 'not-listed'],
    ['https://evilpartner.example/stint', 'not-listed'],
    ['https://a.partner.example/stintx', 'not-listed'],
    ['https://a.partner.example/', 'not-listed'],
    // Paths that lead elsewhere.
    ['https://a.partner.example/stint/../admin', 'not-listed'],
    ['https://a.partner.example/stint/%2e%2e/admin', 'not-listed'],
    ['https://a.partner.example/stint/..%2fadmin', 'not-listed'],
    ['https://a.partner.example/stint/..%5Cadmin', 'not-listed'],
    ['https://a.partner.example/stint\\..\\admin', 'not-listed'],
    // Hosts that are written otherwise.
    ['HTTPS://HOOKS.EXAMPLE.COM/', 'exact'],
    ['https://hooks.example.com./', 'exact'],
    ['https://hooks%2eexample%2ecom/', 'exact'],
    ['https://ｈooks.example.com/', 'exact'],
    ['https://xn--bcher-kva.example/', 'exact'],
    ['https://BÜCHER.example/', 'exact'],
    ['https://bucher.example/', 'not-listed'],
    ['https://hooks.exаmple.com/', 'not-listed'],
    ['http://10.0.0.5:8080/', 'exact'],
    ['http://167772165:8080/', 'exact'],
    ['http://0x0a.0.0.5:8080/', 'exact'],
    ['http://012.0.0.5:8080/', 'exact'],
    ['http://10.5:8080/', 'exact'],
    ['http://10.0.0.5.:8080/', 'exact'],
    ['http://10.0.0.6:8080/', 'not-listed'],
    ['http://[::ffff:10.0.0.5]:8080/', 'not-listed'],
    ['http://[FD00:0::5]/', 'exact'],
    ['http://[fd00::6]/', 'not-listed'],
    // A host that is not the host.
    ['https://hooks.example.com@evil.example/', 'credentials'],
    ['https://me:secret@hooks.example.com/', 'credentials'],
    ['https://:secret@hooks.example.com/', 'credentials'],
    ['https://evil.example/@hooks.example.com', 'not-listed'],
    ['https://evil.example#@hooks.example.com', 'not-listed'],
    ['https://evil.example\\@hooks.example.com', 'not-listed'],
    ['https://hooks.example.com\\@evil.example/', 'exact'],
    ['https://evil.example?https://hooks.example.com', 'not-listed'],
    // Other things.
    ['ftp://hooks.example.com/', 'scheme'],
    ['file:///etc/passwd', 'scheme'],
    ['javascript:alert(1)', 'scheme'],
    ['//hooks.example.com/', 'not-a-url'],
    ['hooks.example.com', 'not-a-url'],
    ['https://', 'not-a-url'],
    ['https://[::1', 'not-a-url'],
    ['', 'not-a-url'],
  ])('%s is %s', (url, expected) => expect(verdict(LIST, url)).toBe(expected))

  it('is called as it was matched, not as it was written', () => {
    const found = allowedUrl(LIST, 'https://hooks.example.com\\@evil.example/')
    expect(E.isRight(found) && found.right).toMatchObject({ href: 'https://hooks.example.com/@evil.example/', host: 'hooks.example.com:443' })
  })

  it('is named exactly as soon as one of the patterns that fit does so', () => {
    const both = patterns('https://*.example.com', 'https://a.example.com/exact')
    expect([verdict(both, 'https://a.example.com/exact/x'), verdict(both, 'https://a.example.com/other')]).toEqual(['exact', 'wild'])
  })

  it('is never allowed by an empty list', () => expect(verdict([], 'http://127.0.0.1/')).toBe('not-listed'))
})

describe('this machine', () => {
  it.each(['http://localhost', 'https://localhost:8443/x', 'http://127.0.0.1:3000', 'http://[::1]:3000/', 'http://LOCALHOST./', 'http://2130706433/'])('is %s', (url) => {
    expect([verdict(LOOPBACK_PATTERNS, url), isLoopbackUrl(url)]).toEqual(['exact', true])
  })

  it.each(['http://localhost.evil.example', 'http://127.0.0.1.evil.example/', 'http://[::ffff:127.0.0.1]/', 'http://0.0.0.0/', 'http://128.0.0.1/', 'nonsense'])(
    'is not %s',
    (url) => {
      expect([verdict(LOOPBACK_PATTERNS, url) === 'exact', isLoopbackUrl(url)]).toEqual([false, false])
    },
  )
})

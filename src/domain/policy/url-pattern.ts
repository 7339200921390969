// Which addresses Stint may call of its own accord: a list of patterns, and the match of one URL against it (rules 30). What a name resolves to is the edge's to look at.
import * as E from 'fp-ts/lib/Either.js'

type Scheme = 'http' | 'https'

/** `https://hooks.example.com`, `https://*.example.com/stint/`, `http://127.0.0.1:*`. */
export interface UrlPattern {
  readonly scheme: Scheme
  /** In the form of the URL standard: lower case, IDNA, no dot at the end, IPv6 in brackets. */
  readonly host: string
  /** Any name below the host, at any depth, and not the host itself. */
  readonly isWild: boolean
  readonly port: number | 'any'
  /** What the path begins with, whole segments of it; empty: any path. */
  readonly path: string
}

/** Why a URL may not be called. */
export type UrlRefusal = 'not-a-url' | 'scheme' | 'credentials' | 'not-listed'

export interface AllowedUrl {
  /** As it will be called. */
  readonly href: string
  /** Host and port, by which calls to one receiver are counted. */
  readonly host: string
  /**
   * A pattern names this very host. Only then may it resolve to an address that is not public: otherwise whoever controls a name under `*.example.com` could point it into
   * the network in which Stint runs, and have Stint call what only machines there should reach.
   */
  readonly isExact: boolean
}

const DEFAULT_PORTS: Readonly<Record<Scheme, number>> = { http: 80, https: 443 }
const PATTERN = /^(https?):\/\/(\*\.)?([^\s/:?#@[\]*\\]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}|\*))?(\/[^\s?#*\\]*)?$/i
const IS_ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[.*\])$/
/** A receiver may read these as `/` and so leave the path that a pattern holds it to. */
const HIDDEN_SLASH = /%(?:2f|5c)/i

const withoutEndDot = (host: string): string => host.replace(/\.$/, '')
const schemeOf = ({ protocol }: URL): Scheme | undefined => (protocol === 'https:' ? 'https' : protocol === 'http:' ? 'http' : undefined)
const portOf = (url: URL, scheme: Scheme): number => (url.port === '' ? DEFAULT_PORTS[scheme] : Number(url.port))

/**
 * Reads a pattern: scheme, host or `*.` host, then maybe a port and the beginning of a path. Without a port it is that of the scheme, `:*` is any; a path means whole
 * segments. Left: a sentence on what was expected.
 */
export const parseUrlPattern = (text: string): E.Either<string, UrlPattern> => {
  const [, scheme = '', wild, host = '', port, path = ''] = PATTERN.exec(text) ?? []
  const plain = `${scheme.toLowerCase()}://${host}${port === undefined || port === '*' ? '' : `:${port}`}${path}`
  if (host === '' || !URL.canParse(plain)) return E.left('Expected a pattern such as https://hooks.example.com, https://*.example.com/stint/ or http://127.0.0.1:*.')
  const url = new URL(plain)
  const known = schemeOf(url)
  if (known === undefined) return E.left('Expected the scheme http or https.')
  if (wild !== undefined && IS_ADDRESS.test(url.hostname)) return E.left('Expected a name behind `*.`, but it is an address.')
  if (HIDDEN_SLASH.test(url.pathname)) return E.left('Expected a path without %2f and %5c.')
  return E.right({
    scheme: known,
    host: withoutEndDot(url.hostname),
    isWild: wild !== undefined,
    port: port === '*' ? 'any' : portOf(url, known),
    path: path === '' || path === '/' ? '' : url.pathname,
  })
}

const fitsPath = (prefix: string, path: string): boolean =>
  prefix === '' || (!HIDDEN_SLASH.test(path) && (path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)))

/** Whether a URL may be called, by a list of patterns. What it resolves to is looked at when it is called. */
export const allowedUrl = (patterns: readonly UrlPattern[], text: string): E.Either<UrlRefusal, AllowedUrl> => {
  if (!URL.canParse(text)) return E.left('not-a-url')
  const url = new URL(text)
  const scheme = schemeOf(url)
  if (scheme === undefined) return E.left('scheme')
  if (url.username !== '' || url.password !== '') return E.left('credentials')
  const host = withoutEndDot(url.hostname)
  const port = portOf(url, scheme)
  const fitting = patterns.filter(
    (pattern) =>
      pattern.scheme === scheme &&
      (pattern.isWild ? host.endsWith(`.${pattern.host}`) : host === pattern.host) &&
      (pattern.port === 'any' || pattern.port === port) &&
      fitsPath(pattern.path, url.pathname),
  )
  if (fitting.length === 0) return E.left('not-listed')
  return E.right({ href: url.href, host: `${host}:${port}`, isExact: fitting.some(({ isWild }) => !isWild) })
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/** Whether the host of a URL is this machine by its very text. */
export const isLoopbackUrl = (text: string): boolean => URL.canParse(text) && LOOPBACK.test(withoutEndDot(new URL(text).hostname))

const loopback = (host: string): readonly UrlPattern[] => [
  { scheme: 'http', host, isWild: false, port: 'any', path: '' },
  { scheme: 'https', host, isWild: false, port: 'any', path: '' },
]

/** This machine: all that a server without auth, which only this machine can reach, may call without being told. */
export const LOOPBACK_PATTERNS: readonly UrlPattern[] = ['localhost', '127.0.0.1', '[::1]'].flatMap(loopback)

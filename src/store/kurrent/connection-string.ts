// What a connection string may say, how it may be shown, and what to look at when nobody answers there. It is looked at before the client sees it: of a setting that it does not know the client
// writes a warning to the terminal, with the whole string and so the password, and of a password that is not encoded it takes a part.
import { StoreOpenError } from '../sqlite/open-error.ts'

/** What the client knows to be set (6.2.1), in its spelling; it takes any case, with or without `-` and `_`. */
const SETTINGS: readonly string[] = [
  'connectionName',
  'defaultDeadline',
  'discoveryInterval',
  'gossipTimeout',
  'keepAliveInterval',
  'keepAliveTimeout',
  'maxDiscoverAttempts',
  'nodePreference',
  'throwOnAppendFailure',
  'tls',
  'tlsCAFile',
  'tlsVerifyCert',
  'userCertFile',
  'userKeyFile',
]

const flat = (name: string): string => name.trim().toLowerCase().replaceAll(/[-_]/g, '')
const KNOWN: ReadonlySet<string> = new Set(SETTINGS.map(flat))

/** As it may be shown: without user and password, also where they are written so that the client misreads them. */
export const shownConnection = (connectionString: string): string => connectionString.replace(/\/\/.*@/s, '//…@')

/** What to look at when the server does not answer, by the words of the failure. */
export const adviceFor = (connectionString: string, words: string): string => {
  if (/wrong version number|packet length too long/i.test(words)) return 'it is reached, but does not speak TLS: append tls=false if that is so'
  if (/certificate|self.signed|unable to verify|altname/i.test(words)) return 'is its authority the one of tlsCAFile, and does its certificate have this name?'
  const isPlain = /[?&]tls=false(?:&|$)/i.test(connectionString)
  return isPlain ? 'is it running, is the address right, and is it without TLS as tls=false says?' : 'is it running, and is the address right?'
}

const refused = (detail: string): StoreOpenError => new StoreOpenError('settings', `The connection string of the store cannot be used: ${detail}`)

const isEncoded = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** Throws StoreOpenError `settings` for what the client would misread, pass over, or show to everybody. */
export const assertConnectionString = (connectionString: string): void => {
  const [, credentials, rest = ''] = /^[^:]+:\/\/(?:(.*)@)?(.*)$/s.exec(connectionString) ?? []
  if (credentials !== undefined && (!/^[^:@]+:[^:@]+$/.test(credentials) || !isEncoded(credentials)))
    throw refused('before the @ stands not one user and one password. Write : @ % in them as %3A %40 %25, and @ behind them too.')
  const at = rest.indexOf('?')
  for (const pair of at === -1 ? [] : rest.slice(at + 1).split('&')) {
    const [name = '', value] = pair.split('=')
    // What is no pair at all the client refuses itself.
    if (value === undefined) continue
    if (!KNOWN.has(flat(name))) throw refused(`"${name.slice(0, 60)}" is no setting of it. Those are: ${SETTINGS.join(', ')}.`)
    if (flat(name) === 'tlsverifycert' && value.trim() === 'false') throw refused('certificates are always verified. Name the authority that signed them with tlsCAFile.')
  }
}

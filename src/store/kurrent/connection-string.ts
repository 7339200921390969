// What a connection string may say, looked at before the client sees it: of what it does not know the client writes a warning to the terminal, with the whole string and so the password, and
// of a password that is not encoded it takes a part.
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

/** As it may be shown: without user and password. A password that was not encoded may hold anything, so all before the last `@` is left out. */
export const shownConnection = (connectionString: string): string => connectionString.replace(/\/\/.*@/s, '//…@')

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

// The connection string as people write it: what is wrong with it before anybody tries it, and how it may be shown.

const ESDB = /^esdb(?:\+discover)?:\/\/[^\s/?#]/
const KURRENT = /^kurrent(?:db)?(\+discover)?:\/\//

/** User and password, as far as they may reach: a password may have any of the marks that end it for the client. */
const CREDENTIALS = /\/\/[^?]*@/

/** As it may be shown: without user and password, also where they are written so that the client misreads them. */
export const shownConnection = (connectionString: string): string => connectionString.replace(/\/\/.*@/s, '//…@')

/** What is wrong with it, in a sentence that repeats nothing of it; undefined: the client may try. */
export const mistakeInConnection = (connectionString: string): string | undefined => {
  const kurrent = KURRENT.exec(connectionString)
  if (kurrent !== null) return `KurrentDB is written like EventStoreDB here: expected esdb${kurrent[1] ?? ''}://… instead.`
  if (/\s/.test(connectionString)) return 'Expected no white space; in a user or password it is written as %20.'
  if (!ESDB.test(connectionString)) return 'Expected esdb://host:2113, esdb://a:2113,b:2113,c:2113 or esdb+discover://name:2113.'
  const credentials = CREDENTIALS.exec(connectionString)?.[0].slice(2, -1)
  if (credentials !== undefined && /[@/#]|%(?![\dA-F]{2})/i.test(credentials)) return 'Expected @, /, ?, # and % in a user or password as %40, %2F, %3F, %23 and %25.'
  return undefined
}

/** What to look at when the server does not answer, by the words of the failure. */
export const adviceFor = (connectionString: string, words: string): string => {
  if (/wrong version number|packet length too long/i.test(words)) return 'it is reached, but does not speak TLS: append tls=false if that is so'
  if (/certificate|self.signed|unable to verify|altname/i.test(words)) return 'is its authority the one of tlsCAFile, and does its certificate have this name?'
  const isPlain = /[?&]tls=false(?:&|$)/i.test(connectionString)
  return isPlain ? 'is it running, is the address right, and is it without TLS as tls=false says?' : 'is it running, and is the address right?'
}

// The address of an EventStoreDB as people write it: what is wrong with it before anybody tries it.

const ESDB = /^esdb(?:\+discover)?:\/\/[^\s/?#]/
const KURRENT = /^kurrent(?:db)?(\+discover)?:\/\//

/** User and password, as far as they may reach: a password may have any of the marks that end it for the client. */
const CREDENTIALS = /\/\/[^?]*@/

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

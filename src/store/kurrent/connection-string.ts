// What is said of a connection string: how it may be shown, and what to look at when nobody answers there.

/** As it may be shown: without user and password, also where they are written so that the client misreads them. */
export const shownConnection = (connectionString: string): string => connectionString.replace(/\/\/.*@/s, '//…@')

/** What to look at when the server does not answer, by the words of the failure. */
export const adviceFor = (connectionString: string, words: string): string => {
  if (/wrong version number|packet length too long/i.test(words)) return 'it is reached, but does not speak TLS: append tls=false if that is so'
  if (/certificate|self.signed|unable to verify|altname/i.test(words)) return 'is its authority the one of tlsCAFile, and does its certificate have this name?'
  const isPlain = /[?&]tls=false(?:&|$)/i.test(connectionString)
  return isPlain ? 'is it running, is the address right, and is it without TLS as tls=false says?' : 'is it running, and is the address right?'
}

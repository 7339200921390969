// Whether messages may go to an address, and with which secrets they are signed there: the same for webhooks of queues and callbacks of requests.
import * as E from 'fp-ts/lib/Either.js'
import { allowedUrl, isLoopbackUrl, type UrlPattern } from '../../domain/policy/url-pattern.ts'
import { parseSecrets, type Secret } from './signature.ts'

export interface Addressees {
  readonly patterns: readonly UrlPattern[]
  /** A variable of the environment, or undefined. */
  readonly secretOf: (name: string) => string | undefined
}

/** The secrets for the address, none for one on this machine that names none; or a sentence on why it may not be called. */
export const secretsFor = (to: { readonly url: string; readonly secretEnv?: string | undefined }, { patterns, secretOf }: Addressees): E.Either<string, readonly Secret[]> => {
  if (E.isLeft(allowedUrl(patterns, to.url))) return E.left('Its URL matches no pattern of the setting allowUrls.')
  if (to.secretEnv === undefined) return isLoopbackUrl(to.url) ? E.right([]) : E.left('It names no secretEnv, and only calls to this machine may go unsigned.')
  const text = secretOf(to.secretEnv)
  if (text === undefined || text === '') return E.left(`The environment of this server has no variable ${to.secretEnv} with its secret.`)
  const secrets = parseSecrets(text)
  return E.isLeft(secrets) ? E.left(`The variable ${to.secretEnv} holds no secret. ${secrets.left}`) : secrets
}

// What can be set about the HTTP side, and what holds when it is not.

export interface JwtSettings {
  /** Where the issuer publishes its keys (JWKS). */
  readonly keysUrl: string
  /** `iss` that tokens must carry. */
  readonly issuer: string
  /** `aud` that tokens must carry. */
  readonly audience: string
}

export interface AuthSettings {
  /** Take tokens that were made with `stint tokens add`. */
  readonly tokens: boolean
  /** Take JWTs of an issuer. */
  readonly jwt?: JwtSettings | undefined
}

export interface ApiSettings {
  /** Neither kind: everybody is `local`, and only loopback addresses can be listened to. */
  readonly auth: AuthSettings
  /** Bytes of a request body, at most. */
  readonly bodyBytesMax: number
  /** Bytes of a body that may carry many items, at most. */
  readonly manyBytesMax: number
  /** Open connections, at most; each idle long poll has one. */
  readonly connectionsMax: number
  /** Clients of the event stream, at most. */
  readonly eventClientsMax: number
  /** Without auth, requests must name a loopback host or one of these in `Host`, so that no web page can reach the server under a name of its own. */
  readonly hosts: readonly string[]
  /** Version of Stint, shown by `/healthz` and the OpenAPI document. */
  readonly version: string
}

const MIB = 1024 * 1024

export const defaultApiSettings: ApiSettings = {
  auth: { tokens: false },
  bodyBytesMax: MIB,
  manyBytesMax: 32 * MIB,
  connectionsMax: 50_000,
  eventClientsMax: 1_000,
  hosts: [],
  version: '0.0.0',
}

export const isAuthConfigured = (auth: AuthSettings): boolean => auth.tokens || auth.jwt !== undefined

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i

/** Whether only this machine can reach the host. */
export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

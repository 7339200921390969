// The two real clients, unmodified, behind one face: googleapis 29, the last with a generated taskqueue, and the current client core, which makes its methods from our discovery document.
// The current googleapis (188) passes `discoverAPI` on to this same core and adds 240 MB of generated APIs, none of them ours; so the core alone is installed.
import { AuthPlus, Discovery } from 'googleapis-common'
import { google } from 'googleapis-29'

/** Parameters of a call; the body under `resource`. */
export type Params = Readonly<Record<string, unknown>>

export interface Answered {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
  readonly data: any
}

/** A refusal as the client hands it on. */
export interface Refused {
  readonly status: number
  readonly reason: string | undefined
  readonly message: string
}

export interface Client {
  /** `tasks.insert` and so on; rejects with what the client throws. */
  readonly call: (method: string, params: Params) => Promise<Answered>
}

export interface ClientUnderTest {
  readonly name: string
  /** @param url of the server, without a slash at its end · @param token the bearer token, if any */
  readonly connect: (url: string, token?: string) => Promise<Client>
}

type Call = (params: Params, options?: { readonly rootUrl: string }) => Promise<Answered>
type Methods = Readonly<Record<string, Readonly<Record<string, Call>>>>

/** The method of a client by its name, called on its resource. */
const callOf = (client: unknown, name: string): Call => {
  const [resource = '', method = ''] = name.split('.')
  const methods = (client as Methods)[resource]
  const call = methods?.[method]
  if (call === undefined) throw new Error(`The client has no ${name}`)
  return call.bind(methods)
}

/** The same of both libraries' OAuth2 clients, of which only the token is used. */
interface Credentials {
  readonly setCredentials: (credentials: { readonly access_token: string }) => void
}

const withToken = <Auth extends Credentials>(auth: Auth, token: string | undefined): { auth?: Auth } => {
  if (token === undefined) return {}
  auth.setCredentials({ access_token: token })
  return { auth }
}

const generated: ClientUnderTest = {
  name: 'googleapis 29',
  connect: async (url, token) => {
    const options = { version: 'v1beta2', ...withToken(new google.auth.OAuth2(), token) }
    const client: unknown = (google as unknown as { readonly taskqueue: (options: object) => unknown }).taskqueue(options)
    return { call: (name, params) => callOf(client, name)(params, { rootUrl: `${url}/` }) }
  },
}

const discovered: ClientUnderTest = {
  name: 'discoverAPI of the current client',
  connect: async (url, token) => {
    const makeClient = await new Discovery({ debug: false, includePrivate: false }).discoverAPI(`${url}/discovery/v1/apis/taskqueue/v1beta2/rest`)
    const { OAuth2 } = new AuthPlus()
    const client: unknown = makeClient(withToken(new OAuth2(), token), { _options: {} })
    return { call: (name, params) => callOf(client, name)(params) }
  },
}

export const clients: readonly ClientUnderTest[] = [generated, discovered]

interface Thrown {
  readonly code?: string | number
  readonly status?: number
  readonly message: string
  readonly errors?: readonly { readonly reason: string }[]
  readonly response?: { readonly status: number; readonly data?: { readonly error?: { readonly errors?: readonly { readonly reason: string }[]; readonly message?: string } } }
}

/** The refusal that a call meets; a call that succeeds is the test's failure. */
export const refused = async (call: Promise<Answered>): Promise<Refused> => {
  let answered: Answered
  try {
    answered = await call
  } catch (thrown) {
    const { code, status, message, errors, response } = thrown as Thrown
    const body = response?.data?.error
    return { status: Number(response?.status ?? status ?? code), reason: (errors ?? body?.errors)?.[0]?.reason, message: body?.message ?? message }
  }
  throw new Error(`Expected a refusal, but was answered ${answered.status}: ${JSON.stringify(answered.data).slice(0, 500)}`)
}

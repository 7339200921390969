// How one exchange travels. On Node through undici's `request`, the client that is underneath `fetch` there: without what `fetch` puts around it for browsers an exchange costs a
// third of the CPU time. Elsewhere through the platform's `fetch`.
import type * as undici from 'undici'

/** What the client reads of an answer; a `Response` is one. */
export interface Answered {
  readonly status: number
  readonly url: string
  readonly type: Response['type']
  readonly headers: Headers
  readonly text: () => Promise<string>
  readonly arrayBuffer: () => Promise<ArrayBuffer>
}

export interface Sent extends RequestInit {
  /** Told of items that are done ahead of the answer, as a JSON text of places and items; the answer then has none. Only channels tell. */
  readonly onPart?: ((text: string) => void) | undefined
}

/** Follows redirections unless told otherwise. The body is a text or bytes. */
export type Transport = (input: string, init: Sent) => Promise<Answered>

const headersOf = (received: Readonly<Record<string, string | readonly string[] | undefined>>): Headers => {
  const headers = new Headers()
  for (const name in received) {
    const value = received[name]
    if (typeof value === 'string') headers.append(name, value)
    else for (const each of value ?? []) headers.append(name, each)
  }
  return headers
}

const overFetch: Transport = (input, init) => globalThis.fetch(input, init)

/** Rare, since Stint itself does not redirect: whatever stands before it was not moved by what it was sent. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** As it is set for the process: an agent, or a proxy that Node or the user has put in its place. */
const overUndici =
  ({ request }: typeof undici): Transport =>
  async (input, init) => {
    const { method = 'GET', headers, body, signal, redirect } = init
    const {
      statusCode,
      headers: received,
      body: content,
    } = await request(input, {
      method: method as 'GET',
      headers: ((headers ?? []) as [string, string][]).flat(),
      body: (body ?? null) as string | Uint8Array | null,
      signal: signal ?? null,
    })
    if (REDIRECTS.has(statusCode) && redirect !== 'manual') {
      await content.dump()
      return overFetch(input, init)
    }
    return {
      status: statusCode,
      url: input,
      type: 'basic',
      headers: headersOf(received),
      text: () => content.text(),
      arrayBuffer: () => content.arrayBuffer(),
    }
  }

/** Whether requests go to where they are addressed: an agent that the process has set may send them elsewhere, or answer them by itself, and knows nothing of other connections. */
export const goesStraight = async (): Promise<boolean> => {
  try {
    const { getGlobalDispatcher } = await import('undici')
    return getGlobalDispatcher().constructor.name === 'Agent'
  } catch {
    // Neither does `fetch` then ask one that could be seen here.
    return true
  }
}

let loading: Promise<Transport> | undefined

/** Bundlers for browsers leave the module out (`browser` in package.json), and where it cannot be loaded `fetch` does. */
const load = async (): Promise<Transport> => {
  try {
    return overUndici(await import('undici'))
  } catch {
    return overFetch
  }
}

export const isNode = (): boolean => typeof globalThis.process?.versions?.node === 'string'

/** The platform's way. */
export const platformTransport: Transport = async (input, init) => (isNode() ? await (loading ??= load()) : overFetch)(input, init)

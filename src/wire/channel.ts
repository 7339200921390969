// The channel: many calls at the same time over one connection, a WebSocket, each as it would be over HTTP. What both sides say to one another and how much of it.
//
//   caller ─▶ {"id":7,"method":"POST","path":"/v1/…","headers":["Idempotency-Key","k"]} ⏎ body
//   caller ◀─ {"id":7,"status":201,"headers":["Stint-Position","…"]} ⏎ body
//   caller ─▶ {"id":8,"cancel":true}      nobody waits for the answer of 8 any more
//   caller ◀─ {"id":9,"part":true} ⏎ [[4,{…}],[0,{…}]]      items of 9 that are answered, by their places
//
// A message is a head, JSON on its first line, and a body: all that follows the line break. Answers come in any order. A call that carries many items and takes parts is told of each
// item as soon as it is done; the answer that ends it then has no items.

/** Where it is opened. */
export const CHANNEL_PATH = '/v1/channel'
/** The subprotocol that is asked for. */
export const CHANNEL_PROTOCOL = 'stint.v1'
/** Bytes of one message from the caller, at most: larger bodies travel by HTTP, so that the others need not wait for them. */
export const CHANNEL_MESSAGE_BYTES_MAX = 1024 * 1024
/** Bytes of the head of such a message, as of the headers of a request; beyond, the call is refused as `headers-too-large`. */
export const CHANNEL_HEAD_BYTES_MAX = 16 * 1024
/** Calls of one channel that are under way, at most; beyond, they are refused as `overloaded`. */
export const CHANNEL_CALLS_MAX = 10_000
/** Bytes of their bodies together, at most; beyond, they are refused as `overloaded` too. */
export const CHANNEL_BODIES_BYTES_MAX = 32 * 1024 * 1024

/** Names and values in turn. */
export type FlatHeaders = readonly string[]

/** What stands in the request that opens the channel, `Authorization`, `Stint-As` and `Host`, holds for every call that does not say otherwise. */
export interface CallHead {
  /** A whole number that no other call of the channel has that is under way. */
  readonly id: number
  readonly method: string
  /** Under `/v1/`, with its query, percent-encoded as in a request. */
  readonly path: string
  /** `Content-Type: application/json` is meant where a body comes without one. */
  readonly headers?: FlatHeaders | undefined
  /** The items of a call that carries many are answered in parts. */
  readonly parts?: true | undefined
}

export interface CancelHead {
  readonly id: number
  readonly cancel: true
}

export interface AnswerHead {
  readonly id: number
  readonly status: number
  /** `Connection: close` among them: the server stops, and the next call had better go elsewhere. */
  readonly headers: FlatHeaders
}

export interface PartHead {
  readonly id: number
  readonly part: true
}
/** Items with their places, in the order in which they were done. */
export type Parts = readonly (readonly [index: number, item: unknown])[]

const LINE_BREAK = '\n'

export const messageOf = (head: CallHead | CancelHead | AnswerHead | PartHead, body = ''): string => `${JSON.stringify(head)}${LINE_BREAK}${body}`

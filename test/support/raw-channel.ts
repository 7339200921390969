// A channel as somebody would write it who has read its format and nothing else: what is sent is sent as it is, also what no client should.
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { CHANNEL_PATH, CHANNEL_PROTOCOL } from '../../src/wire/channel.ts'

export interface ChannelAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

export interface Said {
  readonly headers?: readonly unknown[]
  readonly body?: string | Buffer
}

export interface RawChannel {
  readonly socket: WebSocket
  /** Sends a call under the next id; resolves with its answer, rejects when the channel is gone before. */
  readonly ask: (method: string, path: string, said?: Said) => Promise<ChannelAnswer>
  /** The same, with the id that it was sent under. */
  readonly begin: (method: string, path: string, said?: Said) => { readonly id: number; readonly answer: Promise<ChannelAnswer> }
  readonly cancel: (id: number) => void
  /** As it is. */
  readonly send: (message: string | Buffer) => void
  /** Resolves with the answer to a call that was sent by `send`. */
  readonly answerTo: (id: number) => Promise<ChannelAnswer>
  /** Code and reason of its end. */
  readonly closed: Promise<readonly [number, string]>
}

const answerFrom = (message: Buffer): { readonly id: number; readonly answer: ChannelAnswer } => {
  const at = message.indexOf('\n')
  const { id, status, headers } = JSON.parse(message.toString('utf8', 0, at)) as { id: number; status: number; headers: string[] }
  const named = new Map<string, string>()
  for (let index = 0; index < headers.length; index += 2) named.set((headers[index] as string).toLowerCase(), headers[index + 1] as string)
  return { id, answer: { status, headers: named, body: message.subarray(at + 1) } }
}

export const messageFor = (id: unknown, method: unknown, path: unknown, { headers, body = '' }: Said = {}): Buffer =>
  Buffer.concat([Buffer.from(`${JSON.stringify({ id, method, path, headers })}\n`), Buffer.from(body)])

const opened: WebSocket[] = []

/** Cuts whatever the tests have opened; call it in `afterEach`. */
export const cutChannels = (): void => {
  for (const socket of opened.splice(0)) socket.terminate()
}

/** Rejects when it is refused, with the status in the message. */
export const openRawChannel = async (port: number, headers: Readonly<Record<string, string>> = {}): Promise<RawChannel> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${CHANNEL_PATH}`, [CHANNEL_PROTOCOL], { headers })
  opened.push(socket)
  const waiting = new Map<number, PromiseWithResolvers<ChannelAnswer>>()
  let ids = 0
  const closed = new Promise<readonly [number, string]>((resolve) => {
    socket.once('close', (code, reason) => {
      resolve([code, reason.toString()])
      for (const { reject } of waiting.values()) reject(new Error(`closed with ${code}`))
      waiting.clear()
    })
  })
  await once(socket, 'open')
  socket.on('error', () => undefined)
  socket.on('message', (data: Buffer) => {
    const { id, answer } = answerFrom(data)
    waiting.get(id)?.resolve(answer)
    waiting.delete(id)
  })
  const answerTo = (id: number): Promise<ChannelAnswer> => {
    const answer = Promise.withResolvers<ChannelAnswer>()
    // Whoever awaits it later must not find it unhandled before.
    answer.promise.catch(() => undefined)
    waiting.set(id, answer)
    return answer.promise
  }
  const begin: RawChannel['begin'] = (method, path, said) => {
    const id = (ids += 1)
    const answer = answerTo(id)
    socket.send(messageFor(id, method, path, said))
    return { id, answer }
  }
  return {
    socket,
    ask: (method, path, said) => begin(method, path, said).answer,
    begin,
    cancel: (id) => socket.send(`${JSON.stringify({ id, cancel: true })}\n`),
    send: (message) => socket.send(message),
    answerTo,
    closed,
  }
}

// oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into field by field
export const bodyOf = (answer: ChannelAnswer): any => JSON.parse(answer.body.toString())
export const codeOf = (answer: ChannelAnswer): string => bodyOf(answer).code

/** Resolves when the server has read what was sent before. */
export const answered = async (channel: RawChannel): Promise<void> => void (await channel.ask('GET', '/v1/nothing'))

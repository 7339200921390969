// The callers' side of a measurement: an HTTP client over bare sockets, since Node's own costs more per request than the server that is measured, and callers that each ask again when they are answered.
import { connect, type Socket } from 'node:net'
import { quantile } from './row.ts'

export interface Answer {
  readonly status: number
  readonly header: (name: string) => string | undefined
  readonly body: string
}

interface Asked {
  readonly text: string
  readonly answered: (answer: Answer) => void
  readonly failed: (cause: Error) => void
}

/** One connection that answers one request at a time, in order. */
interface Line {
  readonly socket: Socket
  asked: Asked | undefined
  received: Buffer
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const BODILESS = new Set([204, 304])

/** The answer at the front of what was received, once it is whole. It must say its Content-Length: nothing here sends chunks. */
const takeAnswer = (line: Line): Answer | undefined => {
  const end = line.received.indexOf(END_OF_HEAD)
  if (end === -1) return undefined
  const head = line.received.toString('latin1', 0, end)
  const header = (name: string): string | undefined => new RegExp(`\r\n${name}: *([^\r]*)`, 'i').exec(head)?.[1]
  const status = Number(head.slice(9, 12))
  const length = BODILESS.has(status) ? 0 : Number(header('content-length') ?? Number.NaN)
  if (Number.isNaN(length)) throw new Error(`An answer without Content-Length: ${head}`)
  const from = end + END_OF_HEAD.length
  if (line.received.length < from + length) return undefined
  const body = line.received.toString('utf8', from, from + length)
  line.received = line.received.subarray(from + length)
  return { status, header, body }
}

export type Call = (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>

export interface Client {
  /** Rejects when the connection breaks. */
  readonly call: Call
  readonly close: () => void
}

/** A keep-alive client of at most so many connections, opened when they are needed; more requests wait for one. */
export const httpClient = (url: string, sockets: number): Client => {
  const { hostname, port } = new URL(url)
  const lines = new Set<Line>()
  const free: Line[] = []
  const queue: Asked[] = []
  let isClosed = false

  const ask = (line: Line, asked: Asked): void => {
    line.asked = asked
    line.socket.write(asked.text)
  }
  const next = (line: Line): void => {
    const asked = queue.shift()
    line.asked = undefined
    if (asked === undefined) free.push(line)
    else ask(line, asked)
  }
  const broken = (line: Line): void => {
    lines.delete(line)
    const at = free.indexOf(line)
    if (at !== -1) free.splice(at, 1)
    line.asked?.failed(new Error('The connection broke before the answer was there'))
  }
  const open = (): Line => {
    const line: Line = { socket: connect({ host: hostname, port: Number(port), noDelay: true }), asked: undefined, received: Buffer.alloc(0) }
    lines.add(line)
    line.socket.on('data', (part: Buffer) => {
      line.received = line.received.length === 0 ? part : Buffer.concat([line.received, part])
      const answer = takeAnswer(line)
      if (answer === undefined) return
      const { asked } = line
      next(line)
      asked?.answered(answer)
    })
    // What the error says comes again as the close that follows it.
    line.socket.on('error', () => undefined)
    line.socket.on('close', () => broken(line))
    return line
  }

  const call: Call = (method, path, body, headers = {}) =>
    new Promise((answered, failed) => {
      if (isClosed) return failed(new Error('The client is closed'))
      const text = body === undefined ? '' : JSON.stringify(body)
      let head = `${method} ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n`
      for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`
      if (body !== undefined) head += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`
      const asked: Asked = { text: `${head}\r\n${text}`, answered, failed }
      const line = free.pop()
      if (line !== undefined) ask(line, asked)
      else if (lines.size < sockets) ask(open(), asked)
      else queue.push(asked)
    })

  return {
    call,
    close: () => {
      isClosed = true
      for (const { socket } of lines) socket.destroy()
    },
  }
}

/** The same call, an error unless it is answered with this status. */
export const expecting = async (status: number, answer: Promise<Answer>): Promise<Answer> => {
  const got = await answer
  if (got.status !== status) throw new Error(`Expected ${status}, got ${got.status}: ${got.body.slice(0, 1_000)}`)
  return got
}

export interface Measured {
  readonly perSecond: number
  /** Milliseconds from asking to the answer. */
  readonly p50: number
  readonly p99: number
  readonly worst: number
  readonly count: number
}

/** So many callers, each asking again when it was answered, for so long. */
export const closedLoop = async (callers: number, seconds: number, call: (caller: number) => Promise<unknown>): Promise<Measured> => {
  const began = performance.now()
  const until = began + seconds * 1_000
  const took: number[] = []
  const run = async (caller: number): Promise<void> => {
    while (performance.now() < until) {
      const asked = performance.now()
      await call(caller)
      took.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => run(caller)))
  const lasted = (performance.now() - began) / 1_000
  return { perSecond: took.length / lasted, p50: quantile(took, 0.5), p99: quantile(took, 0.99), worst: quantile(took, 1), count: took.length }
}

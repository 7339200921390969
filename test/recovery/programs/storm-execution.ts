// One execution of a request in a storm, wherever it runs: an effect outside first, then a reply that no other execution would make, said until it is answered. The server that it
// is said to is killed every second.
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pause, realWorld } from '../../../src/world.ts'

/** In the directory of a storm: a line for each effect, and one for each answer to a reply. */
export const EFFECTS_FILE = 'effects.txt'
export const TOLD_FILE = 'told.txt'

export interface Execution {
  readonly contract: string
  readonly caller: string
  readonly id: string
  readonly lease: string
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Buffer
}

const SIZE_MIN = 16
/** From the smallest to the largest; small ones are as frequent as large ones on a scale of magnitudes. */
const SIZE_SPAN = 1_024
const STATUSES = [200, 201, 404, 409, 500] as const

const randomBytesOf = (size: number): Buffer => Buffer.from(realWorld.token(Math.ceil((size * 4) / 3)), 'base64url')

/** Replies of every kind: JSON or bytes, of any size and status. */
const makeReply = (): Reply => {
  const size = Math.floor(SIZE_MIN * SIZE_SPAN ** realWorld.random())
  const isJson = realWorld.random() < 0.5
  const bytes = isJson ? Buffer.from(JSON.stringify({ made: realWorld.token(size) })) : randomBytesOf(size)
  return {
    status: STATUSES[Math.floor(realWorld.random() * STATUSES.length)] ?? 200,
    headers: { 'content-type': isJson ? 'application/json' : 'application/octet-stream', 'storm-mark': realWorld.token(8) },
    bytes,
  }
}

export interface Answer {
  readonly status: number
  readonly position: string
  readonly body: unknown
}

const LOOK_MS = 30

let away: Promise<void> | undefined

/** Resolves when somebody answers. Only one looks, however many wait: a server that starts has better things to do than to refuse connections. */
const untilBack = (origin: string): Promise<void> => {
  const look = async (): Promise<void> => {
    for (;;) {
      await pause(realWorld, LOOK_MS)
      try {
        const answer = await fetch(`${origin}/healthz`)
        await answer.arrayBuffer()
        away = undefined
        return
      } catch {
        // Not yet.
      }
    }
  }
  return (away ??= look())
}

/** Says it again, word for word, until somebody answers. */
export const sayUntilAnswered = async (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> => {
  for (;;) {
    try {
      const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) })
      const said: unknown = await answer.json()
      if (answer.status !== 503) return { status: answer.status, position: answer.headers.get('stint-position') ?? '', body: said }
    } catch {
      // Nobody there, or cut off in the middle: whether it was done is not known.
    }
    await untilBack(new URL(url).origin)
  }
}

export interface Executed {
  readonly reply: Reply
  /** What Stint answered to it, and what that means: only a recorded reply is the reply. */
  readonly answer: Answer
  readonly told: 'recorded' | 'late' | 'refused'
}

/** Executes and replies. Each effect and each answer is noted in a file to which several processes write: a line is there as soon as it is so, whoever is killed then. */
export const openExecutions = (url: string, directory: string): ((execution: Execution) => Promise<Executed>) => {
  const effects = openSync(join(directory, EFFECTS_FILE), 'a')
  const answers = openSync(join(directory, TOLD_FILE), 'a')
  return async ({ contract, caller, id, lease }) => {
    const name = `request/${contract}/${caller}/${id} ${lease.split('.')[0]}`
    writeSync(effects, `${name}\n`)
    const reply = makeReply()
    const { status, headers, bytes } = reply
    // JSON travels as JSON, so that both ways are taken.
    const content = headers['content-type'] === 'application/json' ? { body: JSON.parse(bytes.toString('utf8')) as unknown } : { bodyBase64: bytes.toString('base64') }
    const answer = await sayUntilAnswered(`${url}/v1/contracts/${contract}/requests/${id}/reply`, { lease, caller, reply: { status, headers, ...content } })
    if (answer.status !== 200 && answer.status !== 409) throw new Error(`A reply was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    const isLate = (answer.body as { readonly late?: boolean }).late === true
    const told = answer.status === 409 ? 'refused' : isLate ? 'late' : 'recorded'
    writeSync(answers, `${name} ${told} ${answer.position}\n`)
    return { reply, answer, told }
  }
}

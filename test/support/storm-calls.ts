// The callers of a storm: so many in flight, each request called once and duplicates of any that was called before, now and then with other content under the same id. Each asks
// until it has its reply, and every answer that was read to its end is kept.
import { pause, realWorld } from '../../src/world.ts'
import type { Exchange, SeenReply, Told } from './request-history.ts'

export interface CallsOptions {
  readonly requests: number
  readonly duplicates: number
  readonly inFlight: number
  readonly random: () => number
  readonly targetOf: (number: number) => { readonly workItem: string; readonly url: string }
  /** Resolves when the server is there. */
  readonly pass: () => Promise<void>
  readonly onReply?: (calls: number) => void
}

export interface Calls {
  readonly done: Promise<void>
  readonly replies: () => number
  readonly pending: () => readonly string[]
  /** Calls that got no answer, or half of one. */
  readonly cut: () => number
  /** Requests whose reply was given in two ways, which nobody needs a log to see. */
  readonly contradicted: () => readonly string[]
  readonly exchanges: () => readonly Exchange[]
}

/** Of the calls. */
const OTHER_CONTENT_SHARE = 0.02
/** Of the duplicates, those of one of the latest requests: most of these are still pending. */
const FRESH_SHARE = 0.4
const FRESH = 100
const WAIT_SECONDS = 5
/** Much longer than any answer takes; whoever gets none is cut off. */
const PATIENCE_MS = 60_000
const AGAIN_MS = 10

const bodyOf = (number: number): string => JSON.stringify({ number, text: `request ${number}` })
const OTHER_BODY = JSON.stringify({ text: 'something else' })

interface Planned {
  readonly number: number
  /** Once it has its reply, other content is sent under its id. */
  readonly isOther: boolean
}

/** Which request is called when: each once, and duplicates among them, of what was called before. */
function* plan({ requests, duplicates, random }: CallsOptions): Generator<Planned> {
  let called = 0
  for (let left = requests + duplicates; left > 0; left -= 1) {
    const isFirst = called === 0 || random() * left < requests - called
    const latest = random() < FRESH_SHARE ? Math.max(0, called - FRESH) : 0
    const number = isFirst ? called : latest + Math.floor(random() * (called - latest))
    if (isFirst) called += 1
    yield { number, isOther: random() < OTHER_CONTENT_SHARE }
  }
}

/** Answers after which the same call is made again; of all others there is none that a storm may give. */
const AGAIN: ReadonlySet<string> = new Set(['accepted', 'pending', 'stale-lease', 'settled', 'store-unavailable', 'stopping', 'overloaded', 'lagging'])

const HANDLERS_HEADERS = ['content-type', 'storm-mark'] as const

export const openCalls = (options: CallsOptions): Calls => {
  const { inFlight, targetOf, pass, onReply } = options
  const exchanges: Exchange[] = []
  const kept = new Map<string, SeenReply>()
  const pending = new Map<object, string>()
  const contradicted = new Set<string>()
  let replies = 0
  let cut = 0

  /** One reply is kept once, however often it was given. */
  const keptReply = (workItem: string, reply: SeenReply): SeenReply => {
    const first = kept.get(workItem)
    if (first === undefined) kept.set(workItem, reply)
    else if (first.status === reply.status && JSON.stringify(first.headers) === JSON.stringify(reply.headers) && Buffer.compare(first.body, reply.body) === 0) return first
    else contradicted.add(workItem)
    return reply
  }

  const toldBy = (workItem: string, answer: Response, body: Buffer): Told['told'] | { readonly reply: SeenReply } => {
    if (answer.headers.has('stint-release')) {
      const headers = HANDLERS_HEADERS.map((name) => [name, answer.headers.get(name) ?? ''] as const)
      return { reply: keptReply(workItem, { status: answer.status, headers, body }) }
    }
    return answer.status === 202 ? 'accepted' : (JSON.parse(body.toString('utf8')) as { readonly code: string }).code
  }

  /** One exchange; undefined when it was cut off. */
  const exchange = async (number: number, isOther: boolean): Promise<Told | undefined> => {
    const { workItem, url } = targetOf(number)
    const sentAt = realWorld.monotonic()
    const said = { workItem, fingerprint: isOther ? 'other' : 'right', sentAt }
    try {
      const headers = { 'Content-Type': 'application/json', Prefer: `wait=${WAIT_SECONDS}` }
      const answer = await fetch(url, { method: 'PUT', headers, body: isOther ? OTHER_BODY : bodyOf(number), signal: AbortSignal.timeout(PATIENCE_MS) })
      const body = Buffer.from(await answer.arrayBuffer())
      const told = toldBy(workItem, answer, body)
      const common = { at: realWorld.monotonic(), position: answer.headers.get('stint-position') ?? '', isReplayed: answer.headers.has('idempotency-replayed') }
      const heard: Told = typeof told === 'string' ? { ...common, told } : { ...common, told: 'reply', reply: told.reply }
      exchanges.push(heard.position === '' ? said : { ...said, answer: heard })
      return heard
    } catch (cause) {
      if (cause instanceof SyntaxError) throw cause
      exchanges.push(said)
      cut += 1
      return undefined
    }
  }

  /** Asks until there is a reply, or, for other content, until it is refused. What is given in place of the other is final too, and for the judge. */
  const until = async (number: number, isOther: boolean): Promise<void> => {
    for (;;) {
      const heard = await exchange(number, isOther)
      if (heard?.told === 'reply' || heard?.told === 'fingerprint-mismatch') return
      if (heard !== undefined && !AGAIN.has(heard.told)) throw new Error(`Request ${number} was answered ${heard.told} at ${heard.position}`)
      await pass()
      if (heard === undefined) await pause(realWorld, AGAIN_MS)
    }
  }

  const planned = plan(options)
  const caller = async (): Promise<void> => {
    for (const { number, isOther } of planned) {
      const me = {}
      pending.set(me, `r-${number}`)
      await until(number, false)
      if (isOther) await until(number, true)
      pending.delete(me)
      replies += 1
      onReply?.(replies)
    }
  }

  return {
    done: Promise.all(Array.from({ length: inFlight }, caller)).then(() => undefined),
    replies: () => replies,
    pending: () => [...pending.values()],
    cut: () => cut,
    contradicted: () => [...contradicted],
    exchanges: () => exchanges,
  }
}

// The end of the log as it grows: one filtered subscription to $all for the whole process, whose newest events are kept at hand for all who follow the log. It
// is resumed from where it was, by its last event or checkpoint, whatever ends it; so nothing is missed and nothing comes twice.
import { pause, type Cancel, type World } from '../../world.ts'
import { StoreFault, type RecordedEvent } from '../port.ts'
import { commits, type Commits } from '../subscription.ts'
import type { Connection } from './connection.ts'
import { recordedOf } from './log-reader.ts'
import type { KurrentReach } from './reach.ts'
import { eventOf, subscriptionRequest } from './read-requests.ts'
import { commitOf, isSystemEvent, type StreamNames } from './streams.ts'

/** Newest events that are kept. Who is further behind reads pages. */
export interface TailLimits {
  /** 4,096. */
  readonly events: number
  /** 16 MiB. */
  readonly bytes: number
}

export const TAIL_LIMITS: TailLimits = { events: 4_096, bytes: 16 * 1024 * 1024 }

export interface TailOptions {
  readonly connection: Connection
  readonly world: World
  readonly names: StreamNames
  readonly incarnation: string
  readonly limits: TailLimits
  /** Where the log ends now. */
  readonly end: () => Promise<bigint>
  readonly reach: Pick<KurrentReach, 'sure' | 'doubted' | 'failed' | 'holds'>
}

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000
/** A subscription that stands still for so long before an append that was acknowledged is taken to be dead, though its connection lives. */
const STANDSTILL_MS = 10_000

const weightOf = ({ data, meta, payload }: RecordedEvent): number => data.length + meta.length + (payload?.byteLength ?? 0)

export class Tail {
  readonly #options: TailOptions
  readonly #ending = new AbortController()
  readonly #kept: RecordedEvent[] = []
  #bytes = 0
  /** Everything after it is kept; undefined before the first connection. */
  #from: bigint | undefined
  /** Where to go on: the last event or checkpoint. */
  #resume: bigint | undefined
  #isCurrent = false
  /** Place of the newest append of this process: it has to be shown. */
  #expected = 0n
  #cancelWatch: Cancel | undefined
  /** Ends the subscription that runs, which is then begun anew. */
  #leave: (() => void) | undefined
  #damage: StoreFault | undefined
  #running: Promise<void> | undefined
  /** Tells of each event and of each change of `isCurrent`. */
  readonly news: Commits = commits()

  constructor(options: TailOptions) {
    this.#options = options
  }

  /** Begins to follow, unless it does already. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Whether it is connected and has seen the end of the log since. */
  isCurrent(): boolean {
    return this.#isCurrent
  }

  /** Why it cannot go on: an event that no Stint can read. */
  damage(): StoreFault | undefined {
    return this.#damage
  }

  /** An append of this process was stored at this place. */
  expects(commit: bigint): void {
    if (commit > this.#expected) this.#expected = commit
    if (this.#resume !== undefined && this.#resume < this.#expected && this.#cancelWatch === undefined && !this.#ending.signal.aborted) this.#watch(this.#resume)
  }

  /** The kept events after a place, oldest first; undefined if there may be others before them. */
  after(place: bigint): readonly RecordedEvent[] | undefined {
    if (this.#from === undefined || place < this.#from) return undefined
    let [low, high] = [0, this.#kept.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (commitOf((this.#kept[middle] as RecordedEvent).position) <= place) low = middle + 1
      else high = middle
    }
    return this.#kept.slice(low)
  }

  async close(): Promise<void> {
    this.#ending.abort()
    this.#cancelWatch?.()
    this.news.end()
    await this.#running
  }

  async #run(): Promise<void> {
    const { world } = this.#options
    const { signal } = this.#ending
    let wait = FIRST_PAUSE_MS
    while (!signal.aborted && this.#damage === undefined) {
      try {
        await this.#follow(() => (wait = FIRST_PAUSE_MS))
      } catch (error) {
        // Whatever it was, it is tried again: who waits for news has no other way to hear of it. Reads tell what the matter is.
        if (error instanceof StoreFault && error.kind === 'damaged') this.#damage = error
      }
      this.#isCurrent = false
      this.news.announce()
      this.#options.reach.doubted()
      this.#options.reach.failed()
      if (this.#damage !== undefined) return
      await pause(world, wait * (0.5 + world.random() / 2), signal)
      wait = Math.min(LONGEST_PAUSE_MS, wait * 2)
    }
  }

  async #follow(onProgress: () => void): Promise<void> {
    const { connection, names, incarnation, end, reach } = this.#options
    await reach.sure()
    if (this.#resume === undefined) {
      const from = await end()
      this.#from = from
      this.#resume = from
    }
    const leaving = new AbortController()
    this.#leave = () => leaving.abort()
    await connection.read(subscriptionRequest(connection.library, { from: this.#resume, filter: names.filter }), {
      signal: AbortSignal.any([this.#ending.signal, leaving.signal]),
      onMessage: (message) => {
        if (message.hasCaughtUp()) {
          onProgress()
          this.#isCurrent = true
          this.news.announce()
          return
        }
        const checkpoint = message.getCheckpoint()
        if (checkpoint !== undefined) {
          this.#passed(BigInt(checkpoint.getCommitPosition()))
          return
        }
        const event = eventOf(message)
        if (event === undefined || event.commit <= (this.#resume ?? 0n)) return
        reach.holds(event)
        if (names.isOurs(event.stream) && !isSystemEvent(event.type)) this.#keep(recordedOf(event, incarnation))
        this.#passed(event.commit)
      },
    })
  }

  #passed(commit: bigint): void {
    if (this.#resume === undefined || commit > this.#resume) this.#resume = commit
    if (this.#resume < this.#expected) return
    this.#cancelWatch?.()
    this.#cancelWatch = undefined
  }

  /** Whoever does not hear of his own appends hears of nobody's. */
  #watch(from: bigint): void {
    this.#cancelWatch = this.#options.world.timer(STANDSTILL_MS, () => {
      this.#cancelWatch = undefined
      if (this.#resume === undefined || this.#resume >= this.#expected) return
      if (this.#resume === from) this.#leave?.()
      this.#watch(this.#resume)
    })
  }

  #keep(event: RecordedEvent): void {
    const { events, bytes } = this.#options.limits
    this.#kept.push(event)
    this.#bytes += weightOf(event)
    if (this.#kept.length > events || this.#bytes > bytes) this.#forgetHalf()
    this.news.announce()
  }

  /** Half at a time: one by one, each event would move all others. */
  #forgetHalf(): void {
    const gone = this.#kept.splice(0, Math.ceil(this.#kept.length / 2))
    for (const event of gone) this.#bytes -= weightOf(event)
    const last = gone.at(-1)
    if (last !== undefined) this.#from = commitOf(last.position)
  }
}

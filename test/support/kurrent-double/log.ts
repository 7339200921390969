// The log of the double: streams, revisions, positions and metadata as EventStoreDB 23.10 keeps them, in memory. What is asserted of it was met on a real
// server or read in its source; where the two clients see it differently, the wire's view counts.

/** What an append or deletion expects of its stream. */
export type Expected = bigint | 'any' | 'noStream' | 'streamExists'

export interface NewEvent {
  readonly id: string
  readonly type: string
  readonly contentType: string
  readonly data: Uint8Array
  readonly metadata: Uint8Array
}

export interface StoredEvent extends NewEvent {
  readonly stream: string
  readonly revision: number
  /** Commit and prepare position: one number, as events are not written in explicit transactions. */
  readonly position: bigint
  /** Ticks of 100 ns since 1970. */
  readonly created: bigint
}

export type Written =
  | { readonly kind: 'stored'; readonly revision: number; readonly position: bigint }
  | { readonly kind: 'conflict'; readonly actual: number }
  | { readonly kind: 'deleted' }
  /** What is there at the same revision has these ids, and no majority yet: the server says nothing, and the client is to ask again. */
  | { readonly kind: 'dropped' }

export type StreamRead = { readonly kind: 'events'; readonly events: readonly StoredEvent[] } | { readonly kind: 'notFound' } | { readonly kind: 'deleted' }

interface Stream {
  readonly events: StoredEvent[]
  isTombstoned: boolean
}

/** Bytes of a record around its event. */
const RECORD_BYTES = 120
/** `$tb` of a stream that was deleted softly. */
const DELETED = Number.MAX_SAFE_INTEGER

/** What the server counts against its limit for one append. 23.10 counts data only, by a slip; others count all, so the double is strict. */
export const sizeOf = ({ type, data, metadata }: NewEvent): number => data.byteLength + metadata.byteLength + 2 * type.length

export class DoubleLog {
  readonly #all: StoredEvent[] = []
  readonly #streams = new Map<string, Stream>()
  /** The server's cache of event ids; a restart loses it. */
  readonly #known = new Map<string, { readonly stream: string; readonly revision: number }>()
  readonly #listeners = new Set<() => void>()
  #now: () => number
  #end = 0n
  /** How many events a majority of the cluster has; undefined: all. */
  #replicated: number | undefined
  readonly #waiting: (() => void)[] = []

  constructor(now: () => number) {
    this.#now = now
    // A new server writes an epoch and system events of its own before anybody's.
    this.#end = 271n
    this.#write('$$$users', [
      { id: '00000000-0000-4000-8000-0000000000a1', type: '$metadata', contentType: 'application/json', data: Buffer.from('{}'), metadata: Buffer.alloc(0) },
    ])
    this.#write('$users', [
      { id: '00000000-0000-4000-8000-0000000000a2', type: '$UserAdded', contentType: 'application/json', data: Buffer.from('"admin"'), metadata: Buffer.alloc(0) },
    ])
  }

  /** The log as it is now, as a backup keeps it: what is appended to one is not in the other. */
  copy(): DoubleLog {
    const copy = new DoubleLog(this.#now)
    copy.#all.splice(0, copy.#all.length, ...this.#all)
    copy.#streams.clear()
    for (const [name, { events, isTombstoned }] of this.#streams) copy.#streams.set(name, { events: [...events], isTombstoned })
    copy.#end = this.#end
    return copy
  }

  /** Sets the clock by which events are dated from now on. */
  setClock(now: () => number): void {
    this.#now = now
  }

  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** From now on no majority is there: what is appended counts for what comes after it, and is neither shown nor answered. */
  loseMajority(): void {
    this.#replicated ??= this.#all.length
  }

  /** The majority is back, and has everything. */
  findMajority(): void {
    this.#replicated = undefined
    for (const listener of this.#listeners) listener()
    for (const run of this.#waiting.splice(0)) run()
  }

  /** Runs it as soon as a majority has everything that is there now. */
  whenReplicated(run: () => void): void {
    if (this.#replicated === undefined) run()
    else this.#waiting.push(run)
  }

  append(stream: string, expected: Expected, events: readonly NewEvent[]): Written {
    const kept = this.#streams.get(stream)
    if (this.#isTombstoned(stream)) return { kind: 'deleted' }
    const last = (kept?.events.length ?? 0) - 1
    const repeated = this.#repeated(stream, expected, last, events)
    if (repeated !== undefined) return repeated
    if (!this.#isExpected(stream, expected, last)) return { kind: 'conflict', actual: last }
    // An empty append is checked and writes nothing; the answer names revision 0 all the same.
    if (events.length === 0) return { kind: 'stored', revision: Math.max(0, last), position: this.#end }
    if (this.#isSoftlyDeleted(stream)) this.#setMetadata(stream, { $tb: last + 1 })
    this.#write(stream, events)
    const written = this.#streams.get(stream)?.events.at(-1)
    if (written === undefined) throw new Error('Nothing was written')
    for (const listener of this.#listeners) listener()
    return { kind: 'stored', revision: written.revision, position: written.position }
  }

  /** Hides what is there; the next append goes on with the numbers. */
  deleteSoftly(stream: string, expected: Expected): Written {
    const last = this.lastRevision(stream)
    if (this.#streams.get(stream)?.isTombstoned === true) return { kind: 'deleted' }
    if (last === -1 || !this.#isExpected(stream, expected, last)) return { kind: 'conflict', actual: last }
    this.#setMetadata(stream, { $tb: DELETED })
    return { kind: 'stored', revision: last, position: this.#all.at(-1)?.position ?? 0n }
  }

  tombstone(stream: string, expected: Expected): Written {
    const last = this.lastRevision(stream)
    if (this.#streams.get(stream)?.isTombstoned === true) return { kind: 'deleted' }
    if (!this.#isExpected(stream, expected, last)) return { kind: 'conflict', actual: last }
    this.#write(stream, [
      { id: '00000000-0000-4000-8000-0000000000a3', type: '$streamDeleted', contentType: 'application/octet-stream', data: Buffer.alloc(0), metadata: Buffer.alloc(0) },
    ])
    const kept = this.#streams.get(stream)
    if (kept !== undefined) kept.isTombstoned = true
    for (const listener of this.#listeners) listener()
    return { kind: 'stored', revision: last, position: this.#all.at(-1)?.position ?? 0n }
  }

  readStream(stream: string, from: bigint | 'start' | 'end', count: number, isBackwards: boolean): StreamRead {
    const kept = this.#streams.get(stream)
    if (this.#isTombstoned(stream)) return { kind: 'deleted' }
    if (kept === undefined || kept.events.length === 0 || this.#isSoftlyDeleted(stream)) return { kind: 'notFound' }
    const first = this.#firstLeft(stream, kept)
    const visible = kept.events.filter((event) => event.revision >= first && this.#isShown(event))
    if (visible.length === 0 && kept.events.every((event) => !this.#isShown(event))) return { kind: 'notFound' }
    if (isBackwards) {
      const start = from === 'end' ? Number.MAX_SAFE_INTEGER : from === 'start' ? 0 : Number(from)
      return {
        kind: 'events',
        events: visible
          .filter(({ revision }) => revision <= start)
          .toReversed()
          .slice(0, count),
      }
    }
    const start = from === 'start' ? 0 : from === 'end' ? Number.MAX_SAFE_INTEGER : Number(from)
    return { kind: 'events', events: visible.slice(Math.max(0, start - first)).slice(0, count) }
  }

  /** Where events from this position on begin in the log; a position between two is that of the next. */
  indexFrom(position: bigint): number {
    let [low, high] = [0, this.#all.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#all[middle] as StoredEvent).position < position) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether a reader can begin here: at a record, or beyond the end. A real server fails on anything else, as it reads bytes there. */
  isRecord(position: bigint): boolean {
    return position === 0n || position >= this.#end || this.#all[this.indexFrom(position)]?.position === position
  }

  at(index: number): StoredEvent | undefined {
    return index < this.length ? this.#all[index] : undefined
  }

  /** Of what is shown. */
  get length(): number {
    return this.#replicated ?? this.#all.length
  }

  lastRevision(stream: string): number {
    return (this.#streams.get(stream)?.events.length ?? 0) - 1
  }

  /** A restart: the cache of ids is empty, the log is what it was. */
  forgetIds(): void {
    this.#known.clear()
  }

  /** Takes out of `$all` what no stream shows any more. */
  scavenge(): void {
    const left = this.#all.filter(({ stream, revision }) => {
      const kept = this.#streams.get(stream)
      return kept === undefined || (!kept.isTombstoned && revision >= this.#firstLeft(stream, kept)) || revision === kept.events.length - 1
    })
    this.#all.splice(0, this.#all.length, ...left)
  }

  #isShown({ position }: StoredEvent): boolean {
    const firstHidden = this.#replicated === undefined ? undefined : this.#all[this.#replicated]
    return firstHidden === undefined || position < firstHidden.position
  }

  /** With a stream its metadata is deleted for good too. */
  #isTombstoned(stream: string): boolean {
    return this.#streams.get(stream)?.isTombstoned === true || (stream.startsWith('$$') && this.#isTombstoned(stream.slice(2)))
  }

  #isExpected(stream: string, expected: Expected, last: number): boolean {
    if (expected === 'any') return true
    if (expected === 'noStream') return last === -1 || this.#isSoftlyDeleted(stream)
    return expected === 'streamExists' ? last >= 0 : expected === BigInt(last)
  }

  /** The same ids again where they were: the first answer again. With the current revision they are new. */
  #repeated(stream: string, expected: Expected, last: number, events: readonly NewEvent[]): Written | undefined {
    const [first] = events
    if (first === undefined) return undefined
    if (expected === 'any' || expected === 'streamExists') {
      const known = this.#known.get(first.id)
      return known?.stream === stream ? this.#originalOf(stream, known.revision + events.length - 1) : undefined
    }
    const at = expected === 'noStream' ? -1 : Number(expected)
    if (at >= last) return undefined
    const kept = this.#streams.get(stream)?.events ?? []
    return events.every(({ id }, index) => kept[at + 1 + index]?.id === id) ? this.#originalOf(stream, at + events.length) : undefined
  }

  #originalOf(stream: string, revision: number): Written {
    const original = this.#streams.get(stream)?.events[revision]
    if (original !== undefined && !this.#isShown(original)) return { kind: 'dropped' }
    return original === undefined ? { kind: 'conflict', actual: this.lastRevision(stream) } : { kind: 'stored', revision, position: original.position }
  }

  #metadata(stream: string): Readonly<Record<string, unknown>> {
    const last = this.#streams.get(`$$${stream}`)?.events.at(-1)
    return last === undefined ? {} : (JSON.parse(Buffer.from(last.data).toString()) as Record<string, unknown>)
  }

  #setMetadata(stream: string, metadata: Readonly<Record<string, unknown>>): void {
    this.#write(`$$${stream}`, [
      { id: '00000000-0000-4000-8000-0000000000a4', type: '$metadata', contentType: 'application/json', data: Buffer.from(JSON.stringify(metadata)), metadata: Buffer.alloc(0) },
    ])
  }

  #isSoftlyDeleted(stream: string): boolean {
    return this.#metadata(stream)['$tb'] === DELETED
  }

  #firstLeft(stream: string, { events }: Stream): number {
    const { $tb: before, $maxCount: most } = this.#metadata(stream)
    return Math.max(typeof before === 'number' ? before : 0, typeof most === 'number' ? events.length - most : 0)
  }

  #write(stream: string, events: readonly NewEvent[]): void {
    const kept = this.#streams.get(stream) ?? { events: [], isTombstoned: false }
    this.#streams.set(stream, kept)
    const created = BigInt(this.#now()) * 10_000n
    for (const event of events) {
      const stored = { ...event, stream, revision: kept.events.length, position: this.#end, created }
      kept.events.push(stored)
      this.#all.push(stored)
      this.#known.set(event.id, { stream, revision: stored.revision })
      this.#end += BigInt(RECORD_BYTES + stream.length + sizeOf(event))
    }
  }
}

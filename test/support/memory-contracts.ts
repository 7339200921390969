// The contract in memory, for tests of the middleware alone: it keeps what it promises, says when something became durable, and can be told to fail.
import type { Begun, ContractStore, Execution, Kept, Refused, Reply, ReplyHead, ReplyInfo, UnkeptReply } from '../../src/embedded/contract-store.ts'

interface Entry {
  readonly fingerprint: string
  readonly workItem: string
  state: 'running' | 'waiting' | 'replied' | 'not-kept' | 'interrupted' | 'aborted' | 'released'
  attempt: number
  reply?: Reply
  unkept?: UnkeptReply | ReplyHead
  abort?: AbortController
}

export interface MemoryContracts extends ContractStore {
  readonly entry: (id: string, caller?: string) => Entry | undefined
  /** What became durable, in order: `accepted <id>`, `replied <id>`, `passing <id>`, `passed <id>`, `undone <id>`, `broken <id>`. */
  readonly log: string[]
  /** Resolves when the log has this line. */
  readonly logged: (line: string) => Promise<void>
  /** As an administrator does it. */
  readonly abort: (id: string) => void
  /** As if the process had been killed: its leases end without a word. */
  readonly crash: () => void
}

export interface MemoryOptions {
  readonly replyBytesMax?: number
  readonly requestBytesMax?: number
  readonly policy?: ReplyInfo['policy']
  readonly onInterrupted?: 'retry' | 'fail'
  /** Runs before anything becomes durable; what it waits for is the disk. */
  readonly disk?: (line: string) => Promise<void>
  /** Told at the moment when something has become durable. */
  readonly onDurable?: (line: string) => void
}

const FENCED: Refused = { type: 'refused', status: 409, code: 'stale-lease', detail: 'Another execution has the request.' }

export const memoryContracts = ({
  replyBytesMax = 1_048_576,
  requestBytesMax = 1_048_576,
  policy = 'none-required',
  onInterrupted = 'retry',
  ...options
}: MemoryOptions = {}): MemoryContracts => {
  const entries = new Map<string, Entry>()
  const log: string[] = []
  const listeners = new Set<() => void>()
  const infoOf = (entry: Entry): ReplyInfo => ({ workItem: entry.workItem, policy, ...(policy === 'required' ? {} : { expiresAt: 1_900_000_000_000 }) })

  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  const until = (isSo: () => boolean, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!isSo() && signal?.aborted !== true) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      signal?.addEventListener('abort', look, { once: true })
      look()
    })
  const durable = async (line: string, change?: () => void): Promise<void> => {
    await options.disk?.(line)
    change?.()
    log.push(line)
    options.onDurable?.(line)
    changed()
  }

  const settledOf = (entry: Entry): Begun | undefined => {
    switch (entry.state) {
      case 'replied':
        return entry.reply === undefined ? undefined : { type: 'replay', reply: entry.reply, info: infoOf(entry) }
      case 'not-kept':
        return { type: 'not-kept', status: entry.unkept?.status ?? 0, info: infoOf(entry) }
      case 'interrupted':
      case 'aborted':
        return { type: 'settled', code: entry.state, detail: 'It settled without a reply.' }
      case 'released':
        return { type: 'released' }
      case 'running':
      case 'waiting':
        return undefined
    }
  }

  const executionOf = (id: string, entry: Entry): Execution => {
    entry.attempt += 1
    entry.state = 'running'
    const abort = new AbortController()
    entry.abort = abort
    const { attempt } = entry
    const isCurrent = (): boolean => entry.attempt === attempt && (entry.state === 'running' || entry.state === 'not-kept')
    const settle = async (line: string, change: () => void): Promise<Kept | Refused> => {
      if (!isCurrent()) return FENCED
      await durable(`${line} ${id}`, change)
      return { type: 'kept', info: infoOf(entry) }
    }
    return {
      info: infoOf(entry),
      attempt,
      signal: abort.signal,
      reply: (reply) => settle('replied', () => Object.assign(entry, { state: 'replied', reply })),
      pass: (unkept) => settle('passing', () => Object.assign(entry, { state: 'not-kept', unkept })),
      passed: (unkept) => settle('passed', () => Object.assign(entry, { unkept })),
      giveUp: async (how) => {
        if (!isCurrent() || entry.state === 'not-kept') return
        entry.state = how === 'broken' && onInterrupted === 'fail' ? 'interrupted' : 'waiting'
        await durable(`${how} ${id}`)
      },
    }
  }

  return {
    log,
    logged: (line) => until(() => log.includes(line)),
    entry: (id, caller = 'everyone') => entries.get(`${caller}/${id}`),
    abort: (id) => {
      const entry = entries.get(`everyone/${id}`)
      if (entry === undefined) return
      entry.state = 'aborted'
      entry.abort?.abort(new Error('aborted by an administrator'))
      changed()
    },
    crash: () => {
      for (const entry of entries.values()) if (entry.state === 'running') entry.state = 'waiting'
    },
    replyBytesMax,
    requestBytesMax,
    begin: async ({ caller, id, fingerprint, waitMs, signal }) => {
      const key = `${caller}/${id}`
      const first = entries.get(key)
      if (first === undefined) {
        const entry: Entry = { fingerprint, workItem: `request/test/${caller}/${id}`, state: 'waiting', attempt: 0 }
        entries.set(key, entry)
        const execution = executionOf(id, entry)
        await durable(`accepted ${id}`)
        return { type: 'execute', execution }
      }
      if (first.fingerprint !== fingerprint) return { type: 'mismatch', firstAt: 1_700_000_000_000 }
      if (waitMs > 0) await until(() => first.state !== 'running', signal)
      if (first.state === 'waiting') return { type: 'execute', execution: executionOf(id, first) }
      return settledOf(first) ?? { type: 'pending', workItem: first.workItem, retryAfterSeconds: 1 }
    },
    release: async ({ caller, id }) => {
      const entry = entries.get(`${caller}/${id}`)
      if (entry === undefined) return 'not-found'
      if (entry.state === 'running' || entry.state === 'waiting') return 'pending'
      entry.state = 'released'
      return 'released'
    },
    close: async () => undefined,
  }
}

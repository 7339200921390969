// Reads what is on a connection, as it comes.
import type { ReadReq } from '@eventstore/db-client/generated/streams_pb.js'
import type { Connection } from './connection.ts'
import { eventOf, type WireEvent } from './read-requests.ts'

/** Silence of a read of one stream that is a failure. */
const STREAM_SILENCE_MS = 5_000
/** Reads at a time. A server takes about a hundred calls on one connection, and lets the rest wait behind them. */
const READS_MAX = 32

/** Lets so many in at a time; the others wait in order. */
const gate = (max: number): (<Answer>(run: () => Promise<Answer>) => Promise<Answer>) => {
  let inside = 0
  const waiting: (() => void)[] = []
  return async (run) => {
    if (inside >= max) await new Promise<void>((resolve) => waiting.push(resolve))
    else inside += 1
    try {
      return await run()
    } finally {
      const next = waiting.shift()
      if (next === undefined) inside -= 1
      else next()
    }
  }
}

/** What is read of a connection, as it came. */
export interface WireReader {
  readonly read: (request: ReadReq, silenceMs?: number) => Promise<readonly WireEvent[]>
}

export const wireReader = (connection: Connection): WireReader => {
  const through = gate(READS_MAX)
  return {
    read: (request, silenceMs = STREAM_SILENCE_MS) =>
      through(async () => {
        const events: WireEvent[] = []
        await connection.read(request, {
          silenceMs,
          onMessage: (message) => {
            const event = eventOf(message)
            if (event !== undefined) events.push(event)
          },
        })
        return events
      }),
  }
}

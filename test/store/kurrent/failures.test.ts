// What the words and codes mean that were met with a real EventStoreDB 23.10.6 and the client 6.2.1, alone and in a cluster whose nodes were killed, stopped and left without a majority.
import { describe, expect, it } from 'vitest'
import { kindOfFailure, type FailureKind } from '../../../src/store/kurrent/failures.ts'

const met: readonly (readonly [FailureKind, string, { readonly code?: number; readonly type?: string }])[] = [
  ['unsent', 'Failed to discover after 10 attempts.', {}],
  ['unsent', '14 UNAVAILABLE: Channel closed before call started', { code: 14 }],
  ['unsent', '14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED 127.0.0.1:2113', { code: 14 }],
  ['transient', '14 UNAVAILABLE: Connection dropped', { code: 14 }],
  ['transient', '14 UNAVAILABLE: read ECONNRESET', { code: 14 }],
  ['transient', '14 UNAVAILABLE: Server Is Not Ready', { code: 14 }],
  ['transient', 'Could not recognize Server Is Not Ready', { type: 'unknown' }],
  ['transient', '5 NOT_FOUND: Leader info available', { code: 5, type: 'not-leader' }],
  ['transient', '13 INTERNAL: Received RST_STREAM with code 2', { code: 13 }],
  ['transient', '10 ABORTED: Operation timed out: Consumer too slow to handle event while live. Client resubscription required.', { code: 10 }],
  ['deleted', '9 FAILED_PRECONDITION: Event stream is deleted.', { code: 9, type: 'stream-deleted' }],
  ['bad-position', '2 UNKNOWN: Unexpected FilteredReadAllResult: Error', { code: 2 }],
]

describe('a failure that was met with a real server', () => {
  for (const [kind, message, rest] of met) {
    it(`is ${kind}: ${message}`, () => {
      expect(kindOfFailure(Object.assign(new Error(message), rest))).toBe(kind)
    })
  }
})

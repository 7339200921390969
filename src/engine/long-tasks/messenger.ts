// Tells nodes by call what is wanted of an operation that they have: a directive, or that it is over here and to be aborted. One try: whoever it does not reach learns the
// same from the answer to its next report, and from what is found when its list is gone through.
import * as E from 'fp-ts/lib/Either.js'
import { parseWorkItemId, type WorkItemId } from '../../domain/ids.ts'
import { isHeld, surfaceState, type WorkItem } from '../../domain/work-item/state.ts'
import { createSlots } from '../delivery/slots.ts'
import type { Live } from '../live.ts'
import { registeredIn, type NodeBook } from './node-book.ts'
import type { NodeCalls, SentDirective } from './node-calls.ts'
import { isGivenOut, type GivenOut } from './node-index.ts'

export interface Messenger {
  /** Something has happened to it that its node has to hear of. */
  readonly changed: (workItem: WorkItemId, before: WorkItem, after: GivenOut) => void
  /** Tells what is wanted of it now, if anything is; `item` is as it stands. */
  readonly tell: (workItem: WorkItemId, item: GivenOut) => void
  readonly stop: () => void
  /** Resolves when no call is under way. */
  readonly close: () => Promise<void>
}

/** Calls at once, to one node and to all together. They do not wait behind operations that are being sent. */
const PER_NODE = 8
const AT_ONCE = 64

export const idOf = (workItem: WorkItemId): string => {
  const parsed = parseWorkItemId(workItem)
  return E.isRight(parsed) ? parsed.right.id : workItem
}

/** What the node is to do with an operation that it has. What is over here counts as the directive after the last. */
const wantedOf = (item: GivenOut): SentDirective | undefined => {
  const { receipt, operation, will } = item
  const { lease } = operation
  if (item.status === 'settled') {
    // Its node has said so itself.
    if (item.ended?.digest !== undefined) return undefined
    const cause = item.cause === undefined ? '' : ` (${item.cause})`
    return { lease, number: (receipt?.number ?? 0) + 1, directive: 'abort', reason: `It is over here: ${surfaceState(item)}${cause}.` }
  }
  if (!isHeld(item) || receipt === undefined) return undefined
  const { number, reason } = receipt
  if (will !== 'normal') return { lease, number, directive: will, reason }
  return receipt.directive === 'resume' ? { lease, number, directive: 'resume', reason } : undefined
}

/** It was in the hands of its node, which is not known to have lost it. */
const isTakenFromIt = (before: WorkItem, after: GivenOut): boolean => isHeld(before) && after.status === 'settled' && after.failure?.code !== 'gone'

const isNewlyWanted = (before: WorkItem, after: GivenOut): boolean =>
  isHeld(after) && after.receipt !== undefined && (before.status === 'absent' || before.receipt?.number !== after.receipt.number || (!isHeld(before) && after.will !== 'normal'))

export const createMessenger = (options: {
  readonly live: Live
  readonly book: NodeBook
  readonly calls: Pick<NodeCalls, 'direct'>
  /** The node gave no answer, or does not know of what it should have. */
  readonly onDoubt: (node: string) => void
}): Messenger => {
  const { live, book, calls, onDoubt } = options
  const slots = createSlots({ perKey: PER_NODE, total: AT_ONCE })
  const stopped = new AbortController()
  /** What is being told now; true: more has been wanted since. */
  const telling = new Map<WorkItemId, boolean>()
  const running = new Set<Promise<void>>()

  const call = async (workItem: WorkItemId, item: GivenOut, wanted: SentDirective): Promise<void> => {
    const { node: name } = item.operation
    const node = registeredIn(book, name)
    if (node === undefined) return
    const release = await slots.take(name, stopped.signal)
    if (release === undefined) return
    const answer = await calls.direct(node.facts, idOf(workItem), wanted).finally(release)
    const isUnknown = answer.type === 'answered' && answer.status === 404 && item.status !== 'settled'
    if (answer.type === 'no-answer' || isUnknown) onDoubt(name)
  }

  /** One call after another for each operation, so that what is wanted last arrives last. */
  const inTurn = async (workItem: WorkItemId, first: GivenOut): Promise<void> => {
    let told = 0
    for (let item: GivenOut | undefined = first; item !== undefined && !stopped.signal.aborted;) {
      telling.set(workItem, false)
      const wanted = wantedOf(item)
      if (wanted !== undefined && wanted.number !== told) await call(workItem, item, wanted)
      told = wanted?.number ?? told
      const now = live.get(workItem)?.item
      item = telling.get(workItem) === true && isGivenOut(now) ? now : undefined
    }
  }

  const tell: Messenger['tell'] = (workItem, item) => {
    if (stopped.signal.aborted) return
    if (telling.has(workItem)) {
      telling.set(workItem, true)
      return
    }
    telling.set(workItem, false)
    const run: Promise<void> = inTurn(workItem, item).finally(() => {
      telling.delete(workItem)
      running.delete(run)
    })
    running.add(run)
  }

  return {
    changed: (workItem, before, after) => {
      if (isTakenFromIt(before, after) || isNewlyWanted(before, after)) tell(workItem, after)
    },
    tell,
    stop: () => stopped.abort(),
    close: async () => {
      await Promise.allSettled(running)
    },
  }
}

// What was leased and has not begun: begun in the order in which it came, as soon as a handler is free for it, unless the worker is busy or closed, or it has been stopped meanwhile.
import { AbortRequested } from './errors.ts'
import type { HeldItem, LeasedItem } from './held-item.ts'

export interface BeginningsSetting<Leased extends LeasedItem> {
  readonly isFree: () => boolean
  readonly isClosing: () => boolean
  readonly isBusy: () => boolean | Promise<boolean>
  readonly run: (item: HeldItem<Leased>) => unknown
  readonly giveBack: (item: HeldItem<Leased>, said: { readonly reason: string; readonly busy?: boolean }) => void
  /** It was stopped before it began. */
  readonly drop: (item: HeldItem<Leased>, reason: unknown) => void
}

export interface Beginnings<Leased extends LeasedItem> {
  readonly add: (items: readonly HeldItem<Leased>[]) => void
  /** Begins what there are handlers for; once the worker is closed, gives the rest back. */
  readonly flush: () => void
}

/** The abort that came while it waited here; one that it was leased with is its handler's to hear of, which may have to undo what an earlier attempt did. */
const abortedSince = ({ leased, held }: HeldItem): AbortRequested | undefined => {
  // The signal is made when it is asked for, which most tasks are too short for.
  if (leased.directive === 'abort' || held.directive !== 'abort') return undefined
  const reason: unknown = held.signal.reason
  return reason instanceof AbortRequested ? reason : undefined
}

export const createBeginnings = <Leased extends LeasedItem>({ isFree, isClosing, isBusy, run, giveBack, drop }: BeginningsSetting<Leased>): Beginnings<Leased> => {
  const ready: HeldItem<Leased>[] = []
  let isBeginning = false

  const begin = (item: HeldItem<Leased>, isTooMuch: boolean): void => {
    if (item.isGivenBack) return
    const stopped = item.held.stopReason() ?? abortedSince(item)
    if (isClosing()) giveBack(item, { reason: 'The worker was closed before it was begun.' })
    else if (stopped !== undefined) drop(item, stopped)
    else if (isTooMuch) giveBack(item, { reason: 'The worker is busy.', busy: true })
    else run(item)
  }

  /** All in one turn if it can, so that what ends at once travels together. */
  const beginAll = async (): Promise<void> => {
    while (isFree() || isClosing()) {
      const item = ready.shift()
      if (item === undefined) break
      const answer = !isClosing() && isBusy()
      begin(item, typeof answer === 'boolean' ? answer : await answer)
    }
    isBeginning = false
  }

  const flush = (): void => {
    if (isBeginning) return
    isBeginning = true
    void beginAll()
  }

  return {
    add: (items) => {
      ready.push(...items)
      flush()
    },
    flush,
  }
}

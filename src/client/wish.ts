// What the administrator wants of a job or task that is in the hands of this process, and those who wait for it to change.
import type { Receipt } from '../wire/items.ts'
import type { AnswerOf } from '../wire/route.ts'
import type { askJobDirective } from '../wire/jobs.ts'
import { AbortRequested } from './errors.ts'

export type Directive = 'normal' | 'pause' | 'abort'
export type DirectiveAnswer = AnswerOf<typeof askJobDirective>

export const abortOf = ({ number, by, reason }: Receipt): AbortRequested => new AbortRequested(number, by, reason)

export const createWish = () => {
  let directive: Directive = 'normal'
  let receipt: Receipt | undefined
  let refused = 0
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const go of [...waiting]) go()
  }
  return {
    now: (): Directive => (receipt !== undefined && receipt.number === refused ? 'normal' : directive),
    receipt: (): Receipt | undefined => receipt,
    told: (answer: DirectiveAnswer): void => {
      const number = answer.receipt?.number ?? 0
      if (number < (receipt?.number ?? 0)) return
      directive = answer.directive
      receipt = answer.receipt ?? receipt
      wake()
    },
    refuse: (): number | undefined => {
      if (receipt === undefined || directive === 'normal' || receipt.number === refused) return undefined
      refused = receipt.number
      wake()
      return refused
    },
    changed: (): Promise<void> =>
      new Promise((resolve) => {
        const go = (): void => {
          waiting.delete(go)
          resolve()
        }
        waiting.add(go)
      }),
    wake,
  }
}

export type Wish = ReturnType<typeof createWish>

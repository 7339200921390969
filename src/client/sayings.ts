// What a handler says of its progress, checked, and passed on only when it says something new.
import { progress as progressCodec, reportFields, type Progress } from '../wire/items.ts'
import type { Outbox } from './outbox.ts'
import { valid } from './validity.ts'

export const createSayings = (outbox: Outbox, onChange: () => void) => {
  let phase: string | undefined
  let progress = ''
  const say = (report: Parameters<Outbox['add']>[0]): void => {
    outbox.add(report)
    onChange()
  }
  return {
    say,
    phase: (name: string): void => {
      const next = valid(reportFields.optional.phase, name)
      if (next === phase) return
      phase = next
      say({ phase: next })
    },
    progress: (given: number | Progress): void => {
      const next = valid(progressCodec, typeof given === 'number' ? { fraction: given } : given)
      const text = JSON.stringify(next)
      if (text === progress) return
      progress = text
      say({ progress: next })
    },
  }
}

// What it means for the engine that its log cannot be used for a while, and that its clock and the store's do not agree (rules 17).
//
// While the log cannot be reached nobody is judged: whoever holds a lease may have spoken where it could not be recorded. When it can be reached again, what was silent or over meanwhile gets
// the same grace as after a standstill. A server whose clock is off takes no timers; over a shared log the next in rank does.
import type { Reach, Trouble } from '../store/port.ts'
import type { Check } from './findings.ts'

/** What the clock of a server may be off by, in milliseconds. */
export const CLOCK_OFF_MAX_MS = 1_000

export interface StoreWatch {
  readonly trouble: () => Trouble | undefined
  /** Nothing is said by time alone. */
  readonly isOff: () => boolean
  readonly checks: () => readonly Check[]
  /** `lost` when what is asked begins to be refused; `reached` when the log can be reached again; `resumed` after it, and when the clock is right again: what time says is said again. */
  readonly begin: (on: { readonly lost: (reason: string) => void; readonly reached: () => void; readonly resumed: () => void }) => void
}

/** @param reach undefined: the log fails for good or not at all */
export const createStoreWatch = (reach: Reach | undefined): StoreWatch => {
  const trouble = (): Trouble | undefined => reach?.trouble()
  const isClockOff = (): boolean => Math.abs(reach?.clockOffMs?.() ?? 0) > CLOCK_OFF_MAX_MS
  const isOff = (): boolean => trouble() !== undefined || isClockOff()

  const clockCheck = (): readonly Check[] => {
    const off = reach?.clockOffMs?.()
    if (off === undefined) return []
    if (!isClockOff()) return [{ name: 'clock', ok: true }]
    const detail = `The clock of this machine is ${(Math.abs(off) / 1_000).toFixed(1)} s ${off > 0 ? 'ahead of' : 'behind'} the store's: this server takes no timers until it is set.`
    return [{ name: 'clock', ok: false, detail }]
  }

  return {
    trouble,
    isOff,
    checks: clockCheck,
    begin: ({ lost, reached, resumed }) => {
      let wasTroubled = trouble() !== undefined
      let wasOff = isOff()
      let wasRefusing = false
      const tellLoss = (): void => {
        const now = trouble()
        const isRefusing = now?.isRefusing === true
        if (now !== undefined && isRefusing && !wasRefusing) lost(now.reason)
        wasRefusing = isRefusing
      }
      tellLoss()
      reach?.onChange(() => {
        tellLoss()
        const isBack = wasTroubled && trouble() === undefined
        const isOn = (wasOff || isBack) && !isOff()
        wasTroubled = trouble() !== undefined
        wasOff = isOff()
        if (isBack) reached()
        if (isOn) resumed()
      })
    },
  }
}

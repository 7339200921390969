// Methods of a response that are replaced for a while, on the response itself, between those of the middleware before and after.

export interface Methods {
  /** Has `run` in a method's place until it is over; then calls go to what was there before. */
  readonly replace: (name: string, run: (args: unknown[]) => unknown) => void
  /** Calls what was there before. */
  readonly beneath: (name: string, ...args: unknown[]) => unknown
  /** Puts back what was there; where somebody stands in our place and calls us, we stay and pass on. */
  readonly restore: () => void
}

type Method = (...args: unknown[]) => unknown

export const methodsOf = (subject: object, isOver: () => boolean): Methods => {
  const target = subject as Record<string, Method>
  const replaced = new Map<string, { readonly ours: Method; readonly before: Method; readonly wasOwn: boolean }>()
  return {
    replace: (name, run) => {
      const before = target[name]
      if (typeof before !== 'function') return
      const ours: Method = (...args) => (isOver() ? before.apply(subject, args) : run(args))
      replaced.set(name, { ours, before, wasOwn: Object.hasOwn(subject, name) })
      target[name] = ours
    },
    beneath: (name, ...args) => replaced.get(name)?.before.apply(subject, args),
    restore: () => {
      for (const [name, { ours, before, wasOwn }] of replaced) {
        if (target[name] !== ours) continue
        if (wasOwn) target[name] = before
        else delete target[name]
      }
    },
  }
}

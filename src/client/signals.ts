// Abort signals that follow others, and can stop following: `AbortSignal.any` keeps what it made alive for as long as its sources live.

/** Aborts `controller` when one of `signals` aborts, with its reason; the returned function ends the link. */
export const follow = (controller: AbortController, ...signals: readonly (AbortSignal | undefined)[]): (() => void) => {
  const links = signals
    .filter((signal) => signal !== undefined)
    .map((signal) => {
      const pass = (): void => controller.abort(signal.reason)
      if (signal.aborted) pass()
      else signal.addEventListener('abort', pass, { once: true })
      return () => signal.removeEventListener('abort', pass)
    })
  return () => {
    for (const unlink of links) unlink()
  }
}

/** Resolves when `signal` aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

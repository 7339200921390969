// Waiting for what real sockets bring about: turn after turn of the event loop, until it is so. No clock is involved; what never comes ends with the test's own time.

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Resolves when `isSo` says so. */
export const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn()
}

/** Lets so many turns pass in which what is not to happen could. */
export const turns = async (count: number): Promise<void> => {
  for (let passed = 0; passed < count; passed += 1) await turn()
}

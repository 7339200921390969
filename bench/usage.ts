// Command lines of the bench's programs: names and numbers out of them, and what happens when they are wrong.

/** The command line is wrong: it is told with the help, and the exit code is 2. */
export class Usage extends Error {}

/** Those of the known names that a list with commas asks for, in the order in which they are known. */
export const namesIn = <Name extends string>(what: string, list: string, known: readonly Name[]): readonly Name[] => {
  const wanted = list.split(',')
  const unknown = wanted.filter((name) => !known.some((each) => each === name))
  if (unknown.length > 0) throw new Usage(`There is no ${what} ${unknown.join(', ')}. There are ${known.join(', ')}.`)
  return known.filter((name) => wanted.includes(name))
}

/** A whole number from 1 on. */
export const countIn = (option: string, text: string): number => {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new Usage(`${option} takes a number from 1 on.`)
  return count
}

/** Runs a program: one that is used wrongly ends with 2, one that fails with 1, and one that is stopped by a signal takes what it started with it. */
export const runProgram = async (help: string, main: () => Promise<void>): Promise<void> => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  try {
    await main()
  } catch (cause) {
    const isUsage = cause instanceof Usage || (cause instanceof TypeError && 'code' in cause && String(cause.code).startsWith('ERR_PARSE_ARGS'))
    console.error(isUsage ? `${cause.message}\n\n${help}` : cause)
    process.exitCode = isUsage ? 2 : 1
  }
}

// Runs a program of this folder as a process of its own, because only a process can be killed, limited or locked out.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Running {
  readonly pid: number
  /** Lines of its standard output. */
  readonly lines: AsyncIterator<string>
  /** Resolves with what it wrote to standard error when the process is gone. */
  readonly gone: Promise<string>
  /** kill -9; resolves when the process is gone. */
  readonly kill: () => Promise<unknown>
}

const running = (child: ChildProcess): Running => {
  if (child.stdout === null || child.pid === undefined) {
    child.once('error', () => undefined)
    throw new Error(`${child.spawnfile} did not start`)
  }
  let complaints = ''
  child.stderr?.on('data', (chunk: Buffer) => (complaints += chunk.toString()))
  const gone = once(child, 'close').then(() => complaints)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    pid: child.pid,
    lines,
    gone,
    kill: async () => {
      child.kill('SIGKILL')
      return gone
    },
  }
}

const pathOf = (program: string): string => join(import.meta.dirname, 'programs', program)

export const start = (program: string, args: readonly string[]): Running => running(spawn(process.execPath, [pathOf(program), ...args], { stdio: ['ignore', 'pipe', 'pipe'] }))

/** The same within a shell, which runs `before` first. */
export const startAfter = (before: string, program: string, args: readonly string[], prefix: readonly string[] = []): Running => {
  const [command = 'sh', ...rest] = [...prefix, 'sh', '-c', `${before} && exec "$@"`, 'sh', process.execPath, pathOf(program), ...args]
  return running(spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** The only line that a program prints, as JSON; throws with its complaints if it prints none. */
export const reportOf = async (program: Running): Promise<unknown> => {
  const line = await program.lines.next()
  const complaints = await program.gone
  if (line.done === true) throw new Error(`The program printed nothing: ${complaints}`)
  return JSON.parse(line.value)
}

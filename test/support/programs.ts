// Programs that a storm, or a measurement, starts, kills and starts again: real processes, of which none is left, and of which one that ends by itself is a failure of the whole.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Started {
  readonly child: ChildProcess
  /** The first line that it said. */
  readonly line: string
}

export interface Programs {
  /** Resolves with the first line that it says; `onLine` hears of each. */
  readonly start: (command: readonly string[], onLine?: (line: string) => void) => Promise<Started>
  /** Resolves with its exit code when it is gone. */
  readonly end: (child: ChildProcess, signal: NodeJS.Signals) => Promise<number | null>
  /** Kills whatever still runs. */
  readonly close: () => Promise<void>
  /** Rejects when one has ended without having been told to. */
  readonly failed: Promise<never>
}

/** They run in `directory`. */
export const openPrograms = (directory: string): Programs => {
  const alive = new Set<ChildProcess>()
  const toEnd = new WeakSet<ChildProcess>()
  const { promise: failed, reject } = Promise.withResolvers<never>()
  failed.catch(() => undefined)
  const killAll = (): void => {
    for (const child of alive) child.kill('SIGKILL')
  }
  process.once('exit', killAll)

  const start: Programs['start'] = async (command, onLine = () => undefined) => {
    // Compiled code is kept, as it would be by an installed package: the sources are stripped of their types only once.
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('STINT_'))
    const env = { ...Object.fromEntries(kept), NODE_COMPILE_CACHE: join(directory, 'compiled') }
    const child = spawn(process.execPath, command, { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] })
    alive.add(child)
    void once(child, 'close').then(([code, signal]) => {
      alive.delete(child)
      if (!toEnd.has(child)) reject(new Error(`${command.join(' ')} ended by itself: ${String(code ?? signal)}`))
    })
    const lines = createInterface({ input: child.stdout })
    const said = once(lines, 'line')
    lines.on('line', onLine)
    const [line] = (await Promise.race([said, failed])) as [string]
    return { child, line }
  }

  const end: Programs['end'] = async (child, signal) => {
    toEnd.add(child)
    const ended = once(child, 'close')
    child.kill(signal)
    const [code] = (await ended) as [number | null]
    return code
  }

  const close = async (): Promise<void> => {
    await Promise.all([...alive].map((child) => end(child, 'SIGKILL')))
    process.off('exit', killAll)
  }
  return { start, end, close, failed }
}

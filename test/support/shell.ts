// Command lines as a person types them, run by the shell. Each gets a process group of its own, because npm and npx put processes between it and the program.
import { spawn } from 'node:child_process'
import { realWorld } from '../../src/world.ts'

/** How long a line or an end is waited for: machines that run tests are slow at times. */
const PATIENCE_MS = 120_000

export interface Surroundings {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Command {
  /** What it has written so far, on stdout and stderr. */
  readonly written: () => string
  /** The first line, written before or to come, that matches; rejects when it ends without one or takes too long. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>
  /** All processes of the command are signalled. */
  readonly kill: (signal: NodeJS.Signals) => void
  /** The exit code, once it has ended and everything is read; rejects when that takes too long. */
  readonly ended: () => Promise<number | null>
  /** As `ended`, however long it takes. */
  readonly gone: Promise<number | null>
}

export interface Shell {
  readonly start: (line: string, surroundings: Surroundings) => Command
  /** Runs a line to its end. */
  readonly run: (line: string, surroundings: Surroundings) => Promise<{ readonly code: number | null; readonly written: string }>
  /** Kills what still runs and resolves when all of it is gone. */
  readonly close: () => Promise<void>
}

/** Without what would steer the command line, colour its answers, or let npm look for a newer npm. */
const environment = (env: Surroundings['env']): NodeJS.ProcessEnv => {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:STINT_|FORCE_COLOR$)/.test(name))
  return { ...Object.fromEntries(kept), NO_COLOR: '1', npm_config_update_notifier: 'false', ...env }
}

const within = <A>(promise: Promise<A>, describe: () => string): Promise<A> =>
  new Promise((resolve, reject) => {
    const cancel = realWorld.timer(PATIENCE_MS, () => reject(new Error(describe())))
    promise.then(resolve, reject).finally(cancel)
  })

const spawned = (line: string, { cwd, env }: Surroundings): Command => {
  const child = spawn('sh', ['-c', line], { cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let text = ''
  const looks = new Set<() => void>()
  const hear = (piece: string): void => {
    text += piece
    for (const look of looks) look()
  }
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  const gone = new Promise<number | null>((resolve) => child.once('close', resolve))
  const said = (): string => `\`${line}\` wrote\n${text}`

  const found = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = text
          .split('\n')
          .map((each) => pattern.exec(each))
          .find((each) => each !== null)
        if (match === undefined) return
        looks.delete(look)
        resolve(match)
      }
      looks.add(look)
      look()
      void gone.then(() => reject(new Error(`It ended without ${String(pattern)}; ${said()}`)))
    })

  return {
    written: () => text,
    line: (pattern) => within(found(pattern), () => `No line matched ${String(pattern)}; ${said()}`),
    kill: (signal) => {
      try {
        process.kill(-(child.pid ?? 0), signal)
      } catch (cause) {
        if (!(cause instanceof Error && 'code' in cause && cause.code === 'ESRCH')) throw cause
      }
    },
    ended: () => within(gone, () => `It did not end; ${said()}`),
    gone,
  }
}

export const openShell = (): Shell => {
  const alive = new Set<Command>()
  const killAll = (): void => {
    for (const command of alive) command.kill('SIGKILL')
  }
  process.once('exit', killAll)
  const start = (line: string, surroundings: Surroundings): Command => {
    const command = spawned(line, surroundings)
    alive.add(command)
    void command.gone.then(() => alive.delete(command))
    return command
  }
  return {
    start,
    run: async (line, surroundings) => {
      const command = start(line, surroundings)
      return { code: await command.ended(), written: command.written() }
    },
    close: async () => {
      const gone = [...alive].map((command) => command.gone)
      killAll()
      await Promise.all(gone)
      process.off('exit', killAll)
    },
  }
}

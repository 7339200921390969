// Real processes for tests: started, listened to line by line, signalled, and always gone when the test file ends.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { realWorld } from '../../src/world.ts'

const CLI = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')

/** How long a line or an end is waited for before a test gives up, unless it says otherwise: machines that run tests are slow at times. Costs only who waits in vain. */
const PATIENCE_MS = 60_000

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Running {
  readonly pid: number
  /** What it has written so far. */
  readonly out: () => string
  readonly err: () => string
  /** The first line on stdout or stderr, written before or to come, that matches; rejects when the process ends without it or the time is over. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly kill: (signal: NodeJS.Signals) => void
  /** Resolves when it has ended; rejects when it does not. */
  readonly ended: () => Promise<Ended>
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Written to its stdin. */
  readonly input?: string
}

/** Rejects with what `describe` says when `promise` takes longer than `patienceMs`. */
const within = <A>(promise: Promise<A>, patienceMs: number, describe: () => string): Promise<A> =>
  new Promise((resolve, reject) => {
    const cancel = realWorld.timer(patienceMs, () => reject(new Error(describe())))
    promise.then(resolve, reject).finally(cancel)
  })

const listen = (child: ChildProcess, patienceMs: number) => {
  let out = ''
  let err = ''
  const waiting = new Set<() => void>()
  const look = (): void => {
    for (const check of waiting) check()
  }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
    look()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
    look()
  })
  const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  const said = (): string => `it wrote\n${out}\n${err}`

  const line = (pattern: RegExp): Promise<RegExpExecArray> => {
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      const check = (): void => {
        const lines = `${out}\n${err}`.split('\n')
        const match = lines.map((each) => pattern.exec(each)).find((each) => each !== null)
        if (match === undefined) return
        waiting.delete(check)
        resolve(match)
      }
      waiting.add(check)
      check()
      void ended.then(() => {
        check()
        waiting.delete(check)
        reject(new Error(`It ended without ${String(pattern)}; ${said()}`))
      })
    })
    return within(found, patienceMs, () => `No line matched ${String(pattern)}; ${said()}`)
  }

  return { out: () => out, err: () => err, line, ended: () => within(ended, patienceMs, () => `It did not end; ${said()}`) }
}

/** The environment of this process without what would steer the command line, and with what the test wants. */
const environment = (env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:STINT_|NO_COLOR$|FORCE_COLOR$)/.test(name))
  return { ...Object.fromEntries(kept), ...env }
}

export interface Patience {
  /** Milliseconds (60,000): for a test whose processes have a lot to do between two lines. */
  readonly patienceMs?: number
}

/** A directory of the test file's own and the processes that it starts; both are gone after its last test. */
export const processes = (name: string, { patienceMs = PATIENCE_MS }: Patience = {}) => {
  const folder = mkdtempSync(join(tmpdir(), `stint-${name}-`))
  const alive = new Set<ChildProcess>()
  const killAll = (): void => {
    for (const child of alive) child.kill('SIGKILL')
  }
  process.once('exit', killAll)

  const start = (program: string, args: readonly string[], { env, cwd = folder }: Surroundings = {}): Running => {
    const child = spawn(program, args, { cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] })
    alive.add(child)
    child.once('close', () => alive.delete(child))
    return { pid: child.pid ?? 0, kill: (signal) => void child.kill(signal), ...listen(child, patienceMs) }
  }

  afterAll(async () => {
    const gone = [...alive].map((child) => new Promise((resolve) => child.once('close', resolve)))
    killAll()
    await Promise.all(gone)
    process.off('exit', killAll)
    rmSync(folder, { recursive: true, force: true })
  })

  /** Runs a command of the command line to its end. */
  const stint = (args: readonly string[], { env, cwd = folder, input }: Surroundings = {}): Promise<Ran> =>
    new Promise((resolve, reject) => {
      const child = execFile(process.execPath, [CLI, ...args], { cwd, env: environment(env), timeout: patienceMs, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => {
        alive.delete(child)
        if (error !== null && typeof error.code !== 'number') reject(new Error(`stint ${args.join(' ')} did not end by itself; it wrote\n${out}\n${err}`, { cause: error }))
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
      })
      alive.add(child)
      child.stdin?.end(input ?? '')
    })

  /** Starts a command that goes on. */
  const startStint = (args: readonly string[], surroundings?: Surroundings): Running => start(process.execPath, [CLI, ...args], surroundings)

  /** Starts a server on a free port and resolves when it listens. */
  const serve = async (args: readonly string[], surroundings?: Surroundings) => {
    const running = startStint(['serve', '--port', '0', ...args], surroundings)
    const [, url = ''] = await running.line(/^listening (\S+)$/)
    return { ...running, url }
  }

  return { folder, start, startStint, stint, serve }
}

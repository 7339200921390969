// What the figures were measured on, and how much of the machine others had meanwhile: from /proc, so Linux only.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { rounded } from './row.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  /** Of the directory that was measured in. */
  readonly fileSystem: string
}

export interface Versions {
  readonly node: string
  readonly sqlite: string
  /** Version and commit; a star behind it: with changes that are not committed. */
  readonly stint: string
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The type of the file system that is mounted nearest above a directory. */
const fileSystemOf = (directory: string): string => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, at = '']) => at === '/' || directory === at || directory.startsWith(`${at}/`))
  return mounts.toSorted(([, a = ''], [, b = '']) => b.length - a.length)[0]?.[2] ?? 'unknown'
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: rounded(totalmem() / 1_024 ** 3, 0),
  kernel: `${type()} ${release()}`,
  fileSystem: fileSystemOf(tmpdir()),
})

const git = (...args: readonly string[]): string | undefined => {
  try {
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

export const versions = (): Versions => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
  const changed = git('status', '--porcelain', '--', 'src', 'package-lock.json')
  return { node: process.version, sqlite: process.versions['sqlite'] ?? 'unknown', stint: `${version} ${git('rev-parse', '--short', 'HEAD') ?? 'unknown'}${changed ? '*' : ''}` }
}

/** Milliseconds per tick of /proc. */
const TICK_MS = 10

/** CPU time that the machine has used since it started, over all cores, in milliseconds. Stolen time counts: it was not there for us. */
export const machineMs = (): number => {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softirq + steal) * TICK_MS
}

/** CPU time of this process and of its children that have ended. */
export const ownMs = (): number => {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  return fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) * TICK_MS
}

/** Starts to watch; answers, when asked, how many cores the others have used on average since. */
export const watchOthers = (): (() => number) => {
  const before = { all: machineMs(), own: ownMs(), at: performance.now() }
  return () => rounded(Math.max(0, machineMs() - before.all - (ownMs() - before.own)) / (performance.now() - before.at), 2)
}

const LOOK_MS = 500
/** Of one core. */
const QUIET_CORES = 0.15

/** Waits until hardly anything else runs, but not longer than this. */
export const whenQuiet = async (longestMs: number): Promise<void> => {
  const until = performance.now() + longestMs
  do {
    const others = watchOthers()
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    if (others() < QUIET_CORES) return
  } while (performance.now() < until)
}

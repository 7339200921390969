// What happens beside a figure: the load of the machine, who used its CPUs, and how often the disk was made to keep what it was given, which shows who really does. All from /proc.
import { readdirSync, readFileSync } from 'node:fs'
import { machineMs, ownMs, whenQuiet } from '../machine.ts'
import { rounded } from '../row.ts'

const TICK_MS = 10

/** Fields of /proc/PID/stat after the name, which may hold anything; undefined when the process is gone. */
const statOf = (pid: number): readonly string[] | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** These processes and all that descend from them. */
export const familyOf = (pids: readonly number[]): readonly number[] => {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = Number(statOf(Number(name))?.[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const family = [...pids]
  for (const pid of family) family.push(...(children.get(pid) ?? []))
  return family
}

/** CPU time of processes with their children, those that have ended included. */
export const cpuMsOf = (pids: readonly number[]): number =>
  familyOf(pids).reduce((sum, pid) => sum + (statOf(pid)?.slice(11, 15) ?? []).reduce((ticks, each) => ticks + Number(each), 0) * TICK_MS, 0)

/** Memory of processes with their children in MiB. Pages that several of them share, as those of Postgres do, count once. */
export const memoryMiB = (pids: readonly number[]): number => {
  let kib = 0
  for (const pid of familyOf(pids)) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
    } catch {
      // It has ended since.
    }
  }
  return rounded(kib / 1_024)
}

const DISK = /^(?:vd[a-z]|sd[a-z]|xvd[a-z]|nvme\d+n\d+)$/

const flushes = (): number =>
  readFileSync('/proc/diskstats', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , name = '']) => DISK.test(name))
    .reduce((sum, fields) => sum + Number(fields[18] ?? 0), 0)

/** Told beside a figure. */
export type Beside = Readonly<Record<string, number>>

/** Looks at the machine before and after. Cores are averages over the time between. */
export const gauged = async <Figures>(pids: readonly number[], run: () => Promise<Figures>): Promise<{ readonly figures: Figures; readonly beside: Beside }> => {
  const look = () => ({ at: performance.now(), all: machineMs(), client: ownMs(), server: cpuMsOf(pids), flushes: flushes() })
  const before = look()
  const figures = await run()
  const after = look()
  const lasted = after.at - before.at
  const cores = (name: 'all' | 'client' | 'server'): number => (after[name] - before[name]) / lasted
  return {
    figures,
    beside: {
      'server cores': rounded(cores('server'), 2),
      'client cores': rounded(cores('client'), 2),
      'others cores': rounded(Math.max(0, cores('all') - cores('server') - cores('client')), 2),
      'flushes/s': rounded(((after.flushes - before.flushes) / lasted) * 1_000, 0),
    },
  }
}

const QUIET_MS = 5_000
const QUICK_QUIET_MS = 500

/** Waits until the server has done what it does behind our back and nobody else does much, but not long. */
export const quiet = (isQuick: boolean): Promise<void> => whenQuiet(isQuick ? QUICK_QUIET_MS : QUIET_MS)

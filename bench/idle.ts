// What a server costs that has nothing to do: `node bench/idle.ts`. How soon it is there, what it holds in memory, and what it uses while 1,000 job servers only wait.
import { runAlone, say } from './alone.ts'
import { httpClient } from './calls.ts'
import { scriptRow, SCRIPT } from './floor.ts'
import { cpuShare, registerJobs, waitForAll } from './polls.ts'
import { numberText, quantile, rounded, rowOf, type Effort, type Row } from './row.ts'
import { rssMiB, startServer, temporaryDirectory, whenIdle } from './server-process.ts'

const STARTS = 5
const QUICK_STARTS = 2
const POLLS = 1_000
const QUICK_POLLS = 100
const SECONDS = 20
const QUICK_SECONDS = 2

const startTimes = async (count: number): Promise<Row> => {
  const took: number[] = []
  for (let start = 0; start < count; start += 1) {
    const { directory, remove } = temporaryDirectory()
    const server = await startServer(directory)
    took.push(server.startedInMs)
    await server.stop()
    remove()
  }
  return rowOf('Start of an empty server, to “listening”', quantile(took, 0.5), 'ms', {
    aim: { most: 1_000 },
    limit: 'Loading Node and the program in two threads, types stripped on the way, and making the two files. Compiled, as it is published, it is a tenth faster.',
    against: SCRIPT,
    more: { starts: took.map((each) => numberText(rounded(each, 0))).join(' · ') },
  })
}

export const measureIdle = async ({ isQuick }: Effort): Promise<readonly Row[]> => {
  const seconds = isQuick ? QUICK_SECONDS : SECONDS
  const floor = scriptRow(isQuick ? 0.2 : 1)
  say('starts')
  const start = await startTimes(isQuick ? QUICK_STARTS : STARTS)
  const { directory, remove } = temporaryDirectory()
  const server = await startServer(directory)
  try {
    await whenIdle(server.pid)
    say('an empty server')
    const memory = rowOf('Memory of an empty server', rssMiB(server.pid), 'MiB', {
      limit: 'Node, its two threads and the program, of which a fourth is the stripper of types, absent where it is compiled, as published.',
    })
    const empty = rowOf('CPU of an empty server', await cpuShare(server.pid, seconds), '% of a core', {
      limit: 'Timers of Node; ticks of 10 ms are the finest that can be measured.',
      against: SCRIPT,
    })
    say('waiting job servers')
    const polls = isQuick ? QUICK_POLLS : POLLS
    const client = httpClient(server.url, polls)
    void waitForAll(client, await registerJobs(client, polls))
    await whenIdle(server.pid)
    const waiting = rowOf(`CPU while ${polls.toLocaleString('en-US')} job servers wait`, await cpuShare(server.pid, seconds), '% of a core', {
      aim: { most: 1 },
      limit: 'As above.',
      against: SCRIPT,
    })
    client.close()
    return [floor, start, memory, empty, waiting]
  } finally {
    await server.stop('SIGKILL')
    remove()
  }
}

if (import.meta.main) await runAlone(measureIdle)

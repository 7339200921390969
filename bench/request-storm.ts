// Requests in a storm: `npx node bench/request-storm.ts --requests 50000 --duplicates 50000`. Requests and duplicates of them at random times, 64 in flight, to a server that is killed
// with SIGKILL every second and started again; half of them go to workers, half to services that execute for themselves, which are killed too. Afterwards everything that callers,
// workers and handlers saw is held against the log. With `--fault reply-before-commit` the server lies, and the run must fail; with `--fault answer-lost` it must pass.
import * as E from 'fp-ts/lib/Either.js'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { verifyData } from '../src/offline/verify.ts'
import { realWorld } from '../src/world.ts'
import { toldOf } from '../test/support/request-history.ts'
import { FAULTS, openStorm, type Fault, type Storm } from '../test/support/request-storm.ts'
import { virtualWorld } from '../test/support/virtual-world.ts'
import { watchOthers } from './machine.ts'
import { load, rounded } from './row.ts'
import { temporaryDirectory } from './server-process.ts'

const SAY_EVERY_MS = 10_000
/** Calls that may be left open before the rest is given up: none should be, so this is a bound on the time only. */
const STANDSTILL_MS = 120_000

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '50000' },
    duplicates: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    'in-flight': { type: 'string', default: '64' },
    'kill-every': { type: 'string', default: '1s' },
    'kill-others-every': { type: 'string', default: '5s' },
    fault: { type: 'string', default: 'none' },
    workers: { type: 'string', default: '2' },
    services: { type: 'string', default: '2' },
  },
})
const secondsOf = (text: string): number => {
  const seconds = /^(\d+(?:\.\d+)?)s$/.exec(text)?.[1]
  if (seconds === undefined) throw new Error(`Expected seconds such as 1s, but it is ${text}`)
  return Number(seconds)
}
const fault = FAULTS.find((name) => name === values.fault)
if (fault === undefined) throw new Error(`Expected --fault to be one of ${FAULTS.join(', ')}`)
const killEveryMs = secondsOf(values['kill-every']) * 1_000
const killOthersEveryMs = secondsOf(values['kill-others-every']) * 1_000
const requests = Number(values.requests)
const duplicates = Number(values.duplicates)
const seed = Number(values.seed)

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const say = (line: string): void => console.log(line)

/** Each life of the server lasts a second on average, some half of it and some one and a half, so that it dies at every age. */
const killServers = async (storm: Storm, isOver: () => boolean): Promise<void> => {
  const { random } = virtualWorld({ seed })
  while (!isOver()) {
    await pause(killEveryMs * (0.5 + random()))
    if (!isOver()) await storm.killServer()
  }
}

const killOthers = async (storm: Storm, isOver: () => boolean): Promise<void> => {
  for (let turn = 0; !isOver(); turn += 1) {
    await pause(killOthersEveryMs)
    if (isOver()) return
    if (turn % 2 === 0) await storm.killWorker()
    else await storm.killService()
  }
}

/** Says how far it is; throws when nothing moves any more. */
const watch = async (storm: Storm, began: number, isOver: () => boolean): Promise<void> => {
  let before = -1
  for (let movedAt = performance.now(); !isOver(); await pause(SAY_EVERY_MS)) {
    const replies = storm.replies()
    if (replies > before) movedAt = performance.now()
    before = replies
    say(`${rounded((performance.now() - began) / 1_000, 0)} s: ${replies} calls have their reply, ${JSON.stringify(storm.counts())}, load ${load()}`)
    if (performance.now() - movedAt > STANDSTILL_MS) throw new Error(`Nothing moves; these calls wait: ${storm.pending().join(', ')}`)
  }
}

const run = async (directory: string, kind: Fault): Promise<boolean> => {
  const storm = await openStorm({
    directory,
    requests,
    duplicates,
    seed,
    inFlight: Number(values['in-flight']),
    fault: kind,
    workers: Number(values.workers),
    services: Number(values.services),
  })
  const othersSince = watchOthers()
  const began = performance.now()
  let isOver = false
  const over = (): boolean => isOver
  const killing = Promise.all([killServers(storm, over), killOthers(storm, over)])
  const watching = watch(storm, began, over)
  await Promise.race([storm.done, watching])
  const seconds = rounded((performance.now() - began) / 1_000)
  isOver = true
  await killing
  const { serverKills, otherKills, cut, answersLost } = storm.counts()
  say(`${requests} requests and ${duplicates} duplicates, seed ${seed}, fault ${kind}: ${seconds} s, ${Math.round((requests + duplicates) / seconds)} calls a second`)
  say(`killed: the server ${serverKills} times, workers and services ${otherKills} times; ${cut} calls cut off, ${answersLost} answers lost on purpose`)
  say(`machine: load ${load()} at the end, others used ${othersSince()} cores meanwhile`)
  const contradicted = storm.contradicted()
  const code = await storm.close()
  const verdict = await storm.judge()
  const { chain, tables } = await verifyData(join(directory, 'data'), { world: realWorld })
  const isEqual = tables !== undefined && E.isRight(tables) && tables.right.equal
  say(toldOf(verdict))
  say(
    `violations: ${verdict.violations.length}; replies given otherwise than before: ${contradicted.length}; requests: ${verdict.counted.requests}, settled ${verdict.counted.settled}, lost ${requests - verdict.counted.settled}`,
  )
  say(`log: chain ${E.isRight(chain) ? 'whole' : 'BROKEN'}, tables ${isEqual ? 'equal to a replay' : 'NOT equal to a replay'}; the server ended with ${code}`)
  const hasAll = verdict.counted.requests === requests && verdict.counted.settled === requests
  return hasAll && verdict.violations.length === 0 && contradicted.length === 0 && E.isRight(chain) && isEqual && code === 0
}

// Whoever stops it leaves no process and no directory behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const { directory, remove } = temporaryDirectory()
const hasPassed = await run(directory, fault)
remove()
say(hasPassed ? 'passed' : 'FAILED')
// The watch may still pause.
process.exit(hasPassed ? 0 : 1)

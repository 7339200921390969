// Long tasks: `npx node bench/long-tasks.ts [--megabytes 300] [--only reports,images]`. What the reports of 200 operations on ten nodes cost, and how old what is shown of them gets; then
// disk images of hundreds of megabytes on three nodes of which one is killed, one cut off and one too slow, while Stint is killed: in the end the table must say what the nodes did.
import { parseArgs } from 'node:util'
import { connect } from '../src/client/index.ts'
import { everythingAtOnce, IMAGE, makeImages } from '../test/support/image-story.ts'
import { isSound, NODES, openYard, type Yard } from '../test/support/image-yard.ts'
import { CompressImage, HashImage } from '../examples/disk-images/images.ts'
import { watchOthers } from './machine.ts'
import { load, quantile, rounded } from './row.ts'
import { cpuMicros, startServer, temporaryDirectory, type ServerProcess } from './server-process.ts'

const { values } = parseArgs({
  options: { megabytes: { type: 'string', default: '300' }, only: { type: 'string', default: 'reports,images' }, seconds: { type: 'string', default: '20' } },
})
const wanted = new Set(values.only.split(','))
const MEGABYTE = 1_000_000
const DAY_MS = 86_400_000
const say = (line: string): void => console.log(line)
const count = (value: number): string => value.toLocaleString('en-US')
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

// ---- 200 operations on ten nodes ----

const NODE_COUNT = 10
const EACH = 20
const QUERY_EVERY_MS = 10
/** A tenth moves by a hundredth each second, which is recorded; of the others less is, which is noted. */
const FAST_TOTAL = 100_000
const TICKING = new URL('ticking-node.ts', import.meta.url).pathname

interface Counts {
  readonly messages: number
  readonly events: number
}

const countsOf = async (url: string): Promise<Counts> => {
  const text = await (await fetch(`${url}/metrics`)).text()
  const sum = (pattern: RegExp): number => [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0)
  return { messages: sum(/^stint_http_request_seconds_count\{route="reportLongTasks"[^}]*\} (\d+)/gm), events: sum(/^stint_events_recorded_total(?:\{[^}]*\})? (\d+)/gm) }
}

const measureReports = async (directory: string): Promise<boolean> => {
  const server = await startServer(`${directory}/reports`)
  const names = Array.from({ length: NODE_COUNT }, (_, index) => `node-${index}`)
  const nodes: ServerProcess[] = []
  for (const name of names) nodes.push(await startServer('', { program: TICKING, args: [name, server.url, `${directory}/${name}`] }))
  const stint = connect({ url: server.url })
  const management = stint.management()
  const ids = names.flatMap((name) => Array.from({ length: EACH }, (_, index) => ({ id: `${name}-${index}`, node: name, isFast: index % 10 === 0 })))
  await Promise.all(ids.map(({ id, node, isFast }) => management.dispatch({ operation: 'Tick', args: { total: isFast ? FAST_TOTAL : DAY_MS } }, { id, node })))
  // All have reported, and each at its turn.
  while ((await stint.longTasks.list({ state: 'running', limit: 1_000 })).items.filter(({ progress }) => progress !== undefined).length < ids.length) await pause(500)
  await pause(2_000)

  const others = watchOthers()
  const before = await countsOf(server.url)
  const cpu = cpuMicros(server.pid)
  const began = performance.now()
  const ages: number[] = []
  for (let next = 0; performance.now() - began < Number(values.seconds) * 1_000; next += 1) {
    const { progress } = await stint.longTasks.show(ids[(next * 37) % ids.length]?.id ?? '')
    ages.push((Date.now() % DAY_MS) - (progress?.done ?? 0))
    await pause(QUERY_EVERY_MS)
  }
  const seconds = (performance.now() - began) / 1_000
  const after = await countsOf(server.url)
  const busy = (cpuMicros(server.pid) - cpu) / 1e6 / seconds
  const messages = (after.messages - before.messages) / seconds
  say(`${ids.length} operations on ${NODE_COUNT} nodes, reported each second, ${rounded(seconds)} s`)
  say(`messages: ${rounded(messages)} a second (aim: at most 12), each of ${rounded(ids.length / messages)} reports on average`)
  say(
    `log: ${rounded((after.events - before.events) / seconds)} events a second, for ${ids.length / 10} operations that move by a hundredth each second, and extensions of ${ids.length}`,
  )
  say(
    `progress as shown: ${rounded(quantile(ages, 0.5), 0)} ms old at the median, ${rounded(quantile(ages, 0.99), 0)} ms at p99, ${Math.max(...ages)} ms at most, in ${count(ages.length)} looks`,
  )
  say(`server: ${rounded(busy * 100)} % of a core with these looks; load ${load()}, others used ${others()} cores meanwhile, the nodes among them`)
  await stint.close()
  for (const node of nodes) await node.stop()
  await server.stop()
  return messages <= 12
}

// ---- disk images ----

/** A copy takes seven seconds or so, a slow one a minute. */
const COPY_SECONDS = 7
const SLOW_SECONDS = 60
const PROGRESS_EVERY_SECONDS = 0.5

const quietWork = async ({ management }: Yard): Promise<void> => {
  const results = await Promise.all(
    NODES.flatMap((node) =>
      [new HashImage({ name: IMAGE }), new CompressImage({ from: IMAGE, to: 'packed.zst' })].map(async (operation) =>
        (await management.dispatch<object>(operation, { node })).result(),
      ),
    ),
  )
  say(`hashed and packed on each: ${JSON.stringify(results[0])}, ${JSON.stringify(results[1])}`)
}

const measureImages = async (directory: string): Promise<boolean> => {
  const bytes = Number(values.megabytes) * MEGABYTE
  const others = watchOthers()
  const began = performance.now()
  const since = (): string => `${rounded((performance.now() - began) / 1_000, 0)} s`
  const yard = await openYard(directory)
  try {
    await makeImages(yard, bytes)
    say(`an image of ${count(bytes)} bytes made on each of ${NODES.length} nodes: ${since()}`)
    await quietWork(yard)
    const pace = { bytesPerSecond: bytes / COPY_SECONDS, slowBytesPerSecond: bytes / SLOW_SECONDS, timeoutSeconds: COPY_SECONDS - 1, progressEverySeconds: PROGRESS_EVERY_SECONDS }
    const { resumed, interrupted, overdue, overdueLate, tooSlow, tooSlowLate } = await everythingAtOnce(yard, 'trouble', pace)
    say(`one node killed, one cut off, one too slow, and Stint killed meanwhile; all put right: ${since()}`)
    say(`the copy on the node that was killed: gone on with ${count(resumed.keptBytes)} bytes on disk; what it packed: failed as ${interrupted.failed?.code}`)
    say(
      `timed out: ${JSON.stringify(overdue)}, late ${Object.keys((overdueLate.data as { outcome: object }).outcome).join()}; ${JSON.stringify(tooSlow)}, late ${Object.keys((tooSlowLate.data as { outcome: object }).outcome).join()}`,
    )
    const { tasks, differences, begun, verified, codes } = await yard.judge()
    const states = [...Map.groupBy(tasks, ({ shown }) => shown.state)].map(([state, of]) => `${of.length} ${state}`)
    say(`long tasks: ${tasks.length} (${states.join(', ')}); runs that nodes have begun: ${begun}; differences between the table and what the nodes did: ${differences.length}`)
    for (const difference of differences) say(`  ${difference}`)
    const unsound = [...verified].filter(([, each]) => !isSound(each)).map(([name]) => name)
    say(
      `logs: of ${[...verified.keys()].join(', ')}; ${unsound.length === 0 ? 'chains whole, tables equal to a replay' : `NOT sound: ${unsound.join(', ')}`}; exit codes ${codes.join(', ')}`,
    )
    say(`load ${load()}, others used ${others()} cores meanwhile, the processes of this among them`)
    return differences.length === 0 && unsound.length === 0 && codes.every((code) => code === 0)
  } finally {
    await yard.close()
  }
}

// Each process that is started is killed at the exit of this one.
process.setMaxListeners(50)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const { directory, remove } = temporaryDirectory()
const passed: boolean[] = []
if (wanted.has('reports')) passed.push(await measureReports(directory))
if (wanted.has('images')) passed.push(await measureImages(directory))
remove()
say(passed.every(Boolean) ? 'passed' : 'FAILED')
process.exit(passed.every(Boolean) ? 0 : 1)

// Three servers of Stint on hosts of their own over one store, under load: one is paused, one killed, one cut off from the network, in turn. Whatever happens to a host, each task is
// done once, none is lost, and all servers come to say the same.
import * as E from 'fp-ts/lib/Either.js'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { connect, type Stint } from '../../src/client/index.ts'
import { openKurrentStore, type KurrentStore } from '../../src/store/kurrent/store.ts'
import { pause, realWorld } from '../../src/world.ts'
import { right } from '../support/engine.ts'
import { auditTasks } from '../support/task-storm.ts'
import { differences, everyAnswer } from './answers.ts'
import { containerEngine, type ContainerEngine } from './engine.ts'
import { openLoad, type Load } from './load.ts'
import type { Host, Stage } from './stage.ts'

const APP = 'load'
/** Of which each of the three servers leads two, once all are there. */
const QUEUES = ['one', 'two', 'three', 'five', 'eight', 'bills']
const NAMES = ['a', 'b', 'c']
const WORKER = 'worker@hosts.example'
const PRODUCER = 'producer@hosts.example'
/** Left in each queue, not due before a day: what servers have in memory at the end. */
const DELAYED = ['later-1', 'later-2', 'later-3']
const DAY_SECONDS = 86_400
/** A real server, in place of the double. */
const STORE = process.env['STINT_TEST_ESDB'] || undefined
/** Handlers of each queue that must have run before the next thing happens. */
const MORE = 15
const LOOK_MS = 200
const TIMEOUT_MS = 300_000

const queueFile = `queue:
${QUEUES.map((name) => `  - name: ${name}\n    mode: pull\n    acl:\n      - user_email: ${WORKER}\n      - writer_email: ${PRODUCER}\n`).join('')}`

let engine: ContainerEngine | undefined
let missing = ''
let stage: Stage | undefined
let store: KurrentStore | undefined
let load: Load | undefined
let hasFailed = false

beforeAll(async () => {
  const found = await containerEngine()
  if ('missing' in found) {
    missing = found.missing
    return
  }
  engine = found
  const { openStage } = await import('./stage.ts')
  stage = await openStage({ names: NAMES, queues: { [APP]: queueFile }, store: STORE })
  store = await openKurrentStore({ connectionString: stage.connectionString, world: realWorld })
}, TIMEOUT_MS)

afterAll(async () => {
  await load?.close()
  await store?.close()
  await stage?.close()
  await engine?.stop()
}, TIMEOUT_MS)

const staged = (context: TestContext): { readonly stage: Stage; readonly store: KurrentStore } => {
  if (stage === undefined || store === undefined) return context.skip(missing)
  // Each goes on with what the one before has left, and would wait minutes for what does not come.
  if (hasFailed) return context.skip('one before it has failed')
  context.onTestFailed(() => {
    hasFailed = true
  })
  return { stage, store }
}

/** Looks until it is so; a test that waits in vain ends with its own time. */
const eventually = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await pause(realWorld, LOOK_MS)
}

/** Status of its answer to whether it takes commands; undefined: none within two seconds. */
const readiness = (host: Host): Promise<number | undefined> =>
  fetch(`${host.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
    (answer) => answer.status,
    () => undefined,
  )
const isReady = async (host: Host): Promise<boolean> => (await readiness(host)) === 200

/** Who gives out what waits in each queue, as the log says. */
const leaders = async ({ readStream }: KurrentStore): Promise<ReadonlyMap<string, string>> => {
  const found = new Map<string, string>()
  for (let from = 0; ;) {
    const page = right(await readStream('leaders', { from, max: 1_000 })())
    for (const { data } of page) {
      const { line, server } = JSON.parse(data) as { readonly line: string; readonly server: string }
      found.set(line, server)
    }
    if (page.length < 1_000) return found
    from = (page.at(-1)?.revision ?? from) + 1
  }
}

const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

interface Trouble {
  readonly what: string
  readonly host: string
  readonly begin: (host: Host) => Promise<void>
  readonly end: (host: Host) => Promise<void>
  /** Of its readiness, as callers meet it meanwhile. */
  readonly says?: number
  /** Over a network that nobody but the servers and the store is in. */
  readonly needsOwnStore?: true
}

const TROUBLES: readonly Trouble[] = [
  { what: 'paused', host: 'a', begin: (host) => host.pause(), end: (host) => host.unpause() },
  { what: 'killed', host: 'b', begin: (host) => host.kill(), end: (host) => host.start() },
  { what: 'cut off from all', host: 'c', begin: (host) => host.cutOff(), end: (host) => host.reconnect() },
  // The worst of them: callers go on coming to it.
  { what: 'cut off from the store', host: 'a', begin: (host) => host.cutOffInside(), end: (host) => host.reconnectInside(), says: 503, needsOwnStore: true },
]

describe('three servers on hosts of their own', { timeout: TIMEOUT_MS }, () => {
  it('are one service to whoever comes to any of them', async (context) => {
    const { stage } = staged(context)
    for (const host of stage.hosts) expect(await isReady(host)).toBe(true)
    const admins = stage.hosts.map(({ url }) => connect({ url, token: stage.token }))
    const tokenOf = async (admin: Stint, name: string, email: string) => (await admin.tokens.add({ name, email, roles: [] })).token
    const [first, second, third] = admins as [Stint, Stint, Stint]
    const producer = await tokenOf(first, 'producer', PRODUCER)
    const worker = await tokenOf(second, 'worker', WORKER)
    // A token that one has made opens all of them.
    const puts = connect({ url: third.url, token: producer })
    for (const queue of QUEUES) await Promise.all(DELAYED.map((id) => puts.producer({ app: APP, queue }).put({ id }, { id, delaySeconds: DAY_SECONDS })))
    await Promise.all([...admins, puts].map((each) => each.close()))
    load = openLoad({ urls: stage.hosts.map(({ url }) => url), app: APP, queues: QUEUES, producer, worker })
    await load.more(MORE)
  })

  for (const { what, host: name, begin, end, says, needsOwnStore = false } of TROUBLES) {
    it(`go on while one is ${what}, and have it back`, async (context) => {
      const { stage, store } = staged(context)
      if (needsOwnStore && STORE !== undefined) context.skip('the store at STINT_TEST_ESDB is reached over the network that callers come from')
      const host = stage.hosts.find((each) => each.name === name)
      if (host === undefined || load === undefined) throw new Error('Expected the load to be on')
      const startedAt = realWorld.monotonic()
      const before = load.runs()
      const led = [...(await leaders(store))].filter(([, server]) => server === name).length
      await begin(host)
      // What it led goes to others when its term is over.
      await eventually(async () => ![...(await leaders(store)).values()].includes(name))
      const movedMs = realWorld.monotonic() - startedAt
      await load.more(MORE)
      const wentOnMs = realWorld.monotonic() - startedAt
      expect(await readiness(host)).toBe(says)
      await end(host)
      await eventually(() => isReady(host))
      const backMs = realWorld.monotonic() - startedAt
      await load.more(MORE)
      // It gives out work again, without anybody having told it to.
      await eventually(async () => [...(await leaders(store)).values()].includes(name))
      process.stdout.write(
        `${name} ${what}: led ${led} of ${QUEUES.length} queues, which were others' after ${inSeconds(movedMs)}; back after ${inSeconds(backMs)}, ${inSeconds(backMs - wentOnMs)} after it could be; ` +
          `${load.runs() - before} tasks begun meanwhile\n`,
      )
    })
  }

  it('have done each task once, and lost none', async (context) => {
    const { stage, store } = staged(context)
    if (load === undefined) throw new Error('Expected the load to be on')
    await load.stopPutting()
    const admin = connect({ url: stage.hosts[0]?.url, token: stage.token })
    for (const queue of QUEUES)
      await eventually(async () => {
        const { waiting, leased } = await admin.queues.show({ app: APP, queue })
        return waiting === 0 && leased === 0
      })
    await admin.close()
    const { position } = right(await store.head()())
    const audit = await auditTasks(store, { app: APP })
    const acknowledged = [...load.acknowledged].flatMap(([queue, ids]) => [...ids].map((id) => `workItem-task/${APP}/${queue}/${id}`))
    const later = QUEUES.flatMap((queue) => DELAYED.map((id) => `workItem-task/${APP}/${queue}/${id}`))
    process.stdout.write(
      `${acknowledged.length} tasks: ${audit.completedOnce} completed once, ${audit.leases} leases, ${audit.expired} of them ended unused, ` +
        `${load.runs()} handlers, ${load.refused()} endings refused; ${Math.round(Number(position.split('.')[1]) / audit.tasks)} bytes of log a task\n`,
    )
    // Those that are not due yet are all that has not been done.
    expect(audit.wrong.toSorted()).toEqual(later.toSorted())
    expect(audit.tasks).toBe(acknowledged.length + later.length)
    expect(audit.completedOnce).toBe(acknowledged.length)
  })

  it('say the same, and the same as one that reads the log anew', async (context) => {
    const { stage, store } = staged(context)
    await load?.close()
    const fresh = await stage.add('fresh')
    const head = await store.head()()
    if (E.isLeft(head)) throw head.left
    const asked = { token: stage.token, position: head.right.position, app: APP, queues: QUEUES, shown: DELAYED }
    const replayed = await everyAnswer({ ...asked, url: fresh.url })
    expect(QUEUES.every((queue) => Array.isArray((replayed[queue] as { tasks: unknown }).tasks))).toBe(true)
    for (const { url } of stage.hosts) expect(differences(await everyAnswer({ ...asked, url }), replayed)).toEqual([])
  })
})

// Many tasks through three servers that vanish, stop, lag and come again at random, with answers lost on the way: each task is done once, and all servers know the same.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { taskId, workItemOf, type WorkItemId } from '../../../src/domain/ids.ts'
import { queueLine } from '../../../src/domain/leader.ts'
import type { Context, LeasedItem } from '../../../src/engine/command.ts'
import type { RecordedEvent } from '../../../src/store/port.ts'
import { right, settle } from '../../support/engine.ts'
import { createServers, expectEqualServers, type Servers } from '../../support/servers.ts'
import { virtualWorld } from '../../support/virtual-world.ts'

const TASKS = 2_400
const QUEUES = ['mail', 'print', 'index', 'resize', 'scan', 'pack']
const STEP_MS = 500
/** Long enough for anything that is left to come to its end. */
const STEPS_MAX = 2_000
const TERM_MS = 8_000
const LATE_STEPS = 30

interface Job {
  readonly workItem: WorkItemId
  readonly commandId: string
}

interface Held extends Job {
  readonly lease: string
  /** Step in which its worker is done. */
  readonly doneAt: number
}

/** What a caller does about a call: again elsewhere with the same id until it is told. */
const storm = (servers: Servers, names: readonly string[]) => {
  const { world } = servers
  const chance = (share: number): boolean => world.random() < share
  const any = <Thing>(things: readonly Thing[]): Thing => things[Math.floor(world.random() * things.length)] as Thing
  const context = (subject: string, commandId: string): Context => ({ subject, actor: subject, commandId })
  const acknowledged = { inserted: new Set<WorkItemId>(), completed: new Set<WorkItemId>() }
  let toInsert: Job[] = []
  let toComplete: Held[] = []
  let steps = 0
  let refused = 0
  let ups = 0

  const insert = async (job: Job, index: number): Promise<boolean> => {
    const [, , queue = ''] = job.workItem.split('/')
    const command = { type: 'InsertTask', by: 'maker', task: { app: 'shop', queue, dueAt: world.now() }, mediaType: 'text/plain', digest: `task ${index}` } as const
    const done = await any(servers.running()).engine.insertTask(job.workItem, command, context('maker', job.commandId), new Uint8Array(1))
    if (E.isRight(done)) acknowledged.inserted.add(job.workItem)
    return E.isRight(done)
  }

  const leaseSome = async (queue: string): Promise<readonly LeasedItem[]> => {
    const asked = any(servers.running())
    const leading = await asked.engine.leaderOf(queueLine({ app: 'shop', queue }))
    const leader = leading === 'here' ? asked : servers.running().find(({ name }) => name === leading?.server)
    if (leader === undefined) return []
    const call = { app: 'shop', queue, max: 8, termMs: TERM_MS, waitMs: chance(0.3) ? 2_000 : 0, holder: { subject: 'worker', name: `w${Math.floor(world.random() * 5)}` } }
    const leased = await leader.engine.leaseTasks(call, context('worker', world.uuid()))
    return E.isRight(leased) ? leased.right : []
  }

  /** False: nobody has said yet what has become of it. */
  const complete = async ({ workItem, lease, commandId }: Held): Promise<boolean> => {
    const command = { type: 'Report', by: 'worker', lease, outcome: { completed: {} }, digest: 'done', retry: { pauseMs: 0 } } as const
    const done = await any(servers.running()).engine.execute(workItem, command, context('worker', commandId))
    if (E.isRight(done)) acknowledged.completed.add(workItem)
    else if (done.left instanceof Error || ('type' in done.left && done.left.type === 'stopping')) return false
    else refused += 1
    return true
  }

  /** Something happens to one of the servers; two at least stay, so that somebody can be asked. */
  const disturb = async (): Promise<void> => {
    const running = servers.running()
    const gone = names.find((name) => !running.some((server) => server.name === name))
    if (gone !== undefined && chance(0.2)) {
      await servers.start(gone)
      ups += 1
      return
    }
    const victim = any(running)
    const leaves = running.length > 2 && chance(0.18) ? any(['vanishes', 'vanishes before it is told', 'stops'] as const) : 'stays'
    if (leaves === 'vanishes') victim.vanish()
    else if (leaves === 'vanishes before it is told') victim.connection.loseNextAnswer(victim.vanish)
    else if (leaves === 'stops') await victim.engine.close()
    else if (chance(0.15)) {
      if (chance(0.5)) victim.connection.hold()
      else for (const { connection } of running) connection.resume()
    } else if (chance(0.05)) {
      victim.connection.cut()
      await servers.pass(1_000)
      if (!victim.isGone()) victim.connection.mend()
    }
  }

  return {
    acknowledged,
    refused: () => refused,
    ups: () => ups,
    isOver: () => acknowledged.inserted.size === TASKS && toComplete.length === 0 && acknowledged.completed.size === TASKS,
    begin: () => {
      toInsert = Array.from({ length: TASKS }, (_, index) => ({ workItem: taskId('shop', QUEUES[index % QUEUES.length] ?? '', String(index)), commandId: world.uuid() }))
    },
    step: async (isCalm: boolean): Promise<void> => {
      if (!isCalm) await disturb()
      const going: Promise<unknown>[] = []
      const inserting = toInsert.splice(0, 40)
      going.push(...inserting.map(async (job) => void ((await insert(job, Number(job.workItem.split('/')[3]))) || toInsert.push(job))))
      steps += 1
      const completing = toComplete.filter(({ doneAt }) => doneAt <= steps)
      toComplete = toComplete.filter(({ doneAt }) => doneAt > steps)
      going.push(...completing.map(async (job) => void ((await complete(job)) || toComplete.push(job))))
      for (const queue of QUEUES)
        going.push(
          leaseSome(queue).then((leased) => {
            // Some workers die with what they hold, others come too late.
            for (const { workItem, item } of leased) {
              const doneAt = steps + (chance(0.05) ? LATE_STEPS : 1)
              if (chance(0.95)) toComplete.push({ workItem, lease: item.lease.token, commandId: world.uuid(), doneAt })
            }
          }),
        )
      let isDone = false
      void Promise.all(going).then(() => (isDone = true))
      do {
        world.advance(STEP_MS)
        await settle()
      } while (!isDone)
    },
  }
}

const byItem = (log: readonly RecordedEvent[]): ReadonlyMap<WorkItemId, readonly RecordedEvent[]> => {
  const items = new Map<WorkItemId, RecordedEvent[]>()
  for (const event of log) {
    const workItem = workItemOf(event.stream)
    if (workItem !== undefined) items.set(workItem, [...(items.get(workItem) ?? []), event])
  }
  return items
}
const leaseIn = ({ data }: RecordedEvent): number => (JSON.parse(data) as { readonly lease: number }).lease
const ofType = (events: readonly RecordedEvent[], type: string): readonly RecordedEvent[] => events.filter((event) => event.type === type)

describe.each([1, 3])('a storm over several servers, with chance %i', (seed) => {
  it('completes each task once, loses none, and leaves all servers with what a replay says', async () => {
    const world = virtualWorld({ seed })
    const servers = createServers(world, { answersAfter: () => Math.floor(world.random() * 5) })
    const names = ['a', 'b', 'c']
    for (const name of names) await servers.start(name)
    const { begin, step, isOver, acknowledged, ups, refused } = storm(servers, names)
    begin()
    let steps = 0
    for (; steps < STEPS_MAX && !isOver(); steps += 1) await step(steps > 120)
    expect(isOver()).toBe(true)
    expect(ups()).toBeGreaterThan(2)
    expect(refused()).toBeGreaterThan(10)
    for (const { connection } of servers.running()) connection.resume()
    await servers.pass(5_000)

    const items = byItem(right(await servers.log.readAll({ max: 1_000_000 })()))
    expect(items.size).toBe(TASKS)
    for (const [workItem, events] of items) {
      const [births, ends] = [ofType(events, 'TaskInserted'), ofType(events, 'Completed')]
      if (births.length !== 1 || ends.length !== 1) throw new Error(`${workItem} was born ${births.length} times and completed ${ends.length} times`)
      const leases = ofType(events, 'Leased').map(leaseIn)
      expect(leases).toEqual(leases.map((_, index) => index + 1))
      const expired = ofType(events, 'LeaseExpired').map(leaseIn)
      expect(expired.length).toBe(new Set(expired).size)
    }
    expect([acknowledged.inserted.size, acknowledged.completed.size]).toEqual([TASKS, TASKS])
    await expectEqualServers(servers)
    for (const { engine } of servers.running()) {
      expect(engine.status()).toMatchObject({ liveItems: 0, heldItems: 0 })
      for (const queue of QUEUES) expect(engine.queues.figuresOf({ app: 'shop', queue })).toMatchObject({ waiting: 0, delayed: 0, leased: 0, claims: 0 })
    }
    const { appends, conflicts } = servers.figures()
    expect(conflicts / appends).toBeLessThan(0.1)
    await servers.close()
  }, 120_000)
})

// Whatever is done to a queue, in whatever order: a lease call is given what a look at every task would give it, and nobody waits while there is something for it.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Existing } from '../../src/domain/work-item/state.ts'
import { settle, startEngine, type TestEngine } from '../support/engine.ts'
import { configure, queueConfig } from '../support/queues.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { fail, finish, giveBack, idOf, put, take } from '../support/tasks.ts'

type Step =
  | { readonly do: 'put'; readonly tag: number; readonly key: number; readonly priority: number; readonly delay: number }
  | { readonly do: 'take' | 'wait'; readonly max: number; readonly tag: number }
  | { readonly do: 'finish' | 'give back' | 'fail' | 'delete' | 'stop and go' | 'stop' | 'go'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'pause' | 'resume' | 'purge' }
  | { readonly do: 'limit'; readonly keys: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), tag: fc.nat(3), key: fc.nat(4), priority: fc.nat(2), delay: fc.constantFrom(0, 0, 0, 50, 700) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'wait' as const), max: fc.integer({ min: 1, max: 4 }), tag: fc.nat(4) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('finish' as const, 'give back' as const, 'fail' as const, 'delete' as const, 'stop and go' as const), which: fc.nat(50) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 60, 800, 3_000, 61_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limit' as const), keys: fc.integer({ min: 1, max: 2 }) }) },
)

/** Many tasks of one key, and every way out of its line; few waits, since with somebody waiting nothing lies there. */
const crowdStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({ do: fc.constant('put' as const), tag: fc.constantFrom(0, 0, 0, 1), key: fc.constantFrom(1, 1, 1, 2), priority: fc.nat(1), delay: fc.constant(0) }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('take' as const), max: fc.constantFrom(1, 4), tag: fc.constantFrom(0, 0, 0, 1) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(50) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'stop' as const, 'stop' as const, 'go' as const, 'stop and go' as const), which: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), max: fc.constantFrom(1, 4), tag: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limit' as const), keys: fc.integer({ min: 1, max: 2 }) }) },
)

const QUEUE = { app: 'shop', queue: 'mail' }
const TAGS = [undefined, 'a', 'b', 'c']
const KEYS = [undefined, 'k', 'l', 'm', undefined]

interface Call {
  readonly max: number
  /** `same`: that of the oldest; no task has a tag of that name. */
  readonly tag: string | undefined
  isAnswered: boolean
}

/** The queue as one finds it by looking at every task. */
const model = (test: TestEngine) => {
  const names: string[] = []
  const calls: Call[] = []
  let keys = 1
  const tasks = (): readonly (readonly [string, Existing])[] =>
    names.flatMap((name) => {
      const item = test.engine.live(idOf(name))
      return item === undefined ? [] : [[name, item] as const]
    })
  const held = () => tasks().filter(([, item]) => item.status === 'running')
  const isPaused = () => test.engine.queues.get(QUEUE)?.paused !== undefined

  /** What a call that comes now should be given: priorities and times, since equals may stand in any order. Of those at the head, `first` is the one whose tag counts. */
  const wanted = ({ max, tag }: Pick<Call, 'max' | 'tag'>, first?: string): readonly string[] => {
    if (isPaused()) return []
    const inUse = new Map<string, number>()
    for (const [, { task }] of held()) if (task?.key !== undefined) inUse.set(task.key, (inUse.get(task.key) ?? 0) + 1)
    const due = tasks()
      .filter(([, item]) => item.status === 'waiting' && item.will === 'normal' && (item.task?.dueAt ?? 0) <= test.world.now())
      .toSorted(
        ([nameA, a], [nameB, b]) =>
          (b.task?.priority ?? 0) - (a.task?.priority ?? 0) || (a.task?.dueAt ?? 0) - (b.task?.dueAt ?? 0) || Number(nameB === first) - Number(nameA === first),
      )
    const given: string[] = []
    let only: { readonly tag: string | undefined } | undefined = tag === 'same' || tag === undefined ? undefined : { tag }
    for (const [, { task }] of due) {
      if (given.length === max) break
      if (task === undefined || (only !== undefined && task.tag !== only.tag)) continue
      if (task.key !== undefined && (inUse.get(task.key) ?? 0) >= keys) continue
      if (task.key !== undefined) inUse.set(task.key, (inUse.get(task.key) ?? 0) + 1)
      if (tag === 'same') only ??= { tag: task.tag }
      given.push(`${task.priority} ${task.dueAt}`)
    }
    return given
  }
  return { names, calls, tasks, held, isPaused, wanted, setKeys: (count: number) => (keys = count) }
}

const carryOut = async (test: TestEngine, queue: ReturnType<typeof model>, one: Step, at: number): Promise<void> => {
  const held = queue.held()
  const chosen = (which: number): string | undefined => held[which % Math.max(1, held.length)]?.[0]
  const context = () => ({ subject: 'admin', actor: 'admin', commandId: test.world.uuid() })
  switch (one.do) {
    case 'put': {
      const [tag, key] = [TAGS[one.tag], KEYS[one.key]]
      queue.names.push(`t${at}`)
      await put(test, `t${at}`, { priority: one.priority, dueInMs: one.delay, ...(tag === undefined ? {} : { tag }), ...(key === undefined ? {} : { key }) })
      return
    }
    case 'take': {
      const tag = one.tag === 4 ? 'same' : TAGS[one.tag]
      const call = { max: one.max, tag }
      const wanted = queue.wanted(call)
      const wantedBehind = new Map(tag === 'same' ? queue.tasks().map(([name]) => [name, queue.wanted(call, name)] as const) : [])
      const given = await take(test, { max: one.max, worker: `w${at}`, ...(tag === 'same' ? { sameTag: true } : { tag }) })
      expect(
        given.map((name) => {
          const task = test.engine.live(idOf(name))?.task
          return `${task?.priority} ${task?.dueAt}`
        }),
      ).toEqual(wantedBehind.get(given[0] ?? '') ?? wanted)
      return
    }
    case 'wait': {
      const call: Call = { max: one.max, tag: one.tag === 4 ? 'same' : TAGS[one.tag], isAnswered: false }
      queue.calls.push(call)
      void take(test, { max: call.max, worker: `w${at}`, waitMs: 600_000, ...(call.tag === 'same' ? { sameTag: true } : { tag: call.tag }) }).then(() => (call.isAnswered = true))
      return
    }
    case 'finish':
    case 'give back':
    case 'fail': {
      const name = chosen(one.which)
      if (name !== undefined) await { finish, 'give back': giveBack, fail }[one.do](test, name)
      return
    }
    case 'stop':
    case 'go': {
      const wanted = queue.tasks().filter(([, { status, will }]) => status === 'waiting' && will === (one.do === 'stop' ? 'normal' : 'pause'))
      const [name] = wanted[one.which % Math.max(1, wanted.length)] ?? []
      const directive = one.do === 'stop' ? 'pause' : 'resume'
      if (name !== undefined) await test.engine.execute(idOf(name), { type: 'GiveDirective', by: 'admin', commandId: test.world.uuid(), directive }, context())
      return
    }
    case 'purge':
      await test.engine.queues.startBulk(QUEUE, 'purge', {}, context())
      while (test.engine.queues.get(QUEUE)?.bulks.some(({ finished }) => finished === undefined) === true) await settle()
      return
    case 'delete':
    case 'stop and go': {
      const tasks = queue.tasks()
      const [name] = tasks[one.which % Math.max(1, tasks.length)] ?? []
      if (name === undefined) return
      if (one.do === 'delete') return void (await test.engine.execute(idOf(name), { type: 'DeleteTask', by: 'admin' }, context()))
      // Of a task that nobody holds, so that it is another revision of itself and otherwise as it was.
      if (test.engine.live(idOf(name))?.status !== 'waiting') return
      for (const directive of ['pause', 'resume'] as const)
        await test.engine.execute(idOf(name), { type: 'GiveDirective', by: 'admin', commandId: test.world.uuid(), directive }, context())
      return
    }
    case 'advance':
      return test.world.advance(one.ms)
    case 'pause':
      return void (await test.engine.queues.pause(QUEUE, undefined, context()))
    case 'resume':
      return void (await test.engine.queues.resume(QUEUE, context()))
    case 'limit':
      queue.setKeys(one.keys)
      return configure(test, queueConfig('shop', 'mail', { stint: { keyConcurrency: one.keys } }))
  }
}

const holdsFor = (steps: fc.Arbitrary<Step>) => async (): Promise<void> => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 60, size: 'max' }), async (taken) => {
      const test = await startEngine()
      await configure(test, queueConfig('shop', 'mail'))
      const queue = model(test)
      for (const [at, one] of taken.entries()) {
        await carryOut(test, queue, one, at)
        await settle()
        for (const call of queue.calls) if (!call.isAnswered) expect([at, one.do, call.tag, queue.wanted({ ...call, max: 1 })]).toEqual([at, one.do, call.tag, []])
        const waiting = queue.tasks().filter(([, item]) => item.status === 'waiting')
        const delayed = waiting.filter(([, item]) => item.will === 'normal' && (item.task?.dueAt ?? 0) > test.world.now()).length
        expect(test.engine.queues.figuresOf(QUEUE)).toMatchObject({
          waiting: waiting.length - delayed,
          delayed,
          leased: queue.held().length,
          waiters: queue.calls.filter(({ isAnswered }) => !isAnswered).length,
          claims: 0,
        })
        test.world.advance(1)
      }
      test.engine.stop()
      await settle()
      expect(queue.calls.every(({ isAnswered }) => isAnswered)).toBe(true)
      await expectReplayEqual(test.engine, test.store)
      await test.engine.close()
      expect(test.world.pending()).toEqual([])
    }),
    { numRuns: 200 },
  )
}

it('a queue gives what a look at every task would, for any sequence of events', { timeout: 360_000 }, holdsFor(step))
it('a queue gives what a look at every task would, in a crowd of one key', { timeout: 360_000 }, holdsFor(crowdStep))

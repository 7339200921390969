// Stint is killed again and again while job servers report. Whatever it acknowledged must be in its log, under leases that still hold, in a chain that is whole.
import * as E from 'fp-ts/lib/Either.js'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isInHistory, type Acknowledged } from '../../src/cli/demo/ledger.ts'
import { connect, StintError, Unreachable, type HistoryEvent, type Stint } from '../../src/client/index.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { registerJob, reportJob } from '../../src/wire/jobs.ts'
import { realWorld } from '../../src/world.ts'
import { processes, type Running } from '../support/process.ts'

const KILLS = 50
const CLIENTS = 4
const JOBS_A_CLIENT = 2
/** Acknowledgements that each job sees between two kills, at least: the kill comes in the middle of the next reports. */
const ACKNOWLEDGED_A_CYCLE = 5
const TIMEOUT_MS = 900_000

const { folder, startStint } = processes('kill-loop')
const data = join(folder, 'data')

const startServer = async (port: string): Promise<{ readonly running: Running; readonly url: string }> => {
  const running = startStint(['serve', '--port', port, '--data', data])
  const [, url = ''] = await running.line(/^listening (\S+)$/)
  return { running, url }
}

/** Opens and shuts: whoever passes waits while it is shut. */
const gate = () => {
  let open = (): void => undefined
  let passage: Promise<void> = Promise.resolve()
  return {
    shut: (): void => {
      passage = new Promise((resolve) => (open = resolve))
    },
    open: (): void => open(),
    pass: (): Promise<void> => passage,
  }
}

/** A holder that reports one phase after another and remembers what was acknowledged; what got no answer it says again, word for word. */
const reporter = async (stint: Stint, id: string, server: ReturnType<typeof gate>) => {
  const { lease } = await stint.call(registerJob, { body: { id, service: 'kill-loop', server: 'in-the-test', label: id } })
  if (lease === undefined) throw new Error('Expected a lease for a new job')
  const acknowledged: Acknowledged[] = [{ job: id, lease, said: { registered: true } }]
  const waiting = new Set<() => void>()
  let isOver = false
  let repeats = 0

  /** True once it is acknowledged, false when nobody answered. Any other refusal is a lost lease or worse. */
  const say = async (said: Acknowledged['said']): Promise<boolean> => {
    try {
      const { phase, progress } = said
      const answer = await stint.call(reportJob, { params: { id }, body: { lease, phase, progress }, attemptsMax: 1 })
      expect(answer).toMatchObject({ recorded: true, state: 'running' })
      acknowledged.push({ job: id, lease, said })
      for (const look of waiting) look()
      return true
    } catch (failure) {
      if (failure instanceof Unreachable || (failure instanceof StintError && failure.status === 503)) return false
      throw failure
    }
  }

  const report = async (): Promise<void> => {
    for (let number = 1; !isOver; number += 1) {
      const said = { phase: `phase ${number}`, progress: { done: number, unit: 'phases' } }
      while (!(await say(said))) {
        repeats += 1
        await server.pass()
      }
    }
  }
  const ended = report()

  return {
    acknowledged: (): readonly Acknowledged[] => acknowledged,
    repeats: () => repeats,
    /** Resolves after `count` more acknowledgements; rejects when the reporter failed. */
    more: (count: number): Promise<void> => {
      const goal = acknowledged.length + count
      const reached = new Promise<void>((resolve) => {
        const look = (): void => {
          if (acknowledged.length < goal) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      })
      return Promise.race([reached, ended])
    },
    stop: async (): Promise<void> => {
      isOver = true
      await ended
    },
  }
}

const historyOf = async (stint: Stint, job: string): Promise<readonly HistoryEvent[]> => {
  const events: HistoryEvent[] = []
  for (let after: string | undefined; ;) {
    const page = await stint.jobs.history(job, { limit: 1_000, after })
    events.push(...page.items)
    after = page.next
    if (after === undefined) return events
  }
}

describe('when Stint is killed again and again during reports', () => {
  it(`keeps everything that it acknowledged, ${KILLS} times`, { timeout: TIMEOUT_MS }, async () => {
    const first = await startServer('0')
    const { url } = first
    const { port } = new URL(url)
    let { running } = first
    const server = gate()
    const clients = Array.from({ length: CLIENTS }, () => connect({ url }))
    const reporters = await Promise.all(
      clients.flatMap((client, each) => Array.from({ length: JOBS_A_CLIENT }, (_job, number) => reporter(client, `job-${each}-${number}`, server))),
    )

    const began = realWorld.monotonic()
    for (let kill = 0; kill < KILLS; kill += 1) {
      await Promise.all(reporters.map((each) => each.more(ACKNOWLEDGED_A_CYCLE)))
      server.shut()
      running.kill('SIGKILL')
      await running.ended()
      ;({ running } = await startServer(port))
      server.open()
    }
    // The leases of the first start still count after the last one.
    await Promise.all(reporters.map((each) => each.more(ACKNOWLEDGED_A_CYCLE)))
    await Promise.all(reporters.map((each) => each.stop()))
    const tookMs = realWorld.monotonic() - began

    await using stint = connect({ url })
    const acknowledged = reporters.flatMap((each) => each.acknowledged())
    for (const [job, entries] of Map.groupBy(acknowledged, (entry) => entry.job)) {
      const history = await historyOf(stint, job)
      expect(entries.filter((entry) => !isInHistory(entry, history))).toEqual([])
      expect(history.filter(({ type }) => type === 'Leased')).toHaveLength(1)
      // Said twice, recorded once, and in the order in which it was said.
      const phases = history.filter(({ type }) => type === 'PhaseEntered').map((event) => (event.data as { readonly phase: string }).phase)
      expect(phases).toEqual(phases.map((_phase, index) => `phase ${index + 1}`))
    }
    const repeats = reporters.reduce((sum, each) => sum + each.repeats(), 0)
    process.stdout.write(`${KILLS} kills in ${(tookMs / 1_000).toFixed(1)} s: ${acknowledged.length} acknowledgements kept, ${repeats} reports cut off and said again.\n`)
    expect(repeats).toBeGreaterThan(0)

    await Promise.all(clients.map((client) => client.close()))
    running.kill('SIGTERM')
    expect(await running.ended()).toEqual({ code: 0, signal: null })
    const { chain, tables } = await verifyData(data, { world: realWorld })
    expect(chain).toMatchObject({ _tag: 'Right' })
    expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  })
})

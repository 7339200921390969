// Requests in a storm: the server is killed in the middle of requests and duplicates of them, and so are those who execute them. Every reply that was given is given again byte
// for byte, and each effect outside belongs to an attempt in the log. Two planted faults show that the judge can tell. `bench/request-storm.ts` does the same with more of everything.
import * as E from 'fp-ts/lib/Either.js'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openEngine } from '../../src/engine/open.ts'
import { verifyData } from '../../src/offline/verify.ts'
import { openTables } from '../../src/projections/open.ts'
import { TABLES_FILE } from '../../src/settings.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { realWorld } from '../../src/world.ts'
import { right } from '../support/engine.ts'
import { expectReplayEqual } from '../support/replay.ts'
import { toldOf, type Verdict } from '../support/request-history.ts'
import { openStorm, type Fault, type Storm } from '../support/request-storm.ts'

const REQUESTS = 300
const DUPLICATES = 300
const KILLS = 4
const SEED = 7_668_961
const IN_FLIGHT = 32
const TIMEOUT_MS = 900_000

const folder = mkdtempSync(join(tmpdir(), 'stint-request-storm-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ridden {
  readonly verdict: Verdict
  readonly contradicted: readonly string[]
  readonly data: string
  /** With which the server ended in the end. */
  readonly code: number | null
  readonly counts: ReturnType<Storm['counts']>
}

/** Kills after so many replies, so that each life has seen some. */
const ride = async (fault: Fault): Promise<Ridden> => {
  const directory = join(folder, fault)
  const { promise: killed, resolve, reject } = Promise.withResolvers<void>()
  let kills = 0
  const began = realWorld.monotonic()
  const storm = await openStorm({
    directory,
    requests: REQUESTS,
    duplicates: DUPLICATES,
    seed: SEED,
    inFlight: IN_FLIGHT,
    fault,
    workers: 2,
    services: 2,
    onReply: (replies) => {
      if (kills >= KILLS || replies < ((REQUESTS + DUPLICATES) / (KILLS + 1)) * (kills + 1)) return
      kills += 1
      const others = kills % 2 === 0 ? storm.killService() : storm.killWorker()
      Promise.all([storm.killServer(), others]).then(() => kills === KILLS && resolve(), reject)
    },
  })
  await Promise.all([storm.done, killed])
  const tookMs = realWorld.monotonic() - began
  const counts = storm.counts()
  const contradicted = storm.contradicted()
  const code = await storm.close()
  const verdict = await storm.judge()
  process.stdout.write(
    `${fault}, seed ${SEED}, ${(tookMs / 1_000).toFixed(1)} s, ${JSON.stringify(counts)}, ${contradicted.length} replies given otherwise than before: ${toldOf(verdict, 3)}\n`,
  )
  return { verdict, contradicted, data: join(directory, 'data'), code, counts }
}

const expectReplay = async (data: string): Promise<void> => {
  const { chain, tables } = await verifyData(data, { world: realWorld })
  expect(chain).toMatchObject({ _tag: 'Right' })
  expect(tables).toMatchObject(E.right({ equal: true, differences: [] }))
  const store = await openSqliteStore({ directory: data, world: realWorld })
  const keptFile = join(data, TABLES_FILE)
  const engine = right(await openEngine({ store, tables: await openTables({ file: keptFile, storeFile: store.file, world: realWorld }), world: realWorld }))
  await expectReplayEqual(engine, store, { keptFile })
  await engine.close()
}

const expectAllKept = ({ verdict, contradicted, code, counts }: Ridden): void => {
  expect(verdict.violations).toEqual([])
  expect(contradicted).toEqual([])
  expect(verdict.counted).toMatchObject({ requests: REQUESTS, settled: REQUESTS })
  expect(verdict.counted.repliesReplayed).toBeGreaterThan(0)
  expect(counts.serverKills).toBe(KILLS)
  expect(counts.cut).toBeGreaterThan(0)
  expect(code).toBe(0)
}

describe('when the server and those who execute are killed in the middle of 300 requests and 300 duplicates', () => {
  it('gives every reply again byte for byte, and has each effect in an attempt of its own', { timeout: TIMEOUT_MS }, async () => {
    const ridden = await ride('none')
    expectAllKept(ridden)
    await expectReplay(ridden.data)
  })

  it('does so too when what was done is not heard of', { timeout: TIMEOUT_MS }, async () => {
    const ridden = await ride('answer-lost')
    expectAllKept(ridden)
    expect(ridden.counts.answersLost).toBeGreaterThan(0)
    await expectReplay(ridden.data)
  })

  it('finds out a server that sends a reply before the reply is durable', { timeout: TIMEOUT_MS }, async () => {
    const { verdict, contradicted } = await ride('reply-before-commit')
    // The callers see it by themselves, and the log says that it was not there when it was given.
    expect(contradicted).not.toEqual([])
    expect(new Set(verdict.violations.map(({ rule }) => rule))).toContain('reply-was-stored-before')
  })
})

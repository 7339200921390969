// kill -9 while appends are under way, again and again on one log: whatever was acknowledged is there, where it was said to be, and the chain holds.
import { describe, expect, it } from 'vitest'
import { ERASED_DATA } from '../../src/store/port.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { directories } from './directories.ts'
import { start } from './processes.ts'
import { everything, right } from './samples.ts'

const directory = directories()

/** How many acknowledgements are waited for before each kill, from none to thousands; so the kills fall on starts, single commits and groups alike. */
const ROUNDS = [0, 1, 2, 5, 17, 50, 120, 333, 1_000, 2_000, 3_000, 7]

/** Kills an appending process after so many acknowledgements; answers all that it got out, as position → id. */
const killedAfter = async (count: number, data: string, round: number): Promise<ReadonlyMap<string, string>> => {
  const acknowledged = new Map<string, string>()
  const appender = start('appender.ts', [data, String(1 + (round % 4) * 20), `r${round}`])
  const take = async (): Promise<boolean> => {
    const line = await appender.lines.next()
    if (line.done === true) return false
    const [position = '', id = ''] = line.value.split(' ')
    if (id !== '') acknowledged.set(position, id)
    return true
  }
  while (acknowledged.size < count && (await take()));
  const killed = appender.kill()
  while (await take());
  await killed
  return acknowledged
}

describe('when the process is killed', () => {
  it('has every acknowledged event, and an unbroken chain, after each of a dozen kills', { timeout: 360_000 }, async () => {
    const data = directory()
    const acknowledged = new Map<string, string>()
    for (const [round, count] of ROUNDS.entries()) {
      for (const [position, id] of await killedAfter(count, data, round)) acknowledged.set(position, id)
      const store = await openSqliteStore({ directory: data })
      const stored = await everything(store, 1_000_000)
      const idAt = new Map(stored.map(({ position, id }) => [position, id]))
      expect([...acknowledged].filter(([position, id]) => idAt.get(position) !== id)).toEqual([])
      expect(new Set(stored.map(({ id }) => id)).size).toBe(stored.length)
      expect(stored.filter(({ id, payload }) => Buffer.from(payload ?? []).toString() !== id)).toEqual([])
      expect(right(await verifyChain(store)()).events).toBe(stored.length)
      await store.close()
    }
    expect(acknowledged.size).toBeGreaterThan(ROUNDS.reduce((sum, count) => sum + count, 0) - 1)
  })
})

/** How many lines of an erasing process are waited for before each kill. */
const ERASING_ROUNDS = [0, 3, 40, 200, 600, 1_500]

/** Kills an erasing process; answers the erasures that it got out, as stream → revision of the tombstone, and how many rows it pruned. */
const erasedUntilKilled = async (count: number, data: string, round: number) => {
  const erased = new Map<string, number>()
  let pruned = 0
  let lines = 0
  const eraser = start('eraser.ts', [data, String(1 + (round % 3) * 8), `r${round}`])
  const take = async (): Promise<boolean> => {
    const line = await eraser.lines.next()
    if (line.done === true) return false
    const [what = '', number = ''] = line.value.split(' ')
    if (what === 'pruned') pruned += Number(number)
    else if (number !== '') erased.set(what, Number(number))
    lines += 1
    return true
  }
  while (lines < count && (await take()));
  const killed = eraser.kill()
  while (await take());
  await killed
  return { erased, pruned }
}

describe('when the process is killed while it erases and prunes', () => {
  it('has done nothing by halves: a stream is whole or has its tombstone, and the chain holds over the gaps', { timeout: 360_000 }, async () => {
    const data = directory()
    const acknowledged = new Map<string, number>()
    let pruned = 0
    for (const [round, count] of ERASING_ROUNDS.entries()) {
      const done = await erasedUntilKilled(count, data, round)
      for (const [stream, revision] of done.erased) acknowledged.set(stream, revision)
      pruned += done.pruned
      const store = await openSqliteStore({ directory: data })
      const streams = Map.groupBy(await everything(store, 1_000_000), ({ stream }) => stream)
      for (const [stream, revision] of acknowledged) expect(streams.get(stream)?.at(-1)).toMatchObject({ type: 'Tombstone', revision })
      for (const events of streams.values()) {
        const isErased = events.at(-1)?.type === 'Tombstone'
        expect(events.slice(0, -1).every(({ data: text, payload }) => (text === ERASED_DATA && payload === undefined) === isErased)).toBe(true)
        if (!isErased) expect(events.map(({ revision }) => revision)).toEqual(events.map((_, index) => index))
      }
      const chain = right(await verifyChain(store)())
      expect(chain.pruned).toBeGreaterThanOrEqual(pruned)
      await store.close()
    }
    expect(pruned).toBeGreaterThan(0)
    expect(acknowledged.size).toBeGreaterThan(100)
  })
})

// A backup of a live log is whole, can be proved and opened, and never takes the place of anything.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSqliteReader } from '../../src/store/sqlite/log-reader.ts'
import { openSqliteStore, type SqliteStore } from '../../src/store/sqlite/store.ts'
import { verifyChain } from '../../src/store/verify.ts'
import { directories } from './directories.ts'
import { everything, left, put, right, sample, samples } from './samples.ts'

const directory = directories()

/** Appends in several lanes until told to stop; then answers how many it appended. */
const load = (store: SqliteStore) => {
  let going = true
  const lane = async (number: number): Promise<number> => {
    let count = 0
    for (; going; count += 1) await put(store, `lane-${number}`, [sample(count, { payload: Buffer.alloc(500, count) })])
    return count
  }
  const lanes = Promise.all(Array.from({ length: 8 }, (_, number) => lane(number)))
  return async () => {
    going = false
    return (await lanes).reduce((sum, count) => sum + count, 0)
  }
}

describe('when a live log is backed up', () => {
  it('makes copies that can be proved, each with all that was acknowledged before', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(2_000))
    const stop = load(store)
    const target = directory()
    for (const name of ['one.db', 'two.db', 'three.db']) {
      const before = await put(store, 'marks', [sample(1)])
      const copied = right(await store.backup(join(target, name))())
      expect(copied.position >= before.position).toBe(true)
      const reader = openSqliteReader(join(target, name))
      expect(right(await verifyChain(reader)()).head).toEqual(copied)
      expect(right(await reader.readStream('a', { max: 5_000 })())).toEqual(right(await store.readStream('a', { max: 5_000 })()))
      reader.close()
    }
    expect(await stop()).toBeGreaterThan(0)
    expect(readdirSync(target).toSorted()).toEqual(['one.db', 'three.db', 'two.db'])
    await store.close()
  })

  it('refuses a target that exists and leaves it alone', async () => {
    const store = await openSqliteStore({ directory: directory() })
    const target = join(directory(), 'kept.db')
    writeFileSync(target, 'precious')
    expect(left(await store.backup(target)())).toMatchObject({ name: 'StoreFault', kind: 'unavailable', message: expect.stringContaining('exists') })
    expect(left(await store.backup(store.file)())).toMatchObject({ kind: 'unavailable' })
    expect(readFileSync(target, 'utf8')).toBe('precious')
    await store.close()
  })

  it('leaves nothing behind when it cannot be written', async () => {
    const store = await openSqliteStore({ directory: directory() })
    const target = directory()
    expect(left(await store.backup(join(target, 'missing', 'copy.db'))())).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('backup failed') })
    mkdirSync(join(target, 'copy.db.partial', 'occupied'), { recursive: true })
    expect(left(await store.backup(join(target, 'copy.db'))())).toMatchObject({ name: 'StoreFault', kind: 'unavailable' })
    expect(readdirSync(target)).toEqual(['copy.db.partial'])
    await store.close()
  })
})

describe('when a pruned log is backed up', () => {
  it('takes its gaps along', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'b', [sample(1)])
    await put(store, 'a', samples(3))
    right(await store.erase('a', 2, [sample(9)])())
    const { position } = await put(store, 'b', [sample(4)])
    expect(right(await store.prune({ before: position })())).toEqual({ pruned: 3 })
    const file = join(directory(), 'stint.db')
    right(await store.backup(file)())
    const restored = await openSqliteStore({ file })
    expect(right(await verifyChain(restored)())).toMatchObject({ events: 3, pruned: 3, gaps: 1 })
    expect(left(await restored.append('a', 'noStream', [sample(5)])())).toEqual({ kind: 'conflict', actual: 3 })
    await restored.close()
    await store.close()
  })
})

describe('when a backup is opened as a store', () => {
  it('goes on from where it was taken, as another life of the log', async () => {
    const store = await openSqliteStore({ directory: directory() })
    await put(store, 'a', samples(3))
    const original = right(await store.head()())
    const file = join(directory(), 'stint.db')
    right(await store.backup(file)())
    await put(store, 'a', [sample(4)])
    await store.close()

    const restored = await openSqliteStore({ file })
    const head = right(await restored.head()())
    expect(head).toMatchObject({ storeId: original.storeId, digest: original.digest })
    expect(head.incarnation).not.toBe(original.incarnation)
    expect((await everything(restored)).map(({ type, position }) => [type, position])).toEqual(
      samples(3).map(({ type }, index) => [type, `${head.incarnation}.000000000000000${index + 1}`]),
    )
    expect(left(await restored.readAll({ after: original.position })())).toMatchObject({ kind: 'foreign-position' })
    expect(right(await restored.append('a', 2, [sample(5)])()).revision).toBe(3)
    expect(right(await verifyChain(restored)()).events).toBe(4)
    await restored.close()

    const again = await openSqliteStore({ file })
    expect(right(await again.head()()).incarnation).toBe(head.incarnation)
    await again.close()
  })
})

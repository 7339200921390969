// The directory of a server whose log is elsewhere: one server at a time, a name that stays, and copies that are told from what they were copied from.
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { holdDirectory, newServerName } from '../../../src/store/kurrent/directory.ts'
import { realWorld } from '../../../src/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-held-'))
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const directory = (): string => join(folder, `data-${(made += 1)}`)

const hold = async (at: string) => {
  const said: string[] = []
  const held = await holdDirectory({ directory: at, tables: 'tables.db', ownLog: 'stint.db', world: realWorld, onLog: (text) => said.push(text) })
  return { ...held, said }
}

/** A directory with tables, left as its server leaves it. */
const withTables = async (isStopped: boolean) => {
  const at = directory()
  const held = await hold(at)
  writeFileSync(join(at, 'tables.db'), 'tables')
  writeFileSync(join(at, 'tables.db-wal'), 'newest')
  if (isStopped) held.release()
  return { at, ...held }
}
const hasTables = (at: string): boolean => existsSync(join(at, 'tables.db')) && existsSync(join(at, 'tables.db-wal'))

describe('a directory of tables', () => {
  it('gives its server a name that it keeps, and no other server has', async () => {
    const at = directory()
    const first = await hold(at)
    first.release()
    const again = await hold(at)
    again.release()
    expect(again.name).toBe(first.name)
    const elsewhere = await hold(directory())
    elsewhere.release()
    expect(elsewhere.name).not.toBe(first.name)
    expect(newServerName(realWorld)).not.toBe(newServerName(realWorld))
  })

  it('is held by one server at a time', async () => {
    const at = directory()
    const held = await hold(at)
    await expect(hold(at)).rejects.toMatchObject({ name: 'StoreOpenError', problem: 'in-use' })
    held.release()
    held.release()
    ;(await hold(at)).release()
  })

  it('keeps its tables and its name when it is moved, and when its server died', async () => {
    const { at, name, release } = await withTables(false)
    // The lock is let go as the system does for a process that died; the note is as it was.
    const note = readFileSync(join(at, 'server.json'), 'utf8')
    release()
    writeFileSync(join(at, 'server.json'), note)
    const moved = directory()
    renameSync(at, moved)
    const held = await hold(moved)
    held.release()
    expect([held.name, held.said, hasTables(moved)]).toEqual([name, [], true])
  })
})

describe('a copy of a directory of tables', () => {
  it('has a name of its own, and the tables that its server left when it stopped', async () => {
    const { at, name } = await withTables(true)
    const copy = directory()
    cpSync(at, copy, { recursive: true, preserveTimestamps: true })
    const held = await hold(copy)
    expect(held.name).not.toBe(name)
    expect([held.said, hasTables(copy)]).toEqual([[], true])
    held.release()
    const again = await hold(copy)
    again.release()
    expect(again.name).toBe(held.name)
  })

  it('is folded anew when it was copied while its server ran, and the operator is told', async () => {
    const { at, release } = await withTables(false)
    const copy = directory()
    cpSync(at, copy, { recursive: true, preserveTimestamps: true })
    const held = await hold(copy)
    held.release()
    release()
    expect([held.said, hasTables(copy), hasTables(at)]).toEqual([[expect.stringContaining('copied while their server had them open')], false, true])
  })

  it('is folded anew when it is the tables alone, of which nobody knows whether they are whole', async () => {
    const { at } = await withTables(true)
    const copy = directory()
    ;(await hold(copy)).release()
    rmSync(join(copy, 'server.json'))
    copyFileSync(join(at, 'tables.db'), join(copy, 'tables.db'))
    const held = await hold(copy)
    held.release()
    expect([held.said, existsSync(join(copy, 'tables.db'))]).toEqual([[expect.stringContaining('not known which server wrote them')], false])
  })
})

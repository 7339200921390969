// The work of the demo's tasks, and the second look at it that must be able to find it wrong.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { archive, archiveFileOf, IncompleteFile, isTrue } from '../../../src/cli/demo/archive.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-archive-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const into = join(folder, 'archive')
mkdirSync(into)
const path = join(folder, 'poem.txt')
const TEXT = 'roses are red\nviolets are blue\n'
writeFileSync(path, TEXT)
const order = { path, bytes: TEXT.length }

describe('a file that is archived', () => {
  it('is hashed, counted and packed', async () => {
    const result = await archive(order, into, 'one')
    expect(result).toEqual({
      sha256: 'f64a0dd6ee747841e5a9b7bc1b5c0d10c52e315513fe6ff571374befa7e776b2',
      bytes: 31,
      lines: 2,
      packed: readFileSync(archiveFileOf(into, 'one')).length,
    })
    expect(gunzipSync(readFileSync(archiveFileOf(into, 'one'))).toString()).toBe(TEXT)
    expect(await isTrue(order, into, 'one', result)).toBe(true)
  })

  it('may be archived again', async () => expect(await archive(order, into, 'one')).toEqual(await archive(order, into, 'one')))

  it('is refused when it was cut off', async () => {
    await expect(archive({ path, bytes: 40 }, into, 'two')).rejects.toThrow(new IncompleteFile('Expected 40 bytes, but the file has 31.'))
    expect(await isTrue(order, into, 'two', undefined)).toBe(false)
  })
})

describe('a second look', () => {
  it('finds a wrong result, and another file in the archive', async () => {
    const result = await archive(order, into, 'three')
    expect(await isTrue(order, into, 'three', { ...result, lines: 3 })).toBe(false)
    expect(await isTrue(order, into, 'three', { ...result, sha256: result.sha256.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) })).toBe(false)
    writeFileSync(path, `${TEXT}sugar is sweet\n`)
    expect(await isTrue(order, into, 'three', result)).toBe(false)
  })
})

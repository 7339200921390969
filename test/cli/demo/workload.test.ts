// How the demo cuts a directory tree into jobs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { piecesOf, requestAt } from '../../../src/cli/demo/workload.ts'

const folder = mkdtempSync(join(tmpdir(), 'stint-workload-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const tree = (name: string, files: Readonly<Record<string, number>>): string => {
  const root = join(folder, name)
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), 'x'.repeat(bytes))
  }
  return root
}

describe('a directory tree', () => {
  it('is cut into its largest directories, large ones further', async () => {
    const root = tree('cut', { 'a/one.ts': 100, 'b/x/one.md': 900, 'b/y/one.md': 800, 'c/one.js': 50, 'd/picture.png': 5_000 })
    const pieces = await piecesOf(root, 3)
    expect(pieces).toEqual([
      { directory: join(root, 'b/x'), files: 1, bytes: 900 },
      { directory: join(root, 'b/y'), files: 1, bytes: 800 },
      { directory: join(root, 'a'), files: 1, bytes: 100 },
    ])
    expect(requestAt(root, pieces, 0).label).toBe('b/x')
  })

  it('is cut into directories of many packages, because those of one look alike', async () => {
    const headers = Object.fromEntries(['arm', 'mips', 's390x', 'x86'].map((arch) => [`big/archs/${arch}/one.h`, 1_000]))
    const root = tree('varied', { ...headers, '@scope/a/one.ts': 300, '@scope/b/one.ts': 200, 'c/one.js': 100 })
    const packages = async (most: number) => (await piecesOf(root, most)).map(({ directory }) => relative(root, directory).split(sep)[0])
    expect(await packages(3)).toEqual(['big', 'big', '@scope'])
    expect(await packages(4)).toEqual(['big', 'big', '@scope', 'c'])
    expect(await packages(5)).toEqual(['big', 'big', 'big', '@scope', 'c'])
  })

  it('stays whole where its files lie side by side, and is indexed more than once then', async () => {
    const root = tree('flat', { 'one.ts': 10, 'two.ts': 20, 'sub/three.ts': 1 })
    const pieces = await piecesOf(root, 5)
    expect(pieces).toEqual([{ directory: root, files: 3, bytes: 31 }])
    expect([0, 1].map((number) => requestAt(root, pieces, number).label)).toEqual(['flat', 'flat #2'])
  })

  it('without a file that is worth an index has no pieces', async () => {
    expect(await piecesOf(tree('empty', { 'picture.png': 10, 'bundle.js': 600 * 1024 }), 5)).toEqual([])
  })
})

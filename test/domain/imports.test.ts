// The files of the domain import each other in one direction: with a circle of them, what is defined depends on which was read first.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const DOMAIN = `${import.meta.dirname}/../../src/domain`

/** What each file imports, types apart: the compiler leaves no trace of those. */
const importsOf = (files: Readonly<Record<string, string>>): ReadonlyMap<string, readonly string[]> =>
  new Map(
    Object.entries(files).map(([path, text]) => {
      const found = [...text.matchAll(/^(?:import|export)\s(?!type\s)[^;'"]*?from\s*'(\.[^'\n]+)'/gm)]
      return [path, found.map(([, name = '']) => posix.join(dirname(path), name))] as const
    }),
  )

/** The first circle that is met, as a way back to where it begins. */
const circleIn = (imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined => {
  const done = new Set<string>()
  const visit = (path: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const next of imports.get(path) ?? []) {
      const circle = visit(next, [...way, path])
      if (circle !== undefined) return circle
    }
    done.add(path)
    return undefined
  }
  for (const path of imports.keys()) {
    const circle = visit(path, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

describe('the files of the domain', () => {
  it('import each other in no circle', () => {
    const paths = readdirSync(DOMAIN, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
    const imports = importsOf(Object.fromEntries(paths.map((path) => [path.replaceAll('\\', '/'), readFileSync(`${DOMAIN}/${path}`, 'utf8')])))
    expect(imports.get('work-item/decide.ts')).toContain('work-item/holding.ts')
    expect([...imports.values()].flat().filter((path) => !imports.has(path))).toEqual([])
    expect(circleIn(imports)).toBeUndefined()
  })

  it('would be caught if they did, but not for a type', () => {
    const circle = { 'a/x.ts': "import { y } from './y.ts'\n", 'a/y.ts': "import {\n  type T,\n  z,\n} from '../z.ts'\n", 'z.ts': "export { x } from './a/x.ts'\n" }
    expect(circleIn(importsOf(circle))).toEqual(['a/x.ts', 'a/y.ts', 'z.ts', 'a/x.ts'])
    expect(circleIn(importsOf({ ...circle, 'z.ts': "import type { X } from './a/x.ts'\n" }))).toBeUndefined()
  })
})

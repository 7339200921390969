// The house rules that neither the compiler nor the linter can hold: who may import whom, what is banned and what to use instead, sizes and names.
// Each finding prints its place and the way out. What floats, falls through or is `any` is the linter's (.oxlintrc.json).
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, join, posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<'scripts' | 'dependencies' | 'devDependencies', Record<string, string>>

interface Source {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
  /** The text without comments, plain strings and regular expressions: same length, same lines. Templates stay, as they hold code. */
  readonly code: string
}

const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[(,=:[!&|?{};\n]\s*|return\s)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/g
const blank = (token: string): string => (token.startsWith('`') ? token : token.replace(/[^\n]/g, ' '))

const source = (path: string, text: string): Source => ({ path, text, code: text.replace(TOKEN, blank) })

const under = (folder: string): string[] =>
  existsSync(join(root, folder)) ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => posix.join(folder, name.replaceAll('\\', '/'))) : []

/** What others wrote or a compiler made. */
const FOREIGN = /\/golden\/|\/node_modules\/|^bench\/out\//

/** All code but this file, which quotes what it bans. */
const sources = ['src', 'test', 'bench', 'examples', 'bin', '.ci']
  .flatMap(under)
  .filter((path) => /\.(ts|js|mjs)$/.test(path) && !FOREIGN.test(path) && path !== 'test/tidy.test.ts')
  .map((path) => source(path, readFileSync(join(root, path), 'utf8')))

const place = (file: Source, index: number): string => `${file.path}:${file.text.slice(0, index).split('\n').length}`
const isIn = (path: string, ...folders: readonly string[]): boolean => folders.some((folder) => path === folder || path.startsWith(`${folder}/`))

// ---- imports ----
interface Room {
  /** Rooms and single files under src it may import, besides itself. */
  readonly rooms: readonly string[]
  /** npm packages it may import; undefined: any dependency. */
  readonly packages?: readonly string[]
  /** Whether it may import `node:` modules. */
  readonly node: boolean
}

const PURE = ['fp-ts', 'io-ts']

/** One direction, no shortcuts: the table of ARCHITECTURE.md. `main.ts` composes everything. */
const ROOMS: Readonly<Record<string, Room>> = {
  'world.ts': { rooms: [], packages: [], node: false },
  domain: { rooms: [], packages: PURE, node: false },
  store: { rooms: ['world.ts'], node: true },
  projections: { rooms: ['domain', 'store/port.ts', 'world.ts'], node: true },
  engine: { rooms: ['domain', 'store/port.ts', 'projections', 'world.ts'], node: true },
  wire: { rooms: ['domain'], packages: PURE, node: false },
  api: { rooms: ['wire', 'engine', 'projections', 'world.ts'], node: true },
  client: { rooms: ['wire', 'world.ts'], packages: [...PURE, 'undici', 'ws'], node: false },
  embedded: { rooms: ['domain', 'store', 'projections', 'engine', 'wire', 'api/messages.ts', 'client', 'settings.ts', 'world.ts'], node: true },
  cli: { rooms: ['client', 'embedded', 'wire', 'world.ts', 'settings.ts', 'config.ts', 'log.ts', 'offline', 'main.ts'], node: true },
  offline: { rooms: ['domain', 'engine/queue-files.ts', 'store', 'projections', 'wire', 'settings.ts', 'api/settings.ts', 'world.ts'], node: true },
  'settings.ts': { rooms: ['domain', 'wire', 'api/settings.ts'], packages: PURE, node: false },
  'config.ts': { rooms: ['settings.ts', 'wire', 'api/settings.ts'], node: true },
  'log.ts': { rooms: ['world.ts'], node: true },
  'main.ts': { rooms: ['world.ts', 'domain', 'store', 'projections', 'engine', 'wire', 'api', 'settings.ts', 'config.ts', 'log.ts'], node: true },
}

/** A thread begins at its own file, which nobody can hand a store. */
const THREADS: Readonly<Record<string, readonly string[]>> = { 'src/projections/thread.ts': ['store/sqlite/log-reader.ts', 'store/kurrent/store.ts'] }

const IMPORT = /\b(?:import|export)\b[^'"`;]*?\bfrom\s*'([^'\n]+)'|\bimport\s*\(\s*'([^'\n]+)'|^import\s+'([^'\n]+)'|new URL\(\s*'(\.[^'\n]+\.ts)'\s*,\s*import\.meta\.url/gm
const importsOf = (file: Source): { name: string; at: number }[] =>
  [...file.text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, blank).matchAll(IMPORT)].map((match) => {
    const name = match[1] ?? match[2] ?? match[3] ?? match[4] ?? ''
    return { name, at: match.index + match[0].lastIndexOf(name) }
  })

const roomOf = (path: string): string => path.split('/')[1] ?? ''
const packageOf = (name: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? ''

const refusal = (room: Room, from: string, file: Source, name: string): string | undefined => {
  if (name.startsWith('.')) {
    const target = posix.join(dirname(file.path), name).replace(/^src\//, '')
    return isIn(target, from, ...room.rooms, ...(THREADS[file.path] ?? []))
      ? undefined
      : `${from} may import ${[from, ...room.rooms].join(', ')}; let the value come in as a parameter, or move the code to the room that may`
  }
  if (name.startsWith('node:')) {
    if (name.startsWith('node:timers')) return 'take timers from World'
    return room.node ? undefined : `${from} runs without Node: let the value come in as a parameter`
  }
  const known = room.packages ?? Object.keys(manifest.dependencies)
  return known.includes(packageOf(name)) ? undefined : `${from} may import ${known.join(', ') || 'no package'}`
}

const importFindings = (file: Source): string[] => {
  const from = roomOf(file.path)
  const room = ROOMS[from]
  if (room === undefined)
    return [`${file.path}:1 is in no known room; instead: put it into one of ${Object.keys(ROOMS).join(', ')}, or add the room to ARCHITECTURE.md and to this table`]
  return importsOf(file).flatMap(({ name, at }) => {
    const why = refusal(room, from, file, name)
    return why === undefined ? [] : [`${place(file, at)} imports ${name}; instead: ${why}`]
  })
}

const FP_TS_IMPORT = /import (?:type )?(?:\* as E from 'fp-ts\/lib\/Either\.js'|\* as TE from 'fp-ts\/lib\/TaskEither\.js'|\{ pipe \} from 'fp-ts\/lib\/function\.js')/
const fpTsFindings = (file: Source): string[] =>
  importsOf(file)
    .filter(({ name, at }) => {
      const line = file.text.slice(file.text.lastIndexOf('\n', at) + 1).split('\n')[0] ?? ''
      return name.startsWith('fp-ts') && !FP_TS_IMPORT.test(line)
    })
    .map(({ name, at }) => `${place(file, at)} imports ${name}; instead: \`* as E\` or \`* as TE\` from fp-ts/lib/X.js, \`{ pipe }\`, and plain code for the rest`)

// ---- bans ----
interface Ban {
  readonly pattern: RegExp
  readonly instead: string
  /** What it must find, so that the ban itself is tested. */
  readonly example: string
  readonly where: (path: string) => boolean
  /** Look into comments and strings too. */
  readonly everywhere?: boolean
}

const worldless = (path: string): boolean => isIn(path, 'src', 'test') && path !== 'src/world.ts'
const inSource = (path: string): boolean => isIn(path, 'src')
const inTests = (path: string): boolean => isIn(path, 'test')
const anywhere = (): boolean => true

const BANS: readonly Ban[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\s*\)/g, example: 'const at = Date.now()', instead: 'world.now()', where: worldless },
  { pattern: /\bperformance\.now\b|\bprocess\.hrtime\b/g, example: 'performance.now()', instead: 'world.monotonic()', where: worldless },
  { pattern: /\bMath\.random\b/g, example: 'Math.random()', instead: 'world.random()', where: worldless },
  { pattern: /\brandomUUID\b|\brandomBytes\b/g, example: 'crypto.randomUUID()', instead: 'world.uuid() or world.token()', where: worldless },
  { pattern: /\bset(?:Timeout|Interval)\b/g, example: 'setTimeout(run, 5)', instead: 'world.timer(); in a test a virtual clock, or wait for the signal itself', where: worldless },
  { pattern: /\bT?E\.(?:Do|bind|bindTo|apS)\b/g, example: 'pipe(TE.Do, x)', instead: 'early returns: `if (E.isLeft(x)) return x`', where: anywhere },
  { pattern: /\bflow\(/g, example: 'flow(f, g)', instead: 'a named function', where: anywhere },
  {
    pattern: /\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}/g,
    example: 'try { f() } catch {}',
    instead: 'handle it, or say in the block why nothing needs doing',
    where: anywhere,
    everywhere: true,
  },
  { pattern: /\bas any\b|<any>/g, example: 'x as any', instead: 'unknown and a codec', where: anywhere },
  {
    pattern: /\bdefault:/g,
    example: 'switch (x) { default: }',
    instead: 'a case for each tag, so that the compiler names the one that is missing',
    where: (path) => isIn(path, 'src/domain'),
  },
  { pattern: /\basync\b|\bPromise\b|\bprocess\.|\bconsole\b/g, example: 'async () => 1', instead: 'the engine; the domain is pure', where: (path) => isIn(path, 'src/domain') },
  {
    pattern: /\b(?:it|test|describe)\.(?:skip\w*|only|todo|fails)\b/g,
    example: 'it.only(name, run)',
    instead: 'finish it; what a machine cannot run calls `context.skip(reason)`',
    where: inTests,
  },
  { pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/g, example: 'TO' + 'DO', instead: 'finish it, or name it in the README as not done', where: anywhere, everywhere: true },
  { pattern: /['"`]\/(?:tmp|home|root|work)\b/g, example: '`/t' + 'mp/x`', instead: 'os.tmpdir() or a path beside import.meta.dirname', where: anywhere, everywhere: true },
]

const banFindings = (file: Source): string[] =>
  BANS.filter((ban) => ban.where(file.path)).flatMap((ban) =>
    [...(ban.everywhere ? file.text : file.code).matchAll(ban.pattern)].map((match) => `${place(file, match.index)} ${match[0].trim()}; instead: ${ban.instead}`),
  )

// ---- sizes and names ----
const LINES_MAX = 500
const LINES_WARN = 300
const linesOf = (file: Source): number => file.text.split('\n').length - 1

/** Lines of one function, without comments and without the functions inside it: what is left of a factory is its own doing. */
const FUNCTION_LINES_MAX = 70
const OPENS = /(?:=>|\)(?:: [^{}]+)?) \{$/
const CONTROL = /^(?:\} )?(?:if|for|while|switch|else|catch|do)\b/

const functionFindings = (file: Source): string[] => {
  const open: { indent: number; line: number; own: number }[] = []
  const findings: string[] = []
  for (const [index, text] of file.code.split('\n').entries()) {
    const line = text.trim()
    const indent = text.length - text.trimStart().length
    const innermost = open.at(-1)
    if (innermost !== undefined && line !== '') innermost.own += 1
    if (innermost?.indent === indent && line.startsWith('}')) {
      open.pop()
      if (innermost.own > FUNCTION_LINES_MAX) findings.push(`${file.path}:${innermost.line} is a function of ${innermost.own} lines; instead: a function per step`)
    }
    if (OPENS.test(line) && !CONTROL.test(line)) open.push({ indent, line: index + 1, own: 1 })
  }
  return findings
}

const nameFindings = (file: Source): string[] => {
  const name = basename(file.path, extname(file.path)).replace(/\.test$/, '')
  if (/^(?:utils?|helpers?|common|managers?|misc)$|-(?:utils?|helpers?|manager)$/.test(name)) return [`${file.path}:1 is named ${name}; instead: the noun of what it holds`]
  return /^[a-z0-9]+(?:[-.][a-z0-9]+)*$/.test(name) ? [] : [`${file.path}:1 is named ${name}; instead: kebab-case`]
}

/** Full titles by indentation, which the formatter guarantees. */
const titlesOf = (file: Source): { title: string; at: number }[] => {
  const open: { indent: number; name: string }[] = []
  const found: { title: string; at: number }[] = []
  for (const match of file.text.matchAll(/^( *)(describe|it|test)\((?:'((?:\\.|[^'\\\n])*)'|`([^`$]*)`)/gm)) {
    const indent = match[1]?.length ?? 0
    while ((open.at(-1)?.indent ?? -1) >= indent) open.pop()
    const name = match[3] ?? match[4] ?? ''
    if (match[2] === 'describe') open.push({ indent, name })
    else found.push({ title: [...open.map((each) => each.name), name].join(' > '), at: match.index })
  }
  return found
}

const titleFindings = (file: Source): string[] => {
  const seen = new Set<string>()
  return titlesOf(file).flatMap(({ title, at }) => {
    if (seen.has(title)) return [`${place(file, at)} is the second test named "${title}"; instead: say what this one shows`]
    seen.add(title)
    return []
  })
}

// ---- documents ----
const documents = [...readdirSync(root), ...under('docs')].filter((path) => path.endsWith('.md')).map((path) => source(path, readFileSync(join(root, path), 'utf8')))

const FENCE = /^```(\w*)[^\n]*\n([\s\S]*?)^```/gm
const PATH = /(?<![\w./-])(?:src|test|bench|examples|docs|bin|\.ci)\/(?:[\w.-]+\/)*[\w-]+(?:\.\w+)+/g

/** Links of a document, the paths of its code (in a line or a block) and the scripts that it runs. */
const linkFindings = (file: Source): string[] => {
  const finding = (match: RegExpMatchArray, path: string, base = ''): string[] =>
    existsSync(join(root, base, path)) ? [] : [`${place(file, match.index ?? 0)} names ${path}, which does not exist; instead: what took its place`]
  const scripts = [...file.text.matchAll(/\bnpm run ([\w:-]+)/g)].filter((match) => manifest.scripts[match[1] ?? ''] === undefined)
  return [
    ...[...file.text.replace(FENCE, blank).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)].flatMap((match) => finding(match, match[1] ?? '', dirname(file.path))),
    ...[...file.text.matchAll(PATH)].filter((match) => !match[0].startsWith('bench/out/')).flatMap((match) => finding(match, match[0])),
    ...scripts.map((match) => `${place(file, match.index)} runs npm run ${match[1]}; instead: a script of package.json`),
  ]
}

const report = (findings: readonly string[]): string => [...new Set(findings)].join('\n')
const inRooms = sources.filter((file) => inSource(file.path))

describe('the rooms', () => {
  it('import only what the table lets them', () => expect(report(inRooms.flatMap(importFindings))).toBe(''))
  it('use no more of fp-ts than E, TE and pipe', () => expect(report(sources.flatMap(fpTsFindings))).toBe(''))
  it('would be caught importing past the table', () => {
    const reach = (path: string, text: string): number => importFindings(source(path, text)).length
    expect(reach('src/domain/x.ts', `import { realWorld } from '../world.ts'`)).toBe(1)
    expect(reach('src/domain/work-item/x.ts', `import { Kind } from '../ids.ts'`)).toBe(0)
    expect(reach('src/api/x.ts', `import type {\n  Head,\n} from '../store/port.ts'`)).toBe(1)
    expect(reach('src/projections/x.ts', `new Worker(new URL('../store/sqlite.ts', import.meta.url))`)).toBe(1)
    expect(reach('src/client/x.ts', `import { join } from 'node:path'`)).toBe(1)
    expect(reach('src/client/x.ts', `export * from 'express'`)).toBe(1)
    expect(reach('src/odds/x.ts', '')).toBe(1)
    expect(fpTsFindings(source('src/engine/x.ts', `import * as O from 'fp-ts/lib/Option.js'`)).length).toBe(1)
    expect(fpTsFindings(source('src/engine/x.ts', `import * as E from 'fp-ts/Either'`)).length).toBe(1)
  })
})

describe('the bans', () => {
  it('are kept', () => expect(report(sources.flatMap(banFindings))).toBe(''))
  it('each find their own example', () => {
    const dumb = BANS.filter((ban) => !(ban.example.replace(TOKEN, ban.everywhere ? String : blank).match(ban.pattern) !== null))
    expect(dumb.map((ban) => ban.example)).toEqual([])
  })
  it('do not look into comments and strings', () => {
    expect(banFindings(source('src/engine/x.ts', `// Date.now() is banned\nconst why = 'no Date.now()'\nconst isDate = /Date.now/.test(why)`))).toEqual([])
    expect(banFindings(source('src/engine/x.ts', 'const why = `at ${Date.now()}`'))).toHaveLength(1)
  })
})

describe('the files', () => {
  it(`have at most ${LINES_MAX} lines`, () => {
    const long = sources.map((file) => ({ path: file.path, lines: linesOf(file) })).filter((file) => file.lines > LINES_WARN)
    for (const file of long) console.warn(`${file.path}:1 has ${file.lines} lines: is it still one room?`)
    expect(report(long.filter((file) => file.lines > LINES_MAX).map((file) => `${file.path}:1 has ${file.lines} lines; instead: one file per thing`))).toBe('')
  })
  it(`have functions of at most ${FUNCTION_LINES_MAX} lines`, () => {
    expect(report(sources.filter((file) => inSource(file.path)).flatMap(functionFindings))).toBe('')
  })
  it('would be caught with a long function, not with many short ones', () => {
    const lines = (count: number): string => '    step()\n'.repeat(count)
    const factory = (count: number): string => `const open = () => {\n  const one = () => {\n${lines(count)}  }\n  const two = (x: number): void => {\n${lines(40)}  }\n}\n`
    expect(functionFindings(source('src/engine/x.ts', factory(40)))).toEqual([])
    expect(functionFindings(source('src/engine/x.ts', factory(69)))).toHaveLength(1)
  })
  it('are named by the noun of what they hold', () => expect(report(sources.flatMap(nameFindings))).toBe(''))
  it('open with a sentence that says what lives there', () => {
    const silent = sources.filter((file) => !/^(?:#![^\n]*\n)?\/[/*] ?\S/.test(file.text))
    expect(report(silent.map((file) => `${file.path}:1 opens without a comment; instead: one or two sentences on what lives here and why`))).toBe('')
  })
  it('give each of their tests a name of its own', () => expect(report(sources.filter((file) => inTests(file.path)).flatMap(titleFindings))).toBe(''))
})

describe('the documents', () => {
  it('link to and run only what exists', () => expect(report(documents.flatMap(linkFindings))).toBe(''))
})

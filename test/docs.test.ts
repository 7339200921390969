// The documents, held to the program: their programs compile, their commands and options exist, the tests that they name exist, and the words that they give to the code are in it.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { commandsOf, document, documents, root, rowsUnder, type Block } from './support/documents.ts'
import { processes } from './support/process.ts'
import { openShell } from './support/shell.ts'
import { userProject } from './support/user-project.ts'

const SLOW_MS = 240_000
const all = documents()
const shell = openShell()
const { stint } = processes('docs')

afterAll(shell.close)

const blocksIn = (language: string): readonly Block[] => {
  const found = all.flatMap(({ blocks }) => blocks.filter((block) => block.language === language))
  if (found.length === 0) throw new Error(`No document has a block in ${language}`)
  return found
}

const textsUnder = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))

// ---- programs ----

/** Names in the first column of a table as a union of literals; `f(x)` is `f`, and so is `job.f(x)` of whatever such a thing is called. */
const union = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(' | ')
const namesIn = (path: string, heading: string): readonly string[] =>
  rowsUnder(document(path), heading).flatMap(({ raw: [cell = ''] }) => [
    ...new Set([...cell.matchAll(/`(?:await )?(?:(?:job|task|request|reply|context)\.)?(\w+)/g)].map((match) => match[1] ?? '')),
  ])

const GUIDE = 'docs/guides/job-proxies.md'
const QUEUES = 'docs/guides/task-queues.md'
const REQUESTS = 'docs/guides/exactly-once.md'
const MIDDLEWARE = 'docs/guides/exactly-once-middleware.md'
const LONG_TASKS = 'docs/guides/long-tasks.md'

/** Fails to compile where a table leaves out an option, or names one that there is not. */
const OPTIONS = `import type { Dispatched, DispatchOptions, HandlerReply, Job, JobServerOptions, LongTask, OperationContext, ProducerOptions, Reply, RequesterOptions, RequestOptions, RequestWorkerOptions, RunOptions, TaskOptions, WorkerOptions, WorkerRequest, WorkerTask } from 'stint'
import type { ImplementationNodeOptions } from 'stint/embedded'
import type { ExactlyOnceOptions } from 'stint/express'
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never
export const options: Same<keyof JobServerOptions, ${union(namesIn(GUIDE, 'Options of a job server'))}> = true
export const sayings: Same<keyof Job, ${union(namesIn(GUIDE, 'What a job can say and hear'))}> = true
export const ofTasks: Same<keyof TaskOptions, ${union(namesIn(QUEUES, 'Options of a task'))}> = true
export const ofProducers: Same<keyof ProducerOptions, ${union(namesIn(QUEUES, 'Options of a producer'))}> = true
export const ofWorkers: Same<keyof WorkerOptions, ${union(namesIn(QUEUES, 'Options of a worker'))}> = true
export const ofHandlers: Same<keyof WorkerTask, ${union(namesIn(QUEUES, 'What a handler is given'))}> = true
export const ofOneJob: Same<keyof RunOptions, ${union(namesIn(GUIDE, 'Run a function'))}> = true
export const ofRequesters: Same<keyof RequesterOptions, ${union(namesIn(REQUESTS, 'Options of a requester'))}> = true
export const ofCalls: Same<keyof RequestOptions, ${union(namesIn(REQUESTS, 'Options of a call'))}> = true
export const ofReplies: Same<Extract<keyof Reply, string>, ${union(namesIn(REQUESTS, 'What a reply has'))}> = true
export const ofFullReplies: Same<keyof HandlerReply, ${union(namesIn(REQUESTS, 'A reply in full'))}> = true
export const ofRequestHandlers: Same<keyof WorkerRequest, ${union(namesIn(REQUESTS, 'What a handler of requests is given'))}> = true
export const ofRequestWorkers: Same<keyof RequestWorkerOptions, ${union(namesIn(REQUESTS, 'Options of a request worker'))}> = true
export const ofDispatches: Same<keyof DispatchOptions, ${union(namesIn(LONG_TASKS, 'Options of a dispatch'))}> = true
export const ofHandles: Same<keyof Dispatched, ${union(namesIn(LONG_TASKS, 'What a handle has'))}> = true
export const ofClasses: Same<keyof LongTask, ${union(namesIn(LONG_TASKS, 'What a class declares'))}> = true
export const ofOperations: Same<keyof OperationContext, ${union(namesIn(LONG_TASKS, 'What an operation is given'))}> = true
export const ofNodes: Same<Exclude<keyof ImplementationNodeOptions, 'world' | 'fetch'>, ${union(namesIn(LONG_TASKS, 'Options of an implementation node'))}> = true
export const ofRoutes: Same<Exclude<keyof ExactlyOnceOptions, 'world'>, ${union(namesIn(MIDDLEWARE, 'Options'))}> = true
`

describe('the programs in the documents', () => {
  it('compile for a user with strict settings, and name every option', { timeout: SLOW_MS }, async () => {
    const folder = userProject(mkdtempSync(join(tmpdir(), 'stint-docs-')))
    try {
      for (const { place, text } of blocksIn('ts')) writeFileSync(join(folder, `${place.replaceAll(/[^\w]/g, '-')}.ts`), text)
      writeFileSync(join(folder, 'options.ts'), OPTIONS)
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const written = await new Promise<string>((resolve) => void execFile(process.execPath, [tsc, '-p', folder], { cwd: folder }, (_error, out, err) => resolve(out + err)))
      expect(written).toBe('')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('are JSON where they say so', () => {
    for (const { place, text } of blocksIn('json')) expect(() => JSON.parse(text) as unknown, place).not.toThrow()
  })
})

// ---- commands ----

describe('the commands in the documents', () => {
  it('are sound to the shell', async () => {
    const sound = await Promise.all(
      blocksIn('sh').map(async ({ place, text }) => ({ place, ...(await shell.run(`sh -n <<'END OF BLOCK'\n${text}\nEND OF BLOCK`, { cwd: root })) })),
    )
    expect(sound.filter(({ code }) => code !== 0)).toEqual([])
  })

  /** Command lines of `stint` in blocks and in running text, as words. */
  const commandLines = (): ReadonlyMap<string, readonly string[]> => {
    const inBlocks = blocksIn('sh').flatMap((block) => commandsOf(block).map(({ command }) => command))
    const inText = all.flatMap(({ text }) => [...text.matchAll(/`((?:stint|npx stint|npm run stint --) [^`\n]+)`/g)].map((match) => match[1] ?? ''))
    const lines = [...inBlocks, ...inText].map((line) => /^(?:stint|npx stint|npm run stint --) (.*)$/.exec(line)?.[1]).filter((line) => line !== undefined)
    return new Map(lines.map((line) => [line, line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []]))
  }

  const helps = new Map<string, Promise<string>>()
  const helpOf = (path: readonly string[]): Promise<string> => {
    const key = path.join(' ')
    const known = helps.get(key) ?? stint([...path, '--help']).then(({ code, out }) => (code === 0 ? out : ''))
    helps.set(key, known)
    return known
  }
  const hasCommand = (help: string, name: string): boolean => new RegExp(`^ {2}(?:\\w+[|])?${name}(?:[ |]|$)`, 'm').test(help.split(/^Commands:$/m)[1] ?? '')

  /** What is wrong with the command line, if anything is. */
  const fault = async (words: readonly string[]): Promise<string | undefined> => {
    const [noun = '', verb = ''] = words
    if (!hasCommand(await helpOf([]), noun)) return `there is no command ${noun}`
    const ofNoun = await helpOf([noun])
    const takesVerb = ofNoun.includes('\nCommands:\n')
    if (takesVerb && verb !== '' && !hasCommand(ofNoun, verb)) return `there is no command ${noun} ${verb}`
    const help = takesVerb && verb !== '' ? await helpOf([noun, verb]) : ofNoun
    const unknown = words.filter((word) => /^--?[a-z]/.test(word)).filter((option) => !new RegExp(`(?:^|[\\s,])${option}(?=[\\s,]|$)`, 'm').test(help))
    return unknown.length === 0 ? undefined : `${noun} ${verb} has no ${unknown.join(', ')}`
  }

  it('exist, with the options that they are given', { timeout: SLOW_MS }, async () => {
    const lines = commandLines()
    expect(lines.size).toBeGreaterThan(20)
    const faults: string[] = []
    for (const [line, words] of lines) {
      const wrong = await fault(words)
      if (wrong !== undefined) faults.push(`stint ${line}: ${wrong}`)
    }
    expect(faults).toEqual([])
  })
})

// ---- links to tests ----

const LINK = /\[([^\]]+)\]\(([^)]+\.ts)\)/g
const quoted = (name: string): readonly string[] => [`'${name.replaceAll("'", String.raw`\'`)}'`, `"${name}"`, `\`${name}\``]

describe('the tests that what-happens-if.md names', () => {
  const path = 'docs/guides/what-happens-if.md'
  const { rows } = document(path)
  const links = rows.flatMap(({ place, raw }) =>
    [...(raw[2] ?? '').matchAll(LINK)].map(([, title = '', target = '']) => ({ place, title, file: posix.join(dirname(path), target) })),
  )

  it('exist, by their whole title', () => {
    expect(links.length).toBeGreaterThan(50)
    const missing = links.filter(({ title, file }) => {
      if (!existsSync(join(root, file))) return true
      // A number in a title comes from a constant of the test.
      const text = readFileSync(join(root, file), 'utf8').replaceAll(
        /\$\{(\w+)\}/g,
        (_whole, name: string) => new RegExp(`const ${name} = ([\\d_]+)`).exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? '',
      )
      let at = 0
      for (const part of title.split(' > ')) {
        const found = quoted(part)
          .map((each) => text.indexOf(each, at))
          .find((index) => index >= 0)
        if (found === undefined) return true
        at = found
      }
      return false
    })
    expect(missing.map(({ place, title, file }) => `${place} ${file}: ${title}`)).toEqual([])
  })

  it('are there for each row, but where it says that nothing shows it', () => {
    const without = rows.filter(({ raw }) => [...(raw[2] ?? '').matchAll(LINK)].length === 0)
    expect(without.filter(({ cells }) => cells[2] !== '–').map(({ place }) => place)).toEqual([])
    expect(without.length).toBeLessThanOrEqual(2)
  })
})

// ---- words and rooms ----

describe('GLOSSARY.md', () => {
  const sources = textsUnder('src').join('\n')
  const rows = document('GLOSSARY.md').rows

  it('gives each word one meaning', () => {
    const words = rows.flatMap(({ cells: [word = ''] }) => word.split(', '))
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([])
  })

  it('names what is in the code', () => {
    const named = rows.flatMap(({ place, raw }) => [...(raw[2] ?? '').matchAll(/`([^`]+)`/g)].map((match) => ({ place, name: match[1] ?? '' })))
    const missing = named.filter(({ name }) => {
      if (name.includes('/')) return !existsSync(join(root, name))
      return name.split('.').some((part) => !new RegExp(`\\b${part}\\b`).test(sources))
    })
    expect(missing).toEqual([])
  })
})

describe('ARCHITECTURE.md', () => {
  const rows = rowsUnder(document('ARCHITECTURE.md'), 'The way data flows')
  const tidy = readFileSync(join(root, 'test', 'tidy.test.ts'), 'utf8')
  const rooms = new Map(
    [...tidy.matchAll(/^ {2}(?:'([\w.]+)'|(\w+)): \{ rooms: \[([^\]]*)\]/gm)].map(([, file, folder, list = '']) => [
      file ?? folder ?? '',
      [...list.matchAll(/'([^']+)'/g)].map((match) => match[1] ?? ''),
    ]),
  )

  /** How the table names what the tidy test names by its path. */
  const NAMES: Readonly<Record<string, string>> = {
    "store's port": 'store/port.ts',
    "the engine's reader of queue files": 'engine/queue-files.ts',
    "the api's settings": 'api/settings.ts',
    "the api's messages": 'api/messages.ts',
    world: 'world.ts',
    settings: 'settings.ts',
    config: 'config.ts',
    log: 'log.ts',
    main: 'main.ts',
  }

  it('has a row for each room', () => {
    const inTheTree = readdirSync(join(root, 'src')).map((name) => `src/${name}`)
    expect(new Set(rows.map(({ cells: [room] }) => room))).toEqual(new Set(inTheTree))
  })

  it('says who may import whom as the tidy test holds it', () => {
    for (const {
      cells: [room = '', , imports = ''],
    } of rows) {
      if (imports.startsWith('everything')) continue
      const told =
        imports === 'nothing'
          ? []
          : imports
              .split(', ')
              .filter((name) => !/^(?:fp-ts|io-ts|undici|ws)$/.test(name))
              .map((name) => NAMES[name] ?? name)
      expect({ room, imports: new Set(told) }).toEqual({ room, imports: new Set(rooms.get(room.replace('src/', ''))) })
    }
  })
})

describe('docs/reliability.md', () => {
  it('has a command for each place of figures, and the command a test or a program', () => {
    const { text } = document('docs/reliability.md')
    const begun = [...text.matchAll(/<!-- figures: npx (?:vitest run|node) (\S+)(?: [^\s>]+)* -->/g)].map((match) => match[1] ?? '')
    expect(begun.length).toBeGreaterThan(0)
    expect(text.match(/<!-- end of figures -->/g)).toHaveLength(begun.length)
    expect(begun.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})

// The README's worked example, run as it is written: the server, the service and every command line, one after the other, each held to its comment.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type JobProxy, type Stint } from '../src/client/index.ts'
import { blocksUnder, commandsOf, document, root } from './support/documents.ts'
import { openShell, type Command, type Surroundings } from './support/shell.ts'
import { userProject } from './support/user-project.ts'

const SLOW_MS = 240_000
const readme = document('README.md')
const { scripts, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string>; version: string }
const example = blocksUnder(readme, 'A worked example')
const [serveLines, , startLines, useLines] = example.map((block) => commandsOf(block).map(({ command }) => command))
const program = example[1]?.text ?? ''
const hasCurl = spawnSync('curl', ['--version']).status === 0

const folder = mkdtempSync(join(tmpdir(), 'stint-readme-'))
const shell = openShell()
let stint: Stint
let onThisMachine: (text: string) => string
let atHome: Surroundings
let atTheUsers: Surroundings
let watching: Command | undefined
let id = ''

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })

beforeAll(async () => {
  const [stintPort, servicePort] = [await freePort(), await freePort()]
  // The one place where the example differs from what is written: other ports, another data directory. Who is told no address finds it in STINT_URL, as a user would do it.
  onThisMachine = (text) => text.replaceAll('7070', String(stintPort)).replaceAll('8080', String(servicePort)).replaceAll('./stint-data', join(folder, 'stint-data'))
  const env = { STINT_URL: onThisMachine('http://127.0.0.1:7070') }
  atHome = { cwd: root, env }
  atTheUsers = { cwd: userProject(folder), env }
  stint = connect({ url: env.STINT_URL })
})

afterAll(async () => {
  await stint.close()
  await shell.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The job once it is so, or the test's time is over. */
const jobWhen = async (isSo: (job: JobProxy) => boolean): Promise<JobProxy> => {
  for await (const job of stint.jobs.watch(id)) if (isSo(job)) return job
  throw new Error(`Job ${id} settled otherwise: ${JSON.stringify(await stint.jobs.show(id))}`)
}

/** Resolves when somebody answers there; rejects when the service has ended instead. */
const untilUp = async (service: Command, url: string): Promise<void> => {
  let hasEnded = false
  void service.gone.then(() => (hasEnded = true))
  const isUp = (): Promise<boolean> =>
    fetch(url).then(
      () => true,
      () => false,
    )
  while (!(await isUp())) if (hasEnded) throw new Error(service.written())
}

/** A line of the last block, run to its end in this checkout. */
const run = async (command: string): Promise<string> => {
  const { code, written } = await shell.run(onThisMachine(command), atHome)
  expect({ command, code, written }).toMatchObject({ code: 0 })
  return written
}

/** What each line of the last block must do, in order. */
const DEEDS: readonly (readonly [line: string, does: (command: string) => Promise<void>])[] = [
  [
    'curl -i -X POST http://127.0.0.1:8080/albums/norway',
    async (command) => {
      const answer = await run(command)
      expect(answer).toContain('202 Accepted')
      const [, location = ''] = /^Location: (\S+)/m.exec(answer) ?? []
      id = location.split('/').at(-1) ?? ''
      expect(location).toBe(`${stint.url}/v1/jobs/${id}`)
      expect(await jobWhen((job) => job.phase === 'resize' && job.progress !== undefined)).toMatchObject({
        service: 'thumbnails',
        server: 'thumbnails-1',
        label: 'album norway',
        state: 'running',
      })
    },
  ],
  [
    'npm run stint -- jobs list',
    async (command) => {
      const jobs = (await run(command)).split('\n').filter((line) => line.includes('album norway'))
      expect(jobs).toEqual([expect.stringMatching(new RegExp(`${id}.*running.*thumbnails-1.*\\d+%.*/100 pictures`))])
    },
  ],
  [
    'npm run stint -- jobs watch',
    async (command) => {
      watching = shell.start(onThisMachine(command), atHome)
      await watching.line(/album norway.*running/)
    },
  ],
  [
    "npm run stint -- jobs pause --label 'album norway'",
    async (command) => {
      await run(command)
      expect(await jobWhen((job) => job.state === 'paused')).toMatchObject({ directive: 'pause', receipt: { directive: 'pause', resolution: 'obeyed' } })
    },
  ],
  [
    "npm run stint -- jobs resume --label 'album norway'",
    async (command) => {
      await run(command)
      const { progress } = await jobWhen((job) => job.state === 'running' && job.receipt?.resolution === 'obeyed')
      expect((await jobWhen((job) => (job.progress?.done ?? 0) > (progress?.done ?? 0))).directive).toBe('normal')
    },
  ],
  [
    "npm run stint -- jobs abort --label 'album norway' --reason 'wrong album'",
    async (command) => {
      await run(command)
      expect(await jobWhen((job) => job.settledAt !== undefined)).toMatchObject({
        state: 'aborted',
        outcome: { aborted: { reason: 'wrong album' } },
        receipt: { resolution: 'obeyed' },
      })
    },
  ],
  [
    "npm run stint -- jobs history --label 'album norway'",
    async (command) => {
      const changes = (await run(command)).split('\n').filter((line) => /\d\d:\d\d\.\d{3}Z/.test(line))
      const { items } = await stint.jobs.history(id, { limit: 1_000 })
      expect(changes).toHaveLength(items.length)
      for (const [index, { type, time }] of items.entries()) expect(changes[index]).toMatch(new RegExp(`${time}.*${type}`))
      const told = items.map(({ type }) => type).filter((type) => ['JobRegistered', 'Paused', 'Resumed', 'Aborted'].includes(type))
      expect(told).toEqual(['JobRegistered', 'Paused', 'Resumed', 'Aborted'])
    },
  ],
]

describe('the two commands of the README', () => {
  const [block] = blocksUnder(readme, 'Two commands')

  it('are scripts of this package, and one of them is what CI runs', () => {
    if (block === undefined) throw new Error('README.md has no commands')
    const lines = commandsOf(block).map(({ command }) => command)
    const names = lines.map((line) => /^npm ci && npm (?:run )?(\w+)$/.exec(line)?.[1])
    expect(names).toEqual(['demo', 'test'])
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(names))
    expect(readFileSync(join(root, '.ci', 'run'), 'utf8')).toContain(lines[1])
  })
})

describe('the worked example of the README', () => {
  it('is a server, a service, and what is done with them', () => {
    expect(example.map(({ language }) => language)).toEqual(['sh', 'ts', 'sh', 'sh'])
    expect(useLines).toEqual(DEEDS.map(([line]) => line))
  })

  it('passes the linter of this project, from a folder that neither git nor the linter reads', async () => {
    const [, file = ''] = /^\/\/ (\S+)$/m.exec(program) ?? []
    expect(readFileSync(join(root, '.gitignore'), 'utf8').split('\n')).toContain(`${dirname(file)}/`)
    expect(readFileSync(join(root, '.oxlintrc.json'), 'utf8')).toContain(`"${dirname(file)}/"`)
    const lint = mkdtempSync(join(folder, 'lint-'))
    writeFileSync(join(lint, 'server.ts'), program)
    const rules = join(root, '.oxlintrc.json')
    expect(await shell.run(`${join(root, 'node_modules', '.bin', 'oxlint')} --config ${rules} server.ts`, { cwd: lint, env: {} })).toMatchObject({
      code: 0,
      written: expect.stringContaining('on 1 file') as unknown,
    })
  })

  it('starts Stint', { timeout: SLOW_MS }, async () => {
    expect(serveLines).toHaveLength(1)
    await shell.start(onThisMachine(serveLines?.[0] ?? ''), atHome).line(new RegExp(`^listening ${stint.url}$`))
  })

  it('starts the service', { timeout: SLOW_MS }, async () => {
    const [build, start = ''] = startLines ?? []
    // It would build into this checkout. That the built client is what a user gets is shown by package.test.ts; here `stint` is the sources.
    expect(build).toBe('npm run build')
    const [, file = ''] = /^npx node (\S+)$/.exec(start) ?? []
    expect(program).toContain(`// ${file}\n`)
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), onThisMachine(program))
    const service = shell.start(start, atTheUsers)
    await untilUp(service, onThisMachine('http://127.0.0.1:8080/'))
  })

  it.for(DEEDS)('%s', { timeout: SLOW_MS }, ([line, does], context) => {
    if (!hasCurl) context.skip('curl is not installed, and every line after the first needs the job that it starts')
    return does(line)
  })

  it('has shown it all to whoever watched', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    if (watching === undefined) throw new Error('Nobody watched')
    for (const pattern of [/wants it to pause/, /paused/, /resumed/, /aborted: wrong album/]) await watching.line(pattern)
    watching.kill('SIGINT')
    await watching.ended()
  })

  it('is as short as it says, and names the file that is packed', async () => {
    expect(readme.text).toContain('`npx stint` is short for `npm run stint --`')
    expect((await run('npx stint jobs list')).split('\n').some((line) => line.includes('album norway'))).toBe(hasCurl)
    expect(readme.text).toContain(`stint-${version}.tgz`)
  })

  it('can be done by plain HTTP', async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    const [, curl = ''] = /`(curl [^`]+)`/.exec(readme.text) ?? []
    expect(JSON.parse(await run(curl.replace('curl ', 'curl -s ')))).toMatchObject({ openapi: expect.stringMatching(/^3\.1/) as unknown })
  })
})

describe('the payment of the README', () => {
  const [program, start, calls] = blocksUnder(readme, 'Paid once, by one line')

  it('is made once, and answered as it says, also after the app was killed', { timeout: 2 * SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    if (program === undefined || start === undefined || calls === undefined) throw new Error('Expected a program, its start and its calls')
    const onAnotherPort = await freePort().then((port) => (text: string) => text.replaceAll('8081', String(port)))
    const [{ command: line } = { command: '' }] = commandsOf(start)
    const [, file = ''] = /^npx node (\S+)$/.exec(line) ?? []
    expect(program.text).toContain(`// ${file}\n`)
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), onAnotherPort(program.text))

    const lines = commandsOf(calls)
    expect(lines).toHaveLength(3)
    const startApp = async (): Promise<Command> => {
      const app = shell.start(line, atTheUsers)
      await untilUp(app, onAnotherPort('http://127.0.0.1:8081/'))
      return app
    }
    const pay = async (command: string) => (await shell.run(onAnotherPort(command.replace('curl -i', 'curl -si')), atTheUsers)).written
    let app = await startApp()
    const bodies: (string | undefined)[] = []
    for (const { command, comment } of lines) {
      const written = await pay(command)
      const [status = '', header] = comment.replace(/:(?! true).*/, '').split(', ')
      expect(written).toContain(`HTTP/1.1 ${status} `)
      if (header !== undefined) expect(written).toContain(header)
      else expect(written).not.toContain('Idempotency-Replayed')
      bodies.push(written.split('\r\n\r\n')[1])
    }
    expect(bodies[1]).toBe(bodies[0])
    app.kill('SIGKILL')
    await app.ended()
    app = await startApp()
    expect((await pay(lines[0]?.command ?? '')).split('\r\n\r\n')[1]).toBe(bodies[0])
    app.kill('SIGTERM')
    await app.ended()
  })
})

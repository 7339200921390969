// What a user gets: the packed tarball, installed into an empty project. It proves what no run from the sources can: built files, `exports`, types and the launcher.
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { openShell, type Command } from './support/shell.ts'

const root = join(import.meta.dirname, '..')
const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string; devDependencies: Readonly<Record<string, string>> }

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Directories of the search path that are the machine's own, not those that npm puts before them. */
const machinePath = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules') && !folder.includes('node-gyp-bin'))

/** Runs a program to its end; an exit code other than 0 is an answer, not an error. `node` is the Node that scripts find first. */
const run = (program: string, args: readonly string[], cwd: string, node = process.execPath): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: [dirname(node), ...machinePath].join(delimiter), NO_COLOR: '1' }
    execFile(program, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => {
      if (error !== null && typeof error.code !== 'number') reject(new Error(`cannot run ${program}`, { cause: error }))
      else resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
    })
  })

const sure = async (what: string, ran: Promise<Ran>): Promise<Ran> => {
  const done = await ran
  if (done.code !== 0) throw new Error(`${what} ended with ${done.code}\n${done.out}\n${done.err}`)
  return done
}

/** The machine's own Node, before npm puts the project's first. */
const plainNode = machinePath.map((folder) => join(folder, 'node')).find((file) => existsSync(file))
const plainVersion = plainNode === undefined ? '' : execFileSync(plainNode, ['--version'], { encoding: 'utf8' }).trim()
const plainMajor = Number(/^v(\d+)/.exec(plainVersion)?.[1] ?? 0)

const sdkOn = (node: string, cwd: string): Promise<Ran> => run(node, ['--input-type=module', '--eval', `import { connect } from 'stint'; console.log(typeof connect)`], cwd, node)

/** Files of users; one fails to compile if a type is lost or refers to what the package does not ship. */
const typed = (name: string, module: string): string => `import { ${name} } from '${module}'
type IsAny<T> = 0 extends 1 & T ? true : false
export const ${name}Is: IsAny<ReturnType<typeof ${name}>> extends true ? never : string = 'typed'
`
const STRICT = { module: 'NodeNext', strict: true, noEmit: true, skipLibCheck: false }
/** As in a browser, where nothing of Node is known. */
const BROWSER = {
  files: ['connect.ts'],
  compilerOptions: { ...STRICT, target: 'ES2022', lib: ['ES2022', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'], types: [] },
}
/** As on Node, where nothing of browsers is. */
const SERVER = { files: ['connect.ts', 'embedded.ts', 'express.ts'], compilerOptions: { ...STRICT, target: 'ES2024', lib: ['ES2024'], types: ['node'] } }

const shell = openShell()
afterAll(() => shell.close())

/** What such a user installs beside the package, as the README says. */
const USER_TYPES = ['@types/node', '@types/express'].map((name) => `${name}@${devDependencies[name]}`)

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ENOTCACHED/

describe('the packed tarball', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stint-package-'))
  const stage = join(folder, 'stage')
  const project = join(folder, 'project')
  let files: readonly string[] = []
  let offline = false

  beforeAll(async () => {
    mkdirSync(stage)
    mkdirSync(project)
    for (const each of ['package.json', 'bin', 'LICENSE', 'README.md']) if (existsSync(join(root, each))) cpSync(join(root, each), join(stage, each), { recursive: true })
    await sure('the build', run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(stage, 'dist')], root))
    // The scripts would build again, into the working tree.
    const packed = await sure('npm pack', run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], stage))
    files = [...packed.out.matchAll(/"path": "([^"]+)"/g)].map((match) => match[1] ?? '')
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    const installed = await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, `stint-${version}.tgz`), ...USER_TYPES], project)
    offline = installed.code !== 0 && unreachable.test(installed.err)
    if (installed.code !== 0 && !offline) throw new Error(`npm install ended with ${installed.code}\n${installed.err}`)
  }, 300_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const needsInstall = (context: TestContext): void => {
    if (offline) context.skip('the package registry cannot be reached, and its cache lacks a dependency')
  }
  const needsOlderNode = (context: TestContext): string => {
    if (plainNode === undefined || plainMajor < 20 || plainMajor >= 24) context.skip(`the machine's own Node is ${plainVersion || 'missing'}; this needs one from 20 to 23`)
    return plainNode ?? ''
  }

  /** The installed server on a directory of its own; `stop` answers its exit code. */
  const served = async (): Promise<{ readonly url: string; readonly stop: () => Promise<number | null> }> => {
    const data = mkdtempSync(join(folder, 'data-'))
    const server = shell.start(`exec "${process.execPath}" node_modules/stint/bin/stint.js serve --port 0 --data "${data}" --log-level warn`, { cwd: project })
    const [, url = ''] = await server.line(/^listening (\S+)$/)
    const stop = (): Promise<number | null> => {
      server.kill('SIGTERM')
      return server.ended()
    }
    return { url, stop }
  }

  it('holds the program, the built library and nothing of the sources', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'package.json',
        'LICENSE',
        'bin/stint.js',
        'dist/client/index.js',
        'dist/client/index.d.ts',
        'dist/cli/main.js',
        'dist/embedded/index.js',
        'dist/embedded/express.d.ts',
      ]),
    )
    expect(files.filter((file) => !/^(?:package\.json|LICENSE|README\.md|bin\/stint\.js|dist\/.+\.(?:js|d\.ts))$/.test(file))).toEqual([])
  })

  it('gives the client to a program on Node 24', async (context) => {
    needsInstall(context)
    expect(await sdkOn(process.execPath, project)).toMatchObject({ code: 0, out: 'function\n' })
  })

  it('gives the engine and the middleware to a program on Node 24', async (context) => {
    needsInstall(context)
    const program = `
      import { open } from 'stint/embedded'
      import { exactlyOnce } from 'stint/express'
      const embedded = await open({ data: './embedded-data' })
      const once = exactlyOnce({ store: embedded, contract: 'orders' })
      await once.ready()
      console.log(once.length)
      await embedded.close()`
    writeFileSync(join(project, 'embedded.js'), program)
    expect(await run(process.execPath, ['embedded.js'], project)).toMatchObject({ code: 0, out: '3\n' })
  })

  it('gives the client to a program on an older Node', async (context) => {
    needsInstall(context)
    expect(await sdkOn(needsOlderNode(context), project)).toMatchObject({ code: 0, out: 'function\n' })
  })

  it('says what a directory as store needs where Node is too old for it, and takes a server there', async (context) => {
    needsInstall(context)
    const node = needsOlderNode(context)
    const program = `
      import { exactlyOnce } from 'stint/express'
      const told = async (store) => {
        const once = exactlyOnce({ store, contract: 'orders', onTrouble: console.log })
        console.log(await once.ready().then(() => 'ready', (cause) => cause.message))
        await once.close().catch(() => undefined)
      }
      await told('./express-data')
      await told(process.argv[2])`
    writeFileSync(join(project, 'express.js'), program)
    const { url, stop } = await served()
    try {
      const { out } = await run(node, ['express.js', url], project, node)
      expect(out).toMatch(/^exactlyOnce: a directory as store needs Node 24 from 24\.15 on, .* this is Node \d+\.\d+\.\d+\. The address of a Stint server .*\nready\n$/)
    } finally {
      expect(await stop()).toBe(0)
    }
  })

  it('gives its types to a compiler that checks them too, with a browser around it or Node', async (context) => {
    needsInstall(context)
    writeFileSync(join(project, 'connect.ts'), typed('connect', 'stint'))
    writeFileSync(join(project, 'embedded.ts'), typed('open', 'stint/embedded'))
    writeFileSync(join(project, 'express.ts'), typed('exactlyOnce', 'stint/express'))
    for (const settings of [BROWSER, SERVER]) {
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(settings))
      expect(await run(process.execPath, [tsc, '-p', '.'], project)).toMatchObject({ code: 0, out: '' })
    }
  })

  it('runs its command line by npx', async (context) => {
    needsInstall(context)
    expect(await run('npx', ['stint', '--version'], project)).toMatchObject({ code: 0, out: `${version}\n` })
  })

  it('serves from a file, with the threads of store and tables, and stops when told', async (context) => {
    needsInstall(context)
    const { url, stop } = await served()
    try {
      expect((await fetch(`${url}/readyz`)).status).toBe(200)
      expect((await fetch(`${url}/v1/jobs`)).status).toBe(200)
    } finally {
      expect(await stop()).toBe(0)
    }
  })

  it('says what it needs where Node is too old for the command line', async (context) => {
    needsInstall(context)
    const node = needsOlderNode(context)
    const ran = await run(node, [join('node_modules', 'stint', 'bin', 'stint.js'), '--version'], project, node)
    expect(ran.code).toBe(2)
    expect(ran.err).toMatch(/need Node 24 from 24\.15 on.*\n.*: npm pkg set allowScripts\.node=true --json && npm install --save-dev node@24\n/)
  })
})

describe('the launcher of a checkout', () => {
  const ownNode = (context: TestContext): string => {
    if (plainNode === undefined || plainMajor < 20) context.skip(`the machine's own Node is ${plainVersion || 'missing'}; this needs 20 or newer`)
    return plainNode ?? ''
  }
  /** A server that the machine's own Node hands over, in a process group that can be signalled as a whole. */
  const handedOver = async (node: string): Promise<{ readonly server: Command; readonly url: string }> => {
    const server = shell.start(`exec "${node}" bin/stint.js serve --port 0 --data :memory:`, { cwd: root })
    const [, url = ''] = await server.line(/^listening (\S+)$/)
    return { server, url }
  }

  /** A long poll that the server has under way. */
  const polled = async (url: string): Promise<{ readonly answer: Promise<Response> }> => {
    const job = { id: 'polled', service: 'index', server: 'one' }
    await fetch(`${url}/v1/jobs`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(job) })
    const path = `${url}/v1/jobs/polled/directive`
    const etag = (await fetch(path)).headers.get('etag') ?? ''
    const answer = fetch(path, { headers: { Prefer: 'wait=30', 'If-None-Match': etag } })
    while (!/^stint_\w*polls\w* 1$/m.test(await (await fetch(`${url}/metrics`)).text()));
    return { answer }
  }

  it('hands over to the Node that the project installed', async (context) => {
    const node = ownNode(context)
    expect(await run(node, [join('bin', 'stint.js'), '--version'], root, node)).toMatchObject({ code: 0, out: `${version}\n` })
  })

  it('answers what was taken when its whole process group is told to stop', async (context) => {
    const node = ownNode(context)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { server, url } = await handedOver(node)
      const poll = await polled(url)
      server.kill(signal)
      expect(await server.ended()).toBe(0)
      expect((await poll.answer).status).toBe(304)
      expect(server.written()).not.toContain('ending at once')
    }
  })
})

// What every command has in common: help with examples, one line for a mistake, exit codes, colours only where they belong.
import { execFileSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { settingNames, settings } from '../../src/settings.ts'
import { processes } from '../support/process.ts'

const { serve, stint, start } = processes('cli-usage')
const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8')) as { version: string }

const COMMANDS = [
  ...['list', 'show', 'watch', 'history', 'why', 'abort', 'pause', 'resume', 'wait'].map((verb) => ['jobs', verb]),
  ...[...['put', 'list', 'show', 'watch', 'lease', 'done', 'fail', 'release', 'extend', 'delete', 'redrive'], ...['history', 'why', 'wait', 'abort', 'pause', 'resume']].map(
    (verb) => ['tasks', verb],
  ),
  ...['list', 'show', 'watch', 'pause', 'resume', 'purge', 'redrive', 'check'].map((verb) => ['queues', verb]),
  ...['dispatch', 'list', 'show', 'watch', 'history', 'why', 'abort', 'pause', 'resume', 'wait'].map((verb) => ['long-tasks', verb]),
  ...['list', 'show', 'remove'].map((verb) => ['nodes', verb]),
  ...['watch', 'list'].map((verb) => ['events', verb]),
  ...['add', 'list', 'revoke'].map((verb) => ['tokens', verb]),
  ['audit', 'list'],
  ...['serve', 'demo', 'doctor', 'replay', 'verify', 'backup', 'restore', 'jobs', 'queues', 'tasks', 'long-tasks', 'nodes', 'events', 'tokens', 'audit'].map((noun) => [noun]),
]

let url = ''
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
})

describe('help', () => {
  it.each(COMMANDS.map((command) => command.join(' ')))('of %s ends with examples', async (command) => {
    const { code, out, err } = await stint([...command.split(' '), '--help'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(new RegExp(`^Usage: stint ${command}`))
    expect(out).toMatch(/\nExamples:\n {2}stint /)
    expect(out).toContain('--output <format>')
  })

  it('of serve lists every setting with its variable', async () => {
    const { out } = await stint(['serve', '--help'])
    for (const name of settingNames) for (const text of [name, settings[name].env, settings[name].flag]) expect(out).toContain(text)
  })

  it('is told on stderr where a verb is missing, as a mistake', async () => {
    expect(await stint(['jobs'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: stint jobs') })
    expect(await stint([])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: stint') })
  })

  it('descends as far as it is asked to', async () => {
    for (const words of [[], ['jobs'], ['jobs', 'abort'], ['backup']]) expect(await stint(['help', ...words])).toEqual(await stint([...words, '--help']))
  })

  it('tells the version', async () => expect(await stint(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' }))
})

describe('a mistake', () => {
  it.each([
    ['an unknown command', ['jbos', 'list'], "unknown command 'jbos'"],
    ['an unknown verb', ['jobs', 'lst'], "unknown command 'lst'"],
    ['an unknown option', ['jobs', 'list', '--sate', 'running'], 'Did you mean --state?'],
    ['an unknown state', ['jobs', 'list', '--state', 'done'], 'Expected one of running, paused, aborting, lost, completed, failed, aborted.'],
    ['a state that no job has', ['jobs', 'list', '--state', 'cancelled'], 'Expected one of running'],
    ['an unknown event type', ['events', 'list', '--type', 'Failed,Nope'], 'Expected one of JobRegistered'],
    ['a position that never was one', ['events', 'watch', '--after', 'nonsense'], 'Expected the position of an event'],
    ['a queue that cannot be', ['tasks', 'list', '-q', 'shop/a_b'], 'QUEUE has letters, digits and hyphens'],
    ['a queue that cannot be, as an argument', ['queues', 'show', 'shop'], 'Expected APP/QUEUE'],
    ['an id that no task has', ['tasks', 'show', 'a b', '-q', 'shop/mails'], 'cannot be the id of a task'],
    ['a global ID that is none', ['tasks', 'show', 'task/shop/a'], 'cannot be the global ID of a task'],
    ['a global ID of another queue', ['tasks', 'show', 'task/shop/mails/a', '-q', 'shop/orders'], 'is not in shop/orders'],
    ['a task without its queue', ['tasks', 'why', 'order-7'], 'Expected the queue of the task: -q APP/QUEUE'],
    ['a list of tasks of no queue', ['tasks', 'list'], "required option '-q, --queue <app/queue>' not specified"],
    ['a watch of tasks of no queue', ['tasks', 'watch'], 'Expected a queue: -q APP/QUEUE'],
    ['a state that no task has', ['tasks', 'list', '-q', 'shop/mails', '--state', 'lost'], 'Expected one of waiting, running'],
    ['a task put in two ways', ['tasks', 'put', 'hello', '-q', 'shop/mails', '--lines', '-'], 'Expected either --lines, or a payload and --id'],
    ['an end without its lease', ['tasks', 'done', 'order-7', '-q', 'shop/mails'], "required option '--lease <lease>' not specified"],
    ['a redrive of nothing', ['tasks', 'redrive', '-q', 'shop/mails'], 'Expected the id of a dead letter, or --all'],
    ['a redrive of one and all', ['tasks', 'redrive', 'order-7', '-q', 'shop/mails', '--all'], 'Expected the id of a dead letter, or --all'],
    ['a redrive of all of no queue', ['tasks', 'redrive', '--all'], 'Expected a queue: -q APP/QUEUE'],
    ['a redrive of one with filters', ['tasks', 'redrive', 'order-7', '-q', 'shop/mails', '--tag', 'x'], 'Filters narrow --all'],
    ['a time that is none', ['queues', 'purge', 'shop/mails', '--inserted-before', 'yesterday'], 'Expected a time like'],
    ['two ways of naming queues', ['queues', 'watch', 'shop/mails', '--app', 'shop'], 'Expected queues or --app'],
    ['help for what is no command', ['help', 'jobs', 'abrot'], 'There is no command `stint jobs abrot`'],
    ['a port that HTTP clients refuse', ['jobs', 'list', '--url', 'http://127.0.0.1:6666'], 'Port 6666 cannot be called'],
    ['an unknown format', ['jobs', 'list', '-o', 'xml'], 'Allowed choices are table, json, jsonl'],
    ['an address that is none', ['jobs', 'list', '--url', 'localhost:7070'], 'Expected an address like http://127.0.0.1:7070'],
    ['no job', ['jobs', 'show'], 'Expected the id of a job, or --label'],
    ['two ways of naming a job', ['jobs', 'show', 'a', '--label', 'b'], 'not both'],
  ] as const)('is %s: exit code 2 and a line that says so', async (_name, args, says) => {
    const { code, out, err } = await stint(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^stint: /)
    expect(err).toContain(says)
  })
})

describe('a thing that does not exist', () => {
  it.each([
    ['a job', ['jobs', 'show', 'nix'], 'There is no job nix.', 'stint jobs list'],
    ['a task', ['tasks', 'show', 'nix', '-q', 'shop/mails'], 'There is no task nix in shop/mails.', 'stint tasks list -q shop/mails'],
    ['a task by its global ID', ['tasks', 'why', 'task/shop/mails/nix'], 'There is no task nix in shop/mails.', 'stint tasks list -q shop/mails'],
    ['a task that is waited for', ['tasks', 'wait', 'nix', '-q', 'shop/mails'], 'There is no task nix in shop/mails.', 'stint tasks list -q shop/mails'],
    ['a file to check', ['queues', 'check', 'nix.yaml'], 'There is no nix.yaml.', 'Name a queue.yaml'],
    ['a token', ['tokens', 'revoke', 'nix'], 'There is no token nix.', 'stint tokens list'],
  ] as const)('is %s: exit code 3, what it is, and where those that exist are shown', async (_name, args, says, advice) => {
    const { code, out, err } = await stint(args, { env: { STINT_URL: url } })
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toContain(says)
    expect(err).toContain(advice)
  })
})

describe('a server that cannot be reached', () => {
  const freePort = (): Promise<number> =>
    new Promise((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as AddressInfo
        probe.close(() => resolve(port))
      })
    })

  it.each([
    ['jobs list'],
    ['jobs watch'],
    ['events watch'],
    ['events list'],
    ['jobs wait x'],
    ['long-tasks watch'],
    ['long-tasks dispatch X --node a'],
    ['nodes list'],
    ['tokens list'],
    ['queues list'],
    ['queues watch'],
    ['tasks watch -q a/b'],
    ['tasks wait x -q a/b'],
  ])('ends %s with 5 and says what to check', async (command) => {
    const address = `http://127.0.0.1:${await freePort()}`
    const { code, out, err } = await stint([...command.split(' '), '--url', address])
    expect({ code, out }).toEqual({ code: 5, out: '' })
    expect(err).toMatch(new RegExp(`^stint: No answer from ${address}: connect ECONNREFUSED`))
    expect(err).toContain('stint serve')
  })

  it('may be another program', async () => {
    const other = createHttpServer((_request, response) => response.end('hello'))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    expect(await stint(['jobs', 'list', '--url', `http://127.0.0.1:${port}`])).toMatchObject({
      code: 5,
      err: expect.stringContaining('Does --url or STINT_URL name a Stint server'),
    })
    await new Promise((resolve) => other.close(resolve))
  })
})

describe('colours', () => {
  it('are left out off a terminal, and can be forced and forbidden', async () => {
    await stint(['tasks', 'put', '-q', 'shop/colours', '--id', 'one'], { env: { STINT_URL: url } })
    const list = ['tasks', 'list', '-q', 'shop/colours']
    expect((await stint(list, { env: { STINT_URL: url } })).out).not.toContain('\u001b')
    expect((await stint(list, { env: { STINT_URL: url, FORCE_COLOR: '1' } })).out).toContain('\u001b')
    expect((await stint(list, { env: { STINT_URL: url, FORCE_COLOR: '1', NO_COLOR: '1' } })).out).not.toContain('\u001b')
    expect((await stint([...list, '--no-color'], { env: { STINT_URL: url, FORCE_COLOR: '1' } })).out).not.toContain('\u001b')
  })
})

describe('on a terminal', () => {
  const hasScript = (): boolean => {
    try {
      return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
    } catch {
      return false
    }
  }

  it('jobs watch redraws a board in place and gives the cursor back', async (context) => {
    if (!hasScript()) context.skip('there is no `script` of util-linux to make a terminal with')
    await fetch(`${url}/v1/jobs`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id: 'on-board', service: 's', server: 'a' }) })
    const cli = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
    const watch = start('script', ['--quiet', '--return', '--command', `stty cols 100 rows 20; exec "${process.execPath}" "${cli}" jobs watch on-board`, '/dev/null'], {
      env: { STINT_URL: url, TERM: 'xterm' },
    })
    await watch.line(/1 job: .*1 running/)
    await fetch(`${url}/v1/jobs/on-board/directives`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"directive":"abort"}' })
    await watch.line(/1 job: .*1 aborting/)
    expect(watch.out()).toContain('\u001b[?25l')
    watch.kill('SIGTERM')
    await watch.ended()
  })

  /** A command in a terminal 100 columns wide. */
  const onTerminal = (args: string) => {
    const cli = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
    return start('script', ['--quiet', '--return', '--command', `stty cols 100 rows 20; exec "${process.execPath}" "${cli}" ${args}`, '/dev/null'], {
      env: { STINT_URL: url, TERM: 'xterm' },
    })
  }

  it('tasks watch and queues watch redraw what changes', async (context) => {
    if (!hasScript()) context.skip('there is no `script` of util-linux to make a terminal with')
    const tasks = onTerminal('tasks watch -q shop/drawn')
    const queues = onTerminal('queues watch shop/drawn --every 100ms')
    await tasks.line(/0 tasks/)
    await queues.line(/1 queue: 0 waiting, 0 leased/)
    await fetch(`${url}/v1/queues/shop/drawn/tasks`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id: 'drawn-1', tag: 'mail' }) })
    await tasks.line(/drawn-1.*mail.*waiting/)
    await tasks.line(/1 task: .*1 waiting/)
    await queues.line(/1 queue: 1 waiting, 0 leased/)
    for (const watch of [tasks, queues]) {
      expect(watch.out()).toContain('\u001b[?25l')
      watch.kill('SIGTERM')
      await watch.ended()
    }
  })
})

// The guide to long tasks, held to the program: the commands are run, the calls made and answered as it says, and the tables compared with what they describe.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openApiDocument } from '../../src/api/openapi.ts'
import { retryAfterSeconds } from '../../src/api/problem.ts'
import { ITEMS_MAX } from '../../src/api/request.ts'
import { STREAM_EVENTS_MAX } from '../../src/domain/policy/streams.ts'
import { SILENCE_INTERVALS } from '../../src/domain/work-item/operations.ts'
import { SENT_AT_ONCE, SENT_PER_NODE } from '../../src/engine/long-tasks/dispatcher.ts'
import { TAKE_MS } from '../../src/engine/long-tasks/node-calls.ts'
import { LOOK_EVERY_MS } from '../../src/engine/long-tasks/node-watch.ts'
import { defaultSettings } from '../../src/engine/open.ts'
import { RESULT_BYTES_MAX, states } from '../../src/wire/items.ts'
import { ARGS_BYTES_MAX, PROGRESS_EVERY_SECONDS, TIMEOUT_SECONDS } from '../../src/wire/long-tasks.ts'
import { OPERATIONS_MAX } from '../../src/wire/nodes.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import { roles } from '../../src/wire/route.ts'
import { allRoutes } from '../support/api.ts'
import { blocksUnder, commandsOf, document, root, rowsUnder } from '../support/documents.ts'
import { until } from '../support/eventually.ts'
import { closeNodes, startNode, type FakeNode } from '../support/fake-node.ts'
import { expectAnswer } from '../support/guide-answers.ts'
import { processes } from '../support/process.ts'
import { openShell } from '../support/shell.ts'
import { userProject } from '../support/user-project.ts'

const SLOW_MS = 120_000
const guide = document('docs/guides/long-tasks.md')
const { folder, serve } = processes('guide-long-tasks')
const shell = openShell()
const hasCurl = spawnSync('curl', ['--version']).status === 0
afterAll(shell.close)
afterAll(closeNodes)

describe('a first long task', () => {
  const blocks = blocksUnder(guide, 'A first long task in five minutes')
  const [serving, program, starting, using] = blocks

  it('is dispatched to a node, paused, resumed, shown and completed', { timeout: SLOW_MS }, async () => {
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'ts', 'sh', 'sh'])
    if (serving === undefined || program === undefined || starting === undefined || using === undefined) throw new Error('Expected four blocks')
    // Another port and another directory than the guide has.
    expect(commandsOf(serving).map(({ command }) => command)).toEqual(['npx stint serve --port 7070 --data ./stint-data'])
    const { url } = await serve(['--data', join(folder, 'first')])
    const env = { STINT_URL: url }

    // It would build into this checkout; here `stint` is the sources.
    const [build, start = ''] = commandsOf(starting).map(({ command }) => command)
    expect(build).toBe('npm run build')
    const [, file = ''] = /^npx node (\S+)$/.exec(start) ?? []
    expect(program.text).toContain(`// ${file}\n`)
    const cwd = userProject(join(folder, 'user'))
    mkdirSync(join(cwd, dirname(file)), { recursive: true })
    writeFileSync(join(cwd, file), program.text)
    const node = shell.start(start, { cwd, env })
    await node.line(/^listening at /)

    const written: string[] = []
    for (const { command, comment } of commandsOf(using)) {
      const ran = await shell.run(command, { cwd: root, env })
      const [, expected = '0'] = /exit code (\d+)/.exec(comment) ?? []
      expect({ command, code: ran.code, written: ran.written }).toMatchObject({ code: Number(expected) })
      written.push(ran.written)
    }
    expect(written).toHaveLength(9)
    expect(written[0]).toMatch(/albums +✓ up/)
    expect(written[1]).toContain('norway')
    expect(written[5]).toMatch(/state +▶ running/)
    expect(written[6]).toContain('ResizeAlbum')
    for (const type of ['OperationDispatched', 'Leased', 'Paused', 'Resumed', 'Completed']) expect(written[8]).toContain(type)
    expect(written[8]).toContain('{"pictures":200,"attempt":1}')
    node.kill('SIGTERM')
    await node.ended()
  })
})

describe('a node in any language', () => {
  const blocks = blocksUnder(guide, 'In any language')
  const env: Record<string, string> = {}
  const surroundings = { cwd: tmpdir(), env }
  let node: FakeNode
  beforeAll(async () => {
    node = await startNode('disk-9')
    env['S'] = (await serve(['--data', ':memory:'])).url
  })

  it('is answered as the guide shows, call by call, and sent what it shows', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    let written = ''
    for (const { language, text, headings } of blocks) {
      if (language === 'json' && headings.includes('Be sent an operation')) {
        await until(() => node.given.length > 0)
        expectAnswer(text, JSON.stringify(node.given[0]))
        env['LEASE'] = node.given[0]?.lease ?? ''
      } else if (language === 'json') expectAnswer(text, written)
      else {
        // One answer is shown of those that a block brings about: the last.
        for (const command of text.split(/^(?=curl )/m)) {
          const ran = await shell.run(command.replaceAll('http://127.0.0.1:9099', node.url()), surroundings)
          expect(ran.code).toBe(0)
          written = ran.written.replaceAll(node.url(), 'http://127.0.0.1:9099')
        }
      }
    }
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'json', 'sh', 'json', 'json', 'sh', 'json', 'sh', 'json', 'sh', 'json'])
  })
})

const names = (heading: string): readonly string[] => rowsUnder(guide, heading).map(({ cells: [name = ''] }) => name)

describe('the tables of the guide to long tasks', () => {
  it('name every call', () => {
    const calls = allRoutes.filter(({ tag }) => tag === 'long tasks' || tag === 'nodes').map(({ method, path }) => `${method} ${path}`)
    expect(names('The calls').toSorted()).toEqual(calls.toSorted())
  })

  it('name the states that a long task can be in, and no other', () => {
    expect(names('The life of a long task')).toEqual(states.filter((state) => state !== 'held'))
  })

  it('name every gate that a long task can wait at', () => {
    const gatesIn = (file: string, pattern: RegExp): readonly string[] =>
      [...(pattern.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? '').matchAll(/'([\w-]+)'/g)].map((match) => match[1] ?? '')
    const gates = [...gatesIn('src/engine/findings.ts', /interface NodeGate \{[^}]*?readonly gate: ([^\n]*)/), ...gatesIn('src/domain/policy/why.ts', /export type Gate = (.*)/)]
    // What waits is at a gate of its node, where there is a server to tell; the others are those of tasks and requests.
    const never = new Set(['ready', 'broke-off', 'delay', 'dead-letter'])
    expect(
      names('Why is it not done?')
        .flatMap((cell) => cell.split(', '))
        .toSorted(),
    ).toEqual(gates.filter((gate) => !never.has(gate)).toSorted())
  })

  it('name the codes with which Stint and nodes fail a long task', () => {
    const sources = ['src/domain/work-item/operations.ts', 'src/engine/long-tasks/synchroniser.ts', 'src/embedded/node/list.ts'].map((file) =>
      readFileSync(join(root, file), 'utf8'),
    )
    const written = sources.flatMap((text) => [...text.matchAll(/code: '([\w-]+)'/g)].map((match) => match[1] ?? ''))
    const refusals = [...(/REFUSALS[^\n]*/.exec(readFileSync(join(root, 'src/engine/long-tasks/attempt.ts'), 'utf8'))?.[0].matchAll(/\d+ ([\w-]+)/g) ?? [])].map(
      (match) => match[1] ?? '',
    )
    expect(refusals).toHaveLength(3)
    expect(new Set(names("Failures that are not the operation's own"))).toEqual(new Set([...written, ...refusals, 'history-limit']))
  })

  it('name roles that exist', () => {
    for (const role of names('Security')) expect(roles).toContain(role)
  })

  it('name every problem that a management program or a node can meet, with its status and when to come again', () => {
    const told = rowsUnder(guide, 'Problems').map(({ cells: [code = '', status, again] }) => ({ code, status, again }))
    const again = (code: ProblemCode): string => (retryAfterSeconds(code) === undefined ? '' : `${retryAfterSeconds(code)} s`)
    for (const { code, status, again: after } of told) {
      const known = problems[code as ProblemCode] as { readonly status: number } | undefined
      expect({ code, status, again: after }).toEqual({ code, status: String(known?.status), again: again(code as ProblemCode) })
    }
    interface Operation {
      readonly tags?: readonly string[]
      readonly responses: Readonly<Record<string, { readonly description: string }>>
    }
    const { paths } = openApiDocument('0.0.0') as unknown as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }
    const operations = Object.values(paths).flatMap((path) => Object.values(path).filter(({ tags }) => tags?.[0] === 'long tasks' || tags?.[0] === 'nodes'))
    const met = operations.flatMap(({ responses }) => Object.values(responses).flatMap(({ description }) => [...description.matchAll(/`([\w-]+)`: /g)].map((match) => match[1])))
    expect(met).toContain('unknown-operation')
    expect(new Set(told.map(({ code }) => code))).toEqual(new Set(met))
  })

  const count = (value: number): string => value.toLocaleString('en')
  const mib = (bytes: number): string => `${bytes / 1_024 / 1_024} MiB`

  it('name the times that hold when nothing is said', () => {
    const told = rowsUnder(guide, 'Times').map(({ cells }) => cells[1])
    const silence = `${SILENCE_INTERVALS} intervals: ${SILENCE_INTERVALS * PROGRESS_EVERY_SECONDS} s`
    expect(told).toEqual([`${count(TIMEOUT_SECONDS)} s`, 'never', `${PROGRESS_EVERY_SECONDS} s`, silence, `${LOOK_EVERY_MS / 1_000} s`])
    expect(rowsUnder(guide, 'What a class declares').map(({ cells }) => cells[1])).toEqual([`${TIMEOUT_SECONDS / 3_600}h`, `${PROGRESS_EVERY_SECONDS}s`, 'never', 'fail'])
  })

  it.each([
    ['arguments', mib(ARGS_BYTES_MAX)],
    ['result, partial result, detail of a failure', mib(RESULT_BYTES_MAX)],
    ['operations of a node', count(OPERATIONS_MAX)],
    ['short operation', `${TAKE_MS / 1_000} s`],
    ['reports in one message', count(ITEMS_MAX)],
    ['operations on their way at once', `${SENT_PER_NODE} to one node, ${SENT_AT_ONCE} in all`],
    ['events of one long task', count(STREAM_EVENTS_MAX)],
    ['live work items', count(defaultSettings.maxLiveItems)],
  ])('name the limit of long tasks: %s', (limit, value) => {
    expect(rowsUnder(guide, 'Limits').find(({ cells: [name] }) => name === limit)?.cells[1]).toContain(value)
  })
})

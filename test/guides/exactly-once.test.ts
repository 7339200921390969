// The guides to exactly-once requests, held to the program: the commands are run, the calls made and answered as it says, and the tables compared with what they describe.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openApiDocument } from '../../src/api/openapi.ts'
import { retryAfterSeconds } from '../../src/api/problem.ts'
import { DEFAULT_CONTRACT } from '../../src/domain/contract.ts'
import { STREAM_EVENTS_MAX } from '../../src/domain/policy/streams.ts'
import { ITEMS_MAX } from '../../src/api/request.ts'
import { defaultSettings } from '../../src/engine/open.ts'
import { contractBody, RETAIN_SECONDS_MAX } from '../../src/wire/contracts.ts'
import { states } from '../../src/wire/items.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import { REPLIES_BYTES_MAX } from '../../src/wire/calls.ts'
import { effect, EFFECTS_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from '../../src/wire/requests.ts'
import { schemaOf } from '../../src/api/json-schema.ts'
import { LEASE_SECONDS_MAX, LEASE_TASKS_MAX } from '../../src/wire/tasks.ts'
import { allRoutes } from '../support/api.ts'
import { blocksUnder, commandsOf, document, root, rowsUnder } from '../support/documents.ts'
import { expectAnswer, expectHttp } from '../support/guide-answers.ts'
import { processes } from '../support/process.ts'
import { openShell, type Surroundings } from '../support/shell.ts'
import { userProject } from '../support/user-project.ts'

const SLOW_MS = 240_000
const guide = document('docs/guides/exactly-once.md')
const { folder, serve } = processes('guide-exactly-once')
const shell = openShell()
const hasCurl = spawnSync('curl', ['--version']).status === 0
afterAll(shell.close)

describe('a first contract', () => {
  const blocks = blocksUnder(guide, 'A first contract in five minutes')
  const [serving, program, starting, using] = blocks

  it('is set up, called, given again, released and never run again', { timeout: SLOW_MS }, async () => {
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'ts', 'sh', 'sh'])
    if (serving === undefined || program === undefined || starting === undefined || using === undefined) throw new Error('Expected four blocks')
    // Another port and another directory than the guide has.
    expect(commandsOf(serving).map(({ command }) => command)).toEqual(['npx stint serve --port 7070 --data ./stint-data'])
    const { url } = await serve(['--data', join(folder, 'first')])
    const env = { STINT_URL: url }

    // It would build into this checkout; here `stint` is the sources.
    const [build, start] = commandsOf(starting).map(({ command }) => command)
    expect(build).toBe('npm run build')
    const [, file = ''] = /^npx node (\S+)$/.exec(start ?? '') ?? []
    expect(program.text).toContain(`// ${file}\n`)
    const cwd = userProject(join(folder, 'user'))
    mkdirSync(join(cwd, dirname(file)), { recursive: true })
    writeFileSync(join(cwd, file), program.text)
    const till = shell.start(start ?? '', { cwd, env })

    const written: string[] = []
    for (const { command, comment } of commandsOf(using)) {
      const ran = await shell.run(command, { cwd: root, env })
      const [, expected = '0'] = /exit code (\d+)/.exec(comment) ?? []
      expect({ command, code: ran.code, written: ran.written }).toMatchObject({ code: Number(expected) })
      written.push(ran.written)
    }
    expect(written).toHaveLength(7)
    expect(written[1]).toContain(commandsOf(using)[1]?.comment)
    expect(written[2]).toMatch(/201.*idempotency-replayed: true.*\{"paid":5\}/s)
    expect(written[3]).toContain(problems['fingerprint-mismatch'].title)
    expect(written[5]).toContain(problems.released.title)
    for (const type of ['RequestAccepted', 'Leased', 'Completed', 'ReplyReleased']) expect(written[6]).toContain(type)
    expect(till.written().match(/charging/g)).toHaveLength(1)
    till.kill('SIGTERM')
    await till.ended()
  })
})

describe('a caller and a worker in any language', () => {
  const blocks = blocksUnder(guide, 'In any language')
  const env: Record<string, string> = { S: 'Stint-As: web@shop.example', T: 'Stint-As: till@shop.example' }
  const surroundings: Surroundings = { cwd: tmpdir(), env }
  let url = ''
  beforeAll(async () => {
    ;({ url } = await serve(['--data', ':memory:']))
    env['C'] = `${url}/v1/contracts/pay`
  })

  it('are answered as the guide shows, call by call', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    let written = ''
    for (const { language, text } of blocks) {
      if (language === 'json') {
        expectAnswer(text, written)
        env['LEASE'] = (JSON.parse(written) as { readonly items?: readonly { readonly lease?: string }[] }).items?.[0]?.lease ?? env['LEASE'] ?? ''
      } else if (language === 'http') expectHttp(text, written)
      else {
        const ran = await shell.run(text, surroundings)
        expect(ran.code).toBe(0)
        ;({ written } = ran)
      }
    }
    expect(blocks.filter(({ language }) => language !== 'sh')).toHaveLength(8)
  })

  it('can be looked after: usage, and erasing what was released', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    const { status } = await fetch(`${env['C']}/requests/order-8?caller=${encodeURIComponent('web@shop.example')}`)
    expect(status).toBe(200)
    const [usage, erasing] = blocksUnder(guide, 'Looking after a contract')
      .flatMap(commandsOf)
      .map(({ command }) => command)
      .filter((command) => command.startsWith('curl'))
    expect(JSON.parse((await shell.run(usage ?? '', surroundings)).written)).toEqual({ items: [] })
    const erased = await shell.run((erasing ?? '').replace('http://127.0.0.1:7070', url).replace('%2Flocal%2Forder-7', '%2Fweb%2540shop.example%2Forder-8'), surroundings)
    expect(JSON.parse(erased.written)).toMatchObject({ erased: true })
  })
})

const names = (heading: string): readonly string[] => rowsUnder(guide, heading).map(({ cells: [name = ''] }) => name)

describe('the tables of the guide to exactly-once requests', () => {
  it('name every call', () => {
    const calls = allRoutes.filter(({ tag }) => tag === 'requests' || tag === 'contracts').map(({ method, path }) => `${method} ${path}`)
    expect(names('The calls').toSorted()).toEqual(calls.toSorted())
  })

  it('name the states that a request can be in, and no other', () => {
    const never = new Set(['lost', 'timedOut'])
    expect(names('The life of a request')).toEqual(states.filter((state) => !never.has(state)))
  })

  it('name every gate that a request can wait at', () => {
    const text = readFileSync(join(root, 'src', 'domain', 'policy', 'why.ts'), 'utf8')
    const gates = [...(/export type Gate = (.*)/.exec(text)?.[1] ?? '').matchAll(/'([\w-]+)'/g)].map((match) => match[1] ?? '')
    // Jobs alone are lost, and tasks alone become dead letters.
    const never = new Set(['lost', 'dead-letter'])
    expect(
      names('Why is it not running?')
        .flatMap((cell) => cell.split(', '))
        .toSorted(),
    ).toEqual(gates.filter((gate) => !never.has(gate)).toSorted())
  })

  it('name the headers that calls take', () => {
    const told = new Set(rowsUnder(guide, 'Headers').flatMap(({ cells: [cell = ''] }) => cell.split(', ')))
    const ofDirectives = new Set(['If-None-Match', 'Stint-Lease'])
    const taken = allRoutes.filter(({ tag }) => tag === 'requests').flatMap(({ headers }) => headers)
    expect(taken).toContain('Stint-Callback')
    expect(taken.filter((header) => !told.has(header) && !ofDirectives.has(header))).toEqual([])
  })

  it('name the settings of a contract with their defaults', () => {
    const rows = rowsUnder(guide, 'Settings of a contract')
    const settings = Object.keys((schemaOf(contractBody, new Map()) as { readonly properties: object }).properties)
    expect(rows.flatMap(({ cells: [cell = ''] }) => cell.split(', ')).toSorted()).toEqual(settings.toSorted())
    const value = (setting: string): string | undefined => rows.find(({ cells: [name] }) => name === setting)?.cells[1]
    const seconds = (ms: number | undefined): string => ((ms ?? 0) / 1_000).toLocaleString('en')
    const { release, onInterrupted, leaseMs, interruptedAfterMs } = DEFAULT_CONTRACT
    expect([value('release'), value('retainSeconds'), value('onInterrupted')]).toEqual([release.policy, seconds(release.retainMs), onInterrupted])
    expect([value('leaseSeconds'), value('interruptedAfterSeconds')]).toEqual([seconds(leaseMs), seconds(interruptedAfterMs)])
  })

  it('name every effect', () => {
    const { oneOf } = schemaOf(effect, new Map()) as { readonly oneOf: readonly { readonly required: readonly string[] }[] }
    expect(names('Effects')).toEqual(oneOf.flatMap(({ required }) => required))
  })

  it('name every problem that a caller or a worker can meet, with its status and when to come again', () => {
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
    const operations = Object.values(paths).flatMap((path) => Object.values(path).filter(({ tags }) => tags?.[0] === 'requests' || tags?.[0] === 'contracts'))
    const met = operations.flatMap(({ responses }) => Object.values(responses).flatMap(({ description }) => [...description.matchAll(/`([\w-]+)`: /g)].map((match) => match[1])))
    expect(met).toContain('fingerprint-mismatch')
    expect(new Set(told.map(({ code }) => code))).toEqual(new Set(met))
  })

  const mib = (bytes: number): string => `${bytes / 1_024 / 1_024} MiB`
  const count = (value: number): string => value.toLocaleString('en')
  const YEAR_SECONDS = 31_536_000
  it.each([
    ['body of a request', mib(REQUEST_BYTES_MAX)],
    ['body of a reply', mib(REPLY_BYTES_MAX)],
    ['effects of a reply', String(EFFECTS_MAX)],
    ['requests in a lease call', count(LEASE_TASKS_MAX)],
    ['calls in one exchange', `${count(ITEMS_MAX)}; replies of ${mib(REPLIES_BYTES_MAX)}`],
    ['lease', `${LEASE_SECONDS_MAX / 86_400} days`],
    ['retainSeconds', RETAIN_SECONDS_MAX === 10 * YEAR_SECONDS ? 'ten years' : ''],
    ['events of one request', count(STREAM_EVENTS_MAX)],
    ['live work items', count(defaultSettings.maxLiveItems)],
  ])('name the limit of requests: %s', (limit, value) => {
    expect(rowsUnder(guide, 'Limits').find(({ cells: [name] }) => name === limit)?.cells[1]).toContain(value)
  })
})

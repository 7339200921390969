// The guide to task queues, held to the program: its commands are run, its calls made and answered as it says, and its tables compared with what they describe.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ITEMS_MAX } from '../../src/api/request.ts'
import { openApiDocument } from '../../src/api/openapi.ts'
import { retryAfterSeconds } from '../../src/api/problem.ts'
import { defaultApiSettings } from '../../src/api/settings.ts'
import { STREAM_EVENTS_MAX } from '../../src/domain/policy/streams.ts'
import { DEFAULT_DEBOUNCE_MS, DEFAULT_STINT_SETTINGS } from '../../src/domain/queue/config.ts'
import { defaultSettings } from '../../src/engine/open.ts'
import { ACL_ENTRIES_MAX, QUEUES_MAX, readQueueYaml } from '../../src/engine/queue-files-queue-yaml.ts'
import { readStintYaml } from '../../src/engine/queue-files-stint-yaml.ts'
import { FILE_BYTES_MAX } from '../../src/engine/queue-files.ts'
import { RESULT_BYTES_MAX, states } from '../../src/wire/items.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import { DELAY_SECONDS_MAX, LEASE_SECONDS_MAX, LEASE_TASKS_MAX, PAYLOAD_BYTES_MAX } from '../../src/wire/tasks.ts'
import { allRoutes } from '../support/api.ts'
import { blocksUnder, commandsOf, document, root, rowsUnder } from '../support/documents.ts'
import { expectAnswer } from '../support/guide-answers.ts'
import { processes } from '../support/process.ts'
import { openShell, type Surroundings } from '../support/shell.ts'

const SLOW_MS = 240_000
const guide = document('docs/guides/task-queues.md')
const { folder, serve } = processes('guide-task-queues')
const shell = openShell()
const hasCurl = spawnSync('curl', ['--version']).status === 0
afterAll(shell.close)

const first = blocksUnder(guide, 'A first queue in five minutes')
const config = join(folder, 'config')
mkdirSync(join(config, 'apps', 'shop'), { recursive: true })
writeFileSync(join(config, 'apps', 'shop', 'queue.yaml'), first[0]?.text ?? '')
// Failed tasks need not wait.
writeFileSync(join(config, 'apps', 'shop', 'stint-queue.yaml'), 'queues: { mails: { backoff: { minSeconds: 0, maxSeconds: 0 } } }')
/** One server for the whole guide, read from its beginning. */
let url = ''
beforeAll(async () => {
  ;({ url } = await serve(['--data', join(folder, 'data'), '--config', config]))
})

/** The token of the first lease in an answer or a table. */
const leaseIn = (text: string): string | undefined => /\b\d+\.[\w-]{8}(?!\w)/.exec(text)?.[0]

describe('a first queue', () => {
  const [, serveLine, ...use] = first.map((block) => (block.language === 'sh' ? commandsOf(block) : []))
  beforeAll(() => {
    expect(first.map(({ language }) => language)).toEqual(['yaml', 'sh', 'sh', 'sh'])
    // Another port and other directories than the guide has.
    expect(serveLine?.map(({ command }) => command)).toEqual(['npx stint serve --port 7070 --data ./stint-data --config scratch/config'])
  })

  it('takes a task of the partner, lets the worker lease and complete it, and refuses the partner what it may not', { timeout: SLOW_MS }, async () => {
    const env: Record<string, string> = { STINT_URL: url }
    const written: string[] = []
    for (const { command, comment } of use.flat()) {
      const ran = await shell.run(command, { cwd: root, env })
      const [, expected = '0'] = /exit code (\d+)/.exec(comment) ?? []
      expect({ command, code: ran.code, written: ran.written }).toMatchObject({ code: Number(expected) })
      written.push(ran.written)
      const lease = command.includes(' lease ') ? leaseIn(ran.written) : undefined
      if (lease !== undefined) env['LEASE'] = lease
    }
    expect(written).toHaveLength(6)
    expect(written[1]).toMatch(/hello-1.*waiting/)
    expect(written[2]).toContain('user_email')
    expect(written[5]).toMatch(/completed.*"sent":true/s)
  })
})

describe('a producer and a worker in any language', () => {
  const aside = new Set(['Look', 'The calls'])
  const blocks = blocksUnder(guide, 'In any language').filter(({ headings }) => !aside.has(headings.at(-1) ?? ''))
  const looks = blocksUnder(guide, 'Look')
  const env: Record<string, string> = { P: 'Stint-As: web@partner.example', W: 'Stint-As: worker@shop.example' }
  const surroundings: Surroundings = { cwd: tmpdir(), env }
  beforeAll(() => {
    env['Q'] = `${url}/v1/queues/shop/mails`
  })

  it('are answered as the guide shows, call by call, and can look at what they did', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    let written = ''
    for (const { language, text } of blocks) {
      if (language === 'json') {
        expectAnswer(text, written)
        env['LEASE'] = (JSON.parse(written) as { readonly items?: readonly { readonly lease?: string }[] }).items?.[0]?.lease ?? env['LEASE'] ?? ''
        continue
      }
      const ran = await shell.run(text, surroundings)
      expect(ran.code).toBe(0)
      ;({ written } = ran)
    }
    expect(blocks.filter(({ language }) => language === 'json')).toHaveLength(8)
    const lines = looks.flatMap(commandsOf)
    expect(lines).toHaveLength(5)
    for (const { command } of lines) expect(JSON.parse((await shell.run(command, surroundings)).written)).not.toHaveProperty('code')
  })

  it('can redrive a dead letter', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    const post = async (path: string, body: object): Promise<unknown> => {
      const headers = { 'Content-Type': 'application/json', 'Stint-As': 'worker@shop.example' }
      return (await fetch(`${env['Q']}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).json()
    }
    // One of its five attempts failed above.
    for (let attempt = 2; attempt <= 5; attempt += 1) {
      const { items } = (await post('tasks/lease', {})) as { readonly items: readonly { readonly id: string; readonly lease: string }[] }
      expect(items).toMatchObject([{ id: 'welcome-2', attempt }])
      await post('tasks/fail', { id: 'welcome-2', lease: items[0]?.lease, failed: { code: 'no-route', message: 'there is none' } })
    }
    const answers: unknown[] = []
    for (const { command } of blocksUnder(guide, 'Retries and dead letters').flatMap(commandsOf)) answers.push(JSON.parse((await shell.run(command, surroundings)).written))
    expect(answers).toMatchObject([{ items: [{ id: 'welcome-2', deadLetter: true }] }, { id: 'welcome-2', state: 'waiting' }, { what: 'redrive', filter: { code: 'no-route' } }])
  })
})

describe('the tables of the guide to task queues', () => {
  const names = (heading: string): readonly string[] => rowsUnder(guide, heading).map(({ cells: [name = ''] }) => name)

  it('name every call', () => {
    const calls = allRoutes.filter(({ tag }) => tag === 'tasks' || tag === 'queues').map(({ method, path }) => `${method} ${path}`)
    expect(names('The calls').toSorted()).toEqual(calls.toSorted())
  })

  it('name the states that a task can be in, and no other', () => {
    const never = new Set(['held', 'lost', 'timedOut'])
    expect(names('The life of a task').toSorted()).toEqual(states.filter((state) => !never.has(state)).toSorted())
  })

  it('name every gate', () => {
    const texts = ['src/domain/policy/why.ts', 'src/api/views.ts'].map((path) => readFileSync(join(root, path), 'utf8'))
    const ofItems = /export type Gate = (.*)/.exec(texts[0] ?? '')?.[1] ?? ''
    const ofQueues = /QUEUE_GATES[^{]*\{([^}]*)\}/.exec(texts[1] ?? '')?.[1] ?? ''
    const gates = [...[...ofItems.matchAll(/'([\w-]+)'/g)].map((match) => match[1]), ...[...ofQueues.matchAll(/^ {2}'?([\w-]+)'?: /gm)].map((match) => match[1])]
    expect(gates.length).toBeGreaterThan(12)
    const told = rowsUnder(guide, 'Why is it not running?').flatMap(({ cells: [cell = ''], raw: [raw = ''] }) =>
      raw.startsWith('`') && !raw.includes(' is ') ? cell.split(', ') : [],
    )
    // Jobs alone are lost, and only what middleware began breaks off.
    const isTold = new Set([...told, 'lost', 'broke-off'])
    expect(gates.filter((gate) => gate === undefined || !isTold.has(gate))).toEqual([])
  })

  it('name the keys of stint-queue.yaml with their defaults', () => {
    const rows = rowsUnder(guide, 'stint-queue.yaml').map(({ cells: [key = '', value = ''] }) => [key, value] as const)
    const { backoff, defaultLeaseMs, maxWaitMs, deadLetter, keyConcurrency } = DEFAULT_STINT_SETTINGS
    expect(Object.fromEntries(rows)).toEqual({
      deadLetter: String(deadLetter),
      defaultLeaseSeconds: String(defaultLeaseMs / 1_000),
      maxWaitSeconds: String(maxWaitMs / 1_000),
      'backoff.minSeconds': String(backoff.minMs / 1_000),
      'backoff.maxSeconds': (backoff.maxMs / 1_000).toLocaleString('en'),
      'backoff.doublings': String(backoff.doublings),
      'backoff.jitter': String(backoff.jitter),
      rate: 'none',
      burst: 'one second’s'.replace('’', "'"),
      keyConcurrency: String(keyConcurrency),
      webhook: 'none',
      'webhook.url': 'none',
      'webhook.secretEnv': 'none',
      'webhook.debounceSeconds': String(DEFAULT_DEBOUNCE_MS / 1_000),
    })
    const said = `queues: { mails: { deadLetter: true, defaultLeaseSeconds: 60, maxWaitSeconds: 60, rate: 20/s, burst: 1, keyConcurrency: 1,
      backoff: { minSeconds: 1, maxSeconds: 3600, doublings: 16, jitter: 0.2 } } }`
    expect(readStintYaml('stint-queue.yaml', said, new Set(['mails'])).errors).toEqual([])
  })

  it('and its files are read as they are', () => {
    const files = guide.blocks.filter(({ language }) => language === 'yaml')
    const isStint = ({ text }: { readonly text: string }): boolean => text.startsWith('queues:')
    expect(files.filter(isStint)).not.toEqual([])
    for (const { text, place } of files.filter((file) => !isStint(file))) expect(readQueueYaml(place, text)).toMatchObject({ errors: [], notices: [] })
    for (const { text, place } of files.filter(isStint)) expect(readStintYaml(place, text, new Set(['mails'])).errors).toEqual([])
  })

  it('name every problem that a producer or a worker can meet, with its status and when to come again', () => {
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
    const operations = Object.values(paths).flatMap((path) => Object.values(path).filter(({ tags }) => tags?.[0] === 'tasks' || tags?.[0] === 'queues'))
    const refusals = operations.flatMap(({ responses }) => Object.entries(responses).flatMap(([status, response]) => (status < '400' ? [] : [response])))
    const met = refusals.flatMap(({ description }) => [...description.matchAll(/`([\w-]+)`: /g)].map((match) => match[1]))
    expect(met).toContain('superseded')
    expect([...new Set(met)].filter((code) => !told.some((row) => row.code === code))).toEqual([])
  })

  const mib = (bytes: number): string => `${bytes / 1_024 / 1_024} MiB`
  const count = (value: number): string => value.toLocaleString('en')
  it.each([
    ['payload', mib(PAYLOAD_BYTES_MAX)],
    ['result, or the detail of a failure', mib(RESULT_BYTES_MAX)],
    ['delay', `${DELAY_SECONDS_MAX / 86_400} days`],
    ['lease', `${LEASE_SECONDS_MAX / 86_400} days`],
    ['tasks in a lease call', count(LEASE_TASKS_MAX)],
    ['items in a request', `${count(ITEMS_MAX)}, ${mib(defaultApiSettings.manyBytesMax)}`],
    ['events of one task', count(STREAM_EVENTS_MAX)],
    ['live work items', count(defaultSettings.maxLiveItems)],
    ['a queue file', `${mib(FILE_BYTES_MAX)}, ${count(QUEUES_MAX)} queues, ${count(ACL_ENTRIES_MAX)} entries`],
  ])('name the limit of tasks: %s', (limit, value) => {
    expect(rowsUnder(guide, 'Limits').find(({ cells: [name] }) => name === limit)?.cells[1]).toContain(value)
  })
})

// The guide to job proxies, held to the program: its calls are made and answered as it says, and its tables are compared with what they describe.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { retryAfterSeconds } from '../../src/api/problem.ts'
import { openApiDocument } from '../../src/api/openapi.ts'
import { JSON_DEPTH_MAX } from '../../src/api/json-text.ts'
import { ITEMS_MAX } from '../../src/api/request.ts'
import { defaultApiSettings } from '../../src/api/settings.ts'
import { EXIT } from '../../src/cli/failure.ts'
import { PROGRESS_INTERVAL_DOUBLES_EVERY, PROGRESS_INTERVAL_MS, STREAM_EVENTS_MAX, STREAM_EVENTS_RESERVED, STREAM_EVENTS_WARN } from '../../src/domain/policy/streams.ts'
import { defaultSettings } from '../../src/engine/open.ts'
import { LOG_FILE, TABLES_FILE } from '../../src/settings.ts'
import { IN_FLIGHT_LIMITS } from '../../src/store/append-check.ts'
import { states } from '../../src/wire/items.ts'
import { ATTRIBUTES_BYTES_MAX, LOST_AFTER_SECONDS, REPORT_EVERY_SECONDS } from '../../src/wire/jobs.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import { roles } from '../../src/wire/route.ts'
import { allRoutes, closeAll, startApi } from '../support/api.ts'
import { blocksUnder, document, root, rowsUnder } from '../support/documents.ts'
import { processes } from '../support/process.ts'
import { expectAnswer, expectHttp } from '../support/guide-answers.ts'
import { openShell, type Command } from '../support/shell.ts'

const guide = document('docs/guides/job-proxies.md')
const { serve } = processes('guide-job-proxies')
const shell = openShell()
const hasCurl = spawnSync('curl', ['--version']).status === 0

afterEach(closeAll)
afterAll(shell.close)

interface Operation {
  readonly tags?: readonly string[]
  readonly responses: Readonly<Record<string, { readonly description: string }>>
}

describe('a job server in any language', () => {
  const blocks = blocksUnder(guide, 'A job server in any language').filter(({ headings }) => !headings.includes('Look'))
  const looks = blocksUnder(guide, 'Look')
  const surroundings = { cwd: tmpdir(), env: {} as Record<string, string> }

  beforeAll(async () => {
    surroundings.env['STINT'] = (await serve(['--data', ':memory:'])).url
  })

  it('is answered as the guide shows, call by call', { timeout: 240_000 }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    let written = ''
    let waiting: Command | undefined
    for (const { language, text } of blocks) {
      if (language === 'json') {
        expectAnswer(text, written)
        const { lease } = JSON.parse(written) as { readonly lease?: string }
        if (lease !== undefined) surroundings.env['LEASE'] = lease
      } else if (language === 'http') {
        expect(await waiting?.ended()).toBe(0)
        expectHttp(text, waiting?.written() ?? '')
        waiting = undefined
      } else if (text.includes('wait=')) waiting = shell.start(text, surroundings)
      else {
        const ran = await shell.run(text, surroundings)
        expect(ran.code).toBe(0)
        ;({ written } = ran)
      }
    }
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'json', 'sh', 'json', 'sh', 'sh', 'json', 'http', 'sh', 'json'])
    expect(waiting).toBeUndefined()
  })

  it('can look at what it did', async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    const lines = looks.flatMap(({ text }) => text.trim().split('\n'))
    expect(lines).toHaveLength(5)
    for (const line of lines) {
      const { written } = await shell.run(line, surroundings)
      expect(`${line} ${written}`).toMatch(/scan-7|scanner|settled/)
      expect(JSON.parse(written)).not.toHaveProperty('code')
    }
  })
})

describe('the tables of the guide', () => {
  it('name the calls with their roles', () => {
    const calls = rowsUnder(guide, 'The calls').map(({ cells: [call = '', role = ''] }) => `${call}: ${role}`)
    const inTheGuide = allRoutes
      .filter(({ tag }) => tag === 'jobs')
      .map((route) => `${route.method} ${route.path}: ${typeof route.roles === 'string' ? route.roles : route.roles.join(', ') || 'admin'}`)
    expect(calls.toSorted()).toEqual(inTheGuide.toSorted())
  })

  it('name the states that a job can be in, and no other', () => {
    const never = new Set(['waiting', 'held', 'cancelled', 'timedOut'])
    expect(rowsUnder(guide, 'The life of a job').map(({ cells: [state] }) => state)).toEqual(states.filter((state) => !never.has(state)))
  })

  it('name the codes with which Stint and the client library fail a job', () => {
    const folders = ['src/domain/work-item', 'src/client'].map((folder) => join(root, folder))
    const sources = folders.flatMap((folder) => readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')))
    const codes = sources.flatMap((text) => [...text.matchAll(/failed\('([\w-]+)'|type: 'Failed', code: '([\w-]+)'/g)].map((match) => match[1] ?? match[2]))
    const told = rowsUnder(guide, "Failures that are not the job's own").map(({ cells: [code] }) => code)
    expect(new Set(told)).toEqual(new Set(codes))
  })

  it('name every problem that a job server can meet, with its status and when to come again', () => {
    const rows = rowsUnder(guide, 'Problems')
    const told = rows.map(({ cells: [code, status, again] }) => ({ code, status, again }))
    const isKnown = (code: string | undefined): code is ProblemCode => code !== undefined && Object.hasOwn(problems, code)
    const again = (code: ProblemCode): string => (retryAfterSeconds(code) === undefined ? '' : `${retryAfterSeconds(code)} s`)
    expect(told.filter(({ code }) => !isKnown(code))).toEqual([])
    expect(told).toEqual(told.map(({ code }) => (isKnown(code) ? { code, status: String(problems[code].status), again: again(code) } : {})))
    const { paths } = openApiDocument('0.0.0') as unknown as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }
    const operations = Object.values(paths).flatMap((path) => Object.values(path).filter(({ tags }) => tags?.[0] === 'jobs' || tags?.[0] === 'events'))
    const met = operations.flatMap(({ responses }) => Object.values(responses).flatMap(({ description }) => [...description.matchAll(/`([\w-]+)`: /g)].map((match) => match[1])))
    expect(met).toContain('stale-lease')
    expect([...new Set(met)].filter((code) => !told.some((row) => row.code === code))).toEqual([])
  })

  it('name the exit codes', () => {
    expect(rowsUnder(guide, 'Exit codes').map(({ cells: [code] }) => Number(code))).toEqual(Object.values(EXIT))
  })

  it('name the metrics that there are', async () => {
    const { get } = await startApi()
    const { text } = await get('/metrics')
    const ours = [...text.matchAll(/^# TYPE (stint_(?!process_|nodejs_)\w+) (\w+)$/gm)].map(([, name, kind]) => ({ name, kind }))
    // A row may have several of one kind, of which only the ends differ.
    const told = rowsUnder(guide, 'Metrics').flatMap(({ cells: [names = '', kind] }) =>
      names.split(', ').map((name) => ({ name: name.replace('…', 'stint_queue'), kind: kind?.split(' ')[0]?.replace(/s$/, '') })),
    )
    expect(told.toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? ''))).toEqual(ours.toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? '')))
  })

  it('name the checks of readiness', async () => {
    const { engine } = await startApi()
    expect(rowsUnder(guide, 'Health').map(({ cells: [check] }) => check)).toEqual(engine.status().checks.map(({ name }) => name))
  })

  it('name roles and files that exist', () => {
    for (const {
      cells: [role],
    } of rowsUnder(guide, 'Who may'))
      expect(roles).toContain(role)
    const files = rowsUnder(guide, 'The data directory').flatMap(({ cells: [file = ''] }) => file.split(', '))
    expect(files).toEqual([LOG_FILE, TABLES_FILE, LOG_FILE.replace('.db', '.lock'), LOG_FILE.replace('.db', '.holder')])
  })

  const count = (value: number): string => value.toLocaleString('en')
  const kib = (bytes: number): string => `${bytes / 1_024} KiB`
  const mib = (bytes: number): string => `${bytes / 1_024 / 1_024} MiB`
  const { bodyBytesMax, manyBytesMax, connectionsMax, eventClientsMax } = defaultApiSettings

  it.each([
    ['attributes', kib(ATTRIBUTES_BYTES_MAX)],
    ['body of a request', mib(bodyBytesMax)],
    ['body of POST /v1/jobs and POST /v1/jobs/reports', `${mib(manyBytesMax)}, ${count(ITEMS_MAX)} items`],
    ['depth of JSON', String(JSON_DEPTH_MAX)],
    ['events of one job', `${count(STREAM_EVENTS_MAX)}, the last ${STREAM_EVENTS_RESERVED} kept for its end; from ${count(STREAM_EVENTS_WARN)} on`],
    ['progress alone', `one event each ${PROGRESS_INTERVAL_MS} ms, doubling with each ${PROGRESS_INTERVAL_DOUBLES_EVERY} events`],
    ['live work items', count(defaultSettings.maxLiveItems)],
    ['open connections', count(connectionsMax)],
    ['readers of the event stream', count(eventClientsMax)],
    ['commands under way', `${count(IN_FLIGHT_LIMITS.appends)}, or ${mib(IN_FLIGHT_LIMITS.bytes)}`],
  ])('name the limit of %s', (limit, value) => {
    expect(rowsUnder(guide, 'Limits').find(({ cells: [name] }) => name === limit)?.cells[1]).toContain(value)
  })

  it('name the times that hold when nothing is said', () => {
    const told = rowsUnder(guide, 'Silence').map(({ cells }) => cells[1])
    expect(told).toEqual([
      `${REPORT_EVERY_SECONDS} s`,
      `3 intervals: ${3 * REPORT_EVERY_SECONDS} s`,
      `${LOST_AFTER_SECONDS / 3_600} h`,
      `half the silence: ${1.5 * REPORT_EVERY_SECONDS} s`,
      '60 s',
    ])
  })
})

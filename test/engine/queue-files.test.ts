// Queue files as people write them: the corpus of good and bad ones, directories of apps, digests, and what follows from a change.
import * as E from 'fp-ts/lib/Either.js'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { DEFAULT_STINT_SETTINGS, QueueConfig } from '../../src/domain/queue/config.ts'
import type { FileError } from '../../src/engine/queue-files-document.ts'
import { readQueueYaml } from '../../src/engine/queue-files-queue-yaml.ts'
import { readStintYaml } from '../../src/engine/queue-files-stint-yaml.ts'
import { appDigest, configurationSteps, describeFileErrors, FILE_BYTES_MAX, parseAppQueues, queueDigest, readApps, readQueueFiles } from '../../src/engine/queue-files.ts'
import { left, right } from '../support/engine.ts'

const CORPUS = join(import.meta.dirname, '..', 'fixtures', 'queue-yaml')

const filesIn = (folder: string) =>
  readdirSync(join(CORPUS, folder))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => ({ name, text: readFileSync(join(CORPUS, folder, name), 'utf8') }))

const expectedBeside = (folder: string, name: string): unknown => JSON.parse(readFileSync(join(CORPUS, folder, name.replace('.yaml', '.json')), 'utf8'))

/** `line:column code path`, as the files of the corpus say it of themselves. */
const places = (errors: readonly FileError[]): string[] => errors.map(({ line, column, code, path }) => `${line}:${column} ${code} ${path}`.trimEnd())
const saidBy = (text: string): string[] => [...text.matchAll(/^# expect (.*)$/gm)].map(([, place = '']) => place)

const NAMES = new Set(['orders', 'mail'])

describe('a good queue.yaml', () => {
  it.each(filesIn('valid'))('is read as it is: $name', ({ name, text }) => {
    const { value, errors, notices } = readQueueYaml(name, text)
    expect(errors).toEqual([])
    expect({ ...value, notices: notices.map(({ line, column, path }) => `${line}:${column} ${path}`) }).toEqual(expectedBeside('valid', name))
  })
})

describe('a bad queue.yaml', () => {
  it.each(filesIn('invalid'))('is refused, each mistake at its place: $name', ({ name, text }) => {
    const { value, errors, notices } = readQueueYaml(name, text)
    expect([value, notices]).toEqual([undefined, []])
    expect(saidBy(text).length).toBeGreaterThan(0)
    expect(places(errors)).toEqual(saidBy(text))
    for (const { file, detail } of errors) {
      expect(file).toBe(name)
      expect(detail).toMatch(/^(?:Expected|The file) .*\.$/)
    }
  })

  it('is refused when it is empty, as an editor leaves it for a moment', () => {
    expect(places(readQueueYaml('queue.yaml', '').errors)).toEqual(['1:1 required'])
    expect(places(readQueueYaml('queue.yaml', '\n\n').errors)).toEqual(['1:1 required'])
  })

  it('is refused for one thing when it is nested too deeply', () => {
    const { errors } = readQueueYaml('queue.yaml', '['.repeat(200_000))
    expect(errors.map(({ code, detail }) => [code, detail])).toEqual([['syntax', 'Expected a document of a few levels, but it is nested too deeply.']])
  })

  it('tells at most a hundred mistakes', () => {
    const text = `queue:\n${'- name: a b\n'.repeat(200)}`
    expect(readQueueYaml('queue.yaml', text).errors).toHaveLength(100)
  })

  it('is refused with too many queues or entries of an access list', () => {
    const many = (count: number, entry: (index: number) => string): string => Array.from({ length: count }, (_, index) => entry(index)).join('')
    const queues = (count: number): string => `queue:\n${many(count, (index) => `- name: q${index}\n`)}`
    const entries = (count: number): string => `queue:\n- name: orders\n  mode: pull\n  acl:\n${many(count, (index) => `  - user_email: u${index}@x.example\n`)}`
    expect(readQueueYaml('queue.yaml', queues(1_000)).value?.entries).toHaveLength(1_000)
    expect(places(readQueueYaml('queue.yaml', queues(1_001)).errors)).toEqual(['2:1 too-many /queue'])
    expect(readQueueYaml('queue.yaml', entries(1_000)).value?.entries[0]?.users).toHaveLength(1_000)
    expect(places(readQueueYaml('queue.yaml', entries(1_001)).errors)).toEqual(['5:3 too-many /queue/0/acl'])
  })

  it('is refused with an e-mail of more than 320 characters, which is not shown whole', () => {
    const text = (length: number): string => `queue:\n- name: orders\n  mode: pull\n  acl:\n  - user_email: ${'a'.repeat(length - 10)}@x.example\n`
    expect(readQueueYaml('queue.yaml', text(320)).errors).toEqual([])
    const { errors } = readQueueYaml('queue.yaml', text(321))
    expect(places(errors)).toEqual(['5:17 length /queue/0/acl/0/user_email'])
    expect(errors[0]?.detail.length).toBeLessThan(150)
  })

  it('counts columns and lines as editors do, also behind a byte order mark and with carriage returns', () => {
    expect(places(readQueueYaml('queue.yaml', 'queue:\r\n- name: orders\r\n  mode: both\r\n').errors)).toEqual(['3:9 choice /queue/0/mode'])
    expect(places(readQueueYaml('queue.yaml', '\uFEFFqueue:\n- name: a b\n').errors)).toEqual(['2:9 form /queue/0/name'])
  })
})

describe('a good stint-queue.yaml', () => {
  it.each(filesIn('stint-valid'))('is read: $name', ({ name, text }) => {
    const { value, errors } = readStintYaml(name, text, NAMES)
    expect(errors).toEqual([])
    expect(Object.fromEntries(value ?? [])).toEqual(expectedBeside('stint-valid', name))
  })
})

describe('a bad stint-queue.yaml', () => {
  it.each(filesIn('stint-invalid'))('is refused, each mistake at its place: $name', ({ name, text }) => {
    const { value, errors } = readStintYaml(name, text, NAMES)
    expect(value).toBeUndefined()
    expect(saidBy(text).length).toBeGreaterThan(0)
    expect(places(errors)).toEqual(saidBy(text))
  })

  it('does not show the address of a webhook, which may hold a secret', () => {
    const { errors } = readStintYaml('s', 'queues: {mail: {webhook: {url: "https://me:hidden@x.example/"}}}', NAMES)
    expect(describeFileErrors(errors)).toBe('s:1:32: /queues/mail/webhook/url: Expected an http or https address of at most 2000 characters, without user and password.')
  })
})

describe('the corpus', () => {
  it('has every kind of mistake that a text can have', () => {
    const said = [...filesIn('invalid'), ...filesIn('stint-invalid')].flatMap(({ text }) => saidBy(text).map((place) => place.split(' ')[1] ?? ''))
    expect([...new Set(said)].sort()).toEqual(['choice', 'duplicate', 'form', 'no-such-queue', 'range', 'required', 'syntax', 'type', 'unknown'])
  })
})

/** A config directory with these files, gone after the test. */
const directoryOf = (files: Readonly<Record<string, string | Uint8Array>>): string => {
  const directory = mkdtempSync(join(tmpdir(), 'stint-queue-files-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}

const PULL = 'queue:\n- name: orders\n  mode: pull\n  acl:\n  - user_email: w@x.example\n'
const config = (app: string, queue: string, more: Partial<QueueConfig> = {}): QueueConfig => ({
  app,
  queue,
  mode: 'pull',
  users: [],
  writers: [],
  stint: DEFAULT_STINT_SETTINGS,
  ...more,
})

describe('a config directory', () => {
  it('gives the queues of all apps, by app and name, with their settings', async () => {
    const directory = directoryOf({
      'apps/shop/queue.yaml': 'total_storage_limit: 1K\nqueue:\n- {name: orders, mode: pull}\n- {name: mail, mode: pull, retry_parameters: {task_retry_limit: 3}}\n',
      'apps/shop/stint-queue.yaml': 'queues: {mail: {deadLetter: false}}\n',
      'apps/bank/queue.yaml': 'queue:\n- name: default\n',
    })
    const { queues, notices } = right(await readQueueFiles(directory))
    expect(queues).toEqual([
      config('bank', 'default', { mode: 'push' }),
      config('shop', 'mail', { retryLimit: 3, storageLimitBytes: 1_024, stint: { ...DEFAULT_STINT_SETTINGS, deadLetter: false } }),
      config('shop', 'orders', { storageLimitBytes: 1_024 }),
    ])
    for (const each of queues) expect(QueueConfig.is(each)).toBe(true)
    expect(describeFileErrors(notices)).toBe(
      `${join(directory, 'apps', 'bank', 'queue.yaml')}:2:3: /queue/0: The queue is listed and not served: its mode is push, and Stint serves pull queues.`,
    )
  })

  it('has no queues when it, or its apps, are not there', async () => {
    const directory = directoryOf({ 'stint.yaml': '' })
    expect(right(await readQueueFiles(directory)).queues).toEqual([])
    expect(right(await readQueueFiles(join(directory, 'nowhere'))).queues).toEqual([])
  })

  it('passes over what is no app: plain files, hidden directories, directories without queue files', async () => {
    const directory = directoryOf({ 'apps/README.md': '', 'apps/.git/queue.yaml': 'nonsense', 'apps/Empty Directory/x': '', 'apps/shop/queue.yaml': PULL })
    expect(right(await readQueueFiles(directory)).queues.map(({ app }) => app)).toEqual(['shop'])
  })

  it('takes an app named as App Engine names those of a domain', async () => {
    const directory = directoryOf({ 'apps/shop.example:orders-2/queue.yaml': PULL })
    expect(right(await readQueueFiles(directory)).queues[0]?.app).toBe('shop.example:orders-2')
  })

  it('refuses a directory with queue files that cannot be an app', async () => {
    const directory = directoryOf({ 'apps/Shop/queue.yaml': PULL })
    expect(left(await readQueueFiles(directory))).toMatchObject([{ code: 'name', file: join(directory, 'apps', 'Shop'), line: 1, column: 1 }])
  })

  it('refuses settings for a queue that queue.yaml does not name, or when there is none', async () => {
    const directory = directoryOf({ 'apps/a/stint-queue.yaml': 'queues: {orders: {}}\n', 'apps/b/queue.yaml': PULL, 'apps/b/stint-queue.yaml': 'queues:\n  mail: {}\n' })
    expect(places(left(await readQueueFiles(directory)))).toEqual(['1:10 no-such-queue /queues/orders', '2:3 no-such-queue /queues/mail'])
  })

  it('tells the mistakes of both files, but not that names are missing when queue.yaml cannot be read', async () => {
    const directory = directoryOf({ 'apps/a/queue.yaml': 'queue: 5\n', 'apps/a/stint-queue.yaml': 'queues: {orders: {burst: x}}\n' })
    expect(places(left(await readQueueFiles(directory)))).toEqual(['1:8 type /queue', '1:26 form /queues/orders/burst'])
  })

  it('refuses files that are too large, no UTF-8, or no files', async () => {
    const directory = directoryOf({
      'apps/a/queue.yaml': `queue: []\n#${' '.repeat(FILE_BYTES_MAX)}`,
      'apps/b/queue.yaml': Uint8Array.of(0x71, 0xff, 0xfe),
      'apps/c/queue.yaml/inside': '',
    })
    mkdirSync(join(directory, 'apps', 'd'))
    execFileSync('mkfifo', [join(directory, 'apps', 'd', 'queue.yaml')])
    expect(left(await readQueueFiles(directory)).map(({ code }) => code)).toEqual(['too-large', 'encoding', 'unreadable', 'unreadable'])
  })

  it('refuses what it may not read', async (context) => {
    if (process.getuid?.() === 0) context.skip('the superuser may read everything')
    const directory = directoryOf({ 'apps/a/queue.yaml': PULL })
    chmodSync(join(directory, 'apps', 'a', 'queue.yaml'), 0)
    expect(left(await readQueueFiles(directory))).toMatchObject([{ code: 'unreadable' }])
  })

  it('refuses a plain file in the place of the apps', async () => {
    const directory = directoryOf({ apps: '' })
    expect(left(await readQueueFiles(directory))).toMatchObject([{ code: 'unreadable', file: join(directory, 'apps') }])
  })

  it('keeps the apps apart: the mistake of one is no mistake of another', async () => {
    const directory = directoryOf({ 'apps/a/queue.yaml': 'queue: 5\n', 'apps/b/queue.yaml': PULL })
    const apps = right(await readApps(directory)) ?? []
    expect(apps.map(({ app, queues }) => [app, E.isRight(queues)])).toEqual([
      ['a', false],
      ['b', true],
    ])
  })
})

describe('the documented example', () => {
  it('is good, and nothing in it is without effect', async () => {
    const { queues, notices } = right(await readQueueFiles(join(import.meta.dirname, '..', '..', 'examples', 'queues')))
    expect(queues.map(({ app, queue, mode }) => [app, queue, mode])).toEqual([
      ['shop', 'invoices', 'pull'],
      ['shop', 'orders', 'pull'],
    ])
    expect(notices).toEqual([])
  })
})

const queuesOf = (queue: string, stint?: string): readonly QueueConfig[] =>
  right(parseAppQueues('shop', { file: 'q', text: queue }, stint === undefined ? undefined : { file: 's', text: stint }).queues)

describe('the digest of a queue', () => {
  const digestOf = (queue: string, stint?: string): string => queuesOf(queue, stint).map(queueDigest).join()

  it('is the same however the files are written', () => {
    const one = digestOf('queue:\n- name: orders\n  mode: pull\n  acl:\n  - user_email: a@x.example\n  - user_email: b@x.example\n')
    const other = digestOf('queue: [{acl: [{user_email: "b@x.example"}, {user_email: a@x.example}], mode: pull, name: orders}] # the same', 'queues: {orders: {deadLetter: true}}')
    expect(other).toBe(one)
    expect(one).toMatch(/^[\w-]{43}$/)
  })

  it('is another one for each thing that counts', () => {
    const texts: readonly (readonly [string, string?])[] = [
      [PULL],
      [PULL.replace('orders', 'mail')],
      [PULL.replace('pull', 'push')],
      [PULL.replace('user_email', 'writer_email')],
      [PULL.replace('w@', 'v@')],
      [`${PULL}  retry_parameters: {task_retry_limit: 5}\n`],
      [`total_storage_limit: 5G\n${PULL}`],
      ...[
        'deadLetter: false',
        'defaultLeaseSeconds: 5',
        'maxWaitSeconds: 5',
        'backoff: {jitter: 0}',
        'rate: 5/s',
        'keyConcurrency: 5',
        'webhook: {url: "http://x.example", secretEnv: KEY}',
      ].map((setting) => [PULL, `queues: {orders: {${setting}}}`] as const),
    ]
    expect(new Set(texts.map(([queue, stint]) => digestOf(queue, stint))).size).toBe(texts.length)
  })

  it('of all queues of an app does not depend on their order', () => {
    const queues = [config('shop', 'a'), config('shop', 'b', { mode: 'push' })]
    expect(appDigest(queues.toReversed())).toBe(appDigest(queues))
    expect(appDigest(queues.slice(0, 1))).not.toBe(appDigest(queues))
  })
})

describe('what to ask of the log', () => {
  const told = { by: 'files', when: 'change' } as const
  const kept = config('shop', 'kept')

  it('is nothing when it says what the files say', () => expect(configurationSteps([kept], [kept], told)).toEqual([]))

  it('is to configure what is new or has changed', () => {
    const changed = config('shop', 'changed', { retryLimit: 5 })
    const fresh = config('bank', 'fresh')
    expect(configurationSteps([kept, changed, fresh], [kept, config('shop', 'changed')], told)).toEqual([
      { app: 'shop', queue: 'changed', command: { type: 'ConfigureQueue', config: changed, digest: queueDigest(changed), ...told } },
      { app: 'bank', queue: 'fresh', command: { type: 'ConfigureQueue', config: fresh, digest: queueDigest(fresh), ...told } },
    ])
  })

  it('is to remove what no file names, with the digest of what is left of its app', () => {
    expect(configurationSteps([kept, config('bank', 'other')], [kept, config('bank', 'other'), config('shop', 'gone')], told)).toEqual([
      { app: 'shop', queue: 'gone', command: { type: 'RemoveQueue', digest: appDigest([kept]), ...told } },
    ])
  })
})

describe('whoever looks again and again', () => {
  it('parses a change once: what has not changed is what was read before', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'stint-parsed-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    for (const app of ['shop', 'mill']) {
      mkdirSync(join(directory, 'apps', app), { recursive: true })
      writeFileSync(join(directory, 'apps', app, 'queue.yaml'), 'queue:\n  - name: mail\n    mode: pull\n')
    }
    const parsed = new Map()
    const look = async () => right(await readApps(directory, parsed)) ?? []
    const [mill, shop] = await look()
    writeFileSync(join(directory, 'apps', 'shop', 'queue.yaml'), 'queue:\n  - name: post\n    mode: pull\n')
    const [again, changed] = await look()
    expect(again).toBe(mill)
    expect(changed).not.toBe(shop)
    expect((await look())[1]).toBe(changed)
  })
})

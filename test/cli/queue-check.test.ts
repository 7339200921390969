// `stint queues check`: every mistake at its place, without a server, as the server's own reader says it.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { processes } from '../support/process.ts'

const { folder, stint } = processes('cli-check')

const CORPUS = join(import.meta.dirname, '..', 'fixtures', 'queue-yaml')
const GOOD = 'queue:\n- name: mails\n  mode: pull\n  retry_parameters:\n    task_retry_limit: 3\n  acl:\n  - user_email: worker@shop.example\n'

const write = (name: string, files: Readonly<Record<string, string>>): string => {
  const directory = join(folder, name)
  mkdirSync(directory, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text)
  return name
}
const check = (...args: readonly string[]) => stint(['queues', 'check', ...args])

describe('queues check', () => {
  it('sums up the queues of good files', async () => {
    const directory = write('shop', { 'queue.yaml': GOOD, 'stint-queue.yaml': 'queues:\n  mails:\n    rate: 10/s\n    defaultLeaseSeconds: 30\n' })
    for (const path of [directory, `${directory}/queue.yaml`, `${directory}/stint-queue.yaml`]) {
      const { code, out, err } = await check(path)
      expect({ path, code, err }).toEqual({ path, code: 0, err: 'The files are good: 1 queue.\n' })
      expect(out).toMatch(/^QUEUE +MODE +WRITERS +USERS +RETRY LIMIT +LEASE +RATE\nshop\/mails +pull +0 +1 +3 +30s +10\/s\n$/)
    }
  })

  it('tells each mistake as file:line:column: code: path: sentence, with exit code 2', async () => {
    const directory = write('bad', { 'queue.yaml': 'queue:\n- name: mails\n  mode: pul\n  retries: 3\n', 'stint-queue.yaml': 'queues:\n  mails:\n    rate: fast\n' })
    const { code, out, err } = await check(directory)
    expect(code).toBe(2)
    expect(out.trim().split('\n')).toEqual([
      expect.stringMatching(/^bad\/queue\.yaml:3:9: choice: \/queue\/0\/mode: Expected one of .*\.$/),
      expect.stringMatching(/^bad\/queue\.yaml:4:3: unknown: \/queue\/0\/retries: Expected one of .*\.$/),
      expect.stringMatching(/^bad\/stint-queue\.yaml:3:11: form: \/queues\/mails\/rate: Expected .*\.$/),
    ])
    expect(err).toBe('stint: 3 mistakes in 2 files: a server keeps the last good ones in force.\n')
  })

  it('checks all apps of a config directory, each by itself', async () => {
    write('config/apps/shop', { 'queue.yaml': GOOD })
    write('config/apps/bank', { 'queue.yaml': 'queue:\n- name: a_b\n  mode: pull\n' })
    for (const path of ['config', 'config/apps']) {
      const { code, out } = await check(path, '-o', 'json')
      expect({ path, code }).toEqual({ path, code: 2 })
      expect(JSON.parse(out)).toMatchObject({
        ok: false,
        errors: [{ file: expect.stringMatching(/bank.queue\.yaml$/), line: 2, column: 9, path: '/queue/0/name' }],
        queues: [{ app: 'shop', queue: 'mails' }],
      })
    }
  })

  it('finds what the server finds in every bad file of the corpus', async () => {
    const names = readdirSync(join(CORPUS, 'invalid')).filter((name) => name.endsWith('.yaml'))
    // One command for all: each file is the queue.yaml of an app of its own.
    for (const [index, name] of names.entries()) {
      write(`corpus/apps/app-${index}`, { 'queue.yaml': readFileSync(join(CORPUS, 'invalid', name), 'utf8') })
    }
    const { code, out } = await check('corpus', '-o', 'jsonl')
    expect(code).toBe(2)
    const files = new Set(
      out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { file: string }).file),
    )
    expect(files.size).toBe(names.length)
  })

  it('tells what has no effect, and is content', async () => {
    const directory = write('notices', { 'queue.yaml': 'queue:\n- name: pushed\n  rate: 5/s\n' })
    expect(await check(directory)).toMatchObject({ code: 0, out: expect.stringMatching(/^notices\/queue\.yaml:2:\d+: no-effect: /) })
    expect(JSON.parse((await check(directory, '-o', 'jsonl')).out)).toMatchObject({ severity: 'notice', code: 'no-effect' })
  })

  it('ends with 3 where there is nothing to check', async () => {
    const directory = write('other', { 'notes.md': '# Notes\n\nqueues: some\n' })
    expect(await check(`${directory}/notes.md`)).toMatchObject({ code: 3, out: '', err: expect.stringContaining('other/notes.md is no queue file: it has no `queue:`') })
    expect(await check('nix.yaml')).toMatchObject({ code: 3, err: expect.stringContaining('There is no nix.yaml.') })
    expect(await check(write('empty', {}))).toMatchObject({ code: 3, err: expect.stringContaining('There is neither apps/APP/queue.yaml nor queue.yaml in empty.') })
  })
})

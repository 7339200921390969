// Many tasks from a file of lines: what is taken, what is refused with its place, and that the rest is in all the same.
import * as E from 'fp-ts/lib/Either.js'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { stepText } from '../../src/cli/progress.ts'
import { taskOfLine } from '../../src/cli/task-lines.ts'
import { PAYLOAD_BYTES_MAX } from '../../src/wire/tasks.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'

const { folder, serve, stint } = processes('cli-lines')

let url = ''
beforeAll(async () => {
  url = (await serve(['--data', ':memory:'])).url
})

const putLines = (queue: string, lines: readonly string[], ...args: readonly string[]) => {
  writeFileSync(join(folder, `${queue}.jsonl`), lines.map((line) => `${line}\n`).join(''))
  return stint(['tasks', 'put', '--lines', `${queue}.jsonl`, '-q', `shop/${queue}`, ...args], { env: { STINT_URL: url } })
}
const statesIn = async (queue: string) =>
  (JSON.parse((await stint(['queues', 'show', `shop/${queue}`, '-o', 'json'], { env: { STINT_URL: url } })).out) as { statistics: { states: object } }).statistics.states
const idsIn = async (queue: string) =>
  (JSON.parse((await stint(['tasks', 'list', '-q', `shop/${queue}`, '-o', 'json'], { env: { STINT_URL: url } })).out) as { items: { id: string; tag?: string; key?: string }[] })
    .items

describe('a line', () => {
  const read = (text: string, shared = {}) => taskOfLine(7, text, shared, realWorld)
  const errors = (text: string) => {
    const task = read(text)
    return E.isLeft(task) ? task.left.errors?.map(({ path, code }) => `${path} ${code}`.trim()) : []
  }

  it('is a task of its own, and gets an id where it has none', () => {
    const task = read('{"payload":{"n":1},"tag":"own"}', { tag: 'shared', key: 'k' })
    if (E.isLeft(task)) throw new Error('Expected a task')
    expect(JSON.parse(task.right.text)).toEqual({ id: task.right.id, payload: { n: 1 }, tag: 'own', key: 'k' })
    expect(task.right).toMatchObject({ line: 7, id: expect.stringMatching(/^[0-9a-f-]{36}$/) })
  })

  it.each([
    ['what is no JSON', '{"a":', ['json']],
    ['what is no object', '[1]', ['type']],
    ['a field of a wrong type', '{"tag":5}', ['/tag type']],
    ['an unknown field', '{"paylod":1}', ['/paylod unknown']],
    ['several fields at once', '{"id":"a b","priority":2000}', ['/id pattern', '/priority range']],
    ['a payload that is too large', JSON.stringify({ payload: 'x'.repeat(PAYLOAD_BYTES_MAX) }), ['/payload length']],
  ])('is refused for %s, at its path', (_what, text, found) => expect(errors(text)).toEqual(found))
})

describe('tasks put --lines', () => {
  it('puts every line in order, in batches, with what the options say of all', async () => {
    const lines = Array.from({ length: 2_500 }, (_each, index) => JSON.stringify({ id: `n-${index}`, payload: { index } }))
    const { code, out, err } = await putLines('many', lines, '--tag', 'mail', '--key', 'ann')
    expect({ code, out, err }).toEqual({ code: 0, out: '2,500 tasks put into shop/many\n', err: expect.not.stringContaining('line') })
    expect(await statesIn('many')).toEqual({ waiting: 2_500 })
    expect((await idsIn('many')).slice(0, 2)).toMatchObject([
      { id: 'n-0', tag: 'mail', key: 'ann' },
      { id: 'n-1', tag: 'mail', key: 'ann' },
    ])
  })

  it('tells which lines were refused and why, by the path of the field, and puts the rest', async () => {
    const refused = await putLines('mixed', ['{"id":"good-1"}', '{"tag":5}', 'nope', '', '{"id":"good-2","payload":1}', '{"id":"good-2","payload":2}'])
    expect(refused).toMatchObject({ code: 1, out: '2 tasks put into shop/mixed, 3 refused\n' })
    expect(refused.err).toMatch(/^line 2: \/tag: Expected a string\.$/m)
    expect(refused.err).toMatch(/^line 3: Expected JSON: /m)
    expect(refused.err).toMatch(/^line 6: This id was used before with other content\./m)
    expect(refused.err).toMatch(/^stint: 3 lines were refused\.$/m)
    expect((await idsIn('mixed')).map(({ id }) => id)).toEqual(['good-1', 'good-2'])
  })

  it('tells programs every line', async () => {
    const lines = ['{"id":"a"}', '{"priority":"high"}']
    const asLines = await putLines('told', lines, '-o', 'jsonl')
    expect(asLines.code).toBe(1)
    const told = asLines.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { line: number })
    expect(told.toSorted((a, b) => a.line - b.line)).toEqual([
      { line: 1, id: 'a' },
      { line: 2, code: 'invalid', title: 'The task is not valid.', errors: [{ path: '/priority', code: 'type', detail: 'Expected a number.' }], refused: true },
    ])
    expect(JSON.parse((await putLines('told', lines, '-o', 'json')).out)).toMatchObject({ put: 1, refused: [{ line: 2, errors: [{ path: '/priority' }] }] })
  })

  it('reads standard input, and takes a repeat of the same lines as the same tasks', async () => {
    const input = '\uFEFF{"id":"one","payload":1}\r\n{"id":"two"}'
    for (const _each of [1, 2])
      expect(await stint(['tasks', 'put', '--lines', '-', '-q', 'shop/piped'], { env: { STINT_URL: url }, input })).toMatchObject({ code: 0, out: '2 tasks put into shop/piped\n' })
    expect(await statesIn('piped')).toEqual({ waiting: 2 })
  })

  it('ends with 2 where there is no file, with 5 where there is no server', async () => {
    expect(await stint(['tasks', 'put', '--lines', 'nix.jsonl', '-q', 'shop/x'], { env: { STINT_URL: url } })).toMatchObject({
      code: 2,
      err: expect.stringContaining('nix.jsonl cannot be read'),
    })
    expect(await stint(['tasks', 'put', '--lines', '.', '-q', 'shop/x'], { env: { STINT_URL: url } })).toMatchObject({ code: 2, err: expect.stringContaining('it is a directory') })
    const lost = await stint(['tasks', 'put', '--lines', '-', '-q', 'shop/x'], { env: { STINT_URL: 'http://127.0.0.1:1' }, input: '{"id":"a"}\n' })
    expect(lost.code).not.toBe(0)
    expect(lost.err).toContain('0 tasks had been put when it stopped, behind line 1 at the latest.')
  })
})

describe('the line of progress', () => {
  it('has a bar where the share is known, and fits the terminal', () => {
    expect(stepText({ text: '500 tasks put', fraction: 0.5 }, 80)).toBe('████████████░░░░░░░░░░░░  50%  500 tasks put')
    expect(stepText({ text: '500 tasks put' }, 80)).toBe('500 tasks put')
    expect(stepText({ text: '500 tasks put', fraction: 0.5 }, 35)).toHaveLength(34)
  })
})

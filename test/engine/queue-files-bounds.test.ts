// Queue files that ask too much of their reader: refused at their place, after work that grows with their length alone.
import { describe, expect, it } from 'vitest'
import { DEPTH_MAX, excessOf, TOKENS_MAX } from '../../src/engine/queue-files-bounds.ts'
import { readQueueYaml } from '../../src/engine/queue-files-queue-yaml.ts'

const repeat = (count: number, line: (index: number) => string): string => Array.from({ length: count }, (_, index) => line(index)).join('')
const errorsOf = (text: string) => readQueueYaml('queue.yaml', text).errors

describe('a queue file', () => {
  it.each([
    ['lists in brackets', '['.repeat(17_112)],
    ['mappings in braces', '{a: '.repeat(17_112)],
    ['lists on one line', '- '.repeat(17_112)],
    ['keys on one line', '? '.repeat(17_112)],
    ['mappings in mappings', repeat(1_000, (index) => `${' '.repeat(index)}k:\n`)],
  ])('that is nested too deeply is refused where it becomes too deep: %s', (_what, text) => {
    const [error, ...more] = errorsOf(text)
    expect(more).toEqual([])
    expect(error).toMatchObject({ code: 'syntax', detail: 'Expected a document of a few levels, but it is nested too deeply.' })
    expect((error?.line ?? 0) + (error?.column ?? 0)).toBeLessThan(5 * DEPTH_MAX)
  })

  it('of tens of thousands of unknown keys is refused key by key, and not all of them are told', () => {
    const errors = errorsOf(repeat(24_000, (index) => `k${index}: 1\n`))
    expect(errors).toHaveLength(100)
    expect(errors[99]).toMatchObject({ code: 'unknown', line: 100, column: 1 })
  })

  it('with too many keys and values is refused where they become too many', () => {
    const [error, ...more] = errorsOf(repeat(100_000, () => '- a\n'))
    expect(more).toEqual([])
    expect(error).toMatchObject({ code: 'too-large', detail: `Expected at most ${TOKENS_MAX} keys, values and marks.` })
  })

  it('says each key that stands twice, at its place', () => {
    const text = `${repeat(20_000, (index) => `k${index}: 1\n`)}k0: 2\n`
    expect(errorsOf(text)).toEqual([expect.objectContaining({ code: 'syntax', line: 20_001, column: 1 })])
  })

  it('of a hundred queues, each with a hundred users, is within the limits', () => {
    const acl = repeat(100, (index) => `      - user_email: u${index}@x.example\n`)
    const text = `queue:\n${repeat(100, (index) => `  - name: q${index}\n    mode: pull\n    acl:\n${acl}`)}`
    expect(excessOf(text)).toBeUndefined()
    expect(errorsOf(text)).toEqual([])
  })
})

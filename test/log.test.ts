// What the log writes for machines and for people.
import { describe, expect, it } from 'vitest'
import { createLog } from '../src/log.ts'
import { virtualWorld } from './support/virtual-world.ts'

const written = (human: boolean, level = 'info') => {
  const lines: string[] = []
  return { lines, log: createLog({ level, world: virtualWorld(), human, write: (line) => lines.push(line) }) }
}

describe('the log', () => {
  it('is a JSON line for machines, dated by the world', () => {
    const { lines, log } = written(false)
    log.info({ url: 'http://here' }, 'listening')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ level: 30, time: Date.UTC(2026, 0, 1), url: 'http://here', msg: 'listening' }])
  })

  it('is a short line for people', () => {
    const { lines, log } = written(true)
    log.warn({ events: 7, rate: { a: 1 } }, 'reading the log')
    expect(lines).toEqual(['00:00:00 warn  reading the log events=7 rate={"a":1}\n'])
  })

  it('shows people the stack of an error', () => {
    const { lines, log } = written(true)
    log.error({ err: new Error('torn') }, 'a timer failed')
    expect(lines.join('')).toMatch(/^00:00:00 error a timer failed\nError: torn\n +at /)
  })

  it('leaves out what is below its level', () => {
    const { lines, log } = written(false, 'warn')
    log.info('not said')
    expect(lines).toEqual([])
  })
})

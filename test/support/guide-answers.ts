// Answers that a guide shows, compared with those that are given: what is different each time is passed over, and the guide may leave fields out.
import { expect } from 'vitest'

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
/** As the dialect has times. */
const MICROSECONDS = /^\d{16}$/
const LEASE = /^\d+\.[\w-]{8}$/

/** What is different each time looks alike: times, leases, and the time in an ETag. */
const volatile = (text: string): string => {
  if (INSTANT.test(text) || MICROSECONDS.test(text)) return 'a time'
  return LEASE.test(text) ? 'a lease' : text.replace(/^ETag: "(\d+)\.\w+\./, 'ETag: "$1.time.')
}

/** The parts of an answer that the guide shows. */
const shown = (documented: unknown, actual: unknown): unknown => {
  if (typeof documented !== 'object' || documented === null || typeof actual !== 'object' || actual === null) return typeof actual === 'string' ? volatile(actual) : actual
  return Object.fromEntries(Object.keys(documented).map((key) => [key, shown((documented as Record<string, unknown>)[key], (actual as Record<string, unknown>)[key])]))
}

/** Compares an answer with the one that a guide shows, which may leave fields out. */
export const expectAnswer = (documented: string, written: string): void =>
  expect(shown(JSON.parse(documented), JSON.parse(written))).toEqual(shown(JSON.parse(documented), JSON.parse(documented)))

/** Status line, headers and body; of the answer the headers that the guide shows. */
export const expectHttp = (documented: string, written: string): void => {
  const [heads = '', body = ''] = documented.split('\n\n')
  const [givenHeads = '', given = ''] = written.replaceAll('\r', '').split('\n\n')
  const lines = givenHeads.split('\n').map(volatile)
  for (const line of heads.split('\n').map(volatile)) expect(lines).toContain(line)
  expectAnswer(body, given)
}

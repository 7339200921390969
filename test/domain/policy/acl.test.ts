// The whole table of who may do what with a queue.
import { describe, expect, it } from 'vitest'
import { may, type Caller, type Deed } from '../../../src/domain/policy/acl.ts'

const config = { users: ['worker@shop.example', 'both@shop.example'], writers: ['web@partner.example', 'both@shop.example'] }

const known = (email: string, more: Partial<Caller> = {}): Caller => ({ email, isAdmin: false, isLocal: false, ...more })

const CALLERS: Readonly<Record<string, readonly [Caller, readonly Deed[]]>> = {
  'a user of the queue': [known('worker@shop.example'), ['consume', 'look']],
  'a writer': [known('web@partner.example'), ['insert']],
  'who is listed as both': [known('both@shop.example'), ['insert', 'consume', 'look']],
  'a stranger': [known('stranger@shop.example'), []],
  'who has no e-mail': [known(''), []],
  'an administrator': [known('admin@shop.example', { isAdmin: true }), ['look', 'manage']],
  'an administrator who is a user': [known('worker@shop.example', { isAdmin: true }), ['consume', 'look', 'manage']],
  'an administrator who is a writer': [known('web@partner.example', { isAdmin: true }), ['insert', 'look', 'manage']],
  'this machine, without auth': [known('local', { isLocal: true }), ['insert', 'consume', 'look', 'manage']],
  'this machine, as an administrator': [known('local', { isLocal: true, isAdmin: true }), ['insert', 'consume', 'look', 'manage']],
  'an e-mail in other letters': [known('Worker@shop.example'), []],
  'an e-mail with a space': [known('worker@shop.example '), []],
  'part of an e-mail': [known('@shop.example'), []],
}
const DEEDS: readonly Deed[] = ['insert', 'consume', 'look', 'manage']

describe.each(Object.entries(CALLERS))('%s', (_name, [caller, deeds]) => {
  it.each(DEEDS)(`may ${deeds.join(', ') || 'nothing'}: %s`, (deed) => expect(may(config, caller, deed)).toBe(deeds.includes(deed)))
})

describe('a queue whose file lists nobody', () => {
  const empty = { users: [], writers: [] }
  it('is closed to all but administrators, who may look and manage', () => {
    expect(DEEDS.filter((deed) => may(empty, known('worker@shop.example'), deed))).toEqual([])
    expect(DEEDS.filter((deed) => may(empty, known('worker@shop.example', { isAdmin: true }), deed))).toEqual(['look', 'manage'])
  })
})

describe('what looks like a pattern', () => {
  it.each(['*', '*@shop.example', '@shop.example', 'shop.example', '.*', 'allUsers', 'allAuthenticatedUsers'])('matches nobody but itself: %s', (entry) => {
    const patterns = { users: [entry], writers: [entry] }
    expect(DEEDS.filter((deed) => may(patterns, known('worker@shop.example'), deed))).toEqual([])
    expect(may(patterns, known(entry), 'consume')).toBe(true)
  })
})

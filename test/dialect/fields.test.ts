// Field masks: their grammar, what they refuse, and what they leave of an answer.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applyMask, readMask, shows, type Mask } from '../../src/api/dialect/fields.ts'
import { schemas } from '../../src/api/dialect/schemas.ts'
import { left, right } from '../support/engine.ts'

const ofTasks = schemas.Tasks.properties
const ofQueue = schemas.TaskQueue.properties

const tasks = { kind: 'taskqueues#tasks', items: [{ kind: 'taskqueues#task', id: 'one', tag: 'a' }, { id: 'two' }] }
const queue = { kind: 'taskqueues#taskqueue', id: 'mail', maxLeases: 3, stats: { totalTasks: 1, oldestTask: '5' }, acl: { consumerEmails: ['a@b'] } }

const cut = (text: string, value: object, properties = ofTasks): unknown => applyMask(right(readMask(text, properties)), value)

describe('a mask', () => {
  it.each([
    ['kind', { kind: 'taskqueues#tasks' }],
    ['items', { items: tasks.items }],
    ['kind,items', tasks],
    ['items/id', { items: [{ id: 'one' }, { id: 'two' }] }],
    ['items(id)', { items: [{ id: 'one' }, { id: 'two' }] }],
    ['items(id,tag)', { items: [{ id: 'one', tag: 'a' }, { id: 'two' }] }],
    ['items(tag)', { items: [{ tag: 'a' }, {}] }],
    ['items/id,items/tag', { items: [{ id: 'one', tag: 'a' }, { id: 'two' }] }],
    ['items(id),items', { items: tasks.items }],
    ['*', tasks],
    ['items/*', { items: tasks.items }],
    ['items(*)', { items: tasks.items }],
    ['*/id', { items: [{ id: 'one' }, { id: 'two' }] }],
    ['*(id,tag),kind', { kind: 'taskqueues#tasks', items: [{ id: 'one', tag: 'a' }, { id: 'two' }] }],
    [' items ( id , tag ) ', { items: [{ id: 'one', tag: 'a' }, { id: 'two' }] }],
  ])('%s leaves what it names of a list', (text, expected) => expect(cut(text, tasks)).toEqual(expected))

  it.each([
    ['stats/totalTasks', { stats: { totalTasks: 1 } }],
    ['stats(oldestTask,leasedLastHour),id', { id: 'mail', stats: { oldestTask: '5' } }],
    ['acl/consumerEmails', { acl: { consumerEmails: ['a@b'] } }],
    ['acl/adminEmails', { acl: {} }],
    ['*/totalTasks', { stats: { totalTasks: 1 }, acl: {} }],
  ])('%s leaves what it names of a queue', (text, expected) => expect(cut(text, queue, ofQueue)).toEqual(expected))

  const malformed = [
    'items,',
    ',items',
    'items,,kind',
    'items(',
    'items()',
    'items(id',
    'items(id))',
    'items/',
    '/items',
    'items(id)(tag)',
    'items(id)/tag',
    'items id',
    '**',
    'items.id',
    'items[id]',
    'items(id);kind',
  ]
  it.each(malformed)('is refused when it is no mask: %s', (text) => expect(left(readMask(text, ofTasks))).toBe(`Invalid field selection ${text}`))

  it.each([
    ['what is not there', 'nothing'],
    ['what is not there inside', 'items/nothing'],
    ['a part of what has none', 'kind/id'],
    ['a part that no part has', '*/nothing'],
    ['what every object has', 'constructor'],
    ['what every object inherits', 'items/__proto__'],
    ['the same in itself without end', 'items('.repeat(3_000)],
  ])('is refused when it names %s', (_what, text) => expect(left(readMask(text, ofTasks))).toMatch(/^Invalid field selection /))

  it('tells what it shows', () => {
    const mask = right(readMask('items(id)', ofTasks))
    expect([shows(mask, 'items'), shows(mask, 'items', 'id'), shows(mask, 'items', 'tag'), shows(mask, 'kind')]).toEqual([true, true, false, false])
    expect(shows('all', 'items', 'tag')).toBe(true)
  })

  it('never adds to a value, whatever it says', () => {
    const text = fc.array(fc.constantFrom('items', 'id', 'tag', 'kind', '*', '/', '(', ')', ',', ' ', 'x'), { maxLength: 12 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, (given) => {
        const read = readMask(given, ofTasks)
        const mask: Mask = read._tag === 'Right' ? read.right : 'all'
        expect(tasks).toMatchObject(applyMask(mask, tasks) as object)
      }),
    )
  })
})

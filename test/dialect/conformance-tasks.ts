// What a client may rely on of tasks themselves: insert, get, list, delete.
import { describe, expect, it } from 'vitest'
import { taskId } from '../../src/domain/ids.ts'
import { right } from '../support/engine.ts'
import { refused } from './clients.ts'
import type { Scene } from './scene.ts'
import { base64, BOTH, STORE_WORKER, textOf } from './stage.ts'

const MINUTE_US = 60_000_000
const PAYLOAD_BYTES_MAX = 1024 * 1024

/** Declares the tests, which use the scene once it is set. */
export const tasks = (scene: Scene): void => {
  const { as, inMail, insert, put, leaseAs, lease, leaseOne, ids, get, list, remove, nowUs, endOf } = scene

  describe('tasks.insert', () => {
    it('answers with the task, its times as text in microseconds', async () => {
      const { status, data } = await insert({ id: 'one', payloadBase64: base64('hello'), tag: 'greetings' })
      expect(status).toBe(200)
      expect(data).toEqual({
        kind: 'taskqueues#task',
        id: 'one',
        queueName: 'mail',
        payloadBase64: base64('hello'),
        enqueueTimestamp: String(nowUs()),
        leaseTimestamp: String(nowUs()),
        retry_count: 0,
        tag: 'greetings',
      })
    })

    it('makes a name for a task that brings none', async () => {
      const made = await Promise.all([insert({ payloadBase64: '' }), insert({ payloadBase64: '' })])
      const [first, second] = made.map(({ data }) => data.id as string)
      expect(first).toMatch(/^[A-Za-z0-9_-]{1,500}$/)
      expect(second).not.toBe(first)
    })

    it.each([
      ['its padding missing', 'aGk', 'aGk='],
      ['the URL-safe alphabet', '-_8=', '-_8='],
      ['the ordinary alphabet', '+/8=', '-_8='],
      ['too little padding', 'YQ=', 'YQ=='],
      ['nothing in it', '', ''],
    ])('takes a payload with %s and shows it whole and URL-safe', async (_what, given, shown) => {
      expect((await insert({ id: 'one', payloadBase64: given })).data.payloadBase64).toBe(shown)
      expect((await get('one')).data.payloadBase64).toBe(shown)
    })

    it('takes a payload of 1 MiB whole', async () => {
      const payload = Buffer.alloc(PAYLOAD_BYTES_MAX, 7).toString('base64url')
      await insert({ id: 'large', payloadBase64: payload })
      const leased = await leaseOne()
      expect(Buffer.from(leased.payloadBase64, 'base64url').equals(Buffer.alloc(PAYLOAD_BYTES_MAX, 7))).toBe(true)
    })

    it.each([
      ['no payload', { id: 'a' }, 'INVALID_REQUEST'],
      ['a payload that is no base64', { payloadBase64: 'a*b=' }, 'INVALID_REQUEST'],
      ['half a byte of payload', { payloadBase64: 'aaaaa' }, 'INVALID_REQUEST'],
      ['a payload over 1 MiB', { payloadBase64: Buffer.alloc(PAYLOAD_BYTES_MAX + 1).toString('base64url') }, 'TASK_TOO_LARGE'],
      ['a payload far over 1 MiB', { payloadBase64: Buffer.alloc(3 * PAYLOAD_BYTES_MAX).toString('base64url') }, 'TASK_TOO_LARGE'],
      ['a name with a space', { id: 'a b', payloadBase64: '' }, 'INVALID_TASK_NAME'],
      ['an empty name', { id: '', payloadBase64: '' }, 'INVALID_TASK_NAME'],
      ['a name of 501 characters', { id: 'a'.repeat(501), payloadBase64: '' }, 'INVALID_TASK_NAME'],
      ['a tag of 501 characters', { tag: 'a'.repeat(501), payloadBase64: '' }, 'INVALID_TAG'],
      ['another queue', { queueName: 'letters', payloadBase64: '' }, 'INVALID_REQUEST'],
      ['the same queue of another project', { queueName: 'projects/store/taskqueues/mail', payloadBase64: '' }, 'INVALID_REQUEST'],
      ['a time that is no number', { leaseTimestamp: 'soon', payloadBase64: '' }, 'INVALID_REQUEST'],
    ])('refuses a task with %s', async (_what, task, reason) => {
      expect(await refused(insert(task))).toMatchObject({ status: 400, reason })
      expect(await list()).toEqual([])
    })

    it('takes the longest name and the longest tag', async () => {
      const [id, tag] = ['n'.repeat(500), 't'.repeat(500)]
      await put(id, { tag })
      expect((await get(id)).data).toMatchObject({ id, tag })
    })

    it('refuses a name that is taken, even for the same task again', async () => {
      await put('one')
      expect(await refused(put('one') as never)).toMatchObject({ status: 400, reason: 'TASK_ALREADY_EXISTS' })
      expect(await refused(insert({ id: 'one', payloadBase64: base64('other') }))).toMatchObject({ status: 400, reason: 'TASK_ALREADY_EXISTS' })
      const both = await as(BOTH)
      expect(await refused(both.call('tasks.insert', inMail({ resource: { id: 'one', payloadBase64: '' } })))).toMatchObject({ reason: 'TASK_ALREADY_EXISTS' })
      expect(textOf((await leaseOne()).payloadBase64)).toBe('one')
    })

    it('refuses the name of a task that was deleted, for seven days and longer', async () => {
      await put('one')
      await remove('one')
      expect(await refused(put('one') as never)).toMatchObject({ status: 400, reason: 'TOMBSTONED_TASK' })
      scene.stage.world.advance(7 * 86_400_000 + 1)
      expect(await refused(put('one') as never)).toMatchObject({ status: 400, reason: 'TOMBSTONED_TASK' })
    })

    it('puts a task off until its leaseTimestamp', async () => {
      const eta = String(nowUs() + MINUTE_US)
      expect((await put('later', { leaseTimestamp: eta })).leaseTimestamp).toBe(eta)
      scene.stage.world.advance(59_999)
      expect(ids(await lease())).toEqual([])
      scene.stage.world.advance(1)
      expect(ids(await lease())).toEqual(['later'])
    })

    it('takes a time that has passed for now, and none over thirty days ahead', async () => {
      expect((await put('past', { leaseTimestamp: '1' })).leaseTimestamp).toBe(String(nowUs()))
      const ahead = nowUs() + 30 * 86_400 * 1_000_000
      expect((await put('far', { leaseTimestamp: String(ahead) })).leaseTimestamp).toBe(String(ahead))
      expect(await refused(put('farther', { leaseTimestamp: String(ahead + 1_000) }) as never)).toMatchObject({ status: 400, reason: 'INVALID_ETA' })
    })

    it('takes a queueName in its short and in its long form', async () => {
      await put('short', { queueName: 'mail' })
      await put('long', { queueName: 'projects/s~shop/taskqueues/mail' })
      expect((await get('long')).data.queueName).toBe('mail')
    })
  })

  describe('tasks.get', () => {
    it('shows a task with its payload and does not lease it', async () => {
      const inserted = await put('one', { tag: 'a' })
      scene.stage.world.advance(5)
      expect((await get('one')).data).toEqual(inserted)
      expect(ids(await lease())).toEqual(['one'])
    })

    it('shows a leased task with the end of its lease', async () => {
      await put('one')
      const { leaseTimestamp } = await leaseOne()
      expect((await get('one')).data).toMatchObject({ leaseTimestamp, retry_count: 1, queueName: 'mail' })
    })

    it('knows neither a task that never was nor one that was deleted', async () => {
      expect(await refused(get('none'))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
      expect(await refused(get('a b/c'))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
      await put('one')
      await remove('one')
      expect(await refused(get('one'))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
    })
  })

  describe('tasks.list', () => {
    it('shows waiting, put off and leased tasks, oldest first and without payloads', async () => {
      await put('leased')
      scene.stage.world.advance(1)
      await put('waiting', { tag: 'a' })
      scene.stage.world.advance(1)
      await put('later', { leaseTimestamp: String(nowUs() + MINUTE_US) })
      const leased = await leaseOne()
      const tasks = await list()
      expect(tasks.map(({ id }) => id)).toEqual(['leased', 'waiting', 'later'])
      expect(tasks[0]).toMatchObject({ kind: 'taskqueues#task', queueName: 'mail', payloadBase64: '', leaseTimestamp: leased.leaseTimestamp, retry_count: 1 })
      expect(tasks[1]).toMatchObject({ tag: 'a', retry_count: 0 })
    })

    it('leaves items out when there are none', async () => {
      expect((await scene.worker.call('tasks.list', inMail())).data).toEqual({ kind: 'taskqueues#tasks' })
      await put('one')
      await remove('one')
      expect((await scene.worker.call('tasks.list', inMail())).data).toEqual({ kind: 'taskqueues#tasks' })
    })

    it('shows a hundred tasks and no more', async () => {
      await Promise.all(Array.from({ length: 101 }, (_each, index) => put(`task-${index}`)))
      expect(await list()).toHaveLength(100)
    })

    it('shows no task of a queue of the same name in another project', async () => {
      await put('one')
      const store = await as(STORE_WORKER)
      expect((await store.call('tasks.list', { project: 'store', taskqueue: 'mail' })).data).toEqual({ kind: 'taskqueues#tasks' })
    })
  })

  describe('tasks.delete', () => {
    it('completes the task of whoever holds it, and answers with nothing', async () => {
      await put('one')
      await lease()
      const { status, data } = await remove('one')
      expect([status, data === undefined || data === '']).toEqual([204, true])
      expect(await endOf('one')).toBe('completed')
    })

    it('cancels a task that waits, that somebody else holds, or whose lease has ended', async () => {
      await put('waiting', { leaseTimestamp: String(nowUs() + MINUTE_US) })
      await put('others')
      await leaseAs(scene.other)
      await put('late')
      await lease({ leaseSecs: 1 })
      scene.stage.world.advance(1_000)
      await scene.settle()
      for (const id of ['waiting', 'others', 'late']) {
        expect((await remove(id)).status).toBe(204)
        expect(await endOf(id)).toBe('cancelled')
      }
    })

    it('finds nothing wrong with a task that is not there', async () => {
      expect((await remove('none')).status).toBe(204)
      await put('one')
      expect((await remove('one')).status).toBe(204)
      expect((await remove('one')).status).toBe(204)
      expect((await remove('a b/c')).status).toBe(204)
    })

    it('keeps what was done readable', async () => {
      await put('one')
      await lease()
      await remove('one')
      const events = right(await scene.stage.engine.history(taskId('shop', 'mail', 'one'), { from: 0, max: 10 }))
      expect(events.map(({ type }) => type)).toEqual(['TaskInserted', 'Leased', 'Completed'])
    })
  })
}

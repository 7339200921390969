// What a client may rely on of leases: lease, update, patch.
import { beforeEach, describe, expect, it } from 'vitest'
import { refused } from './clients.ts'
import type { Scene, Task } from './scene.ts'
import { textOf } from './stage.ts'

const MINUTE_US = 60_000_000

/** Declares the tests, which use the scene once it is set. */
export const leases = (scene: Scene): void => {
  const { inMail, put, leaseAs, lease, leaseOne, ids, get, remove, update, patch, nowUs } = scene

  describe('tasks.lease', () => {
    it('gives the oldest tasks with their payloads, long queue names and the end of the lease', async () => {
      for (const id of ['one', 'two', 'three']) {
        await put(id)
        scene.stage.world.advance(1)
      }
      const { data } = await lease({ numTasks: 2, leaseSecs: 60 })
      expect(data.kind).toBe('taskqueues#tasks')
      expect(data.items.map((task: Task) => [task.id, textOf(task.payloadBase64), task.queueName, task.retry_count])).toEqual([
        ['one', 'one', 'projects/shop/taskqueues/mail', 1],
        ['two', 'two', 'projects/shop/taskqueues/mail', 1],
      ])
      for (const { leaseTimestamp } of data.items as Task[]) expect(leaseTimestamp).toBe(String(nowUs() + MINUTE_US + 1))
      expect(ids(await lease({ numTasks: 1_000 }))).toEqual(['three'])
    })

    it('goes by the time from which a task may be leased, not by that of its insert', async () => {
      await put('second', { leaseTimestamp: String(nowUs() + 2_000) })
      await put('first', { leaseTimestamp: String(nowUs() + 1_000) })
      scene.stage.world.advance(2)
      expect(ids(await lease({ numTasks: 2 }))).toEqual(['first', 'second'])
    })

    it('leaves items out when there are none', async () => {
      expect((await lease()).data).toEqual({ kind: 'taskqueues#tasks' })
    })

    it('gives no task twice while its lease runs, and again when it has ended', async () => {
      await put('one')
      await lease()
      expect(ids(await lease())).toEqual([])
      scene.stage.world.advance(59_999)
      expect(ids(await lease())).toEqual([])
      scene.stage.world.advance(1)
      const again = (await lease()).data.items[0] as Task
      expect(again).toMatchObject({ id: 'one', retry_count: 2 })
    })

    it('gives each lease of a task a timestamp of its own, though they end at the same time', async () => {
      await put('one')
      const seen = new Set<string>()
      for (let turn = 0; turn < 5; turn += 1) {
        const task = await leaseOne()
        seen.add(task.leaseTimestamp)
        await update(task, 0)
      }
      expect(seen.size).toBe(5)
    })

    it('gives leases of no time, which end at once', async () => {
      await put('one')
      expect((await leaseOne({ leaseSecs: 0 })).retry_count).toBe(1)
      scene.stage.world.advance(0)
      expect((await leaseOne()).retry_count).toBe(2)
    })

    it.each([
      [{ numTasks: 0 }],
      [{ numTasks: 1_001 }],
      [{ numTasks: -1 }],
      [{ numTasks: 'many' }],
      [{ numTasks: 1.5 }],
      [{ numTasks: '' }],
      [{ numTasks: 4_294_967_297 }],
      [{ leaseSecs: -1 }],
      [{ leaseSecs: 604_801 }],
      [{ leaseSecs: 'long' }],
      [{ leaseSecs: 0.5 }],
      [{ groupByTag: 'maybe' }],
      [{ tag: 'a' }],
      [{ tag: 'a', groupByTag: false }],
    ])('refuses %j', async (wrong) => {
      await put('one')
      expect(await refused(lease(wrong))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
      expect((await get('one')).data.retry_count).toBe(0)
    })

    it('refuses a tag that is too long', async () => {
      expect(await refused(lease({ groupByTag: true, tag: 'a'.repeat(501) }))).toMatchObject({ status: 400, reason: 'INVALID_TAG' })
    })

    it('takes as many tasks and as long a lease as are allowed', async () => {
      await put('one')
      const task = await leaseOne({ numTasks: 1_000, leaseSecs: 604_800 })
      expect(task.leaseTimestamp).toBe(String(nowUs() + 604_800_000_000 + 1))
    })

    describe('by tag', () => {
      beforeEach(async () => {
        for (const [id, tag] of [
          ['a1', 'a'],
          ['b1', 'b'],
          ['a2', 'a'],
          ['none1', undefined],
          ['none2', undefined],
        ] as const) {
          await put(id, tag === undefined ? {} : { tag })
          scene.stage.world.advance(1)
        }
      })

      it('gives only tasks of the tag that is named', async () => {
        expect(ids(await lease({ numTasks: 10, groupByTag: true, tag: 'b' }))).toEqual(['b1'])
        expect(ids(await lease({ numTasks: 10, groupByTag: true, tag: 'c' }))).toEqual([])
      })

      it('gives only tasks of the oldest one’s tag when none is named', async () => {
        expect(ids(await lease({ numTasks: 10, groupByTag: true }))).toEqual(['a1', 'a2'])
        expect(ids(await lease({ numTasks: 10, groupByTag: true }))).toEqual(['b1'])
      })

      it('gives only tasks without a tag when the oldest has none', async () => {
        for (const tag of ['a', 'b']) await lease({ numTasks: 10, groupByTag: true, tag })
        await put('a3', { tag: 'a' })
        expect(ids(await lease({ numTasks: 10, groupByTag: true }))).toEqual(['none1', 'none2'])
      })

      it('gives tasks of every tag when it is not grouped', async () => {
        expect(ids(await lease({ numTasks: 10 }))).toEqual(['a1', 'b1', 'a2', 'none1', 'none2'])
      })
    })
  })

  describe('tasks.update', () => {
    let task: Task

    beforeEach(async () => {
      await put('one')
      task = await leaseOne()
    })

    it('makes the lease last so long from now and answers with its new end', async () => {
      scene.stage.world.advance(30_000)
      const { data } = await update(task, 120)
      expect(data).toMatchObject({ kind: 'taskqueues#task', id: 'one', queueName: 'mail', leaseTimestamp: String(nowUs() + 2 * MINUTE_US + 1), retry_count: 1 })
      expect(textOf(data.payloadBase64)).toBe('one')
      scene.stage.world.advance(119_999)
      expect(ids(await lease())).toEqual([])
      scene.stage.world.advance(1)
      expect(ids(await lease())).toEqual(['one'])
    })

    it('knows the lease by its new end only', async () => {
      const { data } = await update(task, 120)
      expect(await refused(update(task, 120))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
      expect((await update(data as Task, 60)).status).toBe(200)
    })

    it('makes a lease shorter', async () => {
      const { data } = await update(task, 1)
      expect(data.leaseTimestamp).toBe(String(nowUs() + 1_000_000 + 1))
      scene.stage.world.advance(1_000)
      expect(ids(await lease())).toEqual(['one'])
    })

    it('gives the task back at once when the lease shall last no time', async () => {
      scene.stage.world.advance(5)
      expect((await update(task, 0)).data.leaseTimestamp).toBe(String(nowUs()))
      const again = await leaseAs(scene.other)
      expect(again.data.items[0]).toMatchObject({ id: 'one', retry_count: 2 })
    })

    it('puts a task that is given back behind those that are ready', async () => {
      scene.stage.world.advance(1)
      await put('two')
      scene.stage.world.advance(1)
      await update(task, 0)
      expect(ids(await leaseAs(scene.other, { numTasks: 2 }))).toEqual(['two', 'one'])
    })

    it('burns no attempt by giving back', async () => {
      await scene.producer.call('tasks.insert', { project: 'shop', taskqueue: 'letters', resource: { id: 'letter', payloadBase64: '' } })
      for (let turn = 1; turn <= 5; turn += 1) {
        const { data } = await scene.worker.call('tasks.lease', { project: 'shop', taskqueue: 'letters', numTasks: 1, leaseSecs: 60 })
        expect(data.items[0].retry_count).toBe(turn)
        const { id, leaseTimestamp } = data.items[0]
        await scene.worker.call('tasks.update', { project: 'shop', taskqueue: 'letters', task: id, newLeaseSeconds: 0, resource: { id, leaseTimestamp, queueName: 'letters' } })
      }
      expect((await scene.worker.call('tasks.get', { project: 'shop', taskqueue: 'letters', task: 'letter' })).data.retry_count).toBe(5)
    })

    it('takes the id of the body, not that of the path', async () => {
      const { data } = await scene.worker.call('tasks.update', inMail({ task: 'any', newLeaseSeconds: 120, resource: scene.bodyOf(task) }))
      expect(data).toMatchObject({ id: 'one', leaseTimestamp: String(nowUs() + 2 * MINUTE_US + 1) })
    })

    it('takes a queueName in its long form, as tasks.lease has given it', async () => {
      expect((await scene.worker.call('tasks.update', inMail({ task: 'one', newLeaseSeconds: 120, resource: task }))).status).toBe(200)
    })

    it.each([
      ['no id', { id: undefined }],
      ['no leaseTimestamp', { leaseTimestamp: undefined }],
      ['another queue', { queueName: 'letters' }],
      ['a leaseTimestamp that is no number', { leaseTimestamp: 'now' }],
    ])('refuses a body with %s', async (_what, wrong) => {
      const call = scene.worker.call('tasks.update', inMail({ task: 'one', newLeaseSeconds: 60, resource: { ...scene.bodyOf(task), ...wrong } }))
      expect(await refused(call)).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
    })

    it.each([[-1], [604_801], ['long'], [1.5]])('refuses newLeaseSeconds %j', async (seconds) => {
      expect(await refused(update(task, seconds))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
    })

    it('refuses a wrong timestamp, one of an earlier lease, and any when the task is not leased', async () => {
      const wrong = { ...task, leaseTimestamp: String(Number(task.leaseTimestamp) + 1) }
      expect(await refused(update(wrong, 60))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED', message: expect.stringMatching(/lease has expired/) })
      await update(task, 0)
      expect(await refused(update(task, 60))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
      await leaseAs(scene.other)
      expect(await refused(update(task, 0))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
    })

    it('refuses a lease that has ended, to extend it and to give it back', async () => {
      scene.stage.world.advance(60_000)
      for (const seconds of [60, 0]) expect(await refused(update(task, seconds))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
    })

    it('refuses whoever was not given the lease, though they know its timestamp', async () => {
      expect(await refused(update(task, 60, scene.other))).toMatchObject({ status: 403, reason: 'PERMISSION_DENIED' })
    })

    it('says of a deleted task that it is deleted, and of an unknown one that it is not known', async () => {
      await remove('one')
      expect(await refused(update(task, 60))).toMatchObject({ status: 400, reason: 'TOMBSTONED_TASK' })
      expect(await refused(update({ ...task, id: 'none' }, 60))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
    })
  })

  describe('tasks.patch', () => {
    let task: Task

    beforeEach(async () => {
      await put('one')
      task = await leaseOne()
    })

    it('needs no more than the queue', async () => {
      const { data } = await patch(task, 120)
      expect(data).toMatchObject({ id: 'one', leaseTimestamp: String(nowUs() + 2 * MINUTE_US + 1), retry_count: 1 })
      expect((await patch(task, 0)).data.leaseTimestamp).toBe(String(nowUs()))
      expect(ids(await leaseAs(scene.other))).toEqual(['one'])
    })

    it('holds a leaseTimestamp against the lease if there is one', async () => {
      expect(await refused(patch(task, 60, { queueName: 'mail', leaseTimestamp: String(nowUs()) }))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
      expect((await patch(task, 60, { queueName: 'mail', id: 'one', leaseTimestamp: task.leaseTimestamp })).status).toBe(200)
    })

    it.each([
      ['no queue', {}],
      ['another queue', { queueName: 'letters' }],
      ['another id', { queueName: 'mail', id: 'two' }],
    ])('refuses a body with %s', async (_what, resource) => {
      // A client sends no body at all for an empty one of some versions; a field that says nothing keeps it.
      expect(await refused(patch(task, 60, { kind: 'taskqueues#task', ...resource }))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
    })

    it('refuses a task that is not leased, deleted or unknown', async () => {
      await update(task, 0)
      expect(await refused(patch(task, 60))).toMatchObject({ status: 400, reason: 'TASK_LEASE_EXPIRED' })
      await remove('one')
      expect(await refused(patch(task, 60))).toMatchObject({ status: 400, reason: 'TOMBSTONED_TASK' })
      expect(await refused(patch({ ...task, id: 'none' }, 60))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
    })
  })
}

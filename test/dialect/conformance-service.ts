// What a client may rely on whatever it calls: queues and their figures, access, parameters, and the sequences that public programs run.
import { beforeEach, describe, expect, it } from 'vitest'
import { taskId } from '../../src/domain/ids.ts'
import { right } from '../support/engine.ts'
import { refused, type Answered, type Params } from './clients.ts'
import type { Scene, Task } from './scene.ts'
import { base64, BOTH, OTHER_WORKER, PRODUCER, STRANGER, textOf, WORKER } from './stage.ts'

const MINUTE_US = 60_000_000

/** Declares the tests, which use the scene once it is set. */
export const service = (scene: Scene): void => {
  const { as, inMail, insert, put, leaseAs, lease, leaseOne, ids, get, list, remove, update, nowUs, endOf } = scene

  describe('taskqueues.get', () => {
    const queue = (taskqueue: string, more: Params = {}): Promise<Answered> => scene.worker.call('taskqueues.get', { project: 'shop', taskqueue, ...more })

    it('shows the queue with its lists and its limit', async () => {
      expect((await queue('letters')).data).toEqual({
        kind: 'taskqueues#taskqueue',
        id: 'letters',
        maxLeases: 2,
        acl: { consumerEmails: [BOTH, OTHER_WORKER, WORKER], producerEmails: [BOTH, PRODUCER] },
      })
      expect((await queue('mail')).data.maxLeases).toBe(0)
    })

    it('shows figures when they are asked for, large ones as text and the oldest task in seconds', async () => {
      expect((await queue('mail', { getStats: false })).data.stats).toBeUndefined()
      expect((await queue('mail', { getStats: true })).data.stats).toEqual({ totalTasks: 0, oldestTask: '0', leasedLastMinute: '0', leasedLastHour: '0' })
      const oldest = scene.stage.world.now()
      await put('one')
      scene.stage.world.advance(10_000)
      await put('two')
      await put('later', { leaseTimestamp: String(nowUs() + MINUTE_US) })
      await lease()
      expect((await queue('mail', { getStats: true })).data.stats).toEqual({
        totalTasks: 3,
        oldestTask: String(Math.floor(oldest / 1_000)),
        leasedLastMinute: '1',
        leasedLastHour: '1',
      })
      await remove('one')
      expect((await queue('mail', { getStats: true })).data.stats).toMatchObject({ totalTasks: 2, oldestTask: String(Math.floor(oldest / 1_000) + 10) })
    })

    it('forgets leases of more than a minute and of more than an hour ago', async () => {
      await put('one')
      await put('two')
      await lease()
      scene.stage.world.advance(5 * 60_000)
      await lease()
      expect((await queue('mail', { getStats: true })).data.stats).toMatchObject({ leasedLastMinute: '1', leasedLastHour: '2' })
      scene.stage.world.advance(2 * 3_600_000)
      expect((await queue('mail', { getStats: true })).data.stats).toMatchObject({ leasedLastMinute: '0', leasedLastHour: '0' })
    })

    it('refuses getStats that is neither true nor false', async () => {
      expect(await refused(queue('mail', { getStats: 'perhaps' }))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
    })
  })

  describe('every method', () => {
    it('takes the project with the prefixes that it had', async () => {
      for (const [index, project] of ['s~shop', 'b~shop', 'e~shop', 'shop'].entries()) {
        await insert({ id: `task-${index}`, payloadBase64: '' }, { project })
        const { data } = await lease({ project })
        expect(data.items[0].queueName).toBe('projects/shop/taskqueues/mail')
        await scene.worker.call('tasks.delete', { project, taskqueue: 'mail', task: `task-${index}` })
      }
      expect(await list()).toEqual([])
    })

    it('takes the parameters that name neither caller nor task', async () => {
      await put('one')
      const more = { key: 'AIza', quotaUser: 'me', userIp: '10.0.0.1', alt: 'json', prettyPrint: true }
      expect((await scene.worker.call('tasks.get', inMail({ task: 'one', ...more }))).data.id).toBe('one')
    })

    it('shows only the fields that are asked for', async () => {
      await put('one', { tag: 'a' })
      await put('two')
      expect((await scene.worker.call('tasks.list', inMail({ fields: 'items(id,tag)' }))).data).toEqual({ items: [{ id: 'one', tag: 'a' }, { id: 'two' }] })
      expect((await scene.worker.call('tasks.get', inMail({ task: 'one', fields: 'id' }))).data).toEqual({ id: 'one' })
      expect((await scene.worker.call('taskqueues.get', inMail({ getStats: true, fields: 'stats/totalTasks' }))).data).toEqual({ stats: { totalTasks: 2 } })
      expect((await insert({ id: 'three', payloadBase64: '' }, { fields: 'kind,id' })).data).toEqual({ kind: 'taskqueues#task', id: 'three' })
      const { data } = await lease({ fields: 'kind,items(id,leaseTimestamp)' })
      expect(data.kind).toBe('taskqueues#tasks')
      expect((await update(data.items[0] as Task, 60)).status).toBe(200)
    })

    it.each(['nothing', 'items(id', 'items(id))', 'items/nothing', 'id,', ',', 'items(id)(tag)', 'kind/id', '()'])('refuses the fields %s', async (fields) => {
      expect(await refused(scene.worker.call('tasks.list', inMail({ fields })))).toMatchObject({ status: 400, reason: 'INVALID_REQUEST' })
    })

    it('leases nothing when its fields cannot be shown', async () => {
      await put('one')
      await refused(lease({ fields: 'nothing' }))
      expect((await get('one')).data.retry_count).toBe(0)
    })

    it('asks who is there, and tells a wrong token from none', async () => {
      const [nobody, fraud] = [await scene.connect(scene.stage.url), await scene.connect(scene.stage.url, 'stint_0000_wrong')]
      expect(await refused(nobody.call('tasks.list', inMail()))).toMatchObject({ status: 401, reason: 'required', message: 'Login Required' })
      expect(await refused(fraud.call('tasks.list', inMail()))).toMatchObject({ status: 401, reason: 'authError', message: 'Invalid Credentials' })
    })

    it('lets nobody in who is not on the list', async () => {
      const stranger = await as(STRANGER)
      expect(await refused(stranger.call('tasks.list', inMail()))).toMatchObject({ status: 403, reason: 'PERMISSION_DENIED' })
      expect(await refused(scene.worker.call('tasks.insert', inMail({ resource: { payloadBase64: '' } })))).toMatchObject({ status: 403, reason: 'PERMISSION_DENIED' })
      expect(await refused(leaseAs(scene.producer))).toMatchObject({ status: 403, reason: 'PERMISSION_DENIED' })
    })

    it.each([
      ['queue', { taskqueue: 'none' }],
      ['project', { project: 'none' }],
    ])('knows no %s that is in no file', async (_what, where) => {
      expect(await refused(scene.worker.call('tasks.list', inMail(where)))).toMatchObject({ status: 404, reason: 'UNKNOWN_QUEUE' })
      expect(await refused(remove('one', { call: (method, params) => scene.worker.call(method, { ...params, ...where }) }))).toMatchObject({ status: 404, reason: 'UNKNOWN_QUEUE' })
    })

    it('serves no push queue', async () => {
      for (const call of [
        scene.worker.call('taskqueues.get', { project: 'shop', taskqueue: 'push-mail' }),
        scene.worker.call('tasks.lease', { project: 'shop', taskqueue: 'push-mail', numTasks: 1, leaseSecs: 1 }),
        scene.producer.call('tasks.insert', { project: 'shop', taskqueue: 'push-mail', resource: { payloadBase64: '' } }),
      ])
        expect(await refused(call)).toMatchObject({ status: 400, reason: 'INVALID_QUEUE_MODE' })
    })
  })

  describe('a queue that is in no file any more', () => {
    it('takes no tasks and gives no leases, and lets holders finish', async () => {
      await put('one')
      await put('two')
      const task = await leaseOne()
      await scene.stage.removeShop()
      expect(await refused(put('three') as never)).toMatchObject({ status: 404, reason: 'UNKNOWN_QUEUE' })
      expect(await refused(lease())).toMatchObject({ status: 404, reason: 'UNKNOWN_QUEUE' })
      expect((await update(task, 120)).status).toBe(200)
      expect((await remove('one')).status).toBe(204)
      expect(await endOf('one')).toBe('completed')
    })
  })

  describe('a paused queue', () => {
    it('has nothing to lease, takes tasks, and lets holders go on', async () => {
      await put('one')
      const task = await leaseOne()
      await scene.stage.engine.queues.pause({ app: 'shop', queue: 'mail' }, undefined, { subject: 'admin', actor: 'admin', commandId: scene.stage.world.uuid() })
      await put('two')
      expect((await lease()).data).toEqual({ kind: 'taskqueues#tasks' })
      expect((await update(task, 120)).status).toBe(200)
    })
  })

  describe('a task that has had all its leases', () => {
    const letters = { project: 'shop', taskqueue: 'letters' }

    beforeEach(async () => {
      await scene.producer.call('tasks.insert', { ...letters, resource: { id: 'letter', payloadBase64: '' } })
      for (let turn = 0; turn < 2; turn += 1) {
        expect((await scene.worker.call('tasks.lease', { ...letters, numTasks: 1, leaseSecs: 1 })).data.items).toHaveLength(1)
        scene.stage.world.advance(1_000)
        // The end of the lease is an event: its append runs on real turns of the loop.
        await scene.stage.engine.execute(
          taskId('shop', 'letters', 'other'),
          { type: 'DeleteTask', by: 'nobody' },
          { subject: 'nobody', actor: 'nobody', commandId: scene.stage.world.uuid() },
        )
      }
    })

    it('has left the queue, and its name stays taken', async () => {
      expect((await scene.worker.call('tasks.lease', { ...letters, numTasks: 1, leaseSecs: 1 })).data).toEqual({ kind: 'taskqueues#tasks' })
      expect((await scene.worker.call('tasks.list', letters)).data).toEqual({ kind: 'taskqueues#tasks' })
      expect(await refused(scene.worker.call('tasks.get', { ...letters, task: 'letter' }))).toMatchObject({ status: 404, reason: 'UNKNOWN_TASK' })
      expect(await refused(scene.producer.call('tasks.insert', { ...letters, resource: { id: 'letter', payloadBase64: '' } }))).toMatchObject({
        status: 400,
        reason: 'TOMBSTONED_TASK',
      })
    })

    it('is kept as a dead letter, from which it can come back', async () => {
      const workItem = taskId('shop', 'letters', 'letter')
      expect(right(await scene.stage.engine.read(workItem)).item.status).toBe('deadLetter')
      right(await scene.stage.engine.execute(workItem, { type: 'Redrive', by: 'admin' }, { subject: 'admin', actor: 'admin', commandId: scene.stage.world.uuid() }))
      expect((await scene.worker.call('tasks.lease', { ...letters, numTasks: 1, leaseSecs: 1 })).data.items[0]).toMatchObject({ id: 'letter', retry_count: 3 })
    })
  })

  describe('sequences that public programs run', () => {
    it('insert, lease, give back, lease by another, delete', async () => {
      await put('one')
      const task = await leaseOne()
      await update(task, 0)
      const again = (await leaseAs(scene.other)).data.items[0] as Task
      expect([again.id, again.leaseTimestamp === task.leaseTimestamp]).toEqual(['one', false])
      await remove('one', scene.other)
      expect([await endOf('one'), (await list()).length]).toEqual(['completed', 0])
    })

    it('ten tasks added, listed, leased, listed and deleted', async () => {
      const all = Array.from({ length: 10 }, (_each, index) => `task-${index}`)
      for (const id of all) await put(id)
      expect((await list()).map(({ id, leaseTimestamp }) => [id, leaseTimestamp])).toEqual(all.map((id) => [id, String(nowUs())]))
      expect(ids(await lease({ numTasks: 10, leaseSecs: 300 }))).toEqual(all)
      for (const { leaseTimestamp } of await list()) expect(Math.abs(Number(leaseTimestamp) - nowUs() - 300_000_000)).toBeLessThan(1_000)
      for (const id of all) await remove(id)
      expect(await list()).toEqual([])
    })

    it('a wrong time is refused, the lease is made shorter, and one that has ended cannot be changed', async () => {
      await put('one')
      const task = await leaseOne({ leaseSecs: 20 })
      expect(await refused(update({ ...task, leaseTimestamp: String(nowUs()) }, 60))).toMatchObject({ reason: 'TASK_LEASE_EXPIRED' })
      const { data } = await update(task, 5)
      scene.stage.world.advance(5_001)
      expect(await refused(update(data as Task, 60))).toMatchObject({ reason: 'TASK_LEASE_EXPIRED' })
    })

    it('the sample worker: look at the queue, lease a task, decode it, delete it, until none is left', async () => {
      for (const text of ['hello', 'grüße', '你好']) await insert({ payloadBase64: base64(text) })
      const done: string[] = []
      for (;;) {
        const { data: queue } = await scene.worker.call('taskqueues.get', { project: 's~shop', taskqueue: 'mail', getStats: true })
        const { data } = await scene.worker.call('tasks.lease', { project: 's~shop', taskqueue: 'mail', numTasks: 1, leaseSecs: 100 })
        if (data.items === undefined) {
          expect(queue.stats.totalTasks).toBe(0)
          break
        }
        const [task] = data.items as Task[]
        done.push(textOf(task?.payloadBase64 ?? ''))
        await scene.worker.call('tasks.delete', { project: 's~shop', taskqueue: 'mail', task: task?.id })
      }
      expect(done).toEqual(['hello', 'grüße', '你好'])
    })
  })
}

// Who may call what: every method by everybody, in their own queue and in a foreign one, from the table of methods.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { methodNames, methods, type Method } from '../../src/api/dialect/methods.ts'
import { closeAll } from '../support/api.ts'
import { settle } from '../support/engine.ts'
import { ADMIN, base64, BOTH, openStage, PRODUCER, STORE_PRODUCER, STORE_WORKER, STRANGER, WORKER, type Stage } from './stage.ts'

/** What the lists of shop/mail say of each. */
const RIGHTS: readonly (readonly [email: string, deeds: readonly Method['deed'][]])[] = [
  [PRODUCER, ['insert']],
  [WORKER, ['consume']],
  [BOTH, ['insert', 'consume']],
  [STORE_PRODUCER, []],
  [STORE_WORKER, []],
  [STRANGER, []],
  // Administrators look after queues through the native surface; the work is not theirs.
  [ADMIN, []],
  // An entry names one e-mail, letter by letter.
  [WORKER.toUpperCase(), []],
  [`x${WORKER}`, []],
]

const QUERY: Readonly<Record<string, string>> = { numTasks: '1', leaseSecs: '60', newLeaseSeconds: '60' }

let stage: Stage

beforeEach(async () => {
  stage = await openStage()
})
afterEach(closeAll)

const call = async (method: Method, email: string, queue = 'mail'): Promise<number> => {
  const path = method.path.replace('{project}', 'shop').replace('{taskqueue}', queue).replace('{task}', 'one')
  const query = Object.entries(method.parameters).flatMap(([name, { location }]) => (location === 'query' && QUERY[name] !== undefined ? [`${name}=${QUERY[name]}`] : []))
  const response = await fetch(`${stage.url}/taskqueue/v1beta2/projects/${path}?${query.join('&')}`, {
    method: method.httpMethod,
    headers: { Authorization: `Bearer ${await stage.token(email)}`, ...(method.request === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(method.request === undefined ? {} : { body: JSON.stringify({ id: 'one', queueName: queue, payloadBase64: base64('one'), leaseTimestamp: '1' }) }),
  })
  await response.arrayBuffer()
  return response.status
}

const refusals = async (): Promise<number> => {
  await settle()
  const events = await stage.store.readStream(`audit-${new Date(stage.world.now()).toISOString().slice(0, 10)}`, { from: 0, max: 100 })()
  return events._tag === 'Right' ? events.right.length : 0
}

describe.each(methodNames)('%s', (name) => {
  const method: Method = methods[name]

  it.each(RIGHTS)('by %s', async (email, deeds) => {
    const status = await call(method, email)
    if (deeds.includes(method.deed)) expect(status).not.toBe(403)
    else expect(status).toBe(403)
    expect(await refusals()).toBe(status === 403 ? 1 : 0)
  })

  it('is nobody’s in a queue without lists', async () => {
    for (const [email] of RIGHTS) expect(await call(method, email, 'nobodys')).toBe(403)
  })

  it('changes nothing when it is refused', async () => {
    const before = stage.engine.status().liveItems
    for (const [email, deeds] of RIGHTS) if (!deeds.includes(method.deed)) await call(method, email)
    expect(stage.engine.status().liveItems).toBe(before)
  })
})

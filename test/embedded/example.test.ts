// The example of a payment, run as a user would run it, and its command lines held to their comments.
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { askPort, type Answer } from '../support/contract-app.ts'
import { document, root } from '../support/documents.ts'
import { processes } from '../support/process.ts'

const PATIENCE_MS = 240_000
const { folder, start } = processes('example-exactly-once')

/** The calls of the README: key and amount, with the comment behind them. */
const calls = [...document('examples/exactly-once/README.md').text.matchAll(/^curl -i \S+ (?:-H 'Idempotency-Key: (\w+)' )?.*-d '(\{.*?\})'\s+# (.*)$/gm)].map(
  ([, key, body, comment]) => ({ key, body, comment }),
)

describe('the example of a payment', () => {
  it('answers as its README says, also after it was killed', { timeout: PATIENCE_MS }, async () => {
    const cwd = mkdtempSync(join(folder, 'user-'))
    const run = async () => {
      const app = start(process.execPath, [join(root, 'examples', 'exactly-once', 'payments.ts')], { cwd, env: { PORT: '0' } })
      await app.line(/listening/)
      const [, port] = await app.line(/port: (\d+)/)
      const pay = (call: (typeof calls)[number]): Promise<Answer> =>
        askPort(Number(port), { path: '/payments', body: call.body, headers: { 'Content-Type': 'application/json' }, ...(call.key === undefined ? {} : { key: call.key }) })
      return { app, pay }
    }
    const first = await run()
    expect(calls).toHaveLength(4)
    const said: string[] = []
    for (const call of calls) {
      const { status, headers } = await first.pay(call)
      said.push(`${status}${headers['idempotency-replayed'] === undefined ? '' : ', Idempotency-Replayed: true'}`)
    }
    expect(calls.map(({ comment }) => comment?.replace(/:(?! true).*$/, ''))).toEqual(said)
    const [payment] = calls
    if (payment === undefined) throw new Error('Expected a first call')
    const replayed = await first.pay(payment)
    first.app.kill('SIGKILL')
    await first.app.ended()
    const second = await run()
    const again = await second.pay(payment)
    expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([replayed.status, replayed.text, 'true'])
    second.app.kill('SIGTERM')
    expect((await second.app.ended()).code).toBe(0)
  })
})

// What the command line says of a refusal: the exit code that scripts read, and where the right that is missing is given.
import { describe, expect, it } from 'vitest'
import { StintError } from '../../src/client/errors.ts'
import { describeFailure } from '../../src/cli/failure.ts'

const forbidden = (instance: string, detail: string) => describeFailure(new StintError({ status: 403, code: 'forbidden', title: 'You may not do this.', detail, instance }))

describe('a right that is missing', () => {
  it.each([
    ['of a queue, at its file', '/v1/queues/shop/mails/tasks/lease', 'Expected a `user_email` of the queue.', '`acl` of mails in apps/shop/queue.yaml'],
    ['of a task by its global ID too', '/v1/work-items/task%2Fshop%2Fmails%2F7', 'Expected a `user_email` of the queue, or an administrator.', 'apps/shop/queue.yaml'],
    ['of a contract, at its lists', '/v1/contracts/pay/requests', 'Expected one of the `callers` of the contract.', 'PUT /v1/contracts/pay'],
    ['of an administrator, at a token', '/v1/jobs/7/directives', 'Expected the role admin.', '--role admin'],
    ['of a role, at a token with it', '/v1/jobs', 'Expected the role jobServer or admin.', '--role ROLE'],
    ['of a lease, with whoever was given it', '/v1/jobs/7/reports', 'Expected the principal that was given this lease.', 'leases by who was given them'],
  ])('is told where it is given: %s', (_what, instance, detail, advice) => {
    const { exitCode, lines } = forbidden(instance, detail)
    expect([exitCode, lines[0]]).toEqual([6, `You may not do this. ${detail}`])
    expect(lines.at(-1)).toContain(advice)
  })
})

describe('a caller whom the server does not know', () => {
  it('is told how a command line gives a token', () => {
    const { exitCode, lines } = describeFailure(new StintError({ status: 401, code: 'unauthenticated', title: 'Who are you?', detail: 'This needs a token.' }))
    expect([exitCode, lines[0], lines[1]]).toEqual([6, 'Who are you? This needs a token.', expect.stringContaining('STINT_TOKEN, or give --token')])
  })
})

describe('a node that is not registered', () => {
  it('is told to be absent, with where the others are', () => {
    const absent = new StintError({ status: 404, code: 'not-found', detail: 'No node disk-9 is registered.', instance: '/v1/nodes/disk-9' })
    expect(describeFailure(absent)).toEqual({
      exitCode: 3,
      lines: ['There is no node disk-9.', '`stint nodes list` shows those that are registered; a node registers itself when it starts.'],
    })
  })
})

describe('what does not fit', () => {
  it('is a conflict, where a server that is busy is one that cannot be reached now', () => {
    const refused = (code: string) => describeFailure(new StintError({ status: 429, code, detail: 'why' }, 10_000)).exitCode
    expect([refused('over-quota'), refused('lagging')]).toEqual([4, 5])
  })
})

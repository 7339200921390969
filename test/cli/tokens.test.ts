// Tokens from the first start on: made once, given roles, listed without secrets, revoked; and who is refused what.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { processes } from '../support/process.ts'

const { folder, serve, stint } = processes('cli-tokens')
const data = join(folder, 'data')

let url = ''
let admin = ''
const as = (token: string | undefined, ...args: readonly string[]) => stint(args, { env: { STINT_URL: url, ...(token === undefined ? {} : { STINT_TOKEN: token }) } })

beforeAll(async () => {
  const server = await serve(['--data', data, '--auth', 'tokens'])
  url = server.url
  const [, token = ''] = await server.line(/^token (stint_[0-9a-f]{12}_[A-Za-z0-9_-]{43})$/)
  admin = token
})

describe('a server with tokens', () => {
  it('lets nobody in without one, and with the first one the administrator', async () => {
    expect(await as(undefined, 'jobs', 'list')).toMatchObject({ code: 6, out: '', err: expect.stringContaining('Set STINT_TOKEN, or give --token') })
    expect(await as('stint_000000000000_0000000000000000000000000000000000000000000', 'jobs', 'list')).toMatchObject({ code: 6 })
    expect(await as(admin, 'jobs', 'list')).toMatchObject({ code: 0 })
    expect(await stint(['jobs', 'list', '--url', url, '--token', admin])).toMatchObject({ code: 0 })
  })

  it('does not make another one at its next start', async () => {
    const directory = join(folder, 'again')
    const first = await serve(['--data', directory, '--auth', 'tokens'])
    await first.line(/^token /)
    first.kill('SIGTERM')
    await first.ended()
    const second = await serve(['--data', directory, '--auth', 'tokens'])
    second.kill('SIGTERM')
    await second.ended()
    expect(second.out()).not.toContain('token')
  })
})

describe('audit list', () => {
  it('shows who was refused what, newest first, and not the token that was tried', async () => {
    const guess = 'stint_000000000000_1111111111111111111111111111111111111111111'
    expect(await as(guess, 'jobs', 'list')).toMatchObject({ code: 6 })
    const table = await as(admin, 'audit', 'list')
    expect(table).toMatchObject({ code: 0, err: '' })
    expect(table.out).toMatch(/TIME +CODE +WHO +ROUTE/)
    expect(table.out).toMatch(/unauthenticated +nobody +listJobs/)
    expect(table.out).not.toContain(guess)
    expect(JSON.parse((await as(admin, 'audit', 'list', '--code', 'unauthenticated', '--limit', '1', '-o', 'json')).out)).toMatchObject({ items: [{ subject: 'nobody' }] })
    expect(await as(admin, 'audit', 'list', '--day', '2001-01-01')).toMatchObject({ code: 0, err: expect.stringContaining('refused on 2001-01-01') })
    const viewer = await as(admin, 'tokens', 'add', '--name', 'v', '--email', 'v@example.com', '--role', 'viewer')
    expect(await as(viewer.out.trim(), 'audit', 'list')).toMatchObject({ code: 6 })
  })
})

describe('tokens add', () => {
  it('prints the secret alone on stdout, once', async () => {
    const made = await as(admin, 'tokens', 'add', '--name', 'look', '--email', 'look@example.com', '--role', 'viewer')
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^stint_\w{12}_[\w-]{43}\n$/), err: expect.stringContaining('shown this once') })
    const list = await as(admin, 'tokens', 'list', '-o', 'json')
    expect(list.out).toContain('look@example.com')
    expect(list.out).not.toContain(made.out.trim())
  })

  it('gives the roles and the time that it was asked for', async () => {
    const made = await as(admin, 'tokens', 'add', '--name', 'two', '--email', 'two@example.com', '--role', 'producer,worker', '--role', 'viewer', '--expires', '30d', '-o', 'json')
    const entry = JSON.parse(made.out) as { roles: string[]; createdAt: string; expiresAt: string; token: string }
    expect(entry.roles).toEqual(['producer', 'worker', 'viewer'])
    expect(Math.abs(Date.parse(entry.expiresAt) - Date.parse(entry.createdAt) - 30 * 86_400_000)).toBeLessThan(1_000)
    expect(await as(entry.token, 'jobs', 'list')).toMatchObject({ code: 0 })
    expect(await as(entry.token, 'tokens', 'list')).toMatchObject({ code: 6 })
  })

  it('refuses roles and addresses that do not exist', async () => {
    expect(await as(admin, 'tokens', 'add', '--name', 'x', '--email', 'x@example.com', '--role', 'king')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Expected one of admin'),
    })
    expect(await as(admin, 'tokens', 'add', '--name', 'x', '--email', 'nowhere', '--role', 'viewer')).toMatchObject({ code: 2, err: expect.stringContaining('/email') })
  })

  it('is not for those who may only look', async () => {
    const viewer = (await as(admin, 'tokens', 'add', '--name', 'v', '--email', 'v@example.com', '--role', 'viewer')).out.trim()
    expect(await as(viewer, 'jobs', 'list')).toMatchObject({ code: 0 })
    expect(await as(viewer, 'tokens', 'add', '--name', 'x', '--email', 'x@example.com', '--role', 'admin')).toMatchObject({ code: 6 })
    expect(await as(viewer, 'tokens', 'list')).toMatchObject({ code: 6 })
  })
})

describe('tokens revoke', () => {
  it('shuts the holder out at once', async () => {
    const made = JSON.parse((await as(admin, 'tokens', 'add', '--name', 'gone', '--email', 'gone@example.com', '--role', 'viewer', '-o', 'json')).out) as {
      id: string
      token: string
    }
    expect(await as(admin, 'tokens', 'revoke', made.id)).toMatchObject({ code: 0, out: `${made.id}  revoked\n` })
    expect(await as(made.token, 'jobs', 'list')).toMatchObject({ code: 6 })
    expect((await as(admin, 'tokens', 'list')).out).toMatch(new RegExp(`^${made.id} .* revoked`, 'm'))
  })

  it('ends with 3 for a token that does not exist', async () => {
    expect(await as(admin, 'tokens', 'revoke', 'nix')).toMatchObject({ code: 3 })
  })
})

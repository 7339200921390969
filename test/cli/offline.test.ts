// The commands that need no server: replay, verify, backup, restore and doctor, on sound data, beside a running server, and on damaged data.
import * as E from 'fp-ts/lib/Either.js'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeAll, describe, expect, it } from 'vitest'
import { createHttp } from '../../src/client/http.ts'
import { backupData } from '../../src/offline/backup.ts'
import { registerJob, reportJob } from '../../src/wire/jobs.ts'
import { realWorld } from '../../src/world.ts'
import { processes } from '../support/process.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const { folder, serve, stint } = processes('cli-offline')
const live = join(folder, 'live')

let url = ''
beforeAll(async () => {
  url = (await serve(['--data', live])).url
  const http = createHttp({ url, world: realWorld, fetch })
  const register = (id: string) => http.call(registerJob, { body: { id, service: 'index', server: 'one', reportEverySeconds: 600 } })
  await register('running')
  const { lease = '' } = await register('done')
  await http.call(reportJob, { params: { id: 'done' }, body: { lease, phase: 'merge' } })
  await http.call(reportJob, { params: { id: 'done' }, body: { lease, outcome: { completed: { result: 7 } } } })
})

/** A copy of the running server's data, made by the commands under test. */
const restored = async (name: string): Promise<string> => {
  const data = join(folder, name)
  await stint(['backup', `${name}.db`, '--data', live])
  expect(await stint(['restore', `${name}.db`, '--data', data])).toMatchObject({ code: 0 })
  return data
}

/** The same with tables beside the log: a server has run on it. */
const restoredWithTables = async (name: string): Promise<string> => {
  const data = await restored(name)
  const server = await serve(['--data', data])
  await fetch(`${server.url}/v1/jobs`)
  server.kill('SIGTERM')
  await server.ended()
  return data
}

const tamper = (file: string, sql: string): void => {
  const db = new DatabaseSync(file)
  db.exec(sql)
  db.close()
}

describe('replay', () => {
  it('says what the log comes to, beside a running server', async () => {
    const { code, out } = await stint(['replay', '--data', live])
    expect(code).toBe(0)
    expect(out).toMatch(/^6 events in .*events\/s$/m)
    expect(out).toMatch(/▶ running +1$/m)
    expect(out).toMatch(/✓ completed +1$/m)
    expect(out).toMatch(/^ +JobRegistered +2$/m)
  })

  it('says it in JSON too', async () => {
    expect(JSON.parse((await stint(['replay', '--data', live, '-o', 'json'])).out)).toMatchObject({
      events: 6,
      erased: 0,
      items: { job: { running: 1, completed: 1 } },
      types: { JobRegistered: 2, Leased: 2, PhaseEntered: 1, Completed: 1 },
    })
  })

  it('tells the history of one job with its state after each event', async () => {
    const { items } = JSON.parse((await stint(['replay', '--data', live, '--job', 'done', '-o', 'json'])).out) as { items: { type: string; state: string; data: object }[] }
    expect(items.map(({ type, state }) => `${type} ${state}`)).toEqual(['JobRegistered waiting', 'Leased running', 'PhaseEntered running', 'Completed completed'])
    expect(JSON.stringify(items)).not.toContain('token')
    expect((await stint(['replay', '--data', live, '--job', 'done'])).out).toMatch(/Completed +completed +completed: 7/)
  })

  it('ends with 3 where there is no log, or no such job', async () => {
    expect(await stint(['replay', '--data', join(folder, 'nowhere')])).toMatchObject({ code: 3, err: expect.stringContaining('There is no log at') })
    expect(await stint(['replay', '--data', live, '--job', 'nix'])).toMatchObject({ code: 3, err: expect.stringContaining('no job nix') })
  })

  it('stops at an event that no version has written', async () => {
    const data = await restored('unknown-event')
    tamper(join(data, 'stint.db'), `UPDATE events SET type = 'Teleported' WHERE type = 'PhaseEntered'`)
    expect(await stint(['replay', '--data', data])).toMatchObject({ code: 1, err: expect.stringContaining('Teleported') })
  })
})

describe('verify', () => {
  it('proves chain and tables beside a running server', async () => {
    await fetch(`${url}/v1/jobs`)
    const { code, out } = await stint(['verify', '--data', live])
    expect(code).toBe(0)
    expect(out).toMatch(/^chain +unbroken: 6 events, head /m)
    expect(out).toMatch(/^tables +equal to a rebuild of 6 events/m)
    expect(JSON.parse((await stint(['verify', '--data', live, '-o', 'json'])).out)).toMatchObject({
      ok: true,
      chain: { ok: true, events: 6 },
      tables: { ok: true, equal: true, differences: [] },
    })
  })

  it('names the place where the log was changed', async () => {
    const data = await restored('changed')
    tamper(join(data, 'stint.db'), `UPDATE events SET data = replace(data, '7', '8') WHERE type = 'Completed'`)
    const { code, out, err } = await stint(['verify', '--data', data])
    expect(code).toBe(1)
    expect(out).toMatch(/^chain +broken at \w+\.0000000000000006: the digest does not match/m)
    expect(err).toContain('The log is damaged.')
  })

  it('names an event that is missing', async () => {
    const data = await restored('missing')
    tamper(join(data, 'stint.db'), 'DELETE FROM events WHERE position = 3')
    const answer = JSON.parse((await stint(['verify', '--data', data, '-o', 'json'])).out) as unknown
    expect(answer).toMatchObject({ ok: false, chain: { ok: false, position: expect.stringMatching(/\.0000000000000003$/), problem: expect.stringContaining('missing') } })
  })

  it('shows rows of the tables that are not what the log says', async () => {
    const data = await restoredWithTables('other-tables')
    expect(await stint(['verify', '--data', data])).toMatchObject({ code: 0 })
    const tables = new DatabaseSync(join(data, 'tables.db'))
    const [table] = tables.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%server%'`).all() as { name: string }[]
    tables.exec(`UPDATE "${table?.name}" SET server = 'another'`)
    tables.close()
    const { code, out, err } = await stint(['verify', '--data', data])
    expect(code).toBe(1)
    expect(out).toMatch(/tables +differ[^]*kept .*another/)
    expect(err).toContain('not what the log says')
  })
})

describe('backup and restore', () => {
  it('copy a log beside a running server into one that a server starts on', async () => {
    const backup = await stint(['backup', 'monday.db', '--data', live, '-o', 'json'])
    expect(JSON.parse(backup.out)).toMatchObject({ file: join(folder, 'monday.db'), position: expect.stringMatching(/\.0000000000000006$/) })
    expect(await stint(['verify', 'monday.db'])).toMatchObject({ code: 0, out: expect.stringContaining('unbroken: 6 events') })
    const data = await restoredWithTables('monday-again')
    const server = await serve(['--data', data])
    expect(await (await fetch(`${server.url}/v1/jobs/done`)).json()).toMatchObject({ state: 'completed', outcome: { completed: { result: 7 } } })
  })

  it('name the copy by its time in a directory', async () => {
    mkdirSync(join(folder, 'copies'))
    const { out } = await stint(['backup', 'copies', '--data', live, '-o', 'json'])
    const { file } = JSON.parse(out) as { file: string }
    expect(file).toMatch(/copies\/stint-\d{8}T\d{6}Z\.db$/)
    expect(existsSync(file)).toBe(true)
    mkdirSync(join(folder, 'more copies'))
    const { out: printed, err } = await stint(['backup', 'more copies', '--data', live])
    const [path = ''] = /^.*\.db(?= )/.exec(printed) ?? []
    expect(err).toContain(`\`stint verify '${path}'\``)
    expect(await stint(['verify', path])).toMatchObject({ code: 0 })
  })

  it('make the directory that a slash at the end says it is, and use it again', async () => {
    expect(await stint(['backup', 'new/copies/', '--data', live])).toMatchObject({ code: 0 })
    const [first = ''] = readdirSync(join(folder, 'new', 'copies'))
    expect(first).toMatch(/^stint-\d{8}T\d{6}Z\.db$/)
    expect(await stint(['verify', join('new', 'copies', first)])).toMatchObject({ code: 0 })
    // Names tell seconds, and a backup takes less.
    const at = virtualWorld()
    const another = async (): Promise<string> => {
      const made = await backupData(live, `${join(folder, 'new', 'copies')}/`, at)
      return E.isRight(made) ? basename(made.right.file, '.db') : made.left.message
    }
    const second = await another()
    expect([await another(), await another()]).toEqual([`${second}_2`, `${second}_3`])
    expect(readdirSync(join(folder, 'new', 'copies'))).toHaveLength(4)
  })

  it('make no directory without a log, nor in the place of a file', async () => {
    expect(await stint(['backup', 'in-vain/', '--data', join(folder, 'nowhere')])).toMatchObject({ code: 3 })
    expect(existsSync(join(folder, 'in-vain'))).toBe(false)
    writeFileSync(join(folder, 'a-file'), 'precious')
    expect(await stint(['backup', 'a-file/', '--data', live])).toMatchObject({ code: 4, err: expect.stringContaining('a-file cannot be made') })
    expect(readFileSync(join(folder, 'a-file'), 'utf8')).toBe('precious')
  })

  it('take a backup whose name has no ending', async () => {
    await stint(['backup', 'plain', '--data', live])
    expect(await stint(['verify', 'plain'])).toMatchObject({ code: 0 })
    expect(await stint(['restore', 'plain', '--data', join(folder, 'of-plain')])).toMatchObject({ code: 0 })
  })

  it('never write over what is there', async () => {
    await stint(['backup', 'twice.db', '--data', live])
    expect(await stint(['backup', 'twice.db', '--data', live])).toMatchObject({ code: 4, err: expect.stringContaining('exists and is not overwritten') })
    expect(await stint(['restore', 'twice.db', '--data', live])).toMatchObject({ code: 4, err: expect.stringContaining('exists and is not overwritten') })
  })

  it('refuse a backup that is damaged', async () => {
    await stint(['backup', 'damaged.db', '--data', live])
    tamper(join(folder, 'damaged.db'), `UPDATE events SET time = time + 1 WHERE position = 2`)
    expect(await stint(['restore', 'damaged.db', '--data', join(folder, 'not-made')])).toMatchObject({ code: 1, err: expect.stringContaining('damaged at') })
    const { code, err } = await stint(['verify', 'damaged.db'])
    expect(code).toBe(1)
    expect(err).toContain(`${join(folder, 'damaged.db')} is damaged.`)
    expect(err).not.toContain('restore')
    expect(existsSync(join(folder, 'not-made', 'stint.db'))).toBe(false)
  })

  it('say of a file that is no log that it is no backup', async () => {
    writeFileSync(join(folder, 'garbage.db'), 'neither fish nor fowl '.repeat(100))
    for (const args of [
      ['verify', 'garbage.db'],
      ['restore', 'garbage.db', '--data', join(folder, 'of-garbage')],
    ]) {
      const { code, err } = await stint(args)
      expect(code).toBe(1)
      expect(err).toContain(`${join(folder, 'garbage.db')} is no backup`)
      expect(err).not.toMatch(/restore it/i)
    }
  })

  it('end with 3 where there is nothing to copy', async () => {
    expect(await stint(['backup', 'x.db', '--data', join(folder, 'nowhere')])).toMatchObject({ code: 3 })
    expect(await stint(['restore', 'nowhere.db', '--data', join(folder, 'any')])).toMatchObject({
      code: 3,
      err: expect.stringContaining(`No such backup: ${join(folder, 'nowhere.db')}.`),
    })
  })
})

describe('doctor', () => {
  const doctor = async (...args: readonly string[]) => {
    const { code, out, err } = await stint(['doctor', '-o', 'json', ...args])
    const { items } = JSON.parse(out) as { items: { check: string; status: string; detail: string }[] }
    return { code, err, of: (check: string) => items.find((item) => item.check === check) }
  }

  it('finds a sound machine sound', async () => {
    const { code, of } = await doctor('--data', join(folder, 'to-be-made'), '--port', '0')
    expect(code).toBe(0)
    expect(of('runtime')).toMatchObject({ status: 'ok', detail: expect.stringContaining(process.versions.node) })
    expect(of('SQLite')).toMatchObject({ status: 'ok', detail: expect.stringContaining(process.versions['sqlite'] ?? 'none') })
    expect(of('data directory')).toMatchObject({ status: 'ok', detail: expect.stringContaining('to be made') })
    expect(of('durable writes')?.detail).toMatch(/fdatasync\/s/)
    expect(existsSync(join(folder, 'to-be-made'))).toBe(false)
  })

  it('knows a running server by its port and its log', async () => {
    const { code, of } = await doctor('--data', live, '--port', new URL(url).port)
    expect(code).toBe(0)
    expect(of('port')?.detail).toMatch(/is answered by Stint \d+\.\d+\.\d+/)
    expect(of('log')).toMatchObject({ status: 'ok', detail: expect.stringContaining('.0000000000000006') })
  })

  it('warns of a clock that is behind the log', async () => {
    const data = join(folder, 'future')
    cpSync(await restored('to-be-future'), data, { recursive: true })
    tamper(join(data, 'stint.db'), 'UPDATE events SET time = time + 3600000 WHERE position = 6')
    expect((await doctor('--data', data, '--port', '0')).of('clock')).toMatchObject({ status: 'warn', detail: expect.stringContaining('the newest event is from') })
  })

  it('fails with advice where a server could not start', async () => {
    const { code, of, err } = await doctor('--data', join(folder, 'to-be-made'), '--host', '192.0.2.1', '--auth', 'tokens', '--port', '7070')
    expect(code).toBe(1)
    expect(of('port')).toMatchObject({ status: 'fail', detail: expect.stringContaining('192.0.2.1:7070') })
    expect(err).toContain('1 check failed')
    rmSync(join(folder, 'to-be-made'), { force: true, recursive: true })
  })

  it('prints a line a check for people', async () => {
    const { out } = await stint(['doctor', '--data', live, '--port', '0'])
    expect(out).toMatch(/^✓ ok {4}runtime +Node /m)
    expect(out.trim().split('\n').length).toBeGreaterThanOrEqual(9)
  })
})

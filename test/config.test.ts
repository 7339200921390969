// Where settings come from, which of them wins, and how exactly a mistake is named.
import * as E from 'fp-ts/lib/Either.js'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { describeProblems, loadConfig, parseConfigFile, type ConfigSources } from '../src/config.ts'
import { settingNames, settings } from '../src/settings.ts'
import { decode } from '../src/wire/schema.ts'

const directory = mkdtempSync(join(tmpdir(), 'stint-config-'))
writeFileSync(join(directory, 'stint.yaml'), 'port: 7001\nhost: localhost\nhosts: [stint.internal]\n')
afterAll(() => rmSync(directory, { recursive: true }))

const loaded = (sources: ConfigSources) => {
  const config = loadConfig(sources)
  if (E.isLeft(config)) throw new Error(describeProblems(config.left))
  return config.right
}
const refused = (sources: ConfigSources) => {
  const config = loadConfig(sources)
  return E.isLeft(config) ? describeProblems(config.left) : 'taken'
}
const inFile = (text: string) => {
  const parsed = parseConfigFile(text)
  return E.isLeft(parsed) ? describeProblems(parsed.left) : parsed.right
}

describe('the settings of a server', () => {
  it('have defaults that their own codecs accept', () => {
    for (const name of settingNames) expect([name, E.isRight(decode(settings[name].codec as never, settings[name].default))]).toEqual([name, true])
    expect(loaded({})).toMatchObject({ port: 7070, host: '127.0.0.1', data: './stint-data', auth: 'none', hosts: [] })
  })

  it('come from the file before the defaults, the environment before the file, flags before all', () => {
    expect(loaded({ directory })).toMatchObject({ port: 7001, host: 'localhost', hosts: ['stint.internal'] })
    expect(loaded({ directory, env: { STINT_PORT: '7002' } })).toMatchObject({ port: 7002, host: 'localhost' })
    expect(loaded({ directory, env: { STINT_PORT: '7002' }, flags: { port: '7003' } })).toMatchObject({ port: 7003, host: 'localhost' })
  })

  it('have names for flag and environment that follow from their own', () => {
    expect(settings.maxLiveItems).toMatchObject({ flag: '--max-live-items', env: 'STINT_MAX_LIVE_ITEMS' })
  })

  it('are read from text as what they are: numbers, lists, yes and no', () => {
    expect(loaded({ env: { STINT_HOSTS: 'a.example, b.example', STINT_ALLOW_ANY_FILE_SYSTEM: 'yes', STINT_SHUTDOWN_SECONDS: '2.5' } })).toMatchObject({
      hosts: ['a.example', 'b.example'],
      allowAnyFileSystem: true,
      shutdownSeconds: 2.5,
    })
  })

  it('have a word for what never happens', () => {
    expect(loaded({ env: { STINT_RETENTION_DAYS: 'off', STINT_RELEASED_KEPT_DAYS: '0.5' } })).toMatchObject({ retentionDays: 'off', releasedKeptDays: 0.5 })
    expect(inFile('retentionDays: off\nreleasedKeptDays: 0')).toEqual({ retentionDays: 'off', releasedKeptDays: 0 })
    expect(refused({ flags: { retentionDays: 'never' } })).toBe('--retention-days: Expected a number of days, or off.')
    expect(refused({ flags: { retentionDays: '-1' } })).toBe('--retention-days: Expected 0 to 36500.')
  })

  it('do not need a file', () => expect(loaded({ directory: join(directory, 'nowhere') }).port).toBe(7070))

  it('treat an empty environment variable as none', () => expect(loaded({ env: { STINT_PORT: '' } }).port).toBe(7070))
})

describe('a mistake in a setting', () => {
  it('is named by its flag or variable', () => {
    expect(refused({ flags: { port: 'seven' } })).toBe('--port: Expected a number.')
    expect(refused({ env: { STINT_PORT: '70000' } })).toBe('STINT_PORT: Expected 0 to 65535.')
    expect(refused({ env: { STINT_AUTH: 'yes' } })).toBe('STINT_AUTH: Expected one of none, tokens, jwt, tokens+jwt.')
  })

  it('is named by file, line and column', () => {
    expect(inFile('host: localhost\nport: seven\n')).toBe('stint.yaml:2:7: port: Expected a number.')
    expect(inFile('hosts:\n  - good\n  - 7\n')).toBe('stint.yaml:3:5: hosts: Expected a string.')
    expect(inFile('port: 7070\nport: 7071\n')).toMatch(/^stint\.yaml:2:1: /)
    expect(inFile('- port\n')).toMatch(/^stint\.yaml:1:1: /)
    expect(inFile('port: "unclosed\n')).toMatch(/^stint\.yaml:\d+:\d+: /)
  })

  it('is a setting that comes twice, wherever it comes again, in a file of any length', () => {
    expect(inFile('port: 7070\nhost: localhost\nport: 7071\n')).toBe('stint.yaml:3:1: Expected each setting once.')
    const many = Array.from({ length: 50_000 }, (_, index) => `x${index}: 1`).join('\n')
    const mistakes = String(inFile(many)).split('\n')
    expect([mistakes.length, mistakes.at(-1)?.slice(0, 36)]).toEqual([50_000, 'stint.yaml:50000:1: x49999 is no set'])
  })

  it('is an unknown name too, with the one that was probably meant', () => {
    expect(inFile('port: 7070\nmax-live-items: 5\n')).toBe('stint.yaml:2:1: max-live-items is no setting. Did you mean maxLiveItems?')
    expect(inFile('prot: 7070\n')).toMatch(/^stint\.yaml:1:1: prot is no setting\. The settings are port, host, /)
  })

  it('is told together with all others', () => {
    expect(refused({ flags: { port: 'x', auth: 'y' }, env: { STINT_LOG_LEVEL: 'z' } }).split('\n')).toHaveLength(3)
  })

  it('is a pattern of URLs that is none, in its place', () => {
    expect(inFile('port: 7070\nallowUrls:\n  - https://hooks.example.com\n  - https://*\n')).toMatch(/^stint\.yaml:4:5: allowUrls: Expected a pattern such as https:/)
    expect(refused({ env: { STINT_ALLOW_URLS: 'http://127.0.0.1:*, https://*.0.0.1' } })).toBe('STINT_ALLOW_URLS: Expected a name behind `*.`, but it is an address.')
    expect(refused({ flags: { allowUrls: 'ftp://x.example' } })).toMatch(/^--allow-urls: Expected a pattern/)
    expect(loaded({ flags: { allowUrls: 'https://*.example.com/in/,http://127.0.0.1:*' } }).allowUrls).toEqual(['https://*.example.com/in/', 'http://127.0.0.1:*'])
  })

  it('can lie in two settings that do not go together', () => {
    expect(refused({ flags: { host: '0.0.0.0' } })).toMatch(/^host: Without auth .*\(--auth tokens\)/)
    expect(loaded({ flags: { host: '0.0.0.0', auth: 'tokens' } }).host).toBe('0.0.0.0')
    expect(refused({ flags: { auth: 'jwt', jwtIssuer: 'https://issuer.example' } })).toBe(
      'jwtKeysUrl: Expected a value, because auth is jwt.\njwtAudience: Expected a value, because auth is jwt.',
    )
  })

  it('is not an empty file', () => expect(inFile('# nothing set\n')).toEqual({}))
})

// The files of deploy/, held to the program and to each other: settings that exist, servers that the proxy knows, times that outlast what they wait for, and no secret written down.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { settings } from '../src/settings.ts'
import { loadConfig } from '../src/config.ts'

const folder = join(import.meta.dirname, '..', 'deploy')
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

interface Service {
  readonly image?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly depends_on?: unknown
  readonly healthcheck?: unknown
  readonly stop_grace_period?: string
}

const text = read('compose.yaml')
const compose = parse(text, { merge: true }) as { readonly services: Readonly<Record<string, Service>>; readonly volumes: Readonly<Record<string, null>> }
const servicesNamed = (pattern: RegExp): readonly (readonly [string, Service])[] => Object.entries(compose.services).filter(([name]) => pattern.test(name))
const servers = servicesNamed(/^stint-/)
const stores = servicesNamed(/^eventstore-/)
const proxy = read('haproxy.cfg')
const proxySeconds = (name: string): number => Number(new RegExp(`^ +timeout ${name} (\\d+)s$`, 'm').exec(proxy)?.[1])

/** Variables as compose would put them in. */
const filled = (value: string): string => value.replaceAll(/\$\{(\w+)(?:[:?-][^}]*)?\}/g, 'filled')

describe('deploy/compose.yaml', () => {
  it('has three servers over three nodes of the store, each with a place of its own for what it keeps', () => {
    expect([servers.length, stores.length]).toEqual([3, 3])
    const places = [...servers, ...stores].map(([name, { volumes = [] }]) => ({ name, own: volumes.filter((volume) => volume.startsWith(`${name}:`)) }))
    for (const { name, own } of places) expect({ name, count: own.length }).toEqual({ name, count: 1 })
    const mounted = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(':')[0] ?? ''))
    expect(new Set(mounted.filter((name) => !name.startsWith('.')))).toEqual(new Set(Object.keys(compose.volumes)))
  })

  it('sets what servers can be set to, and to what they take', () => {
    const variables = new Set<string>(Object.values(settings).map(({ env }) => env))
    // Where the files of queues are is said by flag or environment alone.
    variables.add('STINT_CONFIG')
    for (const [name, { environment = {} }] of servers) {
      expect(Object.keys(environment).filter((variable) => !variables.has(variable))).toEqual([])
      const env = Object.fromEntries(Object.entries(environment).map(([variable, value]) => [variable, filled(value)]))
      expect(loadConfig({ env })).toMatchObject({ right: { server: name, advertise: `http://${name}:7070`, host: '0.0.0.0', auth: 'tokens' } })
    }
  })

  it('gives the servers every node of the store, over TLS, and each node the two others', () => {
    const names = stores.map(([name]) => name)
    for (const [, { environment = {} }] of servers) {
      const url = environment['STINT_STORE'] ?? ''
      for (const name of names) expect(url).toContain(`${name}:2113`)
      expect(url).toMatch(/\?tls=true&tlsCAFile=\/trusted\/ca\.crt$/)
    }
    for (const [name, { environment = {} }] of stores) {
      expect(environment['EVENTSTORE_GOSSIP_SEED']?.split(',')).toEqual(names.filter((other) => other !== name).map((other) => `${other}:2113`))
      expect([environment['EVENTSTORE_NODE_HOST_ADVERTISE_AS'], environment['EVENTSTORE_REPLICATION_HOST_ADVERTISE_AS']]).toEqual([name, name])
      expect(Number(environment['EVENTSTORE_CLUSTER_SIZE'])).toBe(names.length)
    }
  })

  it('lets servers end what they took before they are killed', () => {
    for (const [, { stop_grace_period: grace = '', environment = {} }] of servers) expect(Number.parseInt(grace, 10)).toBeGreaterThan(Number(environment['STINT_SHUTDOWN_SECONDS']))
  })

  it('holds no secret, and .env.example names each that it asks for, empty', () => {
    const asked = [...text.matchAll(/\$\{(\w+):\?/g)].map(([, name = '']) => name)
    const example = new Map([...read('.env.example').matchAll(/^#?(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]))
    for (const name of asked) expect(example.has(name)).toBe(true)
    for (const [name, value] of example) if (/PASSWORD|SECRET|TOKEN/.test(name)) expect(value).toBe('')
    const given = Object.values(compose.services).flatMap(({ environment = {} }) => Object.entries(environment))
    for (const [, value] of given.filter(([name]) => /PASSWORD|SECRET/.test(name))) expect(value).toMatch(/^\$\{\w+:\?[^}]*\}$/)
    for (const [, value] of given.filter(([name]) => name === 'STINT_STORE')) expect(value).toMatch(/^esdb:\/\/\w+:\$\{\w+:\?[^}]*\}@/)
    // Others that it may be told have a value to fall back to, and stand in the example too.
    for (const [, name = ''] of text.matchAll(/\$\{(\w+):-/g)) expect(example.has(name)).toBe(true)
  })

  it('mounts what is there', () => {
    const local = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes.filter((volume) => volume.startsWith('./')).map((volume) => volume.split(':')[0] ?? ''))
    expect(new Set(local)).toEqual(new Set(['./config', './haproxy.cfg']))
    for (const path of local) expect(existsSync(join(folder, path))).toBe(true)
  })
})

describe('deploy/haproxy.cfg', () => {
  it('knows every server, by whether it takes commands and by whether it is alive', () => {
    for (const backend of ['ready', 'reading']) {
      const section = new RegExp(`^backend ${backend}\\n((?: .*\\n)+)`, 'm').exec(proxy)?.[1] ?? ''
      const known = [...section.matchAll(/^ +server (\S+) (\S+)$/gm)].map(([, name, address]) => `${name} ${address}`)
      expect(known).toEqual(servers.map(([name]) => `${name} ${name}:7070`))
      expect(section).toContain(`uri ${backend === 'ready' ? '/readyz' : '/healthz'} `)
    }
  })

  it('waits longer than the longest poll', () => {
    const LONGEST_POLL_SECONDS = 60
    for (const name of ['client', 'server']) expect(proxySeconds(name)).toBeGreaterThan(LONGEST_POLL_SECONDS + 5)
  })
})

describe('deploy/Dockerfile', () => {
  it('copies what is there', () => {
    const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '))
    expect(copied.length).toBeGreaterThan(5)
    const root = join(folder, '..')
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
    // Nothing else is sent to whoever builds it.
    const sent = new Set([...read('Dockerfile.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path))
    expect(copied.filter((path) => !sent.has(path))).toEqual([])
  })
})

// Looks at everything that a server needs of its machine, and says what to do about what is not so.
import { accessSync, constants, existsSync, mkdtempSync, openSync, closeSync, fdatasyncSync, rmSync, statSync, writeSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { isLoopback } from '../api/settings.ts'
import { IN_MEMORY, LOG_FILE, type ServerConfig } from '../settings.ts'
import { isAtLeast, LEAST_SQLITE, remoteFileSystem } from '../store/sqlite/checks.ts'
import { positionAt, sequenceOf } from '../store/position.ts'
import type { World } from '../world.ts'
import { withLog } from './log.ts'

export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  readonly advice?: string | undefined
}

const ok = (check: string, detail: string): Finding => ({ check, status: 'ok', detail })
const warn = (check: string, detail: string, advice: string): Finding => ({ check, status: 'warn', detail, advice })
const fail = (check: string, detail: string, advice: string): Finding => ({ check, status: 'fail', detail, advice })

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const LEAST_NODE = '24.15.0'

const runtime = (): Finding => {
  const { node } = process.versions
  const fits = isAtLeast(node, LEAST_NODE) && !node.startsWith('25.')
  return fits ? ok('runtime', `Node ${node} on ${process.platform} ${process.arch}`) : fail('runtime', `Node ${node}`, `Use Node 24 from ${LEAST_NODE} on, or Node 26 or later.`)
}

const sqlite = (): Finding => {
  const version = process.versions['sqlite']
  if (version !== undefined && isAtLeast(version, LEAST_SQLITE)) return ok('SQLite', `${version}, built into Node`)
  return fail('SQLite', version ?? 'none', `The store needs SQLite ${LEAST_SQLITE} or later, which comes with Node ${LEAST_NODE}.`)
}

/** The directory itself, or the nearest one above it that exists. */
const nearestExisting = (path: string): string => {
  let at = resolve(path)
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at)
  return at
}

const MIB = 1024 * 1024
const LEAST_FREE_BYTES = 512 * MIB

const directory = (data: string): Finding => {
  const at = nearestExisting(data)
  try {
    if (!statSync(at).isDirectory()) return fail('data directory', `${at} is a file`, 'Name a directory with --data.')
    accessSync(at, constants.W_OK | constants.X_OK)
  } catch (cause) {
    return fail('data directory', messageOf(cause), `Give the user that runs the server the right to write to ${at}.`)
  }
  return ok('data directory', at === resolve(data) ? at : `${resolve(data)}, to be made`)
}

const fileSystem = async (data: string, allowed: boolean): Promise<Finding> => {
  const at = nearestExisting(data)
  const { type, bavail, bsize } = await statfs(at)
  const free = bavail * bsize
  const remote = process.platform === 'linux' ? remoteFileSystem(type) : undefined
  const where = `${Math.round(free / MIB).toLocaleString('en')} MiB free`
  if (remote !== undefined && !allowed)
    return fail('file system', `${remote}, where SQLite can lose or damage the log`, 'Use a local disk; or --allow-any-file-system if its locks and shared memory work.')
  if (remote !== undefined) return warn('file system', `${remote}, allowed by a setting; ${where}`, 'Its locks and shared memory must work, or the log is lost.')
  if (free < LEAST_FREE_BYTES) return warn('file system', where, 'Make room: a full disk refuses every command.')
  return ok('file system', `local, ${where}`)
}

const PROBE_MS = 300
const PROBE_BYTES = 4_096
/** A disk that promises durability faster than this has a cache with a battery, or does not keep the promise. */
const SUSPICIOUS_PER_SECOND = 50_000
const SLOW_PER_SECOND = 50

/** Writes and syncs blocks for a moment: what a lone append will cost. */
const syncProbe = (data: string, world: World): Finding => {
  const folder = mkdtempSync(join(nearestExisting(data), '.stint-doctor-'))
  try {
    const file = openSync(join(folder, 'probe'), 'w')
    const block = new Uint8Array(PROBE_BYTES)
    const startedAt = world.monotonic()
    let count = 0
    try {
      while (world.monotonic() - startedAt < PROBE_MS) {
        writeSync(file, block)
        fdatasyncSync(file)
        count += 1
      }
    } finally {
      closeSync(file)
    }
    const perSecond = Math.round((count * 1_000) / (world.monotonic() - startedAt))
    const detail = `${perSecond.toLocaleString('en')} fdatasync/s; commits are shared, so appends in parallel are many times faster`
    if (perSecond < SLOW_PER_SECOND) return warn('durable writes', detail, 'A lone command waits for one sync; a local SSD has hundreds to thousands a second.')
    if (perSecond > SUSPICIOUS_PER_SECOND)
      return warn('durable writes', detail, 'So fast a disk may acknowledge before it is durable (tmpfs, some virtual disks): what is acknowledged may not outlive a power cut.')
    return ok('durable writes', detail)
  } catch (cause) {
    return fail('durable writes', messageOf(cause), 'The log cannot be written there.')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** 2025-01-01: no event of Stint is older. */
const EARLIEST = Date.UTC(2025, 0, 1)
const AHEAD_MS = 2_000

const clock = async (data: string, world: World): Promise<Finding> => {
  const now = world.now()
  const shown = new Date(now).toISOString()
  if (now < EARLIEST) return fail('clock', shown, 'Set the clock, and keep it set (NTP).')
  const file = join(data, LOG_FILE)
  if (!existsSync(file)) return ok('clock', shown)
  const last = await newestTime(data).catch(() => undefined)
  if (last !== undefined && last - now > AHEAD_MS)
    return warn(
      'clock',
      `${shown}, but the newest event is from ${new Date(last).toISOString()}`,
      'The clock was ahead once or is behind now: keep it set (NTP). Times in the log never go back.',
    )
  return ok('clock', `${shown}, not behind the log`)
}

const newestTime = (data: string): Promise<number | undefined> =>
  withLog(data, async (reader) => {
    const head = await reader.head()()
    if (E.isLeft(head)) return undefined
    const { position, incarnation } = head.right
    const sequence = sequenceOf(position, incarnation)
    if (E.isLeft(sequence) || sequence.right === 0) return undefined
    const last = await reader.readAll({ after: positionAt(incarnation, sequence.right - 1), max: 1 })()
    return E.isLeft(last) ? undefined : last.right[0]?.time
  })

const log = async (data: string): Promise<Finding> => {
  if (!existsSync(join(data, LOG_FILE))) return ok('log', 'none yet; the first start makes one')
  try {
    return await withLog(data, async (reader, file) => {
      const head = await reader.head()()
      if (E.isLeft(head)) return fail('log', head.left.message, 'Run `stint verify`; restore a backup if it is damaged.')
      return ok('log', `${file}, ends at ${head.right.position}, ${Math.ceil(statSync(file).size / MIB).toLocaleString('en')} MiB`)
    })
  } catch (cause) {
    return fail('log', messageOf(cause), 'Run `stint verify`; restore a backup if it is damaged.')
  }
}

const ANSWER_MS = 3_000

const healthAt = async (url: string, world: World): Promise<string | undefined> => {
  const over = new AbortController()
  const cancel = world.timer(ANSWER_MS, () => over.abort())
  try {
    const answer = await fetch(`${url}/healthz`, { signal: over.signal })
    const body = (await answer.json()) as { readonly version?: unknown }
    return typeof body.version === 'string' ? body.version : undefined
  } finally {
    cancel()
  }
}

const canListen = (host: string, wanted: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', (cause: NodeJS.ErrnoException) => resolve(cause.code ?? cause.message))
    probe.listen({ port: wanted, host, exclusive: true }, () => probe.close(() => resolve(undefined)))
  })

const port = async ({ host, port: wanted }: ServerConfig, world: World): Promise<Finding> => {
  if (wanted === 0) return ok('port', 'a free one is taken')
  const problem = await canListen(host, wanted)
  if (problem === undefined) return ok('port', `${host}:${wanted} is free`)
  if (problem !== 'EADDRINUSE')
    return fail(
      'port',
      `${host}:${wanted}: ${problem}`,
      problem === 'EACCES' ? 'Ports below 1024 need a privilege: choose another with --port.' : 'Choose an address of this machine with --host.',
    )
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  const found = await healthAt(`http://${name.includes(':') ? `[${name}]` : name}:${wanted}`, world).catch(() => undefined)
  if (found !== undefined) return ok('port', `${host}:${wanted} is answered by Stint ${found}, which is running`)
  return fail('port', `${host}:${wanted} is taken by another program`, 'Stop it, or choose another port with --port.')
}

const access = ({ auth, host }: ServerConfig): Finding => {
  if (auth !== 'none') return ok('access', `${auth}, listening on ${host}`)
  return isLoopback(host) ? ok('access', 'no auth: this machine only, everybody on it is an administrator') : fail('access', `no auth on ${host}`, 'Set --auth tokens.')
}

/** Every check, in the order in which they make sense to read. */
export const examine = async (config: ServerConfig, world: World): Promise<readonly Finding[]> => {
  const machine = [runtime(), sqlite()]
  const reach = [await port(config, world), access(config)]
  if (config.data === IN_MEMORY) return [...machine, warn('data directory', 'in memory: nothing outlives the process', 'Name a directory with --data.'), ...reach]
  const place = directory(config.data)
  if (place.status === 'fail') return [...machine, place, ...reach]
  return [
    ...machine,
    place,
    await fileSystem(config.data, config.allowAnyFileSystem),
    syncProbe(config.data, world),
    await log(config.data),
    await clock(config.data, world),
    ...reach,
  ]
}

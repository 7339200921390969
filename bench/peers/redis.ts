// Redis as a process of the bench, with its append-only file and without snapshots.
import type { Served } from './adapter.ts'
import { freePorts, LOOPBACK, startDaemon } from './daemon.ts'
import { programOf, versionSaid } from './installation.ts'

/** When what was written is on the disk: before it is acknowledged, or within a second afterwards. */
export type Appendfsync = 'always' | 'everysec'

export const redisVersion = (): string => `Redis ${versionSaid('redis', 'redis-server')}`

export const serveRedis = async (directory: string, appendfsync: Appendfsync): Promise<Served> => {
  const [port = 0] = await freePorts(1)
  const flags = { port, bind: LOOPBACK, dir: directory, appendonly: 'yes', appendfsync, save: '', 'maxmemory-policy': 'noeviction' }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  const daemon = await startDaemon(programOf('redis', 'redis-server'), args, { directory, log: 'redis.log', port, signal: 'SIGKILL' })
  return { address: { host: LOOPBACK, port: String(port) }, pids: [daemon.pid], stop: daemon.stop }
}

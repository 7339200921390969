// Stint as it plays in the demo: a process of its own on loopback, with tokens and queue files, that can be killed and started again at the same address.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Child, Nursery } from './children.ts'

/** The command line of Stint, in the room above. */
export const COMMAND_LINE = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))

export interface StintSeat {
  readonly url: string
  readonly data: string
  /** Where the queue files are. */
  readonly config: string
  /** The administrator's token that the first start made. */
  readonly adminToken: string
  readonly child: () => Child
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** A new process at the same address; resolves when it takes requests. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

const addressIn = (line: string): string | undefined => /https?:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
const tokenIn = (line: string): string | undefined => /^token (\S+)$/.exec(line)?.[1]

/** Starts Stint with its data below `directory`, and the queue files that are there. */
export const seatStint = async (nursery: Nursery, directory: string): Promise<StintSeat> => {
  const data = join(directory, 'stint-data')
  const config = join(directory, 'config')
  const start = (port: string): Child =>
    nursery.start('stint', COMMAND_LINE, ['serve', '--port', port, '--data', data, '--config', config, '--auth', 'tokens', '--allow-urls', 'http://127.0.0.1:*'])
  let child = start('0')
  const url = await child.until(addressIn)
  const adminToken = await child.until(tokenIn)
  return {
    url,
    data,
    config,
    adminToken,
    child: () => child,
    kill: () => child.end('SIGKILL'),
    restart: async () => {
      child = start(new URL(url).port)
      await child.until(addressIn)
    },
    stop: () => child.end('SIGTERM'),
  }
}

// Who plays in the act of the long tasks: three implementation nodes, each a process of its own with its own images and its own log; and what the story does to them.
import { join } from 'node:path'
import { listeningAt } from './cast.ts'
import { programOf, type Child, type Nursery } from './children.ts'

export const DISKS = ['disk-1', 'disk-2', 'disk-3'] as const
export const NODES = { name: 'disks', email: 'disks@images.example', role: 'node' } as const
export const MANAGER = { name: 'images', email: 'manager@images.example', role: 'management' } as const

export interface DiskSeat {
  readonly name: string
  /** Of the process that plays now. */
  readonly url: () => string
  /** Its images are there. */
  readonly directory: string
  /** Its own log. */
  readonly log: string
  readonly child: () => Child
  /** `kill -9`; resolves when it is gone. */
  readonly kill: () => Promise<void>
  /** A new process of the same name; resolves when it takes operations, and has gone on with those of the one before. */
  readonly restart: () => Promise<void>
}

export interface DiskCast {
  readonly seats: readonly DiskSeat[]
  readonly seat: (name: (typeof DISKS)[number]) => DiskSeat
  readonly close: () => Promise<void>
}

const seatDisk = async (nursery: Nursery, stintUrl: string, token: string, directory: string, name: string): Promise<DiskSeat> => {
  const own = join(directory, name)
  const log = join(directory, `${name}-log`)
  const start = (): Child => nursery.start(name, programOf('disk-node'), ['--name', name, '--stint', stintUrl, '--directory', own, '--log', log], { STINT_TOKEN: token })
  let child = start()
  let url = await listeningAt(child)
  return {
    name,
    url: () => url,
    directory: own,
    log,
    child: () => child,
    kill: () => child.end('SIGKILL'),
    restart: async () => {
      child = start()
      url = await listeningAt(child)
    },
  }
}

/** Starts everybody. */
export const assembleDisks = async (nursery: Nursery, stintUrl: string, token: string, directory: string): Promise<DiskCast> => {
  const seats = await Promise.all(DISKS.map((name) => seatDisk(nursery, stintUrl, token, directory, name)))
  return {
    seats,
    seat: (name) => seats[DISKS.indexOf(name)] as DiskSeat,
    close: async () => {
      await Promise.all(seats.map(({ child }) => child().end('SIGTERM')))
    },
  }
}

// Who may do what with a queue (rules 30): the two lists of its file alone decide about its tasks; administrators look after the queue and do not touch the work.
import type { QueueConfig } from '../queue/config.ts'

/**
 * `insert`: put a task in · `consume`: get, list, lease, extend, release, complete, fail and delete tasks ·
 * `look`: see queue, tasks and statistics · `manage`: pause, resume, purge, redrive.
 */
export type Deed = 'insert' | 'consume' | 'look' | 'manage'

/** Whoever asks, as far as queues care. */
export interface Caller {
  /** Compared letter by letter with what the file says. */
  readonly email: string
  readonly isAdmin: boolean
  /** This machine, where no auth is configured: passes every list. */
  readonly isLocal: boolean
}

/** Whether the lists of this queue let the caller do it. No pattern, no domain, no upper and lower case taken as the same: an entry names one e-mail. */
export const may = (config: Pick<QueueConfig, 'users' | 'writers'>, caller: Caller, deed: Deed): boolean => {
  if (caller.isLocal) return true
  switch (deed) {
    case 'insert':
      return config.writers.includes(caller.email)
    case 'consume':
      return config.users.includes(caller.email)
    case 'look':
      return caller.isAdmin || config.users.includes(caller.email)
    case 'manage':
      return caller.isAdmin
  }
}

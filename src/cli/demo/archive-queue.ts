// The queue of the act of the task queues: whose it is, who may do what, and how short its leases are, so that nobody has to wait long for what comes after one.
import type { QueueFiles } from './act.ts'

export const ARCHIVE = { app: 'archive', queue: 'files' } as const

/** An application outside: it may put tasks in, and nothing else. */
export const PUBLISHER = { name: 'publisher', email: 'web@publisher.example', role: 'producer' } as const
/** The workers inside. */
export const WORKERS = { name: 'archive workers', email: 'worker@archive.example', role: 'worker' } as const

export const ATTEMPTS_MAX = 3
export const LEASE_SECONDS = 2

export const archiveQueueFiles: QueueFiles = {
  app: ARCHIVE.app,
  queues: `queue:
  - name: ${ARCHIVE.queue}
    mode: pull
    retry_parameters:
      task_retry_limit: ${ATTEMPTS_MAX}
    acl:
      - writer_email: ${PUBLISHER.email}
      - user_email: ${WORKERS.email}
`,
  settings: `queues:
  ${ARCHIVE.queue}:
    defaultLeaseSeconds: ${LEASE_SECONDS}
    backoff:
      minSeconds: 0.5
      maxSeconds: 1
`,
}

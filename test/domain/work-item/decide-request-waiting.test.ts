// What each command comes to while nobody runs a request: it waits for a worker of its contract or, where it broke off in middleware, for the next call with its id.
import { adds, all, nothing, refuses, whenState } from '../../support/given.ts'
import { directiveEnded, newDirective, NEXT_HOLDER, NOW, taskLeased, TERM_MS } from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { COMMANDS_OF_JOBS, COMMANDS_OF_LONG_TASKS, COMMANDS_OF_TASKS, NOBODY_HOLDS, NOT_COMPLETED, NOT_REPLIED_TO, REQUEST_AGAIN } from './rows.ts'

const cancelled: WorkItemEvent = { type: 'Cancelled', by: 'admin' }
const leased = (lease: number) => {
  const event = { lease, token: `${lease}.next`, holder: NEXT_HOLDER, until: NOW + TERM_MS }
  return { LeaseItem: adds(taskLeased(event)), 'LeaseItem, with a request id': adds(taskLeased({ ...event, requestId: 'request-1' })) }
}

const FREE_REQUEST = {
  ...COMMANDS_OF_JOBS,
  ...COMMANDS_OF_TASKS,
  ...COMMANDS_OF_LONG_TASKS,
  ...NOBODY_HOLDS,
  ...NOT_COMPLETED,
  ...NOT_REPLIED_TO,
  ...REQUEST_AGAIN,
  ...all(refuses('stale-lease'), 'Reply, current lease', 'Reply, other content', 'Reply, other lease', 'Reply, other principal'),
  'GiveDirective pause': adds(newDirective('pause', 1), directiveEnded('obeyed')),
  'GiveDirective resume': adds(newDirective('resume', 1), directiveEnded('obeyed')),
  'GiveDirective abort': adds(newDirective('abort', 1), directiveEnded('obeyed'), cancelled),
} as const

const PAUSED_BEFORE = {
  'GiveDirective pause': nothing,
  'GiveDirective resume': adds(newDirective('resume', 2), directiveEnded('obeyed', 2)),
  'GiveDirective abort': adds(newDirective('abort', 2), directiveEnded('obeyed', 2), cancelled),
} as const

whenState('request waiting', { ...FREE_REQUEST, ...leased(1) })

// Its first worker is fenced off: the lease that it believes in is nobody's.
whenState('request waiting again', { ...FREE_REQUEST, ...leased(2) })

whenState('request waiting, paused', { ...FREE_REQUEST, ...PAUSED_BEFORE })

whenState('request broken off in middleware', {
  ...FREE_REQUEST,
  'AcceptRequest, by middleware': adds(taskLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + TERM_MS })),
  'Interrupt, when its time has come': adds({ type: 'Failed', code: 'interrupted', message: 'Its execution broke off, and nobody asked for it again in time.' }),
})

// It came to nothing: the next call runs it; and that nothing was done is what is said when none comes.
whenState('request given back in middleware', {
  ...FREE_REQUEST,
  'ReleaseLease, current lease': nothing,
  'Interrupt, when its time has come': adds({
    type: 'Failed',
    code: 'given-back',
    message: 'Its execution was given back as having come to nothing, and nobody asked for it again in time.',
  }),
  'AcceptRequest, by middleware': adds(taskLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + TERM_MS })),
})

// Nobody may run it, so its time does not pass either.
whenState('request broken off in middleware, paused', { ...FREE_REQUEST, ...PAUSED_BEFORE })

// The parts of the bench in the order in which they run and stand on the page. Each is a program of its own beside this file.
export const parts = {
  appends: { title: 'The log', about: 'Events appended to the embedded store through its port, without HTTP, and read again.' },
  requests: { title: 'Commands over HTTP', about: 'One command a request, durable before it is answered; the callers are another process on the same machine.' },
  tasks: {
    title: 'Task queues',
    about: 'Tasks put and worked through the SDK, one call a task, each durable before it is answered. Producer and worker are one process, the server another.',
  },
  'task-latency': { title: 'How soon a worker has a task', about: 'A server that is nearly idle: a task comes or is given back while a worker waits.' },
  'task-depth': { title: 'Long queues, many workers', about: 'Up to a million tasks that wait in one queue, and a thousand workers that wait for one.' },
  'requests-once': {
    title: 'Exactly-once requests',
    about:
      'Request, handler and durable reply, and the same requests again, which are given what is stored: through the SDK, with caller, worker and server in a process each, and through the express middleware, whose callers are another process and cost little.',
  },
  cluster: {
    title: 'Several servers over one log',
    about:
      'One, two and three servers over one EventStoreDB, or over its double, in a process of its own, where none is named with `--store` or `STINT_BENCH_STORE`. Everything runs on the one machine, so this tells what sharing costs; what more machines bring it cannot tell.',
  },
  polls: { title: 'Polling for directives', about: 'What job servers do most: asking whether the administrator wants anything, and waiting for it.' },
  events: { title: 'The event stream', about: 'Server-sent events to one reader and to many.' },
  idle: { title: 'A server with nothing to do', about: 'Its start, its memory, and what it uses while job servers only wait.' },
  replay: { title: 'The log becomes state again', about: 'A full rebuild of what the engine holds in memory and of the tabular file, and the questions of a start.' },
  recovery: {
    title: 'After a crash',
    about: 'A log of a million events with 10,000 live jobs; the server is killed with SIGKILL while it is written to, and started again. What it had acknowledged is looked for.',
  },
} as const

export type PartName = keyof typeof parts

export const partNames = Object.keys(parts) as readonly PartName[]

export const isPart = (text: string): text is PartName => Object.hasOwn(parts, text)

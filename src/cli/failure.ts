// How a command of the command line can end badly: what people are told on stderr, and the exit code that scripts read (surface 18).
import { StintError, UnexpectedAnswer, Unreachable } from '../client/errors.ts'
import { problems, type ProblemCode } from '../wire/problems.ts'

export const EXIT = {
  ok: 0,
  /** The work that was asked about failed, or a check did. */
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  unreachable: 5,
  notAllowed: 6,
  /** A defect or a fault that only a restart cures (EX_SOFTWARE). */
  fault: 70,
  timeout: 124,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends the command with a message and an exit code; `advice` says what to do. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure'
  readonly exitCode: ExitCode
  readonly advice: string | undefined

  constructor(exitCode: ExitCode, message: string, advice?: string) {
    super(message)
    this.exitCode = exitCode
    this.advice = advice
  }
}

export const usage = (message: string, advice?: string): CliFailure => new CliFailure(EXIT.usage, message, advice)

export interface Described {
  readonly exitCode: ExitCode
  /** What stderr gets, the first line behind `stint: `. */
  readonly lines: readonly string[]
}

/** A server that is away, busy or restarts is waited for by what goes on for long; a refusal is not. */
export const mayPass = (cause: unknown): boolean =>
  cause instanceof Unreachable || (cause instanceof StintError && (cause.status === 503 || (cause.status === 429 && cause.code !== 'over-quota')))

const exitCodeOf = (status: number, code: string): ExitCode => {
  // The server takes what fits; this does not.
  if (code === 'over-quota') return EXIT.conflict
  if (status === 404 || status === 410) return EXIT.notFound
  if (status === 409 || status === 412 || status === 422) return EXIT.conflict
  if (status === 401 || status === 403) return EXIT.notAllowed
  if (status === 429 || status === 503) return EXIT.unreachable
  return status >= 500 ? EXIT.fault : EXIT.usage
}

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(problems, code)

/** What a path of the surface names, as people call it, and where those that exist are shown. */
const ABSENT: readonly (readonly [path: RegExp, what: (...parts: readonly string[]) => string, advice: (...parts: readonly string[]) => string])[] = [
  [/^\/v1\/jobs\/([^/?]+)/, (id) => `job ${id}`, () => '`stint jobs list` shows those there are; --label finds one by its label.'],
  [
    /^\/v1\/queues\/([^/?]+)\/([^/?]+)\/tasks\/([^/?]+)/,
    (app, queue, id) => `task ${id} in ${app}/${queue}`,
    (app, queue) => `\`stint tasks list -q ${app}/${queue}\` shows those there are.`,
  ],
  [/^\/v1\/queues\/([^/?]+)\/([^/?]+)/, (app, queue) => `queue ${app}/${queue}`, () => '`stint queues list` shows those there are; they stand in the queue files of the server.'],
  [
    /^\/v1\/contracts\/([^/?]+)\/requests\/([^/?]+)/,
    (contract, id) => `request ${id} of ${contract}`,
    (contract) => `\`stint requests list -c ${contract}\` shows those there are; --caller names whose it is.`,
  ],
  [/^\/v1\/contracts\/([^/?]+)/, (contract) => `contract ${contract}`, () => '`stint contracts list` shows those there are; `stint contracts put` sets one up.'],
  [/^\/v1\/long-tasks\/([^/?]+)/, (id) => `long task ${id}`, () => '`stint long-tasks list` shows those there are.'],
  [/^\/v1\/nodes\/([^/?]+)/, (node) => `node ${node}`, () => '`stint nodes list` shows those that are registered; a node registers itself when it starts.'],
  [/^\/v1\/tokens\/([^/?]+)/, (id) => `token ${id}`, () => '`stint tokens list` shows those there are.'],
]

const WORK_ITEM = '/v1/work-items/'

/** The path of a work item's own door, for one that was asked for by its global ID. */
const doorPath = (path: string): string => {
  if (!path.startsWith(WORK_ITEM)) return path
  const [workItem = ''] = path.slice(WORK_ITEM.length).split(/[/?]/)
  const [kind, ...segments] = decodeURIComponent(workItem).split('/')
  const [app, queue, id] = segments
  if (kind === 'request') return `/v1/contracts/${app}/requests/${id}`
  if (kind === 'long-task') return `/v1/long-tasks/${segments.join('/')}`
  return kind === 'task' ? `/v1/queues/${app}/${queue}/tasks/${id}` : `/v1/jobs/${segments.join('/')}`
}

const describeAbsence = (path: string): readonly string[] | undefined => {
  for (const [pattern, what, advice] of ABSENT) {
    const parts = pattern.exec(path)?.slice(1).map(decodeURIComponent)
    if (parts !== undefined) return [`There is no ${what(...parts)}.`, advice(...parts)]
  }
  return undefined
}

/** `/v1/queues/{app}/{queue}` of a path below it. */
const QUEUE_PATH = /^\/v1\/queues\/[^/?]+\/[^/?]+/

const absenceOf = ({ problem, code }: StintError): readonly string[] | undefined => {
  if (code !== 'not-found') return undefined
  const path = doorPath(problem.instance ?? '')
  if (problem.detail === undefined || /^No node .* is registered\.$/.test(problem.detail)) return describeAbsence(path)
  // Not even the queue is there, whatever was wanted in it.
  return problem.detail.startsWith('There is no queue ') ? describeAbsence(QUEUE_PATH.exec(path)?.[0] ?? '') : undefined
}

export const ADMIN_ADVICE = '`stint tokens add --role admin` makes a token for one. On a server without auth everybody is one who leaves --as out.'

const CONTRACT_PATH = /^\/v1\/contracts\/([^/?]+)/

/** Where the right that was missing is given, for a 403 that says which one it is. */
const rightsAdvice = ({ problem, code }: StintError): string | undefined => {
  const { detail = '', instance = '' } = problem
  if (code !== 'forbidden') return undefined
  const path = doorPath(instance)
  const [, app, queue] = /^\/v1\/queues\/([^/?]+)\/([^/?]+)/.exec(path)?.map(decodeURIComponent) ?? []
  if (app !== undefined && /(?:user|writer)_email/.test(detail))
    return `Who may stands under \`acl\` of ${queue} in apps/${app}/queue.yaml of the server's config directory: writer_email may insert, user_email may do the rest.`
  const [, contract] = CONTRACT_PATH.exec(path)?.map(decodeURIComponent) ?? []
  if (contract !== undefined && /`(?:callers|workers)`/.test(detail))
    return `Who may stands in \`callers\` and \`workers\` of the contract: an administrator sets them with PUT /v1/contracts/${contract}.`
  if (/\brole admin\b|[Oo]nly administrators/.test(detail)) return ADMIN_ADVICE
  return detail.startsWith('Expected the role ') ? '`stint tokens add --role ROLE` makes a token with a role.' : undefined
}

/** What to do, as people on a command line do it; else what the surface says of the code. */
const adviceOn = (refusal: StintError, known: { readonly advice: string }): string => {
  if (refusal.code === 'unknown-operation') return '`stint nodes list` shows what each node can run.'
  if (refusal.code === 'unauthenticated')
    return 'Set STINT_TOKEN, or give --token. The first start of `stint serve --auth tokens` prints one for an administrator; with it `stint tokens add` makes more.'
  return rightsAdvice(refusal) ?? known.advice
}

const describeRefusal = (refusal: StintError): Described => {
  const { problem, status, code } = refusal
  const absence = absenceOf(refusal)
  if (absence !== undefined) return { exitCode: EXIT.notFound, lines: absence }
  if (code === 'settled' && problem.state !== undefined) return { exitCode: EXIT.conflict, lines: [`It is settled already: ${problem.state}.`, 'Nothing more can be done to it.'] }

  const fields = (problem.errors ?? []).map(({ path, detail }) => `  ${path || '/'}: ${detail}`)
  const known = isProblemCode(code) ? problems[code] : undefined
  const which = problem.detail === undefined && status === 404 ? problem.instance : problem.detail
  const first = [problem.title ?? known?.title ?? code, fields.length > 0 ? undefined : which].filter((part) => part !== undefined && part !== '')
  return { exitCode: exitCodeOf(status, code), lines: [first.join(' '), ...fields, ...(known === undefined || fields.length > 0 ? [] : [adviceOn(refusal, known)])] }
}

/** The last of the causes: what the system said, without what the layers above made of it. */
const innermost = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  if (cause instanceof AggregateError && cause.errors.length > 0) return innermost(cause.errors[0])
  return cause.cause === undefined ? cause.message : innermost(cause.cause)
}

const originOf = (url: string): string => {
  try {
    return new URL(url).origin
  } catch {
    return url
  }
}

/** What went wrong as people read it. What nobody foresaw keeps its stack, because it is to be reported. */
export const describeFailure = (cause: unknown): Described => {
  if (cause instanceof CliFailure) return { exitCode: cause.exitCode, lines: [cause.message, ...(cause.advice === undefined ? [] : [cause.advice])] }
  if (cause instanceof StintError) return describeRefusal(cause)
  if (cause instanceof Unreachable && innermost(cause.cause) === 'bad port')
    return {
      exitCode: EXIT.usage,
      lines: [
        `Port ${new URL(cause.url).port} cannot be called: HTTP clients and browsers refuse it, because another protocol has it.`,
        'Start the server on another one (`stint serve --port 7070`), and name that with --url or STINT_URL.',
      ],
    }
  if (cause instanceof Unreachable)
    return {
      exitCode: EXIT.unreachable,
      lines: [
        `No answer from ${originOf(cause.url)}: ${innermost(cause.cause)}.`,
        'Is the server running (`stint serve`)? Does --url or STINT_URL name it? `stint doctor` looks closer.',
      ],
    }
  if (cause instanceof UnexpectedAnswer) return { exitCode: EXIT.unreachable, lines: [cause.message, 'Does --url or STINT_URL name a Stint server of this version?'] }
  return { exitCode: EXIT.fault, lines: [cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)] }
}

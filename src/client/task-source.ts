// The tasks of a queue for a worker: leased, extended and ended many in one exchange.
import { askTaskDirective, completeTask, extendTask, failTask, leaseBody, leaseTasks, releaseTask, reportTask, type CompletedBeside, type LeasedTask } from '../wire/tasks.ts'
import type { Route } from '../wire/route.ts'
import { fromBase64 } from './base64.ts'
import type { Handed } from './handed.ts'
import type { HeldItem } from './held-item.ts'
import type { CallOptions, Http } from './http.ts'
import { faceOf } from './job.ts'
import { bare, completed, isBare } from './outcomes.ts'
import type { QueueName } from './tasks.ts'
import { valid } from './validity.ts'
import type { PlainOutcome, Verb, WorkSource } from './work-source.ts'

/** Tasks in one exchange, at most. */
const TOGETHER_MAX = 1_000

/** What a handler of tasks is given. */
export interface WorkerTask<Payload = unknown> extends Handed {
  /** From 1; attempts that were given back do not count. */
  readonly attempt: number
  /** JSON as a value, everything else as a `Uint8Array`. */
  readonly payload: Payload
  readonly mediaType: string
  readonly tag: string | undefined
  readonly key: string | undefined
  readonly priority: number | undefined
}

export interface TaskSourceOptions extends QueueName {
  readonly leaseSeconds?: number | undefined
  readonly worker: string
  readonly tag?: string | undefined
  readonly sameTag?: boolean | undefined
}

const payloadOf = ({ payload, payloadBase64 }: LeasedTask): unknown => (payloadBase64 === undefined ? payload : fromBase64(payloadBase64))

export const handedTask = <Payload>(item: HeldItem<LeasedTask>, extend: Handed['extend']): WorkerTask<Payload> => {
  const { tag, key, priority, mediaType = 'application/json' } = item.leased
  return faceOf(item.held, { payload: payloadOf(item.leased) as Payload, mediaType, tag, key, priority, extend })
}

const textOf = ({ id, lease }: HeldItem, fields: object): string => JSON.stringify({ id, lease, ...fields })
const saidOf = (item: HeldItem, outcome: PlainOutcome): string => textOf(item, 'completed' in outcome ? outcome.completed : { failed: outcome.failed })

export const taskSource = (http: Http, { app, queue, ...asked }: TaskSourceOptions): WorkSource<LeasedTask> => {
  const params = { app, queue }
  const sending =
    <Body, Answer>(route: Route<QueueName, {}, Body, Answer>) =>
    (texts: readonly string[], beside: object | undefined, options: CallOptions) =>
      http.sendMany(route, texts, { ...options, params, beside })
  const send = { complete: sending(completeTask), fail: sending(failTask), release: sending(releaseTask) } as const satisfies Record<Verb, unknown>
  return {
    asks: valid(leaseBody, Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))),
    lease: (body, options) => http.exchange(leaseTasks, { ...options, params, body }),
    extend: (leases, options) =>
      http.callMany(
        extendTask,
        leases.map(([{ id, lease }, leaseSeconds]) => ({ id, lease, leaseSeconds })),
        { ...options, params },
      ),
    report: ({ id, lease }, report, options) => http.call(reportTask, { ...options, params: { ...params, id }, body: { lease, ...report } }),
    askDirective: ({ id }, options) => http.exchange(askTaskDirective, { ...options, params: { ...params, id } }),
    end: async (verb, endings, next, options) => {
      const texts = endings.map(({ text }) => text)
      const { items, beside } = await send[verb](texts, next === undefined ? undefined : { lease: next }, options)
      return { items, leased: (beside as CompletedBeside | undefined)?.leased }
    },
    togetherMax: { complete: TOGETHER_MAX, fail: TOGETHER_MAX, release: TOGETHER_MAX },
    extendedMax: TOGETHER_MAX,
    // While one exchange with completions is on its way, what ends meanwhile need not wait for it.
    exchangesMax: { complete: 2, fail: 1, release: 1 },
    completesApart: false,
    completed: (_item, value) => completed(value),
    endingOf: (item, outcome) => {
      const verb = 'completed' in outcome ? 'complete' : 'fail'
      return { item, verb, text: saidOf(item, outcome), ...(isBare(outcome) ? {} : { otherwise: { verb, text: saidOf(item, bare(outcome) as PlainOutcome) } }) }
    },
    release: (item, said) => ({ item, verb: 'release', text: textOf(item, said), otherwise: { verb: 'release', text: textOf(item, { reason: said.reason }) } }),
  }
}

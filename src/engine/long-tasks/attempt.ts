// One attempt to give an operation to its node, and what its answer means.
//
//   202 ─▶ taken · 200 with an outcome ─▶ taken and settled · 400 invalid, 409 other content, 422 unknown operation ─▶ failed · anything else ─▶ to be tried again
import * as E from 'fp-ts/lib/Either.js'
import { streamOf, type WorkItemId } from '../../domain/ids.ts'
import { StoreFault, type EventReader } from '../../store/port.ts'
import type { World } from '../../world.ts'
import { contentDigest } from '../digest.ts'
import type { CommandToDo, Context } from '../command.ts'
import type { Handler } from '../handle.ts'
import { idOf } from './messenger.ts'
import { answeredText, refusedOf, takenOf, type RefusedByNode } from './node-answers.ts'
import type { RegisteredNode } from './node-book.ts'
import type { NodeAnswer, NodeCalls, SentOperation } from './node-calls.ts'
import type { GivenOut } from './node-index.ts'
import { holderOf } from './synchroniser.ts'

export interface FailedAttempt {
  /** Nobody knows whether it has arrived, or the node does not take it now. */
  readonly type: 'failed'
  /** A sentence. */
  readonly detail: string
  /** The node may have taken it all the same. */
  readonly mayBeTaken: boolean
  /** The node asks not to be called for so long. */
  readonly leastMs?: number | undefined
}

/** `ended`: it was short, and answered with its outcome · `refused`: the node never will take it, and it has failed. */
export type Attempt = { readonly type: 'taken' | 'ended' | 'refused' } | FailedAttempt

/** Never rejects. */
export type AttemptAt = (workItem: WorkItemId, item: GivenOut, name: string, node: RegisteredNode) => Promise<Attempt>

const DETAIL_MAX = 500

/** Refusals by which a node says that it never will. */
const REFUSALS: ReadonlySet<string> = new Set(['400 invalid', '409 exists-with-other-content', '422 unknown-operation'])

/** What a node is told of an operation. */
const operationFor = (workItem: WorkItemId, item: GivenOut, payload: Uint8Array | undefined): SentOperation => {
  const { node, lease, operation, progressEveryMs, timeoutMs } = item.operation
  return {
    id: idOf(workItem),
    node,
    lease,
    operation,
    progressEverySeconds: progressEveryMs / 1_000,
    ...(payload === undefined ? {} : { args: JSON.parse(Buffer.from(payload).toString('utf8')) as unknown }),
    ...(timeoutMs === undefined ? {} : { timeoutAt: new Date(item.createdAt + timeoutMs).toISOString() }),
  }
}

const MESSAGE_MAX = 4_000

/** With the fields that the node found wrong: whoever reads only the message has to learn which they are. */
const failureOf = ({ code, detail, errors }: RefusedByNode, name: string): CommandToDo => ({
  type: 'FailOperation',
  code,
  message: (errors.length === 0 ? (detail ?? `The node ${name} has refused it.`) : errors.map((each) => `${each.path || '/'}: ${each.detail}`).join(' ')).slice(0, MESSAGE_MAX),
  ...(errors.length === 0 ? {} : { detail: { errors } }),
})

const failureIn = (status: number, json: unknown): string => (status === 200 ? 'It answered 200 without a sound outcome.' : answeredText(status, json))

export const createAttempts = (options: {
  readonly reader: Pick<EventReader, 'readStream'>
  readonly world: World
  readonly handler: Pick<Handler, 'execute'>
  readonly calls: Pick<NodeCalls, 'take'>
  /** A call to the node got no answer. */
  readonly onDoubt: (node: string) => void
  readonly onTrouble: (what: string, cause: unknown) => void
}): AttemptAt => {
  const { reader, world, handler, calls, onTrouble } = options

  const payloadOf = async (workItem: WorkItemId): Promise<Uint8Array | undefined> => {
    const read = await reader.readStream(streamOf(workItem), { from: 0, max: 1 })()
    if (E.isLeft(read)) throw read.left
    const [birth] = read.right
    if (birth === undefined) throw new StoreFault('damaged', `The stream of ${workItem} has no birth`)
    return birth.payload
  }

  const record = async (workItem: WorkItemId, command: CommandToDo, by: Omit<Context, 'commandId'>, type: 'taken' | 'ended' | 'refused'): Promise<Attempt> => {
    const done = await handler.execute(workItem, command, { ...by, commandId: world.uuid() })
    return E.isRight(done) ? { type } : { type: 'failed', detail: 'What its node answered could not be recorded.', mayBeTaken: true }
  }

  const judge = async (workItem: WorkItemId, item: GivenOut, name: string, node: RegisteredNode, answer: NodeAnswer): Promise<Attempt> => {
    if (answer.type === 'not-sent') return { type: 'failed', detail: answer.detail.slice(0, DETAIL_MAX), mayBeTaken: false }
    if (answer.type === 'no-answer') {
      options.onDoubt(name)
      return { type: 'failed', detail: answer.detail.slice(0, DETAIL_MAX), mayBeTaken: true }
    }
    const { status, json } = answer
    const own = { subject: 'stint', actor: 'stint' }
    const outcome = status === 200 || status === 202 ? takenOf(json)?.outcome : undefined
    const holder = holderOf(name, node)
    if (outcome !== undefined) {
      const said = { by: node.subject, lease: item.operation.lease, outcome, digest: contentDigest(outcome), takenBy: holder, retry: { pauseMs: 0 } }
      return record(workItem, { type: 'Report', ...said }, { subject: node.subject, actor: name }, 'ended')
    }
    if (status === 202) return record(workItem, { type: 'TakeOperation', holder }, own, 'taken')
    const refused = refusedOf(json)
    if (refused !== undefined && REFUSALS.has(`${status} ${refused.code}`)) return record(workItem, failureOf(refused, name), own, 'refused')
    return { type: 'failed', detail: failureIn(status, json), mayBeTaken: true, leastMs: answer.retryAfterMs }
  }

  return async (workItem, item, name, node) => {
    try {
      const sent = operationFor(workItem, item, await payloadOf(workItem))
      return await judge(workItem, item, name, node, await calls.take(node.facts, sent))
    } catch (cause) {
      onTrouble(`${workItem} could not be sent and will be tried again`, cause)
      return { type: 'failed', detail: 'This server could not send it.', mayBeTaken: true }
    }
  }
}

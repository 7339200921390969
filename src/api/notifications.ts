// News of work as server-sent events, for a listener that cannot be called: what the webhook of the queue is told, to those who may lease from it.
import type { ServerResponse } from 'node:http'
import * as E from 'fp-ts/lib/Either.js'
import { readyMessage, type Ready } from '../engine/queues/notifications.ts'
import type * as wire from '../wire/queues.ts'
import type { Call, Handle } from './call.ts'
import { createWarden, createWriter, STREAM_HEADERS, type Seats } from './event-stream.ts'
import { queueFor } from './permission.ts'
import { problem } from './problem.ts'

const readyText = (ready: Ready): string => `event: ready\ndata: ${JSON.stringify(readyMessage(ready))}\n\n`

const listen = async (call: Call, name: { readonly app: string; readonly queue: string }, res: ServerResponse): Promise<void> => {
  const warden = createWarden(call)
  const over = new AbortController()
  const mayListen = (): boolean => E.isRight(queueFor(call, name, 'consume'))
  const writer = createWriter(call, res, () => (mayListen() ? warden.check() : over.abort()))
  // A slow reader gets the last news alone: what was news before it is none any more.
  let next: Ready | undefined
  let isWriting = false
  const write = async (): Promise<void> => {
    isWriting = true
    for (let ready = next; ready !== undefined && !over.signal.aborted; ready = next) {
      next = undefined
      if (!mayListen() || !(await warden.mayGoOn())) over.abort()
      else await writer.write(readyText(ready))
      if (res.destroyed) over.abort()
    }
    isWriting = false
  }
  const unsubscribe = call.engine.notifications.subscribe(name, (ready) => {
    next = ready
    if (!isWriting) void write()
  })
  const ended = AbortSignal.any([warden.signal, over.signal])
  if (!ended.aborted) await new Promise<void>((resolve) => ended.addEventListener('abort', () => resolve(), { once: true }))
  unsubscribe()
  writer.end()
}

export const createListenToQueue =
  (seats: Seats): Handle<typeof wire.listenToQueue> =>
  ({ params }, call) => {
    const allowed = queueFor(call, params, 'consume')
    if (E.isLeft(allowed)) return allowed
    if (!seats.take(call)) return E.left(problem('overloaded', `There are ${seats.max} readers of event streams already.`))
    const stream = async (res: ServerResponse): Promise<void> => {
      res.flushHeaders()
      await listen(call, params, res)
    }
    return E.right({ status: 200, stream, headers: STREAM_HEADERS })
  }

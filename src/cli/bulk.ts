// Purging and redriving many tasks of a queue: asked about first, narrowed by filters, and followed to the end.
import { InvalidArgumentError, type Command } from 'commander'
import { StintError } from '../client/errors.ts'
import { purgeQueue, redriveQueue, showBulk, showQueue, type Bulk, type Queue } from '../wire/queues.ts'
import { pause } from '../world.ts'
import type { Context } from './context.ts'
import { parseDuration } from './duration.ts'
import { ADMIN_ADVICE, CliFailure, EXIT, mayPass } from './failure.ts'
import { printOne } from './output.ts'
import { present } from './payload.ts'
import { withProgress, type Step } from './progress.ts'
import { nameOf, type QueueName } from './task-lookup.ts'

type What = Bulk['what']

export interface BulkOptions {
  readonly tag?: string
  readonly key?: string
  readonly code?: string
  readonly insertedBefore?: (now: number) => string
  /** False with --no-wait. */
  readonly wait: boolean
}

/** A time, or how long before now. */
const beforeFlag = (text: string): ((now: number) => string) => {
  const agoMs = parseDuration(text)
  if (agoMs !== undefined) return (now) => new Date(now - agoMs).toISOString()
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('Expected a time like 2026-01-31T12:00:00Z, or an age like 2h or 7d.')
  return () => new Date(at).toISOString()
}

/** Adds the filters of a bulk and whether it is followed. */
export const withBulkOptions = (command: Command, what: What): Command => {
  command
    .option('--tag <tag>', 'only tasks with this tag')
    .option('--key <key>', 'only tasks with this key')
    .option('--inserted-before <time>', 'only tasks from before this time, or older than 2h, 7d …', beforeFlag)
  if (what === 'redrive') command.option('--code <code>', 'only dead letters that ended with this code')
  return command.option('--no-wait', 'do not wait for the end: the server goes on by itself')
}

const WORDS = {
  purge: { ask: 'Cancel', tasks: 'waiting task', done: 'cancelled', left: 'waiting' },
  redrive: { ask: 'Redrive', tasks: 'dead letter', done: 'redriven', left: 'dead letters' },
} as const satisfies Record<What, unknown>

/** How many tasks the bulk could be about, as far as the queue tells. */
const leftIn = (what: What, { waiting, delayed, statistics }: Queue): number => (what === 'purge' ? waiting + delayed : statistics.deadLetters)

const filterText = (filter: Bulk['filter']): string => {
  const { tag, key, code, insertedBefore } = filter
  const parts = [
    tag === undefined ? undefined : `tag ${tag}`,
    key === undefined ? undefined : `key ${key}`,
    code === undefined ? undefined : `code ${code}`,
    insertedBefore === undefined ? undefined : `inserted before ${insertedBefore}`,
  ].filter((part) => part !== undefined)
  return parts.length === 0 ? '' : ` with ${parts.join(', ')}`
}

const question = (what: What, queue: QueueName, filter: Bulk['filter'], count: number): string => {
  const { ask, tasks } = WORDS[what]
  const narrowed = filterText(filter)
  const meant = narrowed === '' ? `all ${count.toLocaleString('en')} ${tasks}${count === 1 ? '' : 's'} of ${nameOf(queue)}` : `the ${tasks}s of ${nameOf(queue)}${narrowed}`
  return `${ask} ${meant}?${what === 'purge' ? ' This is final.' : ''}`
}

const EVERY_MS = { first: 100, most: 1_000 } as const

/** Asks how far it is until it is over; undefined when it was interrupted, which does not stop the bulk. */
const follow = async (context: Context, queue: QueueName, begun: Bulk, atFirst: number, tell: (step: Step) => void): Promise<Bulk | undefined> => {
  const { http, world } = context
  const signal = context.interrupted()
  const { what } = begun
  const isWhole = filterText(begun.filter) === ''
  let bulk = begun
  for (let everyMs: number = EVERY_MS.first; !signal.aborted; everyMs = Math.min(EVERY_MS.most, everyMs * 1.5)) {
    try {
      bulk = await http.call(showBulk, { params: { ...queue, id: begun.id }, attemptsMax: 1 })
      if (bulk.state === 'finished') return bulk
      const left = leftIn(what, await http.call(showQueue, { params: queue, attemptsMax: 1 }))
      const fraction = isWhole && atFirst > 0 ? Math.max(0, 1 - left / atFirst) : undefined
      tell({ text: `${what} of ${nameOf(queue)}: ${left.toLocaleString('en')} ${WORDS[what].left}`, fraction })
    } catch (cause) {
      if (!mayPass(cause)) throw cause
      tell({ text: `${what} of ${nameOf(queue)}: the server does not answer; trying again` })
    }
    await pause(world, everyMs, signal)
  }
  return undefined
}

const told = (context: Context, queue: QueueName, bulk: Bulk): void => {
  if (context.format !== 'table') return printOne(context, bulk, [])
  const { what, done = 0, skipped = 0 } = bulk
  const skippedText = skipped === 0 ? '' : `, ${skipped.toLocaleString('en')} skipped because they had changed`
  context.out(bulk.state === 'running' ? `${nameOf(queue)}  ${what} ${bulk.id} under way` : `${nameOf(queue)}  ${done.toLocaleString('en')} ${WORDS[what].done}${skippedText}`)
}

/** The queue before it; whoever may not even look is no administrator, and that is what a bulk needs. */
const lookAt = async ({ http }: Context, what: What, queue: QueueName): Promise<Queue> => {
  try {
    return await http.call(showQueue, { params: queue })
  } catch (cause) {
    if (!(cause instanceof StintError) || cause.code !== 'forbidden') throw cause
    throw new CliFailure(EXIT.notAllowed, `You may not ${what} ${nameOf(queue)}: only administrators may.`, ADMIN_ADVICE)
  }
}

/** Begins a bulk, once that is confirmed, and follows it to its end. */
export const runBulk = async (context: Context, what: What, queue: QueueName, { insertedBefore, wait, ...filters }: BulkOptions): Promise<void> => {
  const { http, world, say } = context
  const { tag, key, code } = filters
  const filter = present({ tag, key, insertedBefore: insertedBefore?.(world.now()) })
  const wanted = { ...filter, ...present({ code }) }
  const atFirst = leftIn(what, await lookAt(context, what, queue))
  await context.confirm(question(what, queue, wanted, atFirst), 'insist')
  const given = { params: queue }
  const begun = what === 'purge' ? await http.call(purgeQueue, { ...given, body: filter }) : await http.call(redriveQueue, { ...given, body: wanted })
  const ended = wait ? await withProgress(context, (tell) => follow(context, queue, begun, atFirst, tell)) : undefined
  told(context, queue, ended ?? begun)
  if (ended === undefined) say(`It goes on in the server. \`stint queues show ${nameOf(queue)}\` tells when it is over.`)
}

// Purging and redriving many tasks (rules 25): begun and finished by events of the queue's stream, carried out item by item between them, and carried on after a restart.
import * as E from 'fp-ts/lib/Either.js'
import type { WorkItemId } from '../../domain/ids.ts'
import { queueKey } from '../../domain/queue/config.ts'
import { bulksUnderWay, type Bulk } from '../../domain/queue/state.ts'
import type { Tables } from '../../projections/tables.ts'
import type { EventReader } from '../../store/port.ts'
import { pause, type World } from '../../world.ts'
import type { Duties } from '../cluster/membership.ts'
import type { CommandToDo, Context } from '../command.ts'
import { uuidV5 } from '../envelope.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import { countBulk, isMeant } from './bulk-count.ts'
import type { QueueBook, QueueName } from './queue-book.ts'

/** Items asked for at once: enough to share commits, not so many that others wait. */
const AT_ONCE = 200
/** Rows read at once from the tables. */
const PAGE = 500
/** After a fault of the store a bulk goes on from where it is. */
const TRY_AGAIN_MS = 1_000
/** How often it is looked whether to stop, while the tables do not show yet what the bulk is about. */
const TABLES_WAIT_MS = 1_000

export interface Bulks {
  /** Carries on what is under way in this queue; resolves when it is over. Does nothing for what is carried on already. */
  readonly carryOn: (name: QueueName) => Promise<void>
  /** Stops what is under way between two batches; the next start carries it on. */
  readonly close: () => Promise<void>
}

export const createBulks = (options: {
  readonly reader: EventReader
  readonly book: QueueBook
  readonly live: Live
  readonly tables: Tables
  readonly handler: Handler
  readonly world: World
  readonly duties: Duties
  readonly onTrouble: (what: string, cause: unknown) => void
}): Bulks => {
  const { book, live, tables, handler, world } = options
  const closing = new AbortController()
  const isStopping = (): boolean => closing.signal.aborted
  const running = new Map<string, Promise<void>>()

  /** Waiting tasks of the queue that were there when the purge began and have not changed since. */
  const waitingTasks = function* (key: string, bulk: Bulk): Generator<WorkItemId> {
    for (const [workItem, { item, position }] of live.entries()) {
      if (item.task !== undefined && queueKey(item.task) === key && isMeant(bulk, item, position)) yield workItem
    }
  }

  const deadLetters = async function* (key: string, bulk: Bulk): AsyncGenerator<WorkItemId> {
    while (!(await tables.reached(bulk.upTo, TABLES_WAIT_MS))) if (isStopping()) return
    let after: string | undefined
    do {
      const page = await tables.list({ kind: 'task', scope: key, deadLetter: true, order: 'queue', limit: PAGE, after })
      if ('invalid' in page) return
      for (const { workItem, item, position } of page.items) if (isMeant(bulk, item, position)) yield workItem
      after = page.next
    } while (after !== undefined)
  }

  const one = async (workItem: WorkItemId, bulk: Bulk): Promise<void> => {
    const context: Context = { subject: bulk.by, actor: bulk.by, commandId: uuidV5(bulk.id, workItem), correlationId: bulk.id }
    const command: CommandToDo = bulk.what === 'purge' ? { type: 'DeleteTask', by: bulk.by } : { type: 'Redrive', by: bulk.by }
    // A task that was leased since it was looked at is somebody's work by now.
    const done = await handler.executeUnless(() => bulk.what === 'purge' && live.get(workItem)?.item.status !== 'waiting', workItem, command, context)
    if (E.isLeft(done) && done.left instanceof Error) throw done.left
  }

  const carryOut = async (name: QueueName, bulk: Bulk): Promise<void> => {
    const key = queueKey(name)
    let batch: WorkItemId[] = []
    const flush = async (): Promise<void> => {
      await Promise.all(batch.map((workItem) => one(workItem, bulk)))
      batch = []
    }
    const candidates: Iterable<WorkItemId> | AsyncIterable<WorkItemId> = bulk.what === 'purge' ? waitingTasks(key, bulk) : deadLetters(key, bulk)
    for await (const workItem of candidates) {
      if (isStopping()) return
      batch.push(workItem)
      if (batch.length >= AT_ONCE) await flush()
    }
    await flush()
    const count = await countBulk(options.reader, name, bulk, isStopping)
    if (count === undefined || isStopping()) return
    const context: Context = { subject: 'stint', actor: 'stint', commandId: uuidV5(bulk.id, 'finished'), correlationId: bulk.id }
    const finished = await book.execute(name, { type: 'FinishBulk', id: bulk.id, ...count }, context)
    if (E.isLeft(finished) && finished.left instanceof Error) throw finished.left
  }

  const untilDone = async (name: QueueName, bulk: Bulk): Promise<void> => {
    while (!isStopping()) {
      try {
        return await carryOut(name, bulk)
      } catch (cause) {
        options.onTrouble(`The ${bulk.what} ${bulk.id} of ${queueKey(name)} was held up and will go on`, cause)
        await pause(world, TRY_AGAIN_MS, closing.signal)
      }
    }
  }

  const carryOn: Bulks['carryOn'] = async (name) => {
    if (!options.duties.isMine(`bulks ${queueKey(name)}`)) return
    await Promise.all(
      bulksUnderWay(book.get(queueKey(name))).map((bulk) => {
        const known = running.get(bulk.id)
        if (known !== undefined) return known
        const run = untilDone(name, bulk).finally(() => running.delete(bulk.id))
        running.set(bulk.id, run)
        return run
      }),
    )
  }

  return {
    carryOn,
    close: async () => {
      closing.abort()
      await Promise.all(running.values())
    },
  }
}

// Naming queues and tasks: `-q APP/QUEUE` says which queue, for every verb; a task's global ID, as events and histories show it, names its queue by itself.
import { InvalidArgumentError, type Command } from 'commander'
import * as E from 'fp-ts/lib/Either.js'
import { appName, queueName } from '../wire/queues.ts'
import { queueOfTask, taskId } from '../wire/words.ts'
import { usage } from './failure.ts'
import { taskIdOf } from './ids.ts'
import { meantBy, type Meant } from './item.ts'

export interface QueueName {
  readonly app: string
  readonly queue: string
}

/** As it is written on the command line. */
export const nameOf = ({ app, queue }: QueueName): string => `${app}/${queue}`

/** A queue on a flag or as an argument. */
export const queueFlag = (text: string): QueueName => {
  const [app, queue, ...more] = text.split('/')
  if (E.isLeft(appName.decode(app)) || E.isLeft(queueName.decode(queue)) || more.length > 0)
    throw new InvalidArgumentError(
      'Expected APP/QUEUE, for instance shop/mails. APP has small letters, digits, dots, colons and hyphens; QUEUE has letters, digits and hyphens; 100 of them at most.',
    )
  return { app: app ?? '', queue: queue ?? '' }
}

export interface OfQueue {
  readonly queue: QueueName
}

export interface OfTask {
  readonly queue?: QueueName
}

/** Adds the queue that a verb is about. */
export const inQueue = (command: Command): Command => command.requiredOption('-q, --queue <app/queue>', 'the queue', queueFlag)

/** Adds the task that a verb is about. */
export const oneTask = (command: Command): Command =>
  command
    .argument('<id>', 'id of the task in the queue, or its global ID task/APP/QUEUE/ID alone')
    .option('-q, --queue <app/queue>', 'the queue, unless the id is global', queueFlag)

export interface MeantTask extends Meant, OfQueue {}

const PREFIX = 'task/'

/** The task that is named. */
export const taskNamed = ({ queue: given }: OfTask, id: string): MeantTask => {
  if (id.startsWith(PREFIX)) {
    const meant = meantBy(id)
    const queue = queueOfTask(id)
    if (meant === undefined || queue === undefined) throw usage(`"${id}" cannot be the global ID of a task.`, 'It is task/APP/QUEUE/ID, as `stint events list` shows it.')
    if (given !== undefined && nameOf(given) !== nameOf(queue)) throw usage(`${id} is not in ${nameOf(given)}.`, 'A global ID names its queue by itself: leave -q out.')
    return { ...meant, queue }
  }
  if (given === undefined) throw usage('Expected the queue of the task: -q APP/QUEUE.', '`stint queues list` shows them. A global ID task/APP/QUEUE/ID needs none.')
  const found = taskIdOf(id)
  return { kind: 'task', id: found, queue: given, workItem: taskId(given.app, given.queue, found) }
}

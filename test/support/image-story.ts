// What happens to long tasks on disk images when everything goes wrong at once; a test plays it with small images, the bench with large ones.
import { CompressImage, CopyImage, MakeImage } from '../../examples/disk-images/images.ts'
import { NotCompleted, type Dispatched, type HistoryEvent, type LongTaskShown, type NotCompletedOutcome } from '../../src/client/index.ts'
import { NODES, type Yard } from './image-yard.ts'

/** The image that each node has, the same on all of them. */
export const IMAGE = 'image.img'

/** The long task once it is so. */
export const when = async (task: Dispatched, isSo: (shown: LongTaskShown) => boolean): Promise<LongTaskShown> => {
  for await (const shown of task.watch()) if (isSo(shown)) return shown
  throw new Error(`${task.id} settled otherwise: ${JSON.stringify(await task.show())}`)
}

/** In the middle of what takes long. */
export const underWay = (task: Dispatched): Promise<LongTaskShown> => when(task, ({ progress }) => (progress?.done ?? 0) > 0)

/** The first event of this type of the long task, past or to come. */
export const eventOf = async ({ events }: Pick<Yard, 'events'>, task: Dispatched, type: string): Promise<HistoryEvent> => {
  const [event] = await events.until((each) => each.workItem === `long-task/${task.id}` && each.type === type)
  if (event === undefined) throw new Error('Expected one event')
  return event
}

/** How it ended otherwise than by completing. */
export const endOf = (task: Dispatched): Promise<NotCompletedOutcome> =>
  task.result().then(
    (result) => {
      throw new Error(`Expected ${task.id} not to complete, but it did: ${JSON.stringify(result)}`)
    },
    (thrown: unknown) => {
      if (thrown instanceof NotCompleted) return thrown.outcome
      throw thrown
    },
  )

export interface Pace {
  /** Of a copy that is not to be slow. */
  readonly bytesPerSecond: number
  /** Of one that does not come to its end in the time that it has. */
  readonly slowBytesPerSecond: number
  /** Time of the two that have little: longer than it takes to cut a node off, shorter than a copy at either pace. */
  readonly timeoutSeconds: number
  /** Interval of reports; a node that is silent for three is lost. */
  readonly progressEverySeconds: number
}

export const makeImages = (yard: Yard, bytes: number): Promise<unknown> =>
  Promise.all(NODES.map(async (node) => (await yard.management.dispatch(new MakeImage({ name: IMAGE, bytes, seed: 'one' }), { node })).result()))

type Copied = Awaited<ReturnType<CopyImage['run']>>

export interface Trouble {
  /** On the node that was killed. */
  readonly resumed: Copied
  readonly interrupted: NotCompletedOutcome
  /** Dispatched while it was dead. */
  readonly meanwhile: Copied
  /** On the node that was cut off. */
  readonly cutOff: Copied
  /** It had no time left there, and was completed all the same. */
  readonly overdue: NotCompletedOutcome
  readonly overdueLate: HistoryEvent
  /** On the node to which nothing happened. */
  readonly unhurt: Copied
  /** It was too slow for its timeout. */
  readonly tooSlow: NotCompletedOutcome
  readonly tooSlowLate: HistoryEvent
}

/** The first node is killed, the second cut off, the third too slow, and Stint is killed meanwhile; then all of it is put right. `tag` keeps the names of files apart. */
export const everythingAtOnce = async (yard: Yard, tag: string, { bytesPerSecond, slowBytesPerSecond, timeoutSeconds, progressEverySeconds }: Pace): Promise<Trouble> => {
  const [dead, cut, slow] = [yard.seat('disk-1'), yard.seat('disk-2'), yard.seat('disk-3')]
  const copy = (node: string, name: string, more: { readonly timeoutSeconds?: number } = {}, pace = bytesPerSecond) =>
    yard.management.dispatch(new CopyImage({ from: IMAGE, to: `${tag}-${name}.img`, bytesPerSecond: pace }), { node, progressEverySeconds, ...more })
  const pack = new CompressImage({ from: IMAGE, to: `${tag}-interrupted.zst`, bytesPerSecond })

  const [resumed, cutOff, unhurt] = await Promise.all([copy(dead.name, 'resumed'), copy(cut.name, 'cut-off'), copy(slow.name, 'unhurt')])
  const interrupted = await yard.management.dispatch(pack, { node: dead.name, progressEverySeconds })
  await Promise.all([resumed, cutOff, unhurt, interrupted].map(underWay))
  const [overdue, tooSlow] = await Promise.all([copy(cut.name, 'overdue', { timeoutSeconds }), copy(slow.name, 'too-slow', { timeoutSeconds }, slowBytesPerSecond)])
  await Promise.all([overdue, tooSlow].map((task) => eventOf(yard, task, 'Leased')))
  await dead.kill()
  cut.become('half-open')
  await yard.killStint()
  // Two nodes work on, and nobody hears of it.
  await Promise.all([cut.ran(({ id, what }) => id === overdue.id && what === 'completed'), slow.ran(({ id, what }) => id === unhurt.id && what === 'completed')])

  await yard.startStint()
  const meanwhile = await copy(dead.name, 'meanwhile')
  await Promise.all([overdue, tooSlow].map((task) => eventOf(yard, task, 'TimedOut')))
  await dead.start()
  cut.become('good')
  return {
    resumed: await resumed.result(),
    interrupted: await endOf(interrupted),
    meanwhile: await meanwhile.result(),
    cutOff: await cutOff.result(),
    overdue: await endOf(overdue),
    overdueLate: await eventOf(yard, overdue, 'LateResultRecorded'),
    unhurt: await unhurt.result(),
    tooSlow: await endOf(tooSlow),
    tooSlowLate: await eventOf(yard, tooSlow, 'LateResultRecorded'),
  }
}

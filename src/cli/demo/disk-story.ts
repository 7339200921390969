// The story of the long tasks in five scenes. Each scene does something to the cast, waits until what must follow is seen, and checks what it claims.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LongTaskShown, Management } from '../../client/index.ts'
import { pause, type World } from '../../world.ts'
import { formatDuration } from '../duration.ts'
import { isSettled } from '../look.ts'
import { bytesText } from '../bytes.ts'
import type { Claims } from './claims.ts'
import { DISKS, type DiskCast, type DiskSeat } from './disk-cast.ts'
import { BuildImage, CopyImage, PackImage } from './disk-images.ts'
import type { DiskLookout } from './disk-lookout.ts'
import type { Stage } from './stage.ts'
import type { StintSeat } from './stint-seat.ts'

export interface DiskTelling {
  readonly world: World
  readonly management: Management
  readonly seat: StintSeat
  readonly cast: DiskCast
  readonly stage: Stage
  readonly lookout: DiskLookout
  readonly claims: Claims
  readonly breathMs: number
  readonly interrupted: AbortSignal
  readonly title: (number: number, text: string) => string
  /** Images are filled with what is below it. */
  readonly root: string
  readonly imageBytes: number
  /** What a copy would take if nothing happened to it. */
  readonly copySeconds: number
}

export const DISK_SCENES = 5
export const IMAGE = 'image.img'
/** How long the one that is too slow has, and how long a quick one takes. */
const TIMEOUT_SECONDS = 4
const QUICK_SECONDS = 2

const breath = ({ world, breathMs, interrupted }: DiskTelling): Promise<void> => pause(world, breathMs, interrupted)
const plural = (count: number, word: string): string => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`

const stateOf = ({ lookout }: DiskTelling, id: string): LongTaskShown['state'] | undefined => lookout.task(id)?.state
const isRunning = ({ lookout }: DiskTelling, id: string): boolean => lookout.task(id)?.state === 'running' && (lookout.task(id)?.progress?.done ?? 0) > 0

const copy = async (
  { management, imageBytes, copySeconds }: DiskTelling,
  { name }: DiskSeat,
  what: string,
  how: { readonly seconds?: number; readonly timeoutSeconds?: number } = {},
) => {
  const id = `${name}-${what}`
  const operation = new CopyImage({ from: IMAGE, to: `${what}.img`, bytesPerSecond: imageBytes / (how.seconds ?? copySeconds) })
  await management.dispatch(operation, { node: name, id, timeoutSeconds: how.timeoutSeconds })
  return id
}

const pack = async ({ management, imageBytes, copySeconds }: DiskTelling, { name }: DiskSeat) => {
  const id = `${name}-pack`
  await management.dispatch(new PackImage({ from: IMAGE, to: 'pack.img.gz', bytesPerSecond: imageBytes / copySeconds }), { node: name, id })
  return id
}

/** Scene 1: operations are given to nodes, and all of them are seen in one place. */
export const operationsAreGiven = async (telling: DiskTelling): Promise<void> => {
  const { stage, lookout, cast, claims, management, root, imageBytes } = telling
  stage.scene({
    title: telling.title(1, 'Operations are given to nodes'),
    look: [
      `The manager has each node build an image of ${bytesText(imageBytes)} from files below ${root}, then copy it; one packs it, too.`,
      'Look: each was recorded before it was sent. Under each node what it does, with its progress, its rate and the time that is left.',
    ],
  })
  await Promise.all(DISKS.map(async (node) => (await management.dispatch(new BuildImage({ root, to: IMAGE, bytes: imageBytes }), { node, id: `${node}-build` })).result()))
  const ids = await Promise.all([...cast.seats.map((seat) => copy(telling, seat, 'copy')), pack(telling, cast.seat('disk-1'))])
  await lookout.until('all of them to run', () => ids.every((id) => isRunning(telling, id)))
  claims.check(
    'Every operation runs on the node that it was given to, and is seen with its progress.',
    lookout.tasks().every(({ id, node }) => id.startsWith(node)) && lookout.nodes().every(({ health }) => health === 'up'),
    `${plural(DISKS.length, 'image')} built, ${plural(ids.length, 'operation')} running on ${plural(lookout.nodes().length, 'node')}`,
  )
  await breath(telling)
}

/** Scene 2: a node is killed; what it had is lost, then gone on with, or failed. */
export const aNodeDies = async (telling: DiskTelling): Promise<void> => {
  const { stage, lookout, cast, claims, world } = telling
  const victim = cast.seat('disk-1')
  const victims = ['copy', 'pack'].map((what) => `${victim.name}-${what}`)
  const { pid } = victim.child()
  const killedAt = world.monotonic()
  await victim.kill()
  stage.scene({
    title: telling.title(2, 'A node dies'),
    look: [
      `kill -9 ${pid}: ${victim.name} is gone, with a copy and a packing half done.`,
      'Look: after three intervals of silence they are lost. Nobody guesses what has become of them.',
    ],
  })
  await lookout.until('its operations to be lost', () => victims.every((id) => stateOf(telling, id) === 'lost'))
  const isLost = victims.every((id) => stateOf(telling, id) === 'lost')
  claims.check('What the dead node had is shown as lost, and not as failed.', isLost, `${formatDuration(world.monotonic() - killedAt)} after the kill`)
  await breath(telling)
  await victim.restart()
  stage.scene({
    title: telling.title(2, 'A node dies, and comes back'),
    look: [
      `A new ${victim.name} (pid ${victim.child().pid}) finds its list in its own log: the copy is gone on with from what is on disk; the packing cannot be, and fails, as its class says.`,
      'Look: the copy runs again; what is on disk is checked in no time.',
    ],
  })
  const [copied = '', packed = ''] = victims
  await lookout.until('the copy to run again', () => isRunning(telling, copied) || stateOf(telling, copied) === 'completed')
  await lookout.until('the packing to fail', () => isSettled(stateOf(telling, packed) ?? 'running'))
  const failed = lookout.task(packed)?.outcome
  claims.check(
    'The copy goes on; what cannot be gone on with has failed as its class says.',
    failed !== undefined && 'failed' in failed && failed.failed.code === 'interrupted',
    'code interrupted',
  )
  await breath(telling)
}

/** Scene 3: a node stands still for longer than an operation has time. */
export const aNodeStandsStill = async (telling: DiskTelling): Promise<void> => {
  const { stage, lookout, cast, claims } = telling
  const sleeper = cast.seat('disk-2')
  const copied = await copy(telling, sleeper, 'long')
  const late = await copy(telling, sleeper, 'late', { timeoutSeconds: TIMEOUT_SECONDS, seconds: telling.copySeconds * 2 })
  await lookout.until('both to run', () => isRunning(telling, copied) && isRunning(telling, late))
  sleeper.child().suspend()
  stage.scene({
    title: telling.title(3, 'A node stands still'),
    look: [
      `${sleeper.name} is suspended, as if its machine were asleep. One of its copies has ${TIMEOUT_SECONDS} s in all, and will not make it.`,
      'Look: both are lost; one is timed out, though its node may still be at it.',
    ],
  })
  await lookout.until('it to time out', () => stateOf(telling, late) === 'timedOut')
  await lookout.until('the other to be lost', () => stateOf(telling, copied) === 'lost')
  await breath(telling)
  sleeper.child().resume()
  await lookout.until('it to go on', () => stateOf(telling, copied) === 'running' || stateOf(telling, copied) === 'completed')
  claims.check('What was lost is found when its node wakes up, and goes on under the same lease.', lookout.task(copied)?.attempt === 1, copied)
  await lookout.until('the late result', () => lookout.task(late)?.lateOutcome !== undefined)
  const { state, lateOutcome } = lookout.task(late) ?? {}
  claims.check(
    'The node was told to stop the one that was too late; what came of it is kept, and changes nothing.',
    state === 'timedOut' && lateOutcome !== undefined && 'aborted' in lateOutcome,
    `${late}: ${state}`,
  )
  await breath(telling)
}

const writtenBytes = ({ directory }: DiskSeat, name: string): number => {
  const [whole, part] = [join(directory, name), join(directory, `${name}.part`)]
  return existsSync(whole) ? statSync(whole).size : existsSync(part) ? statSync(part).size : 0
}

const WATCHED_EVERY_MS = 200

/** Scene 4: Stint itself is killed. Nodes work on; after its restart they tell what they have done. */
export const stintIsKilled = async (telling: DiskTelling): Promise<void> => {
  const { stage, lookout, cast, claims, seat, world, interrupted } = telling
  const worker = cast.seat('disk-3')
  const quick = await copy(telling, worker, 'quick', { seconds: QUICK_SECONDS })
  await lookout.until('it to be taken', () => stateOf(telling, quick) === 'running' || stateOf(telling, quick) === 'completed')
  const known = lookout.tasks().map(({ id }) => id)
  const { pid } = seat.child()
  await seat.kill()
  stage.scene({
    title: telling.title(4, 'Stint dies'),
    look: [`kill -9 ${pid}: Stint itself is gone. The nodes do not wait for it.`, 'Look: the board stands still, the work does not.'],
  })
  const diedAt = world.monotonic()
  while (!existsSync(join(worker.directory, 'quick.img')) && !interrupted.aborted) {
    stage.hint(`Stint is dead for ${formatDuration(world.monotonic() - diedAt)}. On the disk of ${worker.name} quick.img has ${bytesText(writtenBytes(worker, 'quick.img'))}.`)
    await pause(world, WATCHED_EVERY_MS, interrupted)
  }
  stage.hint(undefined)
  claims.check('A node brought an operation to its end without Stint.', existsSync(join(worker.directory, 'quick.img')), `${bytesText(writtenBytes(worker, 'quick.img'))} copied`)
  const began = world.monotonic()
  await seat.restart()
  const backMs = world.monotonic() - began
  stage.scene({
    title: telling.title(4, 'Stint dies, and comes back'),
    look: [
      `Stint (pid ${seat.child().pid}) serves again after ${formatDuration(backMs)}, asks each node for its list, and is told what was done meanwhile.`,
      'Look: nothing is forgotten, and nothing is begun twice.',
    ],
  })
  await lookout.until('the node to tell', () => !lookout.isBlind() && stateOf(telling, quick) === 'completed')
  claims.check(
    'What ended meanwhile was told, and no long task is forgotten.',
    known.every((id) => lookout.task(id) !== undefined),
    `${plural(known.length, 'long task')} known before and after`,
  )
  await breath(telling)
}

/** Scene 5: everything comes to its end. */
export const allIsDone = async ({ stage, lookout, title }: DiskTelling): Promise<void> => {
  stage.scene({ title: title(5, 'Everything comes to its end'), look: ['The last operations end.', 'Look: nothing is left running, lost or forgotten.'] })
  await lookout.until('all of them to end', () => lookout.tasks().every(({ state }) => isSettled(state)))
}

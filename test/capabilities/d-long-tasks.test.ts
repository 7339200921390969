// Long tasks with real processes: Stint and three implementation nodes that make, copy, hash and pack real disk images. A node is killed, one is cut off in every way, one is too slow,
// and Stint itself is killed during all of it; in the end the table says what the nodes did.
import { createHash } from 'node:crypto'
import { readFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CompressImage, CopyImage, HashImage, ListImages } from '../../examples/disk-images/images.ts'
import type { Dispatched, HistoryEvent, LongTaskShown } from '../../src/client/index.ts'
import { endOf, eventOf, everythingAtOnce, IMAGE, makeImages, underWay } from '../support/image-story.ts'
import { isSound, NODES, openYard, type Judgement, type Seat, type Yard } from '../support/image-yard.ts'

const TIMEOUT_MS = 120_000
const MEGABYTE = 1_000_000
const BYTES = 24 * MEGABYTE
/** So that a copy takes some seconds, in which something can happen to it. */
const PACE = { bytesPerSecond: 6 * MEGABYTE }
/** A block takes minutes. */
const CRAWL = { bytesPerSecond: 4_096 }
/** Silent for three of these, a node is lost. */
const TIMING = { progressEverySeconds: 0.5 }

let yard: Yard
let copies = 0
/** The same image on each node: what becomes of it can be compared everywhere. */
let sha256 = ''

const dispatch = <Operation extends object>(
  node: string,
  operation: Operation,
  more: { readonly id?: string; readonly timeoutSeconds?: number; readonly stalledAfterSeconds?: number } = {},
) => yard.management.dispatch(operation, { node, ...TIMING, ...more })
const copy = (node: string, how: { readonly bytesPerSecond?: number } = PACE, more: { readonly timeoutSeconds?: number; readonly stalledAfterSeconds?: number } = {}) =>
  dispatch(node, new CopyImage({ from: IMAGE, to: `copy-${(copies += 1)}.img`, ...how }), more)
const pack = (node: string) => dispatch(node, new CompressImage({ from: IMAGE, to: `packed-${(copies += 1)}.zst`, ...PACE }))
const hash = (node: string, name = IMAGE, how: { readonly bytesPerSecond?: number } = PACE) => dispatch(node, new HashImage({ name, ...how }))

const historyOf = async (task: Dispatched): Promise<readonly HistoryEvent[]> => (await yard.stint.longTasks.history(task.id, { limit: 1_000 })).items
const typesOf = async (task: Dispatched): Promise<readonly string[]> => (await historyOf(task)).map(({ type }) => type)
const runsOf = ({ runs }: Seat, { id }: Dispatched) => runs().get(id) ?? []
const begun = (seat: Seat, task: Dispatched): number => runsOf(seat, task).filter(({ what }) => what === 'began').length
const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const isDown = async (node: string): Promise<void> => {
  while ((await yard.stint.nodes.show(node)).health !== 'down') await yard.stint.longTasks.list({ limit: 1 })
}

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stint-d-long-tasks-'))
  yard = await openYard(folder)
}, TIMEOUT_MS)

afterAll(async () => {
  await yard.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('when three nodes work on disk images', { timeout: TIMEOUT_MS }, () => {
  it('has each made, copied, hashed and packed, and every result back', async () => {
    await makeImages(yard, BYTES)
    ;({ sha256 } = await (await hash('disk-1', IMAGE, {})).result())
    const tasks = await Promise.all(NODES.flatMap((node) => [copy(node), pack(node), hash(node)]))
    const results = await Promise.all(tasks.map((task) => task.result()))
    expect(results.filter((result) => 'sha256' in result)).toEqual(NODES.map(() => ({ sha256 })))
    for (const node of NODES) {
      const { directory } = yard.seat(node)
      expect(sha256Of(readFileSync(join(directory, IMAGE)))).toBe(sha256)
    }
    const { items } = await yard.stint.longTasks.list({ node: 'disk-1', state: 'completed' })
    expect(items.map(({ operation, progress }) => [operation, progress?.done])).toEqual(
      ['HashImage', 'CompressImage', 'CopyImage', 'HashImage', 'MakeImage'].map((each) => [each, BYTES]),
    )
  })

  it('answers a short operation at once, without a place on the list', async () => {
    const list = await dispatch('disk-3', new ListImages())
    expect(await list.result()).toContainEqual({ name: IMAGE, bytes: BYTES })
    expect(await typesOf(list)).toEqual(['OperationDispatched', 'Leased', 'Completed'])
  })

  it('refuses an operation that the node does not know, and fails one whose arguments it does not take, by field', async () => {
    const unknown = yard.management.dispatch({ operation: 'FormatDisk' }, { node: 'disk-1' })
    await expect(unknown).rejects.toMatchObject({ code: 'unknown-operation', status: 422, message: expect.stringContaining('MakeImage, CopyImage, HashImage') as unknown })
    const wrong = await yard.management.dispatch({ operation: 'CopyImage', args: { from: '../secret', to: 'copy.img' } }, { node: 'disk-1' })
    expect(await endOf(wrong)).toMatchObject({ failed: { code: 'invalid', detail: { errors: [{ path: '/args/from' }] } } })
  })

  it('parks one at its next checkpoint, and lets it go on', async () => {
    const task = await copy('disk-3')
    await underWay(task)
    await task.pause('the disk is needed')
    await eventOf(yard, task, 'Paused')
    expect(await task.show()).toMatchObject({ state: 'paused', receipt: { resolution: 'obeyed' } })
    await task.resume()
    await eventOf(yard, task, 'Resumed')
    expect(await task.result()).toEqual({ bytes: BYTES, keptBytes: 0 })
  })
})

describe('when a node is killed in the middle', { timeout: TIMEOUT_MS }, () => {
  it('shows what it had as lost, and its new process goes on from what is on disk, or fails it, as the class says', async () => {
    const seat = yard.seat('disk-1')
    const [copying, hashing, packing] = await Promise.all([copy(seat.name), hash(seat.name), pack(seat.name)])
    const tasks: readonly Dispatched[] = [copying, hashing, packing]
    await Promise.all(tasks.map(underWay))
    await seat.kill()
    await Promise.all(tasks.map((task) => eventOf(yard, task, 'HolderLost')))
    for (const task of tasks) expect((await task.show()).state).toBe('lost')

    await seat.start()
    const { keptBytes, bytes } = await copying.result()
    expect(bytes).toBe(BYTES)
    expect(keptBytes).toBeGreaterThan(0)
    expect(await hashing.result()).toEqual({ sha256 })
    expect(await endOf(packing)).toMatchObject({ failed: { code: 'interrupted' } })
    expect(runsOf(seat, copying).map(({ attempt, what }) => [attempt, what])).toEqual([
      [1, 'began'],
      [2, 'began'],
      [2, 'completed'],
    ])
    expect(runsOf(seat, packing).map(({ what }) => what)).toEqual(['began'])
    // Under the lease that was fixed at its birth, all the time.
    expect((await typesOf(copying)).filter((type) => type === 'Leased')).toHaveLength(1)
  })
})

describe('when a node is cut off', { timeout: TIMEOUT_MS }, () => {
  it('and answers get lost, it takes each operation once, however often it is sent', async () => {
    const seat = yard.seat('disk-2')
    const [toNode] = seat.lines
    toNode?.become('deaf')
    const task = await copy(seat.name)
    await toNode?.harmed('deaf', 2)
    toNode?.become('good')
    expect(await task.result()).toEqual({ bytes: BYTES, keptBytes: 0 })
    expect(begun(seat, task)).toBe(1)
    expect((await typesOf(task)).filter((type) => type === 'Leased')).toHaveLength(1)
  })

  it('and its reports are heard while their answers get lost, says each thing once', async () => {
    const seat = yard.seat('disk-2')
    const [, toStint] = seat.lines
    const task = await copy(seat.name)
    await underWay(task)
    toStint?.become('deaf')
    await toStint?.harmed('deaf', 3)
    toStint?.become('good')
    expect(await task.result()).toEqual({ bytes: BYTES, keptBytes: 0 })
    const told = (await historyOf(task))
      .filter(({ type }) => type === 'ProgressReported')
      .map(({ data }) => (data as { readonly progress: { readonly done: number } }).progress.done)
    expect(told).toEqual([...new Set(told)].toSorted((a, b) => a - b))
    expect((await typesOf(task)).filter((type) => type === 'Completed' || type === 'LateResultRecorded')).toEqual(['Completed'])
  })

  it('and everything is late, goes on all the same', async () => {
    const seat = yard.seat('disk-2')
    seat.become('slow')
    const task = await copy(seat.name)
    await underWay(task)
    expect(await task.result()).toEqual({ bytes: BYTES, keptBytes: 0 })
    seat.become('good')
    for (const line of seat.lines) expect(line.harm('slow')).toBeGreaterThan(1)
  })

  it('and nobody notices (half-open), its operation is lost, goes on there, and is found under the same lease', async () => {
    const seat = yard.seat('disk-2')
    const task = await copy(seat.name)
    await underWay(task)
    seat.become('half-open')
    await eventOf(yard, task, 'HolderLost')
    await seat.ran(({ id, what }) => id === task.id && what === 'completed')
    expect((await task.show()).state).toBe('lost')
    seat.become('good')
    await eventOf(yard, task, 'HolderFound')
    expect(await task.result()).toEqual({ bytes: BYTES, keptBytes: 0 })
    expect(begun(seat, task)).toBe(1)
  })

  it('and each connection is reset, is down, and what waits for it says so; it is sent when the line is good again', async () => {
    const seat = yard.seat('disk-2')
    seat.become('resetting')
    const task = await hash(seat.name)
    await isDown(seat.name)
    expect(await task.why()).toMatchObject({ gate: 'node-down' })
    expect((await task.show()).state).toBe('waiting')
    expect(begun(seat, task)).toBe(0)
    seat.become('good')
    expect(await task.result()).toEqual({ sha256 })
  })

  it('for longer than it has time, its operation is timed out; that it completes there changes nothing', async () => {
    const seat = yard.seat('disk-2')
    const task = await copy(seat.name, PACE, { timeoutSeconds: 4 })
    await eventOf(yard, task, 'Leased')
    seat.become('half-open')
    await eventOf(yard, task, 'TimedOut')
    await seat.ran(({ id, what }) => id === task.id && what === 'completed')
    expect(await endOf(task)).toEqual({ timedOut: { cause: 'total' } })
    seat.become('good')
    const late = await eventOf(yard, task, 'LateResultRecorded')
    expect(late.data).toMatchObject({ outcome: { completed: { result: { bytes: BYTES, keptBytes: 0 } } } })
    expect(await task.show()).toMatchObject({ state: 'timedOut' })
  })
})

describe('when a node is too slow', { timeout: TIMEOUT_MS }, () => {
  it('for its timeout, is told to abort, and what comes of that changes nothing', async () => {
    const seat = yard.seat('disk-3')
    const task = await copy(seat.name, { bytesPerSecond: MEGABYTE }, { timeoutSeconds: 2 })
    await eventOf(yard, task, 'TimedOut')
    await seat.ran(({ id, what }) => id === task.id && what === 'aborted')
    const late = await eventOf(yard, task, 'LateResultRecorded')
    expect(late.data).toMatchObject({ outcome: { aborted: { partial: { bytes: expect.any(Number) as number } } } })
    expect(await endOf(task)).toEqual({ timedOut: { cause: 'total' } })
  })

  it('to make any progress, is timed out as stalled', async () => {
    const seat = yard.seat('disk-3')
    const task = await copy(seat.name, CRAWL, { stalledAfterSeconds: 1.5 })
    await eventOf(yard, task, 'TimedOut')
    expect(await endOf(task)).toEqual({ timedOut: { cause: 'stalled' } })
    await seat.ran(({ id, what }) => id === task.id && what === 'aborted')
    await eventOf(yard, task, 'LateResultRecorded')
  })
})

describe('when Stint is killed while a node is dead, one is cut off and one is too slow', { timeout: TIMEOUT_MS }, () => {
  it('loses nothing: each ends as it would have, and everybody is told once', async () => {
    const happened = await everythingAtOnce(yard, 'trouble', { ...PACE, slowBytesPerSecond: MEGABYTE, timeoutSeconds: 4, ...TIMING })
    const whole = { bytes: BYTES, keptBytes: 0 }
    const timedOut = { timedOut: { cause: 'total' } }
    expect(happened).toMatchObject({ cutOff: whole, unhurt: whole, meanwhile: whole, resumed: { bytes: BYTES }, interrupted: { failed: { code: 'interrupted' } } })
    expect(happened.resumed.keptBytes).toBeGreaterThan(0)
    expect([happened.overdue, happened.tooSlow]).toEqual([timedOut, timedOut])
    expect(happened.overdueLate.data).toMatchObject({ outcome: { completed: { result: whole } } })
    expect(happened.tooSlowLate.data).toHaveProperty('outcome.aborted')
  })
})

describe('when all is done', { timeout: TIMEOUT_MS }, () => {
  let judgement: Judgement
  beforeAll(async () => {
    judgement = await yard.judge()
  }, TIMEOUT_MS)

  it('has a table that says what each node did, once', () => {
    const { tasks, differences, begun: runs } = judgement
    expect(differences).toEqual([])
    expect(runs).toBeGreaterThan(25)
    const inState = (state: LongTaskShown['state']): number => tasks.filter(({ shown }) => shown.state === state).length
    expect([inState('failed'), inState('timedOut'), inState('failed') + inState('timedOut') + inState('completed')]).toEqual([3, 5, tasks.length])
  })

  it('has copies on disk that are the image, byte for byte, and packed ones that hold it', () => {
    for (const { shown } of judgement.tasks.filter(({ shown: { state, operation } }) => state === 'completed' && /Copy|Compress/.test(operation))) {
      const { to } = shown.args as { readonly to: string }
      const bytes = readFileSync(join(yard.seat(shown.node as (typeof NODES)[number]).directory, to))
      expect([shown.id, sha256Of(shown.operation === 'CopyImage' ? bytes : zstdDecompressSync(bytes))]).toEqual([shown.id, sha256])
    }
  })

  it('has logs that are whole, of Stint and of each node, and tables that equal their replay', () => {
    expect(judgement.codes).toEqual([0, 0, 0, 0])
    expect([...judgement.verified].map(([name, verified]) => [name, isSound(verified)])).toEqual(['stint', ...NODES].map((name) => [name, true]))
  })
})

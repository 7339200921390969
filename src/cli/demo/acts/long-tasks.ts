// The act of the long tasks (D): a manager has nodes build, copy and pack images of real files; a node is killed, one stands still, Stint is killed.
import { join } from 'node:path'
import { connect, type HistoryEvent, type LongTaskShown, type Stint } from '../../../client/index.ts'
import { usage } from '../../failure.ts'
import { bytesText } from '../../bytes.ts'
import { countsOfStates } from '../../item-board.ts'
import { longTaskBoard } from '../../long-task-board.ts'
import type { Act, Claim, Play } from '../act.ts'
import { assembleDisks, MANAGER, NODES, type DiskCast } from '../disk-cast.ts'
import { contentHash, type Copied, type Moving } from '../disk-images.ts'
import { createDiskLookout, type DiskLookout } from '../disk-lookout.ts'
import { aNodeDies, aNodeStandsStill, allIsDone, DISK_SCENES, IMAGE, operationsAreGiven, stintIsKilled, type DiskTelling } from '../disk-story.ts'
import { tellLongTasks } from '../event-lines.ts'
import { historyTable, quietCount, verify } from '../evidence.ts'
import { sourceFilesUnder } from '../source-files.ts'
import type { Picture, Stage } from '../stage.ts'
import { widthOfTables } from '../table-width.ts'

interface Tempo {
  readonly imageBytes: number
  /** What a copy takes if nothing happens to it. */
  readonly seconds: number
}

const USUAL: Tempo = { imageBytes: 40 * 1024 * 1024, seconds: 10 }
const FAST: Tempo = { imageBytes: 16 * 1024 * 1024, seconds: 6 }
const ENDINGS: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Aborted', 'Cancelled', 'TimedOut'])

const presentCast = ({ context, say }: Play, { seats }: DiskCast): void => {
  const line = (name: string, url: string, pid: number, what: string): void =>
    say(`  ${name.padEnd(15)}${url.padEnd(23)}${context.paint('dim', `pid ${String(pid).padEnd(9)}${what}`)}`)
  line('manager', '', process.pid, `${MANAGER.email}, may dispatch`)
  for (const { name, url, child } of seats) line(name, url(), child().pid, `${NODES.email}, builds, copies and packs images`)
}

const pictureOf = (lookout: DiskLookout, now: number): Picture => {
  const items = lookout.tasks()
  const trouble = lookout.isBlind() ? 'Stint does not answer' : undefined
  return {
    lines: (size, paint) => longTaskBoard({ items, nodes: lookout.nodes(), paces: lookout.paces(), now, trouble }, size, paint),
    summary: (paint) => countsOfStates(items, paint),
  }
}

const historyOf = async (stint: Stint, id: string): Promise<readonly HistoryEvent[]> => (await stint.longTasks.history(id, { limit: 1_000 })).items

const showHistory = async ({ context, say, admin }: Play, id: string): Promise<void> => {
  const history = await historyOf(admin, id)
  say()
  say(context.paint('bold', `The history of ${id}, whose node was killed`))
  for (const line of historyTable(history, context.paint, widthOfTables(context))) say(line)
  say(context.paint('dim', `${quietCount(history)} more events, which say how far it was and that it was alive, are left out.`))
}

/** Names of completed copies and packings whose file does not hold the image of their node. */
const falseFiles = async (stint: Stint, { seats }: DiskCast, tasks: readonly LongTaskShown[]): Promise<readonly string[]> => {
  const wrong: string[] = []
  for (const { name, directory } of seats) {
    const wanted = await contentHash(join(directory, IMAGE))
    for (const { id } of tasks.filter(({ node, state, operation }) => node === name && state === 'completed' && operation !== 'BuildImage')) {
      const { to } = (await stint.longTasks.show(id)).args as Moving
      if ((await contentHash(join(directory, to))) !== wanted) wrong.push(id)
    }
  }
  return wrong
}

const prove = async (play: Play, cast: DiskCast, manager: Stint): Promise<readonly Claim[]> => {
  const { admin, nursery } = play
  await showHistory(play, 'disk-1-copy')
  const { items: tasks } = await manager.longTasks.list({ limit: 1_000 })
  const notOnce = []
  for (const { id } of tasks) if ((await historyOf(admin, id)).filter(({ type }) => ENDINGS.has(type)).length !== 1) notOnce.push(id)
  const states = [...Map.groupBy(tasks, ({ state }) => state)].map(([state, of]) => `${of.length} ${state}`)
  const wrong = await falseFiles(manager, cast, tasks)
  const { keptBytes, bytes } = (await manager.management().dispatched<Copied>('disk-1-copy').result()) ?? {}
  const logs = await Promise.all(cast.seats.map(({ log }) => verify(nursery, { data: log })))
  return [
    { claim: 'Every long task ended, and ended once.', isTrue: notOnce.length === 0, seen: states.join(', ') },
    { claim: 'What the table calls completed is on the disks as it should be, byte for byte.', isTrue: wrong.length === 0, seen: `${wrong.length} wrong` },
    {
      claim: 'The copy on the node that was killed went on from what was on disk.',
      isTrue: keptBytes > 0 && keptBytes < bytes,
      seen: `${bytesText(keptBytes)} of ${bytesText(bytes)} kept`,
    },
    {
      claim: 'The logs of the nodes are whole, and their replays give what they showed.',
      isTrue: logs.every(({ isSound }) => isSound),
      seen: `${logs.length} logs, says \`stint verify\``,
    },
  ]
}

const playScenes = async (play: Play, cast: DiskCast, stage: Stage, manager: Stint, tempo: Tempo): Promise<void> => {
  const { world, context, claims, interrupted, breathMs, root, stint } = play
  const lookout = createDiskLookout(manager, world, interrupted)
  lookout.onLook(() => stage.draw(pictureOf(lookout, world.now())))
  const over = new AbortController()
  const told = tellLongTasks(play.admin, stage.tell, context.paint, over.signal).catch((cause: unknown) => stage.say(`The event stream ended: ${String(cause)}`))
  const title = (number: number, text: string): string => play.sceneTitle(number, DISK_SCENES, text)
  const { imageBytes, seconds: copySeconds } = tempo
  try {
    await lookout.until('the nodes to be registered', () => lookout.nodes().length === cast.seats.length && lookout.nodes().every(({ health }) => health === 'up'))
    const management = manager.management()
    const telling: DiskTelling = { world, management, seat: stint, cast, stage, lookout, claims, breathMs, interrupted, title, root, imageBytes, copySeconds }
    await operationsAreGiven(telling)
    await aNodeDies(telling)
    await aNodeStandsStill(telling)
    await stintIsKilled(telling)
    await allIsDone(telling)
  } finally {
    over.abort()
    await lookout.close()
    await told
  }
}

export const longTasks: Act = {
  title: 'Work on other machines',
  shows: ['A manager gives operations of minutes to nodes, and sees how far each is.', 'Nodes die, stand still and are too slow; the table says what they did, once.'],
  perform: async (play) => {
    const { nursery, root, directory, stint } = play
    if ((await sourceFilesUnder(root)).length === 0) throw usage(`There are no Markdown or source files under ${root}.`, 'Name another directory: stint demo DIRECTORY')
    const usual = play.isFast ? FAST : USUAL
    const cast = await assembleDisks(nursery, stint.url, await play.tokenFor(NODES), directory)
    presentCast(play, cast)
    const manager = connect({ url: stint.url, token: await play.tokenFor(MANAGER) })
    const stage = play.openStage()
    await playScenes(play, cast, stage, manager, { ...usual, seconds: play.seconds ?? usual.seconds })
    stage.close()
    await cast.close()
    const proven = await prove(play, cast, manager)
    await manager.close()
    return proven
  },
}

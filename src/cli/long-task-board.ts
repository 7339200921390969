// The picture that `stint long-tasks watch` draws: under each implementation node its long tasks with their bars, as many as fit, and a line that sums up. Pure: long tasks,
// nodes and sizes in, lines out.
import type { NodeShown } from '../wire/nodes.ts'
import { formatAge } from './duration.ts'
import type { Item } from './item.ts'
import { boardOrder, countsOfStates, isMoving, itemLines, rateText, summaryLine, type BoardSize, type BoardView } from './item-board.ts'
import { rateOf, type Pace } from './item-pace.ts'
import { isSettled } from './look.ts'
import { HEALTH_LOOKS } from './node-text.ts'
import { cut, plain, widthOf, type Paint } from './terminal/text.ts'

/** What stands before a long task, below its node. */
const INDENT = '  '
/** Lines that are not for nodes and long tasks: the one that sums up, and two for what the terminal does at its end. */
const LINES_BESIDE = 3
const GAP = '  '

interface Group {
  readonly name: string
  /** Undefined: it is not registered, or the reader may not look at nodes. */
  readonly node: NodeShown | undefined
  /** What moves first, then what waits, then what has settled. */
  readonly items: readonly Item[]
}

const nodeNameOf = (item: Item): string => ('node' in item ? item.node : '')
const isWaiting = ({ state }: Item): boolean => state === 'waiting'

/** What has been taken first: a node may have more that waits than fits. */
const inOrder = (items: readonly Item[]): readonly Item[] => {
  const ordered = boardOrder(items)
  const rankOf = (item: Item): number => (isSettled(item.state) ? 2 : isWaiting(item) ? 1 : 0)
  return [0, 1, 2].flatMap((rank) => ordered.filter((item) => rankOf(item) === rank))
}

/** By the name of the node, so that none moves about while one looks. */
const groupsOf = ({ items, nodes = [] }: Pick<BoardView, 'items' | 'nodes'>): readonly Group[] => {
  const byNode = new Map<string, Item[]>(nodes.map(({ id }) => [id, []]))
  for (const item of items) {
    const its = byNode.get(nodeNameOf(item))
    if (its === undefined) byNode.set(nodeNameOf(item), [item])
    else its.push(item)
  }
  return [...byNode].map(([name, its]) => ({ name, node: nodes.find(({ id }) => id === name), items: inOrder(its) })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** How many of what each wants it gets, when there are `room` in all: everybody as much as the others, as far as it wants. */
export const shares = (wanted: readonly number[], room: number): readonly number[] => {
  const given = wanted.map(() => 0)
  let left = room
  for (let isGiving = true; isGiving && left > 0;) {
    isGiving = false
    for (const [index, want] of wanted.entries()) {
      if (left === 0 || (given[index] ?? 0) >= want) continue
      given[index] = (given[index] ?? 0) + 1
      left -= 1
      isGiving = true
    }
  }
  return given
}

const living = ({ items }: Group): number => items.filter(({ state }) => !isSettled(state)).length

/** Nodes with something to do first, then those with something to tell; by name as they were. */
const fitting = (groups: readonly Group[], room: number): readonly Group[] => {
  const importance = (group: Group): number => (living(group) > 0 ? 0 : group.items.length > 0 ? 1 : 2)
  const kept = new Set([0, 1, 2].flatMap((rank) => groups.filter((group) => importance(group) === rank)).slice(0, room))
  return groups.filter((group) => kept.has(group))
}

/** What a node gets done in a second, where all that it does is counted in one unit. */
const rateOfNode = ({ items }: Group, paces: ReadonlyMap<string, Pace>): string => {
  const moving = items.filter(isMoving).flatMap((item) => {
    const rate = rateOf(paces.get(item.id))
    return rate === undefined ? [] : [{ rate, unit: item.progress?.unit }]
  })
  const units = new Set(moving.map(({ unit }) => unit))
  return moving.length === 0 || units.size > 1
    ? ''
    : plain(
        rateText(
          moving.reduce((sum, { rate }) => sum + rate, 0),
          moving[0]?.unit,
        ),
      )
}

const healthText = ({ node }: Group, now: number, paint: Paint): string => {
  if (node === undefined) return paint('yellow', 'not registered')
  const { symbol, colour } = HEALTH_LOOKS[node.health]
  const since = node.health === 'down' && node.healthSince !== undefined ? ` for ${formatAge(node.healthSince, now)}` : ''
  return paint(colour, `${symbol} ${node.health}${since}`)
}

/** `disk-1  ✓ up  5 running, 2 waiting  48.2 MiB/s  4 not shown`. */
const headLine = (group: Group, shown: number, { paces, now, nodes }: BoardView, width: number, paint: Paint): string => {
  const hidden = group.items.length - shown
  const parts = [
    paint('bold', plain(group.name)),
    nodes === undefined ? '' : healthText(group, now, paint),
    group.items.length === 0 ? paint('dim', 'nothing to do') : countsOfStates(group.items, paint),
    rateOfNode(group, paces),
    hidden > 0 ? paint('dim', `${hidden} not shown`) : '',
  ]
  const line = parts.filter((part) => part !== '').join(GAP)
  return widthOf(line) > width ? cut(plain(line), width) : line
}

const operationOf = (item: Item): string => ('operation' in item ? item.operation : '')

/** The lines of the board, each at most `columns - 1` wide, at most `rows - 1` of them. */
export const longTaskBoard = (view: BoardView, { columns, rows }: BoardSize, paint: Paint): readonly string[] => {
  const { items, more, trouble } = view
  const width = Math.max(20, columns - 1)
  const room = Math.max(1, rows - LINES_BESIDE)
  const all = groupsOf(view)
  const groups = fitting(all, room)
  // What has settled is shown where nothing that lives needs the line.
  const alive = shares(groups.map(living), room - groups.length)
  const spare = room - groups.length - alive.reduce((sum, lines) => sum + lines, 0)
  const ended = shares(
    groups.map((group) => group.items.length - living(group)),
    spare,
  )
  const shown = groups.map((group, index) => group.items.slice(0, (alive[index] ?? 0) + (ended[index] ?? 0)))
  const lines = itemLines(shown.flat(), { ...view, placed: operationOf }, width - INDENT.length, paint)
  let from = 0
  const drawn = groups.flatMap((group, index) => {
    const its = lines.slice(from, (from += shown[index]?.length ?? 0))
    return [headLine(group, its.length, view, width, paint), ...its.map((line) => INDENT + line)]
  })
  const what = `${items.length.toLocaleString('en')}${more === true ? ' newest' : ''} long task${items.length === 1 ? '' : 's'}${all.length === 0 ? '' : ` on ${all.length} node${all.length === 1 ? '' : 's'}`}`
  const hidden = all.length - groups.length
  const tail = [hidden > 0 ? `${hidden} node${hidden === 1 ? '' : 's'} not shown` : '', trouble === undefined ? '' : paint('yellow', trouble)]
  return [...drawn, summaryLine(what, countsOfStates(items, paint), tail, width)]
}

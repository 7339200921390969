// Holds the list of a node against what is known here, after a restart on either side or anything else that kept the two apart. Sound whenever it is done: a node takes an
// operation off its list only when its end was acknowledged, and by then it has settled here.
import * as E from 'fp-ts/lib/Either.js'
import { longTaskId, type WorkItemId } from '../../domain/ids.ts'
import { isHeld, type WorkItem } from '../../domain/work-item/state.ts'
import type { World } from '../../world.ts'
import type { CommandToDo } from '../command.ts'
import type { Handler } from '../handle.ts'
import type { Live } from '../live.ts'
import type { Messenger } from './messenger.ts'
import type { ListedOperation, NodeList } from './node-answers.ts'
import type { RegisteredNode } from './node-book.ts'
import { isGivenOut, type GivenOut, type NodeIndex } from './node-index.ts'

/** No operation has a longer name. */
const ID_MAX = 200

/** Whether an operation can have this name: what cannot is nobody's here, and must not keep the rest of the list from being gone through. */
const isName = (id: string): boolean => id.length <= ID_MAX && id.isWellFormed()

/** Commands at once: enough to share commits. */
const AT_ONCE = 100

const SUBJECT = 'stint'

/** Whoever has taken an operation of this node. */
export const holderOf = (name: string, { subject, facts: { instance } }: RegisteredNode) => ({ subject, name, ...(instance === undefined ? {} : { instance }) })

export const createSynchroniser = (options: {
  readonly world: World
  readonly live: Live
  readonly handler: Pick<Handler, 'execute' | 'load'>
  readonly index: Pick<NodeIndex, 'heldBy'>
  readonly messenger: Pick<Messenger, 'tell'>
  /** It is being sent: what its node will answer to that decides. */
  readonly isUnderWay: (workItem: WorkItemId, item: GivenOut) => boolean
  readonly onTrouble: (what: string, cause: unknown) => void
}): ((name: string, node: RegisteredNode) => (list: NodeList) => Promise<void>) => {
  const { world, live, handler, index, messenger, onTrouble } = options

  const execute = async (workItem: WorkItemId, command: CommandToDo): Promise<void> => {
    const done = await handler.execute(workItem, command, { subject: SUBJECT, actor: SUBJECT, commandId: world.uuid() })
    // The next list says it again.
    if (E.isLeft(done)) onTrouble(`${command.type} on ${workItem} could not be recorded`, done.left)
  }

  const stateOf = async (workItem: WorkItemId): Promise<WorkItem | undefined> => {
    const known = live.get(workItem)?.item
    if (known !== undefined) return known
    const loaded = await handler.load(workItem)
    return E.isLeft(loaded) ? undefined : loaded.right.item
  }

  const isOf = (name: string, listed: ListedOperation, item: WorkItem | undefined): item is GivenOut =>
    item !== undefined && item.status !== 'absent' && isGivenOut(item) && item.operation.node === name && item.operation.lease === listed.lease

  const meet = async (name: string, node: RegisteredNode, listed: ListedOperation, before: ReadonlySet<WorkItemId>): Promise<void> => {
    const workItem = longTaskId(listed.id)
    const item = await stateOf(workItem)
    if (!isOf(name, listed, item)) return
    if (item.status === 'waiting') await execute(workItem, { type: 'TakeOperation', holder: holderOf(name, node) })
    // What has ended there too only waits for its last report to be acknowledged; and of what settled while the list was under way its node knows, or is told already.
    else if (item.status === 'settled' && listed.state !== 'ended' && !before.has(workItem)) messenger.tell(workItem, item)
  }

  const missing = async (name: string, workItem: WorkItemId): Promise<void> => {
    const item = live.get(workItem)?.item
    if (isGivenOut(item) && isHeld(item) && !options.isUnderWay(workItem, item))
      await execute(workItem, { type: 'FailOperation', code: 'gone', message: `Its node ${name} had taken it and does not know of it any more.` })
  }

  const someAtOnce = async <Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> => {
    for (let from = 0; from < items.length; from += AT_ONCE) await Promise.all(items.slice(from, from + AT_ONCE).map(run))
  }

  return (name, node) => {
    // What is taken while the list is under way need not be on it.
    const before = new Set(index.heldBy(name))
    return async (list) => {
      const items = list.items.filter(({ id }) => isName(id))
      const ids = new Set(items.map(({ id }) => longTaskId(id)))
      await someAtOnce(items, (listed) => meet(name, node, listed, before))
      await someAtOnce(
        [...before].filter((workItem) => !ids.has(workItem)),
        (workItem) => missing(name, workItem),
      )
    }
  }
}

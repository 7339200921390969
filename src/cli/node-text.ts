// Implementation nodes as they are shown: the columns of a list, and the fields of one.
import type { DeclaredOperation, NodeShown } from '../wire/nodes.ts'
import { formatAge, formatDuration } from './duration.ts'
import { ago } from './item-text.ts'
import type { Look } from './look.ts'
import type { Column } from './terminal/table.ts'

type Line = readonly [name: string, value: string | undefined]

/** How the health of a node looks to people. */
export const HEALTH_LOOKS: Readonly<Record<NodeShown['health'], Look>> = {
  up: { symbol: '✓', colour: 'green' },
  down: { symbol: '✗', colour: 'red' },
  unknown: { symbol: '?', colour: 'yellow' },
}

const count = (value: number): string => value.toLocaleString('en')
const duration = (seconds: number): string => formatDuration(seconds * 1_000)

const healthText = ({ health }: NodeShown): string => `${HEALTH_LOOKS[health].symbol} ${health}`

export const nodeColumns = (now: number): readonly Column<NodeShown>[] => [
  { title: 'NODE', value: ({ id }) => id, whole: true },
  { title: 'HEALTH', value: healthText, colour: ({ health }) => HEALTH_LOOKS[health].colour, whole: true },
  { title: 'SINCE', value: ({ healthSince }) => (healthSince === undefined ? undefined : formatAge(healthSince, now)), align: 'right', whole: true },
  { title: 'RUNNING', value: ({ running }) => count(running), align: 'right', whole: true },
  { title: 'WAITING', value: ({ waiting }) => count(waiting), align: 'right', whole: true },
  { title: 'OPERATIONS', value: ({ operations }) => operations.map(({ operation }) => operation).join(', '), cut: 'words' },
  { title: 'URL', value: ({ url }) => url },
  { title: 'LAST FAILURE', value: ({ health, lastFailure }) => (health === 'up' ? undefined : lastFailure), cut: 'words' },
]

/** `CopyImage: times out after 15m, reports every 2.0s, stalled after 1m`. */
const operationText = ({ operation, long, timeoutSeconds, progressEverySeconds, stalledAfterSeconds }: DeclaredOperation): string => {
  if (!long) return `${operation}: short, answered at once`
  const parts = [
    timeoutSeconds === undefined ? undefined : `times out after ${duration(timeoutSeconds)}`,
    progressEverySeconds === undefined ? undefined : `reports every ${duration(progressEverySeconds)}`,
    stalledAfterSeconds === undefined ? undefined : `stalled after ${duration(stalledAfterSeconds)}`,
  ].filter((part) => part !== undefined)
  return `${operation}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`
}

export const nodeLines = (node: NodeShown, now: number): readonly Line[] => [
  ['node', node.id],
  ['health', `${healthText(node)}${node.healthSince === undefined ? '' : `, since ${node.healthSince} (${ago(node.healthSince, now)})`}`],
  ['last answered', node.lastAnsweredAt === undefined ? undefined : `${node.lastAnsweredAt} (${ago(node.lastAnsweredAt, now)})`],
  ['last failure', node.lastFailure],
  ['running', count(node.running)],
  ['waiting', count(node.waiting)],
  ['url', node.url],
  ...node.operations.map((declared): Line => ['operation', operationText(declared)]),
  ['calls', node.secretEnv === undefined ? 'not signed' : `signed with the secret in ${node.secretEnv}`],
  ['process', node.instance],
  ['registered', `${node.createdAt} (${ago(node.createdAt, now)})`],
  ['changed', node.updatedAt],
]

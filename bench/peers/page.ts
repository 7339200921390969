// Writes the comparison into docs/performance.md, between two markers of its own, and a plot for each row beside it; what people wrote around them stays.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { SKELETON_ROW } from '../floor.ts'
import { writeBetween } from '../page.ts'
import { plotOf } from '../plot.ts'
import type { ResultRow } from '../results.ts'
import { aimText, isMet, numberText, rounded, type Row } from '../row.ts'
import { rowKinds, type RowKind } from './rows.ts'
import { aimOf, bestPeer, middle, ratioTo, reasonFor, systemsWith, type Ratio, type Run, type Standings } from './standings.ts'
import { OURS, systemNames, type SystemName } from './systems.ts'

const BEGIN = '<!-- peers: written by `npm run bench:peers`, not by hand -->'
const END = '<!-- end of peers -->'

const plotName = ({ slug }: RowKind): string => `peers-${slug}.svg`

const labelOf = ({ systems }: Standings, name: SystemName): string => systems[name]?.label ?? name

/** The figure, its range over the rounds, and what there was beside it. */
const figure = ({ value, unit, lowest, highest }: ResultRow): string => {
  const range = lowest === highest || lowest === undefined || highest === undefined ? '' : ` (${numberText(lowest)} – ${numberText(highest)})`
  return `**${numberText(value)}** ${unit}${range}`
}

const beside = ({ load, more }: ResultRow): string => `load ${load}, others ${more?.['others cores'] ?? '?'}`

const ratioText = (ratio: Ratio | undefined): string => {
  if (ratio === undefined) return ''
  const [middleText, low, high] = [ratio.middle, ratio.lowest, ratio.highest].map((each) => numberText(rounded(each, 2)))
  return `${ratio.middle < 1 ? `**${middleText} ×**` : `${middleText} ×`}${low === high ? '' : ` (${low} – ${high})`}`
}

const metText = (row: Pick<Row, 'value' | 'aim'>): string => ({ true: 'met', false: '**not met**', undefined: '' })[String(isMet(row)) as 'true']

/** Rows that Stint was measured in. */
const ourKinds = (standings: Standings): readonly RowKind[] => rowKinds.filter(({ row }) => middle(standings, OURS, row) !== undefined)

const ourRow = (standings: Standings, kind: RowKind): ResultRow => {
  const row = middle(standings, OURS, kind.row) as ResultRow
  const aim = aimOf(standings, kind, SKELETON_ROW)
  return aim === undefined ? row : { ...row, aim }
}

const besideBest = (standings: Standings): string =>
  [
    '| | Stint | aim | | best durable peer | Stint to it, within a round | beside Stint |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...ourKinds(standings).map((kind) => {
      const ours = ourRow(standings, kind)
      const best = bestPeer(standings, kind)
      const peer = best === undefined ? '' : `${figure(best.row)}, ${labelOf(standings, best.system)}`
      return `| ${kind.row} | ${figure(ours)} | ${aimText(ours)} | ${metText(ours)} | ${peer} | ${best === undefined ? '' : ratioText(ratioTo(standings, kind, best.system))} | ${beside(ours)} |`
    }),
  ].join('\n')

const known = ({ systems }: Standings): readonly SystemName[] => systemNames.filter((name) => systems[name] !== undefined)

const everySystem = (standings: Standings): string => {
  const names = known(standings)
  const kinds = rowKinds.filter(({ row }) => systemsWith(standings, row).length > 0)
  const cell = (kind: RowKind, name: SystemName): string => {
    const row = middle(standings, name, kind.row)
    return row === undefined ? (reasonFor(standings, name, kind) === undefined ? '' : 'n/a') : `${figure(row)}<br>${beside(row)}`
  }
  return [
    `| | ${names.map((name) => `${labelOf(standings, name)}${standings.systems[name]?.isDurable === false ? ' (not durable)' : ''}`).join(' | ')} |`,
    `| --- |${names.map(() => ' --- |').join('')}`,
    ...kinds.map((kind) => `| ${kind.row} | ${names.map((name) => cell(kind, name)).join(' | ')} |`),
  ].join('\n')
}

/** Reasons for what is missing, each once. */
const missing = (standings: Standings): readonly string[] => {
  const lines = known(standings).flatMap((name) =>
    rowKinds
      .filter(({ row }) => middle(standings, name, row) === undefined)
      .flatMap((kind) => {
        const reason = reasonFor(standings, name, kind)
        return reason === undefined ? [] : [`- ${labelOf(standings, name)}, ${kind.load}: ${reason}.`]
      }),
  )
  return [...new Set(lines)]
}

const onceText = (standings: Standings): readonly string[] => {
  const twice = standings.cells.filter(({ rows }) => rows.some(({ more }) => more?.['each handled once'] === 'no')).map(({ system }) => system)
  const asked = standings.cells.some(({ rows }) => rows.some(({ more }) => more?.['each handled once'] !== undefined))
  if (!asked) return []
  return [
    twice.length === 0
      ? 'Handlers ran once for each request in every round of every system, in processes that nobody killed.'
      : `Handlers did not run once for each request: ${[...new Set(twice)].join(', ')}.`,
  ]
}

const conditions = ({ run, machine, versions, settings }: Run): string =>
  [
    `${run.slice(0, 16).replace('T', ' ')} UTC`,
    `Stint ${versions.stint}`,
    `Node ${versions.node} for Stint and for every client`,
    `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}, ${machine.fileSystem}`,
    `${settings.rounds} round${settings.rounds === 1 ? '' : 's'}`,
  ].join(' · ')

const floorText = (standings: Standings): readonly string[] => {
  const names = [...new Set(standings.cells.filter(({ system }) => system === 'floor').flatMap(({ rows }) => rows.map(({ row }) => row)))]
  const rows = names.flatMap((name) => middle(standings, 'floor', name) ?? [])
  return rows.length === 0 ? [] : [`Without any of them, in the same rounds: ${rows.map((row) => `${row.row} ${figure(row)}`).join('; ')}.`]
}

const plotRows = (standings: Standings, kind: RowKind): readonly Row[] =>
  systemsWith(standings, kind.row).map((name) => {
    const row = name === OURS ? ourRow(standings, kind) : (middle(standings, name, kind.row) as ResultRow)
    return { ...row, row: `${labelOf(standings, name)}${standings.systems[name]?.isDurable === false ? ', not durable' : ''}` }
  })

/** The plots of all rows, by the name of their file; undefined where there is nothing to compare. */
export const plotsOf = (standings: Standings): ReadonlyMap<string, string | undefined> =>
  new Map(rowKinds.map((kind) => [plotName(kind), plotOf(kind.row, plotRows(standings, kind))]))

/** What stands between the markers. */
export const sectionOf = (standings: Standings): string => {
  const plots = rowKinds.filter((kind) => plotOf(kind.row, plotRows(standings, kind)) !== undefined)
  const gaps = missing(standings)
  return [
    besideBest(standings),
    ...floorText(standings),
    ...onceText(standings),
    ...plots.map((kind) => `**${kind.row}**\n\n![${kind.row}, as bars](performance/${plotName(kind)})`),
    'Every system:',
    everySystem(standings),
    ...(gaps.length === 0 ? [] : [`Not there:\n\n${gaps.join('\n')}`]),
    `Versions and settings:\n\n${known(standings)
      .map((name) => `- ${labelOf(standings, name)}: ${standings.systems[name]?.versions}. ${standings.systems[name]?.settings}.`)
      .join('\n')}`,
    `Again: \`npm run bench:peers\`. Every cell of every round stands in [performance/peers.json](performance/peers.json). Measured: ${standings.runs.map(conditions).join('; ')}.`,
  ].join('\n\n')
}

/** Writes plots and page from the standings. */
export const writePeersPage = (docs: URL, standings: Standings): void => {
  const folder = new URL('performance/', docs)
  mkdirSync(folder, { recursive: true })
  for (const [name, plot] of plotsOf(standings)) {
    if (plot === undefined) rmSync(new URL(name, folder), { force: true })
    else writeFileSync(new URL(name, folder), plot)
  }
  const page = new URL('performance.md', docs)
  writeFileSync(page, writeBetween(readFileSync(page, 'utf8'), BEGIN, END, sectionOf(standings)))
}

// Writes what was measured into docs/performance.md, between two markers; what people wrote around them stays.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { parts } from './parts.ts'
import { plotOf } from './plot.ts'
import type { PartResult, ResultRow, Results } from './results.ts'
import { aimText, isMet, moreText, numberText } from './row.ts'

const BEGIN = '<!-- measured: written by `npm run bench`, not by hand -->'
const END = '<!-- end of measured -->'

const met = (row: ResultRow): string => ({ true: 'met', false: '**not met**', undefined: '' })[String(isMet(row)) as 'true']

const figure = (row: ResultRow): string => {
  const range = row.lowest === undefined || row.highest === undefined ? '' : ` (${numberText(row.lowest)} – ${numberText(row.highest)})`
  return `**${numberText(row.value)}** ${row.unit}${range}`
}

const tableOf = (rows: readonly ResultRow[]): string =>
  [
    '| | figure | aim | | load | beside it |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row.row} | ${figure(row)} | ${aimText(row)} | ${met(row)} | ${row.load} | ${moreText(row)} |`),
  ].join('\n')

/** What limits the rows; those with the same reason together. */
const limitsOf = (rows: readonly ResultRow[]): string =>
  [...Map.groupBy(rows, ({ limit }) => limit ?? '')]
    .filter(([limit]) => limit !== '')
    .map(([limit, of]) => `- ${of.map(({ row }) => row).join('; ')}: ${limit}`)
    .join('\n')

const conditions = ({ measuredAt, machine, versions, settings, others }: PartResult): string =>
  [
    `${measuredAt.slice(0, 16).replace('T', ' ')} UTC`,
    `Stint ${versions.stint}`,
    `Node ${versions.node}`,
    `SQLite ${versions.sqlite}`,
    `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}, ${machine.fileSystem}`,
    `${settings.rounds} round${settings.rounds === 1 ? '' : 's'}`,
    `others used ${others.map(numberText).join(' · ')} cores meanwhile`,
  ].join(' · ')

const sectionOf = (result: PartResult, plot: string | undefined): string => {
  const { title, about } = parts[result.part]
  const limits = limitsOf(result.rows)
  return [
    `## ${title}`,
    about,
    tableOf(result.rows),
    ...(plot === undefined ? [] : [`![${title}, as bars](performance/${plot})`]),
    ...(limits === '' ? [] : [`What limits it:\n\n${limits}`]),
    `Again: \`npm run bench -- --only ${result.part}\`. Measured: ${conditions(result)}.`,
  ].join('\n\n')
}

/** The text with this body between its two markers. Throws when it has lost them. */
export const writeBetween = (text: string, begin: string, end: string, body: string): string => {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`docs/performance.md has lost its markers:\n${begin}\n${end}`)
  return `${text.slice(0, from + begin.length)}\n\n${body}\n\n${text.slice(to)}`
}

/** Writes results, plots and page; all three say the same. */
export const writePage = (docs: URL, results: Results): void => {
  const folder = new URL('performance/', docs)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('results.json', folder), `${JSON.stringify(results, undefined, 2)}\n`)
  const sections = results.parts.map((result) => {
    const plot = plotOf(parts[result.part].title, result.rows)
    const name = `${result.part}.svg`
    const file = new URL(name, folder)
    if (plot === undefined) rmSync(file, { force: true })
    else writeFileSync(file, plot)
    return sectionOf(result, plot === undefined ? undefined : name)
  })
  const page = new URL('performance.md', docs)
  writeFileSync(page, writeBetween(readFileSync(page, 'utf8'), BEGIN, END, sections.join('\n\n')))
}

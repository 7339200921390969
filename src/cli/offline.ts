// The commands that read a data directory without a server: replay, verify, backup, restore, doctor.
import * as E from 'fp-ts/lib/Either.js'
import { resolve } from 'node:path'
import { backupData, restoreData } from '../offline/backup.ts'
import { examine, type Finding } from '../offline/doctor.ts'
import { NoLog, withLog } from '../offline/log.ts'
import { replayItem, replayLog, type Replayed } from '../offline/replay.ts'
import { verifyData, type Verified } from '../offline/verify.ts'
import type { Context } from './context.ts'
import { formatDuration } from './duration.ts'
import { colourOf, historyColumns, sentenceOf } from './event-text.ts'
import { CliFailure, EXIT } from './failure.ts'
import { localId } from './ids.ts'
import { LOOKS } from './look.ts'
import { printList } from './output.ts'
import { withProgress } from './progress.ts'
import { configOf, type ServerFlags } from './server-options.ts'
import { shellWord, type Colour } from './terminal/text.ts'
import { jobId } from '../wire/words.ts'

const isNoStore = (cause: unknown): boolean => cause instanceof Error && cause.name === 'StoreOpenError' && 'problem' in cause && cause.problem === 'not-a-store'

/** Runs on a file that is said to be a backup: what is no log is told as that, because advice for a lost log would not help. */
const onBackup = async <A>(file: string, run: () => Promise<A>): Promise<A> => {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof NoLog) throw new CliFailure(EXIT.notFound, `No such backup: ${resolve(file)}.`, 'Name the file that `stint backup` made.')
    if (isNoStore(cause)) throw new CliFailure(EXIT.failed, `${resolve(file)} is no backup: it is not a log that Stint wrote.`, 'Name the file that `stint backup` made.')
    throw cause
  }
}

/** Runs on a data directory; what is wrong with the directory is the caller's to correct, not a defect. */
const onData = async <A>(run: () => Promise<A>): Promise<A> => {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof NoLog) throw new CliFailure(EXIT.notFound, cause.message, 'Name the data directory of the server with --data or STINT_DATA.')
    if (cause instanceof Error && cause.name === 'StoreOpenError') throw new CliFailure(EXIT.failed, cause.message)
    throw cause
  }
}

const count = (value: number): string => value.toLocaleString('en')
const perSecond = (events: number, ms: number): number => Math.round((events * 1_000) / Math.max(1, ms))
const iso = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : new Date(ms).toISOString())

/** Says on stderr how far a long reading has come. */
const reading = <A>(context: Context, run: (progress: (what: string, events: number) => void) => Promise<A>): Promise<A> =>
  withProgress(context, (tell) => run((what, events) => tell({ text: `${what}: ${count(events)} events` })))

const faulty = (message: string): CliFailure => new CliFailure(EXIT.failed, message, '`stint verify` tells where the log is damaged; `stint restore` brings back a backup.')

// ---- replay ----

const replayedJson = ({ firstAt, lastAt, ms, ...rest }: Replayed) => ({
  ...rest,
  firstAt: iso(firstAt),
  lastAt: iso(lastAt),
  seconds: ms / 1_000,
  eventsPerSecond: perSecond(rest.events, ms),
})

const printReplayed = ({ out, paint }: Context, replayed: Replayed): void => {
  const { events, erased, firstAt, lastAt, items, types, ms } = replayed
  out(`${count(events)} events${erased === 0 ? '' : ` (${count(erased)} erased)`} in ${formatDuration(ms)}, ${count(perSecond(events, ms))} events/s`)
  if (firstAt !== undefined) out(`from ${iso(firstAt)} to ${iso(lastAt)}`)
  for (const [kind, states] of Object.entries(items)) {
    out(paint('bold', `${kind}s`))
    for (const [state, number] of Object.entries(states))
      out(`  ${paint(LOOKS[state as keyof typeof LOOKS].colour, `${LOOKS[state as keyof typeof LOOKS].symbol} ${state}`.padEnd(14))}${count(number).padStart(10)}`)
  }
  out(paint('bold', 'events'))
  for (const [type, number] of Object.entries(types)) out(`  ${type.padEnd(20)}${count(number).padStart(10)}`)
}

const replayJob = async (context: Context, data: string, id: string): Promise<void> => {
  const replayed = await onData(() => withLog(data, (reader) => replayItem(reader, jobId(localId(id)))))
  if (E.isLeft(replayed)) throw faulty(replayed.left.message)
  if (replayed.right.length === 0) throw new CliFailure(EXIT.notFound, `The log has no job ${id}.`)
  const items = replayed.right.map((event) => ({ ...event, time: new Date(event.time).toISOString() }))
  const [revision, time, after, event, , by] = historyColumns(items)
  if (revision === undefined || time === undefined || after === undefined || event === undefined || by === undefined) throw new Error('A history has six columns')
  const state = {
    title: 'STATE',
    value: (row: (typeof items)[number]) => row.state,
    colour: (row: (typeof items)[number]) => (row.state === undefined ? undefined : LOOKS[row.state].colour),
    whole: true,
  }
  const what = { title: 'WHAT', value: (row: (typeof items)[number]) => sentenceOf(row.type, row.data), colour: (row: (typeof items)[number]) => colourOf(row.type) }
  printList(context, { items }, [revision, time, after, event, state, what, by], '')
}

export const replay = async (context: Context, flags: ServerFlags & { readonly job?: string }): Promise<void> => {
  const { data } = configOf(flags)
  if (flags.job !== undefined) return replayJob(context, data, flags.job)
  const replayed = await reading(context, (progress) =>
    onData(() => withLog(data, (reader) => replayLog(reader, { world: context.world, onProgress: ({ events }) => progress('replayed', events) }))),
  )
  if (E.isLeft(replayed)) throw faulty(replayed.left.message)
  if (context.format === 'table') printReplayed(context, replayed.right)
  else context.out(JSON.stringify(replayedJson(replayed.right), null, context.format === 'json' ? 2 : undefined))
}

// ---- verify ----

const verifiedJson = ({ file, chain, tables, ms }: Verified) => ({
  ok: isSound({ chain, tables }),
  file,
  chain: E.isRight(chain) ? { ok: true, ...chain.right } : { ok: false, ...chain.left },
  tables: tables === undefined ? undefined : E.isRight(tables) ? { ok: tables.right.equal, ...tables.right } : { ok: false, problem: tables.left },
  seconds: ms / 1_000,
})

const isSound = ({ chain, tables }: Pick<Verified, 'chain' | 'tables'>): boolean => E.isRight(chain) && (tables === undefined || (E.isRight(tables) && tables.right.equal))

const short = (value: unknown): string => {
  const text = value === undefined ? 'none' : typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}

const printTables = ({ out, paint }: Context, tables: Verified['tables']): void => {
  if (tables === undefined) return out('tables  none: a server folds them anew at its start')
  if (E.isLeft(tables)) return out(`tables  ${paint('red', 'cannot be compared')}: ${tables.left}`)
  const { equal, events, position, differences, notCompared = {} } = tables.right
  for (const [name, why] of Object.entries(notCompared)) out(`tables  ${name} not compared: ${why}`)
  if (equal) return out(`tables  ${paint('green', 'equal')} to a rebuild of ${count(events)} events, at ${position}`)
  out(`tables  ${paint('red', 'differ')} from a rebuild of ${count(events)} events:`)
  for (const { table, key, kept, rebuilt } of differences) out(`  ${table} ${key}\n    kept     ${short(kept)}\n    rebuilt  ${short(rebuilt)}`)
}

const printVerified = (context: Context, { chain, tables, ms, file }: Verified): void => {
  const { out, paint } = context
  out(`log     ${file}`)
  if (E.isLeft(chain)) out(`chain   ${paint('red', 'broken')} at ${chain.left.position}: ${chain.left.problem}`)
  else {
    const { events, erased, pruned, gaps, head } = chain.right
    const taken = `${erased === 0 ? '' : `, ${count(erased)} of them erased`}${pruned === 0 ? '' : `, and ${count(pruned)} pruned in ${count(gaps)} ${gaps === 1 ? 'gap' : 'gaps'}`}`
    out(`chain   ${paint('green', 'unbroken')}: ${count(events)} events${taken}, head ${head.position} ${head.digest.slice(0, 16)}…`)
  }
  printTables(context, tables)
  out(`in ${formatDuration(ms)}`)
}

export const verify = async (context: Context, flags: ServerFlags, file: string | undefined): Promise<void> => {
  const data = file ?? configOf(flags).data
  const verified = await reading(context, (progress) => {
    const run = () => verifyData(data, { world: context.world, onProgress: ({ part, events }) => progress(part === 'chain' ? 'chain checked' : 'tables rebuilt', events) })
    return onData(() => (file === undefined ? run() : onBackup(file, run)))
  })
  if (context.format === 'table') printVerified(context, verified)
  else context.out(JSON.stringify(verifiedJson(verified), null, context.format === 'json' ? 2 : undefined))
  if (E.isLeft(verified.chain))
    throw new CliFailure(
      EXIT.failed,
      file === undefined ? 'The log is damaged.' : `${resolve(file)} is damaged.`,
      `Everything before ${verified.chain.left.position} is as it was written. ${file === undefined ? '`stint restore` brings back a backup.' : 'Make another backup while the log it came from is sound.'}`,
    )
  if (!isSound(verified))
    throw new CliFailure(
      EXIT.failed,
      'The tables are not what the log says.',
      'The log is sound. Stop the server and delete tables.db: the next start folds it anew. Please report this, with the differences.',
    )
}

// ---- backup and restore ----

const KIB = 1024
const size = (bytes: number): string => (bytes < KIB * KIB ? `${Math.ceil(bytes / KIB)} KiB` : `${(bytes / KIB / KIB).toFixed(1)} MiB`)

export const backup = async (context: Context, flags: ServerFlags, target: string): Promise<void> => {
  const { data } = configOf(flags)
  const copied = await onData(() => backupData(data, target, context.world))
  if (E.isLeft(copied)) throw new CliFailure(EXIT.conflict, `${copied.left.message}.`)
  const { file, head, bytes } = copied.right
  if (context.format === 'table') context.out(`${file}  ${size(bytes)}  up to ${head.position}`)
  else context.out(JSON.stringify({ file, bytes, position: head.position, digest: head.digest }))
  context.say(`\`stint verify ${shellWord(file)}\` proves the copy; \`stint restore ${shellWord(file)} --data DIRECTORY\` puts it into a data directory.`)
}

export const restore = async (context: Context, flags: ServerFlags, source: string): Promise<void> => {
  const { data } = configOf(flags)
  const restored = await onData(() => onBackup(source, () => restoreData(source, data, context.world)))
  if (E.isLeft(restored)) throw new CliFailure(restored.left.kind === 'damaged' ? EXIT.failed : EXIT.conflict, restored.left.message)
  const { file, head, bytes, chain } = restored.right
  if (context.format === 'table') context.out(`${file}  ${size(bytes)}  ${count(chain.events)} events, chain unbroken`)
  else context.out(JSON.stringify({ file, bytes, events: chain.events, position: head.position, digest: head.digest }))
  context.say(`\`stint serve --data ${data}\` starts on it. Positions of the original are refused there: it is a log of its own from now on.`)
}

// ---- doctor ----

const MARKS: Readonly<Record<Finding['status'], { readonly symbol: string; readonly colour: Colour }>> = {
  ok: { symbol: '✓', colour: 'green' },
  warn: { symbol: '!', colour: 'yellow' },
  fail: { symbol: '✗', colour: 'red' },
}

export const doctor = async (context: Context, flags: ServerFlags): Promise<void> => {
  const { out, format, paint, world } = context
  const findings = await examine(configOf(flags), world)
  const failed = findings.filter((finding) => finding.status === 'fail').length
  if (format === 'json') out(JSON.stringify({ items: findings }, null, 2))
  if (format === 'jsonl') for (const finding of findings) out(JSON.stringify(finding))
  if (format === 'table') {
    for (const { check, status, detail, advice } of findings) {
      const { symbol, colour } = MARKS[status]
      out(`${paint(colour, `${symbol} ${status.padEnd(4)}`)}  ${check.padEnd(15)} ${detail}`)
      if (advice !== undefined) out(`        ${' '.repeat(15)} ${paint('dim', advice)}`)
    }
  }
  if (failed > 0) throw new CliFailure(EXIT.failed, `${failed} check${failed === 1 ? '' : 's'} failed: a server will not start, or not safely.`)
}

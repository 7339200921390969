// `stint tasks put --lines`: a file of tasks, one JSON object a line, put in batches. A line that is refused is told with the path of its field; the rest is in.
import * as E from 'fp-ts/lib/Either.js'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { ProblemDocument, StintError } from '../client/errors.ts'
import { uuidv7 } from '../client/ids.ts'
import { decode } from '../wire/schema.ts'
import { insertBody, insertTask, PAYLOAD_BYTES_MAX, type InsertBody } from '../wire/tasks.ts'
import { pause, type World } from '../world.ts'
import type { Context } from './context.ts'
import { CliFailure, EXIT, mayPass, usage } from './failure.ts'
import { withProgress, type Step } from './progress.ts'
import { nameOf, type QueueName } from './task-lookup.ts'
import { plain } from './terminal/text.ts'

/** Tasks of one exchange, at most. */
const BATCH_MAX = 1_000
/** Bytes of one exchange; the server takes 32 MiB. */
const BATCH_BYTES = 8 * 1024 * 1024
/** Refused lines that people are told one by one. */
const TOLD_MAX = 50
/** Milliseconds between two tries of what the server could not take at the moment, and how long it is tried without any success. */
const AGAIN_MS = 1_000
const PATIENCE_MS = 60_000

type FieldErrors = NonNullable<ProblemDocument['errors']>

export interface Refusal {
  /** From 1, as editors count. */
  readonly line: number
  readonly code: string
  readonly title: string
  readonly errors?: FieldErrors
}

export interface GivenLine {
  readonly line: number
  readonly id: string
  /** The body as JSON. */
  readonly text: string
}

const invalid = (line: number, errors: FieldErrors): Refusal => ({ line, code: 'invalid', title: 'The task is not valid.', errors })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

const parsed = (text: string): E.Either<FieldErrors, unknown> => {
  try {
    return E.right(JSON.parse(text) as unknown)
  } catch (cause) {
    return E.left([{ path: '', code: 'json', detail: `Expected JSON: ${cause instanceof Error ? cause.message : String(cause)}` }])
  }
}

/** A line as a task, with what the command line says of all of them; its own fields go first. */
export const taskOfLine = (line: number, text: string, shared: Partial<InsertBody>, world: World): E.Either<Refusal, GivenLine> => {
  const value = parsed(text)
  if (E.isLeft(value)) return E.left(invalid(line, value.left))
  if (!isObject(value.right)) return E.left(invalid(line, [{ path: '', code: 'type', detail: 'Expected an object with the fields of a task, for instance {"payload": …}.' }]))
  const task = decode(insertBody, { ...shared, ...value.right })
  if (E.isLeft(task)) return E.left(invalid(line, task.left))
  const { payload } = task.right
  const bytes = payload === undefined ? 0 : Buffer.byteLength(JSON.stringify(payload))
  if (bytes > PAYLOAD_BYTES_MAX)
    return E.left(invalid(line, [{ path: '/payload', code: 'length', detail: `Expected at most ${PAYLOAD_BYTES_MAX} bytes, but there are ${bytes}.` }]))
  const id = task.right.id ?? uuidv7(world)
  return E.right({ line, id, text: JSON.stringify({ ...task.right, id }) })
}

interface Lines {
  readonly stream: Readable
  /** Bytes in all, where that is known. */
  readonly bytes: number | undefined
}

const opened = async (file: string): Promise<Lines> => {
  if (file === '-') return { stream: process.stdin, bytes: undefined }
  try {
    const handle = await open(file)
    const found = await handle.stat()
    if (found.isDirectory()) throw new Error('it is a directory')
    return { stream: handle.createReadStream(), bytes: found.isFile() ? found.size : undefined }
  } catch (cause) {
    throw usage(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

interface Tally {
  put: number
  /** The last line that was looked at. */
  line: number
  readBytes: number
  readonly refused: Refusal[]
}

/** Whether the same line may be taken later: the server is busy, and the line is well. */
const isForNow = ({ code, status }: StintError): boolean => (status === 429 && code !== 'over-quota') || status === 503

/** Puts what can be put; each line is in or refused when this resolves. Throws what concerns them all. */
const send = async (context: Context, queue: QueueName, batch: readonly GivenLine[], onAnswer: (line: GivenLine, refusal: Refusal | undefined) => void): Promise<void> => {
  const { http, world } = context
  let left = batch
  let luckyAt = world.monotonic()
  while (left.length > 0) {
    const { items } = await http.sendMany(
      insertTask,
      left.map(({ text }) => text),
      { params: queue },
    )
    const again: GivenLine[] = []
    const isPatient = world.monotonic() - luckyAt < PATIENCE_MS
    for (const [index, answer] of items.entries()) {
      const given = left[index]
      if (given === undefined) continue
      if (E.isRight(answer)) onAnswer(given, undefined)
      else if (isPatient && isForNow(answer.left)) again.push(given)
      else {
        const { code, title = code, errors, detail } = answer.left.problem
        onAnswer(given, { line: given.line, code, title: [title, detail].filter((part) => part !== undefined).join(' '), ...(errors === undefined ? {} : { errors }) })
      }
    }
    if (again.length < left.length) luckyAt = world.monotonic()
    left = again
    if (left.length > 0) await pause(world, AGAIN_MS)
  }
}

const refusalText = ({ line, title, errors }: Refusal): string =>
  `line ${line}: ${errors === undefined || errors.length === 0 ? title : errors.map(({ path, detail }) => (path === '' ? detail : `${path}: ${detail}`)).join(' ')}`

/** Told as they come: with JSON lines as data, to people the first ones on stderr. */
const tellRefusal = ({ format, out, say }: Context, tally: Tally, refusal: Refusal): void => {
  tally.refused.push(refusal)
  if (format === 'jsonl') out(JSON.stringify({ ...refusal, refused: true }))
  if (format === 'table' && tally.refused.length <= TOLD_MAX) say(plain(refusalText(refusal)))
}

const stepOf = (tally: Tally, bytes: number | undefined): Step => ({
  text: `${tally.put.toLocaleString('en')} tasks put${tally.refused.length === 0 ? '' : `, ${tally.refused.length.toLocaleString('en')} refused`}`,
  fraction: bytes === undefined || bytes === 0 ? undefined : tally.readBytes / bytes,
})

const putAll = async (context: Context, queue: QueueName, { stream, bytes }: Lines, shared: Partial<InsertBody>, tally: Tally, tell: (step: Step) => void): Promise<void> => {
  const { format, out, world } = context
  const signal = context.interrupted()
  let batch: GivenLine[] = []
  let batchBytes = 0
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return
    const sent = batch
    batch = []
    batchBytes = 0
    await send(context, queue, sent, ({ line, id }, refusal) => {
      if (refusal !== undefined) return tellRefusal(context, tally, refusal)
      tally.put += 1
      if (format === 'jsonl') out(JSON.stringify({ line, id }))
    })
    tell(stepOf(tally, bytes))
  }
  for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (signal.aborted) return
    tally.line += 1
    tally.readBytes += Buffer.byteLength(text) + 1
    if (text.trim() === '') continue
    const task = taskOfLine(tally.line, tally.line === 1 ? text.replace(/^\uFEFF/, '') : text, shared, world)
    if (E.isLeft(task)) tellRefusal(context, tally, task.left)
    else {
      batch.push(task.right)
      batchBytes += Buffer.byteLength(task.right.text)
    }
    if (batch.length >= BATCH_MAX || batchBytes >= BATCH_BYTES) await flush()
  }
  await flush()
}

/** Puts the tasks of a file, or of standard input (`-`). Throws with exit code 1 when a line was refused. */
export const putLines = async (context: Context, queue: QueueName, file: string, shared: Partial<InsertBody>): Promise<void> => {
  const lines = await opened(file)
  const tally: Tally = { put: 0, line: 0, readBytes: 0, refused: [] }
  const counted = (count: number): string => `${count.toLocaleString('en')} task${count === 1 ? '' : 's'}`
  try {
    await withProgress(context, (tell) => putAll(context, queue, lines, shared, tally, tell))
  } catch (cause) {
    const advice = mayPass(cause) ? ' Lines with an id of their own can be put again without harm.' : ''
    if (tally.line > 0) context.say(`stint: ${counted(tally.put)} had been put when it stopped, behind line ${tally.line} at the latest.${advice}`)
    throw cause
  }
  const { put, refused } = tally
  if (context.format === 'json') context.out(JSON.stringify({ put, refused }, null, 2))
  if (context.format === 'table') {
    if (refused.length > TOLD_MAX) context.say(`and ${(refused.length - TOLD_MAX).toLocaleString('en')} more lines; -o jsonl tells all`)
    context.out(`${counted(put)} put into ${nameOf(queue)}${refused.length === 0 ? '' : `, ${refused.length.toLocaleString('en')} refused`}`)
  }
  if (context.interrupted().aborted) throw new CliFailure(EXIT.failed, `Interrupted: ${counted(put)} had been put, the rest was not read.`)
  if (refused.length > 0) throw new CliFailure(EXIT.failed, `${refused.length.toLocaleString('en')} line${refused.length === 1 ? ' was' : 's were'} refused.`)
}

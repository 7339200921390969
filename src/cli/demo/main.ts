// `stint demo`: a play in acts on one running Stint, with real processes and real files, in which everything that can die is killed once.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from '../context.ts'
import { formatDuration } from '../duration.ts'
import { CliFailure, EXIT, usage } from '../failure.ts'
import { commandLines, shellWord } from '../terminal/text.ts'
import { createNursery, type Nursery } from './children.ts'
import { createClaims } from './claims.ts'
import { acts } from './acts/index.ts'
import { perform, type Performance } from './performance.ts'
import { widthOfTables } from './table-width.ts'
import { plainStage, terminalStage, type Stage } from './stage.ts'

export interface DemoOptions {
  readonly data?: string
  readonly seconds?: number
  readonly fast?: boolean
  readonly yes?: boolean
  /** Only this act, from 1. */
  readonly act?: number
}

/** The node_modules of this project, or the one that it is installed in. */
const ownModules = (): string | undefined => {
  const project = fileURLToPath(new URL('../../..', import.meta.url))
  return [join(project, 'node_modules'), resolve(project, '..'), resolve('node_modules')].find((path) => path.endsWith('node_modules') && existsSync(path))
}

const rootOf = (given: string | undefined): string => {
  const root = given === undefined ? ownModules() : resolve(given)
  if (root === undefined) throw usage('There is no node_modules to index.', 'Name a directory: stint demo DIRECTORY')
  if (!existsSync(root)) throw usage(`There is no directory ${root}.`)
  return root
}

interface Place {
  readonly directory: string
  readonly isKept: boolean
}

const placeOf = (given: string | undefined): Place => {
  if (given === undefined) return { directory: mkdtempSync(join(tmpdir(), 'stint-demo-')), isKept: false }
  const directory = resolve(given)
  mkdirSync(directory, { recursive: true })
  if (readdirSync(directory).length > 0) throw usage(`${directory} is not empty.`, 'Name a new directory with --data.')
  return { directory, isKept: true }
}

const stageFor = ({ out, paint }: Context, isAsked: boolean): Stage => {
  const { stdin, stdout } = process
  if (!stdout.isTTY || process.env['TERM'] === 'dumb') return plainStage(out, paint)
  const interrupt = (): void => void process.kill(process.pid, 'SIGINT')
  return terminalStage({ output: stdout, input: isAsked && stdin.isTTY ? stdin : undefined, paint, interrupt })
}

const interruption = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new CliFailure(EXIT.failed, 'The demo was ended before its end; its processes are gone.')), { once: true })
  })

/** Plays until the end or Ctrl-C; nobody of the cast is left afterwards. */
const play = async (performance: Performance): Promise<void> => {
  const { interrupted, nursery } = performance
  const stages: Stage[] = []
  const openStage = (): Stage => {
    const stage = performance.openStage()
    stages.push(stage)
    return stage
  }
  const played = perform({ ...performance, openStage })
  try {
    await Promise.race([played, interruption(interrupted)])
  } finally {
    for (const stage of stages) stage.close()
    await nursery.endAll()
    await played.catch(() => undefined)
  }
}

/** What must be gone in any case, however the process exits. */
const leavingNothing = (nursery: Nursery, place: Place) => {
  const clean = (): void => {
    nursery.killAll()
    if (!place.isKept) rmSync(place.directory, { recursive: true, force: true })
  }
  // A terminal that is closed says so with SIGHUP.
  const onHangUp = (): void => void process.kill(process.pid, 'SIGTERM')
  process.on('exit', clean)
  process.on('SIGHUP', onHangUp)
  return (): void => {
    process.off('exit', clean)
    process.off('SIGHUP', onHangUp)
    clean()
  }
}

/** Runs the demo. Throws a CliFailure when it cannot, when it is interrupted, or when something it claims was not so. */
export const runDemo = async (context: Context, options: DemoOptions, given: string | undefined): Promise<void> => {
  const { world, paint } = context
  const began = world.monotonic()
  const root = rootOf(given)
  const place = placeOf(options.data)
  const { seconds, act: wanted, fast: isFast = false, yes: isYes = false } = options
  const numbered = acts.map((act, index) => ({ number: index + 1, act })).filter(({ number }) => wanted === undefined || wanted === number)
  // Whatever is said while a board is on stage stays above it.
  const claims = createClaims((line) => (stage === undefined ? context.out(line) : stage.say(line)), paint, context.columns)
  let stage: Stage | undefined
  const openStage = (): Stage => {
    const opened = stageFor(context, !isFast && !isYes)
    const close = (): void => {
      opened.close()
      stage = undefined
    }
    return (stage = { ...opened, close })
  }
  const nursery = createNursery(world)
  const leave = leavingNothing(nursery, place)
  try {
    await play({ ...{ context, nursery, claims, root, isFast, seconds, openStage }, acts: numbered, directory: place.directory, interrupted: context.interrupted() })
    claims.check('No process of it is left.', nursery.living().length === 0, place.isKept ? `what they wrote is kept in ${place.directory}` : '')
  } finally {
    leave()
  }
  const failed = claims.failed()
  if (failed.length > 0)
    throw new CliFailure(EXIT.failed, `${failed.length} of ${claims.count()} claims did not hold: ${failed.join(' ')}`, 'Please report this, with what was printed above.')
  const { out } = context
  out('')
  out(paint('bold', `${claims.count()} of ${claims.count()} claims held, in ${formatDuration(world.monotonic() - began)}.`))
  if (place.isKept) {
    out('Look around in it:')
    const at = (name: string): string => shellWord(join(place.directory, name))
    const command = `npx stint serve --data ${at('stint-data')} --config ${at('config')}`
    for (const line of commandLines(command, widthOfTables(context) ?? Number.POSITIVE_INFINITY)) out(line)
  }
  out('Next: README.md shows how your own service becomes a job server, docs/guides/task-queues.md how it gets a queue.')
}

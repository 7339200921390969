// The main job on real input: real processes index real files while Stint keeps watch, and everything that can die is killed once.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from '../context.ts'
import { formatDuration } from '../duration.ts'
import { CliFailure, EXIT, usage } from '../failure.ts'
import { shellWord } from '../terminal/text.ts'
import { createNursery, type Nursery } from './children.ts'
import { createClaims } from './claims.ts'
import { perform, type Performance, type Tempo } from './performance.ts'
import { plainStage, terminalStage, type Stage } from './stage.ts'

export interface DemoOptions {
  readonly data?: string
  readonly seconds?: number
  readonly fast?: boolean
  readonly yes?: boolean
}

const USUAL: Tempo = { requests: 18, atOnce: 9, seconds: 26, reportEverySeconds: 1, breathMs: 2_500 }
const FAST: Tempo = { requests: 12, atOnce: 6, seconds: 9, reportEverySeconds: 0.5, breathMs: 500 }

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
  const { interrupted, stage, nursery } = performance
  const played = perform(performance)
  try {
    await Promise.race([played, interruption(interrupted)])
  } finally {
    stage.close()
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
  const tempo = options.fast === true ? FAST : USUAL
  const stage = stageFor(context, options.fast !== true && options.yes !== true)
  const claims = createClaims(stage.say, paint, context.columns)
  const nursery = createNursery(world)
  const leave = leavingNothing(nursery, place)
  try {
    await play({
      ...{ context, nursery, stage, claims, root },
      directory: place.directory,
      tempo: { ...tempo, seconds: options.seconds ?? tempo.seconds },
      interrupted: context.interrupted(),
    })
    claims.check('No process of it is left.', nursery.living().length === 0, place.isKept ? `what they wrote is kept in ${place.directory}` : '')
  } finally {
    leave()
  }
  const failed = claims.failed()
  if (failed.length > 0)
    throw new CliFailure(EXIT.failed, `${failed.length} of ${claims.count()} claims did not hold: ${failed.join(' ')}`, 'Please report this, with what was printed above.')
  stage.say()
  stage.say(paint('bold', `${claims.count()} of ${claims.count()} claims held, in ${formatDuration(world.monotonic() - began)}.`))
  if (place.isKept) {
    stage.say('Look around in it:')
    stage.command(`npx stint serve --data ${shellWord(join(place.directory, 'stint-data'))}`)
  }
  stage.say('Next: README.md shows how your own service becomes a job server.')
}

// `stint serve`: runs a server until it is told to stop.
import { hearStops } from '../client/stops.ts'
import { createLog } from '../log.ts'
import { startServer, type RunningServer } from '../main.ts'
import { pause, type World } from '../world.ts'
import type { Context } from './context.ts'
import { CliFailure, EXIT } from './failure.ts'
import { configDirectoryOf, configOf, type ServerFlags } from './server-options.ts'
import { STOP_SIGNALS } from './stop-signals.ts'

const endAtOnce = (say: (line: string) => void, signal: NodeJS.Signals, when: string): never => {
  say(`stint: ${signal} ${when}: ending at once`)
  process.exit(128 + (signal === 'SIGINT' ? 2 : 15))
}

/** Tells which signal came first; the second one ends the process at once. */
const stopSignal = (world: World, say: (line: string) => void) => {
  const stopping = new AbortController()
  hearStops(STOP_SIGNALS, world, { first: (signal) => stopping.abort(signal), again: (signal) => endAtOnce(say, signal, 'again') })
  return stopping
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

const isCode = (cause: unknown, code: string): boolean => cause instanceof Error && 'code' in cause && cause.code === code

/** What kept the server from starting, as people read it; anything else is a defect. */
const startFailure = (cause: unknown, host: string, port: number): unknown => {
  if (isCode(cause, 'EADDRINUSE'))
    return new CliFailure(EXIT.conflict, `${host}:${port} is taken.`, 'Is a server running already? Choose another with --port; `stint doctor` tells who answers there.')
  if (isCode(cause, 'EACCES') || isCode(cause, 'EADDRNOTAVAIL'))
    return new CliFailure(EXIT.usage, `Cannot listen on ${host}:${port}: ${(cause as Error).message}.`, 'Choose others with --host and --port.')
  if (cause instanceof Error && cause.name === 'QueueFilesError')
    return new CliFailure(EXIT.usage, cause.message, '`stint queues check FILE` checks a file without starting a server.')
  if (cause instanceof Error && cause.name === 'StoreOpenError')
    return new CliFailure('problem' in cause && cause.problem === 'in-use' ? EXIT.conflict : EXIT.failed, cause.message)
  if (cause instanceof Error && cause.name === 'StoreFault') return new CliFailure(EXIT.failed, cause.message, '`stint verify` tells what is wrong with the log.')
  return cause
}

/** How long reads are still answered after the log failed, so that callers get an answer and not a cut. */
const AFTER_FAULT_MS = 1_000

const announce = ({ out, say }: Context, { url, firstToken }: RunningServer): void => {
  out(`listening ${url}`)
  if (firstToken === undefined) return
  out(`token ${firstToken}`)
  say('This is the first start with tokens: the token above is for an administrator and is shown this once.\nKeep it, or set STINT_TOKEN to it; `stint tokens add` makes more.')
}

export const serve = async (context: Context, flags: ServerFlags): Promise<void> => {
  const { world, say } = context
  const config = configOf(flags)
  const log = createLog({ level: config.logLevel, world, human: process.stderr.isTTY })
  const stopping = stopSignal(world, say)
  process.once('uncaughtException', (cause) => {
    log.fatal({ err: cause }, 'a defect in Stint: ending at once, a restart goes on from the log')
    process.exit(EXIT.fault)
  })
  let fault: Error | undefined
  const onFatal = (cause: Error): void => {
    fault = cause
    stopping.abort('fatal')
  }
  let server: RunningServer | undefined
  // Nothing has been promised to anybody before it listens.
  stopping.signal.addEventListener('abort', () => {
    if (server === undefined && fault === undefined) endAtOnce(say, stopping.signal.reason as NodeJS.Signals, 'before it had started')
  })
  try {
    server = await startServer(config, { world, log, onFatal, configDirectory: configDirectoryOf(flags) })
  } catch (cause) {
    throw startFailure(cause, config.host, config.port)
  }
  announce(context, server)
  await aborted(stopping.signal)
  if (fault !== undefined) await pause(world, AFTER_FAULT_MS)
  await server.close()
  if (fault !== undefined)
    throw new CliFailure(
      EXIT.fault,
      `The log cannot be written any more: ${fault.message}`,
      'Start the server again: what was acknowledged is there, and what was in flight is decided then.',
    )
}

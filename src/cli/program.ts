// The command line as a whole: which commands there are, what each takes, and how a mistake is told. What a command does is loaded when it is called, so that help and errors come at once.
import { Command, CommanderError } from 'commander'
import { readFileSync } from 'node:fs'
import { addAudit } from './audit.ts'
import { action, globalOptions } from './context.ts'
import { addContracts } from './contracts.ts'
import { addDemo } from './demo/command.ts'
import { addEvents } from './events.ts'
import { describeFailure, EXIT, usage, type ExitCode } from './failure.ts'
import { examples } from './help.ts'
import { addJobs } from './jobs.ts'
import { addLongTasks } from './long-tasks.ts'
import { addNodes } from './nodes.ts'
import { addQueues } from './queues.ts'
import { addRequests } from './requests.ts'
import { boundHeap } from './heap.ts'
import { settingsTable, withSettings } from './server-options.ts'
import { addTasks } from './tasks.ts'
import { addTokens } from './tokens.ts'

const version = (): string => (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string }).version

const addServe = (program: Command): void => {
  withSettings(program.command('serve').description('run a server'))
    .action(async (...given: readonly unknown[]) => {
      boundHeap()
      const { serve } = await import('./serve.ts')
      await action(serve)(...given)
    })
    .addHelpText('after', settingsTable)
    .addHelpText(
      'after',
      `\nPrints \`listening URL\` on stdout once it takes requests, and logs to stderr. SIGTERM and Ctrl-C answer what was taken, a second one ends at once.\n${examples('stint serve', 'stint serve --port 0 --data :memory:', 'stint serve --host 0.0.0.0 --auth tokens --data /var/lib/stint')}`,
    )
}

const addOffline = (program: Command): void => {
  const offline = () => import('./offline.ts')
  const late =
    (name: 'replay' | 'verify' | 'backup' | 'restore' | 'doctor') =>
    async (...given: readonly unknown[]): Promise<void> => {
      const commands = await offline()
      await action(commands[name] as never)(...given)
    }
  withSettings(program.command('doctor').description('look at everything a server needs of this machine'), ['data', 'host', 'port', 'auth', 'allowAnyFileSystem'])
    .action(late('doctor'))
    .addHelpText('after', examples('stint doctor', 'stint doctor --data /var/lib/stint --port 7070 -o json'))
  withSettings(program.command('replay').description('fold the log from its first event and say what it comes to; needs no server'), ['data'])
    .option('--job <id>', 'the history of this job, with its state after each event')
    .action(late('replay'))
    .addHelpText('after', examples('stint replay', 'stint replay --job 0197a4d2-… --data /var/lib/stint'))
  withSettings(
    program.command('verify').description('prove the log and its tables; works beside a running server').argument('[file]', 'a backup, in place of the data directory'),
    ['data'],
  )
    .action(late('verify'))
    .addHelpText(
      'after',
      `\nExit code 1 when the chain of digests is broken or a kept table is not what the log says.\n${examples('stint verify', 'stint verify monday.db', 'stint verify -o json')}`,
    )
  withSettings(
    program
      .command('backup')
      .description('copy the log, beside a running server too')
      .argument('<target>', 'file to make, or a directory to make one in; with a slash at its end the directory is made too'),
    ['data'],
  )
    .action(late('backup'))
    .addHelpText('after', examples('stint backup monday.db', 'stint backup /var/backups/ --data /var/lib/stint'))
  withSettings(program.command('restore').description('put a backup into a data directory that has no log').argument('<backup>', 'file that `stint backup` made'), ['data'])
    .action(late('restore'))
    .addHelpText('after', examples('stint restore monday.db --data ./restored'))
}

const EXITS = `
Exit codes: 0 ok, 1 the work failed, 2 usage, 3 not found, 4 conflict, 5 unreachable, 6 not allowed, 124 timeout.
`

const build = (): Command => {
  const program = new Command('stint')
  program
    .description('Event-sourced workflow engine: one log for job proxies, task queues, exactly-once requests and long tasks.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'stint: ')) })
    .showHelpAfterError('(add --help for an explanation)')
    .exitOverride()
  for (const option of globalOptions()) program.addOption(option)
  addServe(program)
  addJobs(program)
  addQueues(program)
  addTasks(program)
  addContracts(program)
  addRequests(program)
  addLongTasks(program)
  addNodes(program)
  addEvents(program)
  addTokens(program)
  addAudit(program)
  addDemo(program)
  addOffline(program)
  program.addHelpText('after', EXITS + examples('stint demo', 'stint serve', 'stint jobs watch', "stint jobs abort --label 'nightly index'"))
  return program
}

/** Help and version end commander too; they are no mistakes, but for a noun without its verb. */
const exitCodeOf = (error: CommanderError): ExitCode => (error.exitCode === 0 ? EXIT.ok : EXIT.usage)

/** `stint help jobs abort` as `stint jobs abort --help`: commander would look at the first word only. */
const asHelp = (program: Command, args: readonly string[]): readonly string[] => {
  const [first, ...words] = args
  if (first !== 'help' || words.some((word) => word.startsWith('-'))) return args
  let at = program
  for (const word of words) {
    const found = at.commands.find((command) => command.name() === word || command.aliases().includes(word))
    if (found === undefined) throw usage(`There is no command \`${['stint', ...words].join(' ')}\`.`, '`stint help` shows all.')
    at = found
  }
  return [...words, '--help']
}

/** Runs one command line (without the program's name) and answers its exit code. Never throws. */
export const run = async (args: readonly string[]): Promise<ExitCode> => {
  try {
    const program = build()
    await program.parseAsync(asHelp(program, args), { from: 'user' })
    return EXIT.ok
  } catch (cause) {
    if (cause instanceof CommanderError) return exitCodeOf(cause)
    const { exitCode, lines } = describeFailure(cause)
    process.stderr.write(`stint: ${lines.join('\n')}\n`)
    return exitCode
  }
}

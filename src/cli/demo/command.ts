// `stint demo` on the command line; the demo itself is loaded when it is called.
import { InvalidArgumentError, type Command } from 'commander'
import { action } from '../context.ts'
import { examples } from '../help.ts'

const WHAT = `
Starts a server with its data in a file, a load balancer and three job servers, each a process of its own on this machine, and lets them index
the Markdown and source files under a directory. Then it aborts a job, kills a job server, kills the server, and checks that nothing was lost.
Takes about a minute. Exit code 1 if anything it claims turned out not to be so.
`

const secondsFlag = (text: string): number => {
  const seconds = Number(text)
  if (!Number.isFinite(seconds) || seconds < 5 || seconds > 600) throw new InvalidArgumentError('Expected a number from 5 to 600.')
  return seconds
}

export const addDemo = (program: Command): void => {
  program
    .command('demo')
    .description('see it work: a server, three job servers and real jobs, with kills and a replay')
    .argument('[directory]', 'what is indexed; the node_modules of this project unless given')
    .option('--data <directory>', 'keep everything here, a directory that is new or empty; a temporary one unless given, removed at the end')
    .option('--seconds <count>', 'about how long the jobs take', secondsFlag)
    .option('--fast', 'fewer and shorter jobs')
    .action(async (...given: readonly unknown[]) => {
      const { runDemo } = await import('./main.ts')
      const command = given[given.length - 1] as Command
      // --yes is an option of every command: here it means that nobody is asked to press a key.
      await action(runDemo)(...given.slice(0, -2), command.optsWithGlobals(), command)
    })
    .addHelpText('after', WHAT + examples('stint demo', 'stint demo ~/notes', 'stint demo --fast --yes'))
}

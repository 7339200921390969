// `stint demo` on the command line; the demo itself is loaded when it is called.
import { InvalidArgumentError, type Command } from 'commander'
import { action } from '../context.ts'
import { examples } from '../help.ts'

const WHAT = `
A play in acts on one server with its data in a file. Each program in it is a process of its own on this machine; the work is done on the Markdown
and source files under a directory.
  Act 1  a load balancer and three job servers: a job is aborted, a job server is killed, Stint is killed
  Act 2  an application outside and the workers of one inside: one is busy, one is killed, one stands still, and a bad task is mended
  Act 3  a shop sends requests, some of them twice, while Stint is killed each second; each card is charged once
  Act 4  a manager has nodes copy and pack images; a node is killed, one stands still, Stint is killed
Takes about two minutes. Exit code 1 if anything it claims turned out not to be so.
`

const secondsFlag = (text: string): number => {
  const seconds = Number(text)
  if (!Number.isFinite(seconds) || seconds < 5 || seconds > 600) throw new InvalidArgumentError('Expected a number from 5 to 600.')
  return seconds
}

const actFlag = (text: string): number => {
  if (!/^[1-4]$/.test(text)) throw new InvalidArgumentError('Expected the number of an act: 1, 2, 3 or 4.')
  return Number(text)
}

export const addDemo = (program: Command): void => {
  program
    .command('demo')
    .description('see it work: a server, job servers, workers and real files, with kills and a replay')
    .argument('[directory]', 'whose files are worked on; the node_modules of this project unless given')
    .option('--data <directory>', 'keep everything here, a directory that is new or empty; a temporary one unless given, removed at the end')
    .option('--seconds <count>', 'about how long the work of each act takes', secondsFlag)
    .option('--act <number>', 'only this act, 1 to 4; all unless given', actFlag)
    .option('--fast', 'less and shorter work')
    .action(async (...given: readonly unknown[]) => {
      const { runDemo } = await import('./main.ts')
      const command = given[given.length - 1] as Command
      // --yes is an option of every command: here it means that nobody is asked to press a key.
      await action(runDemo)(...given.slice(0, -2), command.optsWithGlobals(), command)
    })
    .addHelpText('after', WHAT + examples('stint demo', 'stint demo ~/notes', 'stint demo --act 2', 'stint demo --fast --yes'))
}

// The program `stint`: runs one command and ends with its exit code.
import { enableCompileCache } from 'node:module'

// A command lives a tenth of a second, and most of that would go into compiling it anew each time.
enableCompileCache()
const { run } = await import('./program.ts')
const { STOP_SIGNALS } = await import('./stop-signals.ts')
const { writtenOut } = await import('./written-out.ts')

// Whoever reads us may stop reading (`stint jobs list | head`): that is no error of ours.
process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
  if (cause.code === 'EPIPE') process.exit(0)
  throw cause
})

process.exitCode = await run(process.argv.slice(2))
// Node gives signals back to the system while it takes itself apart, and a request to stop that comes twice would kill what has ended well: whoever heard the first one ends at once.
if (STOP_SIGNALS.some((signal) => process.listenerCount(signal) > 0)) {
  await writtenOut(process.stdout, process.stderr)
  process.exit()
}

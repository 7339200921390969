// An implementation node as a process, whose operations come to their end only in a second attempt: the first waits in the middle, to be killed there. It says on stdout what its
// log has taken.
//   node copying-node.ts --management URL --directory DIRECTORY
import { parseArgs } from 'node:util'
import type { LongTask, OperationContext } from '../../../../src/client/index.ts'
import { implementationNode } from '../../../../src/embedded/index.ts'

const { values: given } = parseArgs({ options: { management: { type: 'string' }, directory: { type: 'string', default: 'node-data' } } })

/** Half is done in the first attempt, and then nothing happens any more. */
const copy = (context: OperationContext): Promise<unknown> => {
  context.phase('copy')
  context.progress({ done: 1, total: 2 })
  if (context.attempt > 1) return Promise.resolve({ attempt: context.attempt, before: context.before })
  return new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(context.signal.reason as Error), { once: true }))
}

class CopyImage {
  static readonly longTask = { timeout: '10m', progressEvery: '100ms', onRestart: 'resume' } satisfies LongTask
  run(context: OperationContext): Promise<unknown> {
    return copy(context)
  }
}

class MoveImage {
  static readonly longTask = { timeout: '10m', progressEvery: '100ms', onRestart: 'fail' } satisfies LongTask
  run(context: OperationContext): Promise<unknown> {
    return copy(context)
  }
}

const write = (line: string): void => void process.stdout.write(`${line}\n`)

const node = await implementationNode({
  name: 'copying',
  management: { url: given.management },
  operations: [CopyImage, MoveImage],
  directory: given.directory,
  onFatal: (cause) => write(`fatal ${cause.message}`),
  onProblem: (problem, id) => write(`problem ${id ?? '-'} ${problem.message}`),
})

const ending = new AbortController()
process.once('SIGTERM', () => {
  ending.abort()
  void node.close()
})
write(`listening ${node.url}`)
for await (const told of node.engine.follow({ signal: ending.signal }))
  if (told.type === 'event') write(`logged ${told.event.stream.replace('workItem-long-task/', '')} ${told.event.type}`)

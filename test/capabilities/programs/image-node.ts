// An implementation node as a process, with the operations of the example of disk images. Beside Stint it writes down each run of an operation and how that ended.
//   node image-node.ts --name NAME --stint URL --directory DIRECTORY --port PORT [--url URL]
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { operations } from '../../../examples/disk-images/images.ts'
import { tell } from '../../../src/cli/demo/talk.ts'
import { AbortRequested, type OperationContext } from '../../../src/client/index.ts'
import { implementationNode } from '../../../src/embedded/index.ts'
import { NODE_LOG, RUNS, type Run } from '../../support/runs.ts'

const { values: given } = parseArgs({
  options: {
    name: { type: 'string', default: 'disk' },
    stint: { type: 'string' },
    directory: { type: 'string', default: '.' },
    port: { type: 'string', default: '0' },
    url: { type: 'string' },
  },
})
mkdirSync(given.directory, { recursive: true })
process.chdir(given.directory)

const note = (run: Run): void => {
  appendFileSync(RUNS, `${JSON.stringify(run)}\n`)
  process.stdout.write(`${JSON.stringify({ type: 'run', ...run })}\n`)
}

declare class Runs {
  constructor(args: never)
  run(context: OperationContext): Promise<unknown>
}

/** The same class, which writes down what it does. */
const recorded = (operationClass: (typeof operations)[number]) => {
  const { name: operation } = operationClass
  return class extends (operationClass as unknown as typeof Runs) {
    static readonly operation = operation
    override async run(context: OperationContext): Promise<unknown> {
      const { id, attempt } = context
      note({ id, operation, attempt, what: 'began' })
      try {
        const result = await super.run(context)
        note({ id, operation, attempt, what: 'completed', result })
        return result
      } catch (failure) {
        note({ id, operation, attempt, what: failure instanceof AbortRequested || context.signal.reason instanceof AbortRequested ? 'aborted' : 'failed' })
        throw failure
      }
    }
  }
}

const node = await implementationNode({
  name: given.name,
  management: { url: given.stint },
  listen: { port: Number(given.port) },
  url: given.url,
  operations: operations.map(recorded),
  directory: join('.', NODE_LOG),
  onProblem: (problem, id) => tell({ type: 'problem', detail: problem.message, job: id }),
})
process.once('SIGTERM', () => void node.close())
tell({ type: 'listening', url: node.url })

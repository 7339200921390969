// An implementation node, as a process of its own: it works on the images in its directory.
//   node disk-node.ts --name NAME --stint URL --directory DIRECTORY --log DIRECTORY        (token: STINT_TOKEN)
import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { implementationNode } from '../../embedded/index.ts'
import { diskOperations } from './disk-images.ts'
import { tell } from './talk.ts'

const { values: given } = parseArgs({
  options: {
    name: { type: 'string', default: 'disk' },
    stint: { type: 'string', default: 'http://127.0.0.1:7070' },
    directory: { type: 'string', default: 'images' },
    log: { type: 'string', default: 'node-log' },
  },
})
mkdirSync(given.directory, { recursive: true })
process.chdir(given.directory)

const node = await implementationNode({
  name: given.name,
  management: { url: given.stint },
  operations: diskOperations,
  directory: given.log,
  onProblem: (problem, operation) => tell({ type: 'problem', detail: problem.message, job: operation }),
})
process.once('SIGTERM', () => void node.close())
tell({ type: 'listening', url: node.url })

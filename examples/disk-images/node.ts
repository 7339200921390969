// An implementation node: it takes operations on disk images, runs them in its directory, and tells how they are doing. Start as many as you like, each with a name and a directory.
// In your own project: import { implementationNode } from 'stint/embedded'
import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { implementationNode } from '../../src/embedded/index.ts'
import { operations } from './images.ts'

const { values: given } = parseArgs({ options: { name: { type: 'string', default: 'disk-1' }, directory: { type: 'string' } } })
const { name, directory = `images/${name}` } = given

const say = (line: string): void => void process.stdout.write(`${line}\n`)

// The operations name files in it, and no path leads out of it.
mkdirSync(directory, { recursive: true })
process.chdir(directory)

// STINT_URL and STINT_TOKEN say where the management node is. What this node was given lies in its own log, so it goes on with it after a restart.
const node = await implementationNode({ name, operations, directory: '.stint' })
say(`node ${name} listens at ${node.url}, images in ${process.cwd()}; to signal it: kill ${process.pid}`)
for (const { id, operation, state } of node.operations()) say(state === 'ended' ? `has still to tell how ${id} ended` : `goes on with ${id}, ${operation}`)

const stop = (): void => void node.close().then(() => say('closed; what was not done is gone on with at the next start, or fails, as its class says'))
process.once('SIGTERM', stop)
process.once('SIGINT', stop)

// A management program: it has each node make an image, copy it, pack it, and hash all three; the hashes must be the same. Kill whatever you like meanwhile.
// In your own project: import { connect, NotCompleted, type Management } from 'stint'
import { parseArgs } from 'node:util'
import { connect, NotCompleted } from '../../src/client/index.ts'
import { CompressImage, CopyImage, HashImage, ListImages, MakeImage } from './images.ts'

const { values: given } = parseArgs({
  options: {
    nodes: { type: 'string', default: 'disk-1,disk-2,disk-3' },
    /** Of each image. */
    megabytes: { type: 'string', default: '200' },
    /** Megabytes a second of each copy, hash and packing; 0: as fast as it goes. */
    speed: { type: 'string', default: '20' },
    /** Begins the ids of the long tasks: a program that was killed and is started again with the same finds what it dispatched before. */
    run: { type: 'string', default: `run-${process.pid}` },
  },
})
const MEGABYTE = 1_000_000
const TRIES = 5
const { run } = given
const bytes = Number(given.megabytes) * MEGABYTE
const speed = Number(given.speed) === 0 ? {} : { bytesPerSecond: Number(given.speed) * MEGABYTE }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

await using stint = connect() // at STINT_URL, else http://127.0.0.1:7070
await using management = stint.management()

/** Has a node do it, and says how that went. What broke off because the node stopped, and is not gone on with, is dispatched again under another id. */
const done = async <Operation extends object>(node: string, what: string, operation: Operation) => {
  for (let attempt = 1; ; attempt += 1) {
    const id = `${run}-${node}-${what}-${attempt}`
    const task = await management.dispatch(operation, { node, id })
    try {
      const result = await task.result()
      say(`${id}  completed  ${JSON.stringify(result)}`)
      return result
    } catch (failure) {
      if (!(failure instanceof NotCompleted)) throw failure
      say(`${id}  ${failure.state}  ${JSON.stringify(failure.outcome)}`)
      if (failure.code !== 'interrupted' || attempt === TRIES) throw failure
    }
  }
}

const workOn = async (node: string): Promise<boolean> => {
  const [image, copy, packed] = [`${run}.img`, `${run}-copy.img`, `${run}.img.zst`]
  await done(node, 'make', new MakeImage({ name: image, bytes, seed: `${run} ${node}` }))
  const hashes = await Promise.all([
    done(node, 'hash', new HashImage({ name: image, ...speed })),
    done(node, 'copy', new CopyImage({ from: image, to: copy, ...speed })).then(() => done(node, 'hash-copy', new HashImage({ name: copy, ...speed }))),
    done(node, 'pack', new CompressImage({ from: image, to: packed, ...speed })).then(() => done(node, 'hash-packed', new HashImage({ name: packed }))),
  ])
  const isSame = new Set(hashes.map(({ sha256 }) => sha256)).size === 1
  say(`${node}: the image, its copy and what is packed are ${isSame ? 'the same' : 'NOT the same'}.`)
  for (const { name, bytes: size } of await done(node, 'list', new ListImages())) say(`${node}: ${name} ${size.toLocaleString('en')} bytes`)
  return isSame
}

say(`to go on with this after a kill: --run ${run}; this program: kill ${process.pid}; look: npm run stint -- long-tasks watch`)
const same = await Promise.all(given.nodes.split(',').map(workOn))
if (!same.every(Boolean)) process.exitCode = 1

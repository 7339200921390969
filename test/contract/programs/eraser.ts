// A process that appends to streams, erases them and prunes what is erased without end, and prints `<stream> <revision of the tombstone>` for each acknowledged
// erasure and `pruned <rows>` for each pruning, until it is killed: eraser.ts DIRECTORY LANES PREFIX.
import * as E from 'fp-ts/lib/Either.js'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { right, sample, samples } from '../samples.ts'

const [directory = '', lanes = '1', prefix = ''] = process.argv.slice(2)
const store = await openSqliteStore({ directory })

const lane = async (number: number): Promise<void> => {
  for (let turn = 0; ; turn += 1) {
    const stream = `stream-${prefix}-${number}-${turn}`
    const length = 1 + (turn % 5)
    right(await store.append(stream, 'noStream', [...samples(length - 1), sample(9, { payload: Buffer.alloc(3_000, turn) })])())
    const erased = await store.erase(stream, length - 1, [sample(10, { type: 'Tombstone' })])()
    if (E.isLeft(erased)) throw new Error(JSON.stringify(erased.left))
    process.stdout.write(`${stream} ${erased.right.revision}\n`)
  }
}

const prune = async (): Promise<void> => {
  for (;;) {
    const { pruned } = right(await store.prune({ before: right(await store.head()()).position, max: 20 })())
    process.stdout.write(`pruned ${pruned}\n`)
  }
}

await Promise.all([...Array.from({ length: Number(lanes) }, (_, number) => lane(number)), prune()])

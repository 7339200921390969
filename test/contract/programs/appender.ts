// A process that appends without end and prints `<position> <id>` for each acknowledged event, until it is killed: appender.ts DIRECTORY LANES PREFIX.
import * as E from 'fp-ts/lib/Either.js'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { sample } from '../samples.ts'

const [directory = '', lanes = '1', prefix = ''] = process.argv.slice(2)
const store = await openSqliteStore({ directory })

const append = async (lane: number): Promise<void> => {
  for (let turn = 0; ; turn += 1) {
    const id = `${prefix}-${lane}-${turn}`
    const appended = await store.append(`stream-${prefix}-${lane}`, turn === 0 ? 'noStream' : turn - 1, [sample(turn, { id, payload: Buffer.from(id) })])()
    if (E.isLeft(appended)) throw new Error(JSON.stringify(appended.left))
    process.stdout.write(`${appended.right.position} ${id}\n`)
  }
}

await Promise.all(Array.from({ length: Number(lanes) }, (_, lane) => append(lane)))

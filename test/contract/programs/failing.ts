// A process whose files may not grow beyond some size, so that a commit fails in the middle: it appends until that happens and prints, as one JSON text,
// what everyone was answered: failing.ts DIRECTORY.
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault } from '../../../src/store/port.ts'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { right, sample } from '../samples.ts'

const LANES = 8
const store = await openSqliteStore({ directory: process.argv[2] ?? '' })
const causes: string[] = []
store.onFatal((cause) => causes.push(cause.message))

const acknowledged: string[] = []
const faults: string[] = []
const kindOf = (failure: unknown): string => (failure instanceof StoreFault ? failure.kind : JSON.stringify(failure))

const lane = async (number: number): Promise<void> => {
  for (let turn = 0; ; turn += 1) {
    const appended = await store.append(`stream-${number}`, 'any', [sample(turn, { payload: Buffer.alloc(20_000, number) })])()
    if (E.isRight(appended)) {
      acknowledged.push(appended.right.position)
      continue
    }
    faults.push(kindOf(appended.left))
    return
  }
}
await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))

const later = await store.append('later', 'any', [sample(1)])()
const late: string[] = []
store.onFatal((cause) => late.push(cause.message))
const report = {
  acknowledged,
  faults,
  later: E.isLeft(later) ? kindOf(later.left) : 'stored',
  read: right(await store.readAll({ max: 1_000_000 })()).length,
  causes,
  late,
}
await store.close()
process.stdout.write(`${JSON.stringify(report)}\n`)

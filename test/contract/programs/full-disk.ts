// A process on a small disk: it appends until the disk is full, makes room and appends again, and prints as one JSON text what it was answered:
// full-disk.ts DIRECTORY.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { StoreFault } from '../../../src/store/port.ts'
import { openSqliteStore } from '../../../src/store/sqlite/store.ts'
import { verifyChain } from '../../../src/store/verify.ts'
import { right, sample } from '../samples.ts'

const directory = process.argv[2] ?? ''
const ballast = join(directory, 'ballast')
const store = await openSqliteStore({ directory })
writeFileSync(ballast, Buffer.alloc(2_000_000, 1))
let fatal = 0
store.onFatal(() => (fatal += 1))

const append = async (number: number) => store.append('a', 'any', [sample(number, { payload: Buffer.alloc(30_000, number) })])()

const untilFull = async (): Promise<{ stored: number; answer: string }> => {
  for (let stored = 0; ; stored += 1) {
    const appended = await append(stored)
    if (E.isLeft(appended)) return { stored, answer: appended.left instanceof StoreFault ? `${appended.left.kind}: ${appended.left.message}` : appended.left.kind }
  }
}

const first = await untilFull()
const again = await untilFull()
rmSync(ballast)
const afterwards = await untilFull()
const verified = right(await verifyChain(store)())
await store.close()
process.stdout.write(`${JSON.stringify({ first, again, afterwards, events: verified.events, fatal })}\n`)

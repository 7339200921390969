// The operations of this example: classes of which the management program makes instances and which a node runs. They name files in the directory in which the node was started.
// In your own project: import { PermanentFailure, type LongTask, type OperationContext } from 'stint'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import * as t from 'io-ts'
import { PermanentFailure, type LongTask, type OperationContext } from '../../src/client/index.ts'
import { blockOf, contentAt, isThere, limited, openPart, packedInto, readThrough, sha256Of } from './bytes.ts'

/** No path: what a node is told must not lead out of its directory. */
const imageName = t.refinement(t.string, (name) => /^[\w-][\w.-]{0,99}$/.test(name), 'a file name of letters, digits, - _ and .')
const imageBytes = t.refinement(t.number, (bytes) => Number.isSafeInteger(bytes) && bytes > 0, 'a number of bytes')
const speed = t.refinement(t.number, (bytes) => bytes >= 1_024, 'bytes a second, 1,024 at least')

const sizeOf = async (name: string): Promise<number> => {
  const found = await stat(name).catch(() => undefined)
  if (found === undefined) throw new PermanentFailure(`There is no ${name} here.`, { code: 'no-such-image' })
  return found.size
}

/** What is not whole yet. */
const partOf = (name: string): string => `${name}.part`

/** Writes the blocks of an image to where it is not whole yet, but for those that an attempt before has written, and gives it its name in the end. */
const written = async (
  context: OperationContext,
  {
    name,
    total,
    blockAt,
    bytesPerSecond,
  }: { readonly name: string; readonly total: number; readonly blockAt: (at: number) => Promise<Buffer>; readonly bytesPerSecond?: number | undefined },
): Promise<{ readonly bytes: number; readonly keptBytes: number }> => {
  const allowed = limited(bytesPerSecond, context.signal)
  let keptBytes = 0
  {
    await using part = await openPart(partOf(name), context.attempt > 1)
    context.phase(context.attempt > 1 ? 'check' : 'write')
    for (let done = 0; done < total;) {
      await context.checkpoint() // here it pauses, and here an abort ends it
      const block = (await blockAt(done)).subarray(0, total - done)
      const isKept = await isThere(part, done, block)
      if (isKept) keptBytes += block.byteLength
      else {
        context.phase('write')
        await part.write(block, 0, block.byteLength, done)
      }
      done += block.byteLength
      context.progress({ done, total, unit: 'bytes' })
      context.partial({ bytes: done })
      if (!isKept) await allowed(block.byteLength)
    }
    context.phase('sync')
    await part.truncate(total)
    await part.datasync()
  }
  await rename(partOf(name), name)
  return { bytes: total, keptBytes }
}

const making = t.type({ name: imageName, bytes: imageBytes, seed: t.string })

/** Writes an image of real content, the same for the same seed. */
export class MakeImage {
  static readonly longTask = { timeout: '30m', progressEvery: '1s', onRestart: 'resume' } satisfies LongTask
  static readonly args = making
  readonly args: t.TypeOf<typeof making>

  constructor(args: t.TypeOf<typeof making>) {
    this.args = args
  }

  run(context: OperationContext): Promise<{ readonly bytes: number; readonly keptBytes: number }> {
    const { name, bytes, seed } = this.args
    return written(context, { name, total: bytes, blockAt: (at) => Promise.resolve(contentAt(seed, at)) })
  }
}

const copying = t.intersection([t.type({ from: imageName, to: imageName }), t.partial({ bytesPerSecond: speed })])

/** Copies an image. What an attempt before has copied is compared and kept. */
export class CopyImage {
  static readonly longTask = { timeout: '30m', progressEvery: '1s', stalledAfter: '2m', onRestart: 'resume' } satisfies LongTask
  static readonly args = copying
  readonly args: t.TypeOf<typeof copying>

  constructor(args: t.TypeOf<typeof copying>) {
    this.args = args
  }

  async run(context: OperationContext): Promise<{ readonly bytes: number; readonly keptBytes: number }> {
    const { from, to, bytesPerSecond } = this.args
    const total = await sizeOf(from)
    await using source = await open(from, 'r')
    return await written(context, { name: to, total, blockAt: (at) => blockOf(source, at), bytesPerSecond })
  }
}

const hashing = t.intersection([t.type({ name: imageName }), t.partial({ bytesPerSecond: speed })])

/** The SHA-256 of what an image holds; one that is packed is unpacked on the way. A hash cannot be gone on with, so it is begun anew after a restart. */
export class HashImage {
  static readonly longTask = { timeout: '30m', progressEvery: '1s', onRestart: 'resume' } satisfies LongTask
  static readonly args = hashing
  readonly args: t.TypeOf<typeof hashing>

  constructor(args: t.TypeOf<typeof hashing>) {
    this.args = args
  }

  async run(context: OperationContext): Promise<{ readonly sha256: string }> {
    const { name, bytesPerSecond } = this.args
    context.phase('hash')
    return { sha256: await sha256Of(name, readThrough(name, await sizeOf(name), context, bytesPerSecond)) }
  }
}

const packing = t.intersection([
  t.type({ from: imageName, to: t.refinement(imageName, (name) => /\.(?:gz|zst)$/.test(name), 'a file name that ends in .gz or .zst') }),
  t.partial({ bytesPerSecond: speed }),
])

/** Packs an image with gzip or zstd, as the name of the new one says. It cannot be gone on with, and whoever wants it may want it elsewhere then: so it fails when its node stops. */
export class CompressImage {
  static readonly longTask = { timeout: '30m', progressEvery: '1s', onRestart: 'fail' } satisfies LongTask
  static readonly args = packing
  readonly args: t.TypeOf<typeof packing>

  constructor(args: t.TypeOf<typeof packing>) {
    this.args = args
  }

  async run(context: OperationContext): Promise<{ readonly bytes: number; readonly packedBytes: number }> {
    const { from, to, bytesPerSecond } = this.args
    const bytes = await sizeOf(from)
    context.phase('pack')
    await packedInto(partOf(to), to, readThrough(from, bytes, context, bytesPerSecond), context.signal).catch(async (failure: unknown) => {
      await rm(partOf(to), { force: true })
      throw failure
    })
    await rename(partOf(to), to)
    return { bytes, packedBytes: await sizeOf(to) }
  }
}

/** A class without `longTask` is short: whoever dispatches it has its result with the answer of the node. */
export class ListImages {
  async run(): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
    const files = (await readdir('.', { withFileTypes: true })).filter((entry) => entry.isFile())
    return Promise.all(files.map(async ({ name }) => ({ name, bytes: await sizeOf(name) })))
  }
}

export const operations = [MakeImage, CopyImage, HashImage, CompressImage, ListImages]

// What the nodes of the demo can do: operations on images of disks, as the author of a node would write them. They name files in the directory in which their node runs.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import type { LongTask, OperationContext } from '../../client/index.ts'
import { realWorld } from '../../world.ts'
import { createPace } from './pace.ts'
import { sourceFilesUnder } from './source-files.ts'

const BLOCK_BYTES = 256 * 1024
const partOf = (name: string): string => `${name}.part`

interface Building {
  /** The image is filled with the files below it, again and again. */
  readonly root: string
  readonly to: string
  readonly bytes: number
}

/** Makes an image of real files. */
export class BuildImage {
  static readonly longTask = { timeout: '10m', progressEvery: '500ms', onRestart: 'resume' } satisfies LongTask
  readonly args: Building

  constructor(args: Building) {
    this.args = args
  }

  async run(context: OperationContext): Promise<{ readonly bytes: number; readonly files: number }> {
    const { root, to, bytes } = this.args
    context.phase('scan')
    const files = await sourceFilesUnder(root, () => context.checkpoint())
    if (files.length === 0) throw new Error(`There are no files under ${root}.`)
    context.phase('build')
    {
      await using image = await open(partOf(to), 'w')
      for (let done = 0, next = 0; done < bytes; next += 1) {
        await context.checkpoint()
        const content = await readFile(files[next % files.length]?.path ?? '').catch(() => Buffer.alloc(0))
        const piece = content.subarray(0, bytes - done)
        await image.appendFile(piece)
        done += piece.byteLength
        context.progress({ done, total: bytes, unit: 'bytes' })
      }
    }
    await rename(partOf(to), to)
    return { bytes, files: files.length }
  }
}

export interface Moving {
  readonly from: string
  readonly to: string
  readonly bytesPerSecond: number
}

export interface Copied {
  readonly bytes: number
  /** Found on disk, from an attempt that was broken off. */
  readonly keptBytes: number
}

const blockOf = async (file: FileHandle, at: number): Promise<Buffer> => {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at)
  return block.subarray(0, bytesRead)
}

/** Copies an image. What a killed node has left is compared, kept, and gone on from. */
export class CopyImage {
  static readonly longTask = { timeout: '10m', progressEvery: '500ms', onRestart: 'resume' } satisfies LongTask
  readonly args: Moving

  constructor(args: Moving) {
    this.args = args
  }

  async run(context: OperationContext): Promise<Copied> {
    const { from, to, bytesPerSecond } = this.args
    const pace = createPace(realWorld, bytesPerSecond)
    const total = (await stat(from)).size
    let keptBytes = 0
    {
      await using source = await open(from, 'r')
      await using target = await open(partOf(to), context.attempt === 1 ? 'w+' : 'r+').catch(() => open(partOf(to), 'w+'))
      context.phase(context.attempt === 1 ? 'copy' : 'check')
      for (let done = 0; done < total;) {
        await context.checkpoint()
        const block = await blockOf(source, done)
        const isKept = context.attempt > 1 && block.equals((await blockOf(target, done)).subarray(0, block.byteLength))
        if (isKept) keptBytes += block.byteLength
        else {
          context.phase('copy')
          await pace.take(block.byteLength, context.signal)
          await target.write(block, 0, block.byteLength, done)
        }
        done += block.byteLength
        context.progress({ done, total, unit: 'bytes' })
        context.partial({ bytes: done })
      }
      await target.truncate(total)
    }
    await rename(partOf(to), to)
    return { bytes: total, keptBytes }
  }
}

/** Packs an image. It cannot be gone on with, so that it fails when its node stops. */
export class PackImage {
  static readonly longTask = { timeout: '10m', progressEvery: '500ms', onRestart: 'fail' } satisfies LongTask
  readonly args: Moving

  constructor(args: Moving) {
    this.args = args
  }

  async run(context: OperationContext): Promise<{ readonly bytes: number; readonly packedBytes: number }> {
    const { from, to, bytesPerSecond } = this.args
    const pace = createPace(realWorld, bytesPerSecond)
    const bytes = (await stat(from)).size
    context.phase('pack')
    const blocks = async function* (): AsyncGenerator<Buffer, void, undefined> {
      let done = 0
      for await (const block of createReadStream(from, { highWaterMark: BLOCK_BYTES }) as AsyncIterable<Buffer>) {
        await context.checkpoint()
        await pace.take(block.byteLength, context.signal)
        yield block
        done += block.byteLength
        context.progress({ done, total: bytes, unit: 'bytes' })
      }
    }
    await rm(partOf(to), { force: true })
    await pipeline(blocks(), createGzip({ level: 1 }), createWriteStream(partOf(to)), { signal: context.signal })
    await rename(partOf(to), to)
    return { bytes, packedBytes: (await stat(to)).size }
  }
}

export const diskOperations = [BuildImage, CopyImage, PackImage]

/** SHA-256 of what is in a file; of a packed one, of what was packed. */
export const contentHash = async (file: string): Promise<string> => {
  const hash = createHash('sha256')
  if (file.endsWith('.gz')) await pipeline(createReadStream(file), createGunzip(), hash)
  else await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
